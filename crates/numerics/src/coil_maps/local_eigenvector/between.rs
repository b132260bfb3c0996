//! Eigenvectors of all pixels from those on a grid.

use ndarray::{Array4, ArrayView4, ArrayViewMut2, Axis};
use num_complex::Complex32;
use rayon::prelude::*;

use super::Phase;

/// Unit vectors `[channel, z, y, x]` with the phase that belongs to the images, which are of
/// that shape and in standard order.
///
/// * `grid`: `[channel, z, y, x]` of every so many pixels, of any phase.
/// * `scale`: brings the largest sample of the images near 1.
/// * `half`: pixels of the window on either side.
///
/// Between the grid's pixels vectors are interpolated linearly, each turned to the phase of the
/// first of them before.
pub(super) fn fill(
    grid: &Array4<Complex32>,
    images: ArrayView4<'_, Complex32>,
    scale: f32,
    half: [usize; 3],
    spacing: [usize; 3],
    phase: Phase,
) -> Array4<Complex32> {
    let (n_channels, n_z, n_y, n_x) = images.dim();
    let mut maps = Array4::zeros(images.dim());
    let Some(samples) = images.as_slice().filter(|samples| !samples.is_empty()) else {
        return maps;
    };
    let between = Between {
        rows: along_x(grid, spacing[2], n_x),
        samples,
        shape: [n_channels, n_z, n_y, n_x],
        scale,
        half,
        spacing,
        phase,
    };
    let mut rows = Vec::with_capacity(n_z * n_y);
    for (z, plane) in maps.axis_iter_mut(Axis(1)).enumerate() {
        let mut rest = plane;
        for y in 0..n_y {
            let (row, after) = rest.split_at(Axis(1), 1);
            rows.push((z, y, row.index_axis_move(Axis(1), 0)));
            rest = after;
        }
    }
    let workspace = || Workspace::new(n_channels, n_x, half[2]);
    rows.into_par_iter()
        .with_min_len(8)
        .for_each_init(workspace, |workspace, (z, y, row)| between.fill_row(workspace, z, y, row));
    maps
}

/// Vectors of a row of pixels, or one number for each.
struct Row {
    n_x: usize,
    /// `[channel, x]`.
    re: Vec<f32>,
    im: Vec<f32>,
}

/// Real and imaginary parts.
type Parts<'a> = (&'a [f32], &'a [f32]);
type PartsMut<'a> = (&'a mut [f32], &'a mut [f32]);

impl Row {
    fn zeros(n_channels: usize, n_x: usize) -> Self {
        Self { n_x, re: vec![0.0; n_channels * n_x], im: vec![0.0; n_channels * n_x] }
    }

    fn clear(&mut self) {
        self.re.fill(0.0);
        self.im.fill(0.0);
    }

    fn channels(&self) -> impl Iterator<Item = Parts<'_>> {
        self.re.chunks_exact(self.n_x).zip(self.im.chunks_exact(self.n_x))
    }

    fn channels_mut(&mut self) -> impl Iterator<Item = PartsMut<'_>> {
        self.re.chunks_exact_mut(self.n_x).zip(self.im.chunks_exact_mut(self.n_x))
    }
}

/// The grid's rows with the pixels along x between, `[z, y]` of the grid.
fn along_x(grid: &Array4<Complex32>, spacing: usize, n_x: usize) -> Vec<Row> {
    let (n_channels, n_z, n_y, grid_x) = grid.dim();
    (0..n_z * n_y)
        .into_par_iter()
        .map(|number| {
            let vectors = grid.slice(ndarray::s![.., number / n_y, number % n_y, ..]);
            let mut row = Row::zeros(n_channels, n_x);
            for k in 0..grid_x {
                let place = Place::new(k * spacing, spacing, n_x);
                let (own, next) = (vectors.column(k), vectors.column(place.next));
                let overlap: Complex32 = own.iter().zip(next).map(|(a, b)| a * b.conj()).sum();
                let turn = unit(overlap);
                for (channel, (&own, &next)) in own.iter().zip(next).enumerate() {
                    let next = next * turn;
                    for distance in 0..place.len {
                        let part = distance as f32 / place.len as f32;
                        let value = own * (1.0 - part) + next * part;
                        let x = channel * n_x + k * spacing + distance;
                        (row.re[x], row.im[x]) = (value.re, value.im);
                    }
                }
            }
            row
        })
        .collect()
}

/// Where a pixel lies between those of the grid along one axis.
struct Place {
    /// Of the grid.
    own: usize,
    next: usize,
    /// Pixels from one to the other.
    len: usize,
    /// Pixels from `own`.
    distance: usize,
}

