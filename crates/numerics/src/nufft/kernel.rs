//! The Kaiser-Bessel kernel and its transform.

use std::f64::consts::PI;

/// Degree of the polynomials that stand for the kernel: their error is below that of single
/// precision for all widths.
const DEGREE: usize = 11;

/// Kaiser-Bessel kernel of a width in grid cells.
#[derive(Clone, Debug)]
pub(super) struct Kernel {
    width: usize,
    beta: f64,
    /// `[power, tap]`: the value at a tap by the fraction, −1 to 1.
    coefficients: Vec<f32>,
}

impl Kernel {
    /// * `oversampling`: cells of the grid per pixel of the image.
    ///
    /// # Source
    /// Beatty, Nishimura and Pauly 2005, equation 5: the β with the smallest aliasing.
    pub fn new(width: usize, oversampling: f64) -> Self {
        let ratio = width as f64 / oversampling * (oversampling - 0.5);
        let beta = PI * (ratio * ratio - 0.8).max(0.1).sqrt();
        let mut kernel = Self { width, beta, coefficients: Vec::new() };
        let mut coefficients = vec![0.0; (DEGREE + 1) * width];
        for tap in 0..width {
            let first = tap as f64 - 0.5 * width as f64;
            let powers = polynomial(|s| kernel.value(first + 0.5 * (s + 1.0)));
            for (power, value) in powers.into_iter().enumerate() {
                coefficients[power * width + tap] = value as f32;
            }
        }
        kernel.coefficients = coefficients;
        kernel
    }

    /// At a distance in cells.
    fn value(&self, distance: f64) -> f64 {
        let z = 2.0 * distance / self.width as f64;
        bessel_i0(self.beta * (1.0 - z * z).max(0.0).sqrt()) / bessel_i0(self.beta)
    }

    /// The values at the taps, whose first lies `fraction − width/2` from the sample.
    ///
    /// * `fraction`: 0 to 1.
    pub fn taps<const W: usize>(&self, fraction: f32) -> [f32; W] {
        let s = 2.0 * fraction - 1.0;
        let mut taps = [0.0; W];
        for powers in self.coefficients.chunks_exact(W).rev() {
            for (tap, coefficient) in taps.iter_mut().zip(powers) {
                *tap = *tap * s + coefficient;
            }
        }
        taps
    }

    /// The transform of the kernel, ∫ kernel(u)·exp(−2πi u f) du.
    ///
    /// * `frequency`: cycles per cell.
    pub fn transform(&self, frequency: f64) -> f64 {
        let squared = self.beta.powi(2) - (PI * self.width as f64 * frequency).powi(2);
        let root = squared.abs().sqrt();
        let sinc = if root < 1e-6 {
            1.0
        } else if squared > 0.0 {
            root.sinh() / root
        } else {
            root.sin() / root
        };
        self.width as f64 / bessel_i0(self.beta) * sinc
    }
}

/// Coefficients of 1, s, s², … of the polynomial that equals `function` at the Chebyshev points
/// of −1 to 1.
fn polynomial(function: impl Fn(f64) -> f64) -> [f64; DEGREE + 1] {
    const N: usize = DEGREE + 1;
    let angle_rad = |point: usize| PI * (point as f64 + 0.5) / N as f64;
    let values: [f64; N] = std::array::from_fn(|point| function(angle_rad(point).cos()));
    let mut sum = [0.0; N];
    // Chebyshev polynomials of the order before and of this one, in powers of s.
    let (mut before, mut this) = ([0.0; N], [0.0; N]);
    this[0] = 1.0;
    for order in 0..N {
        let weight = if order == 0 { 1.0 } else { 2.0 } / N as f64;
        let coefficient: f64 = values
            .iter()
            .enumerate()
            .map(|(point, value)| weight * value * (order as f64 * angle_rad(point)).cos())
            .sum();
        for (sum, power) in sum.iter_mut().zip(this) {
            *sum += coefficient * power;
        }
        let mut next = [0.0; N];
        let factor = if order == 0 { 1.0 } else { 2.0 };
        for power in 0..N {
            let raised = if power == 0 { 0.0 } else { factor * this[power - 1] };
            next[power] = raised - if order == 0 { 0.0 } else { before[power] };
        }
        (before, this) = (this, next);
    }
    sum
}

/// The modified Bessel function of order 0, by its power series: all terms are positive.
fn bessel_i0(x: f64) -> f64 {
    let quarter = 0.25 * x * x;
    let (mut term, mut sum) = (1.0, 1.0);
    for n in 1..500 {
        term *= quarter / (n * n) as f64;
        sum += term;
        if term < 1e-17 * sum {
            break;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bessel_function_has_its_tabulated_values() {
        // Abramowitz and Stegun, table 9.8.
        for (x, value) in
            [(0.0, 1.0), (1.0, 1.266_065_877_752_008_4), (10.0, 2_815.716_628_466_254)]
        {
            assert!((bessel_i0(x) / value - 1.0).abs() < 1e-13, "{x}: {}", bessel_i0(x));
        }
    }

    #[test]
    fn the_polynomials_are_the_kernel_and_the_transform_is_its_integral() {
        let kernel = Kernel::new(6, 2.0);
        for n in 0..=100 {
            let fraction = n as f32 / 100.0;
            for (tap, value) in kernel.taps::<6>(fraction).into_iter().enumerate() {
                let truth = kernel.value(tap as f64 - 3.0 + f64::from(fraction));
                assert!((f64::from(value) - truth).abs() < 5e-7, "{fraction}, {tap}: {value}");
            }
        }
        for frequency in [0.0, 0.1, 0.25] {
            let n_steps = 20_000;
            let step = 6.0 / f64::from(n_steps);
            let integral: f64 = (0..n_steps)
                .map(|n| (f64::from(n) + 0.5) * step - 3.0)
                .map(|u| kernel.value(u) * (2.0 * PI * u * frequency).cos() * step)
                .sum();
            let transform = kernel.transform(frequency);
            assert!((integral / transform - 1.0).abs() < 1e-5, "{frequency}: {transform}");
        }
    }
}
