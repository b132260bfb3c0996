//! Modified Look-Locker inversion recovery.

use std::str::FromStr;

use ismrmrd::EncodingCounters;

use super::Sequence;
use super::builder::PlanBuilder;
use super::single_shot::{Shot, SingleShot};
use super::timeline::Timeline;
use crate::physics::Block;
use crate::scan::{Body, Names, Plan, Setup, SetupError};

/// MOLLI: groups of images after an inversion each, in consecutive beats (Messroghli 2004;
/// shortened schemes of Kellman 2013; ShMOLLI of Piechnik 2010).
///
/// The images of a slice are numbered by `set`. As Gadgetron's chains expect it, `user_int[4]`
/// is the first inversion time of a readout's group in ms and `user_int[5]` the group, so that an
/// image's inversion time is the first one plus the time since the group's first image. The
/// header lists the exact times.
#[derive(Clone, Debug, PartialEq)]
pub struct Molli {
    /// How many images and pauses.
    pub scheme: MolliScheme,
    /// From the first inversion to the centre of k-space of its first image.
    pub first_inversion_time_ms: f64,
    /// What each further group's first inversion time is longer by.
    pub inversion_time_step_ms: f64,
    /// Mz after the inversion is minus this times Mz before it.
    pub inversion_factor: f64,
    /// The images' readout.
    pub readout: SingleShot,
}

impl Default for Molli {
    fn default() -> Self {
        Self {
            scheme: MolliScheme::native(),
            first_inversion_time_ms: 100.0,
            inversion_time_step_ms: 80.0,
            inversion_factor: 1.0,
            readout: SingleShot::default(),
        }
    }
}

/// Images and pauses of MOLLI, written like `5(3)3`: five images, three beats of pause, three
/// images. A pause of `(3s)` ends with the first R wave after three seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct MolliScheme {
    groups: Vec<(usize, Pause)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Pause {
    Beats(usize),
    Seconds(f64),
}

/// Text that is no scheme.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no MOLLI scheme: write images and pauses in turn, like 5(3)3, 4(1)3(1)2 or 5(3s)3"
)]
pub struct SchemeError(String);

impl MolliScheme {
    /// 5(3)3, for long T1.
    pub fn native() -> Self {
        Self { groups: vec![(5, Pause::Beats(3)), (3, Pause::Beats(0))] }
    }

    /// 4(1)3(1)2, for the short T1 after contrast agent.
    pub fn after_contrast() -> Self {
        let pause = Pause::Beats(1);
        Self { groups: vec![(4, pause), (3, pause), (2, Pause::Beats(0))] }
    }

    /// 5(1)1(1)1.
    pub fn shmolli() -> Self {
        let pause = Pause::Beats(1);
        Self { groups: vec![(5, pause), (1, pause), (1, Pause::Beats(0))] }
    }

    /// Images of all groups.
    pub fn n_images(&self) -> usize {
        self.groups.iter().map(|(n_images, _)| n_images).sum()
    }
}

impl FromStr for MolliScheme {
    type Err = SchemeError;

    fn from_str(text: &str) -> Result<Self, SchemeError> {
        let fault = || SchemeError(text.to_owned());
        let count = |text: &str| -> Result<usize, SchemeError> {
            text.trim().parse().ok().filter(|n| (1..=32).contains(n)).ok_or_else(fault)
        };
        let mut groups = Vec::new();
        let mut rest = text.trim();
        while let Some((images, after)) = rest.split_once('(') {
            let (pause, after) = after.split_once(')').ok_or_else(fault)?;
            let pause = match pause.trim().strip_suffix('s') {
                Some(seconds) => {
                    let seconds: f64 = seconds.parse().map_err(|_| fault())?;
                    if !(0.0..=60.0).contains(&seconds) {
                        return Err(fault());
                    }
                    Pause::Seconds(seconds)
                }
                None => Pause::Beats(count(pause)?),
            };
            groups.push((count(images)?, pause));
            rest = after;
        }
        groups.push((count(rest)?, Pause::Beats(0)));
        Ok(Self { groups })
    }
}

