//! What a sequence asks the scanner to do: every readout, and what the magnetisation is then.

use std::borrow::Cow;
use std::sync::Arc;

use ismrmrd::xml::{SequenceParameters, Trajectory, TrajectoryDescription};
use ismrmrd::{AcquisitionFlags, EncodingCounters};
use num_complex::Complex64;

use super::subject::Body;
use crate::anatomy::Label;
use crate::diffusion::DiffusionOptions;
use crate::motion::{Motion, Pose};
use crate::object::Object;
use crate::trajectory::Radial;

/// A whole measurement: readouts in the order of time, and the images that they are meant to
/// give.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Names of the sequence.
    pub names: Names,
    /// Times and angles for the XML header.
    pub parameters: SequenceParameters,
    /// Further numbers for the header's user parameters: name and value.
    pub user_doubles: Vec<(String, f64)>,
    /// Further whole numbers for the header's user parameters.
    pub user_longs: Vec<(String, i64)>,
    /// How k-space is sampled.
    pub trajectory: Trajectory,
    /// Numbers that a reconstruction needs about a trajectory.
    pub trajectory_description: Option<TrajectoryDescription>,
    /// Readouts of an excitation.
    pub echo_train_length: usize,
    /// Time between two samples of its readouts, where the sequence says; else the setup does.
    pub sample_time_us: Option<f64>,
    /// Places that the body was in: slice and pose.
    pub moments: Vec<Moment>,
    /// Signals of the regions: `[row, region]`; readouts refer to rows.
    pub signals: Vec<Vec<Complex64>>,
    /// Makes the objects on pixels that readouts refer to, where there are any: they are too
    /// large to keep.
    pub pixel_objects: Option<PixelObjects>,
    /// Fibres of the heart, where diffusion is what the images are about.
    pub diffusion: Option<DiffusionOptions>,
    /// Where arms, spokes and EPI readouts sample.
    pub sample_positions: SamplePositions,
    /// Every readout in the order of time.
    pub readouts: Vec<Readout>,
    /// The images.
    pub frames: Vec<Frame>,
    /// Index in [`Plan::frames`] of the image whose pose is that of the truth's maps.
    pub reference_frame: usize,
    /// From the start to the end of the measurement.
    pub duration_ms: f64,
}

impl Plan {
    /// How the body lies in an image.
    pub(super) fn pose_of(&self, frame: &Frame, motion: &Motion) -> Pose {
        match frame.content {
            Content::Body { moment, .. } => self.moments[moment].pose,
            Content::Noise | Content::Pixels { .. } => motion.pose_at(frame.time_ms),
        }
    }

    /// Largest signal of the myocardium, or of any region where there is none, in all images.
    pub(super) fn strongest_signal(&self, bodies: &[Body]) -> f64 {
        let of_frame = |content: Content, myocardium: bool| {
            let (slice, signals) = match content {
                Content::Noise => return 0.0,
                Content::Body { moment, signals } => (self.moments[moment].slice, signals),
                Content::Pixels { slice, signals, .. } => (slice, signals),
            };
            let signals = &self.signals[signals];
            match &bodies[slice] {
                Body::Picture(_) => signals[0].norm(),
                Body::Anatomy(anatomy) => anatomy
                    .regions
                    .iter()
                    .zip(signals)
                    .filter(|(region, _)| !myocardium || region.label == Label::Myocardium)
                    .map(|(_, signal)| signal.norm())
                    .fold(0.0, f64::max),
            }
        };
        let largest = |myocardium| {
            self.frames.iter().map(|frame| of_frame(frame.content, myocardium)).fold(0.0, f64::max)
        };
        match largest(true) {
            signal if signal > 0.0 => signal,
            _ => largest(false),
        }
    }
}

/// \[kx, ky\] of the samples of arms, spokes and EPI readouts, cycles per mm.
#[derive(Clone, Debug)]
pub enum SamplePositions {
    /// Some sets that many readouts share.
    Sets(Vec<Vec<[f64; 2]>>),
    /// Spokes, by their number: golden ones never come again.
    Spokes(Radial),
}

