//! Noise covariance of the channels, and the matrix that makes their noise independent.

use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis};
use num_complex::{Complex32, Complex64};

use crate::cholesky;
use crate::triangular::LowerTriangular;

/// Sums that run side by side, added up at the end of each readout.
const LANES: usize = 4;

/// Collects the noise covariance readout by readout.
#[derive(Clone, Debug)]
pub struct NoiseAccumulator {
    /// Σ conj(xᵢ)·xⱼ for j ≤ i, the rest zero: `[channel, channel]`.
    sums: Array2<Complex64>,
    n_samples: usize,
}

impl NoiseAccumulator {
    /// No samples yet of `n_channels` channels.
    pub fn new(n_channels: usize) -> Self {
        Self { sums: Array2::zeros((n_channels, n_channels)), n_samples: 0 }
    }

    /// Channels.
    pub fn n_channels(&self) -> usize {
        self.sums.nrows()
    }

    /// Samples per channel so far.
    pub fn n_samples(&self) -> usize {
        self.n_samples
    }

    /// Takes in a noise readout: `[channel, sample]`.
    ///
    /// # Panics
    /// If `noise` has another number of channels.
    pub fn add(&mut self, noise: ArrayView2<'_, Complex32>) {
        assert_eq!(noise.nrows(), self.n_channels(), "channels of the noise readout");
        let noise = noise.as_standard_layout();
        for (i, row) in noise.rows().into_iter().enumerate() {
            for (j, column) in noise.rows().into_iter().take(i + 1).enumerate() {
                if let (Some(a), Some(b)) = (row.as_slice(), column.as_slice()) {
                    self.sums[[i, j]] += conjugate_product_sum(a, b);
                }
            }
        }
        self.n_samples += noise.ncols();
    }

    /// Covariance of the channels: `[channel, channel]`, Hermitian, element \[i, j\] =
    /// Σ conj(xᵢ)·xⱼ / (N − 1) over the N samples, as Gadgetron stores it (XᴴX/(N − 1) of
    /// samples by channels). `None` of fewer than two samples.
    pub fn covariance(&self) -> Option<Array2<Complex64>> {
        if self.n_samples < 2 {
            return None;
        }
        let scale = 1.0 / (self.n_samples - 1) as f64;
        Some(Array2::from_shape_fn(self.sums.dim(), |(i, j)| {
            if j <= i { self.sums[[i, j]] * scale } else { self.sums[[j, i]].conj() * scale }
        }))
    }
}

/// Σ conj(aₙ)·bₙ in double precision.
fn conjugate_product_sum(a: &[Complex32], b: &[Complex32]) -> Complex64 {
    let product = |a: Complex32, b: Complex32| {
        let (a_re, a_im) = (f64::from(a.re), f64::from(a.im));
        let (b_re, b_im) = (f64::from(b.re), f64::from(b.im));
        Complex64::new(a_re * b_re + a_im * b_im, a_re * b_im - a_im * b_re)
    };
    let mut lanes = [Complex64::ZERO; LANES];
    let (a_lanes, b_lanes) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = a_lanes.remainder().iter().zip(b_lanes.remainder());
    let rest: Complex64 = rest.map(|(&a, &b)| product(a, b)).sum();
    for (a, b) in a_lanes.zip(b_lanes) {
        for lane in 0..LANES {
            lanes[lane] += product(a[lane], b[lane]);
        }
    }
    lanes.iter().sum::<Complex64>() + rest
}

/// Covariance in which the channels of `scale_only` share no noise with the others, so that
/// whitening scales them and mixes nothing in: `[channel, channel]`, from `noise_covariance` of
/// the same shape. Channels beyond the matrix are ignored.
pub fn decouple_channels(
    mut noise_covariance: Array2<Complex64>,
    scale_only: &[usize],
) -> Array2<Complex64> {
    let n_channels = noise_covariance.nrows();
    for &channel in scale_only.iter().filter(|&&channel| channel < n_channels) {
        let variance = noise_covariance[[channel, channel]];
        noise_covariance.index_axis_mut(Axis(0), channel).fill(Complex64::ZERO);
        noise_covariance.index_axis_mut(Axis(1), channel).fill(Complex64::ZERO);
        noise_covariance[[channel, channel]] = variance;
    }
    noise_covariance
}

/// Matrix that leaves the channels with independent noise, standard deviation 1 in the real
/// and in the imaginary part.
#[derive(Clone, Debug, PartialEq)]
pub struct WhiteningMatrix(LowerTriangular);

/// The noise covariance has no whitening matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the noise of channel {channel} is zero or a mixture of that of the channels before it: \
     the channel is dead, or the noise scan is too short"
)]
pub struct NotPositiveDefinite {
    /// Index of the channel.
    pub channel: usize,
}

