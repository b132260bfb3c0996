//! The grid on which shifts by the coils' waves are whole steps, and spectra of ellipses on it.

use std::f64::consts::{PI, TAU};

use num_complex::{Complex32, Complex64};
use rayon::prelude::*;

use super::CartesianGrid;
use super::fourier::fast_len;
use crate::bessel::DiscSpectrum;
use crate::coils::CoilSensitivities;
use crate::ellipse::Ellipse;
use crate::object::Component;

const ORDER: usize = CoilSensitivities::ORDER;

/// One axis of the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RefinedAxis {
    /// Samples of the scan.
    pub n_samples: usize,
    /// Steps from one sample of the scan to the next.
    pub stride: usize,
    /// Steps that one wave shifts.
    pub wave: usize,
    /// Points of the grid that samples and waves need.
    pub n_points: usize,
    /// Which of them is the centre of k-space.
    pub origin: usize,
    /// Length that the points are padded to: a multiple of `stride`.
    pub padded: usize,
}

impl RefinedAxis {
    /// * `oversampling`: samples of the scan per 1/field of view. Waves shift by half of that.
    fn new(n_samples: usize, oversampling: usize) -> Self {
        let (stride, wave) =
            if oversampling.is_multiple_of(2) { (1, oversampling / 2) } else { (2, oversampling) };
        let n_points = n_samples.saturating_sub(1) * stride + 1 + 2 * ORDER * wave;
        Self {
            n_samples,
            stride,
            wave,
            n_points,
            origin: n_samples / 2 * stride + ORDER * wave,
            padded: stride * fast_len(n_points.div_ceil(stride)),
        }
    }

    /// Points of the padded axis after its decimation by `stride`.
    pub(super) fn decimated(&self) -> usize {
        self.padded / self.stride
    }

    /// Which of the decimated points is the first sample: a convolution with all waves is
    /// complete from there on.
    pub(super) fn first_sample(&self) -> usize {
        2 * ORDER * self.wave / self.stride
    }
}

/// The grid.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct RefinedGrid {
    pub x: RefinedAxis,
    pub y: RefinedAxis,
    /// From one point to the next \[x, y\], cycles per mm.
    pub steps_per_mm: [f64; 2],
    /// What a spectrum in mm² is multiplied by.
    pub scale: f64,
}

impl RefinedGrid {
    pub(super) fn new(grid: CartesianGrid) -> Self {
        let x = RefinedAxis::new(grid.n_samples(), grid.readout_oversampling);
        let y = RefinedAxis::new(grid.n_lines(), 1);
        let [dkx, dky] = grid.steps_per_mm();
        let steps_per_mm = [dkx / x.stride as f64, dky / y.stride as f64];
        Self { x, y, steps_per_mm, scale: grid.scale() }
    }

    /// Rows that are evaluated at once: those of ky and −ky, from the centre outwards.
    pub(super) fn n_row_pairs(&self) -> usize {
        self.y.origin + 1
    }

    /// The row of each sign of a pair: `None` where the grid has none.
    pub(super) fn rows(&self, pair: usize) -> [Option<usize>; 2] {
        let positive = Some(self.y.origin + pair).filter(|&row| row < self.y.n_points);
        let negative = if pair == 0 { None } else { self.y.origin.checked_sub(pair) };
        [positive, negative]
    }

    /// The scaled spectrum of the sum of `components`: `[pair of rows, sign of ky, kx]`, kx
    /// padded with zeros.
    ///
    /// # Method
    /// The spectrum of an ellipse is real but for the phase of its centre, and even, so one
    /// evaluation serves k and −k.
    pub(super) fn spectrum(&self, components: &[Component]) -> Vec<Complex32> {
        let disc = DiscSpectrum::table();
        let padded = self.x.padded;
        // As far on the right of the centre as on its left, which no number of samples exceeds.
        let n_mirrored = 2 * self.x.origin + 1;
        let kx = |n: usize| (n as f64 - self.x.origin as f64) * self.steps_per_mm[0];
        let x_phases: Vec<Vec<Complex64>> = components
            .iter()
            .map(|part| {
                let x_mm = part.ellipse.center_mm[0];
                (0..n_mirrored).map(|n| Complex64::cis(-TAU * kx(n) * x_mm)).collect()
            })
            .collect();
        let mut rows = vec![Complex32::ZERO; self.n_row_pairs() * 2 * padded];
        rows.par_chunks_exact_mut(2 * padded).enumerate().for_each_init(
            || (vec![[Complex64::ZERO; 2]; n_mirrored], vec![0.0; n_mirrored]),
            |(sums, shape), (pair, rows)| {
                sums.fill([Complex64::ZERO; 2]);
                let ky = pair as f64 * self.steps_per_mm[1];
                for (part, x_phases) in components.iter().zip(&x_phases) {
                    shape_row(&part.ellipse, kx(0), self.steps_per_mm[0], ky, disc, shape);
                    let y_phase = Complex64::cis(-TAU * ky * part.ellipse.center_mm[1]);
                    let amplitude = part.amplitude * self.scale;
                    let (at_k, at_minus_k) = (amplitude * y_phase, amplitude * y_phase.conj());
                    for ((sum, x_phase), shape) in sums.iter_mut().zip(x_phases).zip(&*shape) {
                        let phase = x_phase * *shape;
                        sum[0] += at_k * phase;
                        sum[1] += at_minus_k * phase.conj();
                    }
                }
                let (positive, negative) = rows.split_at_mut(padded);
                let single = |value: Complex64| Complex32::new(value.re as f32, value.im as f32);
                for (target, sum) in positive[..self.x.n_points].iter_mut().zip(&*sums) {
                    *target = single(sum[0]);
                }
                let mirrored = sums[..=2 * self.x.origin].iter().rev();
                for (target, sum) in negative[..self.x.n_points].iter_mut().zip(mirrored) {
                    *target = single(sum[1]);
                }
            },
        );
        rows
    }
}

/// The spectrum of an ellipse as if its centre were at the origin, along a row: at
/// `first_kx` + n·`step` and `ky`.
fn shape_row(
    ellipse: &Ellipse,
    first_kx: f64,
    step: f64,
    ky: f64,
    disc: &DiscSpectrum,
    row: &mut [f64],
) {
    let [a, b] = ellipse.semi_axes_mm;
    let (sin, cos) = ellipse.angle_rad.sin_cos();
    let along_a = |kx: f64| TAU * a * (kx * cos + ky * sin);
    let along_b = |kx: f64| TAU * b * (ky * cos - kx * sin);
    for (n, u) in row.iter_mut().enumerate() {
        let kx = first_kx + n as f64 * step;
        let (u_a, u_b) = (along_a(kx), along_b(kx));
        *u = (u_a * u_a + u_b * u_b).sqrt();
    }
    let area = PI * a * b;
    row.iter_mut().for_each(|u| *u = area * disc.at(*u));
}
