//! Problems that fall apart into one per readout position.
//!
//! Cartesian lines are complete along the readout, so after the transform along it the samples
//! of one position, `[…, channel, encoding_step_2, encoding_step_1]`, are solved for on their
//! own. They are gathered from a few neighbouring positions at a time and put back.

use std::sync::Arc;

use ndarray::{ArrayViewMut5, Axis};
use num_complex::Complex32;
use rayon::prelude::*;
use rustfft::{Fft, FftPlanner};

/// Readout positions that are gathered at a time: a cache line of each line.
const POSITIONS: usize = 8;

/// Transform of `[…, encoding_step_2, encoding_step_1]`, not centred and not scaled: the
/// operators between the two directions know nothing of either.
#[derive(Clone)]
pub(crate) struct LineTransform {
    n_e2: usize,
    n_e1: usize,
    /// Forward and inverse along encoding step 1, then along encoding step 2.
    plans: [[Arc<dyn Fft<f32>>; 2]; 2],
}

/// Memory that a transform works in.
#[derive(Default)]
pub(crate) struct Workspace {
    scratch: Vec<Complex32>,
    turned: Vec<Complex32>,
}

impl LineTransform {
    pub(crate) fn new([n_e2, n_e1]: [usize; 2]) -> Self {
        let mut planner = FftPlanner::new();
        let plans =
            [n_e1, n_e2].map(|n| [planner.plan_fft_forward(n), planner.plan_fft_inverse(n)]);
        Self { n_e2, n_e1, plans }
    }

    /// Lines of a position.
    pub(crate) fn n_lines(&self) -> usize {
        self.n_e2 * self.n_e1
    }

    /// From image to k-space.
    pub(crate) fn forward(&self, data: &mut [Complex32], work: &mut Workspace) {
        self.process(0, data, work);
    }

    /// From k-space to image.
    pub(crate) fn inverse(&self, data: &mut [Complex32], work: &mut Workspace) {
        self.process(1, data, work);
    }

    fn process(&self, direction: usize, data: &mut [Complex32], work: &mut Workspace) {
        let [along_e1, along_e2] = [0, 1].map(|axis| &self.plans[axis][direction]);
        let needed = along_e1.get_inplace_scratch_len().max(along_e2.get_inplace_scratch_len());
        if work.scratch.len() < needed {
            work.scratch.resize(needed, Complex32::ZERO);
        }
        along_e1.process_with_scratch(data, &mut work.scratch);
        if self.n_e2 == 1 {
            return;
        }
        work.turned.resize(self.n_lines(), Complex32::ZERO);
        for plane in data.chunks_exact_mut(self.n_lines()) {
            for (e1, turned) in work.turned.chunks_exact_mut(self.n_e2).enumerate() {
                for (e2, value) in turned.iter_mut().enumerate() {
                    *value = plane[e2 * self.n_e1 + e1];
                }
            }
            along_e2.process_with_scratch(&mut work.turned, &mut work.scratch);
            for (e1, turned) in work.turned.chunks_exact(self.n_e2).enumerate() {
                for (e2, value) in turned.iter().enumerate() {
                    plane[e2 * self.n_e1 + e1] = *value;
                }
            }
        }
    }
}

/// Runs `work` on the samples of every readout position, `[frame, channel, e2, e1]` without
/// gaps, on all threads of the current pool. Gives its results in order of the positions.
///
/// * `data`: `[frame, channel, e2, e1, readout]`.
/// * `work`: takes the position and its samples.
pub(crate) fn for_each_position<R: Send>(
    data: ArrayViewMut5<'_, Complex32>,
    work: impl Fn(usize, &mut [Complex32]) -> R + Sync,
) -> Vec<R> {
    let (frames, channels, e2, e1, _) = data.dim();
    let n_samples = frames * channels * e2 * e1;
    if n_samples == 0 {
        return Vec::new();
    }
    let mut data = data;
    let portions: Vec<_> = data.axis_chunks_iter_mut(Axis(4), POSITIONS).enumerate().collect();
    let results: Vec<Vec<R>> = portions
        .into_par_iter()
        .map(|(portion, mut lines)| {
            let n_positions = lines.len_of(Axis(4));
            let mut gathered = vec![Complex32::ZERO; n_positions * n_samples];
            for (sample, line) in lines.lanes(Axis(4)).into_iter().enumerate() {
                for (position, value) in line.iter().enumerate() {
                    gathered[position * n_samples + sample] = *value;
                }
            }
            let results = gathered
                .chunks_exact_mut(n_samples)
                .enumerate()
                .map(|(position, samples)| work(portion * POSITIONS + position, samples))
                .collect();
            for (sample, mut line) in lines.lanes_mut(Axis(4)).into_iter().enumerate() {
                for (position, value) in line.iter_mut().enumerate() {
                    *value = gathered[position * n_samples + sample];
                }
            }
            results
        })
        .collect();
    results.into_iter().flatten().collect()
}