impl Place {
    fn new(pixel: usize, spacing: usize, n: usize) -> Self {
        let own = pixel / spacing;
        // The last one's neighbour is the first one.
        let next = (own + 1) % n.div_ceil(spacing);
        Self { own, next, len: spacing.min(n - own * spacing), distance: pixel % spacing }
    }

    /// Pixels of the grid, and their parts.
    fn parts(&self) -> impl Iterator<Item = (usize, f32)> + Clone {
        let part = self.distance as f32 / self.len as f32;
        let both = [(self.own, 1.0 - part), (self.next, part)];
        both.into_iter().filter(|(_, part)| *part > 0.0)
    }
}

struct Workspace {
    /// The row's vectors.
    vectors: Row,
    /// `[x]`: overlap of two vectors, the sum that gives the phase, and |vector|².
    overlap: Row,
    phase: Row,
    square: Vec<f32>,
    /// `[x with the window's margin]`: sums of the images over z and y.
    column_sums: Vec<Complex32>,
    /// `[x]`: sums over the window.
    sums: Row,
}

impl Workspace {
    fn new(n_channels: usize, n_x: usize, half_x: usize) -> Self {
        Self {
            vectors: Row::zeros(n_channels, n_x),
            overlap: Row::zeros(1, n_x),
            phase: Row::zeros(1, n_x),
            square: vec![0.0; n_x],
            column_sums: vec![Complex32::ZERO; n_x + 2 * half_x],
            sums: Row::zeros(1, n_x),
        }
    }
}

struct Between<'a> {
    rows: Vec<Row>,
    /// `[channel, z, y, x]`.
    samples: &'a [Complex32],
    shape: [usize; 4],
    scale: f32,
    half: [usize; 3],
    spacing: [usize; 3],
    phase: Phase,
}

impl Between<'_> {
    /// `row` is `[channel, x]`.
    fn fill_row(
        &self,
        workspace: &mut Workspace,
        z: usize,
        y: usize,
        mut row: ArrayViewMut2<'_, Complex32>,
    ) {
        let [_, n_z, n_y, n_x] = self.shape;
        self.interpolate(workspace, z, y);
        let Workspace { vectors, phase, square, column_sums, sums, .. } = workspace;
        square.fill(0.0);
        phase.clear();
        for (channel, vectors) in vectors.channels().enumerate() {
            add_squares(vectors, square);
            match self.phase {
                Phase::ChannelSum => {
                    let (re, im) = (phase.re.iter_mut(), phase.im.iter_mut());
                    re.zip(vectors.0).for_each(|(sum, value)| *sum += value);
                    im.zip(vectors.1).for_each(|(sum, value)| *sum -= value);
                }
                Phase::WindowSum => {
                    let image = &self.samples[channel * n_z * n_y * n_x..][..n_z * n_y * n_x];
                    self.window_sums(image, z, y, column_sums, sums);
                    add_overlaps((&sums.re, &sums.im), vectors, (&mut phase.re, &mut phase.im));
                }
            }
        }
        for ((re, im), &square) in phase.re.iter_mut().zip(&mut phase.im).zip(&*square) {
            let turn = unit(Complex32::new(*re, *im));
            let scale = if square >= f32::MIN_POSITIVE { square.sqrt().recip() } else { 0.0 };
            (*re, *im) = (turn.re * scale, turn.im * scale);
        }
        for (vectors, mut target) in vectors.channels().zip(row.rows_mut()) {
            if let Some(target) = target.as_slice_mut() {
                multiply(vectors, (&phase.re, &phase.im), target);
            }
        }
    }

    /// The row's vectors from those of the rows of the grid around it.
    fn interpolate(&self, workspace: &mut Workspace, z: usize, y: usize) {
        let [_, n_z, n_y, _] = self.shape;
        let [along_z, along_y] = [(z, 0, n_z), (y, 1, n_y)]
            .map(|(pixel, axis, n)| Place::new(pixel, self.spacing[axis], n));
        let grid_y = n_y.div_ceil(self.spacing[1]);
        let corners = along_z.parts().flat_map(|(z, part_z)| {
            along_y.parts().map(move |(y, part_y)| (&self.rows[z * grid_y + y], part_z * part_y))
        });
        let Workspace { vectors, overlap, .. } = workspace;
        let mut first: Option<&Row> = None;
        for (row, part) in corners {
            let Some(first) = first else {
                let scale = |(scaled, value): (&mut f32, &f32)| *scaled = value * part;
                vectors.re.iter_mut().zip(&row.re).for_each(scale);
                vectors.im.iter_mut().zip(&row.im).for_each(scale);
                first = Some(row);
                continue;
            };
            overlap.clear();
            for (own, row) in first.channels().zip(row.channels()) {
                add_overlaps(own, row, (&mut overlap.re, &mut overlap.im));
            }
            for (re, im) in overlap.re.iter_mut().zip(&mut overlap.im) {
                let turn = unit(Complex32::new(*re, *im)) * part;
                (*re, *im) = (turn.re, turn.im);
            }
            for (row, sums) in row.channels().zip(vectors.channels_mut()) {
                add_products(row, (&overlap.re, &overlap.im), sums);
            }
        }
    }

    /// Sums of one channel's image over the window around each pixel of a row.
    fn window_sums(
        &self,
        image: &[Complex32],
        z: usize,
        y: usize,
        column_sums: &mut [Complex32],
        sums: &mut Row,
    ) {
        let [_, n_z, n_y, n_x] = self.shape;
        let [half_z, half_y, half_x] = self.half;
        let middle = &mut column_sums[half_x..half_x + n_x];
        middle.fill(Complex32::ZERO);
        for z in (z + n_z - half_z..=z + n_z + half_z).map(|z| z % n_z) {
            for y in (y + n_y - half_y..=y + n_y + half_y).map(|y| y % n_y) {
                add_scaled(&image[(z * n_y + y) * n_x..][..n_x], self.scale, middle);
            }
        }
        column_sums.copy_within(n_x..n_x + half_x, 0);
        column_sums.copy_within(half_x..2 * half_x, n_x + half_x);
        sums.clear();
        for distance in 0..=2 * half_x {
            add_parts(&column_sums[distance..][..n_x], (&mut sums.re, &mut sums.im));
        }
    }
}