impl WhiteningMatrix {
    /// W = √(2 · `dwell_ratio` · `bandwidth_ratio`) · L⁻¹ with L·Lᴴ = conj(`noise_covariance`):
    /// `[channel, channel]`, lower triangular.
    ///
    /// * `noise_covariance`: `[channel, channel]`, Hermitian, from [`NoiseAccumulator`]. Its
    ///   element \[i, j\] is the mean of conj(xᵢ)·xⱼ; the conjugate is the mean of x·xᴴ, which
    ///   is what a matrix to the left of `[channel, sample]` data has to undo.
    /// * `dwell_ratio`: sample time of this scan over that of the noise scan.
    /// * `bandwidth_ratio`: the header's relative receiver noise bandwidth, 0.793 where it has
    ///   none.
    ///
    /// # Errors
    /// [`NotPositiveDefinite`] names the channel: it is dead, or the noise scan is too short.
    ///
    /// # Source
    /// Roemer et al. 1990. The 2 counts noise per component; mrpro leaves it out. Gadgetron
    /// multiplies samples by channels from the right with the inverse of the upper Cholesky
    /// factor of the same covariance: the same numbers.
    pub fn new(
        noise_covariance: ArrayView2<'_, Complex64>,
        dwell_ratio: f64,
        bandwidth_ratio: f64,
    ) -> Result<Self, NotPositiveDefinite> {
        Self::with_scale(noise_covariance, (2.0 * dwell_ratio * bandwidth_ratio).sqrt())
    }

    /// W = `scale` · L⁻¹, as [`WhiteningMatrix::new`]. Gadgetron's scale is 1 where one of the
    /// sample times is unknown (0).
    ///
    /// # Errors
    /// As [`WhiteningMatrix::new`].
    pub fn with_scale(
        noise_covariance: ArrayView2<'_, Complex64>,
        scale: f64,
    ) -> Result<Self, NotPositiveDefinite> {
        let conjugate = noise_covariance.mapv(|value| value.conj());
        let lower = cholesky::factor(conjugate.view())
            .map_err(|error| NotPositiveDefinite { channel: error.row })?;
        let whitening = cholesky::invert_lower(lower.view()) * Complex64::from(scale);
        Ok(Self(LowerTriangular::new(whitening.view())))
    }

    /// Channels.
    pub fn n_channels(&self) -> usize {
        self.0.n_channels()
    }

    /// The matrix: `[channel, channel]`, zero above the diagonal.
    pub fn to_array(&self) -> Array2<Complex32> {
        self.0.to_array()
    }

