//! When the heart beats.

use rand_distr::{Distribution, StandardNormal, StandardUniform};

use crate::noise::random_numbers;

/// Told apart from other uses of the same seed.
const STREAM: u64 = u64::from_be_bytes(*b"rhythm..");

/// Beats after which a rhythm that was drawn repeats itself: an hour and more.
const N_BEATS: usize = 4096;

/// Shortest interval that is ever drawn, ms: the ventricle is refractory before.
const MIN_RR_INTERVAL_MS: f64 = 250.0;

/// An ectopic beat comes after this part of the mean interval.
const ECTOPIC_PREMATURITY: f64 = 0.6;

/// Normal deviates beyond this many standard deviations are drawn in.
const MAX_DEVIATION: f64 = 3.0;

/// Choices of a [`Rhythm`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RhythmOptions {
    /// Mean interval between two R waves, 350 to 2000 ms.
    pub rr_interval_ms: f64,
    /// Standard deviation of an interval over its mean, 0 to 0.3: atrial fibrillation has 0.2.
    pub variability: f64,
    /// Respiratory sinus arrhythmia: amplitude over the mean of the interval's rise and fall
    /// with breathing, 0 to 0.3.
    pub respiratory_modulation: f64,
    /// Of this breathing, 1000 to 20000 ms.
    pub respiratory_period_ms: f64,
    /// Of a beat to come early, at 0.6 of the mean interval, and be followed by a
    /// compensatory pause; 0 to 0.5.
    pub ectopic_probability: f64,
    /// Of an R wave that the scanner does not see, so that an interval seems doubled; 0 to 0.5.
    pub missed_trigger_probability: f64,
    /// Time of the first R wave from the start of the scan, ms.
    pub first_r_wave_ms: f64,
    /// Of all random numbers.
    pub seed: u64,
}

impl Default for RhythmOptions {
    /// Exactly 60 beats per minute.
    fn default() -> Self {
        Self {
            rr_interval_ms: 1000.0,
            variability: 0.0,
            respiratory_modulation: 0.0,
            respiratory_period_ms: 4000.0,
            ectopic_probability: 0.0,
            missed_trigger_probability: 0.0,
            first_r_wave_ms: 0.0,
            seed: 0,
        }
    }
}

/// One heartbeat: from its R wave to the next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Beat {
    /// Number of its R wave: 0 is the first of the scan, negative ones came before.
    pub index: i64,
    /// Time of its R wave from the start of the scan, ms.
    pub r_wave_ms: f64,
    /// From its R wave to the next one, ms.
    pub rr_interval_ms: f64,
    /// Whether it came early from a focus of its own in the ventricle.
    pub is_ectopic: bool,
    /// Whether the scanner saw its R wave.
    pub is_seen: bool,
}

/// The R waves of a scan. There is no last one: what was drawn or given repeats itself, before
/// the scan as well, so any moment can be asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Rhythm {
    first_r_wave_ms: f64,
    /// Of the R waves from the first one, ascending from 0, with the period at the end.
    starts_ms: Vec<f64>,
    is_ectopic: Vec<bool>,
    is_seen: Vec<bool>,
}

/// Options or intervals that make no rhythm.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum RhythmError {
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
    /// A list without intervals.
    #[error("a rhythm needs at least one RR interval")]
    NoIntervals,
    /// An interval of a list that no heart has.
    #[error("RR interval {index} is {value} ms: choose 200 to 10000 ms")]
    Interval {
        /// Its place in the list, from 0.
        index: usize,
        /// What it is.
        value: f64,
    },
    /// None of a list's R waves is seen.
    #[error("all {0} R waves are missed: let the scanner see at least one")]
    AllMissed(usize),
    /// An R wave to be missed that is not in the list.
    #[error("R wave {index} cannot be missed, the list has {n_beats} intervals")]
    NoSuchBeat {
        /// Its number, from 0.
        index: usize,
        /// Intervals of the list.
        n_beats: usize,
    },
}

impl Default for Rhythm {
    /// Sixty even beats a minute.
    fn default() -> Self {
        Self {
            first_r_wave_ms: RhythmOptions::default().first_r_wave_ms,
            starts_ms: vec![0.0, 1000.0],
            is_ectopic: vec![false],
            is_seen: vec![true],
        }
    }
}

