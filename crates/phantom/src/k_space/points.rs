//! K-space at any points.

use std::f64::consts::TAU;

use ndarray::{Array2, Array3, ArrayView2, s};
use num_complex::{Complex32, Complex64};
use rayon::prelude::*;

use super::{CartesianGrid, pixel_points};
use crate::bessel::DiscSpectrum;
use crate::coils::CoilSensitivities;
use crate::ellipse::Ellipse;
use crate::object::{Component, Object};

const ORDER: usize = CoilSensitivities::ORDER;

const N_WAVES: usize = CoilSensitivities::N_WAVES;

/// Waves in both directions.
const N_PLANE_WAVES: usize = N_WAVES * N_WAVES;

/// Samples that are worked on at a time: their shifted spectra stay in the cache.
const BLOCK: usize = 128;

/// Samples objects at any points of k-space: exactly for ellipses, to 1e-6 of the largest
/// sample for pixels.
///
/// # Method
/// Each wave of a coil shifts the spectrum of what it multiplies, so a sample is the sum over
/// waves of the object's spectrum at k − q. For ellipses these are real but for the phase of
/// the centre, which is a product of one for k and one for q: the channels are a product of a
/// real matrix with the coefficients.
#[derive(Clone, Debug)]
pub struct PointSampler {
    scale: f64,
    coils: CoilSensitivities,
    /// \[kx, ky\] of each wave, cycles per mm.
    waves_per_mm: Vec<[f64; 2]>,
    /// `[wave, channel]`, with the scale.
    coefficients: Array2<Complex64>,
}

impl PointSampler {
    /// * `grid_for_scale`: the Cartesian scan whose scale the samples have: the spectrum in mm²
    ///   times Δkx·Δky·√(samples · lines). Its field of view need not be the coils'.
    pub fn new(grid_for_scale: CartesianGrid, coils: &CoilSensitivities) -> Self {
        let scale = grid_for_scale.scale();
        let periods = |wave: usize| wave as f64 - ORDER as f64;
        let [x_mm, y_mm] = coils.period_mm();
        let waves_per_mm = (0..N_PLANE_WAVES)
            .map(|wave| [periods(wave % N_WAVES) / x_mm, periods(wave / N_WAVES) / y_mm])
            .collect();
        let shape = (N_PLANE_WAVES, coils.n_channels());
        let coefficients = Array2::from_shape_fn(shape, |(wave, channel)| {
            coils.coefficients(channel)[[wave / N_WAVES, wave % N_WAVES]] * scale
        });
        Self { scale, coils: coils.clone(), waves_per_mm, coefficients }
    }

    /// Channels.
    pub fn n_channels(&self) -> usize {
        self.coils.n_channels()
    }

    /// K-space of `object` as the coils see it: `[channel, sample]`.
    ///
    /// * `k_per_mm`: \[kx, ky\] of each sample, cycles per mm.
    pub fn samples(&self, object: &Object, k_per_mm: &[[f64; 2]]) -> Array2<Complex32> {
        match object {
            Object::Ellipses(components) => self.samples_of_ellipses(components, k_per_mm),
            Object::Pixels(pixels) => {
                pixel_points::samples(pixels, &self.coils, self.scale, k_per_mm)
            }
        }
    }

    /// K-space of each ellipse with amplitude 1: `[ellipse, channel, sample]`, for amplitudes
    /// that change from readout to readout.
    ///
    /// * `k_per_mm`: \[kx, ky\] of each sample, cycles per mm.
    pub fn basis(&self, ellipses: &[Ellipse], k_per_mm: &[[f64; 2]]) -> Array3<Complex32> {
        let n_channels = self.n_channels();
        let shifted: Vec<ShiftedShape> = ellipses.iter().map(ShiftedShape::new).collect();
        // Real and imaginary parts as columns: `[wave, 2 · channel]` of each ellipse.
        let weights: Vec<Array2<f64>> = ellipses
            .iter()
            .map(|ellipse| {
                let phases: Vec<Complex64> = self.phases_of_waves(ellipse).collect();
                Array2::from_shape_fn((N_PLANE_WAVES, 2 * n_channels), |(wave, column)| {
                    let value = self.coefficients[[wave, column / 2]] * phases[wave];
                    if column % 2 == 0 { value.re } else { value.im }
                })
            })
            .collect();
        let blocks: Vec<Array3<Complex32>> = k_per_mm
            .par_chunks(BLOCK)
            .map(|block| {
                let mut target = Array3::zeros((ellipses.len(), n_channels, block.len()));
                let mut spectra = Array2::zeros((block.len(), N_PLANE_WAVES));
                for (e, shape) in shifted.iter().enumerate() {
                    shape.spectra(block, &self.waves_per_mm, &mut spectra);
                    let channels = spectra.dot(&weights[e]);
                    for (sample, (&k, row)) in block.iter().zip(channels.rows()).enumerate() {
                        let phase = center_phase(&ellipses[e], k);
                        for channel in 0..n_channels {
                            let value = Complex64::new(row[2 * channel], row[2 * channel + 1]);
                            target[[e, channel, sample]] = single(phase * value);
                        }
                    }
                }
                target
            })
            .collect();
        let mut basis = Array3::zeros((ellipses.len(), n_channels, k_per_mm.len()));
        for (n, block) in blocks.iter().enumerate() {
            let first = n * BLOCK;
            basis.slice_mut(s![.., .., first..first + block.dim().2]).assign(block);
        }
        basis
    }

