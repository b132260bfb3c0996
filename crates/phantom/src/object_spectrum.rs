//! The spectrum of an object on a Cartesian grid, and what coils make of it.

use std::f64::consts::TAU;

use ndarray::{Array2, Array3, ArrayView2, Axis};
use num_complex::{Complex32, Complex64};
use rayon::prelude::*;

use crate::coils::CoilSensitivities;
use crate::object::Component;

/// Samples that are summed at a time: their sums stay in registers.
const BLOCK: usize = 4;

const ORDER: usize = CoilSensitivities::ORDER;

const N_WAVES: usize = CoilSensitivities::N_WAVES;

/// Where a two-dimensional Cartesian scan samples k-space.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CartesianGrid {
    /// Pixels \[x, y\] of the image without oversampling.
    pub matrix_size: [usize; 2],
    /// Extent \[x, y\] of this image, mm.
    pub field_of_view_mm: [f64; 2],
    /// Samples of a readout over pixels along x.
    pub readout_oversampling: usize,
}

impl CartesianGrid {
    /// Samples of a readout.
    pub fn n_samples(&self) -> usize {
        self.matrix_size[0] * self.readout_oversampling
    }

    /// Lines, which is pixels along y.
    pub fn n_lines(&self) -> usize {
        self.matrix_size[1]
    }
}

/// The spectrum of an object at the samples of a scan and at those that plane waves of the
/// coils shift onto them.
#[derive(Clone, Debug)]
pub struct ObjectSpectrum {
    grid: CartesianGrid,
    /// `[ky, kx]`, in steps of half a line and of [`ObjectSpectrum::x_shift`] per wave.
    values: Array2<Complex64>,
}

impl ObjectSpectrum {
    /// Evaluates the exact spectrum of the sum of `components`.
    pub fn new(components: &[Component], grid: CartesianGrid) -> Self {
        let x_step = 1.0 / (Self::x_refinement(grid) as f64 * grid.field_of_view_mm[0]);
        let y_step = 0.5 / grid.field_of_view_mm[1];
        let (sample, x_shift) = (Self::sample_stride(grid), Self::x_shift(grid));
        let n_kx = (grid.n_samples() - 1) * sample + 1 + 2 * ORDER * x_shift;
        let n_ky = (grid.n_lines() - 1) * 2 + 1 + 2 * ORDER;
        let x_origin = grid.n_samples() / 2 * sample + ORDER * x_shift;
        let y_origin = grid.n_lines() / 2 * 2 + ORDER;
        let k_per_mm = |n: usize, origin: usize, step: f64| (n as f64 - origin as f64) * step;

        // The phases of the centres are products of one factor along x and one along y.
        let x_phases: Vec<Vec<Complex64>> = components
            .iter()
            .map(|part| {
                let turns = |n| k_per_mm(n, x_origin, x_step) * part.ellipse.center_mm[0];
                (0..n_kx).map(|n| Complex64::cis(-TAU * turns(n))).collect()
            })
            .collect();
        let mut values = Array2::zeros((n_ky, n_kx));
        let rows = values.as_slice_mut().expect("a new array is contiguous");
        rows.par_chunks_exact_mut(n_kx).enumerate().for_each(|(n, row)| {
            let ky = k_per_mm(n, y_origin, y_step);
            for (part, x_phases) in components.iter().zip(&x_phases) {
                let y_phase = Complex64::cis(-TAU * ky * part.ellipse.center_mm[1]);
                let factor = part.amplitude * y_phase;
                for (n, (value, x_phase)) in row.iter_mut().zip(x_phases).enumerate() {
                    let kx = k_per_mm(n, x_origin, x_step);
                    *value += x_phase * factor * part.ellipse.centered_spectrum([kx, ky]);
                }
            }
        });
        Self { grid, values }
    }

    /// Steps of the stored spectrum in 1/field of view along x: a multiple of the two that a
    /// wave is half of and of the oversampling.
    fn x_refinement(grid: CartesianGrid) -> usize {
        if grid.readout_oversampling.is_multiple_of(2) {
            grid.readout_oversampling
        } else {
            2 * grid.readout_oversampling
        }
    }

    /// Steps from one sample to the next.
    fn sample_stride(grid: CartesianGrid) -> usize {
        Self::x_refinement(grid) / grid.readout_oversampling
    }

    /// Steps that one wave shifts.
    fn x_shift(grid: CartesianGrid) -> usize {
        Self::x_refinement(grid) / 2
    }

