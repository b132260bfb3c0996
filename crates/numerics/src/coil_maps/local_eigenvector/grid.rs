//! The eigenvectors of the pixels on the grid.
//!
//! A thread goes through a tile of the grid row by row. It keeps the rows of the images that the
//! window reaches; for every two channels it sums their products over these rows, then along x.
//! Nothing is subtracted from a sum again, so noise beside a bright object keeps its own
//! precision. All loops run over pixels along x.

use std::cell::RefCell;

use ndarray::{Array4, ArrayView4, ArrayViewMut3, Axis};
use num_complex::Complex32;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::Phase;

/// Rows of the grid that one thread works on: the same however many threads there are.
const BAND: usize = 8;

/// Pixels along x that are worked on together: one register of the widest processors.
const LANES: usize = 16;

/// The task, the same for all bands.
pub(super) struct Search<'a> {
    /// `[channel, z, y, x]` in standard order.
    pub(super) images: ArrayView4<'a, Complex32>,
    /// Brings the largest sample of the images near 1.
    pub(super) scale: f32,
    /// Pixels of the window on either side of the middle one.
    pub(super) half: [usize; 3],
    /// Of the grid.
    pub(super) spacing: [usize; 3],
    pub(super) power: usize,
    pub(super) phase: Phase,
}

impl Search<'_> {
    /// Unit eigenvectors of every so many pixels, of any phase: `[channel, z, y, x]` of the
    /// grid.
    pub(super) fn eigenvectors(&self) -> Array4<Complex32> {
        let (n_channels, n_z, n_y, n_x) = self.images.dim();
        let [grid_z, grid_y, grid_x] =
            [(0, n_z), (1, n_y), (2, n_x)].map(|(axis, n)| n.div_ceil(self.spacing[axis]));
        let mut grid = Array4::zeros((n_channels, grid_z, grid_y, grid_x));
        let mut bands = Vec::new();
        for (z, mut plane) in grid.axis_iter_mut(Axis(1)).enumerate() {
            // `axis_chunks_iter_mut` of `plane` would end with it.
            let mut first = 0;
            while first < grid_y {
                let (band, rest) = plane.split_at(Axis(1), BAND.min(grid_y - first));
                bands.push((z, first, band));
                (plane, first) = (rest, first + BAND);
            }
        }
        bands.into_par_iter().for_each(|(z, first_y, band)| self.fill_band(z, first_y, band));
        grid
    }

    /// Fills rows `first_y`… of plane `z` of the grid: `band` is `[channel, y, x]`.
    fn fill_band(&self, z: usize, first_y: usize, mut band: ArrayViewMut3<'_, Complex32>) {
        let (n_channels, _, grid_x) = band.dim();
        // The sums of all channels' products should stay in the second-level cache.
        let width = match n_channels {
            0..=16 => 4 * LANES,
            17..=32 => 2 * LANES,
            _ => LANES,
        };
        WORKSPACE.with_borrow_mut(|workspace| {
            for first_x in (0..grid_x).step_by(width) {
                Arch::new().dispatch(Tile {
                    search: self,
                    z,
                    first_y,
                    first_x,
                    width: width.min((grid_x - first_x).next_multiple_of(LANES)),
                    band: band.view_mut(),
                    workspace,
                });
            }
        });
    }
}

/// Memory of one thread. All of it is written before it is read.
///
/// Entries are, for each channel i: for each channel j < i, re and im of aᵢ·conj(aⱼ), then
/// |aᵢ|²; after those of all channels re and im of each aᵢ.
#[derive(Default)]
struct Workspace {
    /// Places along x of the images that a tile needs: for each remainder of the distance from
    /// the tile's first one by the grid's spacing, one after the other.
    places: Vec<usize>,
    /// Where the neighbours in the window of the tile's first pixel lie among the places.
    neighbours: Vec<usize>,
    /// `[channel, register, row of the window, re or im, lane]` of these places.
    rows: Vec<f32>,
    /// `[re or im, place]`: products of two channels summed over the rows, or sums of one.
    products: Vec<f32>,
    /// `[entry, x of the tile]`: sums over the window.
    sums: Vec<f32>,
    /// `[entry, lane]` of one register of these.
    register: Vec<f32>,
    /// `[channel, re or im, lane]`: vector, and covariance times vector.
    vector: Vec<f32>,
    product: Vec<f32>,
}

