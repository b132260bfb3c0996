//! Time courses that a signal model allows.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, Array4, ArrayView4};
use num_complex::Complex32;

use super::Normal;

/// Images as combinations of a few modes of their frames.
pub struct Subspace<'a, N> {
    inner: &'a N,
    /// `[mode, frame]`, orthonormal.
    modes: Array2<Complex32>,
}

impl<'a, N: Normal> Subspace<'a, N> {
    /// * `inner`: of the frames.
    /// * `modes`: `[mode, frame]`, orthonormal, as [`crate::fingerprint::Basis`] makes them from
    ///   the signals of a dictionary.
    pub fn new(inner: &'a N, modes: &Array2<f32>) -> Self {
        Self { inner, modes: modes.mapv(Complex32::from) }
    }

    /// Coefficients of the modes, `[mode, z, y, x]`, in frames, `[frame, z, y, x]`.
    pub fn reduce(&self, frames: ArrayView4<'_, Complex32>) -> Array4<Complex32> {
        multiply(&self.modes, frames)
    }

    /// Frames, `[frame, z, y, x]`, of coefficients, `[mode, z, y, x]`.
    pub fn expand(&self, coefficients: ArrayView4<'_, Complex32>) -> Array4<Complex32> {
        multiply(&self.modes.t().to_owned(), coefficients)
    }
}

impl<N: Normal> Normal for Subspace<'_, N> {
    fn apply(&self, images: &Array4<Complex32>, result: &mut Array4<Complex32>) {
        let frames = self.expand(images.view());
        let mut applied = Array4::zeros(frames.raw_dim());
        self.inner.apply(&frames, &mut applied);
        result.assign(&self.reduce(applied.view()));
    }
}

fn multiply(matrix: &Array2<Complex32>, images: ArrayView4<'_, Complex32>) -> Array4<Complex32> {
    let (n, z, y, x) = images.dim();
    let flat = images.to_shape((n, z * y * x)).expect("the same number of pixels");
    let mut result = Array2::zeros((matrix.nrows(), z * y * x));
    general_mat_mul(Complex32::ONE, matrix, &flat, Complex32::ZERO, &mut result);
    result.into_shape_with_order((matrix.nrows(), z, y, x)).expect("the same number of pixels")
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
