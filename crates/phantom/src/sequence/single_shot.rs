//! Images of one balanced train each, at the same moment of different beats: what MOLLI, SASHA
//! and T2 mapping have in common.

use ismrmrd::EncodingCounters;
use ismrmrd::xml::SequenceParameters;

use super::builder::{Line, MAX_TRIGGER_DELAY_MS, PlanBuilder, in_range};
use super::timeline::Timeline;
use crate::physics::{BalancedTrain, Block, Startup};
use crate::scan::{Content, SetupError};

/// The readout of such an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SingleShot {
    /// Flip angle.
    pub flip_angle_deg: f64,
    /// From pulse to pulse.
    pub repetition_time_ms: f64,
    /// How the train begins.
    pub startup: Startup,
    /// From the R wave to the centre of k-space. `None`: two thirds of the mean interval of
    /// R waves, in the calm of diastole.
    pub trigger_delay_ms: Option<f64>,
    /// Whether each line has the magnetisation of its own moment; otherwise all have that of
    /// the centre of k-space, and maps are exact.
    pub line_by_line: bool,
}

/// Part of the interval of R waves after which the heart is calm.
const CALM: f64 = 0.67;

impl Default for SingleShot {
    fn default() -> Self {
        Self {
            flip_angle_deg: 35.0,
            repetition_time_ms: 2.8,
            startup: Startup::Ramp(5),
            trigger_delay_ms: None,
            line_by_line: false,
        }
    }
}

/// What one image of a series shows, until its signals are known.
pub(super) struct Shot {
    pub slice: usize,
    pub counters: EncodingCounters,
    pub user_int: [i32; 8],
    pub values: Vec<(&'static str, f64)>,
    /// Echo time of the centre of k-space.
    pub center_ms: f64,
    /// Index of the first echo in the timeline.
    pub first_echo: usize,
    /// Which image of all: random patterns differ between images.
    pub number: usize,
}

impl SingleShot {
    /// From the R wave to the centre of k-space.
    pub(super) fn trigger_delay_ms(&self, builder: &PlanBuilder<'_>) -> f64 {
        let mean_ms = builder.setup.motion.rhythm.mean_rr_interval_ms();
        self.trigger_delay_ms.unwrap_or(CALM * mean_ms)
    }

    /// Makes sure that the train can be played.
    ///
    /// # Errors
    /// [`SetupError`] names what cannot.
    pub(super) fn check(&self, builder: &PlanBuilder<'_>) -> Result<(), SetupError> {
        in_range("the flip angle, degrees,", self.flip_angle_deg, 0.1, 180.0)?;
        if let Some(delay_ms) = self.trigger_delay_ms {
            in_range("the trigger delay, ms,", delay_ms, 0.0, MAX_TRIGGER_DELAY_MS)?;
        }
        builder.must_fit(0.5 * self.repetition_time_ms, self.repetition_time_ms)
    }

    fn startup_ms(&self) -> f64 {
        let n_pulses = match self.startup {
            Startup::HalfAngle => 0.5,
            Startup::Ramp(n) => n as f64,
        };
        n_pulses * self.repetition_time_ms
    }

    /// From the start of the train to the echo at the centre of k-space.
    pub(super) fn lead_ms(&self, builder: &PlanBuilder<'_>, number: usize) -> f64 {
        let center = builder.center_position(number);
        self.startup_ms() + (center as f64 + 0.5) * self.repetition_time_ms
    }

    /// The train of image `number`.
    pub(super) fn train(&self, builder: &PlanBuilder<'_>, number: usize) -> Block {
        Block::BalancedTrain(BalancedTrain {
            flip_angle_deg: self.flip_angle_deg,
            repetition_time_ms: self.repetition_time_ms,
            echo_time_ms: 0.5 * self.repetition_time_ms,
            n_echoes: builder.lines(number).len(),
            startup: self.startup,
        })
    }

    /// Adds the readouts and the frames of all shots of one slice.
    pub(super) fn read(
        &self,
        builder: &mut PlanBuilder<'_>,
        timeline: &Timeline,
        shots: Vec<Shot>,
    ) -> Result<(), SetupError> {
        let Some(slice) = shots.first().map(|shot| shot.slice) else { return Ok(()) };
        let echoes = timeline.echoes(builder.setup, &builder.bodies[slice])?;
        for shot in shots {
            let moment = builder.moment(slice, shot.center_ms);
            let center = builder.center_position(shot.number);
            let at_center = builder.echo(&echoes, shot.first_echo + center);
            let content = Content::Body { moment, signals: at_center };
            let lines = builder.lines(shot.number);
            for (position, line) in lines.into_iter().enumerate() {
                let content = if self.line_by_line {
                    let signals = builder.echo(&echoes, shot.first_echo + position);
                    Content::Body { moment, signals }
                } else {
                    content
                };
                let echo_ms =
                    shot.center_ms + (position as f64 - center as f64) * self.repetition_time_ms;
                let line = Line { line: line.line, role: line.role, echo_ms, content };
                builder.line(line, shot.counters, shot.user_int);
            }
            builder.frame(shot.counters, content, shot.center_ms, shot.values);
        }
        Ok(())
    }

    /// Times and angles for the header.
    pub(super) fn parameters(&self) -> SequenceParameters {
        SequenceParameters {
            tr: vec![self.repetition_time_ms as f32],
            te: vec![0.5 * self.repetition_time_ms as f32],
            flip_angle_deg: vec![self.flip_angle_deg as f32],
            sequence_type: Some("TrueFISP".into()),
            echo_spacing: vec![self.repetition_time_ms as f32],
            ..SequenceParameters::default()
        }
    }
}
