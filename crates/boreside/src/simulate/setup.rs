//! Geometry, sampling and receiver of the simulated scanner.

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use phantom::{
    CalibrationLines, Imperfections, LineOptions, LineOrder, Noise, NoiseScan, Orientation, Setup,
    SignalModel, Undersampling,
};

use super::motion::MotionOptions;
use super::subject::{Phantom, SubjectOptions};
use super::target::Target;

/// What sequences differ in where the command line says nothing.
pub struct Defaults {
    pub phantom: Phantom,
    pub matrix: [usize; 2],
    pub field_of_view_mm: [f64; 2],
    pub channels: usize,
    pub order: LineOrder,
    pub sample_time_us: f64,
    /// Whether the sequence makes sense after contrast agent only.
    pub contrast_agent: bool,
}

impl Default for Defaults {
    /// For a heart.
    fn default() -> Self {
        Self {
            phantom: Phantom::ShortAxis,
            matrix: [192, 160],
            field_of_view_mm: [360.0, 300.0],
            channels: 16,
            order: LineOrder::Linear,
            sample_time_us: 2.5,
            contrast_agent: false,
        }
    }
}

/// What all sequences have in common.
#[derive(Args)]
pub struct ScanOptions {
    #[command(flatten)]
    subject: SubjectOptions,
    #[command(flatten)]
    geometry: GeometryOptions,
    #[command(flatten)]
    lines: LinesOptions,
    #[command(flatten)]
    receiver: ReceiverOptions,
    #[command(flatten)]
    motion: MotionOptions,
    #[command(flatten)]
    pub target: Target,
}

