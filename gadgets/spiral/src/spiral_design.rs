//! The fastest spiral arm that gradients and slew rate allow, from the numbers that a header
//! gives.

use num_complex::Complex64;

/// Hz per G, of hydrogen, rounded as the sequences that use these headers have it.
const HZ_PER_G: f64 = 4258.0;

/// Longest step of the integration, s.
const MAX_STEP_S: f64 = 0.5e-6;

/// Limits and extent of a spiral.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SpiralDesign {
    /// Arms that sample k-space together.
    pub n_arms: usize,
    pub field_of_view_cm: f64,
    /// Edge of k-space, cycles per cm.
    pub k_max_per_cm: f64,
    pub max_gradient_g_per_cm: f64,
    pub max_slew_g_per_cm_per_s: f64,
    pub sample_time_s: f64,
}

impl SpiralDesign {
    /// The first `n_samples` samples of the arm that begins along kx, over k_max_per_cm; the last
    /// ones stay at the edge. [`None`] for numbers that give no arm.
    ///
    /// # Method
    /// k = r·exp(iθ), dθ/dr = 2π·FOV/arms. In every step r'' is the largest that keeps the slew
    /// rate, r' is cut to the largest gradient.
    ///
    /// # Source
    /// Kim, Adalsteinsson and Spielman 2003; Hargreaves' `vds`.
    pub fn arm(&self, n_samples: usize) -> Option<Vec<Complex64>> {
        let positive = [
            self.field_of_view_cm,
            self.k_max_per_cm,
            self.max_gradient_g_per_cm,
            self.max_slew_g_per_cm_per_s,
            self.sample_time_s,
        ];
        let is_positive = positive.iter().all(|value| value.is_finite() && *value > 0.0);
        if !is_positive || self.n_arms == 0 || self.sample_time_s > 1e-3 {
            return None;
        }
        let turn = std::f64::consts::TAU * self.field_of_view_cm / self.n_arms as f64;
        let max_speed = HZ_PER_G * self.max_gradient_g_per_cm;
        let max_acceleration = HZ_PER_G * self.max_slew_g_per_cm_per_s;
        let n_steps = (self.sample_time_s / MAX_STEP_S).ceil();
        let step = self.sample_time_s / n_steps;
        let (mut r, mut speed, mut theta) = (0.0_f64, 0.0_f64, 0.0_f64);
        let mut arm = Vec::with_capacity(n_samples);
        for _ in 0..n_samples {
            arm.push(Complex64::from_polar(r / self.k_max_per_cm, theta));
            for _ in 0..n_steps as usize {
                if r >= self.k_max_per_cm {
                    break;
                }
                // k'' turned back by θ: r''(1 + iqr) + r'²(2iq − q²r).
                let along = Complex64::new(1.0, turn * r);
                let rest = Complex64::new(-turn * turn * r, 2.0 * turn) * (speed * speed);
                let (a, half_b) = (along.norm_sqr(), (along.conj() * rest).re);
                let c = rest.norm_sqr() - max_acceleration * max_acceleration;
                let acceleration = (-half_b + (half_b * half_b - a * c).max(0.0).sqrt()) / a;
                let limit = max_speed / (turn * r).hypot(1.0);
                speed = (speed + acceleration * step).clamp(0.0, limit);
                theta += turn * speed * step;
                r += speed * step;
            }
        }
        arm.iter().all(|k| k.is_finite()).then_some(arm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESIGN: SpiralDesign = SpiralDesign {
        n_arms: 8,
        field_of_view_cm: 30.0,
        k_max_per_cm: 3.2,
        max_gradient_g_per_cm: 2.4,
        max_slew_g_per_cm_per_s: 14_414.0,
        sample_time_s: 4e-6,
    };

    #[test]
    fn an_arm_keeps_its_limits_and_its_spacing() {
        let arm = DESIGN.arm(4000).expect("an arm");
        let k: Vec<Complex64> = arm.iter().map(|k| k * DESIGN.k_max_per_cm).collect();
        let per_gauss = HZ_PER_G * DESIGN.sample_time_s;
        let edge = k.iter().position(|k| k.norm() >= 0.999 * DESIGN.k_max_per_cm).expect("an edge");
        let gradients: Vec<Complex64> =
            k[..edge].windows(2).map(|pair| (pair[1] - pair[0]) / per_gauss).collect();
        let largest = gradients.iter().map(|g| g.norm()).fold(0.0, f64::max);
        assert!(largest < 2.4 * 1.001 && largest > 2.3, "{largest}");
        let slews = gradients.windows(2).map(|pair| (pair[1] - pair[0]).norm());
        let largest = slews.fold(0.0, f64::max) / DESIGN.sample_time_s;
        // The integration's own error.
        assert!(largest < 14_414.0 * 1.02, "{largest}");
        let turns: f64 =
            k[1..edge].windows(2).map(|pair| (pair[1] * pair[0].conj()).arg()).sum::<f64>()
                / std::f64::consts::TAU;
        // One turn moves an arm by arms/FOV.
        let expected = k[edge - 1].norm() * 30.0 / 8.0;
        assert!((turns - expected).abs() < 0.05, "{turns} and {expected}");
    }

    #[test]
    fn nonsense_gives_no_arm() {
        assert!(SpiralDesign { n_arms: 0, ..DESIGN }.arm(10).is_none());
        assert!(SpiralDesign { k_max_per_cm: f64::NAN, ..DESIGN }.arm(10).is_none());
        assert!(SpiralDesign { sample_time_s: 1e9, ..DESIGN }.arm(10).is_none());
    }
}
