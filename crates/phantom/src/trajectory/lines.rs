//! Which phase-encoding lines of a Cartesian frame are acquired, in what order and what for.

use rand_distr::{Distribution, OpenClosed01};

use super::error::{TrajectoryError, count, quantity};
use crate::noise::random_numbers;

/// Most lines and samples.
const MAX_SIZE: usize = 4096;

/// Largest undersampling.
const MAX_ACCELERATION: usize = 16;

/// Choices about the lines of a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LineOptions {
    /// Lines of the whole matrix, 1 to 4096. The centre is at line N/2.
    pub n_lines: usize,
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

/// The lines of one frame in the order of their acquisition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameLines {
    /// Calibration in readouts of its own, from the lowest line to the highest; it belongs
    /// before the first frame.
    pub separate_calibration: Vec<AcquiredLine>,
    /// The frame.
    pub lines: Vec<AcquiredLine>,
}

impl Default for LineOptions {
    /// All of 256 lines in linear order.
    fn default() -> Self {
        Self {
            n_lines: 256,
            undersampling: Undersampling::Regular { acceleration: 1 },
            calibration: CalibrationLines::None,
            partial_fourier: 1.0,
            order: LineOrder::Linear,
        }
    }
}

impl LineOptions {
    /// The lines of frame `frame`. Only those of [`Undersampling::VariableDensity`] differ from
    /// frame to frame.
    ///
    /// # Errors
    /// [`TrajectoryError`] for options outside their range or that contradict each other.
    pub fn frame(&self, frame: u64) -> Result<FrameLines, TrajectoryError> {
        self.check()?;
        let (embedded, separate) = match self.calibration {
            CalibrationLines::None => (0, 0),
            CalibrationLines::Embedded(n) => (n, 0),
            CalibrationLines::Separate(n) => (0, n),
        };
        let is_image = self.image_lines(frame, embedded)?;
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
        match self.order {
            LineOrder::Linear => {}
            LineOrder::Reverse => lines.reverse(),
            // The sort is stable, so of two at the same distance the lower comes first.
            LineOrder::Centric => lines.sort_by_key(|acquired| acquired.line.abs_diff(center)),
        }
        let separate_calibration = around_center(self.n_lines, separate)
            .map(|line| AcquiredLine { line, role: LineRole::Calibration })
            .collect();
        Ok(FrameLines { separate_calibration, lines })
    }

    /// The first line that partial Fourier leaves.
    ///
    /// # Errors
    /// As [`LineOptions::frame`].
    pub fn first_line(&self) -> Result<usize, TrajectoryError> {
        self.check()?;
        Ok(self.first())
    }

    fn first(&self) -> usize {
        // Half of an odd number of lines keeps the centre.
        let covered = (self.partial_fourier * self.n_lines as f64).round() as usize;
        (self.n_lines - covered.min(self.n_lines)).min(self.n_lines / 2)
    }

