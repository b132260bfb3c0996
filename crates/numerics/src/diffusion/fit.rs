//! Fits of one pixel: linear, weighted, non-linear, robust.

use nalgebra::{SMatrix, SVector};
use rayon::prelude::*;

use super::encoding::TensorPlan;

/// How a tensor is fitted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum FitMethod {
    /// To logarithms, all alike.
    Linear,
    /// To logarithms with the squares of the fitted signals as weights, found anew so many times.
    Weighted {
        /// 1 or 2 are enough.
        reweightings: usize,
    },
    /// To the signals themselves.
    #[default]
    NonLinear,
    /// To the signals without those that are too far from the others.
    Robust {
        /// Standard deviation of the noise, in the signals' unit.
        noise_sd: f64,
    },
}

/// What is fitted: six elements of the tensor in µm²/ms and the logarithm of the signal without
/// weighting.
pub type Parameters = [f64; 7];

/// The fit of a pixel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PixelFit {
    /// xx, xy, xz, yy, yz, zz, µm²/ms.
    pub tensor: [f64; 6],
    /// Signal without weighting.
    pub s0: f64,
    /// Sum of the squared differences of signals and fit, of the images that were used.
    pub squares: f64,
    /// Images that were used.
    pub n_used: usize,
}

/// A signal below this share of a pixel's largest one counts as much: it has no logarithm else.
const LEAST_SHARE: f64 = 1e-4;
const MAX_STEPS: usize = 60;
const MAX_REWEIGHTINGS: usize = 25;
/// Differences of more standard deviations are outliers.
const OUTLIER_SDS: f64 = 3.0;

/// The same for every pixel, on all cores, in their order.
pub fn each_pixel<T: Send>(n_pixels: usize, of_pixel: impl Fn(usize) -> T + Sync + Send) -> Vec<T> {
    (0..n_pixels).into_par_iter().with_min_len(64).map(of_pixel).collect()
}

impl TensorPlan {
    /// Fits a pixel.
    ///
    /// * `signals`: one for each image. Those that are no number are left out.
    ///
    /// Gives [`None`] where there is no signal, or too few numbers.
    ///
    /// # Source
    /// Basser et al. 1994 (linear, weighted); Koay et al. 2006 (non-linear); Chang, Jones and
    /// Pierpaoli 2005 (RESTORE, robust).
    ///
    /// # Panics
    /// If there is not one signal for each image.
    pub fn fit_pixel(&self, signals: &[f64], method: FitMethod) -> Option<PixelFit> {
        assert_eq!(signals.len(), self.n_images(), "a signal for each image");
        let largest = signals.iter().copied().filter(|s| s.is_finite()).fold(0.0, f64::max);
        if largest <= 0.0 {
            return None;
        }
        let logarithms: Vec<f64> =
            signals.iter().map(|signal| signal.max(LEAST_SHARE * largest).ln()).collect();
        let is_whole = signals.iter().all(|signal| signal.is_finite());
        let mut used: Vec<f64> =
            signals.iter().map(|s| f64::from(u8::from(s.is_finite()))).collect();
        let mut parameters =
            if is_whole { self.linear(&logarithms) } else { self.weighted(&logarithms, &used)? };
        match method {
            FitMethod::Linear => {}
            FitMethod::Weighted { reweightings } => {
                for _ in 0..reweightings.max(1) {
                    let weights: Vec<f64> = self
                        .rows
                        .iter()
                        .zip(&used)
                        .map(|(row, used)| used * (2.0 * sum(row, &parameters)).exp())
                        .collect();
                    parameters = self.weighted(&logarithms, &weights)?;
                }
            }
            FitMethod::NonLinear => {
                parameters = self.non_linear(signals, &used, parameters);
            }
            FitMethod::Robust { noise_sd } => {
                parameters = self.robust(signals, &mut used, parameters, noise_sd);
            }
        }
        if !parameters.iter().all(|value| value.is_finite()) {
            return None;
        }
        let squares = self.squares(signals, &used, &parameters);
        let [xx, xy, xz, yy, yz, zz, log] = parameters;
        Some(PixelFit {
            tensor: [xx, xy, xz, yy, yz, zz],
            s0: log.exp(),
            squares,
            n_used: used.iter().filter(|used| **used > 0.0).count(),
        })
    }