/// Factor of size 1 with the phase of `value`; 1 for 0.
fn unit(value: Complex32) -> Complex32 {
    let square = value.norm_sqr();
    if square >= f32::MIN_POSITIVE { value / square.sqrt() } else { Complex32::ONE }
}

/// `sums` += `values` · `scale`.
#[multiversion::multiversion(targets("x86_64+avx2+fma", "x86_64+avx"))]
fn add_scaled(values: &[Complex32], scale: f32, sums: &mut [Complex32]) {
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value * scale);
}

/// `sums` += `values`.
#[multiversion::multiversion(targets("x86_64+avx2+fma", "x86_64+avx"))]
fn add_parts(values: &[Complex32], sums: PartsMut<'_>) {
    for (value, (re, im)) in values.iter().zip(sums.0.iter_mut().zip(sums.1)) {
        *re += value.re;
        *im += value.im;
    }
}

/// `sums` += |`values`|².
#[multiversion::multiversion(targets("x86_64+avx2+fma", "x86_64+avx"))]
fn add_squares(values: Parts<'_>, sums: &mut [f32]) {
    for (sum, (re, im)) in sums.iter_mut().zip(values.0.iter().zip(values.1)) {
        *sum += re * re + im * im;
    }
}

/// `sums` += `a` · conj(`b`).
#[multiversion::multiversion(targets("x86_64+avx2+fma", "x86_64+avx"))]
fn add_overlaps(a: Parts<'_>, b: Parts<'_>, sums: PartsMut<'_>) {
    let (a, b) = (a.0.iter().zip(a.1), b.0.iter().zip(b.1));
    for ((re, im), (a, b)) in sums.0.iter_mut().zip(sums.1).zip(a.zip(b)) {
        *re += a.0 * b.0 + a.1 * b.1;
        *im += a.1 * b.0 - a.0 * b.1;
    }
}

/// `sums` += `a` · `b`.
#[multiversion::multiversion(targets("x86_64+avx2+fma", "x86_64+avx"))]
fn add_products(a: Parts<'_>, b: Parts<'_>, sums: PartsMut<'_>) {
    let (a, b) = (a.0.iter().zip(a.1), b.0.iter().zip(b.1));
    for ((re, im), (a, b)) in sums.0.iter_mut().zip(sums.1).zip(a.zip(b)) {
        *re += a.0 * b.0 - a.1 * b.1;
        *im += a.1 * b.0 + a.0 * b.1;
    }
}

/// `products` = `a` · `b`.
#[multiversion::multiversion(targets("x86_64+avx2+fma", "x86_64+avx"))]
fn multiply(a: Parts<'_>, b: Parts<'_>, products: &mut [Complex32]) {
    let (a, b) = (a.0.iter().zip(a.1), b.0.iter().zip(b.1));
    for (product, (a, b)) in products.iter_mut().zip(a.zip(b)) {
        *product = Complex32::new(a.0 * b.0 - a.1 * b.1, a.1 * b.0 + a.0 * b.1);
    }
}
