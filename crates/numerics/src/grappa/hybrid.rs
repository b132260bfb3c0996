//! Weights for readouts that are already transformed.

use std::f64::consts::TAU;

use num_complex::Complex64;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::Kernel;
use super::kernel::source_offset;

/// Pixels that are worked on together: one register of the widest processors.
pub(super) const LANES: usize = 16;

/// A [`Kernel`] whose readout taps are transformed to pixels along x.
#[derive(Clone, Debug)]
pub struct HybridKernel {
    pub(super) acceleration: [usize; 2],
    /// Missing lines of a cell.
    pub(super) n_missing: usize,
    pub(super) n_targets: usize,
    pub(super) n_channels: usize,
    /// Source lines along encoding_step_2 and encoding_step_1.
    pub(super) size: [usize; 2],
    pub(super) n_x: usize,
    /// `[block of pixels, missing line of the cell, target, source e2, source e1, channel, re or
    /// im, lane]`.
    weights: Vec<f32>,
}

impl Kernel {
    /// The kernel for readouts of `n_x` pixels that are already transformed.
    pub fn in_hybrid_space(&self, n_x: usize) -> HybridKernel {
        let (n_missing, n_targets, n_channels, n_a2, n_a1, n_a0) = self.weights.dim();
        let n_blocks = n_x.div_ceil(LANES);
        // Of a pixel, all taps' phasors: `[block, tap, re or im, lane]`.
        let mut phasors = vec![0.0; n_blocks * n_a0 * 2 * LANES];
        for (block, phasors) in phasors.chunks_exact_mut((n_a0 * 2 * LANES).max(1)).enumerate() {
            for (tap, phasors) in phasors.chunks_exact_mut(2 * LANES).enumerate() {
                for lane in 0..LANES {
                    let x = block * LANES + lane;
                    let value = phasor(source_offset(tap, n_a0, 1), x, n_x);
                    (phasors[lane], phasors[LANES + lane]) = (value.re as f32, value.im as f32);
                }
            }
        }
        // In the order of the blocks: taps last.
        let order = [0, 1, 3, 4, 2, 5];
        let taps: Vec<_> = self.weights.view().permuted_axes(order).iter().copied().collect();
        let n_sums = n_missing * n_targets * n_channels * n_a2 * n_a1;
        let mut weights = vec![0.0; n_blocks * n_sums * 2 * LANES];
        if n_sums > 0 {
            weights
                .par_chunks_exact_mut(n_sums * 2 * LANES)
                .zip(phasors.par_chunks_exact(n_a0 * 2 * LANES))
                .for_each(|(weights, phasors)| {
                    Arch::new().dispatch(TransformTaps { taps: &taps, n_a0, phasors, weights });
                });
        }
        HybridKernel {
            acceleration: self.acceleration,
            n_missing,
            n_targets,
            n_channels,
            size: [n_a2, n_a1],
            n_x,
            weights,
        }
    }
}

impl HybridKernel {
    /// Channels that it takes.
    pub fn n_channels(&self) -> usize {
        self.n_channels
    }

    /// Channels that it gives: the first of those it takes.
    pub fn n_targets(&self) -> usize {
        self.n_targets
    }

    /// Pixels along x that it is made for.
    pub fn n_x(&self) -> usize {
        self.n_x
    }

    /// Weights of a block of pixels for line `m` of the cell and a target: `[source e2, source
    /// e1, channel, re or im, lane]`.
    #[inline(always)]
    pub(super) fn block(&self, block: usize, m: usize, target: usize) -> &[f32] {
        let len = self.size[0] * self.size[1] * self.n_channels * 2 * LANES;
        let start = ((block * self.n_missing + m) * self.n_targets + target) * len;
        &self.weights[start..start + len]
    }
}

/// What a weight of a source `offset` samples or lines away is multiplied with in pixel `i` of
/// `n`.
pub(super) fn phasor(offset: isize, i: usize, n: usize) -> Complex64 {
    Complex64::cis(-TAU * offset as f64 * (i as f64 - (n / 2) as f64) / n as f64)
}

/// Σ taps · phasors for each group of taps.
struct TransformTaps<'a> {
    taps: &'a [num_complex::Complex32],
    n_a0: usize,
    /// `[tap, re or im, lane]`.
    phasors: &'a [f32],
    /// `[group, re or im, lane]`.
    weights: &'a mut [f32],
}

impl WithSimd for TransformTaps<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let registers = LANES / S::F32_LANES;
        let phasors = S::as_simd_f32s(self.phasors).0;
        let groups = self.taps.chunks_exact(self.n_a0);
        for (weights, taps) in self.weights.chunks_exact_mut(2 * LANES).zip(groups) {
            let weights = S::as_mut_simd_f32s(weights).0;
            for register in 0..registers {
                let mut sum = [simd.splat_f32s(0.0); 2];
                for (tap, phasors) in taps.iter().zip(phasors.chunks_exact(2 * registers)) {
                    let (re, im) = (simd.splat_f32s(tap.re), simd.splat_f32s(tap.im));
                    let phasor = [phasors[register], phasors[registers + register]];
                    multiply_add(simd, &mut sum, [re, im], phasor);
                }
                (weights[register], weights[registers + register]) = (sum[0], sum[1]);
            }
        }
    }
}

/// sum += a·b.
#[inline(always)]
pub(super) fn multiply_add<S: Simd>(
    simd: S,
    sum: &mut [S::f32s; 2],
    a: [S::f32s; 2],
    b: [S::f32s; 2],
) {
    sum[0] = simd.mul_add_f32s(a[0], b[0], sum[0]);
    sum[1] = simd.mul_add_f32s(a[0], b[1], sum[1]);
    sum[0] = simd.negate_mul_add_f32s(a[1], b[1], sum[0]);
    sum[1] = simd.mul_add_f32s(a[1], b[0], sum[1]);
}
