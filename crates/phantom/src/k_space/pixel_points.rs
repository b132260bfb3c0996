//! The spectrum of an object of pixels at any points, by gridding in reverse.

use std::f64::consts::PI;

use ndarray::Array2;
use num_complex::{Complex32, Complex64};
use rayon::prelude::*;

use super::fourier::{self, fast_len};
use crate::coils::CoilSensitivities;
use crate::object::PixelObject;

/// Points of the oversampled spectrum that a sample is interpolated from, in each direction.
const KERNEL_WIDTH: usize = 8;

/// Least oversampling of the spectrum.
const OVERSAMPLING: usize = 2;

/// Columns that a transposition takes at a time.
const TILE: usize = 8;

/// `[channel, sample]` of the pixels as points of their area, times `scale`; within 1e-6 of the
/// largest sample.
///
/// * `k_per_mm`: \[kx, ky\] of each sample, cycles per mm.
///
/// # Method
/// The product of object and coil is divided by the transform of a Kaiser-Bessel kernel 8 points
/// wide, transformed over twice its extent, and interpolated by the kernel.
///
/// # Source
/// Jackson 1991; shape of the kernel Beatty 2005.
pub(super) fn samples(
    object: &PixelObject,
    coils: &CoilSensitivities,
    scale: f64,
    k_per_mm: &[[f64; 2]],
) -> Array2<Complex32> {
    let mut samples = Array2::zeros((coils.n_channels(), k_per_mm.len()));
    if object.values.is_empty() {
        return samples;
    }
    let pixel_mm = object.pixel_mm();
    let (n_y, n_x) = object.values.dim();
    let axes = [
        Axis1d::new(n_x, pixel_mm[0], k_per_mm.iter().map(|k| k[0])),
        Axis1d::new(n_y, pixel_mm[1], k_per_mm.iter().map(|k| k[1])),
    ];
    let area = scale * pixel_mm[0] * pixel_mm[1];
    let rows = samples.as_slice_mut().expect("a new array is contiguous");
    rows.par_chunks_exact_mut(k_per_mm.len().max(1)).enumerate().for_each(|(channel, row)| {
        let map = coils.map_on_grid(channel, &axes[0].points_mm, &axes[1].points_mm);
        let spectrum = spectrum(object, &map, area, &axes);
        for (n, sample) in row.iter_mut().enumerate() {
            *sample = interpolate(&spectrum, &axes, n);
        }
    });
    samples
}

/// One axis: its pixels, and where the samples lie in its spectrum.
struct Axis1d {
    points_mm: Vec<f64>,
    /// Points of the oversampled spectrum.
    len: usize,
    /// Place of each pixel before the transform.
    places: Vec<usize>,
    /// What each pixel is multiplied by.
    weights: Vec<f64>,
    /// First point and weights of the kernel for each sample.
    kernels: Vec<(usize, [f32; KERNEL_WIDTH])>,
}

impl Axis1d {
    fn new(n: usize, pixel_mm: f64, k_per_mm: impl Iterator<Item = f64>) -> Self {
        let len = fast_len((OVERSAMPLING * n).max(2 * KERNEL_WIDTH));
        let kernel = KaiserBessel::new(len as f64 / n as f64);
        let from_center = |i: usize| i as f64 - (n / 2) as f64;
        Self {
            points_mm: (0..n).map(|i| from_center(i) * pixel_mm).collect(),
            len,
            places: (0..n).map(|i| (i + len - n / 2) % len).collect(),
            weights: (0..n).map(|i| 1.0 / kernel.transform(from_center(i) / len as f64)).collect(),
            kernels: k_per_mm
                .map(|k| {
                    let place = (k * pixel_mm).rem_euclid(1.0) * len as f64;
                    let first = (place - 0.5 * KERNEL_WIDTH as f64).ceil();
                    let weights =
                        std::array::from_fn(|i| kernel.at(place - first - i as f64) as f32);
                    (first.rem_euclid(len as f64) as usize % len, weights)
                })
                .collect(),
        }
    }
}

/// `[x, y]` of the oversampled spectrum.
fn spectrum(
    object: &PixelObject,
    map: &Array2<Complex64>,
    area: f64,
    [x_axis, y_axis]: &[Axis1d; 2],
) -> Vec<Complex32> {
    let (n_x, n_y) = (x_axis.len, y_axis.len);
    // `[pixel y, x]`: rows without pixels stay zero.
    let mut rows = vec![Complex32::ZERO; object.values.nrows() * n_x];
    let x_table = fourier::forward(n_x);
    let mut scratch = vec![Complex32::ZERO; x_table.get_inplace_scratch_len()];
    for (y, row) in rows.chunks_exact_mut(n_x).enumerate() {
        let y_weight = area * y_axis.weights[y];
        for (x, (value, seen)) in object.values.row(y).iter().zip(map.row(y)).enumerate() {
            let weight = seen * (y_weight * x_axis.weights[x]);
            row[x_axis.places[x]] = value * Complex32::new(weight.re as f32, weight.im as f32);
        }
        x_table.process_with_scratch(row, &mut scratch);
    }
    let y_table = fourier::forward(n_y);
    let mut scratch = vec![Complex32::ZERO; y_table.get_inplace_scratch_len()];
    let mut spectrum = vec![Complex32::ZERO; n_x * n_y];
    for (tile, columns) in spectrum.chunks_mut(TILE * n_y).enumerate() {
        for (row, &place) in rows.chunks_exact(n_x).zip(&y_axis.places) {
            let source = &row[tile * TILE..];
            for (column, value) in columns.chunks_exact_mut(n_y).zip(source) {
                column[place] = *value;
            }
        }
        y_table.process_with_scratch(columns, &mut scratch);
    }
    spectrum
}

