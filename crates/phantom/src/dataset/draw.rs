//! Random numbers of one case.

use rand_distr::{Distribution, StandardNormal, StandardUniform};
use rand_pcg::Pcg64Mcg;

use crate::noise::random_numbers;

/// Random numbers of one case for one purpose: what is drawn for one changes nothing that is
/// drawn for another.
pub(super) struct Draw(Pcg64Mcg);

impl Draw {
    /// * `purpose`: eight letters.
    pub fn new(seed: u64, purpose: &[u8; 8], index: u64) -> Self {
        Self(random_numbers(seed ^ u64::from_be_bytes(*purpose), index))
    }

    /// Evenly from `low` to `high`.
    pub fn between(&mut self, [low, high]: [f64; 2]) -> f64 {
        let share: f64 = StandardUniform.sample(&mut self.0);
        low + share * (high - low)
    }

    /// Its logarithm evenly from that of `low` to that of `high`.
    pub fn log_between(&mut self, ends: [f64; 2]) -> f64 {
        // Rounding must not leave the range.
        self.between(ends.map(f64::ln)).exp().clamp(ends[0], ends[1])
    }

    /// With probability `share`.
    pub fn happens(&mut self, share: f64) -> bool {
        self.between([0.0, 1.0]) < share
    }

    /// One of several, each as likely.
    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        let n = choices.len();
        choices[(self.between([0.0, n as f64]) as usize).min(n - 1)]
    }

    /// Normal with standard deviation 1.
    pub fn normal(&mut self) -> f64 {
        StandardNormal.sample(&mut self.0)
    }

    /// [`Draw::normal`] in single precision, which is faster.
    pub fn normal_f32(&mut self) -> f32 {
        StandardNormal.sample(&mut self.0)
    }
}
