//! Normal equations of the calibration.
//!
//! # Method
//! Sources that differ only in their readout tap are the same samples shifted, so of all pairs
//! of taps only their lag counts, except at the ends of the readout. Correlations for all lags
//! come from products of the transformed readouts (with as many zeros behind as the largest
//! lag), summed over the lines where the kernel fits: one product per pixel where taps × taps
//! would be needed in k-space. What these sums have too much, the places where the kernel
//! reaches beyond the readout, are products of the first and last samples; they are summed
//! along with the pixels and subtracted.

use std::f64::consts::TAU;

use ndarray::{Array2, ArrayView4};
use num_complex::{Complex32, Complex64};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::kernel::missing_line;
use crate::fft::Centered;

/// Pixels that are worked on together: one register of the widest processors.
const LANES: usize = 16;

/// A column of the system but for its readout tap: a channel seen from one of the kernel's
/// lines, or a target.
#[derive(Clone, Copy)]
struct Column {
    channel: usize,
    /// First line along encoding_step_2 and encoding_step_1.
    first: [usize; 2],
}

/// AᴴA, `[source, source]` (the lower triangle), and AᴴB, `[source, missing line × target]`.
///
/// * `calibration`: `[channel, encoding_step_2, encoding_step_1, readout]`.
/// * `scale`: what samples are multiplied with first, to be near 1.
/// * `size`: sources along encoding_step_2, encoding_step_1 and readout.
/// * `places`: how many places the kernel has along each.
///
/// Sources are ordered `[channel, e2, e1, readout]`.
pub(super) fn normal_equations(
    calibration: ArrayView4<'_, Complex32>,
    scale: f32,
    acceleration: [usize; 2],
    size: [usize; 3],
    places: [usize; 3],
    n_targets: usize,
) -> (Array2<Complex64>, Array2<Complex64>) {
    let n_channels = calibration.dim().0;
    let [n_a2, n_a1, n_a0] = size;
    let steps = [acceleration[1], acceleration[0]];
    let mut sources = Vec::new();
    for channel in 0..n_channels {
        for a2 in 0..n_a2 {
            for a1 in 0..n_a1 {
                sources.push(Column { channel, first: [a2 * steps[0], a1 * steps[1]] });
            }
        }
    }
    let mut targets = Vec::new();
    for m in 0..acceleration[0] * acceleration[1] - 1 {
        let (o1, o2) = missing_line(acceleration, m);
        let first = [(n_a2 - 1) / 2 * steps[0] + o2, (n_a1 - 1) / 2 * steps[1] + o1];
        targets.extend((0..n_targets).map(|channel| Column { channel, first }));
    }

    let blocks = Blocks::new(calibration, scale, n_a0);
    let pairs = Pairs { sources: &sources, targets: &targets, places: [places[0], places[1]] };
    let sums: Vec<Vec<f32>> =
        (0..blocks.n_blocks).into_par_iter().map(|block| pairs.sum(&blocks, block)).collect();
    let taps = Taps::new(&blocks);
    let (n_sources, n_targets) = (sources.len() * n_a0, targets.len());
    let mut normal = Array2::zeros((n_sources, n_sources));
    let mut right = Array2::zeros((n_sources, n_targets));
    let tap_rows = normal.exact_chunks_mut((n_a0, n_sources)).into_iter();
    let tap_rows = tap_rows.zip(right.exact_chunks_mut((n_a0, n_targets)));
    tap_rows.enumerate().par_bridge().for_each(|(a, (mut normal, mut right))| {
        let mut tile = vec![Complex64::ZERO; n_a0 * n_a0];
        for b in 0..=a {
            taps.products(&sums, pairs.index(a, b), &mut tile);
            for (index, &value) in tile.iter().enumerate() {
                normal[[index / n_a0, b * n_a0 + index % n_a0]] = value;
            }
        }
        for b in 0..n_targets {
            taps.products(&sums, pairs.target_index(a, b), &mut tile);
            for tap in 0..n_a0 {
                right[[tap, b]] = tile[tap * n_a0 + (n_a0 - 1) / 2];
            }
        }
    });
    (normal, right)
}

/// The transformed readouts, and their ends, in blocks of [`LANES`] pixels.
struct Blocks {
    n_taps: usize,
    /// Readout samples with the zeros behind.
    n_x: usize,
    /// Blocks of pixels; after these come blocks of products of the readout's ends.
    n_pixel_blocks: usize,
    n_blocks: usize,
    n_channels: usize,
    n_e1: usize,
    /// `[block, e2, e1, channel, re or im, lane]`.
    left: Vec<f32>,
    /// The same but for the ends: the lanes there are `[start or end, p, q]`, sample p in `left`
    /// and sample q in `right`. Only these blocks.
    right: Vec<f32>,
}

