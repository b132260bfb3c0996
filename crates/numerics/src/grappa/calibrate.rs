//! Weights from a fully sampled region.

use ndarray::{Array6, ArrayView4, Axis, s};
use num_complex::Complex32;

use super::Kernel;
use super::normal_equations::normal_equations;
use crate::binary_exponent::normalising_power;
use crate::cholesky::{self, NotPositiveDefinite};

/// Size of the kernel and how it is fitted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CalibrationOptions {
    /// Sources along the readout.
    pub kernel_readout: usize,
    /// Sources along encoding_step_1, in sampled lines.
    pub kernel_e1: usize,
    /// Sources along encoding_step_2, in sampled lines; 1 where the calibration is one plane.
    pub kernel_e2: usize,
    /// Tikhonov regularisation relative to the mean of the normal matrix' diagonal.
    pub regularisation: f64,
    /// Most equations per unknown: readouts are cut down around the peak to have no more. 1 or
    /// less takes all.
    pub overdetermination: f64,
    /// Channels to make, the first of the calibration's (downstream coil compression). All if
    /// `None`.
    pub n_targets: Option<usize>,
}

impl Default for CalibrationOptions {
    /// 5 × 4 × 4 sources, 5e-4, 45 equations per unknown, as Gadgetron.
    fn default() -> Self {
        Self {
            kernel_readout: 5,
            kernel_e1: 4,
            kernel_e2: 4,
            regularisation: 5e-4,
            overdetermination: 45.0,
            n_targets: None,
        }
    }
}

/// No kernel can be fitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CalibrationError {
    /// The region is smaller than the kernel.
    #[error(
        "the calibration has {available} samples along {axis}, acceleration {acceleration} with \
         this kernel needs at least {needed}"
    )]
    TooSmall {
        /// encoding_step_1, encoding_step_2 or readout.
        axis: &'static str,
        /// Samples along it.
        available: usize,
        /// Samples that are needed.
        needed: usize,
        /// Acceleration along it.
        acceleration: usize,
    },
    /// There are no channels, or a kernel size or acceleration is 0.
    #[error("GRAPPA calibration with no channel, a kernel of size 0 or acceleration 0")]
    Empty,
    /// The normal equations have no solution.
    #[error("the calibration data are zero, not finite or without regularisation ambiguous")]
    Singular(#[from] NotPositiveDefinite),
}

impl Kernel {
    /// Fits the weights to a fully sampled region of k-space.
    ///
    /// * `calibration`: `[channel, encoding_step_2, encoding_step_1, readout]`, fully sampled,
    ///   whitened; nothing but the sampled region.
    /// * `acceleration`: along encoding_step_1 and encoding_step_2. 1 and 1 gives a kernel that
    ///   passes the data through.
    ///
    /// # Errors
    /// [`CalibrationError`] says what the calibration lacks.
    ///
    /// # Method
    /// Every place where all sources and the target lie in the region is an equation; weights
    /// by least squares with Tikhonov regularisation λ = `regularisation` · trace(AᴴA)/n.
    ///
    /// # Source
    /// Griswold et al. 2002; size, regularisation and its scale as in Gadgetron.
    pub fn calibrate(
        calibration: ArrayView4<'_, Complex32>,
        acceleration: [usize; 2],
        options: &CalibrationOptions,
    ) -> Result<Self, CalibrationError> {
        let (n_channels, n_e2, n_e1, n_readout) = calibration.dim();
        let size = [
            if n_e2 == 1 { 1 } else { options.kernel_e2 },
            options.kernel_e1,
            options.kernel_readout,
        ];
        if n_channels == 0 || size.contains(&0) || acceleration.contains(&0) {
            return Err(CalibrationError::Empty);
        }
        let n_targets = options.n_targets.unwrap_or(n_channels).clamp(1, n_channels);
        let n_missing = acceleration[0] * acceleration[1] - 1;
        let shape = (n_missing, n_targets, n_channels, size[0], size[1], size[2]);
        if n_missing == 0 {
            return Ok(Self { acceleration, weights: Array6::zeros(shape) });
        }
        let steps = [acceleration[1], acceleration[0], 1];
        let available = [n_e2, n_e1, n_readout];
        let axes = ["encoding_step_2", "encoding_step_1", "readout"];
        let mut places = [0; 3];
        for axis in 0..3 {
            let needed = span(size[axis], steps[axis]);
            if available[axis] < needed {
                return Err(CalibrationError::TooSmall {
                    axis: axes[axis],
                    available: available[axis],
                    needed,
                    acceleration: steps[axis],
                });
            }
            places[axis] = available[axis] + 1 - needed;
        }
        let n_sources = n_channels * size.iter().product::<usize>();
        let most = (options.overdetermination * n_sources as f64).ceil();
        let readouts = (most as usize / (places[0] * places[1])).max(1);
        let mut calibration = calibration;
        if options.overdetermination > 1.0 && readouts < places[2] {
            let width = readouts + size[2] - 1;
            let first = peak_readout(calibration).saturating_sub(width / 2).min(n_readout - width);
            calibration.slice_collapse(s![.., .., .., first..first + width]);
            places[2] = readouts;
        }
        // All zeros, or a sample that is not finite: the first row has no pivot.
        let samples = calibration.as_standard_layout();
        let scale = samples.as_slice().and_then(|samples| normalising_power(samples).ok()?);
        let Some(scale) = scale else {
            return Err(NotPositiveDefinite { row: 0 }.into());
        };
        let (mut normal, mut right) =
            normal_equations(calibration, scale, acceleration, size, places, n_targets);
        let trace: f64 = (0..n_sources).map(|i| normal[[i, i]].re).sum();
        let lambda = options.regularisation * trace / n_sources as f64;
        for i in 0..n_sources {
            normal[[i, i]] += lambda;
        }
        let lower = cholesky::factor(normal.view())?;
        cholesky::solve(lower.view(), right.view_mut());
        let weights = right
            .t()
            .iter()
            .map(|value| Complex32::new(value.re as f32, value.im as f32))
            .collect::<Vec<_>>();
        let mut kernel = Self { acceleration, weights: Array6::zeros(shape) };
        for (weight, value) in kernel.weights.iter_mut().zip(weights) {
            *weight = value;
        }
        Ok(kernel)
    }
}

