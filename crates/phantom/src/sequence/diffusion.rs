//! Diffusion weighting of the heart.

use std::sync::{Arc, Mutex, PoisonError};

use ismrmrd::EncodingCounters;
use ismrmrd::xml::{DiffusionDimension, SequenceParameters};
use num_complex::Complex64;

use super::Sequence;
use super::builder::{Line, MAX_TRIGGER_DELAY_MS, PlanBuilder, in_range};
use super::epi_train::{EpiTrain, whole_trains_only};
use super::timeline::Timeline;
use crate::anatomy::Anatomy;
use crate::diffusion::{
    DiffusionEncoding, DiffusionHeart, DiffusionOptions, DiffusionTable, MixingTime, ShotOptions,
    gradient_directions,
};
use crate::motion::Pose;
use crate::object::Object;
use crate::physics::Block;
use crate::scan::{Body, Content, Names, PixelObjects, Plan, Setup, SetupError};
use crate::trajectory::{Epi, EpiOptions};

/// Single-shot diffusion-weighted images, one per beat (spin echo) or per two (stimulated echo),
/// of a heart with fibres.
///
/// The weighting is counted by `repetition`, for which the header's diffusion block lists b-value
/// and direction in the patient's axes; the averages by `average`. `user_int[7]` is the interval
/// in µs over which a stimulated echo was weighted: its b-value is the listed one times that over
/// the header's `AssumedRRInterval_ms` (but for a third of the gradient's duration).
#[derive(Clone, Debug, PartialEq)]
pub struct Diffusion {
    /// How diffusion is weighted.
    pub weighting: Weighting,
    /// Directions, 6 to 256.
    pub n_directions: usize,
    /// Of the directions.
    pub b_value_s_per_mm2: f64,
    /// Images of each average without weighting.
    pub n_references: usize,
    /// What spoilers leave of weighting in these.
    pub reference_b_value_s_per_mm2: f64,
    /// Averages.
    pub n_averages: usize,
    /// Beats before the first image in which everything but the readout is played: they bring
    /// the magnetisation to where it stays.
    pub n_dummy_shots: usize,
    /// Of the spin echo, or twice from the first pulse of a stimulated echo to the second.
    pub echo_time_ms: f64,
    /// From the R wave to the excitation. `None`: a third of the mean interval of R waves.
    pub trigger_delay_ms: Option<f64>,
    /// The echo-planar train. `None`: straight lines from first to last, as after a perfect
    /// correction.
    pub epi: Option<EpiOptions>,
    /// Fibres of the heart.
    pub tensor: DiffusionOptions,
    /// How shots differ.
    pub shots: ShotOptions,
    /// Pixels of the object along each axis for one of the image, 1 to 8.
    pub refinement: usize,
}

/// How diffusion is weighted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Weighting {
    /// Second-order motion-compensated spin echo.
    SpinEcho,
    /// Stimulated echo over one beat.
    StimulatedEcho(MixingTime),
}

/// Part of the interval of R waves after which images are taken: end of systole.
const END_OF_SYSTOLE: f64 = 0.33;

impl Default for Diffusion {
    fn default() -> Self {
        Self {
            weighting: Weighting::SpinEcho,
            n_directions: 12,
            b_value_s_per_mm2: 450.0,
            n_references: 1,
            reference_b_value_s_per_mm2: 0.0,
            n_averages: 1,
            n_dummy_shots: 5,
            echo_time_ms: 70.0,
            trigger_delay_ms: None,
            epi: Some(EpiOptions::default()),
            tensor: DiffusionOptions::default(),
            shots: ShotOptions::default(),
            refinement: 4,
        }
    }
}

/// One image.
struct Shot {
    encoding: DiffusionEncoding,
    signals: Vec<Complex64>,
    pose: Pose,
    slice: usize,
}

/// Makes the object of each shot.
struct Hearts {
    anatomies: Vec<Anatomy>,
    shots: Vec<Shot>,
    differences: ShotOptions,
    tensor: DiffusionOptions,
    matrix_size: [usize; 2],
    field_of_view_mm: [f64; 2],
    /// The heart that was asked for last: most shots share one.
    last: Mutex<Option<(usize, Pose, Arc<DiffusionHeart>)>>,
}

impl Hearts {
    fn object(&self, shot: usize) -> Object {
        let Shot { encoding, signals, pose, slice } = &self.shots[shot];
        let heart = self.heart(*slice, pose);
        let mut base = heart.base_image(signals);
        self.differences.shot(shot as u64, encoding).apply(&heart, base.view_mut());
        Object::Pixels(heart.signal(encoding, base.view()))
    }

