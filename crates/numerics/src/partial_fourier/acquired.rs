//! Which samples of an axis were acquired.

use std::ops::RangeInclusive;

use crate::windows::{Window, scale_to_unit_power, taper};

/// Acquired samples of an axis of k-space whose centre is at N/2 (rounded down) and was acquired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acquired {
    len: usize,
    first: usize,
    last: usize,
}

/// A range that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("samples {first} to {last} of {len}, expected a range that holds the centre, {}", len / 2)]
pub struct AcquiredError {
    len: usize,
    first: usize,
    last: usize,
}

impl Acquired {
    /// Samples `first` to `last` of `len`.
    ///
    /// # Errors
    /// Where the range does not lie in the axis or does not hold its centre.
    pub fn new(len: usize, first: usize, last: usize) -> Result<Self, AcquiredError> {
        let holds_centre = first <= len / 2 && len / 2 <= last && last < len;
        if holds_centre {
            Ok(Self { len, first, last })
        } else {
            Err(AcquiredError { len, first, last })
        }
    }

    /// All of `len` samples, one at least.
    pub fn whole(len: usize) -> Self {
        let len = len.max(1);
        Self { len, first: 0, last: len - 1 }
    }

    /// Samples of the axis.
    #[allow(clippy::len_without_is_empty, reason = "an axis has a sample at least")]
    pub fn len(self) -> usize {
        self.len
    }

    /// The acquired ones.
    pub fn range(self) -> RangeInclusive<usize> {
        self.first..=self.last
    }

    /// How many were acquired.
    pub fn n_acquired(self) -> usize {
        self.last - self.first + 1
    }

    /// Whether all were.
    pub fn is_whole(self) -> bool {
        self.n_acquired() == self.len
    }

    /// How much farther one side goes than the other, in samples. An even axis that is whole has
    /// an excess of 1.
    pub fn excess(self) -> usize {
        (self.last - self.centre()).abs_diff(self.centre() - self.first)
    }

    /// Samples on either side of the centre that have an acquired partner on the other side.
    pub fn n_paired(self) -> usize {
        (self.last - self.centre()).min(self.centre() - self.first)
    }

    fn centre(self) -> usize {
        self.len / 2
    }

    /// Hanning window over the samples with a partner, 0 elsewhere; over all where all were
    /// acquired.
    pub(super) fn symmetric_window(self) -> Vec<f64> {
        if self.is_whole() {
            return Window::Hanning.weights(self.len);
        }
        let reach = self.n_paired();
        let mut weights = vec![0.0; self.len];
        let first = self.centre() - reach;
        weights[first..=first + 2 * reach].copy_from_slice(&Window::Hanning.weights(2 * reach + 1));
        weights
    }

    /// Weights that fall to 0 towards the end of the shorter side, 0 where nothing was acquired:
    /// less ringing for what stays zero-filled. The mean of their squares over the acquired
    /// samples is 1, so that noise keeps its standard deviation.
    ///
    /// * `width`: length of the fall over that of the axis (of the longer side and its mirror
    ///   image, where samples are missing on both).
    /// * `density_compensation`: whether to give what lies beyond the partners twice the weight,
    ///   as the real image of a homodyne reconstruction has it, without its phase.
    pub fn taper(self, width: f64, density_compensation: bool) -> Vec<f32> {
        let centre = self.centre();
        let is_high_short = self.last - centre < centre - self.first;
        let longer = (self.last - centre).max(centre - self.first);
        let span =
            if self.first == 0 || self.last == self.len - 1 { self.len } else { 2 * (longer + 1) };
        let n_fall = match width * span as f64 {
            samples if samples >= 1.0 && samples < span as f64 => samples as usize,
            _ => 1,
        };
        let fall = taper(n_fall.min(self.n_acquired()));
        // The weight at a distance from the end of the shorter side, inwards.
        let rising = |distance: usize| fall.get(distance).copied().unwrap_or(1.0);
        let reach = self.n_paired();
        let mut weights = vec![0.0; self.len];
        for (index, weight) in weights.iter_mut().enumerate() {
            if !self.range().contains(&index) {
                continue;
            }
            let distance = if is_high_short { self.last - index } else { index - self.first };
            *weight = rising(distance);
            if density_compensation && !self.is_whole() {
                // Distance from the last partner on the longer side, inwards; beyond it, 2.
                let inwards = if is_high_short {
                    (index + reach).checked_sub(centre)
                } else {
                    (centre + reach).checked_sub(index)
                };
                *weight += match inwards {
                    None => 1.0,
                    Some(inwards) => fall.get(inwards).map_or(0.0, |weight| 1.0 - weight),
                };
            }
        }
        scale_to_unit_power(&mut weights, self.range());
        weights.into_iter().map(|weight| weight as f32).collect()
    }

