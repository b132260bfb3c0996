//! T2 mapping by balanced images after T2 preparations.

use ismrmrd::EncodingCounters;

use super::Sequence;
use super::builder::{PlanBuilder, in_range};
use super::single_shot::{Shot, SingleShot};
use super::timeline::Timeline;
use crate::physics::Block;
use crate::scan::{Body, Names, Plan, Setup, SetupError};

/// T2-prepared balanced images with beats of recovery between them (Giri 2009).
///
/// The images of a slice are numbered by `set`; the header's user parameters
/// `T2PrepDuration_0`, `T2PrepDuration_1`, … hold the echo times of the preparations in ms, as
/// Gadgetron reads them.
#[derive(Clone, Debug, PartialEq)]
pub struct T2Prepared {
    /// Echo time of each image's preparation, ms; 0 means none.
    pub preparation_times_ms: Vec<f64>,
    /// Beats from one image to the next.
    pub n_recovery_beats: usize,
    /// What is left of the magnetisation besides relaxation.
    pub efficiency: f64,
    /// Part of the recovery by T1 that happens during the preparation.
    pub offset: f64,
    /// The images' readout.
    pub readout: SingleShot,
}

/// More beats of recovery change nothing.
const MAX_RECOVERY_BEATS: usize = 100;

/// Nothing is left after longer preparations.
pub(super) const MAX_PREPARATION_MS: f64 = 2000.0;

impl Default for T2Prepared {
    fn default() -> Self {
        Self {
            preparation_times_ms: vec![0.0, 25.0, 55.0],
            n_recovery_beats: 3,
            efficiency: 1.0,
            offset: 0.0,
            readout: SingleShot { flip_angle_deg: 70.0, ..SingleShot::default() },
        }
    }
}

impl Sequence for T2Prepared {
    fn plan(&self, setup: &Setup, bodies: &[Body]) -> Result<Plan, SetupError> {
        if !(1..=MAX_RECOVERY_BEATS).contains(&self.n_recovery_beats) {
            return Err(SetupError::OutOfRange {
                what: "the number of beats from one image to the next",
                value: self.n_recovery_beats,
                minimum: 1,
                maximum: MAX_RECOVERY_BEATS,
            });
        }
        for &time_ms in &self.preparation_times_ms {
            in_range("a preparation time, ms,", time_ms, 0.0, MAX_PREPARATION_MS)?;
        }
        let mut builder = PlanBuilder::new(setup, bodies)?;
        self.readout.check(&builder)?;
        for slice in 0..setup.n_slices {
            builder.reserve(self.preparation_times_ms.len() * setup.matrix_size[1])?;
            builder.separate_calibration(slice);
            self.slice(&mut builder, slice)?;
        }
        let mut plan = builder.finish();
        plan.names = Names {
            protocol: "T2_map".into(),
            sequence: "t2prep_bssfp".into(),
            sequence_type: "TrueFISP".into(),
        };
        plan.parameters = self.readout.parameters();
        for (n, &time_ms) in self.preparation_times_ms.iter().enumerate() {
            plan.user_doubles.push((format!("T2PrepDuration_{n}"), time_ms));
        }
        Ok(plan)
    }
}

impl T2Prepared {
    fn slice(&self, builder: &mut PlanBuilder<'_>, slice: usize) -> Result<(), SetupError> {
        let delay_ms = self.readout.trigger_delay_ms(builder);
        let mut timeline = Timeline::starting_at(builder.now_ms());
        let mut shots = Vec::new();
        let mut earliest_ms = builder.now_ms();
        for (number, &echo_time_ms) in self.preparation_times_ms.iter().enumerate() {
            let lead_ms = self.readout.lead_ms(builder, number);
            let begin_ms = timeline.now_ms() + lead_ms + echo_time_ms - delay_ms;
            let trigger_ms = builder.trigger_from(begin_ms.max(earliest_ms));
            earliest_ms = (0..self.n_recovery_beats)
                .fold(trigger_ms, |from_ms, _| builder.trigger_after(from_ms));
            let center_ms = trigger_ms + delay_ms;
            let (efficiency, offset) = (self.efficiency, self.offset);
            timeline.wait_until("the T2 preparation", center_ms - lead_ms - echo_time_ms)?;
            timeline.play(Block::T2Preparation { echo_time_ms, efficiency, offset });
            let first_echo = timeline.play(self.readout.train(builder, number));
            shots.push(Shot {
                slice,
                counters: EncodingCounters {
                    slice: slice as u16,
                    set: number as u16,
                    ..EncodingCounters::default()
                },
                user_int: [0; 8],
                values: vec![("T2PreparationTime", echo_time_ms)],
                center_ms,
                first_echo,
                number,
            });
        }
        builder.advance_to(timeline.now_ms());
        self.readout.read(builder, &timeline, shots)
    }
}
