//! Time courses that a signal model allows.

use nalgebra::{DMatrix, SymmetricEigen};
use ndarray::{Array2, Array4, ArrayView2, ArrayView4};
use num_complex::Complex32;

use super::{Normal, mix};

/// Images as combinations of a few modes of their frames.
pub struct Subspace<'a, N> {
    inner: &'a N,
    /// `[mode, frame]`, orthonormal.
    modes: Array2<f32>,
}

impl<'a, N: Normal> Subspace<'a, N> {
    /// * `inner`: of the frames.
    /// * `modes`: `[mode, frame]`, orthonormal, as [`crate::fingerprint::Basis`] makes them from
    ///   the signals of a dictionary.
    pub fn new(inner: &'a N, modes: &Array2<f32>) -> Self {
        Self { inner, modes: modes.clone() }
    }

    /// Coefficients of the modes, `[mode, z, y, x]`, in frames, `[frame, z, y, x]`.
    pub fn reduce(&self, frames: ArrayView4<'_, Complex32>) -> Array4<Complex32> {
        mix(self.modes.view(), frames)
    }

    /// Frames, `[frame, z, y, x]`, of coefficients, `[mode, z, y, x]`.
    pub fn expand(&self, coefficients: ArrayView4<'_, Complex32>) -> Array4<Complex32> {
        mix(self.modes.t(), coefficients)
    }
}

/// What series are made of, strongest first.
#[derive(Clone, Debug, PartialEq)]
pub struct PrincipalModes {
    /// `[mode, frame]`, orthonormal, for [`Subspace`].
    pub courses: Array2<f32>,
    /// Of each mode, how much of Σ|samples|² is its and not noise's. What cannot be told from
    /// noise counts as [`LEAST_SHARE_OF_NOISE`] of it.
    pub energies: Vec<f64>,
}

/// The strongest mode of noise alone stands out of the others by about as much.
const LEAST_SHARE_OF_NOISE: f64 = 0.05;

/// The modes that samples of all frames are made of.
///
/// * `samples`: `[frame, sample]`, such as calibration lines.
/// * `noise_variance`: of real and imaginary part together. Modes count that hold more than twice
///   what noise puts into each.
/// * `n_modes`: how many, whatever the noise; 0 for as many as count.
///
/// # Method
/// Eigenvectors of the real part of the samples' Gram matrix: a frame is a real multiple of each
/// mode, for the phase of a pixel is the same in all frames.
///
/// # Source
/// Liang 2007 (partially separable functions).
pub fn principal_modes(
    samples: ArrayView2<'_, Complex32>,
    noise_variance: f64,
    n_modes: usize,
) -> PrincipalModes {
    let (n_frames, n_samples) = samples.dim();
    if n_frames == 0 {
        return PrincipalModes { courses: Array2::zeros((0, 0)), energies: Vec::new() };
    }
    let mut gram = DMatrix::<f64>::zeros(n_frames, n_frames);
    for i in 0..n_frames {
        for j in 0..=i {
            let pairs = samples.row(i).into_iter().zip(samples.row(j));
            let product: f64 = pairs.map(|(a, b)| f64::from((a * b.conj()).re)).sum();
            gram[(i, j)] = product;
            gram[(j, i)] = product;
        }
    }
    if !gram.trace().is_finite() {
        let energies = vec![f64::INFINITY; n_frames];
        return PrincipalModes { courses: Array2::eye(n_frames), energies };
    }
    let eigen = SymmetricEigen::new(gram);
    let mut order: Vec<usize> = (0..n_frames).collect();
    order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
    let of_noise = noise_variance * n_samples as f64;
    let count = match n_modes {
        0 => order.iter().filter(|mode| eigen.eigenvalues[**mode] > 2.0 * of_noise).count(),
        n => n,
    };
    order.truncate(count.clamp(1, n_frames));
    // Of either sign; what is made of them shall not depend on which the solver takes.
    let sign_of = |mode: usize| {
        let sum: f64 = eigen.eigenvectors.column(mode).iter().sum();
        if sum < 0.0 { -1.0 } else { 1.0 }
    };
    let courses = Array2::from_shape_fn((order.len(), n_frames), |(mode, frame)| {
        (sign_of(order[mode]) * eigen.eigenvectors[(frame, order[mode])]) as f32
    });
    let energy =
        |mode: &usize| (eigen.eigenvalues[*mode] - of_noise).max(LEAST_SHARE_OF_NOISE * of_noise);
    PrincipalModes { courses, energies: order.iter().map(energy).collect() }
}

