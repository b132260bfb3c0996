//! Ellipses and their exact two-dimensional Fourier transform.

use std::f64::consts::PI;

use num_complex::Complex64;

use crate::bessel::disc_spectrum;

/// The shape of a part of an object.
///
/// x points to the right of the image and y down, as rows are stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ellipse {
    /// Half the lengths of its axes, mm, both above 0.
    pub semi_axes_mm: [f64; 2],
    /// Its centre \[x, y\], mm from the centre of the image.
    pub center_mm: [f64; 2],
    /// Turn of its first axis from x towards y.
    pub angle_rad: f64,
}

impl Ellipse {
    /// Whether the point lies inside or on the edge.
    pub fn contains(&self, x_mm: f64, y_mm: f64) -> bool {
        let (sin, cos) = self.angle_rad.sin_cos();
        let (x, y) = (x_mm - self.center_mm[0], y_mm - self.center_mm[1]);
        let u = (x * cos + y * sin) / self.semi_axes_mm[0];
        let v = (y * cos - x * sin) / self.semi_axes_mm[1];
        u * u + v * v <= 1.0
    }

    /// ∫∫ exp(−2πi (kx·x + ky·y)) dx dy over the ellipse, in mm².
    ///
    /// * `k_per_mm`: \[kx, ky\], cycles per mm.
    ///
    /// # Method
    /// π·a·b · 2 J₁(u)/u · exp(−2πi k·c) with u = 2π √((a·k₁)² + (b·k₂)²), where k₁ and k₂ are
    /// k along the axes a and b, and c is the centre.
    pub fn spectrum(&self, k_per_mm: [f64; 2]) -> Complex64 {
        let turns = k_per_mm[0] * self.center_mm[0] + k_per_mm[1] * self.center_mm[1];
        self.centered_spectrum(k_per_mm) * Complex64::cis(-2.0 * PI * turns)
    }

    /// [`Ellipse::spectrum`] as if the centre were at the origin: real.
    pub(crate) fn centered_spectrum(&self, [kx, ky]: [f64; 2]) -> f64 {
        let [a, b] = self.semi_axes_mm;
        let (sin, cos) = self.angle_rad.sin_cos();
        let (along_a, along_b) = (a * (kx * cos + ky * sin), b * (ky * cos - kx * sin));
        PI * a * b * disc_spectrum(2.0 * PI * along_a.hypot(along_b))
    }

    /// The ellipse after a turn by `angle_rad` about the image's centre from x towards y and a
    /// magnification by `scale`.
    #[must_use]
    pub fn turned_and_scaled(&self, angle_rad: f64, scale: f64) -> Self {
        let (sin, cos) = angle_rad.sin_cos();
        let [x, y] = self.center_mm;
        Self {
            semi_axes_mm: self.semi_axes_mm.map(|length| length * scale),
            center_mm: [scale * (x * cos - y * sin), scale * (x * sin + y * cos)],
            angle_rad: self.angle_rad + angle_rad,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ELLIPSE: Ellipse =
        Ellipse { semi_axes_mm: [30.0, 18.0], center_mm: [12.0, -7.0], angle_rad: 0.4 };

    #[test]
    fn spectrum_is_the_sum_over_the_pixels_inside() {
        let step_mm = 0.1;
        for k in [[0.0, 0.0], [0.01, 0.0], [0.0, -0.013], [-0.02, 0.017]] {
            let mut sum = Complex64::ZERO;
            for row in -500..500 {
                for column in -500..500 {
                    let (x, y) = (f64::from(column) * step_mm, f64::from(row) * step_mm);
                    if ELLIPSE.contains(x, y) {
                        sum += Complex64::cis(-2.0 * PI * (k[0] * x + k[1] * y));
                    }
                }
            }
            sum *= step_mm * step_mm;
            let spectrum = ELLIPSE.spectrum(k);
            // The pixels of the edge, 150 mm long, are right to a fraction of a pixel.
            assert!((spectrum - sum).norm() < 2.0, "{k:?}: {spectrum} and {sum}");
        }
    }

    #[test]
    fn a_turn_about_the_centre_turns_the_spectrum() {
        let turned = ELLIPSE.turned_and_scaled(0.3, 1.0);
        let (sin, cos) = 0.3_f64.sin_cos();
        let [kx, ky] = [0.021, -0.008];
        let turned_k = [kx * cos - ky * sin, kx * sin + ky * cos];
        let difference = turned.spectrum(turned_k) - ELLIPSE.spectrum([kx, ky]);
        assert!(difference.norm() < 1e-9 * ELLIPSE.spectrum([0.0, 0.0]).re);
    }

    #[test]
    fn magnification_by_two_halves_the_frequencies_and_quadruples_the_spectrum() {
        let larger = ELLIPSE.turned_and_scaled(0.0, 2.0);
        let difference = larger.spectrum([0.01, 0.005]) - 4.0 * ELLIPSE.spectrum([0.02, 0.01]);
        assert!(difference.norm() < 1e-9 * larger.spectrum([0.0, 0.0]).re);
    }
}
