//! The linear fit of all pixels at once.

use ndarray::{Array1, Array2, ArrayView2};
use rayon::prelude::*;

use super::eigen::eigen;
use super::encoding::TensorPlan;
use super::logarithm::{exp, ln};
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
const BLOCK: usize = 256;
/// Numbers that a pixel has in the end.
const N_VALUES: usize = 18;
/// Signals whose product has one logarithm: each is at least [`LEAST_SHARE`] of the largest.
const MOST_FACTORS: usize = 8;
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
        let groups = self.groups();
        let mut values = [6, 3, 6, 1, 1, 1].map(|n| Array2::<f32>::zeros((n, n_pixels)));
        // Where each block writes: \[block\]\[value\].
        let mut targets: Vec<Vec<&mut [f32]>> =
            (0..n_pixels.div_ceil(BLOCK)).map(|_| Vec::with_capacity(N_VALUES)).collect();
        for row in values.iter_mut().flat_map(|values| values.rows_mut()) {
            let row = row.into_slice().expect("a new array is contiguous");
            for (target, part) in targets.iter_mut().zip(row.chunks_mut(BLOCK)) {
                target.push(part);
            }
        }
        targets.into_par_iter().enumerate().for_each_init(
            || Workspace::new(n_images),
            |workspace, (block, target)| {
                workspace.fit(signals, n_pixels, block * BLOCK, &groups, target);
            },
        );
        let [tensor, eigenvalues, eigenvectors, s0, mean_diffusivity, fractional_anisotropy] =
            values;
        let only = |values: Array2<f32>| Array1::from(values.into_raw_vec_and_offset().0);
        LinearFit {
            tensor,
            eigenvalues,
            eigenvectors,
            s0: only(s0),
            mean_diffusivity: only(mean_diffusivity),
            fractional_anisotropy: only(fractional_anisotropy),
        }
    }

    /// Images of one weighting, at most [`MOST_FACTORS`], and what their logarithms are multiplied by.
    fn groups(&self) -> Vec<(Vec<usize>, [f32; 7])> {
        let mut groups: Vec<(Vec<usize>, [f32; 7])> = Vec::new();
        for (image, row) in self.rows.iter().enumerate() {
            let of_the_same = groups
                .iter_mut()
                .find(|(members, _)| members.len() < MOST_FACTORS && self.rows[members[0]] == *row);
            match of_the_same {
                Some((members, _)) => members.push(image),
                None => {
                    let factors = self.pseudo_inverse[image].map(|value| value as f32);
                    groups.push((vec![image], factors));
                }
            }
        }
        groups
    }
}

/// What a thread fits blocks in.
struct Workspace {
    /// Signals of a block side by side: as rows of large images they would share few lines of the
    /// cache.
    signals: Vec<[f32; BLOCK]>,
    sums: [[f32; BLOCK]; 7],
    values: [[f32; BLOCK]; N_VALUES],
}

impl Workspace {
    fn new(n_images: usize) -> Self {
        Self {
            signals: vec![[0.0; BLOCK]; n_images],
            sums: [[0.0; BLOCK]; 7],
            values: [[0.0; BLOCK]; N_VALUES],
        }
    }

    fn fit(
        &mut self,
        signals: &[f32],
        n_pixels: usize,
        start: usize,
        groups: &[(Vec<usize>, [f32; 7])],
        target: Vec<&mut [f32]>,
    ) {
        let n = BLOCK.min(n_pixels - start);
        let mut largest = [0.0_f32; BLOCK];
        for (image, own) in self.signals.iter_mut().enumerate() {
            let row = &signals[image * n_pixels + start..][..n];
            own[..n].copy_from_slice(row);
            largest.iter_mut().zip(row).for_each(|(largest, s)| *largest = largest.max(*s));
        }
        let least = largest.map(|largest| (largest * LEAST_SHARE).max(1e-30));
        // Logarithms relative to the largest signal: small numbers keep more digits.
        let scale = least.map(|least| LEAST_SHARE / least);
        self.sums = [[0.0; BLOCK]; 7];
        for (members, factors) in groups {
            add_group(&self.signals, members, &least, &scale, factors, &mut self.sums);
        }
        decompose(&self.sums, &largest, &scale, &mut self.values);
        for (target, values) in target.into_iter().zip(&self.values) {
            target.copy_from_slice(&values[..target.len()]);
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
                        let own = ln(signal * scale[pixel]) - fitted;
                        let without = fitted - pull / (1.0 - pull) * own.clamp(-1.0, 1.0);
                        out[pixel] = exp(without.min(20.0)) * least[pixel];
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

/// Adds the logarithms of all images of one weighting times their factors: one logarithm of the
/// product.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn add_group(
    signals: &[[f32; BLOCK]],
    members: &[usize],
    least: &[f32; BLOCK],
    scale: &[f32; BLOCK],
    factors: &[f32; 7],
    sums: &mut [[f32; BLOCK]; 7],
) {
    let mut products = [1.0_f32; BLOCK];
    for member in members {
        let terms = products.iter_mut().zip(&signals[*member]).zip(least).zip(scale);
        for (((product, signal), least), scale) in terms {
            // Also of what is no number.
            *product *= scale * if *signal > *least { *signal } else { *least };
        }
    }
    products.iter_mut().for_each(|product| *product = ln(*product));
    for (sums, factor) in sums.iter_mut().zip(factors) {
        for (sum, logarithm) in sums.iter_mut().zip(&products) {
            *sum += factor * logarithm;
        }
    }
}

/// What a pixel has in the end, of its sums: 0 everywhere where there is no signal.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn decompose(
    sums: &[[f32; BLOCK]; 7],
    largest: &[f32; BLOCK],
    scale: &[f32; BLOCK],
    values: &mut [[f32; BLOCK]; N_VALUES],
) {
    for (pixel, (largest, scale)) in largest.iter().zip(scale).enumerate() {
        let tensor: [f64; 6] = std::array::from_fn(|element| f64::from(sums[element][pixel]));
        let is_fitted = (*largest > 0.0)
            & largest.is_finite()
            & tensor.iter().fold(true, |all, value| all & value.is_finite());
        let found = eigen(&tensor);
        let mean = mean_diffusivity(&found.values);
        let anisotropy = fractional_anisotropy(&found.values);
        let s0 = exp(sums[6][pixel]) / scale;
        let keep = |value: f32| if is_fitted { value } else { 0.0 };
        for element in 0..6 {
            values[element][pixel] = keep(sums[element][pixel]);
        }
        for i in 0..3 {
            values[6 + i][pixel] = keep(found.values[i] as f32);
            values[9 + i][pixel] = keep(found.vectors[0][i] as f32);
            values[12 + i][pixel] = keep(found.vectors[1][i] as f32);
        }
        values[15][pixel] = keep(s0);
        values[16][pixel] = keep(mean as f32);
        values[17][pixel] = keep(anisotropy as f32);
    }
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
