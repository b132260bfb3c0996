//! Dominant eigenvector of the channels' covariance around each pixel.
//!
//! # Method
//! A tile of pixels is gone through row by row. The products of the channels along a row are
//! summed over the window along z as they are made, then along x, and at last along y: of each
//! group of as many rows as the window has, running sums from its first row on and back from its
//! last one are kept, and any window is the sum of two of them. So no sum has anything
//! subtracted again, and noise beside a bright object keeps its own precision. All loops run
//! over pixels along x.

use std::cell::RefCell;

use ndarray::{Array4, ArrayView4, ArrayViewMut3, Axis};
use num_complex::Complex32;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::binary_exponent::normalising_power;

/// Rows that one thread works on: the same however many threads there are.
const BAND: usize = 32;

/// Pixels along x that are worked on together: one register of the widest processors.
const LANES: usize = 16;

/// What the phase of an eigenvector is relative to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The combined image, summed over the window, is real and positive.
    WindowSum,
    /// The sum of the channels of the eigenvector is real and positive.
    ChannelSum,
}

/// Unit eigenvector of Σ a·aᴴ over the window around each pixel, `[channel, z, y, x]`; 0 where
/// all images are 0 in the window. The images are periodic at the edges.
///
/// * `window`: size along z, y and x in pixels, made odd, and cut down to the images' size.
/// * `power`: power iterations, starting from the channels' sum over the window, or of the
///   covariance's columns with [`Phase::ChannelSum`].
pub(super) fn local_eigenvector(
    images: ArrayView4<'_, Complex32>,
    window: [usize; 3],
    power: usize,
    phase: Phase,
) -> Array4<Complex32> {
    let (n_channels, n_z, n_y, n_x) = images.dim();
    let mut maps = Array4::zeros(images.dim());
    if images.is_empty() {
        return maps;
    }
    let images = images.as_standard_layout();
    let Some(samples) = images.as_slice() else { return maps };
    // Where a sample is not finite there is no map.
    let Ok(Some(scale)) = normalising_power(samples) else { return maps };
    let half = half_window(window, [n_z, n_y, n_x]);
    let search = Search { samples, shape: [n_channels, n_z, n_y, n_x], scale, half, power, phase };
    let mut bands = Vec::new();
    for (z, mut plane) in maps.axis_iter_mut(Axis(1)).enumerate() {
        // `axis_chunks_iter_mut` of `plane` would end with it.
        let mut first = 0;
        loop {
            let rows = BAND.min(n_y - first);
            if rows == n_y - first {
                bands.push((z, first, plane));
                break;
            }
            let (band, rest) = plane.split_at(Axis(1), rows);
            bands.push((z, first, band));
            (plane, first) = (rest, first + rows);
        }
    }
    bands.into_par_iter().for_each(|(z, first_y, band)| search.fill_band(z, first_y, band));
    maps
}

/// Pixels on either side of the middle one along z, y and x.
pub(super) fn half_window(window: [usize; 3], size: [usize; 3]) -> [usize; 3] {
    [0, 1, 2].map(|axis| (window[axis] / 2).min(size[axis].saturating_sub(1) / 2))
}

/// The task, the same for all bands.
struct Search<'a> {
    /// `[channel, z, y, x]`.
    samples: &'a [Complex32],
    shape: [usize; 4],
    scale: f32,
    half: [usize; 3],
    power: usize,
    phase: Phase,
}

/// Memory of one thread. All of it is written before it is read.
///
/// Entries are, for each channel i: for each channel j < i, re and im of aᵢ·conj(aⱼ), then
/// |aᵢ|²; after those of all channels re and im of each aᵢ.
#[derive(Default)]
struct Workspace {
    /// `[z in the window, channel, re or im, x with the window's margin]`.
    rows: Vec<f32>,
    /// `[re or im, x with the margin]`: products along a row.
    products: Vec<f32>,
    /// `[row of the group, entry, x]`: sums along x and z. Rows that the group before had and
    /// this one has not yet hold sums from there to the last row of that group.
    group: Vec<f32>,
    /// `[entry, x]`: sums over the rows of the group so far.
    prefix: Vec<f32>,
    /// `[entry, lane]`: sums over the window.
    sums: Vec<f32>,
    /// `[channel, re or im, lane]`: vector, and covariance times vector.
    vector: Vec<f32>,
    product: Vec<f32>,
    /// `[channel, x]`: the maps of a row.
    line: Vec<Complex32>,
}

