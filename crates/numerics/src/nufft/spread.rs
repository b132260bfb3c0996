//! From samples to the grid and back: the inner loops.
//!
//! A cell holds `L` numbers: real and imaginary parts of `L`/2 channels side by side. So the taps
//! of a row are contiguous, whatever the number of channels, and the kernel is looked up once for
//! all of them.

use rayon::prelude::*;

use super::places::{BAND_ROWS, Grid, Places};

/// Samples of a piece of work when reading the grid.
const SAMPLES_AT_ONCE: usize = 4096;

/// Adds the samples to the grid, which has `L` numbers per cell.
///
/// * `value`: writes the `L` numbers of a sample.
///
/// Bands of rows with even numbers first, then the others: a kernel reaches no further than into
/// the next band. So no two threads write a row at a time, and each cell's sum has one order.
pub(super) fn spread<const W: usize, const L: usize>(
    places: &Places,
    grid: &Grid,
    cells: &mut [f32],
    value: &(impl Fn(usize) -> [f32; L] + Sync),
) {
    const { assert!(W <= BAND_ROWS) };
    let band_len = BAND_ROWS * grid.padded[1] * L;
    let last = places.bands.len() - 1;
    for parity in 0..2 {
        if parity > last {
            break;
        }
        let mut rest = &mut cells[parity * band_len..];
        let mut pieces = Vec::with_capacity(places.bands.len() / 2 + 1);
        for band in (parity..=last).step_by(2) {
            // The last band has the rows behind the grid too.
            let len = if band + 2 > last { rest.len() } else { 2 * band_len };
            let (piece, behind) = rest.split_at_mut(len);
            rest = behind;
            pieces.push((band, piece));
        }
        pieces.into_par_iter().for_each(|(band, piece)| {
            let range = places.bands[band].clone();
            let offset = band * BAND_ROWS * grid.padded[1];
            spread_band::<W, L>(
                &places.cell[range.clone()],
                &places.sample[range.clone()],
                &places.taps[range.start * 2 * W..range.end * 2 * W],
                [offset, grid.padded[1]],
                piece,
                value,
            );
        });
    }
}

#[multiversion::multiversion(targets("x86_64+avx2+fma"))]
fn spread_band<const W: usize, const L: usize>(
    cell: &[u32],
    sample: &[u32],
    taps: &[f32],
    [offset, n_columns]: [usize; 2],
    grid: &mut [f32],
    value: &(impl Fn(usize) -> [f32; L] + Sync),
) {
    for ((cell, sample), taps) in cell.iter().zip(sample).zip(taps.chunks_exact(2 * W)) {
        let value = value(*sample as usize);
        let (along_y, along_x) = taps.split_at(W);
        let mut row_values = [[0.0_f32; L]; W];
        for (target, tap) in row_values.iter_mut().zip(along_x) {
            for (target, value) in target.iter_mut().zip(value) {
                *target = tap * value;
            }
        }
        let first = *cell as usize - offset;
        for (y, tap) in along_y.iter().enumerate() {
            let at = (first + y * n_columns) * L;
            let row = &mut grid[at..at + W * L];
            for (row, values) in row.chunks_exact_mut(L).zip(&row_values) {
                for (cell, value) in row.iter_mut().zip(values) {
                    if multiversion::target::target_cfg_f!(target_feature = "fma") {
                        *cell = tap.mul_add(*value, *cell);
                    } else {
                        *cell += tap * value;
                    }
                }
            }
        }
    }
}

/// Reads the samples, in the order of their places, from the grid.
///
/// * `samples`: `[place, number]`.
pub(super) fn gather<const W: usize, const L: usize>(
    places: &Places,
    grid: &Grid,
    cells: &[f32],
    samples: &mut [[f32; L]],
) {
    samples.par_chunks_mut(SAMPLES_AT_ONCE).enumerate().for_each(|(piece, samples)| {
        let range = piece * SAMPLES_AT_ONCE..piece * SAMPLES_AT_ONCE + samples.len();
        let taps = &places.taps[range.start * 2 * W..range.end * 2 * W];
        gather_piece::<W, L>(&places.cell[range], taps, grid.padded[1], cells, samples);
    });
}

#[multiversion::multiversion(targets("x86_64+avx2+fma"))]
fn gather_piece<const W: usize, const L: usize>(
    cell: &[u32],
    taps: &[f32],
    n_columns: usize,
    grid: &[f32],
    samples: &mut [[f32; L]],
) {
    for ((cell, taps), sample) in cell.iter().zip(taps.chunks_exact(2 * W)).zip(samples) {
        let (along_y, along_x) = taps.split_at(W);
        let mut row_sums = [[0.0_f32; L]; W];
        for (y, tap) in along_y.iter().enumerate() {
            let at = (*cell as usize + y * n_columns) * L;
            let row = &grid[at..at + W * L];
            for (sums, row) in row_sums.iter_mut().zip(row.chunks_exact(L)) {
                for (sum, cell) in sums.iter_mut().zip(row) {
                    if multiversion::target::target_cfg_f!(target_feature = "fma") {
                        *sum = tap.mul_add(*cell, *sum);
                    } else {
                        *sum += tap * cell;
                    }
                }
            }
        }
        let mut value = [0.0_f32; L];
        for (sums, tap) in row_sums.iter().zip(along_x) {
            for (value, sum) in value.iter_mut().zip(sums) {
                *value += tap * sum;
            }
        }
        *sample = value;
    }
}
