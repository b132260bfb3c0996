//! How breathing moves the heart.

use rand_distr::{Distribution, StandardNormal, StandardUniform};

use super::cycle::smooth_step;
use crate::noise::random_numbers;

/// Told apart from other uses of the same seed.
const STREAM: u64 = u64::from_be_bytes(*b"breaths.");

/// Breaths after which free breathing repeats itself.
const N_BREATHS: usize = 1024;

/// Longest breath-hold that has random jumps, in slots of [`JUMP_SLOT_MS`]: ten minutes.
const N_JUMP_SLOTS: usize = 600;

/// At most one random jump lies in such a stretch of time, ms.
const JUMP_SLOT_MS: f64 = 1000.0;

/// How long the heart takes to jump, ms.
const JUMP_MS: f64 = 150.0;

/// How the patient breathes.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum BreathingPattern {
    /// The heart stays at its reference.
    #[default]
    Still,
    /// A breath-hold, more or less well kept.
    Hold(BreathHold),
    /// Free breathing.
    Free(FreeBreathing),
}

/// A breath-hold that is not perfect.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BreathHold {
    /// How fast the diaphragm drifts.
    pub drift_mm_per_s: f64,
    /// Sudden changes: time from the start of the scan in ms, and how far in mm. Each takes
    /// 150 ms.
    pub jumps: Vec<(f64, f64)>,
    /// Of a further jump at a random time within each second, 0 to 1. They end after ten
    /// minutes.
    pub jump_probability_per_s: f64,
    /// Standard deviation of the random jumps, mm.
    pub jump_sd_mm: f64,
}

/// Free breathing. The position is amplitude · sin²ⁿ(π·u) with u from 0 to 1 over each breath:
/// 0 at the end of expiration, where it stays longest (Lujan et al. 1999).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FreeBreathing {
    /// Mean length of a breath, 1000 to 20000 ms.
    pub period_ms: f64,
    /// From the end of expiration to that of inspiration, 0 to 60 mm.
    pub amplitude_mm: f64,
    /// Standard deviation of both from breath to breath over their mean, 0 to 0.5.
    pub variability: f64,
    /// n of sin²ⁿ: 1 is a sinus, 2 to 3 usual; 1 to 8.
    pub exponent: u32,
    /// How fast the end of expiration drifts.
    pub drift_mm_per_s: f64,
    /// Part of a breath that is over when the scan begins, 0 to 1.
    pub start_phase: f64,
}

impl Default for FreeBreathing {
    /// 15 regular breaths per minute of 10 mm.
    fn default() -> Self {
        Self {
            period_ms: 4000.0,
            amplitude_mm: 10.0,
            variability: 0.0,
            exponent: 2,
            drift_mm_per_s: 0.0,
            start_phase: 0.0,
        }
    }
}

/// Choices of a [`Breathing`].
#[derive(Clone, Debug, PartialEq)]
pub struct BreathingOptions {
    /// How.
    pub pattern: BreathingPattern,
    /// Where inspiration moves the heart in the image plane, \[x, y\]; only its direction
    /// counts.
    pub direction: [f64; 2],
    /// Of all random numbers.
    pub seed: u64,
}

impl Default for BreathingOptions {
    /// A perfect breath-hold; the direction is mostly down.
    fn default() -> Self {
        Self { pattern: BreathingPattern::Still, direction: [0.25, 1.0], seed: 0 }
    }
}

/// Where breathing has the heart at any moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Breathing {
    drift_mm_per_s: f64,
    course: Course,
    direction: [f64; 2],
}

/// What comes on top of the drift.
#[derive(Clone, Debug, PartialEq)]
enum Course {
    /// Jumps in the order of their times: time in ms, size in mm.
    Jumps(Vec<(f64, f64)>),
    Breaths {
        /// Start of each breath, ascending from 0, with the period at the end, ms.
        starts_ms: Vec<f64>,
        amplitudes_mm: Vec<f64>,
        exponent: u32,
        /// Time in the first breath at the start of the scan, ms.
        offset_ms: f64,
    },
}

/// Options that make no breathing.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum BreathingError {
    /// A choice outside its range.
    #[error("the {what} is {value}: choose {minimum} to {maximum}")]
    OutOfRange {
        /// What was chosen.
        what: &'static str,
        /// Its value.
        value: f64,
        /// Smallest.
        minimum: f64,
        /// Largest.
        maximum: f64,
    },
    /// A direction of no length, or one that is not finite.
    #[error("the direction of breathing is [{}, {}]: choose a vector other than 0", .0[0], .0[1])]
    Direction([f64; 2]),
}

impl Breathing {
    /// Draws the course of breathing. Breath or second `n` has its own random numbers.
    ///
    /// # Errors
    /// [`BreathingError`] for the first choice outside its range.
    pub fn new(options: &BreathingOptions) -> Result<Self, BreathingError> {
        let length = options.direction[0].hypot(options.direction[1]);
        if !(length.is_finite() && length > 0.0) {
            return Err(BreathingError::Direction(options.direction));
        }
        let (drift_mm_per_s, course) = match &options.pattern {
            BreathingPattern::Still => (0.0, Course::Jumps(Vec::new())),
            BreathingPattern::Hold(hold) => {
                hold.check()?;
                (hold.drift_mm_per_s, Course::Jumps(hold.all_jumps(options.seed)))
            }
            BreathingPattern::Free(free) => {
                free.check()?;
                (free.drift_mm_per_s, free.course(options.seed))
            }
        };
        let direction = options.direction.map(|component| component / length);
        Ok(Self { drift_mm_per_s, course, direction })
    }