thread_local! {
    static WORKSPACE: RefCell<Workspace> = RefCell::default();
}

impl Search<'_> {
    /// Fills rows `first_y`… of plane `z`: `band` is `[channel, y, x]`.
    fn fill_band(&self, z: usize, first_y: usize, mut band: ArrayViewMut3<'_, Complex32>) {
        let [n_channels, .., n_x] = self.shape;
        // Sums of all rows of a group should stay in the second-level cache.
        let width = match n_channels {
            0..=16 => 4 * LANES,
            17..=32 => 2 * LANES,
            _ => LANES,
        };
        WORKSPACE.with_borrow_mut(|workspace| {
            for first_x in (0..n_x).step_by(width) {
                Arch::new().dispatch(Tile {
                    search: self,
                    z,
                    first_y,
                    first_x,
                    width: width.min((n_x - first_x).next_multiple_of(LANES)),
                    band: band.view_mut(),
                    workspace,
                });
            }
        });
    }
}

/// `width` pixels from `first_x` on of all rows of a band.
struct Tile<'a> {
    search: &'a Search<'a>,
    z: usize,
    first_y: usize,
    first_x: usize,
    /// Multiple of [`LANES`], may reach beyond the images.
    width: usize,
    band: ArrayViewMut3<'a, Complex32>,
    workspace: &'a mut Workspace,
}

impl WithSimd for Tile<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let [n_channels, ..] = self.search.shape;
        let n_group = 2 * self.search.half[1] + 1;
        let n_entries = n_channels * n_channels + 2 * n_channels;
        let row_len = n_entries * self.width;
        let padded = self.padded_width();
        let n_z = 2 * self.search.half[0] + 1;
        let workspace = &mut *self.workspace;
        for (buffer, len) in [
            (&mut workspace.rows, n_z * n_channels * 2 * padded),
            (&mut workspace.products, 2 * padded),
            (&mut workspace.group, n_group * row_len),
            (&mut workspace.prefix, row_len),
            (&mut workspace.sums, n_entries * S::F32_LANES),
            (&mut workspace.vector, 2 * n_channels * S::F32_LANES),
            (&mut workspace.product, 2 * n_channels * S::F32_LANES),
        ] {
            buffer.resize(len, 0.0);
        }
        workspace.line.resize(n_channels * self.width, Complex32::ZERO);
        let n_rows = self.band.len_of(Axis(1));
        for row in 0..n_rows + n_group - 1 {
            self.load_rows(row);
            let place = row % n_group;
            self.add_row(simd, place);
            if row + 1 >= n_group {
                self.eigenvectors(simd, place, row + 1 - n_group);
            }
            if place + 1 == n_group {
                self.sum_back(simd);
            }
        }
    }
}

