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
use rayon::prelude::*;

use crate::simd::{self, Job, LANES, Lanes, add_product, multiply_add, subtract_product};

/// Rows that one thread works on: the same however many threads there are.
const BAND: usize = 32;

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
    let Some(scale) = scale(samples) else { return maps };
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

/// Power of two that brings the largest sample near 1, so that squares of squares neither
/// overflow nor vanish; `None` if there is nothing but zeros or a sample is not finite.
fn scale(samples: &[Complex32]) -> Option<f32> {
    let largest = samples.iter().fold(0.0_f32, |most, v| {
        // A NaN is kept, `max` would drop it.
        let size = v.re.abs() + v.im.abs();
        if size <= most { most } else { size }
    });
    if largest == 0.0 || !largest.is_finite() {
        return None;
    }
    Some(2.0_f32.powi(-(largest.log2().floor() as i32).clamp(-120, 120)))
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
#[derive(Default)]
struct Workspace {
    /// `[z in the window, channel, re or im, x with the window's margin]`.
    rows: Vec<f32>,
    /// Products along a row with the margin.
    products: Vec<f32>,
    /// `[row of the group, entry, x]`: sums along x and z; of the group before this row from
    /// here to its last row.
    group: Vec<f32>,
    /// `[entry, x]`: sums over the rows of the group so far.
    prefix: Vec<f32>,
    /// `[entry, x]`: sums over the window.
    sums: Vec<f32>,
    /// `[channel, re or im]`: vector and product of covariance and vector.
    vector: Vec<Lanes>,
    product: Vec<Lanes>,
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
                let tile = TileJob {
                    search: self,
                    z,
                    first_y,
                    first_x,
                    width: width.min((n_x - first_x).next_multiple_of(LANES)),
                    band: band.view_mut(),
                    workspace,
                };
                simd::run(tile);
            }
        });
    }
}

/// A tile: `width` pixels from `first_x` on of all rows of a band.
struct TileJob<'a> {
    search: &'a Search<'a>,
    z: usize,
    first_y: usize,
    first_x: usize,
    /// Multiple of [`LANES`], may reach beyond the images.
    width: usize,
    band: ArrayViewMut3<'a, Complex32>,
    workspace: &'a mut Workspace,
}

impl Job for TileJob<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(mut self) {
        let [n_channels, ..] = self.search.shape;
        let n_group = 2 * self.search.half[1] + 1;
        let n_entries = n_channels * n_channels + 2 * n_channels;
        let row_len = n_entries * self.width;
        let padded = self.padded_width();
        let n_z = 2 * self.search.half[0] + 1;
        for (buffer, len) in [
            (&mut self.workspace.rows, n_z * n_channels * 2 * padded),
            (&mut self.workspace.products, 2 * padded),
            (&mut self.workspace.group, n_group * row_len),
            (&mut self.workspace.prefix, row_len),
            (&mut self.workspace.sums, row_len),
        ] {
            buffer.resize(len, 0.0);
        }
        self.workspace.vector.resize(2 * n_channels, [0.0; LANES]);
        self.workspace.product.resize(2 * n_channels, [0.0; LANES]);
        let n_rows = self.band.len_of(Axis(1));
        for row in 0..n_rows + n_group - 1 {
            self.load_rows(row);
            let place = row % n_group;
            self.add_row::<FMA>(place);
            if row + 1 >= n_group {
                self.window_sums(place);
                self.eigenvectors::<FMA>(row + 1 - n_group);
            }
            if place + 1 == n_group {
                self.sum_back();
            }
        }
    }
}

