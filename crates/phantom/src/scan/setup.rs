//! What all sequences have in common: geometry, receiver, patient.

use ndarray::Array2;
use num_complex::Complex64;

use super::error::SetupError;
use super::plan::{Content, Plan};
use super::subject::{Body, Subject};
use crate::k_space::CartesianGrid;
use crate::motion::Motion;
use crate::noise::NoiseSource;
use crate::physics::{Imperfections, SignalModel};
use crate::tissue::FieldStrength;
use crate::trajectory::{CalibrationLines, LineOptions, LinePattern, ReadoutWindow, Undersampling};

/// Larger fields of view hold nothing.
const MAX_FIELD_OF_VIEW_MM: f64 = 5000.0;

/// Readouts of a scan: their list is kept.
pub(crate) const MAX_READOUTS: usize = 1_000_000;

/// Time stamps and patients are not made for more than a day.
const MAX_DURATION_MS: f64 = 86_400_000.0;

/// Choices of a scan beside its sequence.
#[derive(Clone, Debug, PartialEq)]
pub struct Setup {
    /// Who lies in the scanner.
    pub subject: Subject,
    /// The scanner's main field.
    pub field_strength: FieldStrength,
    /// Pixels \[x, y\] of the image, 8 to 2048 each.
    pub matrix_size: [usize; 2],
    /// Extent \[x, y\] of the image, mm.
    pub field_of_view_mm: [f64; 2],
    /// Thickness of a slice, mm.
    pub slice_thickness_mm: f64,
    /// From the centre of one slice to that of the next, mm.
    pub slice_spacing_mm: f64,
    /// Slices, 1 to 1024.
    pub n_slices: usize,
    /// How the slices lie in the patient.
    pub orientation: Orientation,
    /// Centre of the stack of slices in the patient \[left, posterior, superior\], mm.
    pub center_mm: [f64; 3],
    /// Samples of a readout over pixels along x, 1 to 8.
    pub readout_oversampling: usize,
    /// Which lines are acquired, and in which order.
    pub lines: LineOptions,
    /// Samples left out at the start of each readout (asymmetric echo).
    pub n_samples_left_out: usize,
    /// Receive channels, 1 to 64. A single channel has a uniform sensitivity.
    pub n_channels: usize,
    /// Largest phase of the object itself over the field of view: it varies smoothly.
    pub object_phase_rad: f64,
    /// Largest deviation from 1 of a smooth factor of the object's brightness, 0 to below 1.
    pub object_bias: f64,
    /// How much the noise is.
    pub noise: Noise,
    /// `[channel, channel]`, Hermitian: the mean of conj(xᵢ)·xⱼ over 2·SD². `None` means
    /// independent channels.
    pub noise_covariance: Option<Array2<Complex64>>,
    /// Readouts without signal before the scan.
    pub noise_scan: Option<NoiseScan>,
    /// Noise power of a noise readout over that of its flat pass band: the receiver's filter.
    /// Goes into the header and into the noise scan.
    pub receiver_noise_bandwidth: f64,
    /// Time between two samples, µs.
    pub sample_time_us: f64,
    /// Heart and breathing.
    pub motion: Motion,
    /// Whether ECG and breathing are sent as waveforms.
    pub with_waveforms: bool,
    /// How signals are computed.
    pub signal_model: SignalModel,
    /// How pulses differ from what they should be.
    pub imperfections: Imperfections,
    /// Seed of noise and of all that is random.
    pub seed: u64,
    /// Identifies the measurement in all of its headers.
    pub measurement_uid: u32,
}

/// How much noise a scan has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Noise {
    /// Standard deviation in the real and in the imaginary part; 1 is the magnetisation of
    /// blood.
    Sd(f64),
    /// Signal of the myocardium (of the strongest region where there is none) in the brightest
    /// image over the standard deviation.
    SignalToNoise(f64),
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

/// How the slices lie in the patient.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Orientation {
    /// x to the patient's left, y to the back.
    #[default]
    Transverse,
    /// x to the back, y to the feet.
    Sagittal,
    /// x to the left, y to the feet.
    Coronal,
    /// Across the long axis of a usual heart: turned about two axes.
    ShortAxis,
    /// Unit vectors of readout, phase encoding and slice in the patient (LPS), perpendicular to
    /// each other: any plane, with either of its directions phase encoded.
    Axes([[f64; 3]; 3]),
}

