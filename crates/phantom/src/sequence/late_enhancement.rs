//! Late enhancement with a phase reference.

use ismrmrd::EncodingCounters;
use ismrmrd::xml::SequenceParameters;

use super::Sequence;
use super::builder::{Line, PlanBuilder, in_range};
use super::timeline::Timeline;
use crate::anatomy::Label;
use crate::physics::{Block, SpoiledTrain, Spoiling};
use crate::scan::{Body, Content, Names, Plan, Setup, SetupError};

/// Phase-sensitive inversion recovery (Kellman 2002): a segmented gradient echo after an inversion
/// in one beat, and the same lines with a small angle in the next as a reference of phase and
/// sensitivity. `set` 0 is the inversion recovery, 1 the reference.
#[derive(Clone, Debug, PartialEq)]
pub struct LateEnhancement {
    /// From the inversion to the pulse of the centre of k-space. `None`: when healthy
    /// myocardium has no magnetisation.
    pub inversion_time_ms: Option<f64>,
    /// Mz after the inversion is minus this times Mz before it.
    pub inversion_factor: f64,
    /// Of each pulse after the inversion.
    pub flip_angle_deg: f64,
    /// Of each pulse of the reference.
    pub reference_flip_angle_deg: f64,
    /// From pulse to pulse.
    pub repetition_time_ms: f64,
    /// From pulse to echo.
    pub echo_time_ms: f64,
    /// Pulses in a beat.
    pub n_lines_per_beat: usize,
    /// From the R wave to the middle of the pulses. `None`: two thirds of the mean interval of
    /// R waves.
    pub trigger_delay_ms: Option<f64>,
}

/// Part of the interval of R waves after which the heart is calm.
const CALM: f64 = 0.67;

/// Nothing has a longer T1.
const MAX_INVERSION_TIME_MS: f64 = 10_000.0;

/// T1 of healthy myocardium where the subject has none, ms.
const USUAL_T1_MS: f64 = 450.0;

impl Default for LateEnhancement {
    fn default() -> Self {
        Self {
            inversion_time_ms: None,
            inversion_factor: 1.0,
            flip_angle_deg: 20.0,
            reference_flip_angle_deg: 5.0,
            repetition_time_ms: 6.0,
            echo_time_ms: 2.8,
            n_lines_per_beat: 20,
            trigger_delay_ms: None,
        }
    }
}

impl Sequence for LateEnhancement {
    fn plan(&self, setup: &Setup, bodies: &[Body]) -> Result<Plan, SetupError> {
        if let Some(time_ms) = self.inversion_time_ms {
            in_range("the inversion time, ms,", time_ms, 1.0, MAX_INVERSION_TIME_MS)?;
        }
        let mut builder = PlanBuilder::new(setup, bodies)?;
        builder.must_fit(self.echo_time_ms, self.repetition_time_ms)?;
        let mut inversion_time_ms = None;
        for slice in 0..setup.n_slices {
            builder.reserve(2 * setup.matrix_size[1])?;
            builder.separate_calibration(slice);
            // The header lists that of the first slice.
            let time_ms = self.slice(&mut builder, slice)?;
            inversion_time_ms.get_or_insert(time_ms);
        }
        let mut plan = builder.finish();
        plan.names = Names {
            protocol: "LGE_PSIR".into(),
            sequence: "psir_flash".into(),
            sequence_type: "Flash".into(),
        };
        plan.parameters = SequenceParameters {
            tr: vec![self.repetition_time_ms as f32],
            te: vec![self.echo_time_ms as f32],
            ti: inversion_time_ms.into_iter().map(|ms| ms as f32).collect(),
            flip_angle_deg: vec![self.flip_angle_deg as f32, self.reference_flip_angle_deg as f32],
            sequence_type: Some("Flash".into()),
            ..SequenceParameters::default()
        };
        Ok(plan)
    }
}

impl LateEnhancement {
    fn train(&self, n_lines: usize, flip_angle_deg: f64) -> Block {
        Block::SpoiledTrain(SpoiledTrain {
            flip_angles_deg: vec![flip_angle_deg; n_lines],
            repetition_time_ms: self.repetition_time_ms,
            echo_times_ms: vec![self.echo_time_ms],
            spoiling: Spoiling::Ideal,
            n_dummies: 0,
        })
    }