    /// K-space of the object as the coils see it: `[line, channel, sample]`.
    ///
    /// The scale is such that the unitary inverse transform of all lines and samples has the
    /// object's own intensities: the spectrum in mm² times Δkx·Δky·√(samples · lines).
    pub fn through(&self, coils: &CoilSensitivities) -> Array3<Complex32> {
        let grid = self.grid;
        let (n_channels, n_samples) = (coils.n_channels(), grid.n_samples());
        let [x_mm, y_mm] = grid.field_of_view_mm;
        let area = x_mm * grid.readout_oversampling as f64 * y_mm;
        let scale = ((n_samples * grid.n_lines()) as f64).sqrt() / area;
        let mut k_space = Array3::zeros((grid.n_lines(), n_channels, n_samples));
        let lines = k_space.as_slice_mut().expect("a new array is contiguous");
        lines.par_chunks_exact_mut(n_channels * n_samples).enumerate().for_each(
            |(line, target)| {
                for (channel, row) in target.chunks_exact_mut(n_samples).enumerate() {
                    let coefficients = coils.coefficients(channel);
                    // Strides are 1 with even oversampling and 2 otherwise.
                    if Self::sample_stride(grid) == 1 {
                        self.sum_waves::<1>(line, coefficients, scale, row);
                    } else {
                        self.sum_waves::<2>(line, coefficients, scale, row);
                    }
                }
            },
        );
        k_space
    }

    /// One line of one channel: Σ coefficient · spectrum shifted by the wave, times `scale`.
    fn sum_waves<const STRIDE: usize>(
        &self,
        line: usize,
        coefficients: ArrayView2<'_, Complex64>,
        scale: f64,
        target: &mut [Complex32],
    ) {
        let x_shift = Self::x_shift(self.grid);
        // A wave of p periods shifts the spectrum by p to the right: sample k takes it from k − p.
        let shifted = |wave: usize, shift: usize| (N_WAVES - 1 - wave) * shift;
        let waves: Vec<(Complex64, &[Complex64])> = coefficients
            .indexed_iter()
            .filter(|(_, coefficient)| **coefficient != Complex64::ZERO)
            .filter_map(|((q, p), &coefficient)| {
                let row = self.values.index_axis(Axis(0), 2 * line + shifted(q, 1)).to_slice()?;
                Some((coefficient * scale, &row[shifted(p, x_shift)..]))
            })
            .collect();
        for (block, samples) in target.chunks_mut(BLOCK).enumerate() {
            let first = block * BLOCK * STRIDE;
            let mut with_re = [Complex64::ZERO; BLOCK];
            let mut with_im = [Complex64::ZERO; BLOCK];
            for &(coefficient, row) in &waves {
                if samples.len() == BLOCK {
                    let source = &row[first..=first + (BLOCK - 1) * STRIDE];
                    for n in 0..BLOCK {
                        with_re[n] += source[n * STRIDE] * coefficient.re;
                        with_im[n] += source[n * STRIDE] * coefficient.im;
                    }
                } else {
                    for n in 0..samples.len() {
                        with_re[n] += row[first + n * STRIDE] * coefficient.re;
                        with_im[n] += row[first + n * STRIDE] * coefficient.im;
                    }
                }
            }
            for (n, sample) in samples.iter_mut().enumerate() {
                let (re, im) = (with_re[n].re - with_im[n].im, with_re[n].im + with_im[n].re);
                *sample = Complex32::new(re as f32, im as f32);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coils::LoopArray;
    use crate::shepp_logan::shepp_logan;

    fn grid(readout_oversampling: usize) -> CartesianGrid {
        CartesianGrid {
            matrix_size: [30, 25],
            field_of_view_mm: [240.0, 200.0],
            readout_oversampling,
        }
    }

    #[test]
    fn k_space_is_the_sum_of_shifted_spectra_at_every_oversampling() {
        let ellipses = shepp_logan(100.0, 1, 3);
        let coils = LoopArray::new(5, 100.0, [240.0, 200.0]).sensitivities(0.0);
        for oversampling in [1, 2, 3, 4] {
            let grid = grid(oversampling);
            let k_space = ObjectSpectrum::new(&ellipses, grid).through(&coils);
            let n_samples = 30 * oversampling;
            assert_eq!(k_space.dim(), (25, 5, n_samples));
            let dk = [1.0 / (240.0 * oversampling as f64), 1.0 / 200.0];
            let scale = dk[0] * dk[1] * ((n_samples * 25) as f64).sqrt();
            for (line, channel, sample) in
                [(0, 0, 0), (12, 4, n_samples / 2), (20, 2, 7), (24, 3, 29)]
            {
                let k = [
                    (sample as f64 - (n_samples / 2) as f64) * dk[0],
                    (line as f64 - 12.0) * dk[1],
                ];
                let mut sum = Complex64::ZERO;
                for ((q, p), coefficient) in coils.coefficients(channel).indexed_iter() {
                    let (p, q) = (p as f64 - ORDER as f64, q as f64 - ORDER as f64);
                    let shifted = [k[0] - p / 480.0, k[1] - q / 400.0];
                    let object: Complex64 =
                        ellipses.iter().map(|e| e.amplitude * e.ellipse.spectrum(shifted)).sum();
                    sum += coefficient * object * scale;
                }
                let value = k_space[[line, channel, sample]];
                let difference = Complex64::new(value.re.into(), value.im.into()) - sum;
                // Rounding to single precision of values up to 10.
                assert!(difference.norm() < 1e-6, "{oversampling}, {line}: {value} and {sum}");
            }
        }
    }
}
