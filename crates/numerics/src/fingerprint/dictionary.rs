//! What all T1 and T2 of a grid would give in a few numbers.

use ndarray::ArrayView2;
use rayon::prelude::*;

use super::grid::Grid;
use super::pulse_table::Course;
use super::signals::{Block, LANES};

/// The signals of a grid of T1 and T2, reduced to a few numbers each.
#[derive(Clone, Debug, PartialEq)]
pub struct Dictionary {
    pub(super) grid: Grid,
    pub(super) n_modes: usize,
    /// `[t1, t2, mode]`.
    pub(super) coefficients: Vec<f32>,
}

impl Dictionary {
    /// The dictionary of a course.
    ///
    /// * `reduction`: `[mode, echo]`: what is made of the echoes of a voxel. A
    ///   [`super::Basis`], or averages over windows; where the noise of the numbers made is not
    ///   white, multiplied by what makes it so.
    ///
    /// # Panics
    /// If the reduction is not of as many echoes as the course has.
    pub fn new(course: &Course, grid: Grid, reduction: ArrayView2<'_, f32>) -> Self {
        let (n_modes, n_echoes) = reduction.dim();
        assert_eq!(n_echoes, course.table.n_echoes(), "echoes of the reduction");
        // Of each echo, what it adds to the modes.
        let by_echo: Vec<f32> = reduction.t().iter().copied().collect();
        let tissues = grid.tissues_ms();
        let mut coefficients = vec![0.0; tissues.len() * n_modes];
        coefficients
            .par_chunks_mut(LANES * n_modes.max(1))
            .zip(tissues.par_chunks(LANES))
            .for_each(|(rows, tissues)| {
                let echoes = Block::new(course, tissues).echoes();
                let mut sums = vec![[0.0_f32; LANES]; n_modes];
                reduce(&echoes, &by_echo, &mut sums);
                for (lane, row) in rows.chunks_exact_mut(n_modes).enumerate() {
                    row.iter_mut().zip(&sums).for_each(|(value, sum)| *value = sum[lane]);
                }
            });
        Self { grid, n_modes, coefficients }
    }

    /// Its T1 and T2.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// Numbers of an entry.
    pub fn n_modes(&self) -> usize {
        self.n_modes
    }

    /// The numbers of a pair of the grid.
    pub fn entry(&self, [t1, t2]: [usize; 2]) -> &[f32] {
        let start = (t1 * self.grid.t2_ms().len() + t2) * self.n_modes;
        &self.coefficients[start..start + self.n_modes]
    }
}

#[multiversion::multiversion(targets("x86_64+avx512f", "x86_64+avx2+fma", "x86_64+avx"))]
fn reduce(echoes: &[[f32; LANES]], by_echo: &[f32], sums: &mut [[f32; LANES]]) {
    if sums.is_empty() {
        return;
    }
    for (echo, weights) in echoes.iter().zip(by_echo.chunks_exact(sums.len())) {
        for (sum, weight) in sums.iter_mut().zip(weights) {
            for lane in 0..LANES {
                sum[lane] += weight * echo[lane];
            }
        }
    }
}