thread_local! {
    static WORKSPACE: RefCell<Workspace> = RefCell::default();
}

/// `width` pixels of the grid from `first_x` on of all rows of a band.
struct Tile<'a, 's> {
    search: &'a Search<'s>,
    /// Of the grid.
    z: usize,
    first_y: usize,
    first_x: usize,
    /// Multiple of [`LANES`], may reach beyond the grid.
    width: usize,
    band: ArrayViewMut3<'a, Complex32>,
    workspace: &'a mut Workspace,
}

impl WithSimd for Tile<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let n_channels = self.search.images.len_of(Axis(0));
        let n_places = self.padded_width() * self.search.spacing[2];
        let n_rows = self.window_len(0) * self.window_len(1);
        let n_entries = n_channels * n_channels + 2 * n_channels;
        let workspace = &mut *self.workspace;
        for (buffer, len) in [
            (&mut workspace.rows, n_channels * n_places * n_rows * 2),
            (&mut workspace.products, 2 * n_places),
            (&mut workspace.sums, n_entries * self.width),
            (&mut workspace.register, n_entries * S::F32_LANES),
            (&mut workspace.vector, 2 * n_channels * S::F32_LANES),
            (&mut workspace.product, 2 * n_channels * S::F32_LANES),
        ] {
            buffer.resize(len, 0.0);
        }
        self.find_places();
        for row in 0..self.band.len_of(Axis(1)) {
            self.load_rows::<S>(row);
            self.sums(simd);
            for register in 0..self.width / S::F32_LANES {
                if self.first_x + register * S::F32_LANES < self.band.len_of(Axis(2)) {
                    self.eigenvectors(simd, row, register);
                }
            }
        }
    }
}

impl Tile<'_, '_> {
    fn window_len(&self, axis: usize) -> usize {
        2 * self.search.half[axis] + 1
    }

    /// Places with the same remainder.
    fn padded_width(&self) -> usize {
        let reach = 2 * self.search.half[2] / self.search.spacing[2];
        (self.width + reach).next_multiple_of(LANES)
    }

    fn find_places(&mut self) {
        let (spacing, half) = (self.search.spacing[2], self.search.half[2]);
        let n_x = self.search.images.len_of(Axis(3));
        let padded = self.padded_width();
        let first = self.first_x * spacing;
        self.workspace.places.clear();
        self.workspace.places.extend((0..spacing).flat_map(|remainder| {
            (0..padded).map(move |m| (first + m * spacing + remainder + n_x - half) % n_x)
        }));
        let neighbours = (0..=2 * half).map(|n| n % spacing * padded + n / spacing);
        self.workspace.neighbours.clear();
        self.workspace.neighbours.extend(neighbours);
    }