impl Blocks {
    fn new(calibration: ArrayView4<'_, Complex32>, scale: f32, n_taps: usize) -> Self {
        let (n_channels, n_e2, n_e1, n_readout) = calibration.dim();
        let n_x = transform_len(n_readout + n_taps - 1);
        let n_ends = 2 * (n_taps - 1) * (n_taps - 1);
        let n_pixel_blocks = n_x.div_ceil(LANES);
        let n_blocks = n_pixel_blocks + n_ends.div_ceil(LANES);
        let block_len = n_e2 * n_e1 * n_channels * 2 * LANES;
        let mut left = vec![0.0; n_blocks * block_len];
        let mut right = vec![0.0; (n_blocks - n_pixel_blocks) * block_len];
        let fft = Centered::new(n_x);
        let mut row = vec![Complex32::ZERO; n_x];
        let mut scratch = vec![Complex32::ZERO; fft.scratch_len()];
        let ends = n_taps - 1;
        for e2 in 0..n_e2 {
            for e1 in 0..n_e1 {
                for channel in 0..n_channels {
                    let readout = calibration.slice(ndarray::s![channel, e2, e1, ..]);
                    for (sample, &value) in row.iter_mut().zip(&readout) {
                        *sample = value * scale;
                    }
                    row[n_readout..].fill(Complex32::ZERO);
                    fft.forward_rows(&mut row, &mut scratch);
                    let place = ((e2 * n_e1 + e1) * n_channels + channel) * 2 * LANES;
                    for (block, pixels) in row.chunks(LANES).enumerate() {
                        let start = block * block_len + place;
                        let (re, im) = left[start..start + 2 * LANES].split_at_mut(LANES);
                        for ((re, im), value) in re.iter_mut().zip(im).zip(pixels) {
                            (*re, *im) = (value.re, value.im);
                        }
                    }
                    for index in 0..n_ends {
                        let (side, p, q) =
                            (index / (ends * ends), index / ends % ends, index % ends);
                        let first = if side == 0 { 0 } else { n_readout - ends };
                        let start = index / LANES * block_len + place + index % LANES;
                        let (p, q) = (readout[first + p] * scale, readout[first + q] * scale);
                        let left = &mut left[n_pixel_blocks * block_len + start..];
                        (left[0], left[LANES]) = (p.re, p.im);
                        (right[start], right[start + LANES]) = (q.re, q.im);
                    }
                }
            }
        }
        Self { n_taps, n_x, n_pixel_blocks, n_blocks, n_channels, n_e1, left, right }
    }

    /// Left and right factors of a block.
    fn block(&self, block: usize) -> (&[f32], &[f32]) {
        let block_len = self.left.len() / self.n_blocks;
        let left = &self.left[block * block_len..(block + 1) * block_len];
        let right = match block.checked_sub(self.n_pixel_blocks) {
            None => left,
            Some(block) => &self.right[block * block_len..(block + 1) * block_len],
        };
        (left, right)
    }
}

/// Length of at least `least` that transforms fast: no prime above 5, whole blocks.
fn transform_len(least: usize) -> usize {
    let smooth = |mut n: usize| {
        for prime in [2, 3, 5] {
            while n.is_multiple_of(prime) {
                n /= prime;
            }
        }
        n == 1
    };
    let mut len = least.next_multiple_of(LANES);
    while !smooth(len) {
        len += LANES;
    }
    len
}

/// All products of two columns that are needed: sources a ≥ b, row by row, then for each source
/// all targets.
struct Pairs<'a> {
    sources: &'a [Column],
    targets: &'a [Column],
    /// Places along encoding_step_2 and encoding_step_1.
    places: [usize; 2],
}

impl Pairs<'_> {
    fn index(&self, a: usize, b: usize) -> usize {
        a * (a + 1) / 2 + b
    }

    fn target_index(&self, a: usize, b: usize) -> usize {
        self.index(self.sources.len(), 0) + a * self.targets.len() + b
    }

    fn len(&self) -> usize {
        self.target_index(self.sources.len(), 0)
    }

    /// Σ conj(left)·right over the places for each pair: `[pair, re or im, lane]`.
    fn sum(&self, blocks: &Blocks, block: usize) -> Vec<f32> {
        let mut sums = vec![0.0; self.len() * 2 * LANES];
        Arch::new().dispatch(SumJob { pairs: self, blocks, block, sums: &mut sums });
        sums
    }
}

