//! Phase graphs of many tissues at once, for pulses of one phase.
//!
//! With pulses of phase 0 and no off-resonance F₊ = −i·f and F₋ = i·g with real f and g, and Z
//! is real: half the work. The tissues of a block lie side by side, so that each operation is
//! the same for neighbouring numbers.

use ndarray::NdFloat;

/// What relaxation leaves of each tissue after some time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RealDecay<T, const W: usize> {
    /// exp(−t/T1).
    pub longitudinal: [T; W],
    /// exp(−t/T2).
    pub transverse: [T; W],
}

impl<T: NdFloat, const W: usize> RealDecay<T, W> {
    /// Relaxation during `duration_ms`.
    pub fn over(duration_ms: f64, t1_ms: &[f64; W], t2_ms: &[f64; W]) -> Self {
        let after = |time_ms: f64| real((-duration_ms / time_ms).exp());
        Self { longitudinal: t1_ms.map(after), transverse: t2_ms.map(after) }
    }
}

/// Configuration states of `W` tissues that see the same pulses, all of phase 0.
///
/// What [`super::States`] does for one tissue and any phase. `T` is `f64`, or `f32` for
/// dictionaries, where 7 digits are more than noise leaves.
#[derive(Clone, Debug, PartialEq)]
pub struct RealStates<T, const W: usize> {
    /// f, g and Z of order k, each of all tissues.
    orders: Vec<Order<T, W>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Order<T, const W: usize> {
    /// i·F₊.
    dephasing: [T; W],
    /// −i·F₋.
    rephasing: [T; W],
    longitudinal: [T; W],
}

impl<T: NdFloat, const W: usize> RealStates<T, W> {
    /// Thermal equilibrium with the orders 0 to `n_orders` − 1.
    ///
    /// # Panics
    /// If there is no order.
    pub fn equilibrium(n_orders: usize) -> Self {
        assert!(n_orders > 0, "a phase graph without orders");
        let mut states = Self { orders: Vec::new() };
        states.extend(n_orders);
        states.reset();
        states
    }

    /// Back to thermal equilibrium.
    pub fn reset(&mut self) {
        self.orders.fill(Order::zero());
        self.orders[0].longitudinal = [T::one(); W];
    }

    /// How many orders there are.
    pub fn n_orders(&self) -> usize {
        self.orders.len()
    }

    /// Makes room for at least `n_orders` orders.
    pub fn extend(&mut self, n_orders: usize) {
        self.orders.resize(n_orders.max(self.orders.len()), Order::zero());
    }

    /// A pulse of no duration that turns by `flip_rad`.
    pub fn rf(&mut self, flip_rad: f64) {
        let (sin, cos) = flip_rad.sin_cos();
        let (sin, cos, half) = (real::<T>(sin), real::<T>(cos), real::<T>(0.5));
        for order in &mut self.orders {
            for n in 0..W {
                let (f, g, z) = (order.dephasing[n], order.rephasing[n], order.longitudinal[n]);
                let (sum, difference) = ((f + g) * half, (f - g) * half);
                let turned = sum * cos + z * sin;
                order.dephasing[n] = turned + difference;
                order.rephasing[n] = turned - difference;
                order.longitudinal[n] = z * cos - sum * sin;
            }
        }
    }

    /// Relaxation.
    pub fn relax(&mut self, decay: &RealDecay<T, W>) {
        for order in &mut self.orders {
            for n in 0..W {
                order.dephasing[n] *= decay.transverse[n];
                order.rephasing[n] *= decay.transverse[n];
                order.longitudinal[n] *= decay.longitudinal[n];
            }
        }
        self.recover(decay);
    }

    /// A gradient that dephases the voxel by one turn.
    pub fn shift(&mut self) {
        let mut from_below = [T::zero(); W];
        for k in 0..self.orders.len() {
            std::mem::swap(&mut self.orders[k].dephasing, &mut from_below);
            self.orders[k].rephasing =
                self.orders.get(k + 1).map_or([T::zero(); W], |above| above.rephasing);
        }
        self.orders[0].dephasing = self.orders[0].rephasing;
    }