/// Unit vectors may be off by so much: those of headers are single precision.
const AXIS_TOLERANCE: f64 = 1e-5;

impl Orientation {
    /// The same slices with readout and phase encoding exchanged. Their normal stays, so the
    /// three turn from right-handed to left-handed or back.
    pub fn swapped(self) -> Self {
        let [read, phase, slice] = self.directions();
        Self::Axes([phase, read, slice])
    }

    /// Whether the three are unit vectors at right angles.
    fn is_orthonormal(self) -> bool {
        let axes = self.directions();
        (0..3).all(|a| {
            (a..3).all(|b| {
                let product: f64 = (0..3).map(|n| axes[a][n] * axes[b][n]).sum();
                let expected = if a == b { 1.0 } else { 0.0 };
                (product - expected).abs() <= AXIS_TOLERANCE
            })
        })
    }

    /// Unit vectors of readout, phase encoding and slice in the patient (LPS): right-handed but
    /// for [`Orientation::Axes`], which are as they were given.
    pub fn directions(self) -> [[f64; 3]; 3] {
        match self {
            Self::Transverse => [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
            Self::Sagittal => [[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]],
            Self::Coronal => [[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]],
            Self::ShortAxis => {
                // The long axis points to the left, front and feet: 45° in the transverse plane
                // and 30° down.
                let (sin_45, cos_45) = std::f64::consts::FRAC_PI_4.sin_cos();
                let (sin_30, cos_30) = std::f64::consts::FRAC_PI_6.sin_cos();
                let read = [cos_45, sin_45, 0.0];
                let slice = [sin_45 * cos_30, -cos_45 * cos_30, -sin_30];
                let phase = cross(slice, read);
                [read, phase, slice]
            }
            Self::Axes(axes) => axes,
        }
    }
}

/// Where an image lies in the patient (left, posterior, superior).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImageGeometry {
    /// Its centre, mm.
    pub center_mm: [f32; 3],
    /// Unit vector along a row.
    pub read_direction: [f32; 3],
    /// Unit vector down the columns.
    pub phase_direction: [f32; 3],
    /// Perpendicular to both.
    pub slice_direction: [f32; 3],
    /// Extent along the three, mm.
    pub field_of_view_mm: [f32; 3],
}

fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

impl Setup {
    /// Most receive channels.
    pub const MAX_CHANNELS: usize = 64;

    /// Most slices.
    pub const MAX_SLICES: usize = 1024;

    /// A noiseless image of 256 × 256 pixels over 300 mm with 8 channels and twofold
    /// oversampling of a subject that does not move.
    pub fn new(subject: Subject) -> Self {
        Self {
            subject,
            field_strength: FieldStrength::default(),
            matrix_size: [256, 256],
            field_of_view_mm: [300.0, 300.0],
            slice_thickness_mm: 6.0,
            slice_spacing_mm: 8.0,
            n_slices: 1,
            orientation: Orientation::default(),
            center_mm: [0.0; 3],
            readout_oversampling: 2,
            lines: LineOptions::default(),
            n_samples_left_out: 0,
            n_channels: 8,
            object_phase_rad: 0.0,
            object_bias: 0.0,
            noise: Noise::Sd(0.0),
            noise_covariance: None,
            noise_scan: None,
            receiver_noise_bandwidth: 0.793,
            sample_time_us: 5.0,
            motion: Motion::default(),
            with_waveforms: false,
            signal_model: SignalModel::default(),
            imperfections: Imperfections::default(),
            seed: 0,
            measurement_uid: 1,
        }
    }

    /// Where a Cartesian scan samples k-space.
    pub fn grid(&self) -> CartesianGrid {
        CartesianGrid {
            matrix_size: self.matrix_size,
            field_of_view_mm: self.field_of_view_mm,
            readout_oversampling: self.readout_oversampling,
        }
    }

