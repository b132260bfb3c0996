//! T2* mapping by a segmented gradient echo with several echoes.

use ismrmrd::EncodingCounters;
use ismrmrd::xml::SequenceParameters;

use super::Sequence;
use super::builder::{Line, PlanBuilder};
use super::timeline::Timeline;
use crate::physics::{Block, SpoiledTrain, Spoiling};
use crate::scan::{Body, Content, Names, Plan, Setup, SetupError};

/// A gradient echo whose lines are read at several echo times, some lines in each beat. Echoes
/// are numbered by `contrast`, and all are read in the same direction. They share their lines,
/// chosen at random or not.
#[derive(Clone, Debug, PartialEq)]
pub struct MultiEcho {
    /// Echo times, ms, ascending.
    pub echo_times_ms: Vec<f64>,
    /// From pulse to pulse.
    pub repetition_time_ms: f64,
    /// Of each pulse.
    pub flip_angle_deg: f64,
    /// Pulses in a beat.
    pub n_lines_per_beat: usize,
    /// From the R wave to the first pulse. `None`: right after it is no use for a heart that
    /// moves, so 60 % of the mean interval of R waves.
    pub trigger_delay_ms: Option<f64>,
}

/// Part of the interval of R waves after which the heart is calm.
const CALM: f64 = 0.6;

impl Default for MultiEcho {
    fn default() -> Self {
        Self {
            echo_times_ms: (0..8).map(|n| 2.6 + 2.0 * f64::from(n)).collect(),
            repetition_time_ms: 19.0,
            flip_angle_deg: 18.0,
            n_lines_per_beat: 10,
            trigger_delay_ms: None,
        }
    }
}

impl Sequence for MultiEcho {
    fn plan(&self, setup: &Setup, bodies: &[Body]) -> Result<Plan, SetupError> {
        if self.echo_times_ms.is_empty() {
            let what = "the number of echoes";
            return Err(SetupError::OutOfRange { what, value: 0, minimum: 1, maximum: 64 });
        }
        let spacing = self.echo_times_ms.windows(2).map(|pair| pair[1] - pair[0]);
        let shortest_ms = spacing.fold(f64::INFINITY, f64::min);
        let missing_ms = setup.readout_ms(setup.sample_time_us) - shortest_ms;
        if missing_ms > 0.0 {
            return Err(SetupError::DoesNotFit { what: "the readout of an echo", missing_ms });
        }
        let mut builder = PlanBuilder::new(setup, bodies)?;
        for &echo_time_ms in &self.echo_times_ms {
            builder.must_fit(echo_time_ms, self.repetition_time_ms)?;
        }
        for slice in 0..setup.n_slices {
            builder.reserve(self.echo_times_ms.len() * setup.matrix_size[1])?;
            builder.separate_calibration(slice);
            self.slice(&mut builder, slice)?;
        }
        let mut plan = builder.finish();
        plan.names = Names {
            protocol: "T2star_map".into(),
            sequence: "multi_echo_flash".into(),
            sequence_type: "Flash".into(),
        };
        plan.echo_train_length = self.echo_times_ms.len();
        plan.parameters = SequenceParameters {
            tr: vec![self.repetition_time_ms as f32],
            te: self.echo_times_ms.iter().map(|&ms| ms as f32).collect(),
            flip_angle_deg: vec![self.flip_angle_deg as f32],
            sequence_type: Some("Flash".into()),
            ..SequenceParameters::default()
        };
        Ok(plan)
    }
}

impl MultiEcho {
    fn slice(&self, builder: &mut PlanBuilder<'_>, slice: usize) -> Result<(), SetupError> {
        let mean_ms = builder.setup.motion.rhythm.mean_rr_interval_ms();
        let delay_ms = self.trigger_delay_ms.unwrap_or(CALM * mean_ms);
        let lines = builder.lines(0);
        let center = builder.center_position(0);
        let n_echoes = self.echo_times_ms.len();
        let mut timeline = Timeline::starting_at(builder.now_ms());
        let mut earliest_ms = builder.now_ms();
        // Of each line: the time of its pulse and the index of its first echo.
        let mut pulses = Vec::with_capacity(lines.len());
        for segment in lines.chunks(self.n_lines_per_beat.max(1)) {
            let begin_ms = timeline.now_ms() - delay_ms;
            let trigger_ms = builder.trigger_from(begin_ms.max(earliest_ms));
            earliest_ms = builder.trigger_after(trigger_ms);
            timeline.wait_until("a segment", trigger_ms + delay_ms)?;
            let start_ms = timeline.now_ms();
            let first_echo = timeline.play(Block::SpoiledTrain(SpoiledTrain {
                flip_angles_deg: vec![self.flip_angle_deg; segment.len()],
                repetition_time_ms: self.repetition_time_ms,
                echo_times_ms: self.echo_times_ms.clone(),
                spoiling: Spoiling::Ideal,
                n_dummies: 0,
            }));
            pulses.extend((0..segment.len()).map(|n| {
                (start_ms + n as f64 * self.repetition_time_ms, first_echo + n * n_echoes)
            }));
        }
        builder.advance_to(timeline.now_ms());
        let echoes = timeline.echoes(builder.setup, &builder.bodies[slice])?;
        let (center_ms, center_echo) = pulses[center];
        for (contrast, &echo_time_ms) in self.echo_times_ms.iter().enumerate() {
            let counters = EncodingCounters {
                slice: slice as u16,
                contrast: contrast as u16,
                ..EncodingCounters::default()
            };
            let signals = builder.echo(&echoes, center_echo + contrast);
            let mut segment_moment = None;
            for (n, (line, (pulse_ms, _))) in lines.iter().zip(&pulses).enumerate() {
                // The heart is where it is at the start of the beat's lines.
                if n % self.n_lines_per_beat.max(1) == 0 {
                    segment_moment = None;
                }
                let moment =
                    *segment_moment.get_or_insert_with(|| builder.moment(slice, *pulse_ms));
                let content = Content::Body { moment, signals };
                let echo_ms = pulse_ms + echo_time_ms;
                let line = Line { line: line.line, role: line.role, echo_ms, content };
                let segment = (n / self.n_lines_per_beat.max(1)) as u16;
                builder.line(line, EncodingCounters { segment, ..counters }, [0; 8]);
            }
            let moment = builder.moment(slice, center_ms);
            let content = Content::Body { moment, signals };
            let time_ms = center_ms + echo_time_ms;
            builder.frame(counters, content, time_ms, vec![("EchoTime", echo_time_ms)]);
        }
        Ok(())
    }
}
