//! What the finite k-space of a scan shows of ellipses.

use std::f64::consts::PI;

use ndarray::{Array2, s};
use num_complex::Complex32;
use numerics::fft;

use crate::object::Component;
use crate::raster::{PixelGrid, rasterise};

/// Pixels along each axis that stand for one of the scan.
const REFINEMENT: usize = 4;

/// Picture of a sum of ellipses as a fully sampled noiseless scan of this grid gives it, with
/// Gibbs ringing: `[y, x]`.
///
/// # Method
/// The ellipses on a grid four times finer, of whose k-space only the scan's part is kept. The
/// low-pass of averaging over fine pixels is undone; what remains is aliasing of the fine grid.
///
/// # Accuracy
/// A chest with heart on 192 × 160 pixels differs from the image of its exact k-space by a
/// root mean square of less than 0.2 % of that of the image.
pub fn band_limited(components: &[Component], grid: PixelGrid) -> Array2<Complex32> {
    let fine = grid.refined(REFINEMENT);
    let mut k_space = rasterise(components, fine);
    fft::forward_2d(k_space.view_mut());
    let [n_columns, n_rows] = grid.matrix_size;
    let first = |n: usize| (n * REFINEMENT) / 2 - n / 2;
    let (top, left) = (first(n_rows), first(n_columns));
    let mut image = k_space.slice(s![top..top + n_rows, left..left + n_columns]).to_owned();
    let (x_gains, y_gains) = (gains(n_columns), gains(n_rows));
    for ((row, column), value) in image.indexed_iter_mut() {
        // Unitary transforms of two sizes: one factor of the refinement in all.
        *value *= (x_gains[column] * y_gains[row] / REFINEMENT as f64) as f32;
    }
    fft::inverse_2d(image.view_mut());
    image
}

/// One over the transfer function of averaging over a fine pixel.
fn gains(n: usize) -> Vec<f64> {
    (0..n)
        .map(|i| {
            let turns = (i as f64 - (n / 2) as f64) / (n * REFINEMENT) as f64;
            if turns == 0.0 { 1.0 } else { PI * turns / (PI * turns).sin() }
        })
        .collect()
}