    fn samples_of_ellipses(
        &self,
        components: &[Component],
        k_per_mm: &[[f64; 2]],
    ) -> Array2<Complex32> {
        let shifted: Vec<ShiftedShape> =
            components.iter().map(|part| ShiftedShape::new(&part.ellipse)).collect();
        let amplitudes: Vec<Vec<Complex64>> = components
            .iter()
            .map(|part| {
                let phases = self.phases_of_waves(&part.ellipse);
                phases.map(|phase| part.amplitude * phase).collect()
            })
            .collect();
        let blocks: Vec<Array2<Complex64>> = k_per_mm
            .par_chunks(BLOCK)
            .map(|block| {
                let mut spectra = Array2::zeros((block.len(), N_PLANE_WAVES));
                let mut sums = Array2::<Complex64>::zeros((block.len(), N_PLANE_WAVES));
                for (e, part) in components.iter().enumerate() {
                    shifted[e].spectra(block, &self.waves_per_mm, &mut spectra);
                    let rows = sums.rows_mut().into_iter().zip(spectra.rows()).zip(block);
                    for ((mut sums, spectra), &k) in rows {
                        let phase = center_phase(&part.ellipse, k);
                        for ((sum, &value), &amplitude) in
                            sums.iter_mut().zip(spectra).zip(&amplitudes[e])
                        {
                            *sum += phase * amplitude * value;
                        }
                    }
                }
                sums.dot(&self.coefficients)
            })
            .collect();
        let mut samples = Array2::zeros((self.n_channels(), k_per_mm.len()));
        for (n, block) in blocks.iter().enumerate() {
            let first = n * BLOCK;
            let block: ArrayView2<'_, Complex64> = block.t();
            samples
                .slice_mut(s![.., first..first + block.ncols()])
                .zip_mut_with(&block, |sample, &value| *sample = single(value));
        }
        samples
    }

    /// exp(2πi q·c) for the centre of an ellipse and each wave.
    fn phases_of_waves(&self, ellipse: &Ellipse) -> impl Iterator<Item = Complex64> {
        self.waves_per_mm.iter().map(|&wave| center_phase(ellipse, wave).conj())
    }
}

/// exp(−2πi k·c) for the centre of an ellipse.
fn center_phase(ellipse: &Ellipse, [kx, ky]: [f64; 2]) -> Complex64 {
    let [x_mm, y_mm] = ellipse.center_mm;
    Complex64::cis(-TAU * (kx * x_mm + ky * y_mm))
}

/// An ellipse's spectrum as if it were centred.
struct ShiftedShape {
    area_mm2: f64,
    /// From k to the two parts of the argument of 2·J₁(u)/u.
    to_u: [[f64; 2]; 2],
}

impl ShiftedShape {
    fn new(ellipse: &Ellipse) -> Self {
        let [a, b] = ellipse.semi_axes_mm;
        let (sin, cos) = ellipse.angle_rad.sin_cos();
        Self {
            area_mm2: 0.5 * TAU * a * b,
            to_u: [[TAU * a * cos, TAU * a * sin], [-TAU * b * sin, TAU * b * cos]],
        }
    }

    /// At k − q for each sample and wave: `[sample, wave]`.
    fn spectra(&self, k_per_mm: &[[f64; 2]], waves: &[[f64; 2]], spectra: &mut Array2<f64>) {
        let disc = DiscSpectrum::table();
        let [[a_x, a_y], [b_x, b_y]] = self.to_u;
        let area = self.area_mm2;
        for (&[kx, ky], mut row) in k_per_mm.iter().zip(spectra.rows_mut()) {
            let row = row.as_slice_mut().expect("rows of a new array are contiguous");
            for (u, &[qx, qy]) in row.iter_mut().zip(waves) {
                let (kx, ky) = (kx - qx, ky - qy);
                let (along_a, along_b) = (a_x * kx + a_y * ky, b_x * kx + b_y * ky);
                *u = (along_a * along_a + along_b * along_b).sqrt();
            }
            row.iter_mut().for_each(|u| *u = area * disc.at(*u));
        }
    }
}

