//! Soft thresholds for the coefficients.

use num_complex::Complex32;

use super::{Family, analyse, synthesise};

/// Which coefficients are shrunk, and how much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShrinkageOptions {
    /// The wavelet.
    pub family: Family,
    /// Levels, 1 or more: each sees structures twice as large as the one before.
    pub levels: usize,
    /// Factor of the threshold for coefficients that are high pass along an axis; with several
    /// axes their product. Axes of length 1 are left alone.
    pub axis_weights: [f32; 3],
    /// Whether the low pass of the last level stays as it is.
    pub keep_approximation: bool,
    /// Whether coefficients are shrunk that are high pass across the end of an axis: between
    /// its last samples and its first.
    pub periodic: [bool; 3],
}

impl Default for ShrinkageOptions {
    fn default() -> Self {
        Self {
            family: Family::Db1,
            levels: 1,
            axis_weights: [1.0; 3],
            keep_approximation: true,
            periodic: [true; 3],
        }
    }
}

/// Shrinks the wavelet coefficients of arrays of one shape.
#[derive(Clone, Debug)]
pub struct Shrinkage {
    shape: [usize; 3],
    options: ShrinkageOptions,
    /// Axes that are longer than 1.
    axes: Vec<usize>,
}

impl Shrinkage {
    /// For arrays of `shape`, slowest axis first.
    pub fn new(shape: [usize; 3], options: ShrinkageOptions) -> Self {
        Self { shape, options, axes: (0..3).filter(|axis| shape[*axis] > 1).collect() }
    }

    /// Samples on either side that a result depends on.
    pub fn reach(options: &ShrinkageOptions) -> usize {
        (options.family.n_taps() - 1) * ((1 << options.levels) - 1)
    }

    /// Shrinks coefficients towards 0 by `threshold` times their weight, together in all
    /// `channels`: the root of the sum of their squares is what is compared with it.
    ///
    /// # Panics
    /// If a channel has not the shape that was planned.
    pub fn apply(&self, channels: &mut [&mut [Complex32]], threshold: f32) {
        let n: usize = self.shape.iter().product();
        assert!(channels.iter().all(|channel| channel.len() == n), "shape of the channels");
        if n > 0 && !self.axes.is_empty() {
            self.level(channels, threshold, 0);
        }
    }

    fn level(&self, channels: &mut [&mut [Complex32]], threshold: f32, level: usize) {
        let n: usize = self.shape.iter().product();
        let (n_bands, dilation) = (1 << self.axes.len(), 1 << level);
        // [channel][band]; bit b of the band's number is set where it is high pass along axes[b].
        let mut bands: Vec<Vec<Vec<Complex32>>> = channels
            .iter()
            .map(|channel| {
                let mut bands = vec![channel.to_vec()];
                for &axis in &self.axes {
                    let mut high = Vec::with_capacity(bands.len());
                    for band in &mut bands {
                        let [mut l, mut h] = [0, 1].map(|_| vec![Complex32::ZERO; n]);
                        analyse(
                            band,
                            self.shape,
                            axis,
                            self.options.family,
                            dilation,
                            &mut l,
                            &mut h,
                        );
                        *band = l;
                        high.push(h);
                    }
                    bands.append(&mut high);
                }
                bands
            })
            .collect();
        for band in 1..n_bands {
            let mut of_channels: Vec<&mut [Complex32]> =
                bands.iter_mut().map(|bands| &mut bands[band][..]).collect();
            self.threshold(&mut of_channels, threshold * self.weight(band), band, dilation);
        }
        let mut low: Vec<&mut [Complex32]> =
            bands.iter_mut().map(|bands| &mut bands[0][..]).collect();
        if level + 1 < self.options.levels {
            self.level(&mut low, threshold, level + 1);
        } else if !self.options.keep_approximation {
            soften(&mut low, 0..n, threshold);
        }
        for (channel, mut bands) in channels.iter_mut().zip(bands) {
            for &axis in self.axes.iter().rev() {
                let high = bands.split_off(bands.len() / 2);
                for (band, high) in bands.iter_mut().zip(high) {
                    let low = band.clone();
                    synthesise(&low, &high, self.shape, axis, self.options.family, dilation, band);
                }
            }
            channel.copy_from_slice(&bands[0]);
        }
    }

    fn weight(&self, band: usize) -> f32 {
        let is_high = |bit: &usize| band >> bit & 1 == 1;
        (0..self.axes.len())
            .filter(is_high)
            .map(|bit| self.options.axis_weights[self.axes[bit]])
            .product()
    }

