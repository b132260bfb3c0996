//! Pictures of a scan's resolution.

use std::f64::consts::PI;

use ndarray::{Array2, Array3, ArrayView2, ArrayViewMut2, Axis, Zip};
use num_complex::{Complex32, Complex64};
use numerics::fft::Centered;

use super::draw::Draw;
use super::elastic::Elastic;
use super::images::{ImageOptions, Route};
use crate::coils::{CoilSensitivities, LoopArray};
use crate::ellipse::Ellipse;
use crate::k_space::{CartesianGrid, CartesianSampler};
use crate::object::{Component, Object, PixelObject};
use crate::raster::{Coverage, PixelGrid, rasterise};

/// Pixels along each axis that stand for one of the image.
pub(super) const REFINEMENT: usize = 2;

/// The same for objects on pixels that are sampled exactly.
const EXACT_REFINEMENT: usize = 4;

/// Makes pictures of one grid. Serves any number of them, from any thread.
pub(super) struct Painter {
    grid: PixelGrid,
    sampler: Option<Sampler>,
}

struct Sampler {
    sampler: CartesianSampler,
    /// `[channel, y, x]`: conjugate sensitivities over the sum of their squared magnitudes.
    weights: Array3<Complex32>,
}

/// What lies in an image: ellipses with their signals.
pub(super) struct Scene<'a> {
    pub components: &'a [Component],
    /// What deforms them.
    pub elastic: Option<&'a Elastic>,
}

/// Coverages of ellipses that come again in the next image: by their place in the list.
#[derive(Default)]
pub(super) struct Known(Vec<(Ellipse, Coverage)>);

impl Known {
    fn coverage(&mut self, place: usize, ellipse: &Ellipse, grid: PixelGrid) -> &Coverage {
        if self.0.get(place).is_none_or(|(known, _)| known != ellipse) {
            let entry = (*ellipse, Coverage::new(ellipse, grid));
            if place < self.0.len() {
                self.0[place] = entry;
            } else {
                self.0.push(entry);
            }
        }
        &self.0[place].1
    }
}

impl Painter {
    pub fn new(options: &ImageOptions) -> Self {
        let grid = options.grid;
        let sampler = match options.route {
            Route::ShortCut => None,
            Route::KSpace { n_channels } => Some(Sampler::new(grid, n_channels)),
        };
        Self { grid, sampler }
    }

    /// The image of each channel without noise: `[channel, y, x]`. The short cut has one.
    pub fn channels(&self, scene: &Scene<'_>, known: &mut Known) -> Array3<Complex32> {
        match (&self.sampler, scene.elastic) {
            (None, elastic) => {
                let fine = self.grid.refined(REFINEMENT);
                let mut picture = Array2::zeros(fine.shape());
                for (place, part) in scene.components.iter().enumerate() {
                    let coverage = known.coverage(place, &part.ellipse, fine);
                    coverage.add_to(picture.view_mut(), part.amplitude);
                }
                if let Some(elastic) = elastic {
                    picture = elastic.deform(picture.view(), REFINEMENT);
                }
                self.low_pass(&picture, REFINEMENT, Pixels::Averaged).insert_axis(Axis(0))
            }
            (Some(sampler), None) => sampler.images(&Object::Ellipses(scene.components.to_vec())),
            (Some(sampler), Some(elastic)) => {
                let fine = self.grid.refined(EXACT_REFINEMENT);
                let picture = rasterise(scene.components, fine);
                let values = elastic.deform(picture.view(), EXACT_REFINEMENT);
                let field_of_view_mm = self.grid.field_of_view_mm;
                sampler.images(&Object::Pixels(PixelObject { values, field_of_view_mm }))
            }
        }
    }

    /// The image of each channel of an object on pixels: `[channel, y, x]`.
    ///
    /// * `refinement`: its pixels along each axis over those of the image.
    pub fn channels_of_pixels(&self, object: PixelObject, refinement: usize) -> Array3<Complex32> {
        match &self.sampler {
            None => self.low_pass(&object.values, refinement, Pixels::Points).insert_axis(Axis(0)),
            Some(sampler) => sampler.images(&Object::Pixels(object)),
        }
    }

    /// One image of all channels: `[y, x]`.
    pub fn combine(&self, channels: Array3<Complex32>) -> Array2<Complex32> {
        match &self.sampler {
            Some(sampler) if channels.len_of(Axis(0)) > 1 => {
                let mut image = Array2::zeros(self.grid.shape());
                for (channel, weight) in channels.outer_iter().zip(sampler.weights.outer_iter()) {
                    Zip::from(&mut image)
                        .and(channel)
                        .and(weight)
                        .for_each(|pixel, value, weight| *pixel += value * weight);
                }
                image
            }
            _ => channels.index_axis_move(Axis(0), 0),
        }
    }

