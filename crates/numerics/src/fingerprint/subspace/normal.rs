//! AᴴA: for each pair of modes a convolution, for each channel.

use std::sync::Arc;

use ndarray::{Array2, Array3, ArrayView3};
use num_complex::Complex32;
use rayon::prelude::*;
use rustfft::{Fft, FftPlanner};

use crate::nufft::{self, Nufft, Options};

/// Columns that are transformed together.
const COLUMNS: usize = 8;

pub(super) struct Normal {
    pub image: [usize; 2],
    pub n_modes: usize,
    /// Transforms of the convolution kernels, which are real: `[pair, x, y]` of the doubled grid,
    /// pairs k ≤ l one after the other.
    kernels: Vec<f32>,
    /// The kernels: `[pair, y, x]`, centred on the doubled grid.
    pub spread: Array3<Complex32>,
    forward: [Arc<dyn Fft<f32>>; 2],
    inverse: [Arc<dyn Fft<f32>>; 2],
}

impl Normal {
    /// * `weight`: of a pair of modes at a sample.
    pub fn new(
        image: [usize; 2],
        trajectory: &[[f32; 2]],
        n_modes: usize,
        weight: impl Fn(usize, usize) -> f32 + Sync,
    ) -> Result<Self, nufft::Error> {
        let [n_y, n_x] = image;
        let doubled = [2 * n_y, 2 * n_x];
        let places: Vec<[f32; 2]> = trajectory.iter().map(|k| k.map(|k| 2.0 * k)).collect();
        let nufft = Nufft::new(doubled, &places, Options::fast())?;
        let n_pairs = n_modes * (n_modes + 1) / 2;
        let mut planner = FftPlanner::new();
        let forward = doubled.map(|n| planner.plan_fft_forward(n));
        let inverse = doubled.map(|n| planner.plan_fft_inverse(n));
        let n_cells = doubled[0] * doubled[1];
        let mut kernels = vec![0.0_f32; n_pairs * n_cells];
        let mut spread = Array3::zeros((n_pairs, doubled[0], doubled[1]));
        // Kernels of real weights have real transforms: two of them fit into one.
        let scale = 2.0 / ((n_y * n_x) as f32).sqrt();
        let mut samples = Array2::zeros((n_pairs.div_ceil(2), trajectory.len()));
        let rows: Vec<_> = samples.outer_iter_mut().collect();
        rows.into_par_iter().enumerate().for_each(|(row, mut samples)| {
            for (sample, value) in samples.iter_mut().enumerate() {
                let second = 2 * row + 1;
                let im = if second < n_pairs { weight(second, sample) } else { 0.0 };
                *value = Complex32::new(weight(2 * row, sample), im);
            }
        });
        let mut packed = Array3::zeros((n_pairs.div_ceil(2), doubled[0], doubled[1]));
        nufft.adjoint(samples.view(), packed.view_mut());
        drop(samples);
        let norm = 1.0 / n_cells as f32;
        let pairs: Vec<_> = kernels.chunks_mut(2 * n_cells).collect();
        let spreads: Vec<_> = spread.axis_chunks_iter_mut(ndarray::Axis(0), 2).collect();
        let planes: Vec<_> = packed.outer_iter_mut().collect();
        pairs.into_par_iter().zip(spreads).zip(planes).for_each(
            |((kernels, mut spread), mut plane)| {
                plane.mapv_inplace(|value| scale * value);
                // The distance of a whole image has no opposite, and does not occur.
                plane.row_mut(0).fill(Complex32::ZERO);
                plane.column_mut(0).fill(Complex32::ZERO);
                let opposite = |y: usize, x: usize| {
                    plane[[(doubled[0] - y) % doubled[0], (doubled[1] - x) % doubled[1]]].conj()
                };
                for ((y, x), value) in plane.indexed_iter() {
                    let (sum, difference) = (value + opposite(y, x), value - opposite(y, x));
                    spread[[0, y, x]] = 0.5 * sum;
                    if spread.shape()[0] > 1 {
                        spread[[1, y, x]] = difference * Complex32::new(0.0, -0.5);
                    }
                }
                let mut cells = vec![Complex32::ZERO; n_cells];
                for y in 0..doubled[0] {
                    let row = &mut cells[y * doubled[1]..][..doubled[1]];
                    for (x, cell) in row.iter_mut().enumerate() {
                        *cell = plane[[(y + n_y) % doubled[0], (x + n_x) % doubled[1]]];
                    }
                    forward[1].process(row);
                }
                let mut column = vec![Complex32::ZERO; doubled[0]];
                for x in 0..doubled[1] {
                    column.iter_mut().enumerate().for_each(|(y, v)| *v = cells[y * doubled[1] + x]);
                    forward[0].process(&mut column);
                    for (y, value) in column.iter().enumerate() {
                        kernels[x * doubled[0] + y] = norm * value.re;
                        if let Some(second) = kernels.get_mut(n_cells + x * doubled[0] + y) {
                            *second = norm * value.im;
                        }
                    }
                }
            },
        );
        Ok(Self { image, n_modes, kernels, spread, forward, inverse })
    }

