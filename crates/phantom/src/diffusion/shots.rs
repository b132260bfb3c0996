//! What the motion of the heart during diffusion gradients does to a shot.

use ndarray::ArrayViewMut2;
use num_complex::Complex32;
use rand_distr::{Distribution, StandardNormal, StandardUniform};

use super::encoding::DiffusionEncoding;
use super::error::{DiffusionError, check_range};
use super::heart::DiffusionHeart;
use crate::noise::random_numbers;

/// Told apart from other uses of the same seed.
const STREAM: u64 = u64::from_be_bytes(*b"shots...");

/// Radius of the heart over that of the left ventricle's wall: what is farther away does not
/// move.
const HEART_RADIUS: f64 = 2.5;

/// How shots differ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShotOptions {
    /// Standard deviation of the constant part of the phase and of its change from the centre of
    /// the left ventricle to the epicardium along x and along y; that of the three quadratic
    /// parts is half of it. 0 to 10 rad.
    pub phase_sd_rad: f64,
    /// Of a shot to lose signal, 0 to 1.
    pub dropout_probability: f64,
    /// Largest part of the signal that is lost, 0 to 1: evenly drawn from 0 to this.
    pub max_loss: f64,
    /// Weighting for which these hold. Phase, which follows the gradient's moment, and loss
    /// shrink with the root of weaker ones, so that a shot without weighting is whole.
    pub b_value_s_per_mm2: f64,
    /// Of all shots.
    pub seed: u64,
}

impl Default for ShotOptions {
    fn default() -> Self {
        Self {
            phase_sd_rad: 1.0,
            dropout_probability: 0.1,
            max_loss: 0.6,
            b_value_s_per_mm2: 500.0,
            seed: 0,
        }
    }
}

/// Phase and loss of one shot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shot {
    /// Of 1, u, v, u², u·v and v²; u and v are x and y from the centre of the left ventricle over
    /// its outer radius.
    pub phase_rad: [f64; 6],
    /// Part of the heart's signal that is lost, 0 to 1.
    pub loss: f64,
}

impl ShotOptions {
    /// Whether shots can be drawn from them.
    ///
    /// # Errors
    /// [`DiffusionError::OutOfRange`] for the first choice outside its range.
    pub fn check(&self) -> Result<(), DiffusionError> {
        check_range("standard deviation of a shot's phase in rad", self.phase_sd_rad, 0.0, 10.0)?;
        check_range("probability of signal loss", self.dropout_probability, 0.0, 1.0)?;
        check_range("largest signal loss", self.max_loss, 0.0, 1.0)?;
        check_range("b-value in s/mm²", self.b_value_s_per_mm2, 1.0, 1e5)
    }

    /// Shot `index`, which has its own random numbers.
    pub fn shot(&self, index: u64, encoding: &DiffusionEncoding) -> Shot {
        let mut random = random_numbers(self.seed ^ STREAM, index);
        let normal: [f64; 6] = std::array::from_fn(|_| StandardNormal.sample(&mut random));
        let [drops, part]: [f64; 2] = std::array::from_fn(|_| StandardUniform.sample(&mut random));
        let strength = (encoding.b_value_s_per_mm2 / self.b_value_s_per_mm2).sqrt();
        let parts = [1.0, 1.0, 1.0, 0.5, 0.5, 0.5];
        let lost = if drops < self.dropout_probability { self.max_loss * part } else { 0.0 };
        Shot {
            phase_rad: std::array::from_fn(|term| {
                strength * self.phase_sd_rad * parts[term] * normal[term]
            }),
            loss: strength.min(1.0) * lost,
        }
    }
}

impl Shot {
    /// A shot as it should be.
    pub const WHOLE: Self = Self { phase_rad: [0.0; 6], loss: 0.0 };

