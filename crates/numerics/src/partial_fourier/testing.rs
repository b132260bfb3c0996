//! An object with a smooth phase, whose answer is known.

use ndarray::{Array3, Axis};
use num_complex::Complex32;

use super::Acquired;
use crate::fft::Plan;

/// Ellipsoids with a phase from −60° to 60° over the field of view.
pub(super) struct Scene {
    pub(super) truth: Array3<Complex32>,
}

impl Scene {
    pub(super) fn new(shape: [usize; 3]) -> Self {
        let coordinate =
            |index: usize, len: usize| (index as f32 - (len / 2) as f32) / (len as f32 / 2.0);
        // Centre and half axes along z, y, x; brightness.
        let parts = [
            ([0.0, 0.0, 0.0], [0.9, 0.75, 0.6], 1.0),
            ([0.0, 0.05, 0.0], [0.7, 0.6, 0.45], -0.6),
            ([0.0, -0.25, 0.15], [0.3, 0.2, 0.12], 0.4),
            ([0.1, 0.3, -0.2], [0.4, 0.12, 0.2], 0.3),
        ];
        let truth = Array3::from_shape_fn(shape, |(z, y, x)| {
            let at = [coordinate(z, shape[0]), coordinate(y, shape[1]), coordinate(x, shape[2])];
            let brightness: f32 = parts
                .iter()
                .filter(|(centre, half, _)| {
                    let square = |axis: usize| ((at[axis] - centre[axis]) / half[axis]).powi(2);
                    (0..3).map(square).sum::<f32>() <= 1.0
                })
                .map(|(.., brightness)| brightness)
                .sum();
            let phase_rad = std::f32::consts::FRAC_PI_3 * (0.6 * at[1] + 0.4 * (2.0 * at[2]).sin());
            Complex32::from_polar(brightness, phase_rad)
        });
        Self { truth }
    }

    /// ‖|image| − |truth|‖ / ‖truth‖.
    pub(super) fn error(&self, image: &Array3<Complex32>) -> f64 {
        let difference: f64 = image
            .iter()
            .zip(&self.truth)
            .map(|(image, truth)| f64::from(image.norm() - truth.norm()).powi(2))
            .sum();
        (difference / self.truth.iter().map(|truth| f64::from(truth.norm_sqr())).sum::<f64>())
            .sqrt()
    }
}

/// `image` without what was not acquired.
pub(super) fn zero_fill(image: &Array3<Complex32>, acquired: [Acquired; 3]) -> Array3<Complex32> {
    let mut image = image.clone();
    let plan = Plan::new(image.shape(), &[Axis(0), Axis(1), Axis(2)]);
    plan.forward(image.view_mut());
    for (axis, acquired) in acquired.into_iter().enumerate() {
        for (index, mut plane) in image.axis_iter_mut(Axis(axis)).enumerate() {
            if !acquired.range().contains(&index) {
                plane.fill(Complex32::ZERO);
            }
        }
    }
    plan.inverse(image.view_mut());
    image
}
