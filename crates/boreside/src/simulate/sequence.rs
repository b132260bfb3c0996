//! The sequences of `boreside simulate` and their own options.

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use phantom::{
    Cine, Diffusion, DiffusionOptions, Encoding, EpiOptions, Fingerprinting, Gating, GradientEcho,
    LateEnhancement, LineOrder, LinePattern, MixingTime, Molli, MolliScheme, MultiEcho, Sasha,
    Sequence, Setup, ShotOptions, SimulatedScan, SingleShot, SpiralOptions, SpokeAngles,
    T2Prepared, Weighting,
};

use super::setup::{Defaults, ScanOptions};
use super::subject::Phantom;
use super::target::Target;

#[derive(Subcommand)]
pub enum SequenceOptions {
    /// Gradient echo: Cartesian, echo-planar, radial or spiral
    #[command(visible_alias = "shepp-logan")]
    Gre(Box<GreOptions>),
    /// Balanced cine: segmented or in real time
    Cine(Box<CineOptions>),
    /// T1 by MOLLI or ShMOLLI
    Molli(Box<MolliOptions>),
    /// T1 by SASHA
    Sasha(Box<SashaOptions>),
    /// T1 and T2 in one by SASHA with T2 preparations
    #[command(name = "sasha-t1-t2")]
    SashaT1T2(Box<SashaT1T2Options>),
    /// T2 by T2-prepared balanced images
    T2(Box<T2Options>),
    /// T2* by a gradient echo with several echoes
    T2Star(Box<T2StarOptions>),
    /// Late enhancement with a phase reference, after contrast agent
    Lge(Box<LgeOptions>),
    /// T1 and T2 by spiral fingerprinting over 15 beats
    Cmrf(Box<CmrfOptions>),
    /// Diffusion of the heart by spin echoes or stimulated echoes
    Dti(Box<DtiOptions>),
}

#[derive(Args)]
pub struct GreOptions {
    /// Repetitions
    #[arg(long, default_value_t = 1, value_name = "N")]
    repetitions: usize,
    /// How k-space is sampled
    #[arg(long, value_enum, default_value_t)]
    trajectory: TrajectoryKind,
    /// Spokes of a radial image, arms of a spiral [default: 200 spokes, 24 arms]
    #[arg(long, value_name = "N")]
    arms: Option<usize>,
    /// Delay of the gradients behind the sampling in µs: a ghost of echo-planar images
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true, value_name = "US")]
    gradient_delay: f64,
    /// Phase of backward over forward readouts in degrees: another ghost of echo-planar images
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true, value_name = "DEGREES")]
    phase_difference: f64,
    /// Repetition time in ms [default: 6; as long as the train for echo-planar images]
    #[arg(long, value_name = "MS")]
    repetition_time: Option<f64>,
    /// Echo time in ms [default: 3; as short as the train lets for echo-planar images]
    #[arg(long, value_name = "MS")]
    echo_time: Option<f64>,
    /// Flip angle in degrees
    #[arg(long, default_value_t = 12.0, value_name = "DEGREES")]
    flip_angle: f64,
    #[command(flatten)]
    scan: ScanOptions,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum TrajectoryKind {
    #[default]
    Cartesian,
    Epi,
    /// Spokes at the golden angle
    Radial,
    Spiral,
}

#[derive(Args)]
pub struct CineOptions {
    /// Whole images one after the other instead of segments: how many
    #[arg(long, value_name = "IMAGES")]
    real_time: Option<usize>,
    /// Lines of a segment
    #[arg(long, default_value_t = 12, conflicts_with = "real_time", value_name = "N")]
    lines_per_segment: usize,
    #[command(flatten)]
    scan: ScanOptions,
}

/// The readout of single-shot mapping.
#[derive(Args)]
struct ReadoutOptions {
    /// Flip angle in degrees [default: 35 for molli, 70 for sasha and t2]
    #[arg(long, value_name = "DEGREES")]
    flip_angle: Option<f64>,
    /// From the R wave to the centre of k-space in ms [default: two thirds of the mean interval]
    #[arg(long, value_name = "MS")]
    trigger_delay: Option<f64>,
    /// Give each line the magnetisation of its own moment instead of that of the centre
    #[arg(long)]
    line_by_line: bool,
}

