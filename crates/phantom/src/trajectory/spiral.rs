//! Spiral arms from the centre outwards, as fast as gradients and slew rate allow.

use std::f64::consts::TAU;

use num_complex::Complex64;

use super::GOLDEN_RATIO;
use super::error::{TrajectoryError, count, quantity};
use crate::tissue::H1_HZ_PER_T;

/// Longest arm.
const MAX_DURATION_MS: f64 = 200.0;

/// Longest step of the integration.
const MAX_STEP_US: f64 = 0.5;

/// Share of the radius up to which the field of view is whole.
const DENSE_RADIUS: f64 = 0.25;

/// Choices about spirals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpiralOptions {
    /// Arms that sample the dense part of k-space together, 1 to 4096.
    pub n_arms: usize,
    /// Extent of the image, mm.
    pub field_of_view_mm: f64,
    /// Field of view that the distance of the turns is made for, over the image's, 0.25 to 4. With 1
    /// an object that fills the image folds into itself: the turns of few arms repeat it there.
    pub field_of_view_factor: f64,
    /// Pixels along each side of the image, 1 to 4096.
    pub matrix_size: usize,
    /// Undersampling at the edge of k-space, 1 to 64. It begins at a quarter of the radius.
    pub peripheral_undersampling: f64,
    /// Largest gradient.
    pub max_gradient_mt_per_m: f64,
    /// Largest slew rate.
    pub max_slew_t_per_m_per_s: f64,
    /// Time between two samples, µs.
    pub dwell_time_us: f64,
}

impl Default for SpiralOptions {
    /// The cardiac fingerprinting sequence of clinical scanners: 24 arms, 128 pixels over
    /// 128 mm, undersampled fourfold at the edge.
    fn default() -> Self {
        Self {
            n_arms: 24,
            field_of_view_mm: 128.0,
            field_of_view_factor: 1.0,
            matrix_size: 128,
            peripheral_undersampling: 4.0,
            max_gradient_mt_per_m: 24.0,
            max_slew_t_per_m_per_s: 100.0,
            dwell_time_us: 2.5,
        }
    }
}

/// A set of spiral arms.
#[derive(Clone, Debug)]
pub struct Spiral {
    options: SpiralOptions,
    /// The arm that begins along kx, cycles per mm.
    arm: Vec<Complex64>,
}

impl Spiral {
    /// Designs the arm.
    ///
    /// # Method
    /// k = r·exp(iθ) with θ' = q(r)·r' and q(r) = 2π·FOV(r)/arms, FOV(r) whole up to a quarter
    /// of the radius and then linear down to its share at the edge. In every step r'' is as large
    /// as the slew rate allows; r' is cut to the largest gradient.
    ///
    /// # Errors
    /// [`TrajectoryError`] for options outside their range, and for an arm that takes longer
    /// than 200 ms.
    ///
    /// # Source
    /// Kim, Adalsteinsson and Spielman 2003; Hargreaves' `vds`.
    pub fn new(options: SpiralOptions) -> Result<Self, TrajectoryError> {
        count("the number of arms", options.n_arms, 1, 4096)?;
        count("the matrix size", options.matrix_size, 1, 4096)?;
        quantity("the field of view, mm,", options.field_of_view_mm, 1.0, 1e4)?;
        quantity("the factor of the field of view", options.field_of_view_factor, 0.25, 4.0)?;
        quantity("the peripheral undersampling", options.peripheral_undersampling, 1.0, 64.0)?;
        quantity("the largest gradient, mT/m,", options.max_gradient_mt_per_m, 0.1, 1e3)?;
        quantity("the largest slew rate, T/m/s,", options.max_slew_t_per_m_per_s, 0.1, 1e4)?;
        quantity("the dwell time, µs,", options.dwell_time_us, 0.1, 100.0)?;
        let arm = Design::new(&options).arm()?;
        Ok(Self { options, arm })
    }

    /// The options.
    pub fn options(&self) -> &SpiralOptions {
        &self.options
    }

    /// Samples of an arm. The first is at the centre of k-space.
    pub fn n_samples(&self) -> usize {
        self.arm.len()
    }

    /// From the first sample to the last, ms.
    pub fn duration_ms(&self) -> f64 {
        (self.arm.len() - 1) as f64 * self.options.dwell_time_us * 1e-3
    }

    /// Turn of an arm from kx towards ky.
    pub fn angle_rad(&self, arm: usize) -> f64 {
        TAU * (arm % self.options.n_arms) as f64 / self.options.n_arms as f64
    }

