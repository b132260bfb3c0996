//! Between the grid and the images: pruned Fourier transforms and the correction for the kernel.
//!
//! Along y only the columns of the image are transformed, a half where the grid is twice as large.

use std::sync::Arc;

use num_complex::Complex32;
use rayon::prelude::*;
use rustfft::Fft;

use super::kernel::Kernel;
use super::places::Grid;
use crate::fft::{Centered, Direction};

/// Rows, and columns, that go through memory together: a cache line of complex numbers.
const BLOCK: usize = 8;

/// One axis.
#[derive(Clone)]
pub(super) struct AxisTransform {
    forward: Arc<dyn Fft<f32>>,
    inverse: Arc<dyn Fft<f32>>,
    n_cells: usize,
    /// What a pixel is multiplied by.
    weights: Vec<f32>,
}

impl AxisTransform {
    pub fn new(n_pixels: usize, n_cells: usize, kernel: &Kernel) -> Self {
        let fft = Centered::new(n_cells);
        let weights = (0..n_pixels)
            .map(|pixel| {
                let n = pixel as isize - (n_pixels / 2) as isize;
                // k = 0 lies in the middle of the grid, which changes the sign of every other
                // pixel.
                let sign = if n % 2 == 0 { 1.0 } else { -1.0 };
                let kernel = kernel.transform(n as f64 / n_cells as f64);
                (sign / (kernel * (n_pixels as f64).sqrt())) as f32
            })
            .collect();
        Self {
            forward: fft.shared(Direction::Forward),
            inverse: fft.shared(Direction::Inverse),
            n_cells,
            weights,
        }
    }

    fn n_pixels(&self) -> usize {
        self.weights.len()
    }

    /// Where the pixels before the middle lie in a transformed row of the grid.
    fn first_half(&self) -> (usize, usize) {
        let half = self.n_pixels() / 2;
        (self.n_cells - half, half)
    }

    fn room(&self, direction: Direction) -> Room {
        let fft = self.fft(direction);
        Room {
            row: vec![Complex32::ZERO; BLOCK * self.n_cells],
            scratch: vec![Complex32::ZERO; fft.get_inplace_scratch_len()],
        }
    }

    fn fft(&self, direction: Direction) -> &dyn Fft<f32> {
        match direction {
            Direction::Forward => &*self.forward,
            Direction::Inverse => &*self.inverse,
        }
    }

    /// The cell of a pixel.
    fn cell(&self, pixel: usize) -> usize {
        let (start, half) = self.first_half();
        if pixel < half { start + pixel } else { pixel - half }
    }
}

struct Room {
    row: Vec<Complex32>,
    scratch: Vec<Complex32>,
}

/// Both axes.
#[derive(Clone)]
pub(super) struct GridTransform {
    pub y: AxisTransform,
    pub x: AxisTransform,
    pub grid: Grid,
}

impl GridTransform {
    /// Numbers that lie between the two axes' transforms.
    pub fn between_len(&self, n_channels: usize) -> usize {
        self.grid.size[0].div_ceil(BLOCK) * BLOCK * self.x.n_pixels() * n_channels
    }

    /// The images of the grid, whose content is lost.
    ///
    /// * `cells`: `[row, column, channel]`, `L` numbers per cell.
    /// * `images`: one for each channel, `[y, x]`; at most `L`/2.
    pub fn images<const L: usize>(
        &self,
        cells: &mut [f32],
        between: &mut [Complex32],
        images: &mut [&mut [Complex32]],
    ) {
        let n_channels = images.len();
        self.fold::<L>(cells);
        let [n_rows, n_cells] = self.grid.size;
        let (row_len, n_x) = (self.grid.padded[1] * L, self.x.n_pixels());
        let cells = &*cells;
        let (start, half) = self.x.first_half();
        between.par_chunks_mut(n_channels * n_x * BLOCK).enumerate().for_each_init(
            || self.x.room(Direction::Inverse),
            |room, (block, between)| {
                let rows = block * BLOCK..((block + 1) * BLOCK).min(n_rows);
                for (channel, between) in between.chunks_exact_mut(n_x * BLOCK).enumerate() {
                    let work = &mut room.row[..rows.len() * n_cells];
                    for (row, work) in rows.clone().zip(work.chunks_exact_mut(n_cells)) {
                        let cells = &cells[row * row_len..row * row_len + n_cells * L];
                        for (value, cell) in work.iter_mut().zip(cells.chunks_exact(L)) {
                            *value = Complex32::new(cell[2 * channel], cell[2 * channel + 1]);
                        }
                    }
                    self.x.inverse.process_with_scratch(work, &mut room.scratch);
                    for (x, weight) in self.x.weights.iter().enumerate() {
                        let cell = if x < half { start + x } else { x - half };
                        let target = &mut between[x * BLOCK..(x + 1) * BLOCK];
                        for (value, row) in target.iter_mut().zip(work.chunks_exact(n_cells)) {
                            *value = row[cell] * *weight;
                        }
                    }
                }
            },
        );
        let between = &*between;
        images.par_iter_mut().enumerate().for_each_init(
            || self.y.room(Direction::Inverse),
            |room, (channel, image)| {
                for x in (0..n_x).step_by(BLOCK) {
                    let n_columns = BLOCK.min(n_x - x);
                    let work = &mut room.row[..n_columns * n_rows];
                    let blocks = between.chunks_exact(n_channels * n_x * BLOCK).enumerate();
                    for (block, between) in blocks {
                        let rows = block * BLOCK..((block + 1) * BLOCK).min(n_rows);
                        let at = (channel * n_x + x) * BLOCK;
                        let columns = between[at..at + n_columns * BLOCK].chunks_exact(BLOCK);
                        for (work, column) in work.chunks_exact_mut(n_rows).zip(columns) {
                            work[rows.clone()].copy_from_slice(&column[..rows.len()]);
                        }
                    }
                    self.y.inverse.process_with_scratch(work, &mut room.scratch);
                    for (y, weight) in self.y.weights.iter().enumerate() {
                        let cell = self.y.cell(y);
                        let target = &mut image[y * n_x + x..y * n_x + x + n_columns];
                        for (pixel, work) in target.iter_mut().zip(work.chunks_exact(n_rows)) {
                            *pixel = work[cell] * *weight;
                        }
                    }
                }
            },
        );
    }

