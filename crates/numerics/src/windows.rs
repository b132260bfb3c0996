//! Windows that are multiplied onto k-space.

use std::f64::consts::TAU;
use std::ops::RangeInclusive;

/// A window over one axis of k-space, symmetric about index N/2 (rounded down).
///
/// An even length has no partner for its first sample; that is 0, as in Gadgetron.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Window {
    /// 1 everywhere.
    Rectangular,
    /// exp(−sigma² x² / 2), x from −1 to 1 over the axis: `sigma` 1 leaves 0.61 at the ends,
    /// 1.5 leaves 0.32.
    Gaussian {
        /// Larger is narrower.
        sigma: f64,
    },
    /// (1 + cos πx) / 2, falling to 0 one sample beyond the ends.
    Hanning,
    /// 1 in the middle, half a Hanning window at either end.
    TaperedHanning {
        /// Length of either end over that of the axis.
        width: f64,
    },
}

impl Window {
    /// The weights for `len` samples, 1 at the centre.
    pub fn weights(self, len: usize) -> Vec<f64> {
        if len < 3 {
            return vec![1.0; len];
        }
        // Samples that have a partner on the other side, the centre included.
        let n_paired = if len.is_multiple_of(2) { len - 1 } else { len };
        let half = (n_paired / 2) as f64;
        let mut weights = vec![0.0; len - n_paired];
        match self {
            Self::Rectangular => return vec![1.0; len],
            Self::Gaussian { sigma } => weights.extend((0..n_paired).map(|index| {
                let x = (index as f64 - half) / half;
                (-0.5 * (sigma * x).powi(2)).exp()
            })),
            Self::Hanning => weights.extend(
                (1..=n_paired).map(|n| 0.5 - 0.5 * (TAU * n as f64 / (n_paired + 1) as f64).cos()),
            ),
            Self::TaperedHanning { width } => {
                let taper = taper(taper_len(width, len));
                weights.extend((0..n_paired).map(|index| {
                    let from_end = index.min(n_paired - 1 - index);
                    taper.get(from_end).copied().unwrap_or(1.0)
                }));
            }
        }
        weights
    }

    /// The weights for an axis of `len` samples of which `acquired` was sampled, scaled so that
    /// the mean of their squares over `acquired` is 1: noise of the acquired samples keeps its
    /// standard deviation (images in units of SNR stay so).
    ///
    /// Where samples are missing at both ends, the window spans the larger of the two sides, and
    /// its mirror image, and is 0 beyond. A range that does not lie in the axis counts as all of
    /// it.
    ///
    /// # Source
    /// Kellman and McVeigh 2005 for the scale.
    pub fn snr_weights(self, len: usize, acquired: RangeInclusive<usize>) -> Vec<f32> {
        if len == 0 {
            return Vec::new();
        }
        let (first, last) = (*acquired.start(), *acquired.end());
        let fits = first <= last && last < len;
        let (first, last) = if fits { (first, last) } else { (0, len - 1) };
        let mut weights = if first == 0 || last == len - 1 {
            self.weights(len)
        } else {
            let centre = len / 2;
            let side = centre.saturating_sub(first).max(last.saturating_sub(centre));
            let span = (2 * side + 1).min(len);
            let mut padded = vec![0.0; len];
            let start = centre - span / 2;
            padded[start..start + span].copy_from_slice(&self.weights(span));
            padded
        };
        scale_to_unit_power(&mut weights, first..=last);
        weights.into_iter().map(|weight| weight as f32).collect()
    }
}

/// The rising half of a Hanning window of `len` samples: above 0, below 1.
pub fn taper(len: usize) -> Vec<f64> {
    let period = (2 * len + 1) as f64;
    (1..=len).map(|n| 0.5 - 0.5 * (TAU * n as f64 / period).cos()).collect()
}

/// Samples of an end that is `width` of `len` long. No width, or one of all, is one sample.
fn taper_len(width: f64, len: usize) -> usize {
    match (width * len as f64).ceil() {
        samples if samples >= 1.0 && samples < len as f64 => samples as usize,
        _ => 1,
    }
}

