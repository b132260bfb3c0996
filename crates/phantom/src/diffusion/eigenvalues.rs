//! How far water diffuses along the three axes of a tensor.

use super::error::DiffusionError;

/// Eigenvalues of a diffusion tensor in descending order, µm²/ms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Eigenvalues(pub [f64; 3]);

impl Eigenvalues {
    /// What a motion-compensated spin echo sees: mean diffusivity 1.30 µm²/ms, fractional
    /// anisotropy 0.34 (Phipps et al. 2021 report 1.31 and 0.30).
    pub const SPIN_ECHO: Self = Self([1.80, 1.20, 0.90]);

    /// What a stimulated echo sees, whose diffusion time of a heartbeat lets water reach more
    /// walls: mean diffusivity 1.0 µm²/ms, fractional anisotropy 0.53.
    pub const STIMULATED_ECHO: Self = Self([1.65, 0.85, 0.50]);

    /// The same in all directions.
    pub fn isotropic(diffusivity_um2_per_ms: f64) -> Self {
        Self([diffusivity_um2_per_ms; 3])
    }

    /// The eigenvalues with this mean, fractional anisotropy and mode.
    ///
    /// * `mode`: 1 for a cigar, −1 for a pancake (Ennis and Kindlmann 2006).
    ///
    /// # Errors
    /// [`DiffusionError::Eigenvalues`] if one of them would not be above 0.
    pub fn from_invariants(
        mean_um2_per_ms: f64,
        fractional_anisotropy: f64,
        mode: f64,
    ) -> Result<Self, DiffusionError> {
        // From FA² = 3/2 · |d|² / (3·mean² + |d|²) for the deviations d from the mean, which are
        // √(2/3)·|d|·cos of three angles a third of a turn apart.
        let squared = fractional_anisotropy * fractional_anisotropy;
        let norm = mean_um2_per_ms * (3.0 * squared / (1.5 - squared)).sqrt();
        let angle = mode.acos() / 3.0;
        let third = std::f64::consts::TAU / 3.0;
        let value =
            |turn: f64| mean_um2_per_ms + (2.0_f64 / 3.0).sqrt() * norm * (angle + turn).cos();
        Self([value(0.0), value(-third), value(third)]).checked()
    }

    /// Their mean, µm²/ms.
    pub fn mean(&self) -> f64 {
        self.0.iter().sum::<f64>() / 3.0
    }

    /// √(3/2) · |λ − mean| / |λ|: 0 for equal ones, 1 for a single one.
    pub fn fractional_anisotropy(&self) -> f64 {
        let norm: f64 = self.0.iter().map(|value| value * value).sum();
        if norm == 0.0 { 0.0 } else { (1.5 * self.deviation_squared() / norm).sqrt() }
    }

    /// The same shape with another mean and fractional anisotropy.
    ///
    /// An anisotropy that would need a negative eigenvalue becomes the largest possible one.
    #[must_use]
    pub fn scaled(&self, mean_factor: f64, anisotropy_factor: f64) -> Self {
        let mean = self.mean();
        let deviation = self.deviation_squared();
        if deviation == 0.0 {
            return Self::isotropic(mean * mean_factor);
        }
        let target = (self.fractional_anisotropy() * anisotropy_factor).clamp(0.0, 1.0);
        let squared = target * target;
        let norm_squared = 3.0 * mean * mean * squared / (1.5 - squared);
        let largest = mean / (mean - self.0[2]);
        let stretch = (norm_squared / deviation).sqrt().min(0.999 * largest);
        Self(self.0.map(|value| mean_factor * (mean + stretch * (value - mean))))
    }

    pub(super) fn checked(self) -> Result<Self, DiffusionError> {
        let [first, second, third] = self.0;
        // Not-a-number fails each of these.
        if first <= 4.0 && first >= second && second >= third && third > 0.0 {
            Ok(self)
        } else {
            Err(DiffusionError::Eigenvalues(self.0))
        }
    }

    fn deviation_squared(&self) -> f64 {
        let mean = self.mean();
        self.0.iter().map(|value| (value - mean).powi(2)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_presets_have_their_published_invariants() {
        assert!((Eigenvalues::SPIN_ECHO.mean() - 1.30).abs() < 1e-12);
        assert!((Eigenvalues::SPIN_ECHO.fractional_anisotropy() - 0.339).abs() < 5e-4);
        assert!((Eigenvalues::STIMULATED_ECHO.mean() - 1.0).abs() < 1e-12);
        assert!((Eigenvalues::STIMULATED_ECHO.fractional_anisotropy() - 0.53).abs() < 5e-3);
        assert_eq!(Eigenvalues([1.0, 0.0, 0.0]).fractional_anisotropy(), 1.0);
        assert_eq!(Eigenvalues::isotropic(3.0).fractional_anisotropy(), 0.0);
    }

    #[test]
    fn eigenvalues_have_the_invariants_that_they_were_made_from() {
        for mean in [0.8, 1.9] {
            for anisotropy in [0.0, 0.2, 0.6] {
                for mode in [-1.0, 0.0, 0.4, 1.0] {
                    let eigenvalues =
                        Eigenvalues::from_invariants(mean, anisotropy, mode).expect("positive");
                    assert!((eigenvalues.mean() - mean).abs() < 1e-12);
                    assert!((eigenvalues.fractional_anisotropy() - anisotropy).abs() < 1e-7);
                }
            }
        }
        let planar = Eigenvalues::from_invariants(1.0, 0.4, -1.0).expect("positive").0;
        assert!((planar[0] - planar[1]).abs() < 1e-7 && planar[2] < planar[1]);
        assert!(Eigenvalues::from_invariants(1.0, 0.9, -1.0).is_err());
        assert!(Eigenvalues::from_invariants(f64::NAN, 0.3, 0.0).is_err());
    }

    #[test]
    fn an_infarct_scales_mean_and_anisotropy() {
        for eigenvalues in [Eigenvalues::SPIN_ECHO, Eigenvalues::STIMULATED_ECHO] {
            let infarct = eigenvalues.scaled(1.3, 0.6);
            let ratio = infarct.fractional_anisotropy() / eigenvalues.fractional_anisotropy();
            assert!((ratio - 0.6).abs() < 1e-12);
            assert!((infarct.mean() / eigenvalues.mean() - 1.3).abs() < 1e-12);
            assert!(eigenvalues.scaled(1.0, 3.0).0[2] > 0.0);
        }
    }
}