    /// Factor of the signal at a point: (1 − loss)·exp(i·phase) in the left ventricle, 1
    /// outside the heart, smooth between.
    ///
    /// * `u`, `v`: x and y from the centre of the left ventricle over its outer radius.
    pub fn factor(&self, u: f64, v: f64) -> Complex32 {
        let squared = (u * u + v * v) / (HEART_RADIUS * HEART_RADIUS);
        if squared >= 1.0 {
            return Complex32::new(1.0, 0.0);
        }
        // Flat within the ventricle, with two continuous derivatives at the heart's edge.
        let inside = ((1.0 - squared) / (1.0 - 1.0 / (HEART_RADIUS * HEART_RADIUS))).min(1.0);
        let window = inside * inside * inside * (10.0 - 15.0 * inside + 6.0 * inside * inside);
        let [constant, x, y, xx, xy, yy] = self.phase_rad;
        let phase = constant + x * u + y * v + xx * u * u + xy * u * v + yy * v * v;
        Complex32::from_polar((1.0 - self.loss * window) as f32, (window * phase) as f32)
    }

    /// Multiplies a picture by [`Shot::factor`].
    ///
    /// * `values`: `[y, x]` on the grid of `heart`.
    ///
    /// # Panics
    /// If `values` has another shape than the grid.
    pub fn apply(&self, heart: &DiffusionHeart, mut values: ArrayViewMut2<'_, Complex32>) {
        let [nx, ny] = heart.matrix_size();
        assert_eq!(values.dim(), (ny, nx), "picture and grid have one shape");
        if *self == Self::WHOLE {
            return;
        }
        let [x_mm, y_mm] = heart.left_ventricle().center_mm;
        let radius_mm = heart.left_ventricle().epicardial_radius_mm;
        let [width_mm, height_mm] = heart.field_of_view_mm();
        let place = |index: usize, n: usize, extent_mm: f64, center_mm: f64| {
            ((index as f64 - (n / 2) as f64) * extent_mm / n as f64 - center_mm) / radius_mm
        };
        for (row, mut values) in values.rows_mut().into_iter().enumerate() {
            let v = place(row, ny, height_mm, y_mm);
            if v.abs() >= HEART_RADIUS {
                continue;
            }
            for (column, value) in values.iter_mut().enumerate() {
                let u = place(column, nx, width_mm, x_mm);
                if u.abs() < HEART_RADIUS && *value != Complex32::ZERO {
                    *value *= self.factor(u, v);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoding(b_value_s_per_mm2: f64) -> DiffusionEncoding {
        DiffusionEncoding { b_value_s_per_mm2, direction: [1.0, 0.0, 0.0] }
    }

    #[test]
    fn as_many_shots_drop_out_as_were_asked_for_and_lose_no_more_than_the_most() {
        let options = ShotOptions { dropout_probability: 0.2, ..ShotOptions::default() };
        let losses: Vec<f64> =
            (0..2000).map(|index| options.shot(index, &encoding(500.0)).loss).collect();
        let n_lost = losses.iter().filter(|loss| **loss > 0.0).count();
        // Standard error 18.
        assert!((340..460).contains(&n_lost), "{n_lost}");
        assert!(losses.iter().all(|loss| (0.0..0.6).contains(loss)));
        let mean = losses.iter().sum::<f64>() / n_lost as f64;
        assert!((mean - 0.3).abs() < 0.04, "{mean}");
    }

    #[test]
    fn a_shot_without_weighting_is_whole() {
        let options = ShotOptions { dropout_probability: 1.0, ..ShotOptions::default() };
        let shot = options.shot(3, &encoding(0.0));
        assert_eq!(shot, Shot::WHOLE);
        let [weak, full] = [125.0, 500.0].map(|b| options.shot(3, &encoding(b)));
        assert!((weak.phase_rad[1] * 2.0 - full.phase_rad[1]).abs() < 1e-12);
    }

    #[test]
    fn phase_is_smooth_in_the_heart_and_none_outside() {
        let options = ShotOptions { phase_sd_rad: 1.0, ..ShotOptions::default() };
        let shot = options.shot(5, &encoding(500.0));
        assert_eq!(shot.factor(2.6, 0.0), Complex32::new(1.0, 0.0));
        let [constant, x, _, xx, ..] = shot.phase_rad;
        let expected = Complex32::from_polar(
            (1.0 - shot.loss) as f32,
            (constant + 0.9 * x + 0.81 * xx) as f32,
        );
        assert!((shot.factor(0.9, 0.0) - expected).norm() < 1e-6);
        let mut before = shot.factor(-3.0, 0.3);
        for step in 1..6000 {
            let now = shot.factor(-3.0 + f64::from(step) * 1e-3, 0.3);
            assert!((now - before).norm() < 0.02, "{step}");
            before = now;
        }
    }
}