    /// The grid of the images.
    ///
    /// As [`GridTransform::images`]; numbers of channels that are not there become 0.
    pub fn grid<const L: usize>(
        &self,
        images: &[&[Complex32]],
        between: &mut [Complex32],
        cells: &mut [f32],
    ) {
        let n_channels = images.len();
        let [n_rows, n_cells] = self.grid.size;
        let (row_len, n_x) = (self.grid.padded[1] * L, self.x.n_pixels());
        let per_channel = between.len() / n_channels;
        between.par_chunks_exact_mut(per_channel).zip(images).for_each_init(
            || self.y.room(Direction::Forward),
            |room, (between, image)| {
                for x in (0..n_x).step_by(BLOCK) {
                    let n_columns = BLOCK.min(n_x - x);
                    let work = &mut room.row[..n_columns * n_rows];
                    work.fill(Complex32::ZERO);
                    for (y, weight) in self.y.weights.iter().enumerate() {
                        let cell = self.y.cell(y);
                        let pixels = &image[y * n_x + x..y * n_x + x + n_columns];
                        for (pixel, work) in pixels.iter().zip(work.chunks_exact_mut(n_rows)) {
                            work[cell] = pixel * weight;
                        }
                    }
                    self.y.forward.process_with_scratch(work, &mut room.scratch);
                    for (block, between) in between.chunks_exact_mut(n_x * BLOCK).enumerate() {
                        let rows = block * BLOCK..((block + 1) * BLOCK).min(n_rows);
                        let columns =
                            between[x * BLOCK..(x + n_columns) * BLOCK].chunks_exact_mut(BLOCK);
                        for (work, column) in work.chunks_exact(n_rows).zip(columns) {
                            column[..rows.len()].copy_from_slice(&work[rows.clone()]);
                        }
                    }
                }
            },
        );
        let between = &*between;
        let (start, half) = self.x.first_half();
        let (own, behind) = cells.split_at_mut(n_rows * row_len);
        own.par_chunks_mut(BLOCK * row_len).enumerate().for_each_init(
            || self.x.room(Direction::Forward),
            |room, (block, cells)| {
                let rows = block * BLOCK..((block + 1) * BLOCK).min(n_rows);
                for channel in 0..L / 2 {
                    let work = &mut room.row[..rows.len() * n_cells];
                    work.fill(Complex32::ZERO);
                    if channel < n_channels {
                        let at = channel * per_channel + block * n_x * BLOCK;
                        let between = between[at..at + n_x * BLOCK].chunks_exact(BLOCK);
                        for ((x, weight), column) in self.x.weights.iter().enumerate().zip(between)
                        {
                            let cell = if x < half { start + x } else { x - half };
                            for (row, value) in work.chunks_exact_mut(n_cells).zip(column) {
                                row[cell] = value * weight;
                            }
                        }
                        self.x.forward.process_with_scratch(work, &mut room.scratch);
                    }
                    let targets = cells.chunks_exact_mut(row_len);
                    for (row, work) in targets.zip(work.chunks_exact(n_cells)) {
                        let wrapped = work.iter().chain(work);
                        for (cell, value) in row.chunks_exact_mut(L).zip(wrapped) {
                            cell[2 * channel] = value.re;
                            cell[2 * channel + 1] = value.im;
                        }
                    }
                }
            },
        );
        let n_behind = behind.len();
        behind.copy_from_slice(&own[..n_behind]);
    }

    /// [`GridTransform::fold`], and what lies there after it repeats the grid.
    pub fn wrap<const L: usize>(&self, cells: &mut [f32]) {
        self.fold::<L>(cells);
        let row_len = self.grid.padded[1] * L;
        let (own, behind) = cells.split_at_mut(self.grid.size[0] * row_len);
        for row in own.chunks_exact_mut(row_len) {
            let (own, behind) = row.split_at_mut(self.grid.size[1] * L);
            behind.copy_from_slice(&own[..behind.len()]);
        }
        let n_behind = behind.len();
        behind.copy_from_slice(&own[..n_behind]);
    }

    /// Adds what lies behind the grid's edges to where it belongs.
    fn fold<const L: usize>(&self, cells: &mut [f32]) {
        let row_len = self.grid.padded[1] * L;
        let (own, behind) = cells.split_at_mut(self.grid.size[0] * row_len);
        for (cell, value) in own.iter_mut().zip(behind) {
            *cell += *value;
        }
        for row in own.chunks_exact_mut(row_len) {
            let (own, behind) = row.split_at_mut(self.grid.size[1] * L);
            for (cell, value) in own.iter_mut().zip(behind) {
                *cell += *value;
            }
        }
    }
}