impl ReadoutOptions {
    fn readout(&self, default: SingleShot) -> SingleShot {
        SingleShot {
            flip_angle_deg: self.flip_angle.unwrap_or(default.flip_angle_deg),
            trigger_delay_ms: self.trigger_delay,
            line_by_line: self.line_by_line,
            ..default
        }
    }
}

#[derive(Args)]
pub struct MolliOptions {
    /// Images and pauses, like 5(3)3, 4(1)3(1)2 or 5(3s)3; ShMOLLI is 5(1)1(1)1, one inversion 4
    /// [default: 5(3)3; 4(1)3(1)2 after contrast agent]
    #[arg(long)]
    scheme: Option<MolliScheme>,
    /// Magnetisation after the inversion is minus this times that before it
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR")]
    inversion_factor: f64,
    #[command(flatten)]
    readout: ReadoutOptions,
    #[command(flatten)]
    scan: ScanOptions,
}

#[derive(Args)]
pub struct SashaOptions {
    /// Times after saturation in ms, of the images after the first
    #[arg(long, value_delimiter = ',', value_name = "MS,...")]
    saturation_times: Vec<f64>,
    /// Magnetisation that the saturation leaves
    #[arg(long, default_value_t = 0.0, value_name = "PART")]
    residual: f64,
    #[command(flatten)]
    readout: ReadoutOptions,
    #[command(flatten)]
    scan: ScanOptions,
}

#[derive(Args)]
pub struct SashaT1T2Options {
    /// Times after saturation in ms, of the images after the first [default: 120,240,360,480, and 600
    /// for the other six]
    #[arg(long, value_delimiter = ',', value_name = "MS,...", requires = "preparation_times")]
    saturation_times: Vec<f64>,
    /// Echo times of these images' T2 preparations in ms; 0 is none
    /// [default: 0,0,0,0,0,25,40,55,70,80]
    #[arg(long, value_delimiter = ',', value_name = "MS,...")]
    preparation_times: Vec<f64>,
    /// Magnetisation that the saturation leaves
    #[arg(long, default_value_t = 0.0, value_name = "PART")]
    residual: f64,
    #[command(flatten)]
    readout: ReadoutOptions,
    #[command(flatten)]
    scan: ScanOptions,
}

#[derive(Args)]
pub struct T2Options {
    /// Echo times of the preparations in ms; 0 is none
    #[arg(long, value_delimiter = ',', default_value = "0,25,55", value_name = "MS,...")]
    preparation_times: Vec<f64>,
    /// Beats from one image to the next
    #[arg(long, default_value_t = 3, value_name = "N")]
    recovery_beats: usize,
    #[command(flatten)]
    readout: ReadoutOptions,
    #[command(flatten)]
    scan: ScanOptions,
}

#[derive(Args)]
pub struct T2StarOptions {
    /// Echo times in ms [default: 2.6 to 16.6 in steps of 2]
    #[arg(long, value_delimiter = ',', value_name = "MS,...")]
    echo_times: Vec<f64>,
    #[command(flatten)]
    scan: ScanOptions,
}

#[derive(Args)]
pub struct LgeOptions {
    /// Inversion time in ms [default: that nulls healthy myocardium]
    #[arg(long, value_name = "MS")]
    inversion_time: Option<f64>,
    #[command(flatten)]
    scan: ScanOptions,
}

#[derive(Args)]
pub struct CmrfOptions {
    /// Magnetisation after the inversion is minus this times that before it
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR")]
    inversion_factor: f64,
    /// Arms of the spiral
    #[arg(long, default_value_t = 48, value_name = "N")]
    arms: usize,
    #[command(flatten)]
    scan: ScanOptions,
}