    /// Lines of an image over those acquired, as headers say it.
    pub fn acceleration(&self) -> usize {
        match self.lines.undersampling {
            Undersampling::Regular { acceleration }
            | Undersampling::Interleaved { acceleration } => acceleration,
            Undersampling::VariableDensity { acceleration, .. } => acceleration.round() as usize,
        }
    }

    /// Finds the first fault of what does not depend on the sequence.
    pub(super) fn check(&self) -> Result<(), SetupError> {
        let [nx, ny] = self.matrix_size;
        in_range("the matrix size along x", nx, 8, 2048)?;
        in_range("the matrix size along y", ny, 8, 2048)?;
        in_range("the number of channels", self.n_channels, 1, Self::MAX_CHANNELS)?;
        in_range("the number of slices", self.n_slices, 1, Self::MAX_SLICES)?;
        in_range("the readout oversampling", self.readout_oversampling, 1, 8)?;
        if let Undersampling::Regular { acceleration } = self.lines.undersampling
            && acceleration > 1
            && self.lines.calibration == CalibrationLines::None
        {
            return Err(SetupError::NoCalibration(acceleration));
        }
        positive("the field of view along x, mm,", self.field_of_view_mm[0])?;
        positive("the field of view along y, mm,", self.field_of_view_mm[1])?;
        below("the field of view along x, mm,", self.field_of_view_mm[0], MAX_FIELD_OF_VIEW_MM)?;
        below("the field of view along y, mm,", self.field_of_view_mm[1], MAX_FIELD_OF_VIEW_MM)?;
        below("the object's phase, rad,", self.object_phase_rad, 10.0)?;
        below("the object's shading", self.object_bias, 0.99)?;
        positive("the slice thickness, mm,", self.slice_thickness_mm)?;
        positive("the slice spacing, mm,", self.slice_spacing_mm)?;
        if !self.orientation.is_orthonormal() {
            return Err(SetupError::NotOrthonormal(self.orientation.directions()));
        }
        self.motion.cycle.check()?;
        self.imperfections.check()?;
        positive("the receiver noise bandwidth", self.receiver_noise_bandwidth)?;
        positive("the sample time, µs,", self.sample_time_us)?;
        below("the sample time, µs,", self.sample_time_us, 1000.0)?;
        below("the slice thickness, mm,", self.slice_thickness_mm, 1000.0)?;
        below("the slice spacing, mm,", self.slice_spacing_mm, 1000.0)?;
        if let Some(noise_scan) = self.noise_scan {
            in_range("the number of noise readouts", noise_scan.n_readouts, 1, 65536)?;
            positive("the sample time of the noise scan, µs,", noise_scan.sample_time_us)?;
        }
        Ok(())
    }

    /// Finds the first fault of a plan: too long, or a heart that leaves its place.
    pub(super) fn check_plan(&self, plan: &Plan, bodies: &[Body]) -> Result<(), SetupError> {
        if plan.readouts.len() > MAX_READOUTS {
            return Err(SetupError::TooManyReadouts(plan.readouts.len(), MAX_READOUTS));
        }
        below("the duration of the scan, ms,", plan.duration_ms, MAX_DURATION_MS)?;
        for frame in &plan.frames {
            let slice = usize::from(frame.counters.slice);
            let pose = plan.pose_of(frame, &self.motion);
            if let Body::Anatomy(anatomy) = &bodies[slice]
                && !anatomy.allows(&pose)
            {
                return Err(SetupError::TooMuchMotion { slice, at_ms: frame.time_ms, pose });
            }
        }
        Ok(())
    }

    /// Standard deviation of the noise.
    pub(super) fn noise_sd(&self, plan: &Plan, bodies: &[Body]) -> f64 {
        match self.noise {
            Noise::Sd(sd) => sd,
            Noise::SignalToNoise(ratio) => plan.strongest_signal(bodies) / ratio,
        }
    }