    /// Logarithms of signal over fit of a pixel, with these weights of the images in the fit beside
    /// those of their signals; [`None`] where there is no signal.
    pub(super) fn log_residuals(&self, signals: &[f64], weights: &[f64]) -> Option<Vec<f64>> {
        let largest = signals.iter().copied().filter(|s| s.is_finite()).fold(0.0, f64::max);
        if largest <= 0.0 {
            return None;
        }
        let logarithms: Vec<f64> =
            signals.iter().map(|signal| signal.max(LEAST_SHARE * largest).ln()).collect();
        let start = self.weighted(&logarithms, weights)?;
        let rows = self.rows.iter().zip(weights);
        let second: Vec<f64> =
            rows.map(|(row, weight)| weight * (2.0 * sum(row, &start)).exp()).collect();
        let parameters = self.weighted(&logarithms, &second)?;
        let pairs = self.rows.iter().zip(&logarithms);
        Some(pairs.map(|(row, logarithm)| logarithm - sum(row, &parameters)).collect())
    }

    fn linear(&self, logarithms: &[f64]) -> Parameters {
        let mut parameters = [0.0; 7];
        for (column, logarithm) in self.pseudo_inverse.iter().zip(logarithms) {
            for (parameter, factor) in parameters.iter_mut().zip(column) {
                *parameter += factor * logarithm;
            }
        }
        parameters
    }

    /// Least squares with these weights, [`None`] where they leave too little.
    fn weighted(&self, logarithms: &[f64], weights: &[f64]) -> Option<Parameters> {
        let largest = weights.iter().copied().fold(0.0, f64::max);
        if largest <= 0.0 || !largest.is_finite() {
            return None;
        }
        let mut normal = SMatrix::<f64, 7, 7>::zeros();
        let mut right = SVector::<f64, 7>::zeros();
        for ((row, logarithm), weight) in self.rows.iter().zip(logarithms).zip(weights) {
            let weight = weight / largest;
            if weight > 0.0 {
                accumulate(&mut normal, &mut right, row, weight, *logarithm);
            }
        }
        mirror(&mut normal);
        Some(normal.cholesky()?.solve(&right).into())
    }

    fn squares(&self, signals: &[f64], weights: &[f64], parameters: &Parameters) -> f64 {
        let terms = self.rows.iter().zip(signals).zip(weights);
        terms
            .filter(|(_, weight)| **weight > 0.0)
            .map(|((row, signal), weight)| {
                weight * (signal - sum(row, parameters).min(700.0).exp()).powi(2)
            })
            .sum()
    }

    /// Levenberg's method from `start`.
    fn non_linear(&self, signals: &[f64], weights: &[f64], start: Parameters) -> Parameters {
        let mut parameters = start;
        let mut squares = self.squares(signals, weights, &parameters);
        let mut damping = 1e-4;
        for _ in 0..MAX_STEPS {
            let mut normal = SMatrix::<f64, 7, 7>::zeros();
            let mut right = SVector::<f64, 7>::zeros();
            for ((row, signal), weight) in self.rows.iter().zip(signals).zip(weights) {
                if *weight <= 0.0 {
                    continue;
                }
                let fitted = sum(row, &parameters).min(700.0).exp();
                let slope = row.map(|value| fitted * value);
                accumulate(&mut normal, &mut right, &slope, *weight, signal - fitted);
            }
            mirror(&mut normal);
            let mut is_better = false;
            while damping < 1e12 {
                let mut damped = normal;
                for i in 0..7 {
                    damped[(i, i)] *= 1.0 + damping;
                }
                let Some(factor) = damped.cholesky() else {
                    damping *= 10.0;
                    continue;
                };
                let step = factor.solve(&right);
                let next: Parameters = std::array::from_fn(|i| parameters[i] + step[i]);
                let next_squares = self.squares(signals, weights, &next);
                if next_squares <= squares {
                    let longest = step.iter().fold(0.0_f64, |longest, s| longest.max(s.abs()));
                    is_better = longest > 1e-12;
                    (parameters, squares) = (next, next_squares);
                    damping = (0.1 * damping).max(1e-12);
                    break;
                }
                damping *= 10.0;
            }
            if !is_better {
                break;
            }
        }
        parameters
    }