#[derive(Args)]
pub struct DtiOptions {
    /// How diffusion is weighted
    #[arg(long, value_enum, default_value_t)]
    weighting: WeightingKind,
    /// Directions, 6 to 256
    #[arg(long, default_value_t = 12, value_name = "N")]
    directions: usize,
    /// Weighting of the directions in s/mm²
    #[arg(long, default_value_t = 450.0, value_name = "S_PER_MM2")]
    b_value: f64,
    /// Images without weighting in each average
    #[arg(long, default_value_t = 1, value_name = "N")]
    references: usize,
    /// Averages
    #[arg(long, default_value_t = 1, value_name = "N")]
    averages: usize,
    /// Echo time in ms [default: as short as train and diffusion gradients let, at least 60]
    #[arg(long, value_name = "MS")]
    echo_time: Option<f64>,
    /// Straight lines instead of an echo-planar train
    #[arg(long)]
    straight_lines: bool,
    /// Shots without random phase and loss of signal
    #[arg(long)]
    steady_shots: bool,
    /// Helix angle at the inside of the wall in degrees; outside it is the opposite
    #[arg(long, default_value_t = 60.0, allow_negative_numbers = true, value_name = "DEGREES")]
    helix_angle: f64,
    /// Sheetlet angle in degrees [default: 45]
    #[arg(long, allow_negative_numbers = true, value_name = "DEGREES")]
    e2_angle: Option<f64>,
    #[command(flatten)]
    scan: ScanOptions,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum WeightingKind {
    /// Motion-compensated spin echo
    #[default]
    SpinEcho,
    /// Stimulated echo over one beat
    Steam,
}

/// All lines of a whole image after a short time of preparation: only from the centre outwards.
fn single_shot() -> Defaults {
    Defaults { order: LineOrder::Centric, ..Defaults::default() }
}

/// Arms that are sampled as fast as the setup says.
fn spiral(setup: &Setup, n_arms: usize) -> SpiralOptions {
    SpiralOptions { n_arms, dwell_time_us: setup.sample_time_us, ..SpiralOptions::default() }
}

/// An echo-planar train that fits the matrix: full gradient between short ramps.
fn epi_train(setup: &Setup, gradient_delay_us: f64) -> EpiOptions {
    const RAMP_US: u32 = 80;
    let n_samples = 2 * setup.matrix_size[0];
    let dwell_time_us = setup.sample_time_us;
    // The casts end at the largest number, which is refused as too long.
    let readout_us = (n_samples as f64 * dwell_time_us).ceil() as u32;
    let flat_top_time_us = readout_us.saturating_sub(RAMP_US).min(u32::MAX / 2);
    EpiOptions {
        n_samples,
        dwell_time_us,
        ramp_up_time_us: RAMP_US,
        ramp_down_time_us: RAMP_US,
        flat_top_time_us,
        echo_spacing_us: f64::from(flat_top_time_us + 2 * RAMP_US),
        gradient_delay_us,
        ..EpiOptions::default()
    }
}

/// From the start of a train to the centre of k-space, and to the end of the train. Lines that
/// cannot be are refused later.
fn train_ms(train: &EpiOptions, setup: &Setup) -> (f64, f64) {
    let pattern = LinePattern::new(setup.matrix_size[1], setup.lines);
    let (n_before, n_lines) =
        pattern.map_or((0, 0), |pattern| (pattern.center_position(0), pattern.frame(0).len()));
    let spacing_ms = train.echo_spacing_us * 1e-3;
    let center_ms = ((train.n_navigators + n_before) as f64 + 0.5) * spacing_ms;
    (center_ms, (train.n_navigators + n_lines) as f64 * spacing_ms)
}

impl SequenceOptions {
    /// The scan, and where it goes.
    pub fn scan(&self) -> Result<(SimulatedScan, &Target)> {
        let (sequence, setup, options): (Box<dyn Sequence>, Setup, &ScanOptions) = match self {
            Self::Gre(options) => {
                let setup = options.scan.setup(options.defaults())?;
                (Box::new(options.sequence(&setup)), setup, &options.scan)
            }
            Self::Cine(options) => {
                let gating = match options.real_time {
                    Some(n_images) => Gating::RealTime { n_images },
                    None => Gating::Segmented { n_lines_per_segment: options.lines_per_segment },
                };
                let sequence = Cine { gating, ..Cine::default() };
                (Box::new(sequence), options.scan.setup(Defaults::default())?, &options.scan)
            }
            Self::Molli(options) => {
                let usual = if options.scan.has_contrast_agent() {
                    MolliScheme::after_contrast()
                } else {
                    MolliScheme::native()
                };
                let sequence = Molli {
                    scheme: options.scheme.clone().unwrap_or(usual),
                    inversion_factor: options.inversion_factor,
                    readout: options.readout.readout(Molli::default().readout),
                    ..Molli::default()
                };
                (Box::new(sequence), options.scan.setup(single_shot())?, &options.scan)
            }
            Self::Sasha(options) => {
                let mut sequence = Sasha {
                    residual: options.residual,
                    readout: options.readout.readout(Sasha::default().readout),
                    ..Sasha::default()
                };
                if !options.saturation_times.is_empty() {
                    sequence.saturation_times_ms.clone_from(&options.saturation_times);
                }
                (Box::new(sequence), options.scan.setup(single_shot())?, &options.scan)
            }
            Self::SashaT1T2(options) => {
                let usual = Sasha::t1_and_t2();
                let mut sequence = Sasha {
                    residual: options.residual,
                    readout: options.readout.readout(usual.readout),
                    ..usual
                };
                if !options.saturation_times.is_empty() {
                    sequence.saturation_times_ms.clone_from(&options.saturation_times);
                }
                if !options.preparation_times.is_empty() {
                    sequence.t2_preparation_times_ms.clone_from(&options.preparation_times);
                }
                (Box::new(sequence), options.scan.setup(single_shot())?, &options.scan)
            }
            Self::T2(options) => {
                let sequence = T2Prepared {
                    preparation_times_ms: options.preparation_times.clone(),
                    n_recovery_beats: options.recovery_beats,
                    readout: options.readout.readout(T2Prepared::default().readout),
                    ..T2Prepared::default()
                };
                (Box::new(sequence), options.scan.setup(single_shot())?, &options.scan)
            }
            Self::T2Star(options) => {
                let mut sequence = MultiEcho::default();
                if !options.echo_times.is_empty() {
                    sequence.echo_times_ms.clone_from(&options.echo_times);
                }
                (Box::new(sequence), options.scan.setup(Defaults::default())?, &options.scan)
            }
            Self::Lge(options) => {
                let sequence = LateEnhancement {
                    inversion_time_ms: options.inversion_time,
                    ..LateEnhancement::default()
                };
                let defaults = Defaults { contrast_agent: true, ..Defaults::default() };
                (Box::new(sequence), options.scan.setup(defaults)?, &options.scan)
            }
            Self::Cmrf(options) => {
                let setup = options.scan.setup(Defaults {
                    matrix: [192, 192],
                    field_of_view_mm: [360.0, 360.0],
                    ..Defaults::default()
                })?;
                let sequence = Fingerprinting {
                    inversion_factor: options.inversion_factor,
                    spiral: spiral(&setup, options.arms),
                    ..Fingerprinting::default()
                };
                (Box::new(sequence), setup, &options.scan)
            }
            Self::Dti(options) => {
                let setup = options.scan.setup(Defaults {
                    matrix: [128, 128],
                    field_of_view_mm: [360.0, 360.0],
                    sample_time_us: 2.0,
                    ..Defaults::default()
                })?;
                (Box::new(options.sequence(&setup)), setup, &options.scan)
            }
        };
        Ok((SimulatedScan::new(&*sequence, setup)?, &options.target))
    }
}

impl GreOptions {
    fn defaults(&self) -> Defaults {
        let is_body = self.scan.phantom().is_some_and(Phantom::is_body);
        Defaults {
            phantom: Phantom::SheppLogan,
            matrix: [256, 256],
            // As large as the chest, or as Shepp and Logan's picture usually is.
            field_of_view_mm: if is_body { [360.0; 2] } else { [300.0; 2] },
            channels: 8,
            sample_time_us: match self.trajectory {
                TrajectoryKind::Epi => 2.0,
                TrajectoryKind::Spiral => 2.5,
                TrajectoryKind::Cartesian | TrajectoryKind::Radial => 5.0,
            },
            ..Defaults::default()
        }
    }

