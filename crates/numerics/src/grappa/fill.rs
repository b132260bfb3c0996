//! Filling of missing lines in hybrid space.

use ndarray::{Array4, ArrayView2, ArrayView4, ArrayViewMut4, Axis};
use num_complex::Complex32;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::hybrid::{HybridKernel, LANES, multiply_add};
use super::kernel::{Kernel, source_offset};

impl Kernel {
    /// Fills the missing lines of one scan: [`HybridKernel::fill`] for a kernel that is used
    /// once.
    ///
    /// # Panics
    /// As [`HybridKernel::fill`].
    pub fn fill(
        &self,
        data: ArrayView4<'_, Complex32>,
        sampled: ArrayView2<'_, bool>,
    ) -> Array4<Complex32> {
        self.in_hybrid_space(data.dim().3).fill(data, sampled)
    }
}

impl HybridKernel {
    /// Fills the missing lines.
    ///
    /// * `data`: `[channel, encoding_step_2, encoding_step_1, x]`: k-space with the readout
    ///   transformed to the image. Lines that are not sampled are not read.
    /// * `sampled`: `[encoding_step_2, encoding_step_1]`, which lines are. Lines beside the
    ///   lattice (calibration) are allowed.
    ///
    /// Returns `[target, encoding_step_2, encoding_step_1, x]`: sampled lines as they are, and
    /// missing ones made from their sources. A missing line with a neighbour on the lattice that
    /// lies inside the matrix and is not sampled stays 0 (partial Fourier, corners). Sources
    /// beyond the matrix are taken from its other side if the lattice fits there, and else
    /// count as 0: so the result is that of the unmixing in image space.
    ///
    /// # Panics
    /// If the shapes do not fit each other or the kernel.
    pub fn fill(
        &self,
        data: ArrayView4<'_, Complex32>,
        sampled: ArrayView2<'_, bool>,
    ) -> Array4<Complex32> {
        let (_, n_e2, n_e1, n_x) = data.dim();
        let mut filled = Array4::zeros((self.n_targets, n_e2, n_e1, n_x));
        self.fill_into(data, sampled, filled.view_mut());
        filled
    }

    /// [`HybridKernel::fill`] into memory that is there already, every line of which is written.
    ///
    /// # Panics
    /// As [`HybridKernel::fill`], and if `filled` is not `[target, encoding_step_2,
    /// encoding_step_1, x]`.
    pub fn fill_into(
        &self,
        data: ArrayView4<'_, Complex32>,
        sampled: ArrayView2<'_, bool>,
        mut filled: ArrayViewMut4<'_, Complex32>,
    ) {
        let (n_channels, n_e2, n_e1, n_x) = data.dim();
        assert_eq!((n_channels, n_x), (self.n_channels, self.n_x), "channels and x of the data");
        assert_eq!(sampled.dim(), (n_e2, n_e1), "lines of the data");
        assert_eq!(filled.dim(), (self.n_targets, n_e2, n_e1, n_x), "shape of the filled data");
        let data = data.as_standard_layout();
        let (Some(samples), false) = (data.as_slice(), data.is_empty()) else { return };
        let scheme = Scheme::new(self, sampled);
        let columns: Vec<_> = filled.axis_chunks_iter_mut(Axis(3), LANES).collect();
        let workspace = || {
            let data = vec![0.0; (scheme.sources.len() + 1) * n_channels * 2 * LANES];
            (data, vec![0.0; self.n_targets * scheme.missing.len() * 2 * LANES])
        };
        let blocks = columns.into_par_iter().enumerate();
        blocks.for_each_init(workspace, |(data, results), (block, filled)| {
            scheme.gather(samples, [n_channels, n_e2 * n_e1, n_x], block, data);
            Arch::new().dispatch(FillBlock { kernel: self, scheme: &scheme, block, data, results });
            scheme.put((samples, n_x), block, results, filled);
        });
    }
}

/// First line of the lattice along encoding_step_1 and encoding_step_2: that which most sampled
/// lines belong to (the first of equals), so that calibration lines in between do not matter.
///
/// * `sampled`: `[encoding_step_2, encoding_step_1]`.
///
/// # Panics
/// If an acceleration is 0.
pub fn lattice_offset(sampled: ArrayView2<'_, bool>, acceleration: [usize; 2]) -> [usize; 2] {
    let [r1, r2] = acceleration;
    let mut counts = vec![0_usize; r1 * r2];
    for ((e2, e1), &sampled) in sampled.indexed_iter() {
        counts[e2 % r2 * r1 + e1 % r1] += usize::from(sampled);
    }
    let most = counts.iter().max().copied().unwrap_or(0);
    let first = counts.iter().position(|&count| count == most).unwrap_or(0);
    [first % r1, first / r1]
}

/// What becomes of a line of the matrix.
#[derive(Clone, Copy)]
enum Line {
    Sampled,
    /// Number of a missing line that is filled.
    Filled(usize),
    Zero,
}

