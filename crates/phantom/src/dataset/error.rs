//! Options of which no training set can be made.

use crate::anatomy::RandomOptionsError;
use crate::diffusion::DiffusionError;
use crate::motion::RhythmError;
use crate::scan::SetupError;

/// Options of which no training set can be made.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum DatasetError {
    /// A number out of its range.
    #[error("{what} is {value}: choose {least} to {most}")]
    OutOfRange {
        /// What it is.
        what: &'static str,
        /// Asked for.
        value: f64,
        /// Smallest.
        least: f64,
        /// Largest.
        most: f64,
    },
    /// A range whose ends are in the wrong order or no numbers.
    #[error("{what} from {low} to {high} is no range: give the smaller number first")]
    Range {
        /// What it is.
        what: &'static str,
        /// First end.
        low: f64,
        /// Last end.
        high: f64,
    },
    /// Times of a series that are too few or too many.
    #[error("{n} {what}: choose {least} to {most}")]
    Count {
        /// What there is that many of.
        what: &'static str,
        /// How many.
        n: usize,
        /// Fewest.
        least: usize,
        /// Most.
        most: usize,
    },
    /// No random body.
    #[error(transparent)]
    Anatomy(#[from] RandomOptionsError),
    /// No scan.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// No rhythm.
    #[error(transparent)]
    Rhythm(#[from] RhythmError),
    /// No pulse table of a fingerprint.
    #[error(transparent)]
    Course(#[from] numerics::fingerprint::CourseError),
    /// No diffusion.
    #[error(transparent)]
    Diffusion(#[from] DiffusionError),
}

/// Whether `value` lies between `least` and `most`.
pub(super) fn check(
    what: &'static str,
    value: f64,
    least: f64,
    most: f64,
) -> Result<(), DatasetError> {
    if (least..=most).contains(&value) {
        Ok(())
    } else {
        Err(DatasetError::OutOfRange { what, value, least, most })
    }
}

/// Whether both ends of a range lie between `least` and `most`, in their order.
pub(super) fn check_range(
    what: &'static str,
    [low, high]: [f64; 2],
    least: f64,
    most: f64,
) -> Result<(), DatasetError> {
    check(what, low, least, most)?;
    check(what, high, least, most)?;
    if low <= high { Ok(()) } else { Err(DatasetError::Range { what, low, high }) }
}

/// Whether there are enough of something and not too many.
pub(super) fn check_count(
    what: &'static str,
    n: usize,
    least: usize,
    most: usize,
) -> Result<(), DatasetError> {
    if (least..=most).contains(&n) {
        Ok(())
    } else {
        Err(DatasetError::Count { what, n, least, most })
    }
}