impl Tile<'_> {
    fn padded_width(&self) -> usize {
        (self.width + 2 * self.search.half[2]).next_multiple_of(LANES)
    }

    /// Copies row `row` of the band with its margin, for all planes of the window: periodic,
    /// scaled, real and imaginary parts apart.
    #[inline(always)]
    fn load_rows(&mut self, row: usize) {
        let [n_channels, n_z, n_y, n_x] = self.search.shape;
        let [half_z, half_y, half_x] = self.search.half;
        let padded = self.padded_width();
        let y = (self.first_y + row + n_y - half_y) % n_y;
        let scale = self.search.scale;
        let mut targets = self.workspace.rows.chunks_exact_mut(2 * padded);
        for dz in 0..=2 * half_z {
            let z = (self.z + dz + n_z - half_z) % n_z;
            for channel in 0..n_channels {
                let Some(target) = targets.next() else { return };
                let (re, im) = target.split_at_mut(padded);
                let start = ((channel * n_z + z) * n_y + y) * n_x;
                let source = &self.search.samples[start..start + n_x];
                let mut x = (self.first_x + n_x - half_x) % n_x;
                let mut done = 0;
                while done < padded {
                    let len = (n_x - x).min(padded - done);
                    let parts = re[done..done + len].iter_mut().zip(&mut im[done..done + len]);
                    for ((re, im), value) in parts.zip(&source[x..x + len]) {
                        (*re, *im) = (value.re * scale, value.im * scale);
                    }
                    (x, done) = (0, done + len);
                }
            }
        }
    }

    /// Sums of products along z and x of the loaded row into row `place` of the group, and onto
    /// the sums since the group's first row.
    #[inline(always)]
    fn add_row<S: Simd>(&mut self, simd: S, place: usize) {
        let [n_channels, ..] = self.search.shape;
        let [half_z, _, half_x] = self.search.half;
        let (width, padded) = (self.width, self.padded_width());
        let Workspace { rows, products, group, prefix, .. } = &mut *self.workspace;
        let row_len = prefix.len();
        let group = &mut group[place * row_len..(place + 1) * row_len];
        // A closure that the compiler does not inline would lose the wide registers.
        let first = place == 0;
        let mut entries = Entries { half_x, first, width, group, prefix };
        let (product_re, product_im) = products.split_at_mut(padded);
        let row = |z: usize, channel: usize| {
            let start = (z * n_channels + channel) * 2 * padded;
            let (re, im) = rows[start..start + 2 * padded].split_at(padded);
            (S::as_simd_f32s(re).0, S::as_simd_f32s(im).0)
        };
        for i in 0..n_channels {
            for j in 0..i {
                for z in 0..=2 * half_z {
                    let ((a_re, a_im), (b_re, b_im)) = (row(z, i), row(z, j));
                    let re = S::as_mut_simd_f32s(product_re).0;
                    let im = S::as_mut_simd_f32s(product_im).0;
                    let (a, b) = (a_re.iter().zip(a_im), b_re.iter().zip(b_im));
                    for ((sums, a), b) in re.iter_mut().zip(im).zip(a).zip(b) {
                        let (re, im, a, b) = (sums.0, sums.1, (*a.0, *a.1), (*b.0, *b.1));
                        if z == 0 {
                            *re = simd.mul_f32s(a.0, b.0);
                            *im = simd.mul_f32s(a.1, b.0);
                        } else {
                            *re = simd.mul_add_f32s(a.0, b.0, *re);
                            *im = simd.mul_add_f32s(a.1, b.0, *im);
                        }
                        *re = simd.mul_add_f32s(a.1, b.1, *re);
                        *im = simd.negate_mul_add_f32s(a.0, b.1, *im);
                    }
                }
                entries.add(simd, product_re);
                entries.add(simd, product_im);
            }
            for z in 0..=2 * half_z {
                let (a_re, a_im) = row(z, i);
                let sums = S::as_mut_simd_f32s(product_re).0;
                for ((sum, &re), &im) in sums.iter_mut().zip(a_re).zip(a_im) {
                    *sum = if z == 0 {
                        simd.mul_f32s(re, re)
                    } else {
                        simd.mul_add_f32s(re, re, *sum)
                    };
                    *sum = simd.mul_add_f32s(im, im, *sum);
                }
            }
            entries.add(simd, product_re);
        }
        for channel in 0..n_channels {
            let start = channel * 2 * padded;
            product_re.copy_from_slice(&rows[start..start + padded]);
            product_im.copy_from_slice(&rows[start + padded..start + 2 * padded]);
            for z in 1..=2 * half_z {
                let (re, im) = row(z, channel);
                for (sum, &value) in S::as_mut_simd_f32s(product_re).0.iter_mut().zip(re) {
                    *sum = simd.add_f32s(*sum, value);
                }
                for (sum, &value) in S::as_mut_simd_f32s(product_im).0.iter_mut().zip(im) {
                    *sum = simd.add_f32s(*sum, value);
                }
            }
            entries.add(simd, product_re);
            entries.add(simd, product_im);
        }
    }

    /// Turns the rows of the group into sums from each row to the last one.
    #[inline(always)]
    fn sum_back<S: Simd>(&mut self, simd: S) {
        let row_len = self.workspace.prefix.len();
        let n_group = self.workspace.group.len() / row_len;
        for place in (1..n_group.saturating_sub(1)).rev() {
            let (before, after) = self.workspace.group.split_at_mut((place + 1) * row_len);
            let sums = S::as_mut_simd_f32s(&mut before[place * row_len..]).0;
            for (sum, &next) in sums.iter_mut().zip(S::as_simd_f32s(&after[..row_len]).0) {
                *sum = simd.add_f32s(*sum, next);
            }
        }
    }

    /// Eigenvectors of the window that ends with row `place` of the group, into row `row` of
    /// the band.
    #[inline(always)]
    fn eigenvectors<S: Simd>(&mut self, simd: S, place: usize, row: usize) {
        let [n_channels, .., n_x] = self.search.shape;
        let phase = self.search.phase;
        let Workspace { group, prefix, sums, vector, product, line, .. } = &mut *self.workspace;
        let row_len = prefix.len();
        // What the window has of the group before; nothing if it ends with the group.
        let suffix = group.get((place + 1) * row_len..(place + 2) * row_len);
        let suffix = suffix.map(|suffix| S::as_simd_f32s(suffix).0);
        let prefix = S::as_simd_f32s(prefix).0;
        let sums = S::as_mut_simd_f32s(sums).0;
        let mut vector = S::as_mut_simd_f32s(vector).0.as_chunks_mut::<2>().0;
        let mut product = S::as_mut_simd_f32s(product).0.as_chunks_mut::<2>().0;
        let stride = self.width / S::F32_LANES;
        for register in 0..stride {
            let x = self.first_x + register * S::F32_LANES;
            if x >= n_x {
                break;
            }
            let own = prefix.iter().skip(register).step_by(stride);
            if let Some(suffix) = suffix {
                let other = suffix.iter().skip(register).step_by(stride);
                for ((sum, &own), &other) in sums.iter_mut().zip(own).zip(other) {
                    *sum = simd.add_f32s(own, other);
                }
            } else {
                for (sum, &own) in sums.iter_mut().zip(own) {
                    *sum = own;
                }
            }
            let (covariance, window_sum) = sums.split_at(n_channels * n_channels);
            let window_sum = window_sum.as_chunks::<2>().0;
            match phase {
                Phase::WindowSum => vector.copy_from_slice(window_sum),
                Phase::ChannelSum => {
                    vector.fill([simd.splat_f32s(1.0), simd.splat_f32s(0.0)]);
                    multiply(simd, covariance, vector, product);
                    (vector, product) = (product, vector);
                }
            }
            normalise(simd, vector, 1.0);
            for _ in 0..self.search.power {
                multiply(simd, covariance, vector, product);
                (vector, product) = (product, vector);
                normalise(simd, vector, 0.0);
            }
            let turn = turn(simd, vector, window_sum, phase);
            let first = register * S::F32_LANES;
            for (&part, line) in vector.iter().zip(line.chunks_exact_mut(self.width)) {
                let [re, im] = times(simd, part, turn);
                let (mut lanes_re, mut lanes_im) = ([0.0; LANES], [0.0; LANES]);
                simd.partial_store_f32s(&mut lanes_re[..S::F32_LANES], re);
                simd.partial_store_f32s(&mut lanes_im[..S::F32_LANES], im);
                let line = &mut line[first..first + S::F32_LANES];
                for ((pixel, &re), &im) in line.iter_mut().zip(&lanes_re).zip(&lanes_im) {
                    *pixel = Complex32::new(re, im);
                }
            }
        }
        let n = self.width.min(n_x - self.first_x);
        let mut target = self.band.slice_mut(ndarray::s![.., row, self.first_x..self.first_x + n]);
        for (mut target, line) in target.rows_mut().into_iter().zip(line.chunks_exact(self.width)) {
            if let Some(target) = target.as_slice_mut() {
                target.copy_from_slice(&line[..n]);
            }
        }
    }
}

