//! Cardiac fingerprinting.

use ismrmrd::xml::{SequenceParameters, Trajectory};
use ismrmrd::{AcquisitionFlags, EncodingCounters};

use super::Sequence;
use super::builder::{PlanBuilder, SAME_R_WAVE_MS, carried_positions, square_only};
use super::timeline::Timeline;
use crate::motion::Rhythm;
use crate::physics::{Block, SpoiledTrain, Spoiling};
use crate::scan::{
    Body, Content, Names, Plan, Readout, SamplePositions, Sampling, Setup, SetupError,
};
use crate::trajectory::{Spiral, SpiralOptions};

/// Fifteen beats of gradient-spoiled echoes with changing angles after an inversion, nothing, or
/// T2 preparations, each echo read by one arm of a spiral (Hamilton 2017 and 2020; the times
/// are those of the open sequence of PTB).
///
/// The beat is counted by `repetition`, the excitation within the beat by `segment`; the arm is
/// the header's phase-encoding line. Sample positions travel with the readouts. The header's
/// header's angles are those of all excitations in turn; the user parameters hold the preparations, `Preparation_b` per beat: −1 an inversion, 0
/// nothing, else the echo time of a T2 preparation in ms.
#[derive(Clone, Debug, PartialEq)]
pub struct Fingerprinting {
    /// What comes before the echoes of each beat.
    pub preparations: Vec<Preparation>,
    /// Largest angle of each beat, degrees.
    pub max_flip_angles_deg: Vec<f64>,
    /// Smallest angle, of the first echo of each beat, degrees.
    pub min_flip_angle_deg: f64,
    /// Echoes over which the angle grows to the largest.
    pub n_ramp_echoes: usize,
    /// Echoes of a beat.
    pub n_echoes_per_beat: usize,
    /// From pulse to pulse.
    pub repetition_time_ms: f64,
    /// From pulse to the first sample of the spiral.
    pub echo_time_ms: f64,
    /// From an inversion to the first pulse.
    pub inversion_time_ms: f64,
    /// Mz after the inversion is minus this times Mz before it.
    pub inversion_factor: f64,
    /// From the R wave to the first pulse. `None`: so that the echoes lie in the calm of
    /// diastole.
    pub trigger_delay_ms: Option<f64>,
    /// The arms. Matrix and field of view are those of the setup.
    pub spiral: SpiralOptions,
}

/// What prepares the magnetisation of a beat.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Preparation {
    /// Nothing.
    None,
    /// An inversion.
    Inversion,
    /// A T2 preparation of this echo time, ms.
    T2(f64),
}

/// Part of the interval of R waves around which the echoes lie.
const CALM: f64 = 0.7;

impl Default for Fingerprinting {
    fn default() -> Self {
        let t2 = Preparation::T2;
        let cycle = [Preparation::Inversion, Preparation::None, t2(30.0), t2(50.0), t2(100.0)];
        let angles = [12.5, 18.75, 25.0, 25.0, 25.0];
        Self {
            preparations: cycle.repeat(3),
            max_flip_angles_deg: angles.repeat(3),
            min_flip_angle_deg: 4.0,
            n_ramp_echoes: 16,
            n_echoes_per_beat: 47,
            repetition_time_ms: 5.1,
            echo_time_ms: 1.52,
            inversion_time_ms: 20.0,
            inversion_factor: 1.0,
            trigger_delay_ms: None,
            spiral: SpiralOptions::default(),
        }
    }
}

impl Fingerprinting {
    /// Angles of all echoes of a beat.
    pub fn flip_angles_deg(&self, beat: usize) -> Vec<f64> {
        let max_deg = self.max_flip_angles_deg[beat % self.max_flip_angles_deg.len()];
        (0..self.n_echoes_per_beat)
            .map(|echo| {
                let grown = (echo as f64 / (self.n_ramp_echoes.max(2) - 1) as f64).min(1.0);
                self.min_flip_angle_deg + grown * (max_deg - self.min_flip_angle_deg)
            })
            .collect()
    }

    /// The R wave that each beat waits for and its first pulse: \[R wave, pulse\], ms.
    ///
    /// * `from_ms`: when the sequence begins.
    pub fn beats_ms(&self, rhythm: &Rhythm, from_ms: f64) -> Vec<[f64; 2]> {
        let train_ms = self.n_echoes_per_beat as f64 * self.repetition_time_ms;
        let mean_ms = rhythm.mean_rr_interval_ms();
        let delay_ms =
            self.trigger_delay_ms.unwrap_or_else(|| (CALM * mean_ms - 0.5 * train_ms).max(0.0));
        let (mut now_ms, mut earliest_ms) = (from_ms, from_ms);
        self.preparations
            .iter()
            .map(|&preparation| {
                let begin_ms = now_ms + self.preparation_ms(preparation) - delay_ms;
                let trigger_ms = rhythm.next_trigger_ms(begin_ms.max(earliest_ms));
                earliest_ms = rhythm.next_trigger_ms(trigger_ms + SAME_R_WAVE_MS);
                let start_ms = trigger_ms + delay_ms;
                now_ms = start_ms + train_ms;
                [trigger_ms, start_ms]
            })
            .collect()
    }

    fn preparation_ms(&self, preparation: Preparation) -> f64 {
        match preparation {
            Preparation::None => 0.0,
            Preparation::Inversion => self.inversion_time_ms,
            Preparation::T2(echo_time_ms) => echo_time_ms,
        }
    }
}

