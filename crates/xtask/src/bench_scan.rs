//! The scan that a server is timed on.

use std::fmt;

use anyhow::{Result, bail};
use clap::Args;
use phantom::{
    CalibrationLines, GradientEcho, LineOptions, LineOrder, Molli, Noise, Setup, ShortAxisOptions,
    SimulatedScan, Subject, Undersampling,
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

impl ScanOptions {
    /// A heart by MOLLI 3(3)3(3)5, 192 × 160 pixels.
    pub fn molli(&self) -> Result<SimulatedScan> {
        let setup = Setup {
            matrix_size: [192, 160],
            n_channels: self.channels,
            lines: LineOptions { order: LineOrder::Centric, ..LineOptions::default() },
            noise: Noise::Sd(0.01),
            ..Setup::new(Subject::ShortAxis(ShortAxisOptions::default()))
        };
        let Ok(scheme) = "3(3)3(3)5".parse() else { bail!("the scheme is not understood") };
        Ok(SimulatedScan::new(&Molli { scheme, ..Molli::default() }, setup)?)
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
