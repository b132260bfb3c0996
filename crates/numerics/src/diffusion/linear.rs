//! The linear fit of all pixels at once.

use ndarray::{Array1, Array2, ArrayView2};
use rayon::prelude::*;

use super::eigen::eigen;
use super::encoding::TensorPlan;
use super::scalars::{fractional_anisotropy, mean_diffusivity};

/// Linear fits of all pixels. A pixel without signal has 0 everywhere.
#[derive(Clone, Debug)]
pub struct LinearFit {
    /// xx, xy, xz, yy, yz, zz, µm²/ms: `[element, pixel]`.
    pub tensor: Array2<f32>,
    /// Largest first, µm²/ms: `[eigenvalue, pixel]`.
    pub eigenvalues: Array2<f32>,
    /// Components x, y, z of the first, then of the second eigenvector: `[component, pixel]`.
    pub eigenvectors: Array2<f32>,
    /// Signal without weighting: `[pixel]`.
    pub s0: Array1<f32>,
    /// µm²/ms: `[pixel]`.
    pub mean_diffusivity: Array1<f32>,
    /// `[pixel]`.
    pub fractional_anisotropy: Array1<f32>,
}

/// Pixels that a task fits together: their sums stay in the nearest cache.
const BLOCK: usize = 512;
/// Numbers that a pixel has in the end.
const N_VALUES: usize = 18;
/// As of [`super::FitMethod`].
const LEAST_SHARE: f32 = 1e-4;

impl TensorPlan {
    /// Fits all pixels by least squares of the logarithms, in single precision: within 10⁻⁵ µm²/ms
    /// of [`TensorPlan::fit_pixel`], and many times faster.
    ///
    /// * `images`: `[image, pixel]`.
    ///
    /// # Panics
    /// If there is not one image for each weighting.
    pub fn fit_linear(&self, images: ArrayView2<'_, f32>) -> LinearFit {
        let (n_images, n_pixels) = images.dim();
        assert_eq!(n_images, self.n_images(), "an image for each weighting");
        let images = images.as_standard_layout();
        let signals = images.as_slice().unwrap_or(&[]);
        let factors: Vec<[f32; 7]> =
            self.pseudo_inverse.iter().map(|column| column.map(|value| value as f32)).collect();
        let blocks: Vec<Vec<[f32; BLOCK]>> = (0..n_pixels.div_ceil(BLOCK))
            .into_par_iter()
            .map(|block| {
                let start = block * BLOCK;
                let n = BLOCK.min(n_pixels - start);
                fit_block(signals, n_pixels, start, n, &factors)
            })
            .collect();
        let mut values = Array2::<f32>::zeros((N_VALUES, n_pixels));
        for (value, mut row) in values.rows_mut().into_iter().enumerate() {
            let row = row.as_slice_mut().expect("a new array is contiguous");
            for (block, target) in blocks.iter().zip(row.chunks_mut(BLOCK)) {
                target.copy_from_slice(&block[value][..target.len()]);
            }
        }
        let rows = |from: usize, to: usize| values.slice(ndarray::s![from..to, ..]).to_owned();
        LinearFit {
            tensor: rows(0, 6),
            s0: values.row(6).to_owned(),
            eigenvalues: rows(7, 10),
            eigenvectors: rows(10, 16),
            mean_diffusivity: values.row(16).to_owned(),
            fractional_anisotropy: values.row(17).to_owned(),
        }
    }
}

impl TensorPlan {
    /// What each image should be as the others tell, by a linear fit that leaves it out.
    ///
    /// * `images`: \[image\]\[pixel\], of one length.
    ///
    /// # Panics
    /// If there is not one image for each weighting, or not one length.
    pub fn predict(&self, images: &[Vec<f32>]) -> Vec<Vec<f32>> {
        assert_eq!(images.len(), self.n_images(), "an image for each weighting");
        let n_pixels = images.first().map_or(0, Vec::len);
        let factors: Vec<[f32; 7]> =
            self.pseudo_inverse.iter().map(|column| column.map(|value| value as f32)).collect();
        let rows: Vec<[f32; 7]> = self.rows.iter().map(|row| row.map(|v| v as f32)).collect();
        // How far each image pulls the fit to itself.
        let pulls: Vec<f32> = rows
            .iter()
            .zip(&factors)
            .map(|(row, factors)| row.iter().zip(factors).map(|(a, b)| a * b).sum::<f32>())
            // An image that no other tells about is its own twin.
            .map(|pull| if pull > LARGEST_PULL { 0.0 } else { pull })
            .collect();
        let blocks: Vec<Vec<[f32; BLOCK]>> = (0..n_pixels.div_ceil(BLOCK))
            .into_par_iter()
            .map(|block| {
                let start = block * BLOCK;
                let n = BLOCK.min(n_pixels - start);
                let mut least = [0.0_f32; BLOCK];
                for image in images {
                    let row = &image[start..start + n];
                    least.iter_mut().zip(row).for_each(|(least, s)| *least = least.max(*s));
                }
                least.iter_mut().for_each(|value| *value = (*value * PREDICTED_FROM).max(1e-30));
                let scale = least.map(|least| 1.0 / least);
                let mut sums = [[0.0_f32; BLOCK]; 7];
                for (image, factors) in images.iter().zip(&factors) {
                    add_image(&image[start..start + n], &least, &scale, factors, &mut sums);
                }
                let predicted = images.iter().zip(&rows).zip(&pulls).map(|((image, row), pull)| {
                    let mut out = [0.0_f32; BLOCK];
                    for pixel in 0..n {
                        let fitted: f32 = (0..7).map(|k| row[k] * sums[k][pixel]).sum();
                        let signal = image[start + pixel];
                        let signal = if signal > least[pixel] { signal } else { least[pixel] };
                        let own = (signal * scale[pixel]).ln() - fitted;
                        let without = fitted - pull / (1.0 - pull) * own.clamp(-1.0, 1.0);
                        out[pixel] = without.min(20.0).exp() * least[pixel];
                    }
                    out
                });
                predicted.collect()
            })
            .collect();
        (0..images.len())
            .map(|image| {
                let mut plane = Vec::with_capacity(n_pixels);
                for (number, block) in blocks.iter().enumerate() {
                    let n = BLOCK.min(n_pixels - number * BLOCK);
                    plane.extend_from_slice(&block[image][..n]);
                }
                plane
            })
            .collect()
    }
}

