//! Receiver noise that depends on nothing but the seed and the number of the readout.

use ndarray::{Array2, ArrayView2, ArrayViewMut2};
use num_complex::{Complex32, Complex64};
use numerics::cholesky::{self, NotPositiveDefinite};
use numerics::triangular::LowerTriangular;
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64Mcg;

/// Source of complex normal noise. Every readout has its own random numbers, so the order in
/// which readouts are made and the number of threads that make them change no bit.
#[derive(Clone, Debug)]
pub struct NoiseSource {
    seed: u64,
    sd: f64,
    /// L with L·Lᴴ = conj(covariance), `None` for independent channels.
    mixing: Option<LowerTriangular>,
}

impl NoiseSource {
    /// Noise whose channels are independent, with standard deviation `sd` in the real and in
    /// the imaginary part.
    pub fn independent(seed: u64, sd: f64) -> Self {
        Self { seed, sd, mixing: None }
    }

    /// Noise whose channels share some of it.
    ///
    /// * `covariance`: `[channel, channel]`, Hermitian, in units of 2·`sd`²: the mean of
    ///   conj(xᵢ)·xⱼ is 2·`sd`² times element \[i, j\], so the unit matrix means independent
    ///   channels of [`NoiseSource::independent`].
    ///
    /// # Errors
    /// [`NotPositiveDefinite`] names the first channel that makes the matrix no covariance.
    pub fn correlated(
        seed: u64,
        sd: f64,
        covariance: ArrayView2<'_, Complex64>,
    ) -> Result<Self, NotPositiveDefinite> {
        let conjugate = covariance.mapv(|value| value.conj());
        let lower = cholesky::factor(conjugate.view())?;
        Ok(Self { seed, sd, mixing: Some(LowerTriangular::new(lower.view())) })
    }

    /// Adds the noise of readout `index` to `data`, `[channel, sample]`, with its standard
    /// deviation times `scale`.
    ///
    /// # Panics
    /// If `data` has another number of channels than the covariance.
    pub fn add(&self, index: u64, scale: f64, mut data: ArrayViewMut2<'_, Complex32>) {
        let sd = (self.sd * scale) as f32;
        if sd == 0.0 {
            return;
        }
        let mut random = random_numbers(self.seed, index);
        let mut normal = || {
            let re: f32 = StandardNormal.sample(&mut random);
            let im: f32 = StandardNormal.sample(&mut random);
            Complex32::new(re * sd, im * sd)
        };
        match &self.mixing {
            None => data.iter_mut().for_each(|value| *value += normal()),
            Some(mixing) => {
                let mut noise = Array2::from_shape_simple_fn(data.dim(), normal);
                mixing.apply(noise.view_mut());
                data += &noise;
            }
        }
    }
}

/// The covariance of channels of which each shares some noise with its two neighbours, in units
/// of 2·SD²: `[channel, channel]`, 1 on the diagonal and ±i·`correlation` beside it.
pub fn neighbour_covariance(n_channels: usize, correlation: f64) -> Array2<Complex64> {
    Array2::from_shape_fn((n_channels, n_channels), |(row, column)| {
        if row == column {
            Complex64::ONE
        } else if row + 1 == column {
            Complex64::new(0.0, correlation)
        } else if column + 1 == row {
            Complex64::new(0.0, -correlation)
        } else {
            Complex64::ZERO
        }
    })
}

/// Random numbers of one readout. Seeds and indices that differ in one bit start far apart.
pub(crate) fn random_numbers(seed: u64, index: u64) -> Pcg64Mcg {
    let high = mix(seed);
    let low = mix(high ^ index);
    Pcg64Mcg::new((u128::from(high) << 64) | u128::from(low))
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014).
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use numerics::whitening::NoiseAccumulator;

    use super::*;

    fn covariance_of(source: &NoiseSource, n_channels: usize) -> Array2<Complex64> {
        let mut accumulator = NoiseAccumulator::new(n_channels);
        for index in 0..100 {
            let mut data = Array2::zeros((n_channels, 1000));
            source.add(index, 1.0, data.view_mut());
            accumulator.add(data.view());
        }
        accumulator.covariance().expect("samples")
    }

    #[test]
    fn noise_has_the_standard_deviation_that_was_asked_for_in_both_parts() {
        let source = NoiseSource::independent(1, 0.3);
        let mut data = Array2::zeros((4, 50_000));
        source.add(7, 2.0, data.view_mut());
        let n = data.len() as f64;
        let moments = |part: fn(&Complex32) -> f32| {
            let mean = data.iter().map(|value| f64::from(part(value))).sum::<f64>() / n;
            let square = data.iter().map(|value| f64::from(part(value)).powi(2)).sum::<f64>() / n;
            (mean, square.sqrt())
        };
        for (mean, sd) in [moments(|value| value.re), moments(|value| value.im)] {
            // Standard errors for 2e5 values: 0.0013 of the mean, 0.16 % of the deviation.
            assert!(mean.abs() < 0.006, "{mean}");
            assert!((sd / 0.6 - 1.0).abs() < 0.008, "{sd}");
        }
    }

    #[test]
    fn correlated_noise_has_the_covariance_that_was_asked_for() {
        let c = Complex64::new;
        let covariance = array![
            [c(1.0, 0.0), c(0.3, 0.4), c(0.0, -0.2)],
            [c(0.3, -0.4), c(2.0, 0.0), c(0.1, 0.0)],
            [c(0.0, 0.2), c(0.1, 0.0), c(0.5, 0.0)],
        ];
        let source = NoiseSource::correlated(3, 0.5, covariance.view()).expect("definite");
        let estimate = covariance_of(&source, 3) / Complex64::from(2.0 * 0.25);
        for (a, b) in estimate.iter().zip(&covariance) {
            // Standard error √(2/1e5)·2 at most.
            assert!((a - b).norm() < 0.03, "{estimate}");
        }
    }

    #[test]
    fn a_matrix_that_is_no_covariance_is_refused() {
        let matrix = array![[1.0, 2.0], [2.0, 1.0]].mapv(Complex64::from);
        let error = NoiseSource::correlated(0, 1.0, matrix.view()).expect_err("no covariance");
        assert_eq!(error.row, 1);
    }

    #[test]
    fn seed_and_index_alone_decide() {
        let noise = |seed, index| {
            let mut data = Array2::zeros((2, 9));
            NoiseSource::independent(seed, 1.0).add(index, 1.0, data.view_mut());
            data
        };
        assert_eq!(noise(1, 2), noise(1, 2));
        assert_ne!(noise(1, 2), noise(1, 3));
        assert_ne!(noise(1, 2), noise(2, 2));
        assert_ne!(noise(1, 2), noise(2, 1));
    }

    #[test]
    fn neighbouring_readouts_are_independent() {
        let covariance = {
            let mut accumulator = NoiseAccumulator::new(2);
            let source = NoiseSource::independent(5, 1.0);
            for index in 0..50 {
                let mut both = Array2::zeros((2, 1000));
                for (n, mut row) in both.rows_mut().into_iter().enumerate() {
                    let row = row.view_mut().insert_axis(ndarray::Axis(0));
                    source.add(2 * index + n as u64, 1.0, row);
                }
                accumulator.add(both.view());
            }
            accumulator.covariance().expect("samples")
        };
        // Standard error 2/√50000.
        assert!(covariance[[0, 1]].norm() < 0.04, "{covariance}");
    }
}