#[derive(Args)]
#[command(next_help_heading = "Geometry")]
struct GeometryOptions {
    /// Pixels of the image: N or XxY
    #[arg(long, value_name = "N|XxY", value_parser = matrix)]
    matrix: Option<[usize; 2]>,
    /// Field of view in mm: F or XxY
    #[arg(long, value_name = "F|XxY", value_parser = field_of_view)]
    field_of_view_mm: Option<[f64; 2]>,
    /// Slices
    #[arg(long, default_value_t = 1)]
    slices: usize,
    /// Thickness of a slice in mm
    #[arg(long, default_value_t = 8.0, value_name = "MM")]
    slice_thickness: f64,
    /// From the centre of one slice to that of the next in mm
    #[arg(long, default_value_t = 10.0, value_name = "MM")]
    slice_spacing: f64,
    /// How slices lie in the patient
    #[arg(long, value_enum, default_value_t)]
    orientation: Plane,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Plane {
    #[default]
    Transverse,
    Sagittal,
    Coronal,
    ShortAxis,
}

#[derive(Args)]
#[command(next_help_heading = "Sampling")]
struct LinesOptions {
    /// Samples of a readout over pixels
    #[arg(long, default_value_t = 2)]
    oversampling: usize,
    /// Every how many lines one is acquired; with --random-lines, all lines over those acquired
    #[arg(long, default_value_t = 1.0, value_name = "R")]
    acceleration: f64,
    /// Lines around the centre that are all acquired [default: 24 with acceleration]
    #[arg(long, value_name = "N")]
    calibration_lines: Option<usize>,
    /// Acquire the calibration lines in readouts of their own before the image
    #[arg(long)]
    separate_calibration: bool,
    /// Leave out lines at random, denser in the centre and other ones in each image
    #[arg(long)]
    random_lines: bool,
    /// Acquire in each image the lines one further than in the one before
    #[arg(long, conflicts_with = "random_lines")]
    interleaved_lines: bool,
    /// Part of the lines that is covered: 0.5 to 1
    #[arg(long, default_value_t = 1.0, value_name = "PART")]
    partial_fourier: f64,
    /// Samples left out at the start of each readout
    #[arg(long, default_value_t = 0, value_name = "N")]
    asymmetric_echo: usize,
    /// Order of the lines in time [default: linear; centric for molli, sasha and t2]
    #[arg(long, value_enum)]
    order: Option<Order>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Order {
    Linear,
    Reverse,
    Centric,
}

#[derive(Args)]
#[command(next_help_heading = "Receiver")]
struct ReceiverOptions {
    /// Receive channels [default: 16; 8 for gre]
    #[arg(long, value_name = "N")]
    channels: Option<usize>,
    /// Standard deviation of the noise; blood's magnetisation, or the brightest part of
    /// shepp-logan, is 1
    #[arg(long, default_value_t = 0.0, value_name = "SD")]
    noise: f64,
    /// Signal of the myocardium in the brightest image over the standard deviation of the noise
    #[arg(long, conflicts_with = "noise", value_name = "RATIO")]
    snr: Option<f64>,
    /// Readouts of noise before the scan [default: 16 where there is noise]
    #[arg(long, value_name = "N")]
    noise_readouts: Option<usize>,
    /// Correlation of the noise of neighbouring channels, 0 to below 0.5
    #[arg(long, default_value_t = 0.0, value_name = "PART")]
    noise_correlation: f64,
    /// Time between two samples in µs [default: 2.5; 5 for lines and spokes of gre, 2 for echo-planar trains]
    #[arg(long, value_name = "US")]
    sample_time: Option<f64>,
    /// Largest phase of the object over the field of view in degrees: it varies smoothly
    #[arg(long, default_value_t = 0.0, value_name = "DEGREES")]
    object_phase: f64,
    /// Largest deviation from 1 of the object's smooth shading, 0 to below 1
    #[arg(long, default_value_t = 0.0, value_name = "PART")]
    object_bias: f64,
    /// Send ECG and breathing as waveforms
    #[arg(long)]
    waveforms: bool,
    /// How signals are computed
    #[arg(long, value_enum, default_value_t)]
    signals: Signals,
    /// Angle of every pulse over its nominal one: the transmit field
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR")]
    b1: f64,
    /// Seed of noise and of all that is random
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Signals {
    /// The models that maps are fitted with: readouts change nothing, and maps must be exact
    Ideal,
    /// By formulas
    #[default]
    ClosedForm,
    /// By rotation and relaxation of isochromats
    Bloch,
    /// By extended phase graphs
    Epg,
}

fn pair<T: std::str::FromStr + Copy>(text: &str) -> Result<[T; 2], String> {
    let number = |text: &str| text.parse().map_err(|_| format!("{text:?} is not a number"));
    match text.split_once(['x', 'X']) {
        Some((x, y)) => Ok([number(x)?, number(y)?]),
        None => Ok([number(text)?; 2]),
    }
}

pub fn matrix(text: &str) -> Result<[usize; 2], String> {
    pair(text)
}

pub fn field_of_view(text: &str) -> Result<[f64; 2], String> {
    pair(text)
}

impl ScanOptions {
    pub fn phantom(&self) -> Option<Phantom> {
        self.subject.phantom()
    }

    pub fn has_contrast_agent(&self) -> bool {
        self.subject.has_contrast_agent()
    }