    /// \[kx, ky\] of the samples of an arm, cycles per mm.
    pub fn arm(&self, arm: usize) -> Vec<[f64; 2]> {
        let turn = Complex64::cis(self.angle_rad(arm));
        self.arm.iter().map(|k| k * turn).map(|k| [k.re, k.im]).collect()
    }

    /// The arm of the set that is nearest to the golden angle of a shot: n·2π(1 − 2/(1 + √5)).
    pub fn arm_of_shot(&self, shot: usize) -> usize {
        let turns = (shot as f64 * (1.0 - 1.0 / GOLDEN_RATIO)).fract();
        let n_arms = self.options.n_arms;
        (turns * n_arms as f64).round() as usize % n_arms
    }
}

/// The differential equation of the radius, in cycles per mm and seconds.
struct Design {
    n_arms: f64,
    /// That the distance of the turns is made for.
    turn_field_of_view_mm: f64,
    k_max: f64,
    peripheral_undersampling: f64,
    max_speed: f64,
    max_acceleration: f64,
    dwell_s: f64,
}

impl Design {
    fn new(options: &SpiralOptions) -> Self {
        // From T/m to cycles per mm and second.
        let per_mm = 1e-3 * H1_HZ_PER_T;
        Self {
            n_arms: options.n_arms as f64,
            turn_field_of_view_mm: options.field_of_view_factor * options.field_of_view_mm,
            k_max: 0.5 * options.matrix_size as f64 / options.field_of_view_mm,
            peripheral_undersampling: options.peripheral_undersampling,
            max_speed: 1e-3 * options.max_gradient_mt_per_m * per_mm,
            max_acceleration: options.max_slew_t_per_m_per_s * per_mm,
            dwell_s: 1e-6 * options.dwell_time_us,
        }
    }

    /// Turn per radius q, rad·mm, and its derivative.
    fn turn_per_radius(&self, r: f64) -> (f64, f64) {
        let whole = TAU * self.turn_field_of_view_mm / self.n_arms;
        let dense = DENSE_RADIUS * self.k_max;
        if r <= dense {
            return (whole, 0.0);
        }
        let slope = (1.0 / self.peripheral_undersampling - 1.0) / (self.k_max - dense);
        (whole * (1.0 + slope * (r - dense)), whole * slope)
    }

    /// The largest r'' that keeps |k''| within the slew rate: k'' turned back by θ is
    /// r''·(1 + iqr) + r'²·(2iq + i(dq/dr)r − q²r).
    fn radial_acceleration(&self, r: f64, speed: f64) -> f64 {
        let (q, slope) = self.turn_per_radius(r);
        let along = Complex64::new(1.0, q * r);
        let rest = Complex64::new(-q * q * r, 2.0 * q + slope * r) * (speed * speed);
        let a = along.norm_sqr();
        let half_b = (along.conj() * rest).re;
        let c = rest.norm_sqr() - self.max_acceleration * self.max_acceleration;
        // Where no r'' is small enough, that of the smallest k''.
        (-half_b + (half_b * half_b - a * c).max(0.0).sqrt()) / a
    }