/// [`Pairs::sum`].
struct SumJob<'a> {
    pairs: &'a Pairs<'a>,
    blocks: &'a Blocks,
    block: usize,
    sums: &'a mut [f32],
}

impl WithSimd for SumJob<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (sources, targets) = (self.pairs.sources, self.pairs.targets);
        for a in (0..sources.len()).step_by(2) {
            // Two by two: each factor is loaded once for two products.
            let a = [a, (a + 1).min(sources.len() - 1)];
            let left = [sources[a[0]], sources[a[1]]];
            for b in (0..=a[1]).step_by(2) {
                let b = [b, (b + 1).min(sources.len() - 1)];
                let products = self.tile(simd, left, [sources[b[0]], sources[b[1]]]);
                for (i, products) in products.iter().enumerate() {
                    for (j, product) in products.iter().enumerate() {
                        if b[j] <= a[i] {
                            let start = self.pairs.index(a[i], b[j]) * 2 * LANES;
                            self.sums[start..start + 2 * LANES].copy_from_slice(product);
                        }
                    }
                }
            }
            for b in (0..targets.len()).step_by(2) {
                let b = [b, (b + 1).min(targets.len() - 1)];
                let products = self.tile(simd, left, [targets[b[0]], targets[b[1]]]);
                for (i, products) in products.iter().enumerate() {
                    for (j, product) in products.iter().enumerate() {
                        let start = self.pairs.target_index(a[i], b[j]) * 2 * LANES;
                        self.sums[start..start + 2 * LANES].copy_from_slice(product);
                    }
                }
            }
        }
    }
}

impl SumJob<'_> {
    /// Products of two and two columns: `[left][right][re and im, lane]`.
    #[inline(always)]
    fn tile<S: Simd>(
        &self,
        simd: S,
        left: [Column; 2],
        right: [Column; 2],
    ) -> [[[f32; 2 * LANES]; 2]; 2] {
        let mut products = [[[0.0; 2 * LANES]; 2]; 2];
        let (left_data, right_data) = self.blocks.block(self.block);
        let row_len = self.blocks.n_channels * 2 * LANES;
        let [n_places_2, n_places_1] = self.pairs.places;
        let registers = LANES / S::F32_LANES;
        for register in 0..registers {
            let zero = simd.splat_f32s(0.0);
            let mut sums = [[[zero; 2]; 2]; 2];
            for place_2 in 0..n_places_2 {
                let rows = |data: &'_ [f32], column: Column| {
                    let row = (column.first[0] + place_2) * self.blocks.n_e1 + column.first[1];
                    let start = row * row_len + column.channel * 2 * LANES;
                    // The last row ends with its channel.
                    start..(start + n_places_1 * row_len).min(data.len())
                };
                let a = [0, 1].map(|i| &left_data[rows(left_data, left[i])]);
                let b = [0, 1].map(|j| &right_data[rows(right_data, right[j])]);
                let a = a[0].chunks(row_len).zip(a[1].chunks(row_len));
                let b = b[0].chunks(row_len).zip(b[1].chunks(row_len));
                for ((a0, a1), (b0, b1)) in a.zip(b) {
                    let [a0, a1, b0, b1] = [a0, a1, b0, b1].map(|row| {
                        let registers_in_row = S::as_simd_f32s(&row[..2 * LANES]).0;
                        [registers_in_row[register], registers_in_row[registers + register]]
                    });
                    multiply_conjugated(simd, &mut sums[0][0], a0, b0);
                    multiply_conjugated(simd, &mut sums[0][1], a0, b1);
                    multiply_conjugated(simd, &mut sums[1][0], a1, b0);
                    multiply_conjugated(simd, &mut sums[1][1], a1, b1);
                }
            }
            for (products, sums) in products.iter_mut().zip(sums) {
                for (product, sum) in products.iter_mut().zip(sums) {
                    let product = S::as_mut_simd_f32s(product).0;
                    (product[register], product[registers + register]) = (sum[0], sum[1]);
                }
            }
        }
        products
    }
}

/// sum += conj(a)·b.
#[inline(always)]
fn multiply_conjugated<S: Simd>(simd: S, sum: &mut [S::f32s; 2], a: [S::f32s; 2], b: [S::f32s; 2]) {
    sum[0] = simd.mul_add_f32s(a[0], b[0], sum[0]);
    sum[1] = simd.mul_add_f32s(a[0], b[1], sum[1]);
    sum[0] = simd.mul_add_f32s(a[1], b[1], sum[0]);
    sum[1] = simd.negate_mul_add_f32s(a[1], b[0], sum[1]);
}

