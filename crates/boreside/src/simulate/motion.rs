//! How the simulated patient's heart beats and breathes.

use anyhow::{Result, bail};
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
    /// Excursion of a free breath in mm [default: 10]
    #[arg(long, value_name = "MM")]
    breath_mm: Option<f64>,
    /// Drift of a held or of free breathing in mm/s
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true, value_name = "MM_PER_S")]
    drift: f64,
    /// Sudden jump of the diaphragm during a breath-hold: ms from the start, colon, mm; may be
    /// given several times
    #[arg(long, value_name = "MS:MM", value_parser = jump)]
    jump: Vec<(f64, f64)>,
    /// Standard deviation from beat to beat of the radius to which the heart fills, over its mean
    #[arg(long, default_value_t = 0.0, value_name = "PART")]
    beat_variability: f64,
    /// The heart does not contract
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

fn jump(text: &str) -> Result<(f64, f64), String> {
    let fault = || format!("{text:?} is no jump: write ms, a colon and mm, like 4000:6");
    let (ms, mm) = text.split_once(':').ok_or_else(fault)?;
    Ok((ms.parse().map_err(|_| fault())?, mm.parse().map_err(|_| fault())?))
}

impl MotionOptions {
    pub fn motion(&self, seed: u64) -> Result<Motion> {
        if !(30.0..=170.0).contains(&self.heart_rate) {
            bail!("--heart-rate is {}: choose 30 to 170 beats per minute", self.heart_rate);
        }
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
        if self.breathing == Pattern::Still && (self.drift != 0.0 || !self.jump.is_empty()) {
            bail!("--drift and --jump need --breathing hold (or free)");
        }
        if self.breathing != Pattern::Free && self.breath_mm.is_some() {
            bail!("--breath-mm is for --breathing free");
        }
        if self.breathing == Pattern::Free && !self.jump.is_empty() {
            bail!("--jump is for --breathing hold");
        }
        let pattern = match self.breathing {
            Pattern::Still => None,
            Pattern::Hold => Some(BreathingPattern::Hold(BreathHold {
                drift_mm_per_s: self.drift,
                jumps: self.jump.clone(),
                ..BreathHold::default()
            })),
            Pattern::Free => Some(BreathingPattern::Free(FreeBreathing {
                amplitude_mm: self.breath_mm.unwrap_or(10.0),
                drift_mm_per_s: self.drift,
                ..FreeBreathing::default()
            })),
        };
        let breathing = match pattern {
            None => Breathing::still(),
            Some(pattern) => {
                Breathing::new(&BreathingOptions { pattern, seed, ..BreathingOptions::default() })?
            }
        };
        let beating = CardiacCycle {
            beat_variability: self.beat_variability,
            seed,
            ..CardiacCycle::default()
        };
        let cycle = if self.still_heart { CardiacCycle::still() } else { beating };
        Ok(Motion { rhythm, breathing, cycle })
    }
}