    /// A whole repetition with a gradient at its end, in one pass: pulse, relaxation, shift.
    ///
    /// Returns the echo, what [`RealStates::signal`] is at the time of `to_echo`.
    ///
    /// * `to_echo`: relaxation from the pulse to the echo.
    /// * `whole`: relaxation from pulse to pulse.
    // Into the caller, which may be compiled for wider registers.
    #[inline(always)]
    pub fn repeat(
        &mut self,
        flip_rad: f64,
        to_echo: &RealDecay<T, W>,
        whole: &RealDecay<T, W>,
    ) -> [T; W] {
        let (sin, cos) = flip_rad.sin_cos();
        let (half_cos, sin, half) = (real::<T>(cos / 2.0), real::<T>(sin), real::<T>(0.5));
        let cos = real::<T>(cos);
        // The factors of pulse and relaxation together.
        let mut sum_to_transverse = [T::zero(); W];
        let mut z_to_transverse = [T::zero(); W];
        let mut difference_to_transverse = [T::zero(); W];
        let mut sum_to_z = [T::zero(); W];
        let mut z_to_z = [T::zero(); W];
        for n in 0..W {
            sum_to_transverse[n] = half_cos * whole.transverse[n];
            z_to_transverse[n] = sin * whole.transverse[n];
            difference_to_transverse[n] = half * whole.transverse[n];
            sum_to_z[n] = half * sin * whole.longitudinal[n];
            z_to_z[n] = cos * whole.longitudinal[n];
        }
        let first = &self.orders[0];
        let echo = std::array::from_fn(|n| {
            // f and g of order 0 are equal.
            let turned = first.dephasing[n] * cos + first.longitudinal[n] * sin;
            turned * to_echo.transverse[n]
        });
        // Each order's f goes one up, its g one down; from below comes what the order before
        // has left.
        let mut from_below = [T::zero(); W];
        let mut below: Option<&mut Order<T, W>> = None;
        for order in &mut self.orders {
            let mut rephasing = [T::zero(); W];
            for n in 0..W {
                let (f, g, z) = (order.dephasing[n], order.rephasing[n], order.longitudinal[n]);
                let (sum, difference) = (f + g, (f - g) * difference_to_transverse[n]);
                let turned = sum * sum_to_transverse[n] + z * z_to_transverse[n];
                order.dephasing[n] = from_below[n];
                from_below[n] = turned + difference;
                rephasing[n] = turned - difference;
                order.longitudinal[n] = z * z_to_z[n] - sum * sum_to_z[n];
            }
            if let Some(below) = below {
                below.rephasing = rephasing;
            }
            below = Some(order);
        }
        if let Some(last) = below {
            last.rephasing = [T::zero(); W];
        }
        self.orders[0].dephasing = self.orders[0].rephasing;
        self.recover(whole);
        echo
    }

    /// A refocusing pulse of no duration: 180° a quarter turn from the other pulses (Meiboom and
    /// Gill 1958).
    pub fn refocus(&mut self) {
        for order in &mut self.orders {
            std::mem::swap(&mut order.dephasing, &mut order.rephasing);
            order.longitudinal.iter_mut().for_each(|z| *z = -*z);
        }
    }

    /// Multiplies what is longitudinal, in all orders.
    pub fn scale_longitudinal(&mut self, factor: T) {
        for order in &mut self.orders {
            order.longitudinal.iter_mut().for_each(|z| *z *= factor);
        }
    }

    /// Nothing transverse remains, in any order.
    pub fn spoil(&mut self) {
        for order in &mut self.orders {
            order.dephasing = [T::zero(); W];
            order.rephasing = [T::zero(); W];
        }
    }

    /// A preparation of no duration: Mz becomes `factor`·Mz + `offset`, and nothing transverse
    /// remains. An inversion has the factor −1.
    pub fn prepare(&mut self, factor: &[T; W], offset: &[T; W]) {
        self.spoil();
        for order in &mut self.orders {
            order.longitudinal.iter_mut().zip(factor).for_each(|(z, factor)| *z *= *factor);
        }
        let longitudinal = self.orders[0].longitudinal.iter_mut();
        longitudinal.zip(offset).for_each(|(z, offset)| *z += *offset);
    }

    /// Transverse magnetisation along the axis on which an excitation puts it: i·F₊ of order 0,
    /// positive after a pulse below 180° from equilibrium.
    pub fn signal(&self) -> [T; W] {
        self.orders[0].dephasing
    }

    /// Longitudinal magnetisation: Z of order 0.
    pub fn longitudinal(&self) -> [T; W] {
        self.orders[0].longitudinal
    }

    #[inline(always)]
    fn recover(&mut self, decay: &RealDecay<T, W>) {
        for n in 0..W {
            self.orders[0].longitudinal[n] += T::one() - decay.longitudinal[n];
        }
    }
}

impl<T: NdFloat, const W: usize> Order<T, W> {
    fn zero() -> Self {
        Self { dephasing: [T::zero(); W], rephasing: [T::zero(); W], longitudinal: [T::zero(); W] }
    }
}

/// The nearest `T`.
fn real<T: NdFloat>(value: f64) -> T {
    T::from(value).unwrap_or_else(T::nan)
}
