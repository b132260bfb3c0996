//! The table of exponentials, and the search for the best of them.

use super::model::{Model, SearchRange};

/// Pixels that are searched for at once.
pub(super) const LANES: usize = 16;

/// Largest step between neighbours in the table: of ln T.
const STEP: f64 = 0.06;

/// What the exponentials of a grid of T look like at the times of a series, orthogonal to the
/// constant where that is free, of length 1, with the sign that the model asks for.
#[derive(Clone, Debug)]
pub(super) struct Table {
    /// `[entry, image]`.
    basis: Vec<f32>,
    n_images: usize,
    /// ln T of the first entry, T in ms.
    pub(super) first_log: f64,
    /// Between entries.
    pub(super) step_log: f64,
    pub(super) n: usize,
}

impl Table {
    pub(super) fn new(model: Model, times_ms: &[f64], range: SearchRange) -> Self {
        let first_log = range.shortest_ms.ln();
        let length = range.longest_ms.ln() - first_log;
        let n = ((length / STEP).ceil() as usize).max(2) + 1;
        let step_log = length / (n - 1) as f64;
        let n_images = times_ms.len();
        let mut basis = Vec::with_capacity(n * n_images);
        for entry in 0..n {
            let time_ms = (first_log + entry as f64 * step_log).exp();
            let mut vector: Vec<f64> = times_ms.iter().map(|t| (-t / time_ms).exp()).collect();
            if model.has_free_constant() {
                let mean = vector.iter().sum::<f64>() / n_images as f64;
                vector.iter_mut().for_each(|value| *value = model.sign() * (*value - mean));
            } else {
                let (constant, exponential) = model.tied();
                vector.iter_mut().for_each(|value| *value = constant + exponential * *value);
            }
            let length = vector.iter().map(|value| value * value).sum::<f64>().sqrt();
            // Of one that is over before the first image nothing can be seen.
            let factor = if length > 1e-12 { 1.0 / length } else { 0.0 };
            basis.extend(vector.into_iter().map(|value| (factor * value) as f32));
        }
        Self { basis, n_images, first_log, step_log, n }
    }

    /// An entry: `[image]`.
    pub(super) fn row(&self, entry: u32) -> &[f32] {
        let start = entry as usize * self.n_images;
        &self.basis[start..start + self.n_images]
    }

    /// For each pixel the entry that its samples have most of, and how much that is: not above 0
    /// where none of them is like the samples.
    pub(super) fn search(
        &self,
        samples: &[[f32; LANES]],
        peak: &mut [f32; LANES],
        index: &mut [u32; LANES],
    ) {
        search(&self.basis, self.n_images, samples, peak, index);
    }
}

/// For each pixel the row of `basis`, `[entry, image]`, that its samples have most of, and how much
/// that is.
#[multiversion::multiversion(targets("x86_64+avx2+fma", "x86_64+avx"))]
pub(super) fn search(
    basis: &[f32],
    n_images: usize,
    samples: &[[f32; LANES]],
    peak: &mut [f32; LANES],
    index: &mut [u32; LANES],
) {
    *peak = [0.0; LANES];
    *index = [0; LANES];
    for (entry, row) in basis.chunks_exact(n_images).enumerate() {
        let mut along = [0.0_f32; LANES];
        for (value, samples) in row.iter().zip(samples) {
            for (along, sample) in along.iter_mut().zip(samples) {
                *along += value * sample;
            }
        }
        for lane in 0..LANES {
            let is_better = along[lane] > peak[lane];
            peak[lane] = if is_better { along[lane] } else { peak[lane] };
            index[lane] = if is_better { entry as u32 } else { index[lane] };
        }
    }
}
