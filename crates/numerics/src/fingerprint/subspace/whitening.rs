//! Few courses in every neighbourhood: those that stand out of noise and aliasing.

use ndarray::{Array2, Array4};
use num_complex::{Complex32, Complex64};
use rayon::prelude::*;

use crate::cholesky;
use crate::joint::{BlockOptions, SingularValues, block_shift, noise_sd_of_blocks, shrink_locally};

/// Pixels of a neighbourhood along each axis.
const BLOCK: usize = 8;

/// What makes the noise of the modes the same and independent, and back: `[mode, mode]`.
pub(super) struct Whitening {
    whiten: Array2<f32>,
    back: Array2<f32>,
}

impl Whitening {
    /// [`None`] for a covariance that is none.
    pub fn new(covariance: Array2<f64>) -> Option<Self> {
        let lower = cholesky::factor(covariance.mapv(Complex64::from).view()).ok()?;
        let whiten = cholesky::invert_lower(lower.view()).mapv(|value| value.re as f32);
        Some(Self { whiten, back: lower.mapv(|value| value.re as f32) })
    }

    /// Leaves few courses in every neighbourhood of images, `[mode, y, x]`. Gives the standard
    /// deviation of the whitened modes' noise, as it was.
    pub fn shrink(&self, image: &mut [Complex32], [n_y, n_x]: [usize; 2], round: usize) -> f32 {
        let size = [1, BLOCK, BLOCK];
        let blocks = BlockOptions { size, shift: block_shift(round, size) };
        let mut images = self.whitened(image, [n_y, n_x]);
        let sd = noise_sd_of_blocks(&images, blocks);
        shrink_locally(&mut images, blocks, SingularValues::Denoised(sd));
        let images: Vec<Complex32> = images.into_iter().collect();
        image.copy_from_slice(&mixed(&self.back, &images, n_y * n_x));
        sd
    }

    /// Standard deviation of the whitened modes' noise, by what is smallest in every neighbourhood.
    pub fn noise_sd(&self, image: &[Complex32], shape: [usize; 2]) -> f32 {
        let blocks = BlockOptions { size: [1, BLOCK, BLOCK], shift: [0; 3] };
        noise_sd_of_blocks(&self.whitened(image, shape), blocks)
    }

    fn whitened(&self, image: &[Complex32], [n_y, n_x]: [usize; 2]) -> Array4<Complex32> {
        let values = mixed(&self.whiten, image, n_y * n_x);
        Array4::from_shape_vec((self.whiten.nrows(), 1, n_y, n_x), values)
            .expect("images of all modes")
    }
}

/// `matrix`, a lower triangle, times `[mode][pixel]`.
fn mixed(matrix: &Array2<f32>, image: &[Complex32], n_pixels: usize) -> Vec<Complex32> {
    let mut result = vec![Complex32::ZERO; image.len()];
    let rows: Vec<_> = result.chunks_exact_mut(n_pixels).enumerate().collect();
    rows.into_par_iter().for_each(|(row, target)| {
        for column in 0..=row {
            let factor = matrix[[row, column]];
            let source = &image[column * n_pixels..][..n_pixels];
            target.iter_mut().zip(source).for_each(|(target, value)| *target += value * factor);
        }
    });
    result
}