    fn heart(&self, slice: usize, pose: &Pose) -> Arc<DiffusionHeart> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known_slice, known_pose, heart)) = &*last
            && (*known_slice, known_pose) == (slice, pose)
        {
            return Arc::clone(heart);
        }
        let anatomy = self.anatomies[slice].posed(pose);
        let heart =
            DiffusionHeart::new(&anatomy, &self.tensor, self.matrix_size, self.field_of_view_mm)
                .expect("checked when the scan was planned");
        let heart = Arc::new(heart);
        *last = Some((slice, *pose, Arc::clone(&heart)));
        heart
    }
}

impl Sequence for Diffusion {
    fn plan(&self, setup: &Setup, bodies: &[Body]) -> Result<Plan, SetupError> {
        let no_heart = SetupError::NoHeart {
            sequence: "the diffusion sequence",
            phantom: setup.subject.name(),
        };
        let anatomies = bodies
            .iter()
            .map(|body| match body {
                Body::Anatomy(anatomy) if anatomy.left_ventricle.is_some() => Some(anatomy.clone()),
                _ => None,
            })
            .collect::<Option<Vec<_>>>()
            .ok_or(no_heart)?;
        self.tensor.check()?;
        self.shots.check()?;
        if let Weighting::StimulatedEcho(mixing) = &self.weighting {
            mixing.check()?;
        }
        let [nx, ny] = setup.matrix_size;
        for (what, value, maximum) in [
            ("the refinement of the object", self.refinement, 8),
            ("the number of pixels of the object", self.refinement * nx.max(ny), 4096),
            ("the number of dummy shots", 1 + self.n_dummy_shots, 100),
        ] {
            if !(1..=maximum).contains(&value) {
                return Err(SetupError::OutOfRange { what, value, minimum: 1, maximum });
            }
        }
        in_range("the echo time, ms,", self.echo_time_ms, 1.0, 1000.0)?;
        if let Some(delay_ms) = self.trigger_delay_ms {
            in_range("the trigger delay, ms,", delay_ms, 0.0, MAX_TRIGGER_DELAY_MS)?;
        }
        // Options and field of view are the same for all hearts of the scan.
        for anatomy in &anatomies {
            DiffusionHeart::new(anatomy, &self.tensor, [1; 2], setup.field_of_view_mm)?;
        }
        let table = DiffusionTable::new(
            &gradient_directions(self.n_directions)?,
            self.b_value_s_per_mm2,
            self.n_references,
            self.reference_b_value_s_per_mm2,
            self.n_averages,
        )?;
        if self.epi.is_some() {
            whole_trains_only(setup)?;
        }
        let mut builder = PlanBuilder::new(setup, bodies)?;
        let mut shots = Vec::new();
        for slice in 0..setup.n_slices {
            self.slice(&mut builder, slice, &table, &mut shots)?;
        }
        let hearts = Hearts {
            anatomies,
            shots,
            differences: self.shots,
            tensor: self.tensor.clone(),
            matrix_size: setup.matrix_size.map(|n| n * self.refinement),
            field_of_view_mm: setup.field_of_view_mm,
            last: Mutex::new(None),
        };
        let mut plan = builder.finish();
        plan.pixel_objects = Some(PixelObjects(Arc::new(move |shot| hearts.object(shot))));
        plan.diffusion = Some(self.tensor.clone());
        let (sequence, scheme) = match self.weighting {
            Weighting::SpinEcho => ("diffusion_se_epi", "MotionCompensatedSpinEcho"),
            Weighting::StimulatedEcho(_) => ("diffusion_steam_epi", "STEAM"),
        };
        plan.names = Names {
            protocol: "cDTI".into(),
            sequence: sequence.into(),
            sequence_type: "EPI".into(),
        };
        let axes = setup.orientation.directions();
        plan.parameters = SequenceParameters {
            tr: vec![setup.motion.rhythm.mean_rr_interval_ms() as f32],
            te: vec![self.echo_time_ms as f32],
            flip_angle_deg: vec![90.0],
            sequence_type: Some("EPI".into()),
            diffusion_dimension: Some(DiffusionDimension::Repetition),
            diffusion: table.encodings[..table.n_encodings]
                .iter()
                .map(|encoding| {
                    let in_patient = |row: usize| {
                        (0..3).map(|axis| encoding.direction[axis] * axes[axis][row]).sum()
                    };
                    let direction = [0, 1, 2].map(in_patient);
                    DiffusionEncoding { direction, ..*encoding }.xml()
                })
                .collect(),
            diffusion_scheme: Some(scheme.into()),
            ..SequenceParameters::default()
        };
        if let Weighting::StimulatedEcho(mixing) = self.weighting {
            let user = &mut plan.user_doubles;
            user.push(("AssumedRRInterval_ms".into(), mixing.assumed_rr_interval_ms));
            user.push(("DiffusionGradientDuration_ms".into(), mixing.gradient_duration_ms));
        }
        Ok(plan)
    }
}

