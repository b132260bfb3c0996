//! Isochromats: rotations and relaxation of magnetisation vectors (Bloch 1946).
//!
//! The frame turns with the main frequency; a positive off-resonance turns magnetisation from
//! x towards y. A pulse of phase 0 turns from z towards −y. All of it is scaled so that thermal
//! equilibrium is 1.

use std::f64::consts::TAU;

use num_complex::Complex64;

/// What relaxation leaves after some time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decay {
    /// exp(−t/T1).
    pub longitudinal: f64,
    /// exp(−t/T2).
    pub transverse: f64,
}

impl Decay {
    /// Relaxation during `duration_ms`.
    pub fn over(duration_ms: f64, t1_ms: f64, t2_ms: f64) -> Self {
        Self {
            longitudinal: (-duration_ms / t1_ms).exp(),
            transverse: (-duration_ms / t2_ms).exp(),
        }
    }
}

/// Magnetisation vectors whose mean is the magnetisation of a voxel.
#[derive(Clone, Debug, PartialEq)]
pub struct Isochromats {
    /// Mx + i·My of each.
    transverse: Vec<Complex64>,
    longitudinal: Vec<f64>,
    /// exp(2πi n/N): the phase that a gradient gives to isochromat n.
    dephasing: Vec<Complex64>,
}

impl Isochromats {
    /// `n_isochromats` in thermal equilibrium.
    ///
    /// # Panics
    /// If there is none.
    pub fn equilibrium(n_isochromats: usize) -> Self {
        assert!(n_isochromats > 0, "a voxel without isochromats");
        let mut isochromats = Self {
            transverse: vec![Complex64::ZERO],
            longitudinal: vec![1.0],
            dephasing: vec![Complex64::ONE],
        };
        isochromats.multiply(n_isochromats);
        isochromats
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.longitudinal.len()
    }

    /// Never: a voxel has at least one.
    pub fn is_empty(&self) -> bool {
        self.longitudinal.is_empty()
    }

    /// Splits the one isochromat of a voxel that no gradient has dephased yet into many.
    ///
    /// # Panics
    /// If there is more than one already, and another number of them.
    pub fn multiply(&mut self, n_isochromats: usize) {
        if self.len() == n_isochromats {
            return;
        }
        assert_eq!(self.len(), 1, "isochromats that were split before");
        self.transverse = vec![self.transverse[0]; n_isochromats];
        self.longitudinal = vec![self.longitudinal[0]; n_isochromats];
        self.dephasing = (0..n_isochromats)
            .map(|n| Complex64::cis(TAU * n as f64 / n_isochromats as f64))
            .collect();
    }

    /// A pulse of no duration: turns all by `flip_rad` about the axis at `phase_rad` from x
    /// towards y.
    pub fn rf(&mut self, flip_rad: f64, phase_rad: f64) {
        let (sin, cos) = flip_rad.sin_cos();
        let axis = Complex64::cis(phase_rad);
        for (transverse, longitudinal) in self.transverse.iter_mut().zip(&mut self.longitudinal) {
            // In the frame of the axis: `along` it nothing changes.
            let Complex64 { re: along, im: across } = *transverse * axis.conj();
            let z = *longitudinal;
            *transverse = axis * Complex64::new(along, across * cos - z * sin);
            *longitudinal = across * sin + z * cos;
        }
    }

    /// Relaxation.
    pub fn relax(&mut self, decay: Decay) {
        let recovered = 1.0 - decay.longitudinal;
        self.transverse.iter_mut().for_each(|value| *value *= decay.transverse);
        self.longitudinal
            .iter_mut()
            .for_each(|value| *value = *value * decay.longitudinal + recovered);
    }

    /// Turns all by the same angle about z, from x towards y.
    pub fn precess(&mut self, angle_rad: f64) {
        let turn = Complex64::cis(angle_rad);
        self.transverse.iter_mut().for_each(|value| *value *= turn);
    }

    /// A gradient that dephases the voxel by one turn: isochromat n of N turns by 2π n/N.
    ///
    /// N of them are exact as long as no more than N − 1 turns add up; beyond, what should be
    /// dephased comes back.
    pub fn dephase(&mut self) {
        self.transverse.iter_mut().zip(&self.dephasing).for_each(|(value, turn)| *value *= turn);
    }

    /// Nothing transverse remains.
    pub fn spoil(&mut self) {
        self.transverse.fill(Complex64::ZERO);
    }

