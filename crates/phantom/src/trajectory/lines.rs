//! Which phase-encoding lines of a Cartesian frame are acquired, in what order and what for.

use rand_distr::{Distribution, OpenClosed01};

use super::error::{TrajectoryError, count, quantity};
use crate::noise::random_numbers;

/// Sets these random numbers apart from others of the same seed.
const STREAM: u64 = u64::from_be_bytes(*b"lines...");

/// Most lines and samples.
const MAX_SIZE: usize = 4096;

/// Largest undersampling.
const MAX_ACCELERATION: usize = 16;

/// Choices about the lines of a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LineOptions {
    /// Which of them are left out.
    pub undersampling: Undersampling,
    /// Where calibration lines are acquired.
    pub calibration: CalibrationLines,
    /// Share of the lines that a frame covers before the undersampling, 0.5 to 1. What is left
    /// out is on the side of the low lines; the centre is always kept.
    pub partial_fourier: f64,
    /// Order in time.
    pub order: LineOrder,
}

/// How lines are left out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Undersampling {
    /// One of every so many, the centre among them; 1 is all.
    Regular {
        /// Every how many lines one is acquired, 1 to 16.
        acceleration: usize,
    },
    /// One of every so many, in each frame one further than in the one before: so many frames
    /// together have all lines (Kellman 2001).
    Interleaved {
        /// Every how many lines one is acquired, 1 to 16.
        acceleration: usize,
    },
    /// At random, other lines in every frame, denser towards the centre: with probability
    /// 1/(1 + k/k0)^power at k lines from it (Lustig 2007).
    VariableDensity {
        /// Lines of the covered part over those acquired, 1 to 16. Met but for rounding to a
        /// whole number of lines.
        acceleration: f64,
        /// Lines around the centre that every frame acquires, 1 or more.
        n_center_lines: usize,
        /// Where the density falls off, lines from the centre, above 0.
        k0_lines: f64,
        /// How fast, 0 (uniform) to 16.
        power: f64,
        /// Seed of the choice; the frame's number is mixed in.
        seed: u64,
    },
}

/// Lines around the centre that calibrate parallel imaging.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CalibrationLines {
    /// None.
    None,
    /// So many among the lines of each frame.
    Embedded(usize),
    /// So many in readouts of their own.
    Separate(usize),
}

/// Order of a frame's lines in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LineOrder {
    /// From the lowest to the highest.
    #[default]
    Linear,
    /// From the highest to the lowest.
    Reverse,
    /// From the centre outwards, to either side in turn.
    Centric,
}

/// What a line is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineRole {
    /// The image.
    Image,
    /// Calibration alone.
    Calibration,
    /// Both.
    CalibrationAndImage,
}

/// A line of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcquiredLine {
    /// Its index in the whole matrix.
    pub line: usize,
    /// What it is for.
    pub role: LineRole,
}

/// The lines of the frames of a scan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinePattern {
    n_lines: usize,
    options: LineOptions,
}

impl Default for LineOptions {
    /// All lines in linear order.
    fn default() -> Self {
        Self {
            undersampling: Undersampling::Regular { acceleration: 1 },
            calibration: CalibrationLines::None,
            partial_fourier: 1.0,
            order: LineOrder::Linear,
        }
    }
}

impl LinePattern {
    /// Checks the options.
    ///
    /// * `n_lines`: lines of the whole matrix, 1 to 4096. The centre is at line N/2.
    ///
    /// # Errors
    /// [`TrajectoryError`] for options outside their range or that contradict each other.
    pub fn new(n_lines: usize, options: LineOptions) -> Result<Self, TrajectoryError> {
        let pattern = Self { n_lines, options };
        pattern.check()?;
        Ok(pattern)
    }

