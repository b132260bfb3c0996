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
