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
/// It is linear in the amplitudes: for a series in which only these change, sum up one picture
/// per ellipse.
///
/// # Accuracy
/// A chest with heart on 192 × 160 pixels differs from the image of its exact k-space by a
/// root mean square of less than 0.1 % of that of the image.
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

#[cfg(test)]
mod tests {
    use num_complex::Complex64;

    use super::*;
    use crate::anatomy::{ShortAxisOptions, short_axis};

    /// Image of the exact k-space.
    fn exact(components: &[Component], grid: PixelGrid) -> Array2<Complex32> {
        let [n_columns, n_rows] = grid.matrix_size;
        let [x_mm, y_mm] = grid.field_of_view_mm;
        let mut k_space = Array2::from_shape_fn(grid.shape(), |(row, column)| {
            let k = [
                (column as f64 - (n_columns / 2) as f64) / x_mm,
                (row as f64 - (n_rows / 2) as f64) / y_mm,
            ];
            let sum: Complex64 =
                components.iter().map(|part| part.amplitude * part.ellipse.spectrum(k)).sum();
            let value = sum * ((n_columns * n_rows) as f64).sqrt() / (x_mm * y_mm);
            Complex32::new(value.re as f32, value.im as f32)
        });
        fft::inverse_2d(k_space.view_mut());
        k_space
    }

    fn relative_error(image: &Array2<Complex32>, truth: &Array2<Complex32>) -> f32 {
        let square = |image: &Array2<Complex32>| image.iter().map(|v| v.norm_sqr()).sum::<f32>();
        (square(&(image - truth)) / square(truth)).sqrt()
    }

    fn chest() -> Vec<Component> {
        let anatomy = short_axis(&ShortAxisOptions::default()).expect("fits");
        let signals: Vec<Complex64> = anatomy
            .regions
            .iter()
            .map(|region| Complex64::cis(0.4) * region.tissue.t2_ms / 240.0)
            .collect();
        anatomy.components(&signals)
    }

    #[test]
    fn the_picture_is_that_of_the_exact_k_space() {
        for matrix_size in [[192, 160], [97, 85]] {
            let grid = PixelGrid { matrix_size, field_of_view_mm: [360.0, 300.0] };
            let error = relative_error(&band_limited(&chest(), grid), &exact(&chest(), grid));
            assert!(error < 1e-3, "{matrix_size:?}: {error}");
            // Without the band limit it is another picture.
            let error = relative_error(&rasterise(&chest(), grid), &exact(&chest(), grid));
            assert!(error > 2e-2, "{error}");
        }
    }
}
