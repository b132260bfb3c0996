//! What can be wrong with the choices of a diffusion phantom.

/// Choices that make no diffusion phantom.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum DiffusionError {
    /// A choice outside its range.
    #[error("the {what} is {value}: choose {minimum} to {maximum}")]
    OutOfRange {
        /// What was chosen.
        what: &'static str,
        /// Its value.
        value: f64,
        /// Smallest.
        minimum: f64,
        /// Largest.
        maximum: f64,
    },
    /// Eigenvalues that no tissue has.
    #[error(
        "the eigenvalues are {}, {} and {} µm²/ms: choose descending ones above 0, at most 4",
        .0[0], .0[1], .0[2]
    )]
    Eigenvalues([f64; 3]),
    /// The slice cuts no left ventricle.
    #[error("the anatomy has no left ventricle: take a slice through the heart")]
    NoLeftVentricle,
    /// A direction that is no unit vector.
    #[error("the diffusion direction [{}, {}, {}] is no unit vector: divide it by its length",
        .0[0], .0[1], .0[2])]
    Direction([f64; 3]),
}

/// That a choice lies in its range.
pub(super) fn check_range(
    what: &'static str,
    value: f64,
    minimum: f64,
    maximum: f64,
) -> Result<(), DiffusionError> {
    if (minimum..=maximum).contains(&value) {
        Ok(())
    } else {
        Err(DiffusionError::OutOfRange { what, value, minimum, maximum })
    }
}