    fn threshold(
        &self,
        channels: &mut [&mut [Complex32]],
        threshold: f32,
        band: usize,
        dilation: usize,
    ) {
        let reach = (self.options.family.n_taps() - 1) * dilation;
        // Coefficients of this band that are shrunk along each axis: 0..last.
        let mut last = self.shape;
        for (bit, &axis) in self.axes.iter().enumerate() {
            if band >> bit & 1 == 1 && !self.options.periodic[axis] {
                last[axis] = last[axis].saturating_sub(reach);
            }
        }
        for n0 in 0..last[0] {
            for n1 in 0..last[1] {
                let first = (n0 * self.shape[1] + n1) * self.shape[2];
                soften(channels, first..first + last[2], threshold);
            }
        }
    }
}

fn soften(channels: &mut [&mut [Complex32]], range: std::ops::Range<usize>, threshold: f32) {
    let factor = |magnitude: f32| {
        if magnitude > threshold { 1.0 - threshold / magnitude } else { 0.0 }
    };
    if let [channel] = channels {
        for value in &mut channel[range] {
            *value *= factor(value.norm_sqr().sqrt());
        }
        return;
    }
    for n in range {
        let square: f32 = channels.iter().map(|channel| channel[n].norm_sqr()).sum();
        let factor = factor(square.sqrt());
        for channel in channels.iter_mut() {
            channel[n] *= factor;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values without structure, between −½ and ½.
    fn noise(n: usize) -> Vec<Complex32> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1 << 24) as f32 - 0.5
        };
        (0..n).map(|_| Complex32::new(next(), next())).collect()
    }

    #[test]
    fn without_a_threshold_nothing_changes() {
        let shape = [6, 5, 9];
        let data = noise(270);
        for family in Family::ALL {
            let options = ShrinkageOptions { family, levels: 2, ..Default::default() };
            let mut shrunk = data.clone();
            Shrinkage::new(shape, options).apply(&mut [&mut shrunk], 0.0);
            for (a, b) in shrunk.iter().zip(&data) {
                assert!((a - b).norm() < 1e-5, "{family:?}: {a} {b}");
            }
        }
    }

    #[test]
    fn a_constant_stays_and_noise_around_it_shrinks() {
        let shape = [8, 8, 8];
        let data: Vec<_> = noise(512).into_iter().map(|value| value + 10.0).collect();
        let mut shrunk = data.clone();
        Shrinkage::new(shape, ShrinkageOptions::default()).apply(&mut [&mut shrunk], 10.0);
        let mean = |data: &[Complex32]| data.iter().sum::<Complex32>() / 512.0;
        assert!((mean(&shrunk) - mean(&data)).norm() < 1e-4, "details have no mean");
        let spread = |data: &[Complex32]| -> f32 {
            let mean = mean(data);
            data.iter().map(|value| (value - mean).norm_sqr()).sum()
        };
        // All details are gone; the approximation has an eighth of the noise's energy, and the
        // way back is the same low pass again: (3/8)³ in all.
        let ratio = spread(&shrunk) / spread(&data);
        assert!((ratio - 0.053).abs() < 0.02, "{ratio}");
    }

    #[test]
    fn what_differs_across_the_end_of_an_axis_that_is_not_periodic_stays() {
        // A ramp along the slowest axis: Haar's high pass is small but for the way back.
        let shape = [16, 2, 2];
        let ramp: Vec<_> = (0..64).map(|n| Complex32::from((n / 4) as f32)).collect();
        let shrink = |periodic| {
            let options = ShrinkageOptions { periodic: [periodic; 3], ..Default::default() };
            let mut shrunk = ramp.clone();
            Shrinkage::new(shape, options).apply(&mut [&mut shrunk], 100.0);
            (shrunk[0].re, shrunk[63].re)
        };
        assert_eq!(shrink(true), (4.0, 11.0), "the mean of three, weighted 1 2 1");
        assert_eq!(shrink(false), (0.25, 14.75), "only the step next to it is gone");
    }

    #[test]
    fn channels_that_shrink_together_keep_their_ratio() {
        let one = noise(64);
        let mut first = one.clone();
        let mut second: Vec<_> = one.iter().map(|value| value * 0.5).collect();
        let shrinkage = Shrinkage::new([4, 4, 4], ShrinkageOptions::default());
        shrinkage.apply(&mut [&mut first, &mut second], 0.1);
        for (a, b) in first.iter().zip(&second) {
            assert!((a * 0.5 - b).norm() < 1e-6);
        }
        assert!(first.iter().zip(&one).any(|(a, b)| (a - b).norm() > 1e-3));
    }
}