impl TileJob<'_> {
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
    ///
    /// Entries: for each channel i, for each channel j < i, re and im of aᵢ·conj(aⱼ), then
    /// |aᵢ|²; at last re and im of all aᵢ.
    #[inline(always)]
    fn add_row<const FMA: bool>(&mut self, place: usize) {
        let [n_channels, ..] = self.search.shape;
        let [half_z, _, half_x] = self.search.half;
        let (width, padded) = (self.width, self.padded_width());
        let n_z = 2 * half_z + 1;
        let Workspace { rows, products, group, prefix, .. } = &mut *self.workspace;
        let row_len = prefix.len();
        let group = &mut group[place * row_len..(place + 1) * row_len];
        let mut entries = group.chunks_exact_mut(width).zip(prefix.chunks_exact_mut(width));
        let (product_re, product_im) = products.split_at_mut(padded);
        let row = |z: usize, channel: usize, part: usize| {
            let start = ((z * n_channels + channel) * 2 + part) * padded;
            &rows[start..start + padded]
        };
        for i in 0..n_channels {
            for j in 0..i {
                for z in 0..n_z {
                    let (a_re, a_im) = (row(z, i, 0).as_chunks().0, row(z, i, 1).as_chunks().0);
                    let (b_re, b_im) = (row(z, j, 0).as_chunks().0, row(z, j, 1).as_chunks().0);
                    let re = product_re.as_chunks_mut::<LANES>().0;
                    let im = product_im.as_chunks_mut::<LANES>().0;
                    for n in 0..padded / LANES {
                        let mut sum_re = if z == 0 { [0.0; LANES] } else { re[n] };
                        let mut sum_im = if z == 0 { [0.0; LANES] } else { im[n] };
                        add_product::<FMA>(&mut sum_re, &a_re[n], &b_re[n]);
                        add_product::<FMA>(&mut sum_re, &a_im[n], &b_im[n]);
                        add_product::<FMA>(&mut sum_im, &a_im[n], &b_re[n]);
                        subtract_product::<FMA>(&mut sum_im, &a_re[n], &b_im[n]);
                        (re[n], im[n]) = (sum_re, sum_im);
                    }
                }
                for product in [&*product_re, &*product_im] {
                    let Some((group, prefix)) = entries.next() else { return };
                    sum_along_x(product, half_x, place == 0, group, prefix);
                }
            }
            for z in 0..n_z {
                let (re, im) = (row(z, i, 0).as_chunks().0, row(z, i, 1).as_chunks().0);
                let squares = product_re.as_chunks_mut::<LANES>().0;
                for n in 0..padded / LANES {
                    let mut sum = if z == 0 { [0.0; LANES] } else { squares[n] };
                    add_product::<FMA>(&mut sum, &re[n], &re[n]);
                    add_product::<FMA>(&mut sum, &im[n], &im[n]);
                    squares[n] = sum;
                }
            }
            let Some((group, prefix)) = entries.next() else { return };
            sum_along_x(product_re, half_x, place == 0, group, prefix);
        }
        for channel in 0..n_channels {
            for part in 0..2 {
                product_re.copy_from_slice(row(0, channel, part));
                for z in 1..n_z {
                    for (sum, value) in product_re.iter_mut().zip(row(z, channel, part)) {
                        *sum += value;
                    }
                }
                let Some((group, prefix)) = entries.next() else { return };
                sum_along_x(product_re, half_x, place == 0, group, prefix);
            }
        }
    }

    /// Sums over the window that ends with row `place` of the group.
    #[inline(always)]
    fn window_sums(&mut self, place: usize) {
        let Workspace { group, prefix, sums, .. } = &mut *self.workspace;
        let row_len = prefix.len();
        let start = (place + 1) * row_len;
        // What the window has of the group before; nothing if it ends with the group.
        if let Some(suffix) = group.get(start..start + row_len) {
            for ((sum, a), b) in sums.iter_mut().zip(&*prefix).zip(suffix) {
                *sum = a + b;
            }
        } else {
            sums.copy_from_slice(prefix);
        }
    }

    /// Turns the rows of the group into sums from each row to the last one.
    #[inline(always)]
    fn sum_back(&mut self) {
        let row_len = self.workspace.prefix.len();
        let n_group = self.workspace.group.len() / row_len;
        for place in (1..n_group.saturating_sub(1)).rev() {
            let (before, after) = self.workspace.group.split_at_mut((place + 1) * row_len);
            for (sum, next) in before[place * row_len..].iter_mut().zip(&after[..row_len]) {
                *sum += next;
            }
        }
    }

    /// Eigenvectors of the sums into row `row` of the band.
    #[inline(always)]
    fn eigenvectors<const FMA: bool>(&mut self, row: usize) {
        let [n_channels, .., n_x] = self.search.shape;
        let (width, phase) = (self.width, self.search.phase);
        let Workspace { sums, vector, product, .. } = &mut *self.workspace;
        let n_covariance = n_channels * n_channels;
        for first in (0..width).step_by(LANES) {
            let entry = |index: usize| {
                let start = index * width + first;
                lanes(&sums[start..start + LANES])
            };
            match phase {
                Phase::WindowSum => {
                    for (index, part) in vector.iter_mut().enumerate() {
                        *part = *entry(n_covariance + index);
                    }
                }
                Phase::ChannelSum => {
                    for (index, part) in vector.iter_mut().enumerate() {
                        *part = [if index % 2 == 0 { 1.0 } else { 0.0 }; LANES];
                    }
                    multiply::<FMA>(entry, vector, product);
                    std::mem::swap(vector, product);
                }
            }
            normalise::<FMA>(vector, true);
            for _ in 0..self.search.power {
                multiply::<FMA>(entry, vector, product);
                std::mem::swap(vector, product);
                normalise::<FMA>(vector, false);
            }
            let (mut turn_re, mut turn_im) = ([0.0; LANES], [0.0; LANES]);
            for (channel, [re, im]) in vector.as_chunks::<2>().0.iter().enumerate() {
                match phase {
                    Phase::WindowSum => {
                        let sum_re = entry(n_covariance + 2 * channel);
                        let sum_im = entry(n_covariance + 2 * channel + 1);
                        add_product::<FMA>(&mut turn_re, re, sum_re);
                        add_product::<FMA>(&mut turn_re, im, sum_im);
                        add_product::<FMA>(&mut turn_im, re, sum_im);
                        subtract_product::<FMA>(&mut turn_im, im, sum_re);
                    }
                    Phase::ChannelSum => {
                        for lane in 0..LANES {
                            turn_re[lane] += re[lane];
                            turn_im[lane] -= im[lane];
                        }
                    }
                }
            }
            for lane in 0..LANES {
                let norm = multiply_add::<FMA>(
                    turn_re[lane],
                    turn_re[lane],
                    turn_im[lane] * turn_im[lane],
                );
                let (size, defined) = (norm.sqrt(), norm >= f32::MIN_POSITIVE);
                turn_re[lane] = if defined { turn_re[lane] / size } else { 1.0 };
                turn_im[lane] = if defined { turn_im[lane] / size } else { 0.0 };
            }
            let x = self.first_x + first;
            if x >= n_x {
                break;
            }
            let n = LANES.min(n_x - x);
            for (channel, [re, im]) in vector.as_chunks::<2>().0.iter().enumerate() {
                let mut pixels = [Complex32::ZERO; LANES];
                for lane in 0..LANES {
                    pixels[lane] = Complex32::new(
                        re[lane] * turn_re[lane] - im[lane] * turn_im[lane],
                        re[lane] * turn_im[lane] + im[lane] * turn_re[lane],
                    );
                }
                let mut target = self.band.slice_mut(ndarray::s![channel, row, x..x + n]);
                if let Some(target) = target.as_slice_mut() {
                    target.copy_from_slice(&pixels[..n]);
                }
            }
        }
    }
}

