//! The missing lines by conjugate gradients.

use ndarray::{ArrayView3, ArrayViewMut5};
use num_complex::Complex32;

use super::Kernel;
use super::column::{Consistency, Mixing};
use crate::line_transform::{LineTransform, for_each_position};

/// When the conjugate gradients stop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SolverOptions {
    /// At the latest after so many steps.
    pub max_iterations: usize,
    /// Where the residual of a readout position falls below this part of what it was.
    pub threshold: f32,
}

/// What it took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FillReport {
    /// Mean number of steps of a readout position and frame.
    pub mean_iterations: f32,
    /// Readout positions of frames that had not reached the threshold at the last step.
    pub n_unfinished: usize,
    /// How many there were.
    pub n_positions: usize,
}

impl Default for SolverOptions {
    fn default() -> Self {
        Self { max_iterations: 50, threshold: 0.0015 }
    }
}

impl SolverOptions {
    /// Gadgetron's automatic values for an acceleration along encoding steps 1 and 2: the more
    /// lines are missing, the more steps.
    pub fn automatic(acceleration: [usize; 2]) -> Self {
        let max_iterations = match acceleration[0] * acceleration[1] {
            0..3 => 50,
            3 => 60,
            4 => 100,
            5 => 120,
            6.. => 150,
        };
        Self { max_iterations, ..Self::default() }
    }
}

impl Kernel {
    /// Fills the lines that were not acquired.
    ///
    /// * `data`: `[frame, channel, encoding_step_2, encoding_step_1, x]`: k-space after the
    ///   inverse transform along the readout ([`crate::fft`]). What stands in lines that are not
    ///   sampled is not read.
    /// * `sampled`: `[frame, encoding_step_2, encoding_step_1]`, which lines were acquired; they
    ///   come back as they were, bit for bit.
    ///
    /// # Panics
    /// If the shapes do not fit each other or the channels are not the kernel's.
    ///
    /// # Method
    /// Minimises ‖(G − I) k‖² over the missing samples, which is P (G − I)ᴴ(G − I) k = 0 with P
    /// the choice of the missing ones, starting from zeros.
    ///
    /// # Source
    /// Lustig and Pauly 2010, with the data as a constraint. K-space is taken as periodic along
    /// the encoding steps.
    pub fn fill(
        &self,
        data: ArrayViewMut5<'_, Complex32>,
        sampled: ArrayView3<'_, bool>,
        options: &SolverOptions,
    ) -> FillReport {
        let (n_frames, n_channels, n_e2, n_e1, n_readout) = data.dim();
        assert_eq!(sampled.dim(), (n_frames, n_e2, n_e1), "frames and lines of the sampling");
        assert_eq!(n_channels, self.n_channels(), "channels of the data and of the kernel");
        let sampled: Vec<bool> = sampled.iter().copied().collect();
        if sampled.iter().all(|sampled| *sampled) {
            return FillReport::default();
        }
        let transform = LineTransform::new([n_e2, n_e1]);
        let steps = for_each_position(data, |x, samples| {
            let mut work = Mixing::default();
            let consistency = Consistency::new(
                self,
                [x, n_readout],
                &transform,
                [n_e2, n_e1],
                &mut work.transform,
            );
            let mut solver =
                Solver { consistency, transform: &transform, work, image: Vec::new(), options };
            samples
                .chunks_exact_mut(n_channels * n_e2 * n_e1)
                .zip(sampled.chunks_exact(n_e2 * n_e1))
                .map(|(frame, sampled)| solver.fill(frame, sampled))
                .collect::<Vec<_>>()
        });
        let steps = steps.concat();
        let n_unfinished = steps.iter().filter(|(_, finished)| !finished).count();
        let sum: usize = steps.iter().map(|(steps, _)| steps).sum();
        let mean_iterations = sum as f32 / steps.len().max(1) as f32;
        FillReport { mean_iterations, n_unfinished, n_positions: steps.len() }
    }
}

struct Solver<'a> {
    consistency: Consistency,
    transform: &'a LineTransform,
    work: Mixing,
    image: Vec<Complex32>,
    options: &'a SolverOptions,
}

impl Solver<'_> {
    /// Fills one frame, `[channel, line]`; gives the steps and whether they sufficed.
    fn fill(&mut self, data: &mut [Complex32], sampled: &[bool]) -> (usize, bool) {
        for lines in data.chunks_exact_mut(sampled.len()) {
            for (value, _) in lines.iter_mut().zip(sampled).filter(|(_, sampled)| !**sampled) {
                *value = Complex32::ZERO;
            }
        }
        let mut applied = data.to_vec();
        self.apply(&mut applied, sampled);
        let mut residual = applied.iter().map(|value| -value).collect::<Vec<_>>();
        let mut square = squares(&residual);
        let limit = square * f64::from(self.options.threshold).powi(2);
        let mut direction = residual.clone();
        for step in 0..self.options.max_iterations {
            if square <= limit {
                return (step, true);
            }
            applied.copy_from_slice(&direction);
            self.apply(&mut applied, sampled);
            let curvature: f64 =
                direction.iter().zip(&applied).map(|(a, b)| f64::from((a.conj() * b).re)).sum();
            if curvature <= 0.0 || !curvature.is_finite() {
                return (step, false);
            }
            let length = (square / curvature) as f32;
            for (value, direction) in data.iter_mut().zip(&direction) {
                *value += direction * length;
            }
            for (value, applied) in residual.iter_mut().zip(&applied) {
                *value -= applied * length;
            }
            let before = std::mem::replace(&mut square, squares(&residual));
            let memory = (square / before) as f32;
            for (value, residual) in direction.iter_mut().zip(&residual) {
                *value = residual + *value * memory;
            }
        }
        (self.options.max_iterations, square <= limit)
    }

    /// P (G − I)ᴴ(G − I) in place.
    fn apply(&mut self, k_space: &mut [Complex32], sampled: &[bool]) {
        self.image.resize(k_space.len(), Complex32::ZERO);
        self.consistency.apply_to_k_space(k_space, &mut self.image, self.transform, &mut self.work);
        for lines in k_space.chunks_exact_mut(sampled.len()) {
            for (value, _) in lines.iter_mut().zip(sampled).filter(|(_, sampled)| **sampled) {
                *value = Complex32::ZERO;
            }
        }
    }
}

fn squares(values: &[Complex32]) -> f64 {
    values.iter().map(|value| f64::from(value.norm_sqr())).sum()
}
