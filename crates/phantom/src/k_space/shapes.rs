//! Ellipses whose spectra are kept, for series in which only their amplitudes change.

use num_complex::Complex32;

use crate::ellipse::Ellipse;

/// Ellipses on the grid of the [`super::CartesianSampler`] that made them. They need 8 bytes for
/// each of some 4 points per sample of the scan.
#[derive(Clone, Debug)]
pub struct Shapes {
    pub(super) ellipses: Vec<Ellipse>,
    /// `[ellipse, x, y]` without gaps: each with amplitude 1, in the sampler's image domain.
    pub(super) fields: Vec<Vec<Complex32>>,
}

impl Shapes {
    /// The ellipses, in their order.
    pub fn ellipses(&self) -> &[Ellipse] {
        &self.ellipses
    }
}
