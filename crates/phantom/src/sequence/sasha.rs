//! Saturation recovery single-shot acquisition, for T1 or, with T2 preparations, for T1 and T2.

use ismrmrd::EncodingCounters;

use super::Sequence;
use super::builder::{PlanBuilder, in_range};
use super::single_shot::{Shot, SingleShot};
use super::t2_prepared::MAX_PREPARATION_MS;
use super::timeline::Timeline;
use crate::physics::Block;
use crate::scan::{Body, Names, Plan, Setup, SetupError};

/// SASHA (Chow 2014): one image without saturation, then images at growing times after a
/// saturation in the same beat. With T2 preparations between saturation and image (multiparametric
/// SASHA, Chow 2022) T2 can be told too: [`Sasha::t1_and_t2`].
///
/// The images of a slice are numbered by `set`; the first is the one without saturation, for
/// which the header gives the time of [`Sasha::ANCHOR_TIME_MS`]. `user_int[7]` is the saturation
/// time in µs, which is where Gadgetron's chain reads it when it does not trust the protocol. Where there are T2 preparations, the header's
/// user parameters `T2PrepDuration_0`, … hold their echo times in ms, 0 for an image without, and
/// `T2PrepDelay` the time from their end to the centre of k-space.
#[derive(Clone, Debug, PartialEq)]
pub struct Sasha {
    /// From the saturation to the centre of k-space of each image after the first, ms.
    pub saturation_times_ms: Vec<f64>,
    /// Echo time of the T2 preparation of each of these images, right before its readout, ms; 0 or
    /// nothing for one without.
    pub t2_preparation_times_ms: Vec<f64>,
    /// Mz after the saturation is this times Mz before it.
    pub residual: f64,
    /// The images' readout.
    pub readout: SingleShot,
}

impl Sasha {
    /// Saturation time that stands for no saturation.
    pub const ANCHOR_TIME_MS: f64 = 10_000.0;

    /// Eleven images for T1 and T2: one without preparation, five after a saturation, five that have
    /// a T2 preparation too, all of them long after the saturation, where there is signal left.
    pub fn t1_and_t2() -> Self {
        const LONGEST_MS: f64 = 600.0;
        let saturations = [120.0, 240.0, 360.0, 480.0, LONGEST_MS];
        let preparations = [25.0, 40.0, 55.0, 70.0, 80.0];
        let prepared = preparations.map(|_| LONGEST_MS);
        Self {
            saturation_times_ms: [saturations, prepared].concat(),
            t2_preparation_times_ms: [[0.0; 5], preparations].concat(),
            ..Self::default()
        }
    }
}

impl Default for Sasha {
    fn default() -> Self {
        let readout = SingleShot { flip_angle_deg: 70.0, ..SingleShot::default() };
        let saturation_times_ms = (0..9).map(|n| 120.0 + 60.0 * f64::from(n)).collect();
        Self { saturation_times_ms, t2_preparation_times_ms: Vec::new(), residual: 0.0, readout }
    }
}

impl Sequence for Sasha {
    fn plan(&self, setup: &Setup, bodies: &[Body]) -> Result<Plan, SetupError> {
        for &time_ms in &self.saturation_times_ms {
            in_range("a saturation time, ms,", time_ms, 1.0, Self::ANCHOR_TIME_MS)?;
        }
        let n_preparations = self.t2_preparation_times_ms.len();
        if n_preparations > self.saturation_times_ms.len() {
            return Err(SetupError::OutOfRange {
                what: "the number of T2 preparations of images after a saturation",
                value: n_preparations,
                minimum: 0,
                maximum: self.saturation_times_ms.len(),
            });
        }
        for &time_ms in &self.t2_preparation_times_ms {
            in_range("a preparation time, ms,", time_ms, 0.0, MAX_PREPARATION_MS)?;
        }
        let mut builder = PlanBuilder::new(setup, bodies)?;
        self.readout.check(&builder)?;
        let first_prepared = self.t2_preparation_times_ms.iter().position(|time_ms| *time_ms > 0.0);
        // The image without saturation comes first.
        let delay_ms = first_prepared.map(|place| self.readout.lead_ms(&builder, place + 1));
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
        if let Some(delay_ms) = delay_ms {
            plan.names.protocol = "mSASHA".into();
            for number in 0..=self.saturation_times_ms.len() {
                let time_ms = self.t2_preparation_ms(number);
                plan.user_doubles.push((format!("T2PrepDuration_{number}"), time_ms));
            }
            plan.user_doubles.push(("T2PrepDelay".into(), delay_ms));
        }
        Ok(plan)
    }
}

impl Sasha {
    /// Echo time of the T2 preparation of an image, counted with the one without saturation.
    fn t2_preparation_ms(&self, number: usize) -> f64 {
        let place = number.checked_sub(1);
        place.and_then(|place| self.t2_preparation_times_ms.get(place)).copied().unwrap_or(0.0)
    }

    fn slice(&self, builder: &mut PlanBuilder<'_>, slice: usize) -> Result<(), SetupError> {
        let delay_ms = self.readout.trigger_delay_ms(builder);
        let mut timeline = Timeline::starting_at(builder.now_ms());
        let mut shots = Vec::new();
        let mut earliest_ms = builder.now_ms();
        let times_ms = std::iter::once(None).chain(self.saturation_times_ms.iter().map(Some));
        for (number, time_ms) in times_ms.enumerate() {
            let lead_ms = self.readout.lead_ms(builder, number);
            let echo_time_ms = self.t2_preparation_ms(number);
            let prepared_ms = lead_ms + echo_time_ms;
            let before_ms = time_ms.map_or(prepared_ms, |time_ms| time_ms.max(prepared_ms));
            let begin_ms = timeline.now_ms() + before_ms - delay_ms;
            let trigger_ms = builder.trigger_from(begin_ms.max(earliest_ms));
            earliest_ms = builder.trigger_after(trigger_ms);
            let center_ms = trigger_ms + delay_ms;
            if let Some(time_ms) = time_ms {
                timeline.wait_until("the saturation", center_ms - time_ms)?;
                timeline.play(Block::Saturation { residual: self.residual });
            }
            if echo_time_ms > 0.0 {
                timeline.wait_until("the T2 preparation", center_ms - prepared_ms)?;
                timeline.play(Block::T2Preparation { echo_time_ms, efficiency: 1.0, offset: 0.0 });
            }
            timeline.wait_until("an image after its saturation", center_ms - lead_ms)?;
            let first_echo = timeline.play(self.readout.train(builder, number));
            let time_ms = *time_ms.unwrap_or(&Self::ANCHOR_TIME_MS);
            let mut user_int = [0; 8];
            user_int[7] = (1e3 * time_ms).round() as i32;
            let mut values = vec![("SaturationTime", time_ms)];
            if echo_time_ms > 0.0 {
                values.push(("T2PreparationTime", echo_time_ms));
            }
            shots.push(Shot {
                slice,
                counters: EncodingCounters {
                    slice: slice as u16,
                    set: number as u16,
                    ..EncodingCounters::default()
                },
                user_int,
                values,
                center_ms,
                first_echo,
                number,
            });
        }
        builder.advance_to(timeline.now_ms());
        self.readout.read(builder, &timeline, shots)
    }
}