/// Which lines are made of which.
struct Scheme {
    /// `[encoding_step_2 and encoding_step_1]`.
    lines: Vec<Line>,
    /// Sampled lines of the lattice, as index into `lines`.
    sources: Vec<usize>,
    /// Lines to be filled, ordered by their place in the cell: that place, and the numbers of
    /// the sources, `[source e2, source e1]`; a number beyond `sources` is a line of zeros.
    missing: Vec<(usize, Vec<usize>)>,
}

impl Scheme {
    fn new(kernel: &HybridKernel, sampled: ArrayView2<'_, bool>) -> Self {
        let (n_e2, n_e1) = sampled.dim();
        let [r1, r2] = kernel.acceleration;
        let [n_a2, n_a1] = kernel.size;
        let [first1, first2] = lattice_offset(sampled, kernel.acceleration);
        let on_lattice = |e2: usize, e1: usize| e1 % r1 == first1 && e2 % r2 == first2;
        let mut sources = Vec::new();
        let mut number = vec![None; n_e2 * n_e1];
        for ((e2, e1), &is_sampled) in sampled.indexed_iter() {
            if is_sampled && on_lattice(e2, e1) {
                number[e2 * n_e1 + e1] = Some(sources.len());
                sources.push(e2 * n_e1 + e1);
            }
        }
        let mut lines: Vec<_> = sampled
            .iter()
            .map(|&is_sampled| if is_sampled { Line::Sampled } else { Line::Zero })
            .collect();
        let mut missing = Vec::new();
        for m in 0..kernel.n_missing {
            for e2 in 0..n_e2 {
                for e1 in 0..n_e1 {
                    let (cell1, o1) = cell(e1, first1, r1);
                    let (cell2, o2) = cell(e2, first2, r2);
                    if sampled[[e2, e1]]
                        || o2 * r1 + o1 != m + 1
                        || !has_neighbours(sampled, [r1, r2], (cell1, o1), (cell2, o2))
                    {
                        continue;
                    }
                    let mut of_line = Vec::with_capacity(n_a2 * n_a1);
                    for a2 in 0..n_a2 {
                        for a1 in 0..n_a1 {
                            let s1 = wrap(cell1 + source_offset(a1, n_a1, r1), n_e1, r1);
                            let s2 = wrap(cell2 + source_offset(a2, n_a2, r2), n_e2, r2);
                            let source = s1.zip(s2).and_then(|(s1, s2)| number[s2 * n_e1 + s1]);
                            of_line.push(source.unwrap_or(sources.len()));
                        }
                    }
                    lines[e2 * n_e1 + e1] = Line::Filled(missing.len());
                    missing.push((m, of_line));
                }
            }
        }
        Self { lines, sources, missing }
    }

    /// Copies a block of pixels of all sources to `data`, `[source, channel, re or im, lane]`.
    fn gather(
        &self,
        samples: &[Complex32],
        [n_channels, n_lines, n_x]: [usize; 3],
        block: usize,
        data: &mut [f32],
    ) {
        let first = block * LANES;
        let n = LANES.min(n_x - first);
        for (&line, data) in self.sources.iter().zip(data.chunks_exact_mut(n_channels * 2 * LANES))
        {
            for (channel, data) in data.chunks_exact_mut(2 * LANES).enumerate() {
                let (re, im) = data.split_at_mut(LANES);
                let start = (channel * n_lines + line) * n_x + first;
                let pixels = &samples[start..start + n];
                for ((re, im), value) in re.iter_mut().zip(im).zip(pixels) {
                    (*re, *im) = (value.re, value.im);
                }
            }
        }
    }

    /// Writes a block of pixels of all lines and targets; `results` is `[target, missing line,
    /// re or im, lane]`.
    fn put(
        &self,
        (samples, n_x): (&[Complex32], usize),
        block: usize,
        results: &[f32],
        mut filled: ArrayViewMut4<'_, Complex32>,
    ) {
        let n_lines = self.lines.len();
        for (row, mut pixels) in filled.lanes_mut(Axis(3)).into_iter().enumerate() {
            let (target, line) = (row / n_lines, row % n_lines);
            let Some(pixels) = pixels.as_slice_mut() else { continue };
            match self.lines[line] {
                Line::Sampled => {
                    let start = (target * n_lines + line) * n_x + block * LANES;
                    pixels.copy_from_slice(&samples[start..start + pixels.len()]);
                }
                Line::Filled(number) => {
                    let start = (target * self.missing.len() + number) * 2 * LANES;
                    let (re, im) = results[start..start + 2 * LANES].split_at(LANES);
                    for ((pixel, &re), &im) in pixels.iter_mut().zip(re).zip(im) {
                        *pixel = Complex32::new(re, im);
                    }
                }
                Line::Zero => pixels.fill(Complex32::ZERO),
            }
        }
    }
}

/// All missing lines of a block of pixels.
struct FillBlock<'a> {
    kernel: &'a HybridKernel,
    scheme: &'a Scheme,
    block: usize,
    /// `[source, channel, re or im, lane]`, the last one of zeros.
    data: &'a [f32],
    /// `[target, missing line, re or im, lane]`.
    results: &'a mut [f32],
}

