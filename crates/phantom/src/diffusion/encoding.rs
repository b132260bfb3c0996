//! Strength and direction of the diffusion weighting of a shot.

use std::f64::consts::TAU;

use ismrmrd::xml::{Diffusion, GradientDirection};

use super::error::{DiffusionError, check_range};
use crate::tissue::H1_HZ_PER_T;

/// The diffusion weighting of one shot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DiffusionEncoding {
    /// 0 or more.
    pub b_value_s_per_mm2: f64,
    /// Unit vector in the axes of the image: x to the right, y down, z away from the viewer.
    /// Those of the simulated scans are the patient's: left, back, head.
    pub direction: [f64; 3],
}

/// A stimulated echo whose mixing time is a heartbeat: its b-values and its signal follow the
/// real RR interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MixingTime {
    /// RR interval for which the sequence's b-values are meant, 200 to 10000 ms.
    pub assumed_rr_interval_ms: f64,
    /// Duration δ of each diffusion gradient, 0.1 to 50 ms.
    pub gradient_duration_ms: f64,
}

impl Default for MixingTime {
    fn default() -> Self {
        Self { assumed_rr_interval_ms: 1000.0, gradient_duration_ms: 1.5 }
    }
}

impl DiffusionEncoding {
    /// Whether it is an encoding.
    ///
    /// # Errors
    /// [`DiffusionError`] for a b-value below 0 or above 10⁵ s/mm², and for a direction whose
    /// length is not 1 to a thousandth.
    pub fn check(&self) -> Result<(), DiffusionError> {
        check_range("b-value in s/mm²", self.b_value_s_per_mm2, 0.0, 1e5)?;
        let squared: f64 = self.direction.iter().map(|value| value * value).sum();
        if (squared - 1.0).abs() < 2e-3 {
            Ok(())
        } else {
            Err(DiffusionError::Direction(self.direction))
        }
    }

    /// The entry of the XML header.
    pub fn xml(&self) -> Diffusion {
        let [left, back, head] = self.direction.map(|value| value as f32);
        Diffusion {
            gradient_direction: GradientDirection { rl: left, ap: back, fh: head },
            bvalue: self.b_value_s_per_mm2 as f32,
        }
    }

    /// Factors of the tensor's elements xx, xy, xz, yy, yz, zz in µm²/ms whose sum is the
    /// logarithm of the attenuation.
    pub(super) fn element_weights(&self) -> [f32; 6] {
        let [x, y, z] = self.direction;
        // 1 µm²/ms is 10⁻³ mm²/s.
        let b_ms_per_um2 = 1e-3 * self.b_value_s_per_mm2;
        [x * x, 2.0 * x * y, 2.0 * x * z, y * y, 2.0 * y * z, z * z]
            .map(|product| (-b_ms_per_um2 * product) as f32)
    }
}

impl MixingTime {
    /// Whether a sequence can have it.
    ///
    /// # Errors
    /// [`DiffusionError::OutOfRange`] for an interval outside 200 to 10000 ms or gradients
    /// outside 0.1 to 50 ms.
    pub fn check(&self) -> Result<(), DiffusionError> {
        let rr_interval_ms = self.assumed_rr_interval_ms;
        check_range("assumed RR interval in ms", rr_interval_ms, 200.0, 10_000.0)?;
        check_range("duration of a diffusion gradient in ms", self.gradient_duration_ms, 0.1, 50.0)
    }

    /// b = γ²·G²·δ²·(Δ − δ/3), where the gradients are one RR interval Δ apart, s/mm².
    ///
    /// * `gradient_mt_per_m`: amplitude G.
    ///
    /// # Source
    /// Stejskal and Tanner 1965.
    pub fn b_value_s_per_mm2(&self, gradient_mt_per_m: f64, rr_interval_ms: f64) -> f64 {
        let gamma = TAU * H1_HZ_PER_T;
        let area = gamma * 1e-3 * gradient_mt_per_m * 1e-3 * self.gradient_duration_ms;
        1e-6 * area * area * 1e-3 * self.diffusion_time_ms(rr_interval_ms)
    }

