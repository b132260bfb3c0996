//! What can be chosen about a Cartesian scan.

use ndarray::Array2;
use num_complex::Complex64;

use super::order::ReadoutKind;
use crate::noise::NoiseSource;
use crate::k_space::CartesianGrid;

/// Bytes of k-space that a scan may keep.
const MAX_K_SPACE_BYTES: usize = 4 << 30;

/// Choices of a [`super::CartesianScan`].
#[derive(Clone, Debug, PartialEq)]
pub struct CartesianOptions {
    /// Pixels \[x, y\] of the image, 8 to 2048 each.
    pub matrix_size: [usize; 2],
    /// Extent \[x, y\] of the image, mm.
    pub field_of_view_mm: [f64; 2],
    /// Thickness of a slice, mm.
    pub slice_thickness_mm: f64,
    /// From the centre of one slice to that of the next, mm.
    pub slice_spacing_mm: f64,
    /// Receive channels, 1 to 64. A single channel has a uniform sensitivity.
    pub n_channels: usize,
    /// Slices, 1 to 1024.
    pub n_slices: usize,
    /// Repetitions, 1 to 65536.
    pub n_repetitions: usize,
    /// Samples of a readout over pixels along x, 1 to 8.
    pub readout_oversampling: usize,
    /// Every how many lines one is acquired, 1 to 16.
    pub acceleration: usize,
    /// Lines around the centre of k-space that are acquired whole.
    pub n_calibration_lines: usize,
    /// Whether these are part of the image's readouts.
    pub calibration: Calibration,
    /// Standard deviation of the noise in the real and in the imaginary part, in units of the
    /// phantom's skull.
    pub noise_sd: f64,
    /// `[channel, channel]`, Hermitian: the mean of conj(xᵢ)·xⱼ over 2·`noise_sd`². `None`
    /// means independent channels.
    pub noise_covariance: Option<Array2<Complex64>>,
    /// Readouts without signal before the scan.
    pub noise_scan: Option<NoiseScan>,
    /// Noise power of a noise readout over that of its flat pass band: the receiver's filter.
    /// Goes into the header and into the noise scan.
    pub receiver_noise_bandwidth: f64,
    /// Time between two samples, µs.
    pub sample_time_us: f64,
    /// From one readout to the next, ms.
    pub repetition_time_ms: f64,
    /// From excitation to the middle of the readout, ms.
    pub echo_time_ms: f64,
    /// Excitation angle, degrees.
    pub flip_angle_deg: f64,
    /// Main field, T.
    pub field_strength_t: f64,
    /// Seed of the noise.
    pub seed: u64,
    /// Identifies the measurement in all of its headers.
    pub measurement_uid: u32,
}

/// Where calibration lines are acquired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Calibration {
    /// Among the lines of the image, in each repetition.
    #[default]
    Embedded,
    /// In readouts of their own before the image, in the first repetition.
    Separate,
}

/// Readouts without signal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NoiseScan {
    /// How many, 1 to 65536.
    pub n_readouts: usize,
    /// Time between two samples, µs.
    pub sample_time_us: f64,
}

impl Default for NoiseScan {
    fn default() -> Self {
        Self { n_readouts: 16, sample_time_us: 4.0 }
    }
}

impl Default for CartesianOptions {
    /// A noiseless image of 256 × 256 pixels over 300 mm with 8 channels and twofold
    /// oversampling.
    fn default() -> Self {
        Self {
            matrix_size: [256, 256],
            field_of_view_mm: [300.0, 300.0],
            slice_thickness_mm: 6.0,
            slice_spacing_mm: 8.0,
            n_channels: 8,
            n_slices: 1,
            n_repetitions: 1,
            readout_oversampling: 2,
            acceleration: 1,
            n_calibration_lines: 0,
            calibration: Calibration::Embedded,
            noise_sd: 0.0,
            noise_covariance: None,
            noise_scan: None,
            receiver_noise_bandwidth: 0.793,
            sample_time_us: 5.0,
            repetition_time_ms: 6.0,
            echo_time_ms: 3.0,
            flip_angle_deg: 12.0,
            field_strength_t: 1.5,
            seed: 0,
            measurement_uid: 1,
        }
    }
}

