//! How much noise the samples have, and what the images leave of them beyond it.

use std::f32::consts::LN_2;

use ndarray::ArrayView2;
use num_complex::Complex32;

/// Standard deviations that are those of whitened samples, which is 1: noise of neighbouring samples
/// that is not independent is measured too low, and signal makes it a little too high.
const WHITENED: std::ops::Range<f32> = 0.6..1.05;
/// Sum of the squares of the weights of a third difference.
const GAIN: f32 = 20.0;

/// Standard deviation of the noise in the real and in the imaginary part of the samples.
///
/// * `samples`: of each readout `[channel, sample]`, from the middle of k-space outwards.
///
/// # Method
/// The middle of the third differences along the second half of each readout, where spirals have left the
/// object's signal behind; over all readouts and channels the middle again. Samples that a noise scan has
/// whitened have 1, which is known better than it can be measured.
pub(crate) fn sample_noise_sd(samples: &[ArrayView2<'_, Complex32>]) -> f32 {
    let channels = samples.iter().flat_map(|readout| readout.rows());
    let of_channel = channels.filter_map(|channel| {
        let outer: Vec<Complex32> = channel.iter().skip(channel.len() / 2).copied().collect();
        let thirds = outer.windows(4).map(|w| (w[3] - w[0] + 3.0 * (w[1] - w[2])).norm_sqr());
        // The median of |z|² is 2 ln 2 times the variance of its parts.
        median(thirds.collect()).map(|square| (square / (2.0 * LN_2 * GAIN)).sqrt())
    });
    let sd = median(of_channel.collect()).unwrap_or(0.0);
    if WHITENED.contains(&sd) { 1.0 } else { sd }
}

/// Part of the energy that is not noise which the images leave of the samples: 0 where noise alone is
/// left, or less of it, as images take some of the noise with them.
pub(crate) fn unexplained(energy: f64, residual: f64, noise: f64) -> f64 {
    let signal = (energy - noise).max(f64::MIN_POSITIVE);
    ((residual - noise) / signal).clamp(0.0, 1.0)
}

fn median(mut values: Vec<f32>) -> Option<f32> {
    let middle = values.len() / 2;
    (!values.is_empty()).then(|| *values.select_nth_unstable_by(middle, f32::total_cmp).1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    /// Readouts of 4 channels and 400 samples: a signal that decays outwards, and noise.
    fn readouts(signal: f32, noise_sd: f32) -> Vec<Array2<Complex32>> {
        let mut state = 7_u32;
        let mut even = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 8) as f32 + 0.5) / (1 << 24) as f32
        };
        (0..8)
            .map(|_| {
                Array2::from_shape_fn((4, 400), |(channel, sample)| {
                    let radius = sample as f32 / 400.0;
                    let size = signal * (-12.0 * radius).exp();
                    let object = Complex32::from_polar(size, 0.2 * sample as f32 + channel as f32);
                    let noise = (-2.0 * even().ln()).sqrt() * noise_sd;
                    object + Complex32::from_polar(noise, std::f32::consts::TAU * even())
                })
            })
            .collect()
    }

    fn sd_of(readouts: &[Array2<Complex32>]) -> f32 {
        sample_noise_sd(&readouts.iter().map(|readout| readout.view()).collect::<Vec<_>>())
    }

    #[test]
    fn noise_is_found_beside_a_signal_a_thousand_times_as_large_and_known_where_it_is_white() {
        for noise_sd in [0.01, 0.2, 30.0] {
            let found = sd_of(&readouts(1e3 * noise_sd, noise_sd));
            // 6400 independent differences or so: 1 %, and the median of medians.
            assert!((found / noise_sd - 1.0).abs() < 0.05, "{found} of {noise_sd}");
        }
        assert_eq!(sd_of(&readouts(300.0, 1.0)), 1.0);
        assert_eq!(sd_of(&[]), 0.0);
        assert_eq!(sd_of(&[Array2::zeros((4, 3))]), 0.0);
    }

    #[test]
    fn what_noise_leaves_is_not_unexplained_and_what_is_beyond_is() {
        assert_eq!(unexplained(1000.0, 95.0, 100.0), 0.0);
        assert!((unexplained(1000.0, 145.0, 100.0) - 0.05).abs() < 1e-12);
        assert!((unexplained(1000.0, 50.0, 0.0) - 0.05).abs() < 1e-12);
        assert_eq!(unexplained(0.0, 0.0, 0.0), 0.0);
    }
}