/// Scales `weights` so that the mean of their squares over `range` is 1. A range of zeros stays.
pub(crate) fn scale_to_unit_power(weights: &mut [f64], range: RangeInclusive<usize>) {
    let range = &weights[range];
    let power = range.iter().map(|weight| weight * weight).sum::<f64>() / range.len() as f64;
    if power > 0.0 {
        let scale = 1.0 / power.sqrt();
        weights.iter_mut().for_each(|weight| *weight *= scale);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Window; 4] = [
        Window::Rectangular,
        Window::Gaussian { sigma: 1.5 },
        Window::Hanning,
        Window::TaperedHanning { width: 0.15 },
    ];

    #[test]
    fn every_window_is_symmetric_and_1_at_the_centre() {
        for window in ALL {
            for len in [3, 4, 9, 64, 65, 256] {
                let weights = window.weights(len);
                assert_eq!(weights.len(), len);
                let centre = len / 2;
                assert!((weights[centre] - 1.0).abs() < 1e-12, "{window:?} of {len}");
                for distance in 1..=(len - 1) / 2 {
                    let (below, above) = (weights[centre - distance], weights[centre + distance]);
                    assert!((below - above).abs() < 1e-12, "{window:?} of {len} at {distance}");
                }
            }
        }
    }

    #[test]
    fn the_ends_are_what_the_formulas_say() {
        let gaussian = Window::Gaussian { sigma: 1.0 }.weights(65);
        assert!((gaussian[0] - (-0.5_f64).exp()).abs() < 1e-12);
        assert!((gaussian[48] - (-0.125_f64).exp()).abs() < 1e-12, "half way");
        assert_eq!(Window::Gaussian { sigma: 1.0 }.weights(64)[0], 0.0);
        let hanning = Window::Hanning.weights(7);
        assert!((hanning[1] - 0.5).abs() < 1e-12, "(1 − cos(2π · 2 / 8)) / 2");
        let tapered = Window::TaperedHanning { width: 0.15 }.weights(101);
        assert!(tapered[15] < 1.0 && tapered[16] == 1.0, "16 samples: 15.15 rounded up");
        assert!((tapered[0] - (0.5 - 0.5 * (TAU / 33.0).cos())).abs() < 1e-12);
    }

    #[test]
    fn the_power_over_the_acquired_range_is_1() {
        for window in ALL {
            for (len, acquired) in
                [(256, 0..=255), (256, 64..=255), (256, 0..=191), (256, 20..=219)]
            {
                let weights = window.snr_weights(len, acquired.clone());
                let n = acquired.clone().count() as f64;
                let power: f64 = weights[acquired.clone()]
                    .iter()
                    .map(|weight| f64::from(*weight).powi(2))
                    .sum::<f64>()
                    / n;
                assert!((power - 1.0).abs() < 1e-6, "{window:?} {acquired:?}: {power}");
            }
        }
    }

    #[test]
    fn a_range_short_at_both_ends_has_a_window_of_its_own_length() {
        let weights = Window::Hanning.snr_weights(64, 12..=51);
        // 20 below and 19 above the centre: the window spans 41 samples from 12 to 52.
        assert!(weights[11] == 0.0 && weights[12] > 0.0);
        assert!(weights[52] > 0.0 && weights[53] == 0.0);
        assert_eq!(weights[12], weights[52]);
    }

    #[test]
    fn odd_ranges_and_lengths_do_no_harm() {
        assert!(Window::Hanning.snr_weights(0, 0..=0).is_empty());
        assert_eq!(Window::Gaussian { sigma: 1.0 }.snr_weights(2, 0..=1), [1.0, 1.0]);
        let whole = Window::Hanning.snr_weights(16, 0..=15);
        assert_eq!(Window::Hanning.snr_weights(16, 3..=40), whole);
        assert_eq!(Window::TaperedHanning { width: f64::NAN }.weights(8).len(), 8);
    }
}