impl Sequence for Fingerprinting {
    fn plan(&self, setup: &Setup, bodies: &[Body]) -> Result<Plan, SetupError> {
        if self.preparations.is_empty() || self.max_flip_angles_deg.is_empty() {
            return Err(SetupError::OutOfRange {
                what: "the number of beats",
                value: 0,
                minimum: 1,
                maximum: 1000,
            });
        }
        square_only(setup)?;
        let spiral = Spiral::new(SpiralOptions {
            matrix_size: setup.matrix_size[0],
            field_of_view_mm: setup.field_of_view_mm[0],
            ..self.spiral
        })?;
        let readout_ms = spiral.n_samples() as f64 * self.spiral.dwell_time_us * 1e-3;
        let missing_ms = self.echo_time_ms + readout_ms - self.repetition_time_ms;
        if missing_ms > 0.0 {
            return Err(SetupError::DoesNotFit { what: "an arm of the spiral", missing_ms });
        }
        let mut builder = PlanBuilder::new(setup, bodies)?;
        let arms = (0..self.spiral.n_arms).map(|arm| spiral.arm(arm)).collect();
        builder.plan.sample_positions = SamplePositions::Sets(arms);
        builder.plan.trajectory_description = Some(carried_positions());
        for slice in 0..setup.n_slices {
            self.slice(&mut builder, slice, &spiral)?;
        }
        let mut plan = builder.finish();
        plan.trajectory = Trajectory::Spiral;
        plan.sample_time_us = Some(self.spiral.dwell_time_us);
        plan.names = Names {
            protocol: "cMRF_T1_T2".into(),
            sequence: "spiral_cmrf_fisp".into(),
            sequence_type: "FISP".into(),
        };
        plan.parameters = SequenceParameters {
            tr: vec![self.repetition_time_ms as f32],
            te: vec![self.echo_time_ms as f32],
            flip_angle_deg: (0..self.preparations.len())
                .flat_map(|beat| self.flip_angles_deg(beat))
                .map(|angle_deg| angle_deg as f32)
                .collect(),
            sequence_type: Some("FISP".into()),
            ..SequenceParameters::default()
        };
        for (beat, &preparation) in self.preparations.iter().enumerate() {
            let value = match preparation {
                Preparation::None => 0.0,
                Preparation::Inversion => -1.0,
                Preparation::T2(echo_time_ms) => echo_time_ms,
            };
            plan.user_doubles.push((format!("Preparation_{beat}"), value));
        }
        plan.user_doubles.push(("InversionTime_ms".into(), self.inversion_time_ms));
        plan.user_doubles.push(("InversionFactor".into(), self.inversion_factor));
        plan.user_longs.push(("EchoesPerBeat".into(), self.n_echoes_per_beat as i64));
        Ok(plan)
    }
}

impl Fingerprinting {
    fn slice(
        &self,
        builder: &mut PlanBuilder<'_>,
        slice: usize,
        spiral: &Spiral,
    ) -> Result<(), SetupError> {
        let train_ms = self.n_echoes_per_beat as f64 * self.repetition_time_ms;
        let beats_ms = self.beats_ms(&builder.setup.motion.rhythm, builder.now_ms());
        let mut timeline = Timeline::starting_at(builder.now_ms());
        // Of each echo: time of the pulse and index.
        let mut pulses = Vec::new();
        for (beat, (&preparation, [_, start_ms])) in
            self.preparations.iter().zip(beats_ms).enumerate()
        {
            let before_ms = self.preparation_ms(preparation);
            timeline.wait_until("the preparation of a beat", start_ms - before_ms)?;
            match preparation {
                Preparation::None => {}
                Preparation::Inversion => {
                    timeline.play(Block::Inversion { factor: self.inversion_factor });
                }
                Preparation::T2(echo_time_ms) => {
                    let (efficiency, offset) = (1.0, 0.0);
                    timeline.play(Block::T2Preparation { echo_time_ms, efficiency, offset });
                }
            }
            timeline.wait_until("the echoes of a beat", start_ms)?;
            let first_echo = timeline.play(Block::SpoiledTrain(SpoiledTrain {
                flip_angles_deg: self.flip_angles_deg(beat),
                repetition_time_ms: self.repetition_time_ms,
                echo_times_ms: vec![self.echo_time_ms],
                spoiling: Spoiling::Gradient,
                n_dummies: 0,
            }));
            for echo in 0..self.n_echoes_per_beat {
                let pulse_ms = start_ms + echo as f64 * self.repetition_time_ms;
                pulses.push((beat, echo, pulse_ms, first_echo + echo));
            }
        }
        builder.advance_to(timeline.now_ms());
        builder.reserve(pulses.len())?;
        let echoes = timeline.steady_echoes(builder.setup, &builder.bodies[slice])?;
        let mut moment = 0;
        for (number, (beat, echo, pulse_ms, index)) in pulses.into_iter().enumerate() {
            if echo == 0 {
                moment = builder.moment(slice, pulse_ms + 0.5 * train_ms);
            }
            let signals = builder.echo(&echoes, index);
            let content = Content::Body { moment, signals };
            let arm = spiral.arm_of_shot(number);
            let counters = EncodingCounters {
                slice: slice as u16,
                repetition: beat as u16,
                segment: echo as u16,
                ..EncodingCounters::default()
            };
            let start_ms = pulse_ms + self.echo_time_ms;
            builder.readout(Readout {
                start_ms,
                since_trigger_ms: builder.setup.motion.rhythm.since_trigger_ms(start_ms),
                content,
                sampling: Sampling::Points {
                    positions: arm,
                    line: arm,
                    reversed: false,
                    center_sample: 0,
                    with_trajectory: true,
                },
                counters,
                flags: AcquisitionFlags::NONE,
                separate_calibration: false,
                phase_rad: 0.0,
                user_int: [0; 8],
            });
            if echo + 1 == self.n_echoes_per_beat {
                let counters = EncodingCounters { segment: 0, ..counters };
                builder.frame(counters, content, start_ms, Vec::new());
            }
        }
        Ok(())
    }
}