/// From sums over pixels to products of readout taps.
struct Taps<'a> {
    blocks: &'a Blocks,
    /// `[pixel, lane]`: cos and sin of 2π·lag·(x − c)/N for the lags from 1 on, padded.
    phasors: Vec<f64>,
    n_lanes: usize,
}

impl<'a> Taps<'a> {
    fn new(blocks: &'a Blocks) -> Self {
        let n_lags = blocks.n_taps - 1;
        let n_lanes = (2 * n_lags).next_multiple_of(8);
        let mut phasors = vec![0.0; blocks.n_x * n_lanes];
        for (x, phasors) in phasors.chunks_exact_mut(n_lanes.max(1)).enumerate() {
            for lag in 1..=n_lags {
                let turns = lag as f64 * (x as f64 - (blocks.n_x / 2) as f64) / blocks.n_x as f64;
                let (sin, cos) = (TAU * turns).sin_cos();
                (phasors[lag - 1], phasors[n_lags + lag - 1]) = (cos, sin);
            }
        }
        Self { blocks, phasors, n_lanes }
    }

    /// Σ conj(left)·right over all places for each pair of taps: `[tap, tap]` into `tile`.
    fn products(&self, sums: &[Vec<f32>], pair: usize, tile: &mut [Complex64]) {
        let n_taps = self.blocks.n_taps;
        let n_lags = n_taps - 1;
        let (pixels, ends) = sums.split_at(self.blocks.n_pixel_blocks);
        let range = pair * 2 * LANES..(pair + 1) * 2 * LANES;
        let mut lanes = vec![0.0; 2 * self.n_lanes];
        let mut zero = [0.0; 2];
        Arch::new().dispatch(LagJob {
            taps: self,
            pixels,
            pair,
            lanes: &mut lanes,
            zero: &mut zero,
        });
        let (with_re, with_im) = lanes.split_at(self.n_lanes);
        let lag = |lag: isize| {
            if lag == 0 {
                return Complex64::new(zero[0], zero[1]);
            }
            let place = lag.unsigned_abs() - 1;
            let (re, im) = (with_re, with_im);
            let sign = if lag > 0 { 1.0 } else { -1.0 };
            // G·(cos + i·sin).
            Complex64::new(
                re[place] - sign * im[n_lags + place],
                im[place] + sign * re[n_lags + place],
            )
        };
        let end = |side: usize, p: usize, q: usize| {
            let index = (side * n_lags + p) * n_lags + q;
            let sums = &ends[index / LANES][range.clone()];
            let (re, im) = (sums[index % LANES], sums[LANES + index % LANES]);
            Complex64::new(f64::from(re), f64::from(im))
        };
        for p in 0..n_taps {
            for q in 0..n_taps {
                tile[p * n_taps + q] = lag(q as isize - p as isize);
            }
        }
        // Beyond the start: each pair of taps has one place more than that before it.
        for p in 0..n_taps {
            for q in 0..n_taps {
                let places = p.min(q);
                for place in 1..=places {
                    tile[p * n_taps + q] -= end(0, p - place, q - place);
                }
                for place in 0..n_lags - p.max(q) {
                    tile[p * n_taps + q] -= end(1, p + place, q + place);
                }
            }
        }
    }
}

/// Sums of a pair over all pixels times the phasors: `[with re or im, lane]`.
struct LagJob<'a> {
    taps: &'a Taps<'a>,
    pixels: &'a [Vec<f32>],
    pair: usize,
    lanes: &'a mut [f64],
    zero: &'a mut [f64; 2],
}

