//! Weights of the neighbours, and where these lie.

use ndarray::Array6;
use num_complex::Complex32;

/// GRAPPA weights.
///
/// A line of the sampled lattice and the lines up to the next one make a cell of
/// `acceleration` lines. The sources of a cell are the lattice lines from
/// (size − 1) / 2 before it to size / 2 after it, along both phase-encoding axes, and as many
/// neighbours along the readout on either side; each missing line of the cell has weights of
/// its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Kernel {
    pub(super) acceleration: [usize; 2],
    /// `[missing line of the cell, target, channel, source e2, source e1, source readout]`.
    /// Missing line m is number m + 1 of the cell, e1 running first.
    pub(super) weights: Array6<Complex32>,
}

impl Kernel {
    /// Weights `[missing line of the cell, target, channel, source e2, source e1, source
    /// readout]`; missing lines are numbered with encoding_step_1 running first and leave out
    /// the first one, which is sampled.
    pub fn weights(&self) -> &Array6<Complex32> {
        &self.weights
    }

    /// Acceleration along encoding_step_1 and encoding_step_2.
    pub fn acceleration(&self) -> [usize; 2] {
        self.acceleration
    }

    /// Channels that it takes.
    pub fn n_channels(&self) -> usize {
        self.weights.dim().2
    }

    /// Channels that it gives: the first of those it takes.
    pub fn n_targets(&self) -> usize {
        self.weights.dim().1
    }

    /// Sources along encoding_step_2, encoding_step_1 and readout.
    pub fn size(&self) -> [usize; 3] {
        let (.., e2, e1, readout) = self.weights.dim();
        [e2, e1, readout]
    }
}

/// Place of missing line `m` in its cell: (along encoding_step_1, along encoding_step_2).
pub(super) fn missing_line(acceleration: [usize; 2], m: usize) -> (usize, usize) {
    ((m + 1) % acceleration[0], (m + 1) / acceleration[0])
}

/// Where source `index` of `size` lies relative to the start of the cell.
pub(super) fn source_offset(index: usize, size: usize, acceleration: usize) -> isize {
    (index as isize - (size as isize - 1) / 2) * acceleration as isize
}