    /// No breathing at all.
    pub fn still() -> Self {
        let BreathingOptions { direction, .. } = BreathingOptions::default();
        Self { drift_mm_per_s: 0.0, course: Course::Jumps(Vec::new()), direction }
    }

    /// How far breathing has moved the heart, mm along its direction; inspiration is
    /// positive.
    ///
    /// * `t_ms`: from the start of the scan.
    pub fn position_mm(&self, t_ms: f64) -> f64 {
        let drift_mm = self.drift_mm_per_s * t_ms / 1000.0;
        drift_mm + self.course.position_mm(t_ms)
    }

    /// [`Breathing::position_mm`] in the image plane: \[x, y\].
    pub fn shift_mm(&self, t_ms: f64) -> [f64; 2] {
        let position_mm = self.position_mm(t_ms);
        self.direction.map(|component| component * position_mm)
    }
}

impl Course {
    fn position_mm(&self, t_ms: f64) -> f64 {
        match self {
            Self::Jumps(jumps) => jumps
                .iter()
                .take_while(|(start_ms, _)| *start_ms < t_ms)
                .map(|(start_ms, size_mm)| size_mm * smooth_step((t_ms - start_ms) / JUMP_MS))
                .sum(),
            Self::Breaths { starts_ms, amplitudes_mm, exponent, offset_ms } => {
                let n_breaths = amplitudes_mm.len();
                let since_round_ms = (t_ms + offset_ms).rem_euclid(starts_ms[n_breaths]);
                let breath =
                    starts_ms[1..n_breaths].partition_point(|&start| start <= since_round_ms);
                let length_ms = starts_ms[breath + 1] - starts_ms[breath];
                let part = (since_round_ms - starts_ms[breath]) / length_ms;
                let sine = (std::f64::consts::PI * part).sin();
                amplitudes_mm[breath] * sine.powi(2 * *exponent as i32)
            }
        }
    }
}

impl BreathHold {
    fn check(&self) -> Result<(), BreathingError> {
        check_range("drift in mm/s", self.drift_mm_per_s, -20.0, 20.0)?;
        check_range("probability of jumps", self.jump_probability_per_s, 0.0, 1.0)?;
        check_range("standard deviation of jumps in mm", self.jump_sd_mm, 0.0, 30.0)?;
        for (time_ms, size_mm) in &self.jumps {
            check_range("time of a jump in ms", *time_ms, -1e9, 1e9)?;
            check_range("size of a jump in mm", *size_mm, -60.0, 60.0)?;
        }
        Ok(())
    }

    /// Those that were given and those that are drawn, in order.
    fn all_jumps(&self, seed: u64) -> Vec<(f64, f64)> {
        let mut jumps = self.jumps.clone();
        if self.jump_probability_per_s > 0.0 {
            jumps.extend((0..N_JUMP_SLOTS).filter_map(|slot| {
                let mut random = random_numbers(seed ^ STREAM, slot as u64);
                let [jumps, part]: [f64; 2] =
                    [StandardUniform.sample(&mut random), StandardUniform.sample(&mut random)];
                let deviate: f64 = StandardNormal.sample(&mut random);
                (jumps < self.jump_probability_per_s)
                    .then_some(((slot as f64 + part) * JUMP_SLOT_MS, deviate * self.jump_sd_mm))
            }));
        }
        jumps.sort_by(|a, b| a.0.total_cmp(&b.0));
        jumps
    }
}

impl FreeBreathing {
    fn check(&self) -> Result<(), BreathingError> {
        check_range("length of a breath in ms", self.period_ms, 1000.0, 20_000.0)?;
        check_range("amplitude of breathing in mm", self.amplitude_mm, 0.0, 60.0)?;
        check_range("variability of breathing", self.variability, 0.0, 0.5)?;
        check_range("exponent of breathing", f64::from(self.exponent), 1.0, 8.0)?;
        check_range("drift in mm/s", self.drift_mm_per_s, -20.0, 20.0)?;
        check_range("start phase of breathing", self.start_phase, 0.0, 1.0)
    }

    fn course(&self, seed: u64) -> Course {
        let mut starts_ms = vec![0.0];
        let mut amplitudes_mm = Vec::with_capacity(N_BREATHS);
        let mut start_ms = 0.0;
        for breath in 0..N_BREATHS {
            let mut random = random_numbers(seed ^ STREAM, breath as u64);
            let [length, depth] = std::array::from_fn(|_| {
                let deviate: f64 = StandardNormal.sample(&mut random);
                // Within 1.8 deviations, so that a breath of variability 0.5 keeps a tenth.
                1.0 + self.variability * deviate.clamp(-1.8, 1.8)
            });
            start_ms += self.period_ms * length;
            starts_ms.push(start_ms);
            amplitudes_mm.push(self.amplitude_mm * depth);
        }
        let offset_ms = self.start_phase * starts_ms[1];
        Course::Breaths { starts_ms, amplitudes_mm, exponent: self.exponent, offset_ms }
    }
}

fn check_range(
    what: &'static str,
    value: f64,
    minimum: f64,
    maximum: f64,
) -> Result<(), BreathingError> {
    if (minimum..=maximum).contains(&value) {
        Ok(())
    } else {
        Err(BreathingError::OutOfRange { what, value, minimum, maximum })
    }
}

#[cfg(test)]
mod tests;