impl Rhythm {
    /// Draws a rhythm. Beat `n` has its own random numbers, so that other options change none of
    /// them.
    ///
    /// Intervals are normal, drawn in at three standard deviations, never below 250 ms. The
    /// first R wave is always seen and never ectopic, and no two ectopic beats follow each
    /// other. After 4096 beats it repeats.
    ///
    /// # Errors
    /// [`RhythmError::OutOfRange`] for the first option outside its range.
    pub fn new(options: &RhythmOptions) -> Result<Self, RhythmError> {
        options.check()?;
        let mean_ms = options.rr_interval_ms;
        let mut rhythm = Self {
            first_r_wave_ms: options.first_r_wave_ms,
            starts_ms: Vec::with_capacity(N_BEATS + 1),
            is_ectopic: vec![false; N_BEATS],
            is_seen: vec![true; N_BEATS],
        };
        let mut start_ms = 0.0;
        // What the sinus node would have had next, left by an early beat.
        let mut pause_ms = None;
        for beat in 0..N_BEATS {
            let mut random = random_numbers(options.seed ^ STREAM, beat as u64);
            let deviate: f64 = StandardNormal.sample(&mut random);
            let [ectopic, missed]: [f64; 2] =
                [StandardUniform.sample(&mut random), StandardUniform.sample(&mut random)];
            rhythm.starts_ms.push(start_ms);
            rhythm.is_seen[beat] = beat == 0 || missed >= options.missed_trigger_probability;
            let breath = std::f64::consts::TAU * start_ms / options.respiratory_period_ms;
            let deviation = options.variability * deviate.clamp(-MAX_DEVIATION, MAX_DEVIATION);
            let sinus_ms =
                mean_ms * (1.0 + deviation + options.respiratory_modulation * breath.sin());
            let next_is_ectopic =
                pause_ms.is_none() && beat + 1 < N_BEATS && ectopic < options.ectopic_probability;
            let interval_ms = match pause_ms.take() {
                Some(left_ms) => sinus_ms + left_ms,
                None if next_is_ectopic => {
                    rhythm.is_ectopic[beat + 1] = true;
                    let early_ms = sinus_ms * ECTOPIC_PREMATURITY;
                    pause_ms = Some(sinus_ms - early_ms.max(MIN_RR_INTERVAL_MS));
                    early_ms
                }
                None => sinus_ms,
            };
            start_ms += interval_ms.max(MIN_RR_INTERVAL_MS);
        }
        rhythm.starts_ms.push(start_ms);
        Ok(rhythm)
    }

    /// A rhythm with exactly these intervals, then the same again.
    ///
    /// * `rr_intervals_ms`: 200 to 10000 ms each; the first R wave is at the start of the scan.
    /// * `missed`: numbers of the R waves that the scanner does not see.
    ///
    /// # Errors
    /// [`RhythmError`] for an empty list, an impossible interval, a missed R wave that is not in
    /// the list, or a list of which none is seen.
    pub fn from_intervals(rr_intervals_ms: &[f64], missed: &[usize]) -> Result<Self, RhythmError> {
        let n_beats = rr_intervals_ms.len();
        if n_beats == 0 {
            return Err(RhythmError::NoIntervals);
        }
        let mut starts_ms = vec![0.0];
        let mut start_ms = 0.0;
        for (index, &value) in rr_intervals_ms.iter().enumerate() {
            if !(200.0..=10_000.0).contains(&value) {
                return Err(RhythmError::Interval { index, value });
            }
            start_ms += value;
            starts_ms.push(start_ms);
        }
        let mut is_seen = vec![true; n_beats];
        for &index in missed {
            *is_seen.get_mut(index).ok_or(RhythmError::NoSuchBeat { index, n_beats })? = false;
        }
        if !is_seen.contains(&true) {
            return Err(RhythmError::AllMissed(n_beats));
        }
        Ok(Self { first_r_wave_ms: 0.0, starts_ms, is_ectopic: vec![false; n_beats], is_seen })
    }

    /// Beat `index`; 0 is the first of the scan, and negative ones came before it.
    pub fn beat(&self, index: i64) -> Beat {
        let n_beats = self.is_seen.len() as i64;
        let (round, place) = (index.div_euclid(n_beats), index.rem_euclid(n_beats) as usize);
        let period_ms = self.starts_ms[self.is_seen.len()];
        let start_ms = self.starts_ms[place];
        Beat {
            index,
            r_wave_ms: self.first_r_wave_ms + round as f64 * period_ms + start_ms,
            rr_interval_ms: self.starts_ms[place + 1] - start_ms,
            is_ectopic: self.is_ectopic[place],
            is_seen: self.is_seen[place],
        }
    }