/// Rows of entries that are yet to be written.
struct Entries<'a> {
    half_x: usize,
    /// Whether the sums since the group's first row start here.
    first: bool,
    width: usize,
    group: &'a mut [f32],
    prefix: &'a mut [f32],
}

impl Entries<'_> {
    /// Sums of 2 `half_x` + 1 neighbours of `products` into the next entry.
    #[inline(always)]
    fn add<S: Simd>(&mut self, simd: S, products: &[f32]) {
        let (group, rest) = std::mem::take(&mut self.group).split_at_mut(self.width);
        self.group = rest;
        let (prefix, rest) = std::mem::take(&mut self.prefix).split_at_mut(self.width);
        self.prefix = rest;
        let targets = S::as_mut_simd_f32s(group).0;
        let prefixes = S::as_mut_simd_f32s(prefix).0;
        for (n, (target, prefix)) in targets.iter_mut().zip(prefixes).enumerate() {
            let window = &products[n * S::F32_LANES..(n + 1) * S::F32_LANES + 2 * self.half_x];
            let mut sum = simd.splat_f32s(0.0);
            for neighbours in window.windows(S::F32_LANES) {
                sum = simd.add_f32s(sum, S::as_simd_f32s(neighbours).0[0]);
            }
            *target = sum;
            *prefix = if self.first { sum } else { simd.add_f32s(*prefix, sum) };
        }
    }
}