    /// A preparation of no duration: Mz becomes `factor`·Mz + `offset`, and nothing transverse
    /// remains. An inversion has the factor −1.
    pub fn prepare(&mut self, factor: f64, offset: f64) {
        self.spoil();
        self.longitudinal.iter_mut().for_each(|value| *value = *value * factor + offset);
    }

    /// Mean transverse magnetisation, Mx + i·My.
    pub fn signal(&self) -> Complex64 {
        self.transverse.iter().sum::<Complex64>() / self.len() as f64
    }

    /// Mean longitudinal magnetisation.
    pub fn longitudinal(&self) -> f64 {
        self.longitudinal.iter().sum::<f64>() / self.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::{FRAC_PI_2, PI};

    use super::*;

    #[test]
    fn a_pulse_turns_equilibrium_about_its_axis() {
        // Right-handed: about x from z to −y, about y from z to x.
        for (phase_rad, expected) in
            [(0.0, -Complex64::I), (FRAC_PI_2, Complex64::ONE), (PI, Complex64::I)]
        {
            let mut isochromats = Isochromats::equilibrium(3);
            isochromats.rf(FRAC_PI_2, phase_rad);
            assert!((isochromats.signal() - expected).norm() < 1e-15, "{phase_rad}");
            assert!(isochromats.longitudinal().abs() < 1e-15);
        }
    }

    #[test]
    fn pulses_of_one_phase_add_up_and_keep_the_length() {
        let mut twice = Isochromats::equilibrium(1);
        twice.rf(0.3, 1.1);
        twice.precess(0.0);
        twice.rf(0.9, 1.1);
        let mut once = Isochromats::equilibrium(1);
        once.rf(1.2, 1.1);
        assert!((twice.signal() - once.signal()).norm() < 1e-15);
        let length = once.signal().norm_sqr() + once.longitudinal().powi(2);
        assert!((length - 1.0).abs() < 1e-15);
    }

    #[test]
    fn relaxation_is_exponential_and_composes() {
        let (t1_ms, t2_ms) = (900.0, 60.0);
        let mut whole = Isochromats::equilibrium(1);
        whole.rf(2.0, 0.4);
        let mut parts = whole.clone();
        whole.relax(Decay::over(70.0, t1_ms, t2_ms));
        parts.relax(Decay::over(25.0, t1_ms, t2_ms));
        parts.relax(Decay::over(45.0, t1_ms, t2_ms));
        assert!((whole.signal() - parts.signal()).norm() < 1e-15);
        assert!((whole.longitudinal() - parts.longitudinal()).abs() < 1e-15);
        assert!((whole.signal().norm() - 2.0_f64.sin() * (-70.0 / t2_ms).exp()).abs() < 1e-15);
        let expected = 1.0 + (2.0_f64.cos() - 1.0) * (-70.0 / t1_ms).exp();
        assert!((whole.longitudinal() - expected).abs() < 1e-15);
    }

    #[test]
    fn off_resonance_turns_from_x_towards_y() {
        let mut isochromats = Isochromats::equilibrium(1);
        isochromats.rf(FRAC_PI_2, FRAC_PI_2);
        isochromats.precess(FRAC_PI_2);
        assert!((isochromats.signal() - Complex64::I).norm() < 1e-15);
    }

    #[test]
    fn a_gradient_dephases_and_after_180_degrees_refocuses() {
        let mut isochromats = Isochromats::equilibrium(8);
        isochromats.rf(FRAC_PI_2, FRAC_PI_2);
        isochromats.dephase();
        assert!(isochromats.signal().norm() < 1e-15);
        isochromats.rf(PI, 0.0);
        isochromats.dephase();
        assert!((isochromats.signal() - Complex64::ONE).norm() < 1e-15);
    }

    #[test]
    fn preparations_are_affine_and_leave_nothing_transverse() {
        let mut isochromats = Isochromats::equilibrium(2);
        isochromats.rf(1.0, 0.0);
        isochromats.prepare(-0.96, 0.02);
        assert_eq!(isochromats.signal(), Complex64::ZERO);
        assert!((isochromats.longitudinal() - (0.02 - 0.96 * 1.0_f64.cos())).abs() < 1e-15);
    }

    #[test]
    #[should_panic(expected = "split before")]
    fn isochromats_that_differ_are_not_split_again() {
        Isochromats::equilibrium(4).multiply(8);
    }
}