    /// Copies the rows around row `row` of the band that are not there yet: periodic, scaled,
    /// real and imaginary parts apart.
    #[inline(always)]
    fn load_rows<S: Simd>(&mut self, row: usize) {
        let Search { images, scale, half, spacing, .. } = self.search;
        let (n_channels, n_z, n_y, n_x) = images.dim();
        let [len_z, len_y] = [0, 1].map(|axis| self.window_len(axis));
        let Some(samples) = images.as_slice() else { return };
        let Workspace { places, rows, .. } = &mut *self.workspace;
        let lanes = S::F32_LANES;
        let register_len = len_z * len_y * 2 * lanes;
        let n_new = if row == 0 { len_y } else { spacing[1].min(len_y) };
        // Counted from before the images' first row.
        let last = (self.first_y + row) * spacing[1] + half[1] + n_y;
        for dz in 0..len_z {
            let z = (self.z * spacing[0] + dz + n_z - half[0]) % n_z;
            for y in last + 1 - n_new..=last {
                let place = (dz * len_y + y % len_y) * 2 * lanes;
                for channel in 0..n_channels {
                    let start = ((channel * n_z + z) * n_y + y % n_y) * n_x;
                    let source = &samples[start..start + n_x];
                    let registers = places.len() / lanes;
                    let target = &mut rows[channel * registers * register_len..];
                    let targets = target.chunks_exact_mut(register_len);
                    for (target, places) in targets.zip(places.chunks_exact(lanes)) {
                        let (re, im) = target[place..place + 2 * lanes].split_at_mut(lanes);
                        let parts = re.iter_mut().zip(im);
                        let (first, last) = (places[0], places[lanes - 1]);
                        if first + (lanes - 1) * spacing[2] == last {
                            let values = source[first..=last].iter().step_by(spacing[2]);
                            for ((re, im), value) in parts.zip(values) {
                                (*re, *im) = (value.re * scale, value.im * scale);
                            }
                        } else {
                            // Across the edge.
                            for ((re, im), &x) in parts.zip(places) {
                                (*re, *im) = (source[x].re * scale, source[x].im * scale);
                            }
                        }
                    }
                }
            }
        }
    }

    /// All entries.
    #[inline(always)]
    fn sums<S: Simd>(&mut self, simd: S) {
        let n_channels = self.search.images.len_of(Axis(0));
        let spacing = self.search.spacing[2];
        let padded = self.padded_width();
        let n_rows = self.window_len(0) * self.window_len(1);
        let width = self.width;
        let Workspace { neighbours, rows, products, sums, .. } = &mut *self.workspace;
        let rows = S::as_simd_f32s(rows).0;
        let registers = rows.len() / n_channels / n_rows / 2;
        let channel = |n: usize| {
            let len = registers * n_rows * 2;
            rows[n * len..(n + 1) * len].chunks_exact(n_rows * 2)
        };
        let zero = simd.splat_f32s(0.0);
        let (products_re, products_im) = products.split_at_mut(spacing * padded);
        // A closure that the compiler does not inline would lose the wide registers.
        let mut entries = Entries { neighbours, width, sums };
        for i in 0..n_channels {
            for j in 0..i {
                let re = S::as_mut_simd_f32s(products_re).0;
                let im = S::as_mut_simd_f32s(products_im).0;
                for ((re, im), (a, b)) in re.iter_mut().zip(im).zip(channel(i).zip(channel(j))) {
                    // Four sums: none waits for another.
                    let mut sums = [zero; 4];
                    let pairs = a.as_chunks::<2>().0.iter().zip(b.as_chunks::<2>().0);
                    for (&[a_re, a_im], &[b_re, b_im]) in pairs {
                        sums[0] = simd.mul_add_f32s(a_re, b_re, sums[0]);
                        sums[1] = simd.mul_add_f32s(a_im, b_im, sums[1]);
                        sums[2] = simd.mul_add_f32s(a_im, b_re, sums[2]);
                        sums[3] = simd.mul_add_f32s(a_re, b_im, sums[3]);
                    }
                    *re = simd.add_f32s(sums[0], sums[1]);
                    *im = simd.sub_f32s(sums[2], sums[3]);
                }
                entries.add(simd, products_re);
                entries.add(simd, products_im);
            }
            for (square, a) in S::as_mut_simd_f32s(products_re).0.iter_mut().zip(channel(i)) {
                let mut sums = [zero; 2];
                for &[re, im] in a.as_chunks::<2>().0 {
                    sums[0] = simd.mul_add_f32s(re, re, sums[0]);
                    sums[1] = simd.mul_add_f32s(im, im, sums[1]);
                }
                *square = simd.add_f32s(sums[0], sums[1]);
            }
            entries.add(simd, products_re);
        }
        for i in 0..n_channels {
            let re = S::as_mut_simd_f32s(products_re).0;
            let im = S::as_mut_simd_f32s(products_im).0;
            for ((re, im), a) in re.iter_mut().zip(im).zip(channel(i)) {
                (*re, *im) = (zero, zero);
                for &[a_re, a_im] in a.as_chunks::<2>().0 {
                    *re = simd.add_f32s(*re, a_re);
                    *im = simd.add_f32s(*im, a_im);
                }
            }
            entries.add(simd, products_re);
            entries.add(simd, products_im);
        }
    }