    /// Whitens `data`, `[channel, sample]`, in place.
    ///
    /// # Panics
    /// If `data` has another number of channels.
    pub fn apply(&self, data: ArrayViewMut2<'_, Complex32>) {
        self.0.apply(data);
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    /// Independent normal numbers by the Box-Muller method from a linear congruence.
    struct Normal(u64);

    impl Normal {
        fn uniform(&mut self) -> f64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
            ((self.0 >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
        }

        /// Standard deviation 1 in either part.
        fn complex(&mut self) -> Complex64 {
            let radius = (-2.0 * self.uniform().ln()).sqrt();
            Complex64::from_polar(radius, std::f64::consts::TAU * self.uniform())
        }
    }

    fn mixing() -> Array2<Complex64> {
        let c = Complex64::new;
        array![
            [c(2.0, 0.0), c(0.0, 0.0), c(0.3, -0.2)],
            [c(0.5, 1.0), c(1.0, 0.4), c(0.0, 0.0)],
            [c(-0.7, 0.6), c(0.2, -0.9), c(0.6, 0.0)],
        ]
    }

    /// mixing · white noise, times `scale`: `[channel, sample]`.
    fn correlated(seed: u64, n_samples: usize, scale: f64) -> Array2<Complex32> {
        let mut normal = Normal(seed);
        let white = Array2::from_shape_simple_fn((3, n_samples), || normal.complex());
        let noise = mixing().dot(&white) * Complex64::from(scale);
        noise.mapv(|value| Complex32::new(value.re as f32, value.im as f32))
    }

    fn covariance_of(data: &Array2<Complex32>) -> Array2<Complex64> {
        let mut accumulator = NoiseAccumulator::new(data.nrows());
        accumulator.add(data.view());
        accumulator.covariance().expect("samples")
    }

    #[test]
    fn covariance_is_the_mean_of_conjugate_products_over_n_minus_one() {
        let c = Complex32::new;
        let mut accumulator = NoiseAccumulator::new(2);
        assert_eq!(accumulator.covariance(), None);
        accumulator.add(array![[c(1.0, 2.0), c(0.0, 1.0)], [c(3.0, -1.0), c(2.0, 0.0)]].view());
        accumulator.add(array![[c(-1.0, 0.0)], [c(0.0, 4.0)]].view());
        assert_eq!(accumulator.n_samples(), 3);
        let covariance = accumulator.covariance().expect("three samples");
        // Σ conj(x₀)·x₁ = (1 − 2i)(3 − i) + (−i)(2) + (−1)(4i) = 1 − 7i − 2i − 4i.
        let expected = Complex64::new(0.5, -6.5);
        assert_eq!(covariance[[0, 1]], expected);
        assert_eq!(covariance[[1, 0]], expected.conj());
        assert_eq!(covariance[[0, 0]], Complex64::from(3.5));
        assert_eq!(covariance[[1, 1]], Complex64::from(15.0));
    }

    #[test]
    fn whitened_noise_is_independent_with_unit_deviation_in_both_parts() {
        let (dwell_ratio, bandwidth_ratio) = (0.4, 0.793_f64);
        // The receiver's filter lowers the noise of the noise scan by the bandwidth ratio.
        let noise_scan = correlated(1, 100_000, (bandwidth_ratio * dwell_ratio).sqrt());
        let covariance = covariance_of(&noise_scan);
        let whitening = WhiteningMatrix::new(covariance.view(), dwell_ratio, bandwidth_ratio)
            .expect("positive definite");
        // Other noise than that which the matrix was made from.
        let mut noise = correlated(2, 100_000, 1.0);
        whitening.apply(noise.view_mut());
        for i in 0..3 {
            let row = noise.row(i);
            let sd = |part: fn(&Complex32) -> f32| {
                (row.iter().map(|value| f64::from(part(value)).powi(2)).sum::<f64>() / 1e5).sqrt()
            };
            // 1e5 samples: a standard error of 0.2 % each for the matrix and for the noise.
            assert!((sd(|value| value.re) - 1.0).abs() < 0.02, "{}", sd(|value| value.re));
            assert!((sd(|value| value.im) - 1.0).abs() < 0.02, "{}", sd(|value| value.im));
            for j in 0..i {
                let correlation = covariance_of(&noise)[[i, j]].norm() / 2.0;
                assert!(correlation < 0.02, "channels {i} and {j}: {correlation}");
            }
        }
    }

    #[test]
    fn whitening_from_the_left_gives_gadgetrons_numbers_from_the_right() {
        let covariance = covariance_of(&correlated(3, 1000, 1.0));
        let whitening = WhiteningMatrix::new(covariance.view(), 1.0, 0.793).expect("definite");
        // Upper R with RᴴR = C is Lᴴ with L·Lᴴ = C.
        let upper = cholesky::factor(covariance.view()).expect("definite").t().mapv(|v| v.conj());
        let inverse = cholesky::invert_lower(upper.t()).t().to_owned();
        let data = correlated(4, 50, 1.0);
        let samples_by_channels = data.t().mapv(|v| Complex64::new(v.re.into(), v.im.into()));
        let theirs = samples_by_channels.dot(&inverse) * Complex64::from((2.0_f64 * 0.793).sqrt());
        let mut ours = data.clone();
        whitening.apply(ours.view_mut());
        for ((channel, sample), value) in ours.indexed_iter() {
            let theirs = theirs[[sample, channel]];
            let ours = Complex64::new(value.re.into(), value.im.into());
            // Rounding to single precision of values up to 10.
            assert!((ours - theirs).norm() < 1e-5, "{ours} and {theirs}");
        }
    }

    #[test]
    fn a_dead_channel_is_named() {
        let mut noise = correlated(5, 100, 1.0);
        noise.row_mut(1).fill(Complex32::ZERO);
        let error = WhiteningMatrix::new(covariance_of(&noise).view(), 1.0, 0.793);
        assert_eq!(error, Err(NotPositiveDefinite { channel: 1 }));
    }

    #[test]
    fn fewer_samples_than_channels_are_too_short_a_noise_scan() {
        let error = WhiteningMatrix::new(covariance_of(&correlated(6, 2, 1.0)).view(), 1.0, 0.793);
        assert_eq!(error, Err(NotPositiveDefinite { channel: 2 }));
    }

    #[test]
    fn a_decoupled_channel_is_only_scaled() {
        let covariance = decouple_channels(covariance_of(&correlated(7, 1000, 1.0)), &[1, 9]);
        let variance = covariance[[1, 1]].re;
        let matrix =
            WhiteningMatrix::with_scale(covariance.view(), 1.0).expect("definite").to_array();
        assert_eq!(matrix[[1, 0]], Complex32::ZERO);
        assert_eq!(matrix[[2, 1]], Complex32::ZERO);
        assert!((f64::from(matrix[[1, 1]].re) - 1.0 / variance.sqrt()).abs() < 1e-6);
        assert_ne!(matrix[[2, 0]], Complex32::ZERO);
    }
}
