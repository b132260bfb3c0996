//! Saturation recovery single-shot acquisition.

use ismrmrd::EncodingCounters;

use super::Sequence;
use super::builder::{PlanBuilder, in_range};
use super::single_shot::{Shot, SingleShot};
use super::timeline::Timeline;
use crate::physics::Block;
use crate::scan::{Body, Names, Plan, Setup, SetupError};

/// SASHA (Chow 2014): one image without saturation, then images at growing times after a
/// saturation in the same beat.
///
/// The images of a slice are numbered by `set`; the first is the one without saturation, for
/// which the header gives the time of [`Sasha::ANCHOR_TIME_MS`]. `user_int[7]` is the saturation
/// time in µs, which is where Gadgetron's chain reads it when it does not trust the protocol.
#[derive(Clone, Debug, PartialEq)]
pub struct Sasha {
    /// From the saturation to the centre of k-space of each image after the first, ms.
    pub saturation_times_ms: Vec<f64>,
    /// Mz after the saturation is this times Mz before it.
    pub residual: f64,
    /// The images' readout.
    pub readout: SingleShot,
}

impl Sasha {
    /// Saturation time that stands for no saturation.
    pub const ANCHOR_TIME_MS: f64 = 10_000.0;
}

impl Default for Sasha {
    fn default() -> Self {
        let readout = SingleShot { flip_angle_deg: 70.0, ..SingleShot::default() };
        let saturation_times_ms = (0..9).map(|n| 120.0 + 60.0 * f64::from(n)).collect();
        Self { saturation_times_ms, residual: 0.0, readout }
    }
}

impl Sequence for Sasha {
    fn plan(&self, setup: &Setup, bodies: &[Body]) -> Result<Plan, SetupError> {
        for &time_ms in &self.saturation_times_ms {
            in_range("a saturation time, ms,", time_ms, 1.0, Self::ANCHOR_TIME_MS)?;
        }
        let mut builder = PlanBuilder::new(setup, bodies)?;
        self.readout.check(&builder)?;
        for slice in 0..setup.n_slices {
            builder.reserve((1 + self.saturation_times_ms.len()) * setup.matrix_size[1])?;
            builder.separate_calibration(slice);
            self.slice(&mut builder, slice)?;
        }
        let mut plan = builder.finish();
        plan.names = Names {
            protocol: "SASHA".into(),
            sequence: "sasha_bssfp".into(),
            sequence_type: "TrueFISP".into(),
        };
        plan.parameters = self.readout.parameters();
        plan.parameters.ti = std::iter::once(Self::ANCHOR_TIME_MS)
            .chain(self.saturation_times_ms.iter().copied())
            .map(|time_ms| time_ms as f32)
            .collect();
        Ok(plan)
    }
}

impl Sasha {
    fn slice(&self, builder: &mut PlanBuilder<'_>, slice: usize) -> Result<(), SetupError> {
        let delay_ms = self.readout.trigger_delay_ms(builder);
        let mut timeline = Timeline::starting_at(builder.now_ms());
        let mut shots = Vec::new();
        let mut earliest_ms = builder.now_ms();
        let times_ms = std::iter::once(None).chain(self.saturation_times_ms.iter().map(Some));
        for (number, time_ms) in times_ms.enumerate() {
            let lead_ms = self.readout.lead_ms(builder, number);
            let before_ms = time_ms.map_or(lead_ms, |time_ms| time_ms.max(lead_ms));
            let begin_ms = timeline.now_ms() + before_ms - delay_ms;
            let trigger_ms = builder.trigger_from(begin_ms.max(earliest_ms));
            earliest_ms = builder.trigger_after(trigger_ms);
            let center_ms = trigger_ms + delay_ms;
            if let Some(time_ms) = time_ms {
                timeline.wait_until("the saturation", center_ms - time_ms)?;
                timeline.play(Block::Saturation { residual: self.residual });
            }
            timeline.wait_until("an image after its saturation", center_ms - lead_ms)?;
            let first_echo = timeline.play(self.readout.train(builder, number));
            let time_ms = *time_ms.unwrap_or(&Self::ANCHOR_TIME_MS);
            let mut user_int = [0; 8];
            user_int[7] = (1e3 * time_ms).round() as i32;
            shots.push(Shot {
                slice,
                counters: EncodingCounters {
                    slice: slice as u16,
                    set: number as u16,
                    ..EncodingCounters::default()
                },
                user_int,
                values: vec![("SaturationTime", time_ms)],
                center_ms,
                first_echo,
                number,
            });
        }
        builder.advance_to(timeline.now_ms());
        self.readout.read(builder, &timeline, shots)
    }
}