/// Options that make no scan.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum OptionsError {
    /// A number of something outside its range.
    #[error("{what} is {value}: choose {minimum} to {maximum}")]
    OutOfRange {
        /// What there is that many of.
        what: &'static str,
        /// How many.
        value: usize,
        /// Fewest.
        minimum: usize,
        /// Most.
        maximum: usize,
    },
    /// A length, time or strength that is not a positive number.
    #[error("{what} is {value}: choose a number above 0")]
    NotPositive {
        /// What it is.
        what: &'static str,
        /// Its value.
        value: f64,
    },
    /// A noise level that is negative or not finite.
    #[error("the standard deviation of the noise is {0}: choose 0 or more")]
    NoiseLevel(f64),
    /// Undersampling that nothing could undo.
    #[error(
        "acceleration {0} without calibration lines cannot be reconstructed: \
         acquire calibration lines (24 is usual) or choose acceleration 1"
    )]
    NoCalibration(usize),
    /// The readout does not fit between two excitations.
    #[error(
        "a readout of {readout_ms} ms does not fit into a repetition time of \
         {repetition_time_ms} ms: lengthen it or shorten the sample time"
    )]
    RepetitionTimeTooShort {
        /// Samples times sample time, ms.
        readout_ms: f64,
        /// The repetition time, ms.
        repetition_time_ms: f64,
    },
    /// A noise scan would hold zeros, which no whitening can use.
    #[error(
        "a noise scan needs noise: choose a standard deviation above 0, or take the noise scan out"
    )]
    NoiseScanWithoutNoise,
    /// The noise covariance has the wrong shape.
    #[error("the noise covariance is {rows} × {columns}: make it {n_channels} × {n_channels}")]
    CovarianceShape {
        /// Its rows.
        rows: usize,
        /// Its columns.
        columns: usize,
        /// Channels of the scan.
        n_channels: usize,
    },
    /// The noise covariance is not positive definite.
    #[error("the noise covariance is not positive definite from channel {channel} on: correct it")]
    Covariance {
        /// Index of the channel.
        channel: usize,
    },
    /// K-space of one repetition would fill the memory.
    #[error(
        "k-space of one repetition needs {bytes} bytes, the limit is {limit}: \
         choose fewer slices or channels or a smaller matrix"
    )]
    TooLarge {
        /// Bytes that it needs.
        bytes: usize,
        /// Bytes that it may have.
        limit: usize,
    },
    /// The readouts could not be counted in their headers.
    #[error("{0} readouts are more than a header can count: choose fewer repetitions or slices")]
    TooManyReadouts(usize),
}

impl CartesianOptions {
    /// Finds the first fault; makes the noise on the way, whose covariance is checked by its
    /// factorisation.
    pub(super) fn check(&self) -> Result<NoiseSource, OptionsError> {
        let [nx, ny] = self.matrix_size;
        in_range("the matrix size along x", nx, 8, 2048)?;
        in_range("the matrix size along y", ny, 8, 2048)?;
        in_range("the number of channels", self.n_channels, 1, 64)?;
        in_range("the number of slices", self.n_slices, 1, 1024)?;
        in_range("the number of repetitions", self.n_repetitions, 1, 65536)?;
        in_range("the readout oversampling", self.readout_oversampling, 1, 8)?;
        in_range("the acceleration", self.acceleration, 1, 16)?;
        in_range("the number of calibration lines", self.n_calibration_lines, 0, ny)?;
        if self.acceleration > 1 && self.n_calibration_lines == 0 {
            return Err(OptionsError::NoCalibration(self.acceleration));
        }
        positive("the field of view along x, mm,", self.field_of_view_mm[0])?;
        positive("the field of view along y, mm,", self.field_of_view_mm[1])?;
        positive("the slice thickness, mm,", self.slice_thickness_mm)?;
        positive("the slice spacing, mm,", self.slice_spacing_mm)?;
        positive("the receiver noise bandwidth", self.receiver_noise_bandwidth)?;
        positive("the sample time, µs,", self.sample_time_us)?;
        positive("the repetition time, ms,", self.repetition_time_ms)?;
        positive("the echo time, ms,", self.echo_time_ms)?;
        positive("the flip angle, degrees,", self.flip_angle_deg)?;
        positive("the field strength, T,", self.field_strength_t)?;
        self.check_size_and_time()?;
        self.check_noise()
    }

    fn check_size_and_time(&self) -> Result<(), OptionsError> {
        let mut longest_us = self.sample_time_us;
        if let Some(noise_scan) = self.noise_scan {
            in_range("the number of noise readouts", noise_scan.n_readouts, 1, 65536)?;
            positive("the sample time of the noise scan, µs,", noise_scan.sample_time_us)?;
            longest_us = longest_us.max(noise_scan.sample_time_us);
        }
        let readout_ms = longest_us * 1e-3 * self.grid().n_samples() as f64;
        if readout_ms > self.repetition_time_ms {
            let repetition_time_ms = self.repetition_time_ms;
            return Err(OptionsError::RepetitionTimeTooShort { readout_ms, repetition_time_ms });
        }
        let bytes = self.n_slices * self.matrix_size[1] * self.readout_bytes();
        if bytes > MAX_K_SPACE_BYTES {
            return Err(OptionsError::TooLarge { bytes, limit: MAX_K_SPACE_BYTES });
        }
        let n_readouts = (self.n_repetitions + 1) * self.n_slices * self.matrix_size[1];
        if n_readouts > u32::MAX as usize / 2 {
            return Err(OptionsError::TooManyReadouts(n_readouts));
        }
        Ok(())
    }