fn single(value: Complex64) -> Complex32 {
    Complex32::new(value.re as f32, value.im as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coils::LoopArray;
    use crate::k_space::{CartesianSampler, direct};
    use crate::shepp_logan::shepp_logan;
    use crate::trajectory::{Spiral, SpiralOptions};

    const GRID: CartesianGrid = CartesianGrid {
        matrix_size: [48, 40],
        field_of_view_mm: [240.0, 200.0],
        readout_oversampling: 2,
    };

    fn coils() -> CoilSensitivities {
        LoopArray::new(5, 100.0, [240.0, 200.0]).sensitivities(0.0)
    }

    fn object() -> Vec<Component> {
        let mut components = shepp_logan(100.0, 1, 3);
        components[4].amplitude = Complex64::new(-0.2, 0.6);
        components
    }

    fn double(value: Complex32) -> Complex64 {
        Complex64::new(value.re.into(), value.im.into())
    }

    #[test]
    fn samples_of_a_spiral_are_the_direct_sum() {
        let spiral = Spiral::new(SpiralOptions::default()).expect("arms");
        let k_per_mm: Vec<[f64; 2]> = spiral.arm(5).into_iter().step_by(7).collect();
        let direct = direct::samples(&object(), &coils(), GRID, &k_per_mm);
        let sampler = PointSampler::new(GRID, &coils());
        let samples = sampler.samples(&Object::Ellipses(object()), &k_per_mm);
        let peak = direct.iter().map(|value| value.norm()).fold(0.0, f64::max);
        for (sample, direct) in samples.iter().zip(&direct) {
            // Rounding to single precision.
            assert!((double(*sample) - direct).norm() < 1e-7 * peak);
        }
    }

    #[test]
    fn points_on_the_grid_are_those_of_the_cartesian_sampler() {
        let cartesian = CartesianSampler::new(GRID, &coils());
        let object = Object::Ellipses(object());
        let k_space = cartesian.k_space(&object);
        let points = PointSampler::new(GRID, &coils());
        for line in [0, 19, 20, 39] {
            let k_per_mm: Vec<_> = (0..96).map(|sample| GRID.k_per_mm(line, sample)).collect();
            let samples = points.samples(&object, &k_per_mm);
            for (a, b) in samples.iter().zip(k_space.slice(s![line, .., ..])) {
                // The peak is 13: 1e-6 of it.
                assert!((a - b).norm() < 1e-5, "{a} and {b}");
            }
        }
    }

    #[test]
    fn the_basis_with_amplitudes_is_the_object() {
        let k_per_mm: Vec<[f64; 2]> =
            (0..300).map(|n| f64::from(n) * 0.13).map(|t| [0.004 * t * t.cos(), 0.1]).collect();
        let sampler = PointSampler::new(GRID, &coils());
        let ellipses: Vec<Ellipse> = object().iter().map(|part| part.ellipse).collect();
        let basis = sampler.basis(&ellipses, &k_per_mm);
        assert_eq!(basis.dim(), (10, 5, 300));
        let samples = sampler.samples(&Object::Ellipses(object()), &k_per_mm);
        for ((channel, sample), value) in samples.indexed_iter() {
            let sum: Complex64 = object()
                .iter()
                .enumerate()
                .map(|(e, part)| part.amplitude * double(basis[[e, channel, sample]]))
                .sum();
            assert!((sum - double(*value)).norm() < 1e-5, "{sum} and {value}");
        }
        assert_eq!(sampler.basis(&[], &k_per_mm).dim(), (0, 5, 300));
        assert_eq!(sampler.samples(&Object::Ellipses(object()), &[]).dim(), (5, 0));
    }

    #[test]
    fn coils_of_another_field_of_view_take_the_slower_way() {
        let wide = LoopArray::new(3, 100.0, [300.0, 260.0]).sensitivities(0.0);
        let cartesian = CartesianSampler::new(GRID, &wide);
        let k_space = cartesian.k_space(&Object::Ellipses(object()));
        let places = [(0, 3), (20, 48), (33, 70)];
        let k_per_mm = places.map(|(line, sample)| GRID.k_per_mm(line, sample));
        let direct = direct::samples(&object(), &wide, GRID, &k_per_mm);
        for (n, (line, sample)) in places.into_iter().enumerate() {
            for channel in 0..3 {
                let difference = double(k_space[[line, channel, sample]]) - direct[[channel, n]];
                assert!(difference.norm() < 2e-6);
            }
        }
        let ellipses: Vec<Ellipse> = object().iter().map(|part| part.ellipse).collect();
        let amplitudes: Vec<Complex64> = object().iter().map(|part| part.amplitude).collect();
        let shapes = cartesian.shapes(&ellipses);
        assert_eq!(cartesian.k_space_of_shapes(&shapes, &amplitudes), k_space);
    }
}
