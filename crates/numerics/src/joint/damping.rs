//! What keeps each unknown of a linear model small.

use ndarray::{Array4, Axis};
use num_complex::Complex32;

use super::Normal;

/// AᴴA + Λ: each unknown has a λ of its own.
pub struct Damped<'a, N> {
    inner: &'a N,
    /// λ of each unknown.
    damping: Vec<f32>,
}

impl<'a, N: Normal> Damped<'a, N> {
    /// * `damping`: λ of each unknown, from 0.
    pub fn new(inner: &'a N, damping: Vec<f32>) -> Self {
        Self { inner, damping }
    }

    /// Adds Λ `images` to `target`, both `[unknown, z, y, x]`.
    pub(super) fn add(&self, images: &Array4<Complex32>, target: &mut Array4<Complex32>) {
        let pairs = target.axis_iter_mut(Axis(0)).zip(images.axis_iter(Axis(0)));
        for ((mut target, image), damping) in pairs.zip(&self.damping) {
            target.zip_mut_with(&image, |target, value| *target += value * *damping);
        }
    }
}

impl<N: Normal> Normal for Damped<'_, N> {
    fn apply(&self, images: &Array4<Complex32>, result: &mut Array4<Complex32>) {
        self.inner.apply(images, result);
        self.add(images, result);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::joint::testing::Scan;
    use crate::joint::{SeriesEncoding, StopRule, conjugate_gradients};

    #[test]
    fn each_unknown_is_kept_small_by_its_own_factor() {
        // One channel that sees everything, all lines: AᴴA is 1.
        let mut scan = Scan::new([3, 1, 8, 6], 1, 7);
        scan.maps.fill(Complex32::ONE);
        scan.sampled.fill(true);
        let encoding = SeriesEncoding::new(scan.sampled.view(), scan.maps.view());
        let (right, _) = encoding.adjoint(scan.samples().view());
        let damped = Damped::new(&encoding, vec![0.0, 1.0, 3.0]);
        let mut found = Array4::zeros(right.raw_dim());
        let stop = StopRule { max_iterations: 20, threshold: 1e-6 };
        conjugate_gradients(&damped, 0.0, &right, &mut found, stop);
        for (frame, factor) in [1.0, 0.5, 0.25].into_iter().enumerate() {
            let (found, truth) =
                (found.index_axis(Axis(0), frame), scan.images.index_axis(Axis(0), frame));
            for (found, truth) in found.iter().zip(truth) {
                assert!((found - truth * factor).norm() < 1e-4, "{frame}: {found} {truth}");
            }
        }
    }
}