impl std::fmt::Display for MolliScheme {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (n_images, pause) in &self.groups {
            write!(f, "{n_images}")?;
            match pause {
                Pause::Beats(0) => {}
                Pause::Beats(n) => write!(f, "({n})")?,
                Pause::Seconds(seconds) => write!(f, "({seconds}s)")?,
            }
        }
        Ok(())
    }
}

impl Sequence for Molli {
    fn plan(&self, setup: &Setup, bodies: &[Body]) -> Result<Plan, SetupError> {
        let mut builder = PlanBuilder::new(setup, bodies)?;
        self.readout.check(&builder)?;
        for slice in 0..setup.n_slices {
            builder.reserve(self.scheme.n_images() * setup.matrix_size[1])?;
            builder.separate_calibration(slice);
            self.slice(&mut builder, slice)?;
        }
        let mut plan = builder.finish();
        plan.names = Names {
            protocol: format!("MOLLI_{}", self.scheme),
            sequence: "molli_bssfp".into(),
            sequence_type: "TrueFISP".into(),
        };
        plan.parameters = self.readout.parameters();
        plan.parameters.ti = plan
            .frames
            .iter()
            .filter(|frame| frame.counters.slice == 0)
            .flat_map(|frame| frame.values.iter().map(|(_, value)| *value as f32))
            .collect();
        plan.user_doubles.push(("InversionFactor".into(), self.inversion_factor));
        // The longest inversion time has the best contrast to register others to.
        plan.reference_frame = (0..plan.frames.len())
            .filter(|&n| plan.frames[n].counters.slice == 0)
            .max_by(|&a, &b| plan.frames[a].values[0].1.total_cmp(&plan.frames[b].values[0].1))
            .unwrap_or(0);
        Ok(plan)
    }
}

impl Molli {
    fn slice(&self, builder: &mut PlanBuilder<'_>, slice: usize) -> Result<(), SetupError> {
        let delay_ms = self.readout.trigger_delay_ms(builder);
        let mut timeline = Timeline::starting_at(builder.now_ms());
        let mut shots: Vec<Shot> = Vec::new();
        let mut earliest_ms = builder.now_ms();
        for (group, &(n_images, pause)) in self.scheme.groups.iter().enumerate() {
            let first_ms =
                self.first_inversion_time_ms + group as f64 * self.inversion_time_step_ms;
            let mut inversion_ms = 0.0;
            for image in 0..n_images {
                let number = shots.len();
                let lead_ms = self.readout.lead_ms(builder, number);
                let before_ms = if image == 0 { lead_ms.max(first_ms) } else { lead_ms };
                let begin_ms = timeline.now_ms() + before_ms - delay_ms;
                let trigger_ms = builder.trigger_from(begin_ms.max(earliest_ms));
                earliest_ms = builder.trigger_after(trigger_ms);
                let center_ms = trigger_ms + delay_ms;
                if image == 0 {
                    inversion_ms = center_ms - first_ms;
                    timeline.wait_until("the inversion", inversion_ms)?;
                    timeline.play(Block::Inversion { factor: self.inversion_factor });
                }
                timeline.wait_until("an image after its inversion", center_ms - lead_ms)?;
                let first_echo = timeline.play(self.readout.train(builder, number));
                let mut user_int = [0; 8];
                user_int[4] = first_ms.round() as i32;
                user_int[5] = group as i32;
                shots.push(Shot {
                    slice,
                    counters: EncodingCounters {
                        slice: slice as u16,
                        set: number as u16,
                        ..EncodingCounters::default()
                    },
                    user_int,
                    values: vec![("InversionTime", center_ms - inversion_ms)],
                    center_ms,
                    first_echo,
                    number,
                });
            }
            earliest_ms = match pause {
                Pause::Beats(n_beats) => {
                    (0..n_beats).fold(earliest_ms, |from_ms, _| builder.trigger_after(from_ms))
                }
                Pause::Seconds(seconds) => builder.trigger_from(timeline.now_ms() + 1e3 * seconds),
            };
        }
        builder.advance_to(timeline.now_ms());
        self.readout.read(builder, &timeline, shots)
    }
}
