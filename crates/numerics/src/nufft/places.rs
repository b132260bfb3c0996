//! Where the samples lie on the grid, sorted by tiles of it.

use std::ops::Range;

use super::Error;
use super::kernel::Kernel;

/// Rows of the grid that are written by one thread at a time; no kernel is wider.
pub(super) const BAND_ROWS: usize = 16;

/// Columns of a tile: with the rows of a band and four channels it fits the first cache.
const TILE_COLUMNS: usize = 16;

/// The grid: periodic, with room behind the last row and column for kernels that go beyond it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    /// Cells along y and x, k = 0 in the middle.
    pub size: [usize; 2],
    /// Rows and columns in memory.
    pub padded: [usize; 2],
}

impl Grid {
    pub fn new(size: [usize; 2], width: usize) -> Self {
        Self { size, padded: size.map(|cells| cells + width - 1) }
    }

    pub fn n_padded(&self) -> usize {
        self.padded[0] * self.padded[1]
    }
}

/// The samples in the order of their tiles.
#[derive(Clone, Debug)]
pub(super) struct Places {
    /// Which sample it is.
    pub sample: Vec<u32>,
    /// Where a sample has gone.
    pub rank: Vec<u32>,
    /// Cell of the first tap, in the padded grid.
    pub cell: Vec<u32>,
    /// `[place, tap along y, then along x]`.
    pub taps: Vec<f32>,
    /// Places in each band of rows.
    pub bands: Vec<Range<usize>>,
}

impl Places {
    /// * `trajectory`: `[kx, ky]`, cycles per field of view.
    /// * `image`: pixels along y and x.
    pub fn new<const W: usize>(
        trajectory: &[[f32; 2]],
        image: [usize; 2],
        grid: &Grid,
        kernels: &[Kernel; 2],
    ) -> Result<Self, Error> {
        let n_tiles_x = grid.size[1].div_ceil(TILE_COLUMNS);
        let n_bands = grid.size[0].div_ceil(BAND_ROWS);
        let mut first = Vec::with_capacity(trajectory.len());
        let mut counts = vec![0_u32; n_bands * n_tiles_x + 1];
        for (sample, k) in trajectory.iter().enumerate() {
            if !(k[0].is_finite() && k[1].is_finite()) {
                return Err(Error::NotFinite { sample });
            }
            let axis = |axis: usize, k: f32| tap_of::<W>(k, image[axis], grid.size[axis]);
            let (y, fraction_y) = axis(0, k[1]);
            let (x, fraction_x) = axis(1, k[0]);
            let tile = (y / BAND_ROWS) * n_tiles_x + x / TILE_COLUMNS;
            counts[tile + 1] += 1;
            first.push((tile as u32, (y * grid.padded[1] + x) as u32, [fraction_y, fraction_x]));
        }
        for tile in 1..counts.len() {
            counts[tile] += counts[tile - 1];
        }
        let bands = (0..n_bands)
            .map(|band| counts[band * n_tiles_x] as usize..counts[(band + 1) * n_tiles_x] as usize)
            .collect();
        let mut next = counts;
        let n = trajectory.len();
        let mut places = Self {
            sample: vec![0; n],
            rank: vec![0; n],
            cell: vec![0; n],
            taps: vec![0.0; n * 2 * W],
            bands,
        };
        for (sample, (tile, cell, fractions)) in first.into_iter().enumerate() {
            let place = next[tile as usize] as usize;
            next[tile as usize] += 1;
            places.sample[place] = sample as u32;
            places.rank[sample] = place as u32;
            places.cell[place] = cell;
            let taps = &mut places.taps[place * 2 * W..(place + 1) * 2 * W];
            taps[..W].copy_from_slice(&kernels[0].taps::<W>(fractions[0]));
            taps[W..].copy_from_slice(&kernels[1].taps::<W>(fractions[1]));
        }
        Ok(places)
    }
}

/// The first cell that a kernel reaches, and how far the first tap is from its edge.
fn tap_of<const W: usize>(k: f32, n_pixels: usize, n_cells: usize) -> (usize, f32) {
    let cells = n_cells as f64;
    let position = f64::from(k) * cells / n_pixels as f64 + (n_cells / 2) as f64;
    let edge = position.rem_euclid(cells) - 0.5 * W as f64;
    let first = edge.ceil();
    let wrapped = if first < 0.0 { first + cells } else { first };
    // A position that was rounded up to the number of cells is 0.
    let cell = (wrapped as usize).min(n_cells - 1);
    (cell, (first - edge) as f32)
}