    /// The setup of a scan whose sequence has these defaults.
    pub fn setup(&self, defaults: Defaults) -> Result<Setup> {
        let (geometry, receiver) = (&self.geometry, &self.receiver);
        let noise = match receiver.snr {
            Some(ratio) => Noise::SignalToNoise(ratio),
            None => Noise::Sd(receiver.noise),
        };
        let has_noise = noise != Noise::Sd(0.0);
        let n_noise = receiver.noise_readouts.unwrap_or(if has_noise { 16 } else { 0 });
        if !(0.0..0.5).contains(&receiver.noise_correlation) {
            bail!("--noise-correlation is {}: choose 0 to below 0.5", receiver.noise_correlation);
        }
        if !self.lines.random_lines && self.lines.acceleration.fract() != 0.0 {
            bail!(
                "--acceleration is {}: choose a whole number, or --random-lines",
                self.lines.acceleration
            );
        }
        if self.lines.random_lines && self.lines.acceleration <= 1.0 {
            bail!("--random-lines needs --acceleration above 1");
        }
        let n_channels = receiver.channels.unwrap_or(defaults.channels);
        let setup = Setup {
            field_strength: self.subject.field_strength(),
            matrix_size: geometry.matrix.unwrap_or(defaults.matrix),
            field_of_view_mm: geometry.field_of_view_mm.unwrap_or(defaults.field_of_view_mm),
            slice_thickness_mm: geometry.slice_thickness,
            slice_spacing_mm: geometry.slice_spacing,
            n_slices: geometry.slices,
            orientation: match geometry.orientation {
                Plane::Transverse => Orientation::Transverse,
                Plane::Sagittal => Orientation::Sagittal,
                Plane::Coronal => Orientation::Coronal,
                Plane::ShortAxis => Orientation::ShortAxis,
            },
            readout_oversampling: self.lines.oversampling,
            lines: self.lines.options(defaults.order, receiver.seed),
            n_samples_left_out: self.lines.asymmetric_echo,
            n_channels,
            object_phase_rad: receiver.object_phase.to_radians(),
            object_bias: receiver.object_bias,
            noise,
            noise_covariance: (receiver.noise_correlation != 0.0).then(|| {
                let n_channels = n_channels.min(Setup::MAX_CHANNELS);
                phantom::neighbour_covariance(n_channels, receiver.noise_correlation)
            }),
            noise_scan: (n_noise > 0)
                .then(|| NoiseScan { n_readouts: n_noise, ..NoiseScan::default() }),
            sample_time_us: receiver.sample_time.unwrap_or(defaults.sample_time_us),
            motion: self.motion.motion(receiver.seed)?,
            with_waveforms: receiver.waveforms,
            signal_model: match receiver.signals {
                Signals::Ideal => SignalModel::Ideal,
                Signals::ClosedForm => SignalModel::ClosedForm,
                Signals::Bloch => SignalModel::Bloch,
                Signals::Epg => SignalModel::Epg,
            },
            imperfections: Imperfections { b1_scale: receiver.b1, ..Imperfections::default() },
            seed: receiver.seed,
            ..Setup::new(phantom::Subject::SheppLogan)
        };
        let subject = self.subject.subject(defaults.phantom, defaults.contrast_agent, &setup)?;
        Ok(Setup { subject, ..setup })
    }
}

impl LinesOptions {
    fn options(&self, order: LineOrder, seed: u64) -> LineOptions {
        /// Lines that calibrate parallel imaging where nobody says otherwise.
        const USUAL_CALIBRATION_LINES: usize = 24;
        let usual = if self.acceleration > 1.0 { USUAL_CALIBRATION_LINES } else { 0 };
        let n_calibration = self.calibration_lines.unwrap_or(usual);
        let undersampling = if self.random_lines {
            Undersampling::VariableDensity {
                acceleration: self.acceleration,
                n_center_lines: n_calibration.clamp(1, 12),
                k0_lines: 12.0,
                power: 1.5,
                seed,
            }
        } else if self.interleaved_lines {
            Undersampling::Interleaved { acceleration: self.acceleration.round() as usize }
        } else {
            Undersampling::Regular { acceleration: self.acceleration.round() as usize }
        };
        LineOptions {
            undersampling,
            calibration: match (n_calibration, self.separate_calibration) {
                (0, _) => CalibrationLines::None,
                (n, true) => CalibrationLines::Separate(n),
                (n, false) => CalibrationLines::Embedded(n),
            },
            partial_fourier: self.partial_fourier,
            order: match self.order {
                None => order,
                Some(Order::Linear) => LineOrder::Linear,
                Some(Order::Reverse) => LineOrder::Reverse,
                Some(Order::Centric) => LineOrder::Centric,
            },
        }
    }
}
