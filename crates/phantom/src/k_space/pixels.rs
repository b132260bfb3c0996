//! The spectrum of an object of pixels on the refined grid.

use num_complex::Complex32;

use super::refined::RefinedGrid;
use crate::object::PixelObject;

pub(super) fn spectrum(_object: &PixelObject, refined: &RefinedGrid) -> Vec<Complex32> {
    vec![Complex32::ZERO; refined.n_row_pairs() * 2 * refined.x.padded]
}
