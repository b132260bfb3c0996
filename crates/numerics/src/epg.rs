//! Extended phase graphs: the magnetisation of a voxel as a Fourier series over its dephasing
//! (Hennig 1988; Weigel 2015).
//!
//! Conventions are those of [`crate::bloch`].

mod real;
#[cfg(test)]
mod tests;

use num_complex::Complex64;

pub use real::{RealDecay, RealStates};

use crate::bloch::Decay;

/// Configuration states of a voxel.
///
/// Order k counts turns of dephasing across the voxel. There is a fixed number of orders; what
/// is dephased beyond the last is dropped, which is exact until it would have come back.
#[derive(Clone, Debug, PartialEq)]
pub struct States {
    /// F₊ of order k: transverse, to be dephased further.
    dephasing: Vec<Complex64>,
    /// F₋ of order k, the conjugate of F₊ of order −k: transverse, to be rephased.
    rephasing: Vec<Complex64>,
    /// Z of order k.
    longitudinal: Vec<Complex64>,
}

impl States {
    /// Thermal equilibrium with the orders 0 to `n_orders` − 1.
    ///
    /// # Panics
    /// If there is no order.
    pub fn equilibrium(n_orders: usize) -> Self {
        assert!(n_orders > 0, "a phase graph without orders");
        let mut states =
            Self { dephasing: Vec::new(), rephasing: Vec::new(), longitudinal: Vec::new() };
        states.extend(n_orders);
        states.longitudinal[0] = Complex64::ONE;
        states
    }

    /// How many orders there are.
    pub fn n_orders(&self) -> usize {
        self.longitudinal.len()
    }

    /// Makes room for at least `n_orders` orders.
    pub fn extend(&mut self, n_orders: usize) {
        let n_orders = n_orders.max(self.n_orders());
        for states in [&mut self.dephasing, &mut self.rephasing, &mut self.longitudinal] {
            states.resize(n_orders, Complex64::ZERO);
        }
    }

    /// A pulse of no duration: turns by `flip_rad` about the axis at `phase_rad`.
    pub fn rf(&mut self, flip_rad: f64, phase_rad: f64) {
        let (sin, cos) = flip_rad.sin_cos();
        let (cos_squared, sin_squared) = ((1.0 + cos) / 2.0, (1.0 - cos) / 2.0);
        let axis = Complex64::cis(phase_rad);
        let axis_squared = axis * axis;
        let into_transverse = Complex64::I * axis * sin;
        for ((plus, minus), z) in
            self.dephasing.iter_mut().zip(&mut self.rephasing).zip(&mut self.longitudinal)
        {
            let (f, g, m) = (*plus, *minus, *z);
            *plus = f * cos_squared + axis_squared * g * sin_squared - into_transverse * m;
            *minus = axis_squared.conj() * f * sin_squared
                + g * cos_squared
                + into_transverse.conj() * -m;
            *z = (into_transverse * g + into_transverse.conj() * f) * 0.5 + m * cos;
        }
    }

    /// Relaxation.
    pub fn relax(&mut self, decay: Decay) {
        for states in [&mut self.dephasing, &mut self.rephasing] {
            states.iter_mut().for_each(|value| *value *= decay.transverse);
        }
        self.longitudinal.iter_mut().for_each(|value| *value *= decay.longitudinal);
        self.longitudinal[0] += 1.0 - decay.longitudinal;
    }

    /// Turns the whole voxel by one angle about z, from x towards y.
    pub fn precess(&mut self, angle_rad: f64) {
        let turn = Complex64::cis(angle_rad);
        self.dephasing.iter_mut().for_each(|value| *value *= turn);
        self.rephasing.iter_mut().for_each(|value| *value *= turn.conj());
    }

    /// A gradient that dephases the voxel by one turn.
    pub fn shift(&mut self) {
        self.dephasing.rotate_right(1);
        self.rephasing.rotate_left(1);
        if let Some(last) = self.rephasing.last_mut() {
            *last = Complex64::ZERO;
        }
        self.dephasing[0] = self.rephasing[0].conj();
    }

    /// Nothing transverse remains, in any order.
    pub fn spoil(&mut self) {
        self.dephasing.fill(Complex64::ZERO);
        self.rephasing.fill(Complex64::ZERO);
    }

    /// A preparation of no duration: Mz becomes `factor`·Mz + `offset`, and nothing transverse
    /// remains. An inversion has the factor −1.
    pub fn prepare(&mut self, factor: f64, offset: f64) {
        self.spoil();
        self.longitudinal.iter_mut().for_each(|value| *value *= factor);
        self.longitudinal[0] += offset;
    }

    /// Transverse magnetisation of the voxel, Mx + i·My: F₊ of order 0.
    pub fn signal(&self) -> Complex64 {
        self.dephasing[0]
    }

    /// Longitudinal magnetisation of the voxel: Z of order 0.
    pub fn longitudinal(&self) -> f64 {
        self.longitudinal[0].re
    }
}