impl WithSimd for FillBlock<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let n_missing = self.scheme.missing.len();
        let n_targets = self.kernel.n_targets;
        for target in (0..n_targets).step_by(2) {
            // Two targets and two lines at a time: each factor is loaded once for two products.
            let targets = [target, (target + 1).min(n_targets - 1)];
            let mut line = 0;
            while line < n_missing {
                let m = self.scheme.missing[line].0;
                let next = (line + 1).min(n_missing - 1);
                let lines = [line, if self.scheme.missing[next].0 == m { next } else { line }];
                for register in 0..LANES / S::F32_LANES {
                    let sums = self.tile(simd, register, m, targets, lines);
                    for (&target, sums) in targets.iter().zip(sums) {
                        for (&line, sum) in lines.iter().zip(sums) {
                            let start = (target * n_missing + line) * 2 * LANES;
                            let result = &mut self.results[start..start + 2 * LANES];
                            let result = S::as_mut_simd_f32s(result).0;
                            let registers = result.len() / 2;
                            (result[register], result[registers + register]) = (sum[0], sum[1]);
                        }
                    }
                }
                line = lines[1] + 1;
            }
        }
    }
}

impl FillBlock<'_> {
    /// Two targets of two lines with the same place in their cells: `[target][line][re, im]`.
    #[inline(always)]
    fn tile<S: Simd>(
        &self,
        simd: S,
        register: usize,
        m: usize,
        targets: [usize; 2],
        lines: [usize; 2],
    ) -> [[[S::f32s; 2]; 2]; 2] {
        let registers = LANES / S::F32_LANES;
        let line_len = self.kernel.n_channels * 2 * LANES;
        let mut sums = [[[simd.splat_f32s(0.0); 2]; 2]; 2];
        let first = self.kernel.block(self.block, m, targets[0]).chunks_exact(line_len);
        let second = self.kernel.block(self.block, m, targets[1]).chunks_exact(line_len);
        let [(_, above), (_, below)] = [0, 1].map(|line| &self.scheme.missing[lines[line]]);
        for ((first, second), (&above, &below)) in first.zip(second).zip(above.iter().zip(below)) {
            let above = &self.data[above * line_len..(above + 1) * line_len];
            let below = &self.data[below * line_len..(below + 1) * line_len];
            let weights = S::as_simd_f32s(first).0.chunks_exact(2 * registers);
            let weights = weights.zip(S::as_simd_f32s(second).0.chunks_exact(2 * registers));
            let data = S::as_simd_f32s(above).0.chunks_exact(2 * registers);
            let data = data.zip(S::as_simd_f32s(below).0.chunks_exact(2 * registers));
            for ((w0, w1), (d0, d1)) in weights.zip(data) {
                let w0 = [w0[register], w0[registers + register]];
                let w1 = [w1[register], w1[registers + register]];
                let d0 = [d0[register], d0[registers + register]];
                let d1 = [d1[register], d1[registers + register]];
                multiply_add(simd, &mut sums[0][0], w0, d0);
                multiply_add(simd, &mut sums[0][1], w0, d1);
                multiply_add(simd, &mut sums[1][0], w1, d0);
                multiply_add(simd, &mut sums[1][1], w1, d1);
            }
        }
        sums
    }
}

/// Whether the nearest lattice lines around line `o` of the cell that starts at `cell` are
/// sampled as far as they lie inside the matrix, for (encoding_step_1, encoding_step_2).
fn has_neighbours(
    sampled: ArrayView2<'_, bool>,
    acceleration: [usize; 2],
    (cell1, o1): (isize, usize),
    (cell2, o2): (isize, usize),
) -> bool {
    let (n_e2, n_e1) = sampled.dim();
    let [r1, r2] = acceleration.map(|r| r as isize);
    let steps = |o: usize| if o == 0 { 0..1 } else { 0..2 };
    let mut any = false;
    for step2 in steps(o2) {
        for step1 in steps(o1) {
            let e1 = inside(cell1 + step1 * r1, n_e1);
            let e2 = inside(cell2 + step2 * r2, n_e2);
            if let (Some(e1), Some(e2)) = (e1, e2) {
                if !sampled[[e2, e1]] {
                    return false;
                }
                any = true;
            }
        }
    }
    any
}

/// Start of the cell of line `e` (negative before the first lattice line) and its place in it.
fn cell(e: usize, first: usize, acceleration: usize) -> (isize, usize) {
    let place = (e + acceleration - first) % acceleration;
    (e as isize - place as isize, place)
}

fn inside(e: isize, n: usize) -> Option<usize> {
    usize::try_from(e).ok().filter(|&e| e < n)
}

/// Line `e` of a matrix of `n` that is periodic if the lattice is.
fn wrap(e: isize, n: usize, acceleration: usize) -> Option<usize> {
    if n.is_multiple_of(acceleration) {
        Some(e.rem_euclid(n as isize) as usize)
    } else {
        inside(e, n)
    }
}