impl WithSimd for LagJob<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let n_lanes = self.taps.n_lanes;
        for block in self.pixels {
            let sums = &block[self.pair * 2 * LANES..(self.pair + 1) * 2 * LANES];
            let (re, im) = sums.split_at(LANES);
            self.zero[0] += re.iter().map(|&v| f64::from(v)).sum::<f64>();
            self.zero[1] += im.iter().map(|&v| f64::from(v)).sum::<f64>();
        }
        let (with_re, with_im) = self.lanes.split_at_mut(n_lanes);
        let registers = n_lanes / S::F64_LANES;
        let with_re = S::as_mut_simd_f64s(with_re).0;
        let with_im = S::as_mut_simd_f64s(with_im).0;
        for register in 0..registers {
            // Two sums each: none waits for the other.
            let mut sums = [[simd.splat_f64s(0.0); 2]; 2];
            let blocks = self.pixels.iter().zip(self.taps.phasors.chunks_exact(LANES * n_lanes));
            for (block, phasors) in blocks {
                let values = &block[self.pair * 2 * LANES..(self.pair + 1) * 2 * LANES];
                let (re, im) = values.split_at(LANES);
                let phasors = S::as_simd_f64s(phasors).0;
                for x in (0..LANES).step_by(2) {
                    let first = phasors[x * registers + register];
                    let second = phasors[(x + 1) * registers + register];
                    let value = |part: &[f32], x: usize| simd.splat_f64s(f64::from(part[x]));
                    sums[0][0] = simd.mul_add_f64s(value(re, x), first, sums[0][0]);
                    sums[0][1] = simd.mul_add_f64s(value(im, x), first, sums[0][1]);
                    sums[1][0] = simd.mul_add_f64s(value(re, x + 1), second, sums[1][0]);
                    sums[1][1] = simd.mul_add_f64s(value(im, x + 1), second, sums[1][1]);
                }
            }
            with_re[register] = simd.add_f64s(sums[0][0], sums[1][0]);
            with_im[register] = simd.add_f64s(sums[0][1], sums[1][1]);
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array4, s};

    use super::*;

    /// By the definition: every place, every pair of taps.
    fn by_definition(
        calibration: ArrayView4<'_, Complex32>,
        acceleration: [usize; 2],
        size: [usize; 3],
        places: [usize; 3],
        n_targets: usize,
    ) -> (Array2<Complex64>, Array2<Complex64>) {
        let column = |channel: usize, first: [usize; 3]| {
            let range = [0, 1, 2].map(|axis| first[axis]..first[axis] + places[axis]);
            let [e2, e1, readout] = range;
            let wide = |v: &Complex32| Complex64::new(f64::from(v.re), f64::from(v.im));
            calibration.slice(s![channel, e2, e1, readout]).iter().map(wide).collect::<Vec<_>>()
        };
        let [r1, r2] = acceleration;
        let (mut sources, mut targets) = (Vec::new(), Vec::new());
        for channel in 0..calibration.dim().0 {
            for a2 in 0..size[0] {
                for a1 in 0..size[1] {
                    sources.extend((0..size[2]).map(|a0| column(channel, [a2 * r2, a1 * r1, a0])));
                }
            }
        }
        for m in 1..r1 * r2 {
            let middle = |axis: usize| (size[axis] - 1) / 2;
            let first = [middle(0) * r2 + m / r1, middle(1) * r1 + m % r1, middle(2)];
            targets.extend((0..n_targets).map(|channel| column(channel, first)));
        }
        let dot = |a: &[Complex64], b: &[Complex64]| -> Complex64 {
            a.iter().zip(b).map(|(a, b)| a.conj() * b).sum()
        };
        let n = sources.len();
        let normal = Array2::from_shape_fn((n, n), |(i, j)| dot(&sources[i], &sources[j]));
        let right =
            Array2::from_shape_fn((n, targets.len()), |(i, j)| dot(&sources[i], &targets[j]));
        (normal, right)
    }

    #[test]
    fn sums_by_transform_follow_the_definition() {
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        for (shape, acceleration, size, n_targets) in [
            ((3, 1, 12, 30), [2, 1], [1, 4, 5], 3),
            ((2, 1, 12, 12), [3, 1], [1, 2, 7], 1),
            ((3, 1, 9, 17), [2, 1], [1, 3, 1], 2),
            ((2, 1, 9, 5), [2, 1], [1, 4, 4], 2),
            ((2, 7, 8, 20), [2, 2], [2, 3, 3], 2),
        ] {
            let calibration =
                Array4::from_shape_simple_fn(shape, || Complex32::new(next(), next()));
            let steps = [acceleration[1], acceleration[0], 1];
            let available = [shape.1, shape.2, shape.3];
            let places = [0, 1, 2].map(|axis| {
                let after = (size[axis] / 2 * steps[axis]).max(steps[axis] - 1);
                available[axis] - (size[axis] - 1) / 2 * steps[axis] - after
            });
            let (normal, right) =
                normal_equations(calibration.view(), 1.0, acceleration, size, places, n_targets);
            let (normal_truth, right_truth) =
                by_definition(calibration.view(), acceleration, size, places, n_targets);
            let scale = normal_truth.diag().iter().map(|v| v.re).fold(0.0, f64::max);
            for ((i, j), truth) in normal_truth.indexed_iter() {
                let difference = if j <= i { (normal[[i, j]] - truth).norm() } else { 0.0 };
                // Products and transforms in single precision.
                assert!(difference < 2e-6 * scale, "{shape:?} {i} {j}: {difference} of {scale}");
            }
            for ((i, j), truth) in right_truth.indexed_iter() {
                let difference = (right[[i, j]] - truth).norm();
                assert!(difference < 2e-6 * scale, "{shape:?} {i} {j}: {difference} of {scale}");
            }
        }
    }
}
