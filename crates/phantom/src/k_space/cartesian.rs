//! K-space on a Cartesian grid by way of the product of object and coil.

use std::f64::consts::TAU;
use std::fmt;

use ndarray::{Array2, Array3, Array4, ArrayView2, ArrayView3, Axis, s};
use num_complex::{Complex32, Complex64};
use numerics::fft::{CropReadout, inverse_2d};
use rayon::prelude::*;

use super::fourier::{self, Table};
use super::points::PointSampler;
use super::refined::{RefinedAxis, RefinedGrid};
use super::shapes::Shapes;
use super::{CartesianGrid, pixels};
use crate::coils::CoilSensitivities;
use crate::ellipse::Ellipse;
use crate::object::{Component, Object};

const N_WAVES: usize = CoilSensitivities::N_WAVES;

/// Columns that a transposition takes at a time: a cache line of each row.
const TILE: usize = 8;

/// Bytes that sensitivities on the fine grid may take; more are made anew each time.
const MAX_KEPT_BYTES: usize = 512 << 20;

/// Samples objects on a Cartesian grid. Plans and coils are made once and serve any number of
/// objects, from any thread.
///
/// # Method
/// Waves of half a period per field of view shift spectra by half a step, so a coil is a
/// convolution of the object's spectrum, on a grid of half steps, with its (2·ORDER + 1)²
/// coefficients. It is done as a product of Fourier transforms over a grid long enough that
/// nothing wraps around. So it is exact up to rounding to single precision, and no pixel grid
/// stands between object and data.
#[derive(Clone)]
pub struct CartesianSampler {
    grid: CartesianGrid,
    n_channels: usize,
    refined: RefinedGrid,
    x_forward: Table,
    y_forward: Table,
    x_inverse: Table,
    y_inverse: Table,
    route: Route,
}

#[derive(Clone)]
enum Route {
    /// By Fourier transforms.
    Fourier(Coils),
    /// Sample by sample, where the coils' waves are no half periods of the field of view.
    Points(PointSampler),
}

/// The coils in the sampler's image domain, divided by the number of points.
#[derive(Clone)]
struct Coils {
    /// `[channel, x, wave along y]`: coefficients summed over the waves along x.
    along_x: Array3<Complex32>,
    /// `[wave along y, y]`.
    y_waves: Array2<Complex32>,
    /// `[channel, x, y]`, or nothing where it would be too large.
    kept: Option<Vec<Vec<Complex32>>>,
}

impl CartesianSampler {
    /// Plans for `grid` and `coils`. Coils of another field of view than the grid's are slower
    /// by a factor of ten or so.
    ///
    /// # Panics
    /// If the grid has no samples or a length that is not a positive number.
    pub fn new(grid: CartesianGrid, coils: &CoilSensitivities) -> Self {
        assert!(grid.n_samples() > 0 && grid.n_lines() > 0, "no samples in {grid:?}");
        assert!(grid.field_of_view_mm.iter().all(|&length| length > 0.0), "lengths of {grid:?}");
        let refined = RefinedGrid::new(grid);
        let fits = [0, 1].iter().all(|&axis| {
            let period_mm = 2.0 * grid.field_of_view_mm[axis];
            (coils.period_mm()[axis] - period_mm).abs() < 1e-9 * period_mm
        });
        Self {
            grid,
            n_channels: coils.n_channels(),
            refined,
            x_forward: fourier::forward(refined.x.padded),
            y_forward: fourier::forward(refined.y.padded),
            x_inverse: fourier::inverse(refined.x.decimated()),
            y_inverse: fourier::inverse(refined.y.decimated()),
            route: if fits {
                Route::Fourier(Coils::new(&refined, coils))
            } else {
                Route::Points(PointSampler::new(grid, coils))
            },
        }
    }

    /// Where it samples.
    pub fn grid(&self) -> CartesianGrid {
        self.grid
    }

    /// Channels.
    pub fn n_channels(&self) -> usize {
        self.n_channels
    }

    /// K-space of `object` as the coils see it: `[line, channel, sample]`.
    pub fn k_space(&self, object: &Object) -> Array3<Complex32> {
        let coils = match &self.route {
            Route::Fourier(coils) => coils,
            Route::Points(points) => {
                return self.by_line(points.samples(object, &self.places()).view());
            }
        };
        let rows = match object {
            Object::Ellipses(components) => self.refined.spectrum(components),
            Object::Pixels(object) => pixels::spectrum(object, &self.refined),
        };
        self.through_coils(&self.field(rows), coils)
    }

