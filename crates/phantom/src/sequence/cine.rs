//! Balanced cine.

use ismrmrd::EncodingCounters;
use ismrmrd::xml::SequenceParameters;
use num_complex::Complex64;

use super::Sequence;
use super::builder::{Line, PlanBuilder};
use super::timeline::Timeline;
use crate::physics::{BalancedTrain, Block, Startup};
use crate::scan::{Body, Content, Names, Plan, Setup, SetupError};

/// Balanced steady-state images over the cycle of the heart.
#[derive(Clone, Debug, PartialEq)]
pub struct Cine {
    /// How lines come by their place in the cycle.
    pub gating: Gating,
    /// Of each pulse.
    pub flip_angle_deg: f64,
    /// From pulse to pulse.
    pub repetition_time_ms: f64,
}

/// How the lines of a cine are spread over the cycle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gating {
    /// A segment of some lines is repeated through each beat from its R wave on; each beat has
    /// another segment. Images are numbered by `phase`.
    Segmented {
        /// Lines of a segment.
        n_lines_per_segment: usize,
    },
    /// Whole images one after the other without regard to the heart. They too are numbered by
    /// `phase`, which is what Gadgetron's binning of real-time images counts.
    RealTime {
        /// How many.
        n_images: usize,
    },
}

/// Part of the mean interval of R waves that segmented images fill: what is left is for beats
/// that come early.
const FILLED: f64 = 0.9;

/// Pulses until the steady state.
const N_SETTLING_PULSES: usize = 2000;

impl Default for Cine {
    fn default() -> Self {
        Self {
            gating: Gating::Segmented { n_lines_per_segment: 12 },
            flip_angle_deg: 50.0,
            repetition_time_ms: 3.0,
        }
    }
}

impl Sequence for Cine {
    fn plan(&self, setup: &Setup, bodies: &[Body]) -> Result<Plan, SetupError> {
        let mut builder = PlanBuilder::new(setup, bodies)?;
        let (what, n) = match self.gating {
            Gating::Segmented { n_lines_per_segment: n } => ("the number of lines of a segment", n),
            Gating::RealTime { n_images: n } => ("the number of images", n),
        };
        if !(1..=65536).contains(&n) {
            return Err(SetupError::OutOfRange { what, value: n, minimum: 1, maximum: 65536 });
        }
        for slice in 0..setup.n_slices {
            builder.separate_calibration(slice);
            let signals = self.steady_state(&builder, slice)?;
            let signals = builder.signals(signals);
            match self.gating {
                Gating::Segmented { n_lines_per_segment } => {
                    self.segmented(&mut builder, slice, signals, n_lines_per_segment)?;
                }
                Gating::RealTime { n_images } => {
                    builder.reserve(n_images * builder.lines(0).len())?;
                    self.real_time(&mut builder, slice, signals, n_images)?;
                }
            }
        }
        let mut plan = builder.finish();
        let (protocol, sequence) = match self.gating {
            Gating::Segmented { .. } => ("cine", "segmented_bssfp"),
            Gating::RealTime { .. } => ("cine_real_time", "real_time_bssfp"),
        };
        plan.names = Names {
            protocol: protocol.into(),
            sequence: sequence.into(),
            sequence_type: "TrueFISP".into(),
        };
        plan.parameters = SequenceParameters {
            tr: vec![self.repetition_time_ms as f32],
            te: vec![0.5 * self.repetition_time_ms as f32],
            flip_angle_deg: vec![self.flip_angle_deg as f32],
            sequence_type: Some("TrueFISP".into()),
            ..SequenceParameters::default()
        };
        Ok(plan)
    }
}

impl Cine {
    fn steady_state(
        &self,
        builder: &PlanBuilder<'_>,
        slice: usize,
    ) -> Result<Vec<Complex64>, SetupError> {
        let mut timeline = Timeline::default();
        timeline.play(Block::BalancedTrain(BalancedTrain {
            flip_angle_deg: self.flip_angle_deg,
            repetition_time_ms: self.repetition_time_ms,
            echo_time_ms: 0.5 * self.repetition_time_ms,
            n_echoes: N_SETTLING_PULSES,
            startup: Startup::HalfAngle,
        }));
        let echoes = timeline.steady_echoes(builder.setup, &builder.bodies[slice])?;
        Ok(echoes.iter().map(|of_region| of_region[N_SETTLING_PULSES - 1]).collect())
    }