    fn check(&self) -> Result<(), TrajectoryError> {
        count("the number of lines", self.n_lines, 1, MAX_SIZE)?;
        quantity("the partial Fourier fraction", self.partial_fourier, 0.5, 1.0)?;
        match self.undersampling {
            Undersampling::Regular { acceleration } => {
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
        match self.calibration {
            CalibrationLines::None => Ok(()),
            CalibrationLines::Separate(n) => {
                count("the number of calibration lines", n, 1, self.n_lines)
            }
            CalibrationLines::Embedded(n) => {
                count("the number of calibration lines", n, 1, self.n_lines)?;
                let first = self.first();
                if around_center(self.n_lines, n).start < first {
                    return Err(TrajectoryError::CalibrationLeftOut { n_calibration: n, first });
                }
                Ok(())
            }
        }
    }

    /// Whether each line serves the image.
    fn image_lines(&self, frame: u64, n_embedded: usize) -> Result<Vec<bool>, TrajectoryError> {
        let (n_lines, center, first) = (self.n_lines, self.n_lines / 2, self.first());
        match self.undersampling {
            Undersampling::Regular { acceleration } => Ok((0..n_lines)
                .map(|line| line >= first && line % acceleration == center % acceleration)
                .collect()),
            Undersampling::VariableDensity {
                acceleration,
                n_center_lines,
                k0_lines,
                power,
                seed,
            } => {
                let whole = around_center(n_lines, n_center_lines.max(n_embedded));
                let whole = whole.start.max(first)..whole.end;
                let n_acquired = ((n_lines - first) as f64 / acceleration).round().max(1.0);
                let n_acquired = n_acquired as usize;
                let Some(n_random) = n_acquired.checked_sub(whole.len()) else {
                    let n_center = whole.len();
                    return Err(TrajectoryError::CenterTooLarge { n_center, n_lines: n_acquired });
                };
                // A draw without replacement, as the largest of u^(1/weight) (Efraimidis and
                // Spirakis 2006), by its logarithm.
                let mut random = random_numbers(seed, frame);
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
                Ok(is_image)
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
mod tests {
    use super::*;

    fn frame(change: impl FnOnce(&mut LineOptions)) -> FrameLines {
        let mut options = LineOptions { n_lines: 16, ..LineOptions::default() };
        change(&mut options);
        options.frame(0).expect("lines")
    }

    fn regular(acceleration: usize) -> Undersampling {
        Undersampling::Regular { acceleration }
    }

    fn indices(lines: &[AcquiredLine]) -> Vec<usize> {
        lines.iter().map(|acquired| acquired.line).collect()
    }

    fn with_role(frame: &FrameLines, role: LineRole) -> Vec<usize> {
        let lines = frame.lines.iter().filter(|acquired| acquired.role == role);
        lines.map(|acquired| acquired.line).collect()
    }

    #[test]
    fn embedded_calibration_fills_the_gaps_around_the_centre() {
        let lines = frame(|options| {
            options.undersampling = regular(4);
            options.calibration = CalibrationLines::Embedded(6);
        });
        assert_eq!(indices(&lines.lines), [0, 4, 5, 6, 7, 8, 9, 10, 12]);
        assert_eq!(with_role(&lines, LineRole::CalibrationAndImage), [8]);
        assert_eq!(with_role(&lines, LineRole::Calibration), [5, 6, 7, 9, 10]);
        assert_eq!(with_role(&lines, LineRole::Image), [0, 4, 12]);
        assert!(lines.separate_calibration.is_empty());
    }

    #[test]
    fn regular_lines_include_the_centre_and_are_as_far_apart_as_asked_for() {
        for n_lines in [1, 2, 15, 16, 17, 18] {
            for acceleration in 1..=8 {
                let lines = frame(|options| {
                    (options.n_lines, options.undersampling) = (n_lines, regular(acceleration));
                });
                let lines = indices(&lines.lines);
                assert!(lines.contains(&(n_lines / 2)));
                assert!(lines.windows(2).all(|pair| pair[1] - pair[0] == acceleration));
                assert_eq!(lines.len(), lines[0..].len());
                assert!(
                    lines[0] < acceleration && lines[lines.len() - 1] + acceleration >= n_lines
                );
            }
        }
    }

    #[test]
    fn separate_calibration_is_no_part_of_the_frame() {
        let lines = frame(|options| {
            options.undersampling = regular(4);
            options.calibration = CalibrationLines::Separate(3);
        });
        assert_eq!(indices(&lines.lines), [0, 4, 8, 12]);
        assert!(lines.lines.iter().all(|acquired| acquired.role == LineRole::Image));
        assert_eq!(indices(&lines.separate_calibration), [7, 8, 9]);
    }

    #[test]
    fn partial_fourier_leaves_out_low_lines_and_keeps_the_centre() {
        for (fraction, first) in [(1.0, 0), (0.75, 4), (0.625, 6), (0.5, 8)] {
            let lines = frame(|options| options.partial_fourier = fraction);
            assert_eq!(indices(&lines.lines), (first..16).collect::<Vec<_>>());
        }
        let odd = frame(|options| (options.n_lines, options.partial_fourier) = (15, 0.5));
        assert_eq!(indices(&odd.lines), (7..15).collect::<Vec<_>>());
        let undersampled = frame(|options| {
            (options.partial_fourier, options.undersampling) = (0.75, regular(2));
            options.calibration = CalibrationLines::Embedded(4);
        });
        assert_eq!(indices(&undersampled.lines), [4, 6, 7, 8, 9, 10, 12, 14]);
    }

    #[test]
    fn orders_are_permutations() {
        let order = |order| indices(&frame(|options| options.order = order).lines);
        assert_eq!(order(LineOrder::Reverse), (0..16).rev().collect::<Vec<_>>());
        let centric = order(LineOrder::Centric);
        assert_eq!(centric[..5], [8, 7, 9, 6, 10]);
        let mut sorted = centric;
        sorted.sort_unstable();
        assert_eq!(sorted, order(LineOrder::Linear));
    }

    fn random(acceleration: f64) -> LineOptions {
        let undersampling = Undersampling::VariableDensity {
            acceleration,
            n_center_lines: 8,
            k0_lines: 20.0,
            power: 2.0,
            seed: 4,
        };
        LineOptions { n_lines: 161, undersampling, ..LineOptions::default() }
    }

    #[test]
    fn random_frames_meet_the_acceleration_and_differ() {
        for acceleration in [1.0, 2.5, 6.0, 8.0] {
            let options = random(acceleration);
            let frames: Vec<Vec<usize>> =
                (0..4).map(|n| indices(&options.frame(n).expect("lines").lines)).collect();
            for lines in &frames {
                assert_eq!(lines.len(), (161.0 / acceleration).round() as usize);
                assert!((76..84).all(|line| lines.contains(&line)));
                assert!(lines.is_sorted());
            }
            assert_eq!(frames[0] != frames[1], acceleration > 1.0);
            assert_eq!(frames[2], indices(&options.frame(2).expect("lines").lines));
        }
    }

    #[test]
    fn random_lines_have_the_density_that_was_asked_for() {
        let options = random(6.0);
        let n_frames = 2000;
        let mut hits = [0.0; 161];
        for n in 0..n_frames {
            for acquired in options.frame(n).expect("lines").lines {
                hits[acquired.line] += 1.0;
            }
        }
        // Ten lines on either side at 20 and at 60: densities 1/4 and 1/16. Without
        // replacement the dense part saturates a little.
        let sum = |from: usize| hits[80 + from..90 + from].iter().sum::<f64>();
        let ratio = sum(15) / sum(55);
        assert!((2.9..4.2).contains(&ratio), "{ratio}");
    }

    #[test]
    fn an_asymmetric_echo_moves_the_centre() {
        let window = ReadoutWindow::asymmetric_echo(256, 40).expect("samples");
        assert_eq!((window.first_sample, window.n_samples, window.center_sample), (40, 216, 88));
        assert_eq!(ReadoutWindow::full(256).expect("samples").center_sample, 128);
        assert!(ReadoutWindow::asymmetric_echo(256, 129).is_err());
        assert!(ReadoutWindow::full(0).is_err());
    }

    #[test]
    fn faults_say_what_to_choose() {
        let error = |change: fn(&mut LineOptions)| {
            let mut options = LineOptions { n_lines: 16, ..LineOptions::default() };
            change(&mut options);
            options.frame(0).expect_err("a fault").to_string()
        };
        assert_eq!(error(|o| o.n_lines = 0), "the number of lines is 0: choose 1 to 4096");
        assert_eq!(
            error(|o| o.undersampling = regular(0)),
            "the acceleration is 0: choose 1 to 16"
        );
        assert_eq!(
            error(|o| o.partial_fourier = f64::NAN),
            "the partial Fourier fraction is NaN: choose 0.5 to 1"
        );
        assert_eq!(
            error(|o| {
                (o.partial_fourier, o.calibration) = (0.5, CalibrationLines::Embedded(8));
            }),
            "8 calibration lines reach below line 8, where partial Fourier begins: \
             choose fewer, a larger fraction, or separate calibration"
        );
        assert_eq!(
            error(|o| o.undersampling = random(8.0).undersampling),
            "8 lines of the centre are more than the 2 that the acceleration leaves: \
             choose fewer lines or a smaller acceleration"
        );
    }
}