/// Sums of 2 `half` + 1 neighbours of `products` into `target`, and onto `prefix` or, if
/// `first`, in place of it.
#[inline(always)]
fn sum_along_x(products: &[f32], half: usize, first: bool, target: &mut [f32], prefix: &mut [f32]) {
    let targets = target.as_chunks_mut::<LANES>().0;
    let prefixes = prefix.as_chunks_mut::<LANES>().0;
    for (n, (target, prefix)) in targets.iter_mut().zip(prefixes).enumerate() {
        let mut sum: Lanes = *lanes(&products[n * LANES..(n + 1) * LANES]);
        for shift in 1..=2 * half {
            let neighbours = lanes(&products[n * LANES + shift..(n + 1) * LANES + shift]);
            for lane in 0..LANES {
                sum[lane] += neighbours[lane];
            }
        }
        *target = sum;
        if first {
            *prefix = sum;
        } else {
            for lane in 0..LANES {
                prefix[lane] += sum[lane];
            }
        }
    }
}

/// Covariance times `vector`, both as [`TileJob::add_row`] orders them.
#[inline(always)]
fn multiply<'a, const FMA: bool>(
    entry: impl Fn(usize) -> &'a Lanes,
    vector: &[Lanes],
    product: &mut [Lanes],
) {
    let (vector, product) = (vector.as_chunks::<2>().0, product.as_chunks_mut::<2>().0);
    let mut index = 0;
    for i in 0..vector.len() {
        let [v_re, v_im] = vector[i];
        let (mut sum_re, mut sum_im) = ([0.0; LANES], [0.0; LANES]);
        for j in 0..i {
            let (re, im) = (entry(index), entry(index + 1));
            index += 2;
            let [w_re, w_im] = &vector[j];
            add_product::<FMA>(&mut sum_re, re, w_re);
            subtract_product::<FMA>(&mut sum_re, im, w_im);
            add_product::<FMA>(&mut sum_im, re, w_im);
            add_product::<FMA>(&mut sum_im, im, w_re);
            // The element across the diagonal is the conjugate.
            let [other_re, other_im] = &mut product[j];
            add_product::<FMA>(other_re, re, &v_re);
            add_product::<FMA>(other_re, im, &v_im);
            add_product::<FMA>(other_im, re, &v_im);
            subtract_product::<FMA>(other_im, im, &v_re);
        }
        let square = entry(index);
        index += 1;
        add_product::<FMA>(&mut sum_re, square, &v_re);
        add_product::<FMA>(&mut sum_im, square, &v_im);
        product[i] = [sum_re, sum_im];
    }
}

/// Makes unit vectors; a vector of zeros stays, or becomes ones if `ones`.
#[inline(always)]
fn normalise<const FMA: bool>(vector: &mut [Lanes], ones: bool) {
    let mut scale = [0.0; LANES];
    for part in &*vector {
        add_product::<FMA>(&mut scale, part, part);
    }
    let mut instead = [0.0; LANES];
    for lane in 0..LANES {
        let defined = scale[lane] >= f32::MIN_POSITIVE;
        scale[lane] = if defined { 1.0 / scale[lane].sqrt() } else { 0.0 };
        instead[lane] = if ones && !defined { 1.0 } else { 0.0 };
    }
    for parts in vector.as_chunks_mut::<2>().0 {
        for lane in 0..LANES {
            parts[0][lane] = multiply_add::<FMA>(parts[0][lane], scale[lane], instead[lane]);
            parts[1][lane] *= scale[lane];
        }
    }
}

/// [`LANES`] numbers of a slice of that length.
#[inline(always)]
fn lanes(slice: &[f32]) -> &Lanes {
    match slice.first_chunk() {
        Some(lanes) => lanes,
        None => unreachable!("a slice shorter than the lanes"),
    }
}
