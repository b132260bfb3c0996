//! Linear systems of all images at once.

use ndarray::{Array4, Zip};
use num_complex::Complex32;

use super::Normal;

/// When to stop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StopRule {
    /// At most so many steps.
    pub max_iterations: usize,
    /// Residual over the right side.
    pub threshold: f32,
}

/// What it took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Solved {
    /// Steps.
    pub n_iterations: usize,
    /// Residual over the right side at the end.
    pub residual: f64,
}

/// Improves `images` as a solution of (AᴴA + λ) X = `right`.
///
/// * `right`, `images`: `[unknown, z, y, x]`.
///
/// # Source
/// Hestenes and Stiefel 1952.
pub fn conjugate_gradients(
    normal: &impl Normal,
    regularisation: f32,
    right: &Array4<Complex32>,
    images: &mut Array4<Complex32>,
    stop: StopRule,
) -> Solved {
    let of_right = squares(right);
    if of_right == 0.0 {
        images.fill(Complex32::ZERO);
        return Solved::default();
    }
    let mut applied = Array4::zeros(images.raw_dim());
    let mut residual = right.clone();
    if images.iter().any(|value| *value != Complex32::ZERO) {
        normal.apply(images, &mut applied);
        Zip::from(&mut residual).and(&applied).and(&*images).for_each(|value, applied, image| {
            *value -= applied + image * regularisation;
        });
    }
    let mut direction = residual.clone();
    let mut square = squares(&residual);
    let limit = of_right * f64::from(stop.threshold).powi(2);
    let solved =
        |n_iterations, square: f64| Solved { n_iterations, residual: (square / of_right).sqrt() };
    for step in 0..stop.max_iterations {
        if square <= limit {
            return solved(step, square);
        }
        normal.apply(&direction, &mut applied);
        let mut curvature = 0.0_f64;
        Zip::from(&mut applied).and(&direction).for_each(|value, direction| {
            *value += direction * regularisation;
            curvature += f64::from((direction.conj() * *value).re);
        });
        if !(curvature > 0.0 && curvature.is_finite()) {
            return solved(step, square);
        }
        let length = (square / curvature) as f32;
        Zip::from(&mut *images).and(&direction).for_each(|value, direction| {
            *value += direction * length;
        });
        Zip::from(&mut residual).and(&applied).for_each(|value, applied| {
            *value -= applied * length;
        });
        let before = std::mem::replace(&mut square, squares(&residual));
        let memory = (square / before) as f32;
        Zip::from(&mut direction).and(&residual).for_each(|value, residual| {
            *value = residual + *value * memory;
        });
    }
    solved(stop.max_iterations, square)
}

/// Σ|x|².
fn squares(values: &Array4<Complex32>) -> f64 {
    values.iter().map(|value| f64::from(value.norm_sqr())).sum()
}

/// ‖`images` − `others`‖ over ‖`others`‖; 0 where there are none.
pub(super) fn relative_distance(images: &Array4<Complex32>, others: &Array4<Complex32>) -> f64 {
    let pairs = images.iter().zip(others);
    let distance: f64 = pairs.map(|(image, other)| f64::from((image - other).norm_sqr())).sum();
    let size = squares(others);
    if size > 0.0 { (distance / size).sqrt() } else { 0.0 }
}