    /// Prepares ellipses for [`CartesianSampler::k_space_of_shapes`].
    pub fn shapes(&self, ellipses: &[Ellipse]) -> Shapes {
        let fields = match &self.route {
            Route::Points(_) => Vec::new(),
            Route::Fourier(_) => ellipses.iter().map(|&ellipse| self.unit_field(ellipse)).collect(),
        };
        Shapes { ellipses: ellipses.to_vec(), fields }
    }

    /// [`CartesianSampler::k_space`] of the shapes with one amplitude each: what an object of
    /// ellipses gives that keep their place, without evaluating their spectra again.
    ///
    /// # Panics
    /// If there is not one amplitude per shape, or the shapes were made by a sampler of another
    /// grid.
    pub fn k_space_of_shapes(
        &self,
        shapes: &Shapes,
        amplitudes: &[Complex64],
    ) -> Array3<Complex32> {
        assert_eq!(amplitudes.len(), shapes.ellipses.len(), "one amplitude per shape");
        let Route::Fourier(coils) = &self.route else {
            let components = shapes.ellipses.iter().zip(amplitudes);
            let components =
                components.map(|(&ellipse, &amplitude)| Component { ellipse, amplitude });
            return self.k_space(&Object::Ellipses(components.collect()));
        };
        let n_y = self.refined.y.padded;
        let mut field = vec![Complex32::ZERO; self.refined.x.padded * n_y];
        assert!(shapes.fields.iter().all(|shape| shape.len() == field.len()), "another grid");
        field.par_chunks_exact_mut(n_y).enumerate().for_each(|(x, column)| {
            for (shape, amplitude) in shapes.fields.iter().zip(amplitudes) {
                let amplitude = Complex32::new(amplitude.re as f32, amplitude.im as f32);
                for (value, shape) in column.iter_mut().zip(&shape[x * n_y..]) {
                    *value += amplitude * shape;
                }
            }
        });
        self.through_coils(&field, coils)
    }

    /// K-space of each ellipse with amplitude 1: `[ellipse, line, channel, sample]`, for
    /// amplitudes that change from line to line.
    pub fn basis(&self, ellipses: &[Ellipse]) -> Array4<Complex32> {
        let shape = (ellipses.len(), self.grid.n_lines(), self.n_channels(), self.grid.n_samples());
        let mut basis = Array4::zeros(shape);
        for (mut k_space, &ellipse) in basis.outer_iter_mut().zip(ellipses) {
            k_space.assign(&self.k_space(&unit(ellipse)));
        }
        basis
    }

    /// Unitary inverse transform of `[line, channel, sample]`, cut to the image:
    /// `[channel, y, x]`.
    ///
    /// # Panics
    /// If `k_space` does not have the lines and samples of the grid.
    pub fn images(&self, k_space: ArrayView3<'_, Complex32>) -> Array3<Complex32> {
        let [nx, ny] = self.grid.matrix_size;
        let (n_lines, n_channels, n_samples) = k_space.dim();
        assert_eq!((n_lines, n_samples), (ny, self.grid.n_samples()), "lines and samples");
        let crop = CropReadout::new(n_samples, nx).expect("the image is no longer than a readout");
        let mut scratch = vec![Complex32::ZERO; crop.scratch_len()];
        let mut images = Array3::zeros((n_channels, ny, nx));
        for (line, samples) in k_space.outer_iter().enumerate() {
            crop.process(samples, images.slice_mut(s![.., line, ..]), &mut scratch);
        }
        inverse_2d(images.view_mut());
        images
    }

    fn unit_field(&self, ellipse: Ellipse) -> Vec<Complex32> {
        self.field(self.refined.spectrum(&[Component { ellipse, amplitude: Complex64::ONE }]))
    }