    /// The lines of a frame in the order of their acquisition. Those of
    /// [`Undersampling::Regular`] are the same in all frames.
    pub fn frame(&self, frame: u64) -> Vec<AcquiredLine> {
        let embedded = self.n_embedded();
        let is_image = self.image_lines(frame);
        let calibrates = around_center(self.n_lines, embedded);
        let mut lines: Vec<AcquiredLine> = (0..self.n_lines)
            .filter_map(|line| {
                let role = match (is_image[line], calibrates.contains(&line)) {
                    (true, true) => LineRole::CalibrationAndImage,
                    (true, false) => LineRole::Image,
                    (false, true) => LineRole::Calibration,
                    (false, false) => return None,
                };
                Some(AcquiredLine { line, role })
            })
            .collect();
        let center = self.n_lines / 2;
        match self.options.order {
            LineOrder::Linear => {}
            LineOrder::Reverse => lines.reverse(),
            // The sort is stable, so of two at the same distance the lower comes first.
            LineOrder::Centric => lines.sort_by_key(|acquired| acquired.line.abs_diff(center)),
        }
        lines
    }

    /// Place of the line nearest to the centre of k-space in a frame.
    pub fn center_position(&self, frame: u64) -> usize {
        let center = self.n_lines / 2;
        let lines = self.frame(frame);
        (0..lines.len()).min_by_key(|&n| lines[n].line.abs_diff(center)).unwrap_or(0)
    }

    /// Calibration in readouts of its own, from the lowest line to the highest; it belongs
    /// before the first frame.
    pub fn separate_calibration(&self) -> std::ops::Range<usize> {
        match self.options.calibration {
            CalibrationLines::Separate(n) => around_center(self.n_lines, n),
            CalibrationLines::None | CalibrationLines::Embedded(_) => 0..0,
        }
    }

    /// The first line that partial Fourier leaves.
    pub fn first_line(&self) -> usize {
        // Half of an odd number of lines keeps the centre.
        let covered = (self.options.partial_fourier * self.n_lines as f64).round() as usize;
        (self.n_lines - covered.min(self.n_lines)).min(self.n_lines / 2)
    }

    fn n_embedded(&self) -> usize {
        match self.options.calibration {
            CalibrationLines::Embedded(n) => n,
            CalibrationLines::None | CalibrationLines::Separate(_) => 0,
        }
    }

    /// Lines that a variable density acquires: the whole centre, and how many of the others.
    fn random_lines(
        &self,
        acceleration: f64,
        n_center_lines: usize,
    ) -> Result<(std::ops::Range<usize>, usize), TrajectoryError> {
        let first = self.first_line();
        let whole = around_center(self.n_lines, n_center_lines.max(self.n_embedded()));
        let whole = whole.start.max(first)..whole.end;
        let n_acquired = ((self.n_lines - first) as f64 / acceleration).round().max(1.0) as usize;
        match n_acquired.checked_sub(whole.len()) {
            Some(n_random) => Ok((whole, n_random)),
            None => {
                let n_center = whole.len();
                Err(TrajectoryError::CenterTooLarge { n_center, n_lines: n_acquired })
            }
        }
    }

    fn check(&self) -> Result<(), TrajectoryError> {
        count("the number of lines", self.n_lines, 1, MAX_SIZE)?;
        quantity("the partial Fourier fraction", self.options.partial_fourier, 0.5, 1.0)?;
        match self.options.undersampling {
            Undersampling::Regular { acceleration }
            | Undersampling::Interleaved { acceleration } => {
                count("the acceleration", acceleration, 1, MAX_ACCELERATION)?;
            }
            Undersampling::VariableDensity {
                acceleration,
                n_center_lines,
                k0_lines,
                power,
                ..
            } => {
                quantity("the acceleration", acceleration, 1.0, MAX_ACCELERATION as f64)?;
                count("the number of lines of the centre", n_center_lines, 1, self.n_lines)?;
                quantity("the fall-off of the density, lines,", k0_lines, 1e-3, 1e6)?;
                quantity("the power of the density", power, 0.0, 16.0)?;
            }
        }
        match self.options.calibration {
            CalibrationLines::None => {}
            CalibrationLines::Separate(n) => {
                count("the number of calibration lines", n, 1, self.n_lines)?;
            }
            CalibrationLines::Embedded(n) => {
                count("the number of calibration lines", n, 1, self.n_lines)?;
                let first = self.first_line();
                if around_center(self.n_lines, n).start < first {
                    return Err(TrajectoryError::CalibrationLeftOut { n_calibration: n, first });
                }
            }
        }
        if let Undersampling::VariableDensity { acceleration, n_center_lines, .. } =
            self.options.undersampling
        {
            self.random_lines(acceleration, n_center_lines)?;
        }
        Ok(())
    }