    fn segmented(
        &self,
        builder: &mut PlanBuilder<'_>,
        slice: usize,
        signals: usize,
        n_lines_per_segment: usize,
    ) -> Result<(), SetupError> {
        let mean_ms = builder.setup.motion.rhythm.mean_rr_interval_ms();
        let lines = builder.lines(0);
        let segment_ms = n_lines_per_segment as f64 * self.repetition_time_ms;
        let n_phases = (FILLED * mean_ms / segment_ms).floor() as usize;
        if n_phases == 0 {
            let missing_ms = segment_ms - FILLED * mean_ms;
            return Err(SetupError::DoesNotFit { what: "a segment in a beat", missing_ms });
        }
        builder.reserve(n_phases * lines.len())?;
        builder.must_fit(0.5 * self.repetition_time_ms, self.repetition_time_ms)?;
        // Phases differ where lines are chosen at random.
        let lines: Vec<_> = (0..n_phases).map(|phase| builder.lines(phase)).collect();
        let centers: Vec<_> = (0..n_phases).map(|phase| builder.center_position(phase)).collect();
        let mut trigger_ms = builder.trigger_from(builder.now_ms());
        let mut frames = vec![None; n_phases];
        for segment in 0..lines[0].len().div_ceil(n_lines_per_segment) {
            for (phase, frame) in frames.iter_mut().enumerate() {
                let mut lines = lines[phase].chunks(n_lines_per_segment);
                let of_segment = lines.nth(segment).unwrap_or_default();
                let start_ms = trigger_ms + phase as f64 * segment_ms;
                let middle_ms = start_ms + 0.5 * segment_ms;
                let moment = builder.moment(slice, middle_ms);
                let content = Content::Body { moment, signals };
                let counters = EncodingCounters {
                    slice: slice as u16,
                    phase: phase as u16,
                    segment: segment as u16,
                    ..EncodingCounters::default()
                };
                for (n, line) in of_segment.iter().enumerate() {
                    let echo_ms = start_ms + (n as f64 + 0.5) * self.repetition_time_ms;
                    let line = Line { line: line.line, role: line.role, echo_ms, content };
                    builder.line(line, counters, [0; 8]);
                }
                if segment == centers[phase] / n_lines_per_segment {
                    *frame = Some((counters, content, middle_ms));
                }
            }
            // A beat that ends before its last phase costs the next beat.
            let end_ms = trigger_ms + n_phases as f64 * segment_ms;
            trigger_ms = builder.trigger_from(end_ms);
        }
        for (counters, content, time_ms) in frames.into_iter().flatten() {
            let counters = EncodingCounters { segment: 0, ..counters };
            builder.frame(counters, content, time_ms, Vec::new());
        }
        Ok(())
    }

    fn real_time(
        &self,
        builder: &mut PlanBuilder<'_>,
        slice: usize,
        signals: usize,
        n_images: usize,
    ) -> Result<(), SetupError> {
        builder.must_fit(0.5 * self.repetition_time_ms, self.repetition_time_ms)?;
        let mut start_ms = builder.trigger_from(builder.now_ms());
        for image in 0..n_images {
            let lines = builder.lines(image);
            let center = builder.center_position(image);
            let center_ms = start_ms + (center as f64 + 0.5) * self.repetition_time_ms;
            let moment = builder.moment(slice, center_ms);
            let content = Content::Body { moment, signals };
            let counters = EncodingCounters {
                slice: slice as u16,
                phase: image as u16,
                ..EncodingCounters::default()
            };
            for (n, line) in lines.iter().enumerate() {
                let echo_ms = start_ms + (n as f64 + 0.5) * self.repetition_time_ms;
                let line = Line { line: line.line, role: line.role, echo_ms, content };
                builder.line(line, counters, [0; 8]);
            }
            builder.frame(counters, content, center_ms, Vec::new());
            start_ms += lines.len() as f64 * self.repetition_time_ms;
        }
        Ok(())
    }
}