/// Samples from the first to the last that one equation needs along an axis.
fn span(size: usize, acceleration: usize) -> usize {
    let before = (size - 1) / 2 * acceleration;
    let after = (size / 2 * acceleration).max(acceleration - 1);
    before + after + 1
}

/// Readout sample with the most energy over channels and lines.
fn peak_readout(calibration: ArrayView4<'_, Complex32>) -> usize {
    let energies = calibration
        .axis_iter(Axis(3))
        .map(|samples| samples.iter().map(|v| f64::from(v.norm_sqr())).sum::<f64>());
    energies.enumerate().fold((0, 0.0), |best, (i, e)| if e > best.1 { (i, e) } else { best }).0
}

#[cfg(test)]
mod tests {
    use ndarray::Array4;

    use super::*;

    fn noise(shape: (usize, usize, usize, usize)) -> Array4<Complex32> {
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        Array4::from_shape_simple_fn(shape, || Complex32::new(next(), next()))
    }

    #[test]
    fn what_is_missing_is_named_with_what_is_needed() {
        let options = CalibrationOptions::default();
        let fit = |shape, acceleration| {
            Kernel::calibrate(noise(shape).view(), acceleration, &options).map(|_| ())
        };
        let too_small = |axis, available, needed, acceleration| {
            Err(CalibrationError::TooSmall { axis, available, needed, acceleration })
        };
        assert_eq!(fit((2, 1, 9, 20), [3, 1]), too_small("encoding_step_1", 9, 10, 3));
        assert_eq!(fit((2, 1, 10, 4), [3, 1]), too_small("readout", 4, 5, 1));
        assert_eq!(fit((2, 6, 10, 20), [2, 2]), too_small("encoding_step_2", 6, 7, 2));
        assert_eq!(fit((2, 1, 10, 20), [2, 2]), too_small("encoding_step_2", 1, 2, 2));
        assert_eq!(fit((2, 1, 10, 5), [3, 1]), Ok(()));
        assert_eq!(fit((0, 1, 10, 5), [3, 1]), Err(CalibrationError::Empty));
        assert_eq!(fit((2, 1, 10, 5), [0, 1]), Err(CalibrationError::Empty));
        let error = fit((2, 1, 9, 20), [3, 1]).map_err(|error| error.to_string());
        assert_eq!(
            error,
            Err("the calibration has 9 samples along encoding_step_1, acceleration 3 with this \
                 kernel needs at least 10"
                .to_owned())
        );
    }

    #[test]
    fn zeros_and_what_is_not_finite_are_refused() {
        let options = CalibrationOptions::default();
        let singular = Err(CalibrationError::Singular(NotPositiveDefinite { row: 0 }));
        let zeros = Array4::zeros((2, 1, 12, 20));
        assert_eq!(Kernel::calibrate(zeros.view(), [2, 1], &options), singular);
        let mut broken = noise((2, 1, 12, 20));
        broken[[1, 0, 3, 3]].im = f32::INFINITY;
        assert_eq!(Kernel::calibrate(broken.view(), [2, 1], &options), singular);
    }

    #[test]
    fn scale_does_not_matter() {
        let calibration = noise((3, 1, 14, 24));
        let options = CalibrationOptions::default();
        let fit = |scale: f32| {
            let scaled = calibration.mapv(|v| v * scale);
            Kernel::calibrate(scaled.view(), [2, 1], &options).expect("a kernel")
        };
        assert_eq!(fit(2.0_f32.powi(-70)), fit(1.0));
        assert_eq!(fit(2.0_f32.powi(70)), fit(1.0));
    }

    #[test]
    fn readouts_are_cut_down_around_the_peak() {
        let mut calibration = noise((2, 1, 16, 80)) * Complex32::new(0.01, 0.0);
        for mut line in calibration.lanes_mut(Axis(3)) {
            line[60] *= 1000.0;
        }
        // 2 · 4 · 5 unknowns, 10 places along encoding_step_1: 8 places along the readout.
        let options = CalibrationOptions { overdetermination: 2.0, ..Default::default() };
        let cut = Kernel::calibrate(calibration.view(), [2, 1], &options).expect("a kernel");
        let part = calibration.slice(s![.., .., .., 54..66]);
        let all = CalibrationOptions { overdetermination: 0.0, ..Default::default() };
        assert_eq!(cut, Kernel::calibrate(part, [2, 1], &all).expect("a kernel"));
    }
}