    /// What becomes of an encoding that was planned for the assumed RR interval.
    pub fn actual(&self, planned: &DiffusionEncoding, rr_interval_ms: f64) -> DiffusionEncoding {
        let ratio = self.diffusion_time_ms(rr_interval_ms)
            / self.diffusion_time_ms(self.assumed_rr_interval_ms);
        DiffusionEncoding { b_value_s_per_mm2: planned.b_value_s_per_mm2 * ratio, ..*planned }
    }

    /// What is left of the magnetisation that was stored along the field for a heartbeat:
    /// exp(−RR/T1).
    pub fn decay(rr_interval_ms: f64, t1_ms: f64) -> f64 {
        (-rr_interval_ms / t1_ms).exp()
    }

    fn diffusion_time_ms(&self, rr_interval_ms: f64) -> f64 {
        rr_interval_ms - self.gradient_duration_ms / 3.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_b_value_follows_the_real_interval() {
        let mixing = MixingTime { assumed_rr_interval_ms: 1000.0, gradient_duration_ms: 3.0 };
        let planned = DiffusionEncoding { b_value_s_per_mm2: 500.0, direction: [1.0, 0.0, 0.0] };
        // (800 − 1)/(1000 − 1) · 500.
        let b = mixing.actual(&planned, 800.0).b_value_s_per_mm2;
        assert!((b - 399.9).abs() < 1e-2, "{b}");
        assert_eq!(mixing.actual(&planned, 1000.0), planned);
        let ratio = mixing.b_value_s_per_mm2(10.0, 800.0) / mixing.b_value_s_per_mm2(10.0, 1000.0);
        assert!((ratio - b / 500.0).abs() < 1e-12);
        // 2π·42.577e6 · 0.01 T/m · 3 ms = 8025.7 /m; squared times 0.999 s.
        assert!((mixing.b_value_s_per_mm2(10.0, 1000.0) - 64.35).abs() < 0.01);
    }

    #[test]
    fn a_shorter_interval_leaves_more_of_the_stored_magnetisation() {
        // 800 to 1000 ms costs 15 % at T1 1200.
        let loss = 1.0 - MixingTime::decay(1000.0, 1200.0) / MixingTime::decay(800.0, 1200.0);
        assert!((loss - 0.1535).abs() < 1e-4, "{loss}");
    }

    #[test]
    fn the_weights_are_those_of_the_quadratic_form() {
        let encoding = DiffusionEncoding { b_value_s_per_mm2: 600.0, direction: [0.6, 0.0, -0.8] };
        assert_eq!(encoding.check(), Ok(()));
        let tensor = [1.5_f64, 0.1, -0.2, 1.0, 0.05, 0.8];
        let sum: f64 = std::iter::zip(encoding.element_weights(), tensor)
            .map(|(weight, element)| f64::from(weight) * element)
            .sum();
        let quadratic = 0.36 * 1.5 + 2.0 * 0.6 * -0.8 * -0.2 + 0.64 * 0.8;
        assert!((sum + 0.6 * quadratic).abs() < 1e-7);
    }

    #[test]
    fn impossible_encodings_are_refused() {
        assert_eq!(MixingTime::default().check(), Ok(()));
        for (assumed_rr_interval_ms, gradient_duration_ms) in
            [(0.0, 1.5), (f64::NAN, 1.5), (1000.0, 0.0), (1000.0, 3000.0)]
        {
            assert!(MixingTime { assumed_rr_interval_ms, gradient_duration_ms }.check().is_err());
        }
        for (b, direction) in [
            (-1.0, [1.0, 0.0, 0.0]),
            (f64::NAN, [1.0, 0.0, 0.0]),
            (500.0, [1.0, 1.0, 0.0]),
            (500.0, [0.0, 0.0, f64::NAN]),
        ] {
            assert!(DiffusionEncoding { b_value_s_per_mm2: b, direction }.check().is_err());
        }
    }
}