fn interpolate(spectrum: &[Complex32], [x_axis, y_axis]: &[Axis1d; 2], n: usize) -> Complex32 {
    let (first_x, x_weights) = x_axis.kernels[n];
    let (first_y, y_weights) = y_axis.kernels[n];
    let mut sum = Complex32::ZERO;
    for (i, x_weight) in x_weights.into_iter().enumerate() {
        let column = &spectrum[(first_x + i) % x_axis.len * y_axis.len..][..y_axis.len];
        let mut along_y = Complex32::ZERO;
        for (j, y_weight) in y_weights.into_iter().enumerate() {
            along_y += column[(first_y + j) % y_axis.len] * y_weight;
        }
        sum += along_y * x_weight;
    }
    sum
}

/// The kernel, 1 in its middle.
struct KaiserBessel {
    beta: f64,
}

impl KaiserBessel {
    fn new(oversampling: f64) -> Self {
        let width = KERNEL_WIDTH as f64;
        let ratio = width / oversampling * (oversampling - 0.5);
        Self { beta: PI * (ratio * ratio - 0.8).sqrt() }
    }

    /// At a distance in points.
    fn at(&self, distance: f64) -> f64 {
        let x = 2.0 * distance / KERNEL_WIDTH as f64;
        if x.abs() > 1.0 {
            return 0.0;
        }
        bessel_i0(self.beta * (1.0 - x * x).sqrt()) / bessel_i0(self.beta)
    }

    /// Its transform at `turns` per point.
    fn transform(&self, turns: f64) -> f64 {
        let width = KERNEL_WIDTH as f64;
        let argument = PI * width * turns;
        // Within the pixels, oversampling keeps this above 0.
        let root = (self.beta * self.beta - argument * argument).sqrt();
        width * root.sinh() / (root * bessel_i0(self.beta))
    }
}

/// The modified Bessel function I₀ by its power series (Abramowitz and Stegun 1964, 9.6.12).
fn bessel_i0(x: f64) -> f64 {
    let quarter = 0.25 * x * x;
    let (mut term, mut sum, mut n) = (1.0, 1.0, 1.0);
    while term > 1e-17 * sum {
        term *= quarter / (n * n);
        sum += term;
        n += 1.0;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coils::LoopArray;
    use crate::k_space::{CartesianGrid, CartesianSampler, PointSampler};
    use crate::object::Object;

    #[test]
    fn points_on_the_grid_are_those_of_the_cartesian_sampler() {
        let coils = LoopArray::new(3, 100.0, [240.0, 200.0]).sensitivities(0.0);
        let grid = CartesianGrid {
            matrix_size: [24, 21],
            field_of_view_mm: [240.0, 200.0],
            readout_oversampling: 2,
        };
        for (shape, field_of_view_mm) in [((50, 61), [220.0, 190.0]), ((9, 3), [100.0, 30.0])] {
            let values = Array2::from_shape_fn(shape, |(y, x)| {
                let (re, im) = ((y * 7 + x * 3) % 11, (y * 5 + x * x) % 13);
                Complex32::new(re as f32, im as f32 - 6.0)
            });
            let object = Object::Pixels(PixelObject { values, field_of_view_mm });
            let k_space = CartesianSampler::new(grid, &coils).k_space(&object);
            let k_per_mm: Vec<_> = (0..21 * 48).map(|n| grid.k_per_mm(n / 48, n % 48)).collect();
            let samples = PointSampler::new(grid, &coils).samples(&object, &k_per_mm);
            let peak = k_space.iter().map(|value| value.norm()).fold(0.0, f32::max);
            for ((channel, n), value) in samples.indexed_iter() {
                let difference = (value - k_space[[n / 48, channel, n % 48]]).norm();
                assert!(difference < 1e-6 * peak, "{difference} of {peak}");
            }
        }
    }

    #[test]
    fn i0_is_that_of_the_tables() {
        assert!((bessel_i0(1.0) - 1.266_065_877_752_008).abs() < 1e-14);
        assert!((bessel_i0(10.0) / 2_815.716_628_466_254 - 1.0).abs() < 1e-14);
    }
}
