//! What all channels see alike: a smooth phase and a smooth bias of the object.

use num_complex::Complex64;
use rand_distr::{Distribution, StandardNormal};

use crate::noise::random_numbers;

/// Sets these random numbers apart from others of the same seed.
const STREAM: u64 = u64::from_be_bytes(*b"backgrnd");

/// Points along each side of the field of view where the largest value is looked for.
const N_POINTS: usize = 33;

/// A smooth phase and bias over the field of view, drawn by seed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Background {
    /// Largest phase in the field of view, either way; 0 is none. 1 (60°) is what gradient echoes
    /// show.
    pub max_phase_rad: f64,
    /// Largest deviation of the magnitude from 1, 0 to below 1.
    pub max_bias: f64,
    /// Seed of both shapes.
    pub seed: u64,
}

/// The polynomials of one background.
pub(super) struct Shape {
    phase: Quadratic,
    bias: Quadratic,
}

/// Weights of x, y, x², xy, y².
struct Quadratic([f64; 5]);

impl Background {
    pub(super) fn shape(&self) -> Shape {
        Shape {
            phase: Quadratic::draw(self.seed, 0, self.max_phase_rad),
            bias: Quadratic::draw(self.seed, 1, self.max_bias),
        }
    }
}

impl Shape {
    /// At a point in halves of the field of view, −1 to 1.
    pub(super) fn at(&self, point: [f64; 2]) -> Complex64 {
        Complex64::from_polar(1.0 + self.bias.at(point), self.phase.at(point))
    }
}

impl Quadratic {
    /// With the given largest magnitude in the field of view.
    fn draw(seed: u64, index: u64, largest: f64) -> Self {
        let mut random = random_numbers(seed ^ STREAM, index);
        let weights = std::array::from_fn(|_| StandardNormal.sample(&mut random));
        let unscaled = Self(weights);
        let along = |n: usize| 2.0 * n as f64 / (N_POINTS - 1) as f64 - 1.0;
        let peak = (0..N_POINTS * N_POINTS)
            .map(|n| unscaled.at([along(n % N_POINTS), along(n / N_POINTS)]).abs())
            .fold(f64::MIN_POSITIVE, f64::max);
        Self(weights.map(|weight| weight * largest / peak))
    }

    fn at(&self, [x, y]: [f64; 2]) -> f64 {
        let Self([of_x, of_y, of_xx, of_xy, of_yy]) = self;
        of_x * x + of_y * y + of_xx * x * x + of_xy * x * y + of_yy * y * y
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phase_and_bias_reach_their_largest_values_and_no_further() {
        for seed in 0..5 {
            let shape = Background { max_phase_rad: 1.0, max_bias: 0.3, seed }.shape();
            let along = |n: usize| n as f64 / 50.0 - 1.0;
            let values = (0..101 * 101).map(|n| shape.at([along(n % 101), along(n / 101)]));
            let (mut phase, mut bias): (f64, f64) = (0.0, 0.0);
            for value in values {
                phase = phase.max(value.arg().abs());
                bias = bias.max((value.norm() - 1.0).abs());
            }
            // Quadratics are steep enough at the edge that 33 points find the largest value.
            assert!((phase - 1.0).abs() < 0.01, "{phase}");
            assert!((bias - 0.3).abs() < 0.003, "{bias}");
            assert!((shape.at([0.0, 0.0]) - 1.0).norm() < 1e-12);
        }
    }
}
