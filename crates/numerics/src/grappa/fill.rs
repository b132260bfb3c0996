//! Filling of missing lines in hybrid space.

use std::f64::consts::TAU;

use ndarray::{Array4, Array6, ArrayView2, ArrayView4};
use num_complex::{Complex32, Complex64};

use super::Kernel;
use super::kernel::source_offset;

impl Kernel {
    /// Fills the missing lines of one scan: [`HybridKernel::fill`] for a kernel that is used
    /// once.
    ///
    /// # Panics
    /// As [`HybridKernel::fill`].
    pub fn fill(
        &self,
        data: ArrayView4<'_, Complex32>,
        sampled: ArrayView2<'_, bool>,
    ) -> Array4<Complex32> {
        self.in_hybrid_space(data.dim().3).fill(data, sampled)
    }

    /// The kernel for readouts of `n_x` pixels that are already transformed.
    pub fn in_hybrid_space(&self, n_x: usize) -> HybridKernel {
        let (n_missing, n_targets, n_channels, n_a2, n_a1, n_a0) = self.weights.dim();
        let shape = (n_missing, n_targets, n_channels, n_a2, n_a1, n_x);
        let phasors: Vec<Complex64> = (0..n_a0)
            .flat_map(|a0| {
                let offset = source_offset(a0, n_a0, 1) as f64;
                (0..n_x).map(move |x| {
                    let turns = offset * (x as f64 - (n_x / 2) as f64) / n_x as f64;
                    Complex64::cis(-TAU * turns)
                })
            })
            .collect();
        let weights = Array6::from_shape_fn(shape, |(m, target, channel, a2, a1, x)| {
            let sum: Complex64 = (0..n_a0)
                .map(|a0| {
                    let weight = self.weights[[m, target, channel, a2, a1, a0]];
                    phasors[a0 * n_x + x]
                        * Complex64::new(f64::from(weight.re), f64::from(weight.im))
                })
                .sum();
            Complex32::new(sum.re as f32, sum.im as f32)
        });
        HybridKernel { acceleration: self.acceleration, weights }
    }
}

/// A [`Kernel`] whose readout taps are transformed to pixels along x.
#[derive(Clone, Debug)]
pub struct HybridKernel {
    acceleration: [usize; 2],
    /// `[missing line of the cell, target, channel, source e2, source e1, x]`.
    weights: Array6<Complex32>,
}

impl HybridKernel {
    /// Channels that [`HybridKernel::fill`] gives.
    pub fn n_targets(&self) -> usize {
        self.weights.dim().1
    }

    /// Fills the missing lines.
    ///
    /// * `data`: `[channel, encoding_step_2, encoding_step_1, x]`: k-space with the readout
    ///   transformed to the image. Lines that are not sampled are not read.
    /// * `sampled`: `[encoding_step_2, encoding_step_1]`, which lines are. Lines beside the
    ///   lattice (calibration) are allowed.
    ///
    /// Returns `[target, encoding_step_2, encoding_step_1, x]`: sampled lines as they are, and
    /// missing ones made from their sources. A missing line with a neighbour on the lattice that
    /// lies inside the matrix and is not sampled stays 0 (partial Fourier, corners). Sources
    /// beyond the matrix are taken from its other side if the lattice fits there, and else
    /// count as 0: so the result is that of the unmixing in image space.
    ///
    /// # Panics
    /// If the shapes do not fit each other or the kernel.
    pub fn fill(
        &self,
        data: ArrayView4<'_, Complex32>,
        sampled: ArrayView2<'_, bool>,
    ) -> Array4<Complex32> {
        let (n_channels, n_e2, n_e1, n_x) = data.dim();
        let (_, n_targets, kernel_channels, n_a2, n_a1, kernel_x) = self.weights.dim();
        assert_eq!((n_channels, n_x), (kernel_channels, kernel_x), "channels and x of the data");
        assert_eq!(sampled.dim(), (n_e2, n_e1), "lines of the data");
        let [r1, r2] = self.acceleration;
        let [first1, first2] = lattice_offset(sampled, self.acceleration);
        let mut filled = Array4::zeros((n_targets, n_e2, n_e1, n_x));
        for e2 in 0..n_e2 {
            for e1 in 0..n_e1 {
                if sampled[[e2, e1]] {
                    for target in 0..n_targets {
                        for x in 0..n_x {
                            filled[[target, e2, e1, x]] = data[[target, e2, e1, x]];
                        }
                    }
                    continue;
                }
                let (cell1, o1) = cell(e1, first1, r1);
                let (cell2, o2) = cell(e2, first2, r2);
                if o1 + o2 == 0 || !self.has_neighbours(sampled, (cell1, o1), (cell2, o2)) {
                    continue;
                }
                let m = o2 * r1 + o1 - 1;
                for a2 in 0..n_a2 {
                    for a1 in 0..n_a1 {
                        let s1 = wrap(cell1 + source_offset(a1, n_a1, r1), n_e1, r1);
                        let s2 = wrap(cell2 + source_offset(a2, n_a2, r2), n_e2, r2);
                        let (Some(s1), Some(s2)) = (s1, s2) else { continue };
                        if !sampled[[s2, s1]] {
                            continue;
                        }
                        for target in 0..n_targets {
                            for channel in 0..n_channels {
                                for x in 0..n_x {
                                    filled[[target, e2, e1, x]] += self.weights
                                        [[m, target, channel, a2, a1, x]]
                                        * data[[channel, s2, s1, x]];
                                }
                            }
                        }
                    }
                }
            }
        }
        filled
    }

