//! How the simulated patient's heart beats and breathes.

use anyhow::Result;
use clap::{Args, ValueEnum};
use phantom::{
    BreathHold, Breathing, BreathingOptions, BreathingPattern, CardiacCycle, FreeBreathing, Motion,
    Rhythm, RhythmOptions,
};

#[derive(Args)]
#[command(next_help_heading = "Motion")]
pub struct MotionOptions {
    /// Beats per minute
    #[arg(long, default_value_t = 60.0, value_name = "PER_MINUTE")]
    heart_rate: f64,
    /// Standard deviation of the interval of R waves over its mean
    #[arg(long, default_value_t = 0.0, value_name = "PART")]
    rr_variability: f64,
    /// Intervals of R waves in ms, one after the other and over again
    #[arg(long, value_delimiter = ',', value_name = "MS,...", conflicts_with_all = ["heart_rate", "rr_variability", "ectopic", "missed"])]
    rr_ms: Vec<f64>,
    /// Probability that a beat comes early
    #[arg(long, default_value_t = 0.0, value_name = "PROBABILITY")]
    ectopic: f64,
    /// Probability that the scanner misses an R wave
    #[arg(long, default_value_t = 0.0, value_name = "PROBABILITY")]
    missed: f64,
    /// How the patient breathes
    #[arg(long, value_enum, default_value_t)]
    breathing: Pattern,
    /// Excursion of a breath in mm
    #[arg(long, default_value_t = 10.0, value_name = "MM")]
    breath_mm: f64,
    /// Drift during a breath-hold in mm/s
    #[arg(long, default_value_t = 0.0, value_name = "MM_PER_S")]
    drift: f64,
    /// The heart does not contract (cine: it always does)
    #[arg(long)]
    still_heart: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Pattern {
    /// Not at all
    #[default]
    Still,
    /// A breath is held
    Hold,
    /// Freely
    Free,
}

impl MotionOptions {
    pub fn motion(&self, seed: u64) -> Result<Motion> {
        let rhythm = if self.rr_ms.is_empty() {
            Rhythm::new(&RhythmOptions {
                rr_interval_ms: 60_000.0 / self.heart_rate,
                variability: self.rr_variability,
                ectopic_probability: self.ectopic,
                missed_trigger_probability: self.missed,
                seed,
                ..RhythmOptions::default()
            })?
        } else {
            Rhythm::from_intervals(&self.rr_ms, &[])?
        };
        let pattern = match self.breathing {
            Pattern::Still => None,
            Pattern::Hold => Some(BreathingPattern::Hold(BreathHold {
                drift_mm_per_s: self.drift,
                ..BreathHold::default()
            })),
            Pattern::Free => Some(BreathingPattern::Free(FreeBreathing {
                amplitude_mm: self.breath_mm,
                ..FreeBreathing::default()
            })),
        };
        let breathing = match pattern {
            None => Breathing::still(),
            Some(pattern) => {
                Breathing::new(&BreathingOptions { pattern, seed, ..BreathingOptions::default() })?
            }
        };
        let cycle = if self.still_heart { CardiacCycle::still() } else { CardiacCycle::default() };
        Ok(Motion { rhythm, breathing, cycle })
    }
}