    /// Whether each line serves the image.
    fn image_lines(&self, frame: u64) -> Vec<bool> {
        let (n_lines, center, first) = (self.n_lines, self.n_lines / 2, self.first_line());
        let every = |acceleration: usize, shift: usize| {
            let is_image =
                |line| line >= first && line % acceleration == (center + shift) % acceleration;
            (0..n_lines).map(is_image).collect()
        };
        match self.options.undersampling {
            Undersampling::Regular { acceleration } => every(acceleration, 0),
            Undersampling::Interleaved { acceleration } => {
                every(acceleration, (frame % acceleration as u64) as usize)
            }
            Undersampling::VariableDensity {
                acceleration,
                n_center_lines,
                k0_lines,
                power,
                seed,
            } => {
                let (whole, n_random) = self
                    .random_lines(acceleration, n_center_lines)
                    .expect("checked when the pattern was made");
                // A draw without replacement, as the largest of u^(1/weight) (Efraimidis and
                // Spirakis 2006), by its logarithm.
                let mut random = random_numbers(seed ^ STREAM, frame);
                let mut draws: Vec<(f64, usize)> = (first..n_lines)
                    .map(|line| {
                        let uniform: f64 = OpenClosed01.sample(&mut random);
                        let distance = line.abs_diff(center) as f64;
                        (uniform.ln() * (1.0 + distance / k0_lines).powf(power), line)
                    })
                    .filter(|(_, line)| !whole.contains(line))
                    .collect();
                draws.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
                let mut is_image = vec![false; n_lines];
                is_image[whole].fill(true);
                draws.iter().take(n_random).for_each(|&(_, line)| is_image[line] = true);
                is_image
            }
        }
    }
}

/// The `n` lines around the centre: as many below it as above, or one more below, as in all of
/// k-space.
fn around_center(n_lines: usize, n: usize) -> std::ops::Range<usize> {
    let first = n_lines / 2 - n / 2;
    first..first + n
}

/// The samples of a readout that are acquired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadoutWindow {
    /// The first of the whole readout that is acquired.
    pub first_sample: usize,
    /// How many are.
    pub n_samples: usize,
    /// Which of the acquired ones is the centre of k-space.
    pub center_sample: usize,
}

impl ReadoutWindow {
    /// All samples.
    ///
    /// # Errors
    /// [`TrajectoryError::Count`] for no samples or more than 65535.
    pub fn full(n_samples: usize) -> Result<Self, TrajectoryError> {
        Self::asymmetric_echo(n_samples, 0)
    }

    /// An asymmetric echo of a whole readout of `n_samples`: the first `n_left_out` are
    /// missing, at most those before the centre.
    ///
    /// # Errors
    /// [`TrajectoryError::Count`] for no samples, more than 65535, or one left out that is
    /// needed.
    pub fn asymmetric_echo(n_samples: usize, n_left_out: usize) -> Result<Self, TrajectoryError> {
        count("the number of samples", n_samples, 1, usize::from(u16::MAX))?;
        count("the number of samples left out", n_left_out, 0, n_samples / 2)?;
        Ok(Self {
            first_sample: n_left_out,
            n_samples: n_samples - n_left_out,
            center_sample: n_samples / 2 - n_left_out,
        })
    }
}

#[cfg(test)]
mod tests;