    fn check_noise(&self) -> Result<NoiseSource, OptionsError> {
        if !self.noise_sd.is_finite() || self.noise_sd < 0.0 {
            return Err(OptionsError::NoiseLevel(self.noise_sd));
        }
        if self.noise_scan.is_some() && self.noise_sd == 0.0 {
            return Err(OptionsError::NoiseScanWithoutNoise);
        }
        let Some(covariance) = &self.noise_covariance else {
            return Ok(NoiseSource::independent(self.seed, self.noise_sd));
        };
        let (rows, columns) = covariance.dim();
        if (rows, columns) != (self.n_channels, self.n_channels) {
            let n_channels = self.n_channels;
            return Err(OptionsError::CovarianceShape { rows, columns, n_channels });
        }
        NoiseSource::correlated(self.seed, self.noise_sd, covariance.view())
            .map_err(|error| OptionsError::Covariance { channel: error.row })
    }

    pub(super) fn grid(&self) -> CartesianGrid {
        CartesianGrid {
            matrix_size: self.matrix_size,
            field_of_view_mm: self.field_of_view_mm,
            readout_oversampling: self.readout_oversampling,
        }
    }

    /// Bytes of the samples of a readout.
    pub(super) fn readout_bytes(&self) -> usize {
        self.n_channels * self.grid().n_samples() * size_of::<num_complex::Complex32>()
    }

    /// Centre of a slice along the bore, mm.
    pub(super) fn slice_position_mm(&self, slice: usize) -> f64 {
        (slice as f64 - 0.5 * (self.n_slices - 1) as f64) * self.slice_spacing_mm
    }

    pub(super) fn sample_time_us_of(&self, kind: ReadoutKind) -> f64 {
        match (kind, self.noise_scan) {
            (ReadoutKind::Noise, Some(noise_scan)) => noise_scan.sample_time_us,
            _ => self.sample_time_us,
        }
    }

    /// Standard deviation of the noise scan over that of the image's readouts. Noise power goes
    /// with the bandwidth, and the receiver's filter takes its share.
    pub(super) fn noise_scan_scale(&self) -> f64 {
        let dwell_ratio = self.sample_time_us / self.sample_time_us_of(ReadoutKind::Noise);
        (self.receiver_noise_bandwidth * dwell_ratio).sqrt()
    }
}

fn in_range(
    what: &'static str,
    value: usize,
    minimum: usize,
    maximum: usize,
) -> Result<(), OptionsError> {
    if (minimum..=maximum).contains(&value) {
        Ok(())
    } else {
        Err(OptionsError::OutOfRange { what, value, minimum, maximum })
    }
}

fn positive(what: &'static str, value: f64) -> Result<(), OptionsError> {
    if value.is_finite() && value > 0.0 {
        Ok(())
    } else {
        Err(OptionsError::NotPositive { what, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(change: impl FnOnce(&mut CartesianOptions)) -> String {
        let mut options = CartesianOptions::default();
        change(&mut options);
        options.check().expect_err("a fault").to_string()
    }

    #[test]
    fn default_makes_a_scan() {
        assert!(CartesianOptions::default().check().is_ok());
    }

    #[test]
    fn faults_say_what_to_choose() {
        assert_eq!(
            error(|options| options.matrix_size[1] = 4),
            "the matrix size along y is 4: choose 8 to 2048"
        );
        assert_eq!(
            error(|options| options.n_calibration_lines = 300),
            "the number of calibration lines is 300: choose 0 to 256"
        );
        assert_eq!(
            error(|options| options.field_of_view_mm[0] = f64::NAN),
            "the field of view along x, mm, is NaN: choose a number above 0"
        );
        assert_eq!(
            error(|options| options.acceleration = 4),
            "acceleration 4 without calibration lines cannot be reconstructed: \
             acquire calibration lines (24 is usual) or choose acceleration 1"
        );
        assert_eq!(
            error(|options| options.sample_time_us = 20.0),
            "a readout of 10.24 ms does not fit into a repetition time of 6 ms: \
             lengthen it or shorten the sample time"
        );
        assert_eq!(
            error(|options| options.noise_scan = Some(NoiseScan::default())),
            "a noise scan needs noise: choose a standard deviation above 0, \
             or take the noise scan out"
        );
        assert_eq!(
            error(|options| options.noise_sd = -1.0),
            "the standard deviation of the noise is -1: choose 0 or more"
        );
        assert_eq!(
            error(|options| options.noise_covariance = Some(Array2::eye(3))),
            "the noise covariance is 3 × 3: make it 8 × 8"
        );
        assert_eq!(
            error(|options| options.noise_covariance = Some(Array2::ones((8, 8)))),
            "the noise covariance is not positive definite from channel 1 on: correct it"
        );
        assert_eq!(
            error(|options| (options.n_slices, options.n_channels) = (100, 64)),
            "k-space of one repetition needs 6710886400 bytes, the limit is 4294967296: \
             choose fewer slices or channels or a smaller matrix"
        );
        assert_eq!(
            error(|options| {
                (options.n_slices, options.n_repetitions, options.n_channels) = (1000, 65536, 1);
            }),
            "16777472000 readouts are more than a header can count: \
             choose fewer repetitions or slices"
        );
    }
}
