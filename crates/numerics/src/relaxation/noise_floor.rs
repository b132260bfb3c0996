//! Decay of magnitudes down to the noise floor.

use ndarray::{Array3, ArrayView2, ArrayView3};
use rayon::prelude::*;

use super::fit::{PixelFit, RelaxationFit};
use super::model::{Model, SearchRange};
use super::plan::{FitOptions, Noise, Plan, PlanError};
use super::polynomial;

/// Gauss-Newton steps at most.
const MAX_STEPS: usize = 25;
/// Relative step after which there is no other.
const LAST_STEP: f64 = 1e-6;

/// A e^(−t/T) seen as the magnitude of complex data with noise: samples are held against the mean
/// of Rice's distribution, weighted with its variance.
///
/// The start is the fit of |S|² − 2σ² by A² e^(−2t/T), which is free of the floor's bias.
///
/// # Source
/// Miller, Joseph 1993 (power images); Sijbers et al. 1998; He et al. 2008 for T2*.
#[derive(Clone, Debug)]
pub struct NoiseFloor {
    squares: Plan,
    times_ms: Vec<f64>,
    range: SearchRange,
}

impl NoiseFloor {
    /// A fit for images with these echo times.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn new(times_ms: &[f64], range: SearchRange) -> Result<Self, PlanError> {
        let halved = SearchRange {
            shortest_ms: 0.5 * range.shortest_ms,
            longest_ms: 0.5 * range.longest_ms,
        };
        let squares = Plan::new(Model::Decay, times_ms, halved)?;
        Ok(Self { squares, times_ms: times_ms.to_vec(), range })
    }

    /// Fits every pixel.
    ///
    /// * `magnitudes`: `[image, y, x]`.
    /// * `noise_sd`: standard deviation of the noise in the real and in the imaginary part,
    ///   `[y, x]`; a pixel where it is not above 0 is fitted as if there were none.
    /// * `mask`: pixels to fit.
    ///
    /// # Panics
    /// If the shapes do not fit each other.
    pub fn fit(
        &self,
        magnitudes: ArrayView3<'_, f32>,
        noise_sd: ArrayView2<'_, f32>,
        mask: Option<ArrayView2<'_, bool>>,
    ) -> RelaxationFit {
        let (n_images, height, width) = magnitudes.dim();
        assert_eq!(noise_sd.dim(), (height, width), "a noise map as large as the images");
        let squares = Array3::from_shape_fn(magnitudes.dim(), |(image, y, x)| {
            let (magnitude, sd) = (magnitudes[[image, y, x]], noise_sd[[y, x]].max(0.0));
            magnitude * magnitude - 2.0 * sd * sd
        });
        let options = FitOptions { mask, noise: Noise::Known(1.0), ..FitOptions::default() };
        let start = self.squares.fit(squares.view(), &options);
        let mut fits = vec![PixelFit::default(); height * width];
        fits.par_chunks_mut(width.max(1)).enumerate().for_each(|(y, row)| {
            let mut samples = vec![0.0; n_images];
            for (x, fit) in row.iter_mut().enumerate() {
                let begin = start.get([y, x]);
                if begin.value_ms <= 0.0 {
                    continue;
                }
                for (image, sample) in samples.iter_mut().enumerate() {
                    *sample = f64::from(magnitudes[[image, y, x]]);
                }
                let noise_sd = f64::from(noise_sd[[y, x]].max(0.0));
                let amplitude = f64::from(begin.exponential).max(0.0).sqrt();
                let time_ms = 2.0 * f64::from(begin.time_ms);
                *fit = self.fit_pixel(&samples, noise_sd, [amplitude, time_ms]).unwrap_or_default();
            }
        });
        RelaxationFit::new(fits, (height, width))
    }

    fn fit_pixel(
        &self,
        samples: &[f64],
        noise_sd: f64,
        [mut amplitude, mut time_ms]: [f64; 2],
    ) -> Option<PixelFit> {
        let mut normal = self.normal(samples, noise_sd, amplitude, time_ms);
        for _ in 0..MAX_STEPS {
            let [[aa, at], [_, tt]] = normal.matrix;
            let determinant = aa * tt - at * at;
            if determinant.is_nan() || determinant <= 0.0 {
                return None;
            }
            let by_amplitude = (tt * normal.right[0] - at * normal.right[1]) / determinant;
            let by_time = (aa * normal.right[1] - at * normal.right[0]) / determinant;
            // Steps are halved while they make it worse.
            let mut share = 1.0;
            let moved = loop {
                let next = [amplitude + share * by_amplitude, time_ms + share * by_time];
                if next[0] > 0.0 && next[1] > 0.0 {
                    let trial = self.normal(samples, noise_sd, next[0], next[1]);
                    if trial.cost <= normal.cost * (1.0 + 1e-12) {
                        break Some((next, trial));
                    }
                }
                share *= 0.5;
                if share < 1e-4 {
                    break None;
                }
            };
            let Some((next, trial)) = moved else { break };
            let step = ((next[1] - time_ms) / time_ms).abs();
            [amplitude, time_ms] = next;
            normal = trial;
            if step < LAST_STEP {
                break;
            }
        }
        let is_inside = time_ms > self.range.shortest_ms && time_ms < self.range.longest_ms;
        let [[aa, at], [_, tt]] = normal.matrix;
        let variance = aa / (aa * tt - at * at);
        if !(is_inside && variance > 0.0 && variance.is_finite()) {
            return None;
        }
        let mean = samples.iter().sum::<f64>() / samples.len() as f64;
        let total: f64 = samples.iter().map(|sample| (sample - mean).powi(2)).sum();
        let dof = samples.len().saturating_sub(2);
        let residual_sd = if dof > 0 { (normal.squares / dof as f64).sqrt() } else { 0.0 };
        // Weights are those of noise of the given level; without noise there is none to spread.
        let noise_sd = if noise_sd > 0.0 { 1.0 } else { residual_sd };
        Some(PixelFit {
            value_ms: time_ms as f32,
            sd_ms: (noise_sd * variance.sqrt()) as f32,
            r_squared: if total > 0.0 { (1.0 - normal.squares / total) as f32 } else { 0.0 },
            residual_sd: residual_sd as f32,
            constant: 0.0,
            exponential: amplitude as f32,
            time_ms: time_ms as f32,
            n_negated: 0,
        })
    }

    /// The normal equations for amplitude and T.
    fn normal(&self, samples: &[f64], noise_sd: f64, amplitude: f64, time_ms: f64) -> Normal {
        let mut normal = Normal::default();
        for (&time, &sample) in self.times_ms.iter().zip(samples) {
            let decay = (-time / time_ms).exp();
            let signal = amplitude * decay;
            let Rice { mean, slope, variance } = Rice::of(signal, noise_sd);
            let weight = 1.0 / variance;
            let residual = sample - mean;
            let by_amplitude = slope * decay;
            let by_time = slope * signal * time / (time_ms * time_ms);
            normal.matrix[0][0] += weight * by_amplitude * by_amplitude;
            normal.matrix[0][1] += weight * by_amplitude * by_time;
            normal.matrix[1][1] += weight * by_time * by_time;
            normal.right[0] += weight * by_amplitude * residual;
            normal.right[1] += weight * by_time * residual;
            normal.squares += residual * residual;
            // As −2 ln of a normal likelihood, so that steps towards more variance do not pay.
            normal.cost += weight * residual * residual + variance.ln();
        }
        normal.cost += 1e6;
        normal
    }
}

