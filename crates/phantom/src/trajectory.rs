//! Where readouts sample k-space, in cycles per mm.
//!
//! Axes are those of the image: kx along a row, ky down the columns. Headers hold k times field
//! of view over matrix size, −0.5 to 0.5, as Gadgetron's gridding takes it: [`normalised_trajectory`].

mod epi;
mod error;
mod lines;
mod radial;
mod spiral;

use ndarray::Array2;

pub use epi::{Epi, EpiOptions, EpiReadout};
pub use error::TrajectoryError;
pub use lines::{
    AcquiredLine, CalibrationLines, LineOptions, LineOrder, LinePattern, LineRole, ReadoutWindow,
    Undersampling,
};
pub use radial::{Radial, RadialOptions, SpokeAngles};
pub use spiral::{Spiral, SpiralOptions};

/// The golden ratio.
const GOLDEN_RATIO: f64 = 1.618_033_988_749_895;

/// A trajectory as readouts carry it: k times field of view over matrix size, −0.5 to 0.5 for
/// what the image resolves. `[sample, axis]`, axes x and y.
///
/// * `k_per_mm`: \[kx, ky\] of each sample, cycles per mm.
/// * `field_of_view_mm`, `matrix_size`: those of the image, \[x, y\].
///
/// # Panics
/// If a matrix size is 0.
pub fn normalised_trajectory(
    k_per_mm: &[[f64; 2]],
    field_of_view_mm: [f64; 2],
    matrix_size: [usize; 2],
) -> Array2<f32> {
    assert!(matrix_size.iter().all(|&n| n > 0), "an image without pixels: {matrix_size:?}");
    Array2::from_shape_fn((k_per_mm.len(), 2), |(sample, axis)| {
        (k_per_mm[sample][axis] * field_of_view_mm[axis] / matrix_size[axis] as f64) as f32
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edge_of_k_space_is_at_a_half() {
        let normalised =
            normalised_trajectory(&[[0.25, -0.2], [0.0, 0.1]], [256.0, 200.0], [128, 80]);
        assert_eq!(normalised, ndarray::array![[0.5, -0.5], [0.0, 0.25]]);
    }
}