    /// The noise, whose covariance is checked by its factorisation.
    pub(super) fn noise_source(&self, sd: f64) -> Result<NoiseSource, SetupError> {
        if !sd.is_finite() || sd < 0.0 {
            return Err(SetupError::NoiseLevel(sd));
        }
        if self.noise_scan.is_some() && sd == 0.0 {
            return Err(SetupError::NoiseScanWithoutNoise);
        }
        let Some(covariance) = &self.noise_covariance else {
            return Ok(NoiseSource::independent(self.seed, sd));
        };
        let (rows, columns) = covariance.dim();
        if (rows, columns) != (self.n_channels, self.n_channels) {
            let n_channels = self.n_channels;
            return Err(SetupError::CovarianceShape { rows, columns, n_channels });
        }
        NoiseSource::correlated(self.seed, sd, covariance.view())
            .map_err(|error| SetupError::Covariance { channel: error.row })
    }

    /// The lines of all images.
    pub(crate) fn line_pattern(&self) -> Result<LinePattern, SetupError> {
        Ok(LinePattern::new(self.matrix_size[1], self.lines)?)
    }

    /// The samples of a Cartesian readout that are acquired.
    pub(crate) fn window(&self) -> Result<ReadoutWindow, SetupError> {
        let n_samples = self.grid().n_samples();
        Ok(ReadoutWindow::asymmetric_echo(n_samples, self.n_samples_left_out)?)
    }

    /// How long a Cartesian readout takes.
    pub(crate) fn readout_ms(&self, sample_time_us: f64) -> f64 {
        self.grid().n_samples() as f64 * sample_time_us * 1e-3
    }

    /// From the middle of the stack to the centre of a slice, mm.
    pub(crate) fn slice_offset_mm(&self, slice: usize) -> f64 {
        (slice as f64 - 0.5 * (self.n_slices - 1) as f64) * self.slice_spacing_mm
    }

    /// Centre of a slice in the patient, mm.
    pub(super) fn slice_center_mm(&self, slice: usize) -> [f64; 3] {
        let [_, _, normal] = self.orientation.directions();
        let offset_mm = self.slice_offset_mm(slice);
        [0, 1, 2].map(|axis| self.center_mm[axis] + offset_mm * normal[axis])
    }

    pub(super) fn image_geometry(&self, slice: usize) -> ImageGeometry {
        let [read, phase, normal] = self.orientation.directions();
        let center_mm = self.slice_center_mm(slice);
        let [x_mm, y_mm] = self.field_of_view_mm;
        let single = |vector: [f64; 3]| vector.map(|part| part as f32);
        ImageGeometry {
            center_mm: single(center_mm),
            read_direction: single(read),
            phase_direction: single(phase),
            slice_direction: single(normal),
            field_of_view_mm: single([x_mm, y_mm, self.slice_thickness_mm]),
        }
    }

    /// Time between two samples of a readout of a plan.
    pub(super) fn sample_time_us_of(&self, plan: &Plan, content: Content) -> f64 {
        match (content, self.noise_scan) {
            (Content::Noise, Some(noise_scan)) => noise_scan.sample_time_us,
            _ => plan.sample_time_us.unwrap_or(self.sample_time_us),
        }
    }

    /// Standard deviation of the noise scan over that of the image's readouts. Noise power goes
    /// with the bandwidth, and the receiver's filter takes its share.
    pub(super) fn noise_scan_scale(&self, plan: &Plan) -> f64 {
        let sample_time_us = plan.sample_time_us.unwrap_or(self.sample_time_us);
        let dwell_ratio = sample_time_us / self.sample_time_us_of(plan, Content::Noise);
        (self.receiver_noise_bandwidth * dwell_ratio).sqrt()
    }
}

fn in_range(
    what: &'static str,
    value: usize,
    minimum: usize,
    maximum: usize,
) -> Result<(), SetupError> {
    if (minimum..=maximum).contains(&value) {
        Ok(())
    } else {
        Err(SetupError::OutOfRange { what, value, minimum, maximum })
    }
}

/// 0 to `maximum`.
fn below(what: &'static str, value: f64, maximum: f64) -> Result<(), SetupError> {
    if (0.0..=maximum).contains(&value) {
        Ok(())
    } else {
        Err(SetupError::Quantity { what, value, minimum: 0.0, maximum })
    }
}

fn positive(what: &'static str, value: f64) -> Result<(), SetupError> {
    if value.is_finite() && value > 0.0 {
        Ok(())
    } else {
        Err(SetupError::NotPositive { what, value })
    }
}