/// Normal equations of the two parameters and what is left.
#[derive(Clone, Copy, Default)]
struct Normal {
    matrix: [[f64; 2]; 2],
    right: [f64; 2],
    squares: f64,
    cost: f64,
}

/// Rice's distribution: the magnitude of a signal with noise in both parts.
struct Rice {
    mean: f64,
    /// Derivative of the mean by the signal.
    slope: f64,
    variance: f64,
}

impl Rice {
    fn of(signal: f64, noise_sd: f64) -> Self {
        if noise_sd <= 0.0 {
            return Self { mean: signal, slope: 1.0, variance: 1.0 };
        }
        let snr = signal / noise_sd;
        if snr > 30.0 {
            // What is left of the series in 1/SNR is below 1e-6.
            let half = 0.5 / (snr * snr);
            return Self {
                mean: noise_sd * snr * (1.0 + half),
                slope: 1.0 - half,
                variance: noise_sd * noise_sd * (1.0 - half),
            };
        }
        let z = 0.25 * snr * snr;
        let (i0, i1) = (polynomial::bessel_i0_scaled(z), polynomial::bessel_i1_scaled(z));
        let mean = (std::f64::consts::FRAC_PI_2).sqrt() * ((1.0 + 2.0 * z) * i0 + 2.0 * z * i1);
        let slope = (std::f64::consts::PI / 8.0).sqrt() * snr * (i0 + i1);
        let variance = (2.0 + snr * snr - mean * mean).max(0.4);
        Self { mean: noise_sd * mean, slope, variance: noise_sd * noise_sd * variance }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rices_mean_is_that_of_its_series_at_both_ends() {
        let rayleigh = Rice::of(0.0, 2.0);
        assert!((rayleigh.mean / 2.0 - 1.253_314).abs() < 1e-5);
        assert!((rayleigh.variance / 4.0 - 0.429_204).abs() < 1e-5);
        for noise_sd in [0.5, 3.0] {
            let (below, above) =
                (Rice::of(29.999 * noise_sd, noise_sd), Rice::of(30.001 * noise_sd, noise_sd));
            assert!((above.mean - below.mean - 0.002 * noise_sd).abs() < 2e-5 * noise_sd);
            assert!((above.slope - below.slope).abs() < 1e-5);
            assert!((above.variance / below.variance - 1.0).abs() < 1e-3);
        }
        let (near, far) = (Rice::of(1.0, 1.0), Rice::of(1.001, 1.0));
        assert!(((far.mean - near.mean) / 0.001 - near.slope).abs() < 1e-3);
    }
}