    /// Weight of the acquired samples against their estimates: 1, falling to 0 over `width`
    /// samples towards an end beyond which nothing was acquired, 0 outside. The fall leaves the
    /// centre alone.
    pub(super) fn transition(self, width: usize) -> Vec<f32> {
        let centre = self.centre();
        let room = |side: usize| width.min(side.max(1));
        let fall = taper(room(centre - self.first).min(room(self.last - centre)));
        let mut weights: Vec<f32> = vec![0.0; self.len];
        for index in self.range() {
            let below = (self.first > 0).then(|| fall.get(index - self.first)).flatten();
            let above = (self.last + 1 < self.len).then(|| fall.get(self.last - index)).flatten();
            let weight = below.copied().unwrap_or(1.0) * above.copied().unwrap_or(1.0);
            weights[index] = weight as f32;
        }
        weights
    }

    /// Weights whose sum over a sample and its partner is 2: 2 beyond the partners, a ramp across
    /// them, 0 where nothing was acquired.
    pub(super) fn homodyne(self) -> Vec<f64> {
        let centre = self.centre();
        if self.is_whole() {
            return vec![1.0; self.len];
        }
        let reach = self.n_paired() as f64;
        let sign = if self.last - centre < centre - self.first { -1.0 } else { 1.0 };
        (0..self.len)
            .map(|index| {
                let offset = sign * (index as f64 - centre as f64);
                let has_no_mirror = index == 0 && self.len.is_multiple_of(2);
                match () {
                    () if !self.range().contains(&index) => 0.0,
                    // The sample at −N/2 is its own partner.
                    () if has_no_mirror => 1.0,
                    () => (1.0 + offset / (reach + 1.0)).clamp(0.0, 2.0),
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acquired(len: usize, first: usize, last: usize) -> Acquired {
        Acquired::new(len, first, last).expect("a range")
    }

    #[test]
    fn excess_and_partners_are_counted_about_the_centre() {
        let quarter_missing = acquired(256, 64, 255);
        assert_eq!((quarter_missing.excess(), quarter_missing.n_paired()), (63, 64));
        assert_eq!(acquired(256, 0, 191).excess(), 65);
        assert_eq!(Acquired::whole(256).excess(), 1);
        assert_eq!(Acquired::whole(255).excess(), 0);
        assert!(Acquired::new(256, 129, 255).is_err());
        assert!(Acquired::new(256, 0, 256).is_err());
        let error = Acquired::new(8, 0, 3).expect_err("the centre is missing");
        assert_eq!(
            error.to_string(),
            "samples 0 to 3 of 8, expected a range that holds the centre, 4"
        );
    }

    #[test]
    fn the_taper_falls_on_the_short_side_only_and_keeps_the_noise() {
        for (axis, short, long) in
            [(acquired(256, 64, 255), 64, 255), (acquired(256, 0, 191), 191, 0)]
        {
            for density_compensation in [false, true] {
                let weights = axis.taper(0.15, density_compensation);
                let centre = weights[128];
                assert!(weights[short] < 0.01 && weights[short] > 0.0, "{}", weights[short]);
                let ratio = weights[long] / centre;
                let expected = if density_compensation { 2.0 } else { 1.0 };
                assert!((ratio - expected).abs() < 1e-6, "{ratio}");
                let power: f64 = weights.iter().map(|w| f64::from(*w).powi(2)).sum();
                assert!((power / 192.0 - 1.0).abs() < 1e-6);
                for (index, weight) in weights.iter().enumerate() {
                    assert_eq!(*weight == 0.0, !axis.range().contains(&index));
                }
            }
        }
        // 38 samples fall: 256 · 0.15 = 38.4.
        let weights = acquired(256, 64, 255).taper(0.15, false);
        assert!(weights[64 + 37] < weights[64 + 38] && weights[64 + 38] == weights[255]);
    }

    #[test]
    fn compensated_weights_of_partners_add_up_to_twice_the_centre() {
        let axis = acquired(256, 64, 255);
        let weights = axis.taper(0.15, true);
        // The falls about 64 and 192 mirror each other: w(k) + w(−k) is 2.
        for offset in 0..=64 {
            let sum = weights[128 - offset] + weights[128 + offset];
            assert!((sum / weights[128] - 2.0).abs() < 1e-5, "{offset}: {sum}");
        }
        let homodyne = axis.homodyne();
        for offset in 0..=127 {
            let sum = homodyne[128 - offset] + homodyne[128 + offset];
            assert!((sum - 2.0).abs() < 1e-12, "{offset}: {sum}");
        }
        let other = acquired(256, 0, 191).homodyne();
        for offset in 1..=127 {
            assert!((other[128 - offset] + other[128 + offset] - 2.0).abs() < 1e-12, "{offset}");
        }
        assert_eq!(other[0], 1.0, "its own partner");
    }

    #[test]
    fn the_transition_leaves_the_centre_and_a_complete_end_alone() {
        let weights = acquired(256, 64, 255).transition(24);
        assert!(weights[63] == 0.0 && weights[64] > 0.0 && weights[87] < 1.0);
        assert!(weights[88..].iter().all(|weight| *weight == 1.0));
        assert!(Acquired::whole(64).transition(24).iter().all(|weight| *weight == 1.0));
        let narrow = acquired(64, 30, 63).transition(24);
        assert_eq!(narrow[32], 1.0, "a fall of 2 samples fits");
        let both = acquired(64, 10, 60).transition(4);
        assert!(both[10] < 1.0 && both[60] < 1.0 && both[32] == 1.0);
    }
}