    /// From a spectrum of [`RefinedGrid::spectrum`]'s form to the image domain: `[x, y]`.
    fn field(&self, mut rows: Vec<Complex32>) -> Vec<Complex32> {
        let (n_x, n_y) = (self.refined.x.padded, self.refined.y.padded);
        rows.par_chunks_exact_mut(2 * n_x).for_each_init(
            || vec![Complex32::ZERO; self.x_forward.get_inplace_scratch_len()],
            |scratch, rows| self.x_forward.process_with_scratch(rows, scratch),
        );
        let mut field = vec![Complex32::ZERO; n_x * n_y];
        field.par_chunks_mut(TILE * n_y).enumerate().for_each_init(
            || vec![Complex32::ZERO; self.y_forward.get_inplace_scratch_len()],
            |scratch, (tile, columns)| {
                for pair in 0..self.refined.n_row_pairs() {
                    for (sign, row) in self.refined.rows(pair).into_iter().enumerate() {
                        let Some(row) = row else { continue };
                        let source = &rows[(2 * pair + sign) * n_x + tile * TILE..];
                        for (column, value) in columns.chunks_exact_mut(n_y).zip(source) {
                            column[row] = *value;
                        }
                    }
                }
                self.y_forward.process_with_scratch(columns, scratch);
            },
        );
        field
    }

    /// Multiplies a field with each coil and transforms back to the samples.
    fn through_coils(&self, field: &[Complex32], coils: &Coils) -> Array3<Complex32> {
        let (x_axis, y_axis) = (self.refined.x, self.refined.y);
        let (n_x, n_lines, n_samples) = (x_axis.decimated(), y_axis.n_samples, x_axis.n_samples);
        let n_channels = self.n_channels();
        // `[channel, line, x]`.
        let mut hybrid = vec![Complex32::ZERO; n_channels * n_lines * n_x];
        hybrid.par_chunks_exact_mut(n_lines * n_x).enumerate().for_each_init(
            || ColumnScratch::new(self),
            |scratch, (channel, target)| {
                self.lines_of_channel(field, coils, channel, target, scratch)
            },
        );
        let first = x_axis.first_sample();
        let mut k_space = Array3::zeros((n_lines, n_channels, n_samples));
        let lines = k_space.as_slice_mut().expect("a new array is contiguous");
        lines.par_chunks_exact_mut(n_channels * n_samples).enumerate().for_each_init(
            || {
                let scratch = vec![Complex32::ZERO; self.x_inverse.get_inplace_scratch_len()];
                (vec![Complex32::ZERO; n_x], scratch)
            },
            |(row, scratch), (line, target)| {
                for (channel, samples) in target.chunks_exact_mut(n_samples).enumerate() {
                    row.copy_from_slice(&hybrid[(channel * n_lines + line) * n_x..][..n_x]);
                    self.x_inverse.process_with_scratch(row, scratch);
                    samples.copy_from_slice(&row[first..first + n_samples]);
                }
            },
        );
        k_space
    }

    /// The product of field and coil, back in k-space along y: `[line, x]`. Leaving out samples
    /// in k-space is adding up what lies a part of the image domain apart.
    fn lines_of_channel(
        &self,
        field: &[Complex32],
        coils: &Coils,
        channel: usize,
        target: &mut [Complex32],
        scratch: &mut ColumnScratch,
    ) {
        let (x_axis, y_axis) = (self.refined.x, self.refined.y);
        let (n_x, n_y) = (x_axis.decimated(), y_axis.decimated());
        let lines = y_axis.first_sample()..y_axis.first_sample() + y_axis.n_samples;
        let ColumnScratch { columns, coil: made, fft } = scratch;
        for tile in (0..n_x).step_by(TILE) {
            let in_tile = TILE.min(n_x - tile);
            let columns = &mut columns[..in_tile * n_y];
            columns.fill(Complex32::ZERO);
            for (column, x) in columns.chunks_exact_mut(n_y).zip(tile..) {
                for x in (x..x_axis.padded).step_by(n_x) {
                    let coil = coils.column(channel, x, made);
                    let field = &field[x * y_axis.padded..][..y_axis.padded];
                    for (field, coil) in field.chunks_exact(n_y).zip(coil.chunks_exact(n_y)) {
                        for ((sum, field), coil) in column.iter_mut().zip(field).zip(coil) {
                            *sum += field * coil;
                        }
                    }
                }
            }
            self.y_inverse.process_with_scratch(columns, fft);
            for (line, target) in lines.clone().zip(target.chunks_exact_mut(n_x)) {
                let target = &mut target[tile..tile + in_tile];
                for (value, column) in target.iter_mut().zip(columns.chunks_exact(n_y)) {
                    *value = column[line];
                }
            }
        }
    }