    /// RESTORE: `used` is left with 0 where an image was left out.
    fn robust(
        &self,
        signals: &[f64],
        used: &mut [f64],
        start: Parameters,
        noise_sd: f64,
    ) -> Parameters {
        let mut parameters = self.non_linear(signals, used, start);
        let residuals = |parameters: &Parameters| -> Vec<f64> {
            let pairs = self.rows.iter().zip(signals);
            pairs.map(|(row, signal)| signal - sum(row, parameters).min(700.0).exp()).collect()
        };
        let is_outlier =
            |residual: &f64| residual.is_nan() || residual.abs() > OUTLIER_SDS * noise_sd;
        if noise_sd <= 0.0
            || !residuals(&parameters)
                .iter()
                .zip(&*used)
                .any(|(r, used)| *used > 0.0 && is_outlier(r))
        {
            return parameters;
        }
        for _ in 0..MAX_REWEIGHTINGS {
            // Geman and McClure's weights, with the scale of the residuals themselves.
            let current = residuals(&parameters);
            let mut sizes: Vec<f64> = current
                .iter()
                .zip(&*used)
                .filter(|(_, u)| **u > 0.0)
                .map(|(r, _)| r.abs())
                .collect();
            let middle = sizes.len() / 2;
            let scale = 1.4826 * *sizes.select_nth_unstable_by(middle, f64::total_cmp).1;
            let scale = scale.max(1e-3 * noise_sd);
            let weights: Vec<f64> =
                current
                    .iter()
                    .zip(&*used)
                    .map(|(residual, used)| {
                        if *used > 0.0 { (1.0 + (residual / scale).powi(2)).powi(-2) } else { 0.0 }
                    })
                    .collect();
            let next = self.non_linear(signals, &weights, parameters);
            let change =
                next.iter().zip(&parameters).fold(0.0_f64, |c, (a, b)| c.max((a - b).abs()));
            parameters = next;
            if change < 1e-5 {
                break;
            }
        }
        let outliers: Vec<bool> = residuals(&parameters).iter().map(is_outlier).collect();
        let kept = outliers.iter().zip(&*used).filter(|(out, u)| !**out && **u > 0.0).count();
        let kept_weights: Vec<f64> = used
            .iter()
            .zip(&outliers)
            .map(|(used, is_outlier)| if *is_outlier { 0.0 } else { *used })
            .collect();
        // What is left has to tell a tensor.
        if kept < 8 || self.weighted(&vec![0.0; signals.len()], &kept_weights).is_none() {
            return parameters;
        }
        used.copy_from_slice(&kept_weights);
        self.non_linear(signals, used, parameters)
    }
}

/// The logarithm of the signal that parameters make.
pub(super) fn sum(row: &[f64; 7], parameters: &Parameters) -> f64 {
    row.iter().zip(parameters).map(|(a, b)| a * b).sum()
}

/// Adds an equation to the lower half of the normal equations.
fn accumulate(
    normal: &mut SMatrix<f64, 7, 7>,
    right: &mut SVector<f64, 7>,
    row: &[f64; 7],
    weight: f64,
    value: f64,
) {
    for i in 0..7 {
        let weighted = weight * row[i];
        right[i] += weighted * value;
        for j in 0..=i {
            normal[(i, j)] += weighted * row[j];
        }
    }
}

pub(super) fn mirror(normal: &mut SMatrix<f64, 7, 7>) {
    for i in 0..7 {
        for j in 0..i {
            normal[(j, i)] = normal[(i, j)];
        }
    }
}
