//! What would solve the equations if the channels together saw every pixel alike: a small matrix
//! at each place of k-space.

use std::sync::Arc;

use nalgebra::DMatrix;
use ndarray::Array2;
use num_complex::Complex32;
use rayon::prelude::*;
use rustfft::{Fft, FftPlanner};

use super::normal::Normal;

pub(super) struct Preconditioner {
    image: [usize; 2],
    n_modes: usize,
    lambda: f32,
    /// Inverses: `[x, y, mode, mode]`.
    inverses: Vec<f32>,
    covariance: Array2<f64>,
    forward: [Arc<dyn Fft<f32>>; 2],
    inverse: [Arc<dyn Fft<f32>>; 2],
}

impl Preconditioner {
    /// * `regularisation`: λ in units of the mean of the diagonal.
    ///
    /// # Method
    /// The circulant matrix that is nearest to the convolution (T. Chan 1988).
    pub fn new(normal: &Normal, regularisation: f32) -> Self {
        let [n_y, n_x] = normal.image;
        let n_modes = normal.n_modes;
        let mut planner = FftPlanner::new();
        let forward = normal.image.map(|n| planner.plan_fft_forward(n));
        let inverse = normal.image.map(|n| planner.plan_fft_inverse(n));
        let n_pixels = n_y * n_x;
        // `[pair][x, y]`.
        let symbols: Vec<Vec<f32>> = (0..normal.spread.shape()[0])
            .into_par_iter()
            .map(|pair| {
                let spread = normal.spread.index_axis(ndarray::Axis(0), pair);
                let mut wrapped = vec![Complex32::ZERO; n_pixels];
                for ((y, x), value) in spread.indexed_iter() {
                    let weight = |at: usize, n: usize| 1.0 - at.abs_diff(n) as f32 / n as f32;
                    // A distance of 0 is in the middle.
                    wrapped[x % n_x * n_y + y % n_y] += weight(y, n_y) * weight(x, n_x) * value;
                }
                transform(&mut wrapped, [n_y, n_x], &forward);
                wrapped.iter().map(|value| value.re).collect()
            })
            .collect();
        let diagonal = |mode: usize| mode * n_modes - mode * mode.saturating_sub(1) / 2;
        let total: f64 = (0..n_modes)
            .map(|mode| symbols[diagonal(mode)].iter().map(|v| f64::from(*v)).sum::<f64>())
            .sum();
        let mean = total / (n_pixels * n_modes).max(1) as f64;
        let lambda = (mean * f64::from(regularisation)) as f32;
        let mut inverses = vec![0.0_f32; n_pixels * n_modes * n_modes];
        let pieces: Vec<DMatrix<f64>> = inverses
            .par_chunks_mut((n_y * n_modes * n_modes).max(1))
            .enumerate()
            .map(|(x, column)| {
                let mut sum = DMatrix::zeros(n_modes, n_modes);
                for (y, target) in column.chunks_exact_mut(n_modes * n_modes).enumerate() {
                    let matrix = DMatrix::from_fn(n_modes, n_modes, |a, b| {
                        let (k, l) = (a.min(b), a.max(b));
                        let value = f64::from(symbols[diagonal(k) + l - k][x * n_y + y]);
                        value + if a == b { f64::from(lambda).max(1e-12 * mean) } else { 0.0 }
                    });
                    // Not definite by rounding only, where hardly anything was sampled.
                    let inverse = matrix.cholesky().map(|factor| factor.inverse());
                    let inverse = inverse.unwrap_or_else(|| {
                        DMatrix::from_diagonal_element(n_modes, n_modes, 1.0 / mean.max(1e-30))
                    });
                    target.iter_mut().zip(&inverse).for_each(|(to, from)| *to = *from as f32);
                    // Of noise, what λ lets through: nothing where nothing was sampled.
                    sum += &inverse - &inverse * &inverse * f64::from(lambda);
                }
                sum
            })
            .collect();
        let mut sum = DMatrix::zeros(n_modes, n_modes);
        pieces.iter().for_each(|piece| sum += piece);
        let covariance =
            Array2::from_shape_fn((n_modes, n_modes), |(k, l)| sum[(k, l)] / n_pixels as f64);
        Self { image: normal.image, n_modes, lambda, inverses, covariance, forward, inverse }
    }

    pub fn lambda(&self) -> f32 {
        self.lambda
    }

    pub fn covariance(&self) -> Array2<f64> {
        self.covariance.clone()
    }

    /// Of images `[mode, y, x]`.
    pub fn apply(&self, images: &[Complex32]) -> Vec<Complex32> {
        let [n_y, n_x] = self.image;
        let n_pixels = n_y * n_x;
        // `[mode][x, y]`.
        let mut planes: Vec<Vec<Complex32>> = images
            .par_chunks_exact(n_pixels.max(1))
            .map(|image| {
                let mut plane = turned(image, [n_y, n_x]);
                transform(&mut plane, self.image, &self.forward);
                plane
            })
            .collect();
        let scale = 1.0 / n_pixels as f32;
        let mut results: Vec<Vec<Complex32>> = (0..self.n_modes)
            .into_par_iter()
            .map(|k| {
                let mut result = vec![Complex32::ZERO; n_pixels];
                for (place, result) in result.iter_mut().enumerate() {
                    let row = &self.inverses[(place * self.n_modes + k) * self.n_modes..];
                    let sum: Complex32 =
                        row.iter().zip(&planes).map(|(weight, plane)| plane[place] * weight).sum();
                    *result = scale * sum;
                }
                result
            })
            .collect();
        planes.clear();
        let back: Vec<Vec<Complex32>> = results
            .par_iter_mut()
            .map(|plane| {
                transform(plane, self.image, &self.inverse);
                turned(plane, [n_x, n_y])
            })
            .collect();
        back.concat()
    }
}

/// `[a, b]` as `[b, a]`.
fn turned(values: &[Complex32], [n_a, n_b]: [usize; 2]) -> Vec<Complex32> {
    let mut turned = vec![Complex32::ZERO; values.len()];
    for a in 0..n_a {
        for b in 0..n_b {
            turned[b * n_a + a] = values[a * n_b + b];
        }
    }
    turned
}

/// Transforms a plane `[x, y]` in place; sizes and transforms along y and x.
fn transform(plane: &mut [Complex32], [n_y, n_x]: [usize; 2], ffts: &[Arc<dyn Fft<f32>>; 2]) {
    ffts[0].process(plane);
    let mut other = turned(plane, [n_x, n_y]);
    ffts[1].process(&mut other);
    plane.copy_from_slice(&turned(&other, [n_y, n_x]));
}