    /// All samples of the grid, line by line.
    fn places(&self) -> Vec<[f64; 2]> {
        let n_samples = self.grid.n_samples();
        (0..self.grid.n_lines() * n_samples)
            .map(|n| self.grid.k_per_mm(n / n_samples, n % n_samples))
            .collect()
    }

    /// From `[channel, sample of all lines]`.
    fn by_line(&self, samples: ArrayView2<'_, Complex32>) -> Array3<Complex32> {
        let n_samples = self.grid.n_samples();
        let shape = (self.grid.n_lines(), self.n_channels(), n_samples);
        Array3::from_shape_fn(shape, |(line, channel, sample)| {
            samples[[channel, line * n_samples + sample]]
        })
    }
}

impl fmt::Debug for CartesianSampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = (&self.grid, &self.n_channels);
        f.debug_tuple("CartesianSampler").field(&fields).finish()
    }
}

struct ColumnScratch {
    /// `[x, y]` of a tile.
    columns: Vec<Complex32>,
    coil: Vec<Complex32>,
    fft: Vec<Complex32>,
}

impl ColumnScratch {
    fn new(sampler: &CartesianSampler) -> Self {
        let y_axis = sampler.refined.y;
        Self {
            columns: vec![Complex32::ZERO; TILE * y_axis.decimated()],
            coil: vec![Complex32::ZERO; y_axis.padded],
            fft: vec![Complex32::ZERO; sampler.y_inverse.get_inplace_scratch_len()],
        }
    }
}

impl Coils {
    fn new(refined: &RefinedGrid, coils: &CoilSensitivities) -> Self {
        let (n_x, n_y) = (refined.x.padded, refined.y.padded);
        let points = 1.0 / (n_x * n_y) as f64;
        let [x_waves, y_waves] = [refined.x, refined.y].map(shifts);
        let mut along_x = Array3::zeros((coils.n_channels(), n_x, N_WAVES));
        for (channel, mut along_x) in along_x.outer_iter_mut().enumerate() {
            let coefficients = coils.coefficients(channel);
            let sums = x_waves.t().dot(&coefficients.t()) * Complex64::from(points);
            along_x.assign(&sums.mapv(single));
        }
        let y_waves = y_waves.mapv(single);
        let mut coils = Self { along_x, y_waves, kept: None };
        let n_channels = coils.along_x.len_of(Axis(0));
        if n_channels * n_x * n_y * size_of::<Complex32>() <= MAX_KEPT_BYTES {
            let kept = (0..n_channels)
                .into_par_iter()
                .map(|channel| {
                    let mut map = vec![Complex32::ZERO; n_x * n_y];
                    for (x, column) in map.chunks_exact_mut(n_y).enumerate() {
                        coils.make_column(channel, x, column);
                    }
                    map
                })
                .collect();
            coils.kept = Some(kept);
        }
        coils
    }

    /// A column of a coil, made in `made` if it was not kept.
    fn column<'a>(
        &'a self,
        channel: usize,
        x: usize,
        made: &'a mut [Complex32],
    ) -> &'a [Complex32] {
        match &self.kept {
            Some(kept) => &kept[channel][x * made.len()..][..made.len()],
            None => {
                self.make_column(channel, x, made);
                made
            }
        }
    }

    fn make_column(&self, channel: usize, x: usize, column: &mut [Complex32]) {
        column.fill(Complex32::ZERO);
        let weights = self.along_x.slice(s![channel, x, ..]);
        for (&weight, wave) in weights.iter().zip(self.y_waves.outer_iter()) {
            for (value, wave) in column.iter_mut().zip(wave) {
                *value += weight * wave;
            }
        }
    }
}

/// Transforms of the shifts by 0 to 2·ORDER waves: `[wave, point]`.
fn shifts(axis: RefinedAxis) -> Array2<Complex64> {
    Array2::from_shape_fn((N_WAVES, axis.padded), |(wave, point)| {
        // The product stays exact, its remainder keeps the angle small.
        let turns = (wave * axis.wave * point % axis.padded) as f64 / axis.padded as f64;
        Complex64::cis(-TAU * turns)
    })
}

fn unit(ellipse: Ellipse) -> Object {
    Object::Ellipses(vec![Component { ellipse, amplitude: Complex64::ONE }])
}

fn single(value: Complex64) -> Complex32 {
    Complex32::new(value.re as f32, value.im as f32)
}

#[cfg(test)]
mod tests;