impl Diffusion {
    fn slice(
        &self,
        builder: &mut PlanBuilder<'_>,
        slice: usize,
        table: &DiffusionTable,
        shots: &mut Vec<Shot>,
    ) -> Result<(), SetupError> {
        let setup = builder.setup;
        let mean_ms = setup.motion.rhythm.mean_rr_interval_ms();
        let delay_ms = self.trigger_delay_ms.unwrap_or(END_OF_SYSTOLE * mean_ms);
        let lines = builder.lines(0);
        let center = builder.center_position(0);
        let epi = match self.epi {
            None => None,
            Some(options) => {
                let epi = Epi::new(EpiOptions {
                    encoded_matrix_size: setup.matrix_size,
                    encoded_field_of_view_mm: setup.field_of_view_mm,
                    ..options
                })?;
                Some(EpiTrain::new(builder, &epi, &lines)?)
            }
        };
        let line_ms = setup.readout_ms(setup.sample_time_us);
        let (before_ms, after_ms) = match &epi {
            Some(train) => (train.center_ms(), train.after_center_ms()),
            None => {
                let after = (lines.len() - center) as f64;
                ((center as f64 + 0.5) * line_ms, (after - 0.5) * line_ms)
            }
        };
        let missing_ms = before_ms - 0.5 * self.echo_time_ms;
        if missing_ms > 0.0 {
            let what = "the last pulse before the readouts";
            return Err(SetupError::DoesNotFit { what, missing_ms });
        }
        let mut timeline = Timeline::starting_at(builder.now_ms());
        let mut earliest_ms = builder.now_ms();
        // Of each shot: time of the echo and the interval that weights it.
        let mut centers_ms = Vec::new();
        builder.reserve(table.encodings.len() * (builder.lines(0).len() + 16))?;
        for shot in 0..self.n_dummy_shots + table.encodings.len() {
            let begin_ms = timeline.now_ms() - delay_ms;
            let mut trigger_ms = builder.trigger_from(begin_ms.max(earliest_ms));
            earliest_ms = builder.trigger_after(trigger_ms);
            timeline.wait_until("a diffusion-weighted image", trigger_ms + delay_ms)?;
            let echo_time_ms = self.echo_time_ms;
            let mut rr_interval_ms = 0.0;
            match self.weighting {
                Weighting::SpinEcho => {
                    timeline.play(Block::SpinEcho { echo_time_ms });
                }
                Weighting::StimulatedEcho(_) => {
                    // The second half of the encoding is a beat later.
                    rr_interval_ms = earliest_ms - trigger_ms;
                    trigger_ms = earliest_ms;
                    earliest_ms = builder.trigger_after(trigger_ms);
                    // The gradients of the two halves are a whole interval apart.
                    let mixing_time_ms = rr_interval_ms - 0.5 * echo_time_ms;
                    timeline.play(Block::StimulatedEcho { echo_time_ms, mixing_time_ms });
                }
            }
            let center_ms = timeline.now_ms();
            if shot >= self.n_dummy_shots {
                centers_ms.push((center_ms, rr_interval_ms));
            }
            timeline.wait_until("the end of a readout", center_ms + after_ms)?;
        }
        let echoes = timeline.echoes(setup, &builder.bodies[slice])?;
        for (shot, (encoding, (center_ms, rr_interval_ms))) in
            table.encodings.iter().zip(centers_ms).enumerate()
        {
            let encoding = match self.weighting {
                Weighting::SpinEcho => *encoding,
                Weighting::StimulatedEcho(mixing) => mixing.actual(encoding, rr_interval_ms),
            };
            let counters = EncodingCounters {
                slice: slice as u16,
                repetition: (shot % table.n_encodings) as u16,
                average: (shot / table.n_encodings) as u16,
                ..EncodingCounters::default()
            };
            let signals: Vec<Complex64> =
                echoes.iter().map(|echoes| echoes[self.n_dummy_shots + shot]).collect();
            let object = shots.len();
            let content =
                Content::Pixels { slice, object, signals: builder.signals(signals.clone()) };
            let mut user_int = [0; 8];
            user_int[7] = (1e3 * rr_interval_ms).round() as i32;
            match &epi {
                Some(train) => {
                    train.play(builder, center_ms, counters, content, user_int);
                }
                None => {
                    for (n, line) in lines.iter().enumerate() {
                        let echo_ms = center_ms + (n as f64 - center as f64) * line_ms;
                        let line = Line { line: line.line, role: line.role, echo_ms, content };
                        builder.line(line, counters, user_int);
                    }
                }
            }
            let values = vec![("BValue", encoding.b_value_s_per_mm2)];
            builder.frame(counters, content, center_ms, values);
            shots.push(Shot { encoding, signals, pose: setup.motion.pose_at(center_ms), slice });
        }
        Ok(())
    }
}