impl Default for SamplePositions {
    fn default() -> Self {
        Self::Sets(Vec::new())
    }
}

impl SamplePositions {
    /// The set of this number.
    ///
    /// # Panics
    /// If there is none.
    pub fn get(&self, number: usize) -> Cow<'_, [[f64; 2]]> {
        match self {
            Self::Sets(sets) => Cow::Borrowed(&sets[number]),
            Self::Spokes(radial) => Cow::Owned(radial.spoke(number)),
        }
    }

    /// Samples of the set of this number.
    pub fn n_samples(&self, number: usize) -> usize {
        match self {
            Self::Sets(sets) => sets[number].len(),
            Self::Spokes(radial) => radial.n_samples(),
        }
    }
}

/// Makes object number n of a plan.
#[derive(Clone)]
pub struct PixelObjects(pub Arc<dyn Fn(usize) -> Object + Send + Sync>);

impl std::fmt::Debug for PixelObjects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PixelObjects")
    }
}

/// What a sequence is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Of the protocol, for people.
    pub protocol: String,
    /// Of the pulse sequence.
    pub sequence: String,
    /// Its kind as scanners say it: `Flash`, `TrueFISP`, `EPI`.
    pub sequence_type: String,
}

/// Where the body is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// Which slice.
    pub slice: usize,
    /// How the heart lies.
    pub pose: Pose,
}

/// What is in the scanner during a readout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// Nothing: noise alone.
    Noise,
    /// The body at a moment with a row of signals, indices into the plan.
    Body {
        /// Index in [`Plan::moments`].
        moment: usize,
        /// Index in [`Plan::signals`].
        signals: usize,
    },
    /// An object on pixels.
    Pixels {
        /// Which slice.
        slice: usize,
        /// Number for [`Plan::pixel_objects`].
        object: usize,
        /// Index in [`Plan::signals`]: the regions without diffusion weighting.
        signals: usize,
    },
}

/// Which samples of k-space a readout takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// A line of the Cartesian grid from `first_sample` on.
    Line {
        /// Phase-encoding line.
        line: usize,
        /// Samples left out at the start (asymmetric echo).
        first_sample: usize,
    },
    /// Points of [`Plan::sample_positions`].
    Points {
        /// Which set.
        positions: usize,
        /// Phase-encoding line for the header of an EPI readout, arm of a spiral.
        line: usize,
        /// From the last sample to the first, for the header.
        reversed: bool,
        /// Sample nearest to the centre of k-space.
        center_sample: usize,
        /// Whether the positions travel with the readout.
        with_trajectory: bool,
    },
}

/// One readout.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Readout {
    /// When it begins, from the start of the measurement.
    pub start_ms: f64,
    /// Since the last R wave that the scanner saw.
    pub since_trigger_ms: f64,
    /// What lies in the scanner.
    pub content: Content,
    /// Which samples.
    pub sampling: Sampling,
    /// Counters, without the line.
    pub counters: EncodingCounters,
    /// Flags that say what it is for; those of first and last readouts are found later.
    pub flags: AcquisitionFlags,
    /// Whether it calibrates and is no part of an image's lines.
    pub separate_calibration: bool,
    /// What the receiver adds to the phase.
    pub phase_rad: f64,
    /// The sequence's own numbers.
    pub user_int: [i32; 8],
}

/// One image that the readouts give.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// Counters of its readouts, the line aside.
    pub counters: EncodingCounters,
    /// What it shows.
    pub content: Content,
    /// When the centre of k-space was acquired.
    pub time_ms: f64,
    /// That since the last R wave that the scanner saw.
    pub since_trigger_ms: f64,
    /// What is special about it, such as `InversionTime` and its value in ms.
    pub values: Vec<(&'static str, f64)>,
}