    fn arm(&self) -> Result<Vec<Complex64>, TrajectoryError> {
        let per_dwell = (self.dwell_s * 1e6 / MAX_STEP_US).ceil().max(1.0) as usize;
        let step = self.dwell_s / per_dwell as f64;
        let max_samples = (1e-3 * MAX_DURATION_MS / self.dwell_s) as usize;
        let (mut r, mut speed, mut theta) = (0.0, 0.0, 0.0);
        let mut arm = Vec::new();
        while r <= self.k_max {
            if arm.len() > max_samples {
                return Err(TrajectoryError::SpiralTooLong { maximum_ms: MAX_DURATION_MS });
            }
            arm.push(Complex64::from_polar(r, theta));
            for _ in 0..per_dwell {
                let acceleration = self.radial_acceleration(r, speed);
                let (q, _) = self.turn_per_radius(r);
                let limit = self.max_speed / (q * r).hypot(1.0);
                speed = (speed + acceleration * step).clamp(0.0, limit);
                theta += q * speed * step;
                r += speed * step;
            }
        }
        Ok(arm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spiral(change: impl FnOnce(&mut SpiralOptions)) -> Spiral {
        let mut options = SpiralOptions::default();
        change(&mut options);
        Spiral::new(options).expect("arms")
    }

    fn unwrapped_turns(spiral: &Spiral) -> f64 {
        let steps = spiral.arm[1..].windows(2).map(|pair| (pair[1] * pair[0].conj()).arg());
        steps.sum::<f64>() / TAU
    }

    #[test]
    fn the_fingerprinting_arm_takes_2_9_ms_and_1_9_turns() {
        let spiral = spiral(|_| {});
        assert!((spiral.duration_ms() - 2.9).abs() < 0.05, "{}", spiral.duration_ms());
        assert!((unwrapped_turns(&spiral) - 1.9).abs() < 0.05, "{}", unwrapped_turns(&spiral));
        assert_eq!(spiral.arm(0)[0], [0.0, 0.0]);
        let last = spiral.arm[spiral.n_samples() - 1].norm();
        assert!(last <= 0.5 && last > 0.497, "{last}");
    }

    #[test]
    fn gradient_and_slew_rate_stay_within_their_limits() {
        let changes: [fn(&mut SpiralOptions); 5] = [
            |_| {},
            |o| (o.n_arms, o.field_of_view_mm, o.matrix_size) = (48, 360.0, 192),
            |o| (o.n_arms, o.peripheral_undersampling) = (1, 1.0),
            |o| (o.max_gradient_mt_per_m, o.max_slew_t_per_m_per_s) = (80.0, 200.0),
            |o| (o.n_arms, o.max_gradient_mt_per_m, o.dwell_time_us) = (8, 10.0, 1.0),
        ];
        for (n, change) in changes.into_iter().enumerate() {
            let spiral = spiral(change);
            let options = spiral.options();
            let dwell_s = 1e-6 * options.dwell_time_us;
            let gradients: Vec<Complex64> = spiral
                .arm
                .windows(2)
                .map(|pair| (pair[1] - pair[0]) / (dwell_s * H1_HZ_PER_T * 1e-3))
                .collect();
            let largest = gradients.iter().map(|g| g.norm()).fold(0.0, f64::max) * 1e3;
            // The integration's own error.
            assert!(largest <= options.max_gradient_mt_per_m * 1.001, "{n}: {largest} mT/m");
            let slews = gradients.windows(2).map(|pair| (pair[1] - pair[0]).norm() / dwell_s);
            let largest = slews.fold(0.0, f64::max);
            assert!(largest <= options.max_slew_t_per_m_per_s * 1.02, "{n}: {largest} T/m/s");
        }
    }

    #[test]
    fn neighbouring_arms_are_a_field_of_view_apart_in_the_dense_part() {
        let spiral = spiral(|_| {});
        // One turn moves a single arm by arms/FOV, so arms turned by 1/arms are 1/FOV apart.
        let mut turn = 0.0;
        for pair in spiral.arm[1..].windows(2).take_while(|pair| pair[1].norm() < 0.125) {
            turn += (pair[1] * pair[0].conj()).arg();
            let expected = 24.0 / 128.0 * (turn / TAU) + spiral.arm[1].norm();
            assert!((pair[1].norm() - expected).abs() < 0.01 / 128.0);
        }
        assert!(turn > 2.0);
    }

    #[test]
    fn shots_take_the_arm_nearest_to_the_golden_angle() {
        let spiral = spiral(|_| {});
        let arms: Vec<usize> = (0..6).map(|shot| spiral.arm_of_shot(shot)).collect();
        // 137.51° in steps of 15°.
        assert_eq!(arms, [0, 9, 18, 4, 13, 22]);
        let mut seen = [false; 24];
        (0..48).for_each(|shot| seen[spiral.arm_of_shot(shot)] = true);
        assert!(seen.iter().all(|&seen| seen));
    }

    #[test]
    fn an_arm_is_the_first_one_turned() {
        let spiral = spiral(|_| {});
        for (k, turned) in spiral.arm(0).iter().zip(spiral.arm(6)) {
            assert!((turned[0] + k[1]).abs() < 1e-12 && (turned[1] - k[0]).abs() < 1e-12);
        }
        assert_eq!(spiral.arm(25), spiral.arm(1));
    }

    #[test]
    fn impossible_values_are_refused() {
        let refused: [fn(&mut SpiralOptions); 6] = [
            |o| o.n_arms = 0,
            |o| o.matrix_size = usize::MAX,
            |o| o.field_of_view_mm = f64::NAN,
            |o| o.peripheral_undersampling = 0.5,
            |o| o.dwell_time_us = 0.0,
            |o| (o.n_arms, o.matrix_size, o.max_slew_t_per_m_per_s) = (1, 2048, 0.1),
        ];
        for change in refused {
            let mut options = SpiralOptions::default();
            change(&mut options);
            assert!(Spiral::new(options).is_err(), "{options:?}");
        }
    }
}
