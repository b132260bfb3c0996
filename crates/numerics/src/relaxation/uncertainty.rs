//! Standard deviations, and how good a fit is.

use super::fit::PixelFit;
use super::model::Model;
use super::refine::Parameters;

/// Median of the magnitude of a normal number of standard deviation 1.
const NORMAL_MEDIAN: f64 = 0.6745;

/// Standard deviation of the noise from residuals: the median of their magnitudes without the
/// p − 1 smallest, of a fit with p parameters.
///
/// # Source
/// Kellman, Arai, Xue 2013.
pub(super) fn residual_sd(residuals: &mut [f64], n_parameters: usize) -> f64 {
    residuals.iter_mut().for_each(|value| *value = value.abs());
    residuals.sort_by(f64::total_cmp);
    let kept = &residuals[(n_parameters - 1).min(residuals.len())..];
    let n = kept.len();
    if n == 0 {
        return 0.0;
    }
    let median = if n % 2 == 1 { kept[n / 2] } else { 0.5 * (kept[n / 2 - 1] + kept[n / 2]) };
    median / NORMAL_MEDIAN
}

/// A fit with everything that follows from its parameters. [`None`] where the value makes no
/// sense.
pub(super) fn describe(
    model: Model,
    times_ms: &[f64],
    samples: &[f64],
    [constant, exponential, time_ms]: Parameters,
    residuals: &mut Vec<f64>,
    noise_sd: impl FnOnce(&mut [f64]) -> f64,
) -> Option<PixelFit> {
    let (value_ms, gradient) = model.value(constant, exponential, time_ms);
    if !(value_ms > 0.0 && value_ms.is_finite()) {
        return None;
    }
    let mean = samples.iter().sum::<f64>() / samples.len() as f64;
    let (mut left, mut total) = (0.0, 0.0);
    residuals.clear();
    for (&time, &sample) in times_ms.iter().zip(samples) {
        let residual = sample - (constant + exponential * (-time / time_ms).exp());
        residuals.push(residual);
        left += residual * residual;
        total += (sample - mean) * (sample - mean);
    }
    let r_squared = if total > 0.0 { 1.0 - left / total } else { 0.0 };
    let dof = samples.len().saturating_sub(model.n_parameters());
    let residual_rms = if dof > 0 { (left / dof as f64).sqrt() } else { 0.0 };
    let variance = unit_variance(model, times_ms, exponential, time_ms, gradient)?;
    let sd_ms = noise_sd(residuals) * variance.sqrt();
    Some(PixelFit {
        value_ms: value_ms as f32,
        sd_ms: sd_ms as f32,
        r_squared: r_squared as f32,
        residual_sd: residual_rms as f32,
        constant: constant as f32,
        exponential: exponential as f32,
        time_ms: time_ms as f32,
        n_negated: 0,
    })
}

/// Variance of the value for noise of standard deviation 1: gᵀ (JᵀJ)⁻¹ g.
fn unit_variance(
    model: Model,
    times_ms: &[f64],
    exponential: f64,
    time_ms: f64,
    gradient: [f64; 3],
) -> Option<f64> {
    let slope = |time: f64, decay: f64| {
        if decay > 0.0 { exponential * decay * time / (time_ms * time_ms) } else { 0.0 }
    };
    if !model.has_free_constant() {
        // One factor for both; exponential = factor · tied.1.
        let (constant, tied) = model.tied();
        let [mut a, mut b, mut c] = [0.0; 3];
        for &time in times_ms {
            let decay = (-time / time_ms).exp();
            let (by_factor, by_time) = (constant + tied * decay, slope(time, decay));
            a += by_factor * by_factor;
            b += by_factor * by_time;
            c += by_time * by_time;
        }
        let determinant = a * c - b * b;
        let variance = a / determinant * gradient[2] * gradient[2];
        return (variance.is_finite() && variance > 0.0).then_some(variance);
    }
    // Symmetric, rows constant, exponential, T.
    let n = times_ms.len() as f64;
    let [mut e, mut ee, mut d, mut ed, mut dd] = [0.0; 5];
    for &time in times_ms {
        let decay = (-time / time_ms).exp();
        let by_time = slope(time, decay);
        e += decay;
        ee += decay * decay;
        d += by_time;
        ed += decay * by_time;
        dd += by_time * by_time;
    }
    let cofactors = [
        [ee * dd - ed * ed, d * ed - e * dd, e * ed - ee * d],
        [d * ed - e * dd, n * dd - d * d, e * d - n * ed],
        [e * ed - ee * d, e * d - n * ed, n * ee - e * e],
    ];
    let determinant = n * cofactors[0][0] + e * cofactors[0][1] + d * cofactors[0][2];
    let mut variance = 0.0;
    for (row, left) in cofactors.iter().zip(gradient) {
        for (cofactor, right) in row.iter().zip(gradient) {
            variance += left * cofactor * right;
        }
    }
    let variance = variance / determinant;
    (variance.is_finite() && variance > 0.0).then_some(variance)
}

/// Smallest standard deviation that an unbiased fit can have: the Cramér-Rao bound.
///
/// * `constant`, `exponential`, `time_ms`: the true signal, constant + exponential · e^(−t/time).
/// * `noise_sd`: standard deviation of the noise in a sample.
///
/// Returns that of the model's value in ms: for [`Model::LookLocker`] that of the corrected T1.
/// [`None`] where these times tell nothing of it.
pub fn cramer_rao_sd_ms(
    model: Model,
    times_ms: &[f64],
    constant: f64,
    exponential: f64,
    time_ms: f64,
    noise_sd: f64,
) -> Option<f64> {
    let (_, gradient) = model.value(constant, exponential, time_ms);
    unit_variance(model, times_ms, exponential, time_ms, gradient)
        .map(|variance| noise_sd * variance.sqrt())
}