/// Covariance times `vector`, with entries as in [`Workspace`].
#[inline(always)]
fn multiply<S: Simd>(
    simd: S,
    covariance: &[S::f32s],
    vector: &[[S::f32s; 2]],
    product: &mut [[S::f32s; 2]],
) {
    let mut rest = covariance;
    for (i, &[v_re, v_im]) in vector.iter().enumerate() {
        let Some((row, after)) = rest.split_at_checked(2 * i + 1) else { return };
        rest = after;
        let (row, square) = row.as_chunks::<2>();
        let (done, to_do) = product.split_at_mut(i);
        // Four sums: none waits for another.
        let mut sums = [simd.mul_f32s(square[0], v_re), simd.mul_f32s(square[0], v_im)];
        let mut others = [simd.splat_f32s(0.0); 2];
        for ((&[re, im], &[w_re, w_im]), other) in row.iter().zip(vector).zip(done) {
            sums[0] = simd.mul_add_f32s(re, w_re, sums[0]);
            others[0] = simd.mul_add_f32s(im, w_im, others[0]);
            sums[1] = simd.mul_add_f32s(re, w_im, sums[1]);
            others[1] = simd.mul_add_f32s(im, w_re, others[1]);
            // The element across the diagonal is the conjugate.
            other[0] = simd.mul_add_f32s(re, v_re, other[0]);
            other[1] = simd.mul_add_f32s(re, v_im, other[1]);
            other[0] = simd.mul_add_f32s(im, v_im, other[0]);
            other[1] = simd.negate_mul_add_f32s(im, v_re, other[1]);
        }
        to_do[0] = [simd.sub_f32s(sums[0], others[0]), simd.add_f32s(sums[1], others[1])];
    }
}

/// Makes unit vectors; one that is 0 becomes `instead` in all channels.
#[inline(always)]
fn normalise<S: Simd>(simd: S, vector: &mut [[S::f32s; 2]], instead: f32) {
    let mut square = [simd.splat_f32s(0.0); 2];
    for &[re, im] in &*vector {
        square[0] = simd.mul_add_f32s(re, re, square[0]);
        square[1] = simd.mul_add_f32s(im, im, square[1]);
    }
    let (scale, defined) = inverse_root(simd, simd.add_f32s(square[0], square[1]));
    let zero = simd.splat_f32s(0.0);
    let scale = simd.select_f32s(defined, scale, zero);
    let instead = simd.select_f32s(defined, zero, simd.splat_f32s(instead));
    for [re, im] in vector {
        *re = simd.mul_add_f32s(*re, scale, instead);
        *im = simd.mul_f32s(*im, scale);
    }
}

/// 1/√`square`, and where that is defined.
#[inline(always)]
fn inverse_root<S: Simd>(simd: S, square: S::f32s) -> (S::f32s, S::m32s) {
    let defined = simd.greater_than_or_equal_f32s(square, simd.splat_f32s(f32::MIN_POSITIVE));
    (simd.div_f32s(simd.splat_f32s(1.0), simd.sqrt_f32s(square)), defined)
}

/// Factor of size 1 that gives `vector` its phase.
#[inline(always)]
fn turn<S: Simd>(
    simd: S,
    vector: &[[S::f32s; 2]],
    window_sum: &[[S::f32s; 2]],
    phase: Phase,
) -> [S::f32s; 2] {
    let (zero, one) = (simd.splat_f32s(0.0), simd.splat_f32s(1.0));
    let mut sum = [zero, zero];
    for (&[re, im], &other) in vector.iter().zip(window_sum) {
        let other = match phase {
            Phase::WindowSum => other,
            Phase::ChannelSum => [one, zero],
        };
        let [re, im] = times(simd, [re, simd.neg_f32s(im)], other);
        sum = [simd.add_f32s(sum[0], re), simd.add_f32s(sum[1], im)];
    }
    let square = simd.mul_add_f32s(sum[0], sum[0], simd.mul_f32s(sum[1], sum[1]));
    let (scale, defined) = inverse_root(simd, square);
    [
        simd.select_f32s(defined, simd.mul_f32s(sum[0], scale), one),
        simd.select_f32s(defined, simd.mul_f32s(sum[1], scale), zero),
    ]
}

#[inline(always)]
fn times<S: Simd>(simd: S, a: [S::f32s; 2], b: [S::f32s; 2]) -> [S::f32s; 2] {
    [
        simd.negate_mul_add_f32s(a[1], b[1], simd.mul_f32s(a[0], b[0])),
        simd.mul_add_f32s(a[0], b[1], simd.mul_f32s(a[1], b[0])),
    ]
}