    fn sequence(&self, setup: &Setup) -> GradientEcho {
        let encoding = match self.trajectory {
            TrajectoryKind::Cartesian => Encoding::Cartesian,
            TrajectoryKind::Epi => Encoding::Epi(EpiOptions {
                phase_difference_rad: self.phase_difference.to_radians(),
                ..epi_train(setup, self.gradient_delay)
            }),
            TrajectoryKind::Radial => {
                Encoding::Radial { n_spokes: self.arms.unwrap_or(200), angles: SpokeAngles::Golden }
            }
            TrajectoryKind::Spiral => Encoding::Spiral(spiral(setup, self.arms.unwrap_or(24))),
        };
        /// Between excitation and the train, and between the train and the next excitation.
        const GAP_MS: f64 = 5.0;
        let (shortest_ms, echo_time_ms) = match &encoding {
            Encoding::Cartesian => (6.0, 3.0),
            Encoding::Radial { .. } | Encoding::Spiral(_) => (10.0, 3.0),
            Encoding::Epi(train) => {
                let (center_ms, whole_ms) = train_ms(train, setup);
                ((whole_ms + 2.0 * GAP_MS).ceil(), (center_ms + GAP_MS).ceil())
            }
        };
        GradientEcho {
            n_repetitions: self.repetitions,
            repetition_time_ms: self.repetition_time.unwrap_or(shortest_ms),
            echo_time_ms: self.echo_time.unwrap_or(echo_time_ms),
            flip_angle_deg: self.flip_angle,
            encoding,
        }
    }
}

impl DtiOptions {
    fn sequence(&self, setup: &Setup) -> Diffusion {
        let (weighting, tensor) = match self.weighting {
            WeightingKind::SpinEcho => (Weighting::SpinEcho, DiffusionOptions::default()),
            WeightingKind::Steam => (
                Weighting::StimulatedEcho(MixingTime::default()),
                DiffusionOptions::stimulated_echo(),
            ),
        };
        let shots = ShotOptions {
            b_value_s_per_mm2: self.b_value.max(1.0),
            seed: setup.seed,
            ..ShotOptions::default()
        };
        /// Diffusion gradients after the last pulse.
        const GRADIENTS_MS: f64 = 12.0;
        const USUAL_ECHO_TIME_MS: f64 = 60.0;
        let epi = (!self.straight_lines).then(|| epi_train(setup, 0.0));
        let lines_ms = 1e-3
            * setup.sample_time_us
            * setup.grid().n_samples() as f64
            * (0.5 * setup.matrix_size[1] as f64 + 1.0);
        let center_ms = epi.as_ref().map_or(lines_ms, |train| train_ms(train, setup).0);
        let shortest_ms = (2.0 * (center_ms + GRADIENTS_MS)).ceil().max(USUAL_ECHO_TIME_MS);
        let steady = ShotOptions { phase_sd_rad: 0.0, dropout_probability: 0.0, ..shots };
        Diffusion {
            weighting,
            n_directions: self.directions,
            b_value_s_per_mm2: self.b_value,
            n_references: self.references,
            n_averages: self.averages,
            echo_time_ms: self.echo_time.unwrap_or(shortest_ms),
            epi,
            tensor: DiffusionOptions {
                helix_angle_deg: self.helix_angle,
                e2_angle_deg: self.e2_angle.unwrap_or(tensor.e2_angle_deg),
                seed: setup.seed,
                ..tensor
            },
            shots: if self.steady_shots { steady } else { shots },
            ..Diffusion::default()
        }
    }
}