    /// AᴴA of images: `[mode, y, x]` both.
    ///
    /// * `maps`: `[channel, y, x]`, in standard layout.
    pub fn apply(&self, images: &[Complex32], maps: ArrayView3<'_, Complex32>) -> Vec<Complex32> {
        let n_pixels = self.image[0] * self.image[1];
        let maps = maps.as_slice().unwrap_or_default();
        let channels: Vec<Vec<Complex32>> = maps
            .par_chunks_exact(n_pixels.max(1))
            .map_init(Room::default, |room, map| self.channel(images, map, room))
            .collect();
        let mut sum = vec![Complex32::ZERO; images.len()];
        sum.par_chunks_mut(1 << 12).enumerate().for_each(|(piece, sum)| {
            let first = piece << 12;
            for channel in &channels {
                sum.iter_mut().zip(&channel[first..]).for_each(|(sum, value)| *sum += value);
            }
        });
        sum
    }

    fn channel(&self, images: &[Complex32], map: &[Complex32], room: &mut Room) -> Vec<Complex32> {
        let [n_y, n_x] = self.image;
        let [wide_y, wide_x] = [2 * n_y, 2 * n_x];
        let n_modes = self.n_modes;
        let scratch = self.forward.iter().chain(&self.inverse);
        let n_scratch = scratch.map(|fft| fft.get_inplace_scratch_len()).max().unwrap_or(0);
        room.rows.resize(n_modes * n_y * wide_x, Complex32::ZERO);
        room.columns.resize(n_modes * COLUMNS * wide_y, Complex32::ZERO);
        room.sums.resize(n_modes * wide_y, Complex32::ZERO);
        room.scratch.resize(n_scratch, Complex32::ZERO);
        let Room { rows, columns, sums, scratch } = room;
        let image_rows = images.chunks_exact(n_x);
        for ((row, image), line) in rows.chunks_exact_mut(wide_x).zip(image_rows).zip(0..) {
            let map = &map[line % n_y * n_x..][..n_x];
            let (inside, beyond) = row.split_at_mut(n_x);
            inside.iter_mut().zip(image).zip(map).for_each(|((v, i), m)| *v = i * m);
            beyond.fill(Complex32::ZERO);
        }
        self.forward[1].process_with_scratch(rows, scratch);
        for first in (0..wide_x).step_by(COLUMNS) {
            let n_columns = COLUMNS.min(wide_x - first);
            for mode in 0..n_modes {
                let columns = &mut columns[mode * COLUMNS * wide_y..][..COLUMNS * wide_y];
                for y in 0..n_y {
                    let row = &rows[(mode * n_y + y) * wide_x + first..][..n_columns];
                    for (column, value) in row.iter().enumerate() {
                        columns[column * wide_y + y] = *value;
                    }
                }
                for column in columns.chunks_exact_mut(wide_y) {
                    column[n_y..].fill(Complex32::ZERO);
                }
            }
            self.forward[0].process_with_scratch(columns, scratch);
            for column in 0..n_columns {
                let n_cells = wide_x * wide_y;
                let offset = (first + column) * wide_y;
                multiply(&self.kernels[offset..], n_cells, columns, column * wide_y, n_modes, sums);
            }
            self.inverse[0].process_with_scratch(columns, scratch);
            for mode in 0..n_modes {
                let columns = &columns[mode * COLUMNS * wide_y..][..COLUMNS * wide_y];
                for y in 0..n_y {
                    let row = &mut rows[(mode * n_y + y) * wide_x + first..][..n_columns];
                    for (column, value) in row.iter_mut().enumerate() {
                        *value = columns[column * wide_y + y];
                    }
                }
            }
        }
        self.inverse[1].process_with_scratch(rows, scratch);
        let mut result = vec![Complex32::ZERO; images.len()];
        let lines = result.chunks_exact_mut(n_x).zip(rows.chunks_exact(wide_x)).zip(0..);
        for ((line, row), number) in lines {
            let map = &map[number % n_y * n_x..][..n_x];
            line.iter_mut().zip(row).zip(map).for_each(|((v, r), m)| *v = m.conj() * r);
        }
        result
    }
}

#[derive(Default)]
struct Room {
    /// `[mode, y, wide x]`.
    rows: Vec<Complex32>,
    /// `[mode, column, wide y]`.
    columns: Vec<Complex32>,
    /// `[mode, wide y]`.
    sums: Vec<Complex32>,
    scratch: Vec<Complex32>,
}

/// Multiplies a column of all modes by the symmetric matrix of the kernels at each place.
#[multiversion::multiversion(targets("x86_64+avx512f", "x86_64+avx2+fma", "x86_64+avx"))]
fn multiply(
    kernels: &[f32],
    n_cells: usize,
    columns: &mut [Complex32],
    offset: usize,
    n_modes: usize,
    sums: &mut [Complex32],
) {
    let wide_y = sums.len() / n_modes;
    let stride = columns.len() / n_modes;
    sums.fill(Complex32::ZERO);
    let mut pair = 0;
    for k in 0..n_modes {
        for l in k..n_modes {
            let kernel = &kernels[pair * n_cells..][..wide_y];
            pair += 1;
            let of_l = &columns[l * stride + offset..][..wide_y];
            let to_k = &mut sums[k * wide_y..][..wide_y];
            for ((to, of), kernel) in to_k.iter_mut().zip(of_l).zip(kernel) {
                to.re += of.re * kernel;
                to.im += of.im * kernel;
            }
            if l > k {
                let of_k = &columns[k * stride + offset..][..wide_y];
                let to_l = &mut sums[l * wide_y..][..wide_y];
                for ((to, of), kernel) in to_l.iter_mut().zip(of_k).zip(kernel) {
                    to.re += of.re * kernel;
                    to.im += of.im * kernel;
                }
            }
        }
    }
    for mode in 0..n_modes {
        let column = &mut columns[mode * stride + offset..][..wide_y];
        column.copy_from_slice(&sums[mode * wide_y..][..wide_y]);
    }
}