impl<N: Normal> Normal for Subspace<'_, N> {
    fn apply(&self, images: &Array4<Complex32>, result: &mut Array4<Complex32>) {
        self.inner.apply_in_modes(&self.modes, images, result);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint::Basis;
    use crate::joint::testing::Scan;
    use crate::joint::{
        ProximalOptions, Regulariser, SeriesEncoding, StopRule, conjugate_gradients, reconstruct,
    };

    #[test]
    fn modes_are_those_of_the_courses_in_the_samples() {
        let courses = [[1.0_f32, 0.5, -0.5, 0.0], [0.2, -0.4, 0.1, 0.9]];
        let random = Scan::new([2, 1, 40, 10], 1, 9).images;
        let samples = Array2::from_shape_fn((4, 400), |(frame, n)| {
            let [a, b] = [0, 1].map(|course| random[[course, 0, n / 10, n % 10]]);
            a * courses[0][frame] + b * courses[1][frame]
        });
        let PrincipalModes { courses: modes, energies } = principal_modes(samples.view(), 1e-6, 0);
        assert_eq!(modes.dim(), (2, 4));
        assert!(modes.rows().into_iter().all(|course| course.sum() >= 0.0), "{modes}");
        let whole: f64 = samples.iter().map(|sample| f64::from(sample.norm_sqr())).sum();
        assert!(energies[0] > energies[1] && (energies[0] + energies[1]) / whole > 0.999);
        let unit = modes.dot(&modes.t());
        for ((i, j), value) in unit.indexed_iter() {
            assert!((value - f32::from(i == j)).abs() < 1e-5, "{unit}");
        }
        // Each course lies in the space of the modes.
        for course in courses {
            let course = ndarray::Array1::from_iter(course);
            let left = &course - &modes.t().dot(&modes.dot(&course));
            assert!(left.iter().all(|value| value.abs() < 1e-4), "{left}");
        }
        let three = principal_modes(samples.view(), 0.1, 3);
        assert_eq!(three.courses.nrows(), 3);
        // Nothing is in the third: a share of the noise of 400 samples.
        assert!((three.energies[2] - 2.0).abs() < 1e-3, "{:?}", three.energies);
        assert_eq!(principal_modes(samples.view(), 1e6, 0).courses.nrows(), 1);
    }

    #[test]
    fn signals_of_a_model_are_found_from_a_fraction_of_the_lines() {
        let mut scan = Scan::new([12, 1, 24, 10], 1, 6);
        scan.maps.fill(Complex32::ONE);
        scan.sample_every(3);
        let times: Vec<f32> = (0..12).map(|frame| frame as f32).collect();
        let course = |relaxation: f32| {
            times.iter().map(|time| 1.0 - 2.0 * (-time / relaxation).exp()).collect::<Vec<_>>()
        };
        let of_pixel = |y: usize, x: usize| course(1.0 + ((y * 7 + x * 3) % 11) as f32 * 0.4);
        scan.images = Array4::from_shape_fn((12, 1, 24, 10), |(frame, _, y, x)| {
            Complex32::new(0.8, 0.6) * of_pixel(y, x)[frame]
        });
        let signals =
            Array2::from_shape_fn((50, 12), |(n, frame)| course(0.8 + 0.1 * n as f32)[frame]);
        let basis = Basis::of_signals(signals.view(), 3);
        let encoding = SeriesEncoding::new(scan.sampled.view(), scan.maps.view());
        let (right, squares) = encoding.adjoint(scan.samples().view());
        let subspace = Subspace::new(&encoding, &basis.modes);
        let right_side = subspace.reduce(right.view());
        let mut coefficients = Array4::zeros(right_side.raw_dim());
        let stop = StopRule { max_iterations: 200, threshold: 1e-5 };
        conjugate_gradients(&subspace, 1e-5, &right_side, &mut coefficients, stop);
        let found = subspace.expand(coefficients.view());
        let error = |found: &Array4<Complex32>| {
            let sum = |values: &Array4<Complex32>| values.iter().map(|v| v.norm_sqr()).sum::<f32>();
            (sum(&(found - &scan.images)) / sum(&scan.images)).sqrt()
        };
        let options = ProximalOptions {
            regulariser: Regulariser::None,
            weight: 1e-5,
            max_iterations: 50,
            threshold: 1e-5,
        };
        let (frame_by_frame, _) = reconstruct(&encoding, &right, squares, &options);
        assert!(error(&found) < 0.1, "{}", error(&found));
        assert!(error(&frame_by_frame) > 0.2, "{}", error(&frame_by_frame));
    }
}