    /// The beat that a moment belongs to.
    ///
    /// * `t_ms`: from the start of the scan, a finite number.
    pub fn beat_at(&self, t_ms: f64) -> Beat {
        let n_beats = self.is_seen.len();
        let since_first_ms = t_ms - self.first_r_wave_ms;
        let period_ms = self.starts_ms[n_beats];
        let round = (since_first_ms / period_ms).floor();
        let since_round_ms = since_first_ms - round * period_ms;
        let place = self.starts_ms[1..n_beats].partition_point(|&start| start <= since_round_ms);
        let beat = self.beat(round as i64 * n_beats as i64 + place as i64);
        // Rounding may have put a moment right at an R wave on its other side.
        if t_ms < beat.r_wave_ms {
            return self.beat(beat.index - 1);
        }
        let next = self.beat(beat.index + 1);
        if t_ms < next.r_wave_ms { beat } else { next }
    }

    /// All beats from the first R wave of the scan on, without end.
    pub fn beats(&self) -> impl Iterator<Item = Beat> + '_ {
        (0..).map(|index| self.beat(index))
    }

    /// Times of all R waves from the first one of the scan on, ms from the start of the scan,
    /// without end.
    pub fn r_waves_ms(&self) -> impl Iterator<Item = f64> + '_ {
        self.beats().map(|beat| beat.r_wave_ms)
    }

    /// Of [`Rhythm::r_waves_ms`] those that the scanner saw.
    pub fn triggers_ms(&self) -> impl Iterator<Item = f64> + '_ {
        self.beats().filter(|beat| beat.is_seen).map(|beat| beat.r_wave_ms)
    }

    /// The first R wave at or after a moment that the scanner sees, ms from the start of the
    /// scan: what a triggered sequence waits for.
    pub fn next_trigger_ms(&self, t_ms: f64) -> f64 {
        let current = self.beat_at(t_ms);
        let mut index = current.index + i64::from(current.r_wave_ms < t_ms);
        loop {
            let beat = self.beat(index);
            if beat.is_seen {
                return beat.r_wave_ms;
            }
            index += 1;
        }
    }

    /// The last R wave at or before a moment that the scanner saw, ms from the start of the
    /// scan.
    pub fn last_trigger_ms(&self, t_ms: f64) -> f64 {
        let mut beat = self.beat_at(t_ms);
        while !beat.is_seen {
            beat = self.beat(beat.index - 1);
        }
        beat.r_wave_ms
    }

    /// Mean interval of all R waves, seen or not.
    pub fn mean_rr_interval_ms(&self) -> f64 {
        let n_beats = self.is_seen.len();
        self.starts_ms[n_beats] / n_beats as f64
    }

    /// How much of the RR interval has passed since the true R wave: 0 to below 1.
    pub fn phase_at(&self, t_ms: f64) -> f64 {
        let beat = self.beat_at(t_ms);
        ((t_ms - beat.r_wave_ms) / beat.rr_interval_ms).min(1.0 - f64::EPSILON)
    }

    /// Time since the last R wave that the scanner saw, ms: its physiology time stamp.
    pub fn since_trigger_ms(&self, t_ms: f64) -> f64 {
        t_ms - self.last_trigger_ms(t_ms)
    }
}

impl RhythmOptions {
    fn check(&self) -> Result<(), RhythmError> {
        let ranges = [
            ("mean RR interval in ms", self.rr_interval_ms, 350.0, 2000.0),
            ("variability of the RR interval", self.variability, 0.0, 0.3),
            ("respiratory modulation", self.respiratory_modulation, 0.0, 0.3),
            ("respiratory period in ms", self.respiratory_period_ms, 1000.0, 20_000.0),
            ("probability of ectopic beats", self.ectopic_probability, 0.0, 0.5),
            ("probability of missed triggers", self.missed_trigger_probability, 0.0, 0.5),
            ("time of the first R wave in ms", self.first_r_wave_ms, -10_000.0, 10_000.0),
        ];
        for (what, value, minimum, maximum) in ranges {
            if !(minimum..=maximum).contains(&value) {
                return Err(RhythmError::OutOfRange { what, value, minimum, maximum });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