    /// When healthy myocardium passes zero with an inversion every other beat.
    fn null_time_ms(&self, body: &Body, period_ms: f64) -> f64 {
        let t1_ms = match body {
            Body::Anatomy(anatomy) => anatomy
                .regions
                .iter()
                .find(|region| region.label == Label::Myocardium)
                .map_or(USUAL_T1_MS, |region| region.tissue.t1_ms),
            Body::Picture(_) => USUAL_T1_MS,
        };
        // Mz = 1 − (1 + δ·m) e^{−TI/T1}, with m what has recovered over the whole period.
        let e = (-period_ms / t1_ms).exp();
        let recovered = (1.0 - e) / (1.0 + self.inversion_factor * e);
        t1_ms * (1.0 + self.inversion_factor * recovered).ln()
    }

    /// Plays one slice and gives its inversion time.
    fn slice(&self, builder: &mut PlanBuilder<'_>, slice: usize) -> Result<f64, SetupError> {
        let mean_ms = builder.setup.motion.rhythm.mean_rr_interval_ms();
        let delay_ms = self.trigger_delay_ms.unwrap_or(CALM * mean_ms);
        let inversion_time_ms = self
            .inversion_time_ms
            .unwrap_or_else(|| self.null_time_ms(&builder.bodies[slice], 2.0 * mean_ms));
        let lines = builder.lines(0);
        let center = builder.center_position(0);
        let per_beat = self.n_lines_per_beat.clamp(1, lines.len().max(1));
        // All beats have the pulse of the centre of k-space at the same inversion time.
        let in_beat = center % per_beat;
        let mut timeline = Timeline::starting_at(builder.now_ms());
        let mut earliest_ms = builder.now_ms();
        // Of each set and line: time of the pulse and index of the echo.
        let mut pulses = [Vec::new(), Vec::new()];
        for segment in lines.chunks(per_beat) {
            for (set, pulses) in pulses.iter_mut().enumerate() {
                let lead_ms = in_beat as f64 * self.repetition_time_ms;
                let before_ms = if set == 0 { inversion_time_ms.max(lead_ms) } else { lead_ms };
                let begin_ms = timeline.now_ms() + before_ms - delay_ms;
                let trigger_ms = builder.trigger_from(begin_ms.max(earliest_ms));
                earliest_ms = builder.trigger_after(trigger_ms);
                let center_ms = trigger_ms + delay_ms;
                let mut flip_angle_deg = self.reference_flip_angle_deg;
                if set == 0 {
                    timeline.wait_until("the inversion", center_ms - inversion_time_ms)?;
                    timeline.play(Block::Inversion { factor: self.inversion_factor });
                    flip_angle_deg = self.flip_angle_deg;
                }
                timeline.wait_until("the lines of a beat", center_ms - lead_ms)?;
                let start_ms = timeline.now_ms();
                let first_echo = timeline.play(self.train(segment.len(), flip_angle_deg));
                pulses.extend(
                    (0..segment.len())
                        .map(|n| (start_ms + n as f64 * self.repetition_time_ms, first_echo + n)),
                );
            }
        }
        builder.advance_to(timeline.now_ms());
        let echoes = timeline.echoes(builder.setup, &builder.bodies[slice])?;
        for (set, pulses) in pulses.iter().enumerate() {
            let counters = EncodingCounters {
                slice: slice as u16,
                set: set as u16,
                ..EncodingCounters::default()
            };
            let (center_ms, center_echo) = pulses[center];
            let signals = builder.echo(&echoes, center_echo);
            let mut moment = 0;
            for (n, (line, (pulse_ms, _))) in lines.iter().zip(pulses).enumerate() {
                if n % per_beat == 0 {
                    moment = builder.moment(slice, *pulse_ms);
                }
                let content = Content::Body { moment, signals };
                let echo_ms = pulse_ms + self.echo_time_ms;
                let line = Line { line: line.line, role: line.role, echo_ms, content };
                let segment = (n / per_beat) as u16;
                builder.line(line, EncodingCounters { segment, ..counters }, [0; 8]);
            }
            let moment = builder.moment(slice, center_ms);
            let values =
                if set == 0 { vec![("InversionTime", inversion_time_ms)] } else { Vec::new() };
            let content = Content::Body { moment, signals };
            builder.frame(counters, content, center_ms + self.echo_time_ms, values);
        }
        Ok(inversion_time_ms)
    }
}