    /// Eigenvectors of register `register` of the tile, into row `row` of the band.
    #[inline(always)]
    fn eigenvectors<S: Simd>(&mut self, simd: S, row: usize, register: usize) {
        let Search { power, phase, .. } = *self.search;
        let lanes = S::F32_LANES;
        let n_channels = self.search.images.len_of(Axis(0));
        let Workspace { sums, register: of_register, vector, product, .. } = &mut *self.workspace;
        let of_tile = S::as_simd_f32s(sums).0.iter().skip(register);
        let of_register = S::as_mut_simd_f32s(of_register).0;
        for (entry, &of_tile) in of_register.iter_mut().zip(of_tile.step_by(self.width / lanes)) {
            *entry = of_tile;
        }
        let (covariance, window_sum) = of_register.split_at(n_channels * n_channels);
        let mut vector = S::as_mut_simd_f32s(vector).0.as_chunks_mut::<2>().0;
        let mut product = S::as_mut_simd_f32s(product).0.as_chunks_mut::<2>().0;
        match phase {
            Phase::WindowSum => vector.copy_from_slice(window_sum.as_chunks::<2>().0),
            Phase::ChannelSum => {
                vector.fill([simd.splat_f32s(1.0), simd.splat_f32s(0.0)]);
                multiply(simd, covariance, vector, product);
                (vector, product) = (product, vector);
            }
        }
        normalise(simd, vector, 1.0);
        for _ in 0..power {
            multiply(simd, covariance, vector, product);
            (vector, product) = (product, vector);
            normalise(simd, vector, 0.0);
        }
        let first = self.first_x + register * lanes;
        let n = lanes.min(self.band.len_of(Axis(2)) - first);
        let mut target = self.band.slice_mut(ndarray::s![.., row, first..first + n]);
        for (&[re, im], mut target) in vector.iter().zip(target.rows_mut()) {
            let (mut lanes_re, mut lanes_im) = ([0.0; LANES], [0.0; LANES]);
            simd.partial_store_f32s(&mut lanes_re[..lanes], re);
            simd.partial_store_f32s(&mut lanes_im[..lanes], im);
            for ((pixel, &re), &im) in target.iter_mut().zip(&lanes_re).zip(&lanes_im) {
                *pixel = Complex32::new(re, im);
            }
        }
    }
}

/// Rows of entries that are yet to be written.
struct Entries<'a> {
    neighbours: &'a [usize],
    width: usize,
    sums: &'a mut [f32],
}

impl Entries<'_> {
    /// Sums of the neighbours of `products`, in the order of the places, into the next entry.
    #[inline(always)]
    fn add<S: Simd>(&mut self, simd: S, products: &[f32]) {
        let (entry, rest) = std::mem::take(&mut self.sums).split_at_mut(self.width);
        self.sums = rest;
        for (n, sum) in S::as_mut_simd_f32s(entry).0.iter_mut().enumerate() {
            *sum = simd.splat_f32s(0.0);
            for first in self.neighbours {
                let values = &products[first + n * S::F32_LANES..][..S::F32_LANES];
                *sum = simd.add_f32s(*sum, S::as_simd_f32s(values).0[0]);
            }
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