/// Above this the other images do not tell what an image should be.
const LARGEST_PULL: f32 = 0.7;
/// For predictions a signal below this share of the pixel's largest one counts as much.
const PREDICTED_FROM: f32 = 0.02;

fn fit_block(
    signals: &[f32],
    n_pixels: usize,
    start: usize,
    n: usize,
    factors: &[[f32; 7]],
) -> Vec<[f32; BLOCK]> {
    let mut values = vec![[0.0_f32; BLOCK]; N_VALUES];
    let mut least = [0.0_f32; BLOCK];
    for image in 0..factors.len() {
        let row = &signals[image * n_pixels + start..][..n];
        least.iter_mut().zip(row).for_each(|(least, signal)| *least = least.max(*signal));
    }
    let has_signal = least.map(|largest| largest > 0.0 && largest.is_finite());
    least.iter_mut().for_each(|largest| *largest = (*largest * LEAST_SHARE).max(1e-30));
    let mut sums = [[0.0_f32; BLOCK]; 7];
    // Logarithms relative to the largest signal: small numbers keep more digits.
    let scale = least.map(|least| 1e-4 / least);
    for (image, factors) in factors.iter().enumerate() {
        let row = &signals[image * n_pixels + start..][..n];
        add_image(row, &least, &scale, factors, &mut sums);
    }
    for pixel in 0..n {
        if !has_signal[pixel] {
            continue;
        }
        let tensor: [f64; 6] = std::array::from_fn(|element| f64::from(sums[element][pixel]));
        if tensor.iter().any(|value| !value.is_finite()) {
            continue;
        }
        let found = eigen(&tensor);
        for element in 0..6 {
            values[element][pixel] = sums[element][pixel];
        }
        values[6][pixel] = sums[6][pixel].exp() / scale[pixel];
        for i in 0..3 {
            values[7 + i][pixel] = found.values[i] as f32;
            values[10 + i][pixel] = found.vectors[0][i] as f32;
            values[13 + i][pixel] = found.vectors[1][i] as f32;
        }
        values[16][pixel] = mean_diffusivity(&found.values) as f32;
        values[17][pixel] = fractional_anisotropy(&found.values) as f32;
    }
    values
}

/// Adds the logarithms of an image times its factors.
#[multiversion::multiversion(targets("x86_64+avx2+fma", "x86_64+avx"))]
fn add_image(
    row: &[f32],
    least: &[f32; BLOCK],
    scale: &[f32; BLOCK],
    factors: &[f32; 7],
    sums: &mut [[f32; BLOCK]; 7],
) {
    let mut logarithms = [0.0_f32; BLOCK];
    for (((logarithm, signal), least), scale) in
        logarithms.iter_mut().zip(row).zip(least).zip(scale)
    {
        // Also of what is no number.
        let signal = if *signal > *least { *signal } else { *least };
        *logarithm = ln(signal * scale);
    }
    for (sums, factor) in sums.iter_mut().zip(factors) {
        for (sum, logarithm) in sums.iter_mut().zip(&logarithms) {
            *sum += factor * logarithm;
        }
    }
}

/// Natural logarithm of a normal number above 0, to 2·10⁻⁷ (or that part of it): without branches,
/// so that eight are found at once.
#[inline(always)]
fn ln(value: f32) -> f32 {
    const HALF_ROOT: u32 = 0x3f35_04f3; // √½
    // value = 2ⁿ·m with m from √½ to √2.
    let bits = value.to_bits().wrapping_sub(HALF_ROOT);
    let exponent = (bits as i32) >> 23;
    let m = f32::from_bits((bits & 0x007f_ffff).wrapping_add(HALF_ROOT));
    // ln m = 2·artanh((m − 1)/(m + 1)), whose argument is below 0.172.
    let s = (m - 1.0) / (m + 1.0);
    let squared = s * s;
    let series = squared
        * (2.0 / 3.0 + squared * (2.0 / 5.0 + squared * (2.0 / 7.0 + squared * (2.0 / 9.0))));
    exponent as f32 * std::f32::consts::LN_2 + (2.0 * s + s * series)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_exact_to_single_precision() {
        let mut value = 1e-30_f32;
        while value < 1e30 {
            let error = (f64::from(ln(value)) - f64::from(value).ln()).abs();
            assert!(error < 2e-7 * f64::from(value).ln().abs().max(1.0), "{value}: {error}");
            value *= 1.0007;
        }
    }
}