    /// Whether the nearest lattice lines around line `o` of the cell that starts at `cell` are
    /// sampled as far as they lie inside the matrix, for (encoding_step_1, encoding_step_2).
    fn has_neighbours(
        &self,
        sampled: ArrayView2<'_, bool>,
        (cell1, o1): (isize, usize),
        (cell2, o2): (isize, usize),
    ) -> bool {
        let (n_e2, n_e1) = sampled.dim();
        let [r1, r2] = self.acceleration.map(|r| r as isize);
        let steps = |o: usize| if o == 0 { 0..1 } else { 0..2 };
        let mut any = false;
        for step2 in steps(o2) {
            for step1 in steps(o1) {
                let e1 = inside(cell1 + step1 * r1, n_e1);
                let e2 = inside(cell2 + step2 * r2, n_e2);
                if let (Some(e1), Some(e2)) = (e1, e2) {
                    if !sampled[[e2, e1]] {
                        return false;
                    }
                    any = true;
                }
            }
        }
        any
    }
}

/// First line of the lattice along encoding_step_1 and encoding_step_2: that which most sampled
/// lines belong to (the first of equals), so that calibration lines in between do not matter.
///
/// * `sampled`: `[encoding_step_2, encoding_step_1]`.
///
/// # Panics
/// If an acceleration is 0.
pub fn lattice_offset(sampled: ArrayView2<'_, bool>, acceleration: [usize; 2]) -> [usize; 2] {
    let [r1, r2] = acceleration;
    let mut counts = vec![0_usize; r1 * r2];
    for ((e2, e1), &sampled) in sampled.indexed_iter() {
        counts[e2 % r2 * r1 + e1 % r1] += usize::from(sampled);
    }
    let most = counts.iter().max().copied().unwrap_or(0);
    let first = counts.iter().position(|&count| count == most).unwrap_or(0);
    [first % r1, first / r1]
}

/// Start of the cell of line `e` (negative before the first lattice line) and its place in it.
fn cell(e: usize, first: usize, acceleration: usize) -> (isize, usize) {
    let place = (e + acceleration - first) % acceleration;
    (e as isize - place as isize, place)
}

fn inside(e: isize, n: usize) -> Option<usize> {
    usize::try_from(e).ok().filter(|&e| e < n)
}

/// Line `e` of a matrix of `n` that is periodic if the lattice is.
fn wrap(e: isize, n: usize, acceleration: usize) -> Option<usize> {
    if n.is_multiple_of(acceleration) {
        Some(e.rem_euclid(n as isize) as usize)
    } else {
        inside(e, n)
    }
}
