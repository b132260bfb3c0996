//! The scan that a server is timed on.

use std::fmt;

use anyhow::Result;
use clap::Args;
use phantom::{
    CalibrationLines, GradientEcho, LineOptions, Noise, Setup, SimulatedScan, Subject,
    Undersampling,
};

#[derive(Args)]
pub struct ScanOptions {
    /// Pixels of the image along x and y
    #[arg(long, default_value_t = 256)]
    pub matrix: usize,
    #[arg(long, default_value_t = 16)]
    pub channels: usize,
    #[arg(long, default_value_t = 1)]
    pub acceleration: usize,
    #[arg(long, default_value_t = 0)]
    pub calibration_lines: usize,
    #[arg(long, default_value = "default.xml")]
    pub chain: String,
}

impl ScanOptions {
    /// Shepp and Logan's phantom, so many times.
    pub fn scan(&self, n_repetitions: usize) -> Result<SimulatedScan> {
        let lines = LineOptions {
            undersampling: Undersampling::Regular { acceleration: self.acceleration },
            calibration: match self.calibration_lines {
                0 => CalibrationLines::None,
                n => CalibrationLines::Embedded(n),
            },
            ..LineOptions::default()
        };
        let setup = Setup {
            matrix_size: [self.matrix; 2],
            n_channels: self.channels,
            lines,
            noise: Noise::Sd(0.01),
            ..Setup::new(Subject::SheppLogan)
        };
        let sequence = GradientEcho { n_repetitions, ..GradientEcho::default() };
        Ok(SimulatedScan::new(&sequence, setup)?)
    }
}

impl fmt::Display for ScanOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { matrix, channels, acceleration, calibration_lines, chain } = self;
        write!(f, "{matrix}x{matrix}, {channels} channels, R = {acceleration}")?;
        if *calibration_lines > 0 {
            write!(f, " with {calibration_lines} calibration lines")?;
        }
        write!(f, ", chain {chain}")
    }
}