    /// The image that the scan's part of a picture's k-space gives: `[y, x]`.
    ///
    /// * `picture`: `[y, x]`, `refinement` times as many pixels along each axis as the image.
    ///
    /// As [`crate::raster::band_limited`], but only rows and columns that are kept are
    /// transformed.
    fn low_pass(
        &self,
        picture: &Array2<Complex32>,
        refinement: usize,
        pixels: Pixels,
    ) -> Array2<Complex32> {
        let [nx, ny] = self.grid.matrix_size;
        let (fine_nx, fine_ny) = (nx * refinement, ny * refinement);
        let plans = [fine_nx, fine_ny, ny, nx].map(Centered::new);
        let scratch_len = plans.iter().map(Centered::scratch_len).max().unwrap_or(0);
        let mut scratch = vec![Complex32::ZERO; scratch_len];
        let [fine_rows, fine_columns, columns, rows] = plans;
        let mut fine = picture.as_slice().expect("a picture without gaps").to_vec();
        fine_rows.forward_rows(&mut fine, &mut scratch);
        let first = |n: usize| (n * refinement) / 2 - n / 2;
        let mut kept = vec![Complex32::ZERO; nx * fine_ny];
        transpose(&fine[first(nx)..], fine_nx, &mut kept, fine_ny, [fine_ny, nx]);
        fine_columns.forward_rows(&mut kept, &mut scratch);
        let (x_gains, y_gains) = (pixels.gains(nx, refinement), pixels.gains(ny, refinement));
        let mut narrow = vec![Complex32::ZERO; nx * ny];
        let columns_of = narrow.chunks_exact_mut(ny).zip(kept.chunks_exact(fine_ny));
        for ((narrow, kept), x_gain) in columns_of.zip(&x_gains) {
            // Unitary transforms of two sizes: one factor of the refinement in all.
            let scale = x_gain / refinement as f32;
            for ((value, kept), y_gain) in narrow.iter_mut().zip(&kept[first(ny)..]).zip(&y_gains) {
                *value = kept * (scale * y_gain);
            }
        }
        columns.inverse_rows(&mut narrow, &mut scratch);
        let mut image = vec![Complex32::ZERO; nx * ny];
        transpose(&narrow, ny, &mut image, nx, [nx, ny]);
        rows.inverse_rows(&mut image, &mut scratch);
        Array2::from_shape_vec((ny, nx), image).expect("as many pixels as the grid has")
    }
}

/// What the values of a fine grid are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pixels {
    /// Averages over the pixel, which dampen high frequencies.
    Averaged,
    /// Values at its centre.
    Points,
}

impl Pixels {
    /// What undoes the dampening.
    fn gains(self, n: usize, refinement: usize) -> Vec<f32> {
        let gain = |i: usize| {
            let turns = (i as f64 - (n / 2) as f64) / (n * refinement) as f64;
            let is_one = turns == 0.0 || self == Self::Points;
            if is_one { 1.0 } else { (PI * turns / (PI * turns).sin()) as f32 }
        };
        (0..n).map(gain).collect()
    }
}

impl Sampler {
    fn new(grid: PixelGrid, n_channels: usize) -> Self {
        let coils = if n_channels == 1 {
            CoilSensitivities::uniform(grid.field_of_view_mm)
        } else {
            let [x_mm, y_mm] = grid.field_of_view_mm.map(|length| 0.46 * length);
            let loops =
                LoopArray::around(n_channels, [x_mm, y_mm], [0.0; 2], grid.field_of_view_mm);
            loops.sensitivities(0.0)
        };
        let mut weights = coils.maps(grid.matrix_size);
        let squares = weights.map_axis(Axis(0), |values| {
            values.iter().map(|value| value.norm_sqr()).sum::<f32>().max(f32::MIN_POSITIVE)
        });
        for mut map in weights.outer_iter_mut() {
            Zip::from(&mut map).and(&squares).for_each(|w, square| *w = w.conj() / square);
        }
        let sampled = CartesianGrid {
            matrix_size: grid.matrix_size,
            field_of_view_mm: grid.field_of_view_mm,
            readout_oversampling: 1,
        };
        Self { sampler: CartesianSampler::new(sampled, &coils), weights }
    }

    fn images(&self, object: &Object) -> Array3<Complex32> {
        self.sampler.images(self.sampler.k_space(object).view())
    }
}

/// Columns of `source` to rows of `target`.
///
/// * `source_len`, `target_len`: of a row.
/// * `n_rows`, `n_columns`: of the source that are taken.
fn transpose(
    source: &[Complex32],
    source_len: usize,
    target: &mut [Complex32],
    target_len: usize,
    [n_rows, n_columns]: [usize; 2],
) {
    const TILE: usize = 8;
    for row in (0..n_rows).step_by(TILE) {
        let rows = row..(row + TILE).min(n_rows);
        for column in 0..n_columns {
            let target = &mut target[column * target_len..][rows.clone()];
            for (value, row) in target.iter_mut().zip(rows.clone()) {
                *value = source[row * source_len + column];
            }
        }
    }
}

/// exp(iφ) with a smooth phase φ, as a polynomial of second order with at most `max_phase_rad`:
/// `[y, x]`.
pub(super) fn smooth_phase(
    draw: &mut Draw,
    grid: PixelGrid,
    max_phase_rad: f64,
) -> Array2<Complex32> {
    let weights: [f64; 6] = std::array::from_fn(|_| draw.normal());
    let sum: f64 = weights.iter().map(|weight| weight.abs()).sum();
    let scale = max_phase_rad / sum.max(1e-9);
    let [x, y] = [grid.x_mm(), grid.y_mm()];
    let [x_half, y_half] = grid.field_of_view_mm.map(|length| 0.5 * length);
    Array2::from_shape_fn(grid.shape(), |(row, column)| {
        let (u, v) = (x[column] / x_half, y[row] / y_half);
        let [constant, a, b, c, d, e] = weights;
        let phase = constant + a * u + b * v + c * u * u + d * u * v + e * v * v;
        let factor = Complex64::cis(scale * phase);
        Complex32::new(factor.re as f32, factor.im as f32)
    })
}

/// Multiplies every channel's image with the same factors.
pub(super) fn shade(channels: &mut Array3<Complex32>, factors: ArrayView2<'_, Complex32>) {
    for mut channel in channels.outer_iter_mut() {
        multiply(channel.view_mut(), factors);
    }
}

fn multiply(mut image: ArrayViewMut2<'_, Complex32>, factors: ArrayView2<'_, Complex32>) {
    Zip::from(&mut image).and(factors).for_each(|pixel, factor| *pixel *= factor);
}
