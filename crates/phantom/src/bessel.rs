//! The Bessel function J₁, as the spectrum of a disc needs it.

use std::f64::consts::{FRAC_2_PI, PI};

/// Where the power series hands over to the expansion for large arguments. Either is good to
/// about 1e-12 there.
const LARGE: f64 = 14.0;

/// Terms of each of the two sums for large arguments.
const N_TERMS: usize = 8;

/// Coefficients of the expansion for large arguments: a₀, a₂, … with alternating signs, and
/// a₁, a₃, … likewise, where aₖ = Π (4 − (2j − 1)²) / (8 j) over j = 1…k.
const COEFFICIENTS: ([f64; N_TERMS], [f64; N_TERMS]) = {
    let (mut even, mut odd) = ([0.0; N_TERMS], [0.0; N_TERMS]);
    let mut a = 1.0;
    let mut k = 0;
    while k < 2 * N_TERMS {
        let sign = if (k / 2).is_multiple_of(2) { 1.0 } else { -1.0 };
        if k.is_multiple_of(2) {
            even[k / 2] = sign * a;
        } else {
            odd[k / 2] = sign * a;
        }
        k += 1;
        let m = (2 * k - 1) as f64;
        a *= (4.0 - m * m) / (8.0 * k as f64);
    }
    (even, odd)
};

/// 2·J₁(u)/u, 1 at u = 0, with an absolute error below 1e-12.
///
/// # Source
/// Abramowitz and Stegun 1964, 9.1.10 for |u| below 14 and 9.2.5 to 9.2.10 beyond.
pub(crate) fn disc_spectrum(u: f64) -> f64 {
    let u = u.abs();
    if u < LARGE {
        let quarter = -0.25 * u * u;
        let (mut term, mut sum) = (1.0, 1.0);
        let mut m = 1.0;
        while f64::abs(term) > 1e-17 * f64::abs(sum).max(1e-3) {
            term *= quarter / (m * (m + 1.0));
            sum += term;
            m += 1.0;
        }
        return sum;
    }
    let inverse = 1.0 / u;
    let inverse_squared = inverse * inverse;
    let horner = |coefficients: &[f64; N_TERMS]| {
        coefficients.iter().rev().fold(0.0, |sum, coefficient| sum * inverse_squared + coefficient)
    };
    let (even, odd) = (horner(&COEFFICIENTS.0), horner(&COEFFICIENTS.1) * inverse);
    let (sin, cos) = (u - 0.75 * PI).sin_cos();
    2.0 * inverse * (FRAC_2_PI * inverse).sqrt() * (even * cos - odd * sin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_the_tables() {
        let table = [
            (0.001, 0.000_499_999_937_500_002_6),
            (1.0, 0.440_050_585_744_933_5),
            (3.8317, 2.404_559_043_103_632e-6),
            (5.0, -0.32757913759146522),
            (10.0, 0.043_472_746_168_861_44),
            (13.9, 0.11652489036905639),
            (14.1, 0.14878435129739386),
            (20.0, 0.066_833_124_175_850_05),
            (50.0, -0.097_511_828_125_175_14),
            (100.0, -0.077_145_352_014_112_16),
        ];
        for (u, j1) in table {
            let error = disc_spectrum(u) - 2.0 * j1 / u;
            assert!(error.abs() < 1e-12, "J1({u}): {error:e}");
        }
        assert_eq!(disc_spectrum(0.0), 1.0);
        assert_eq!(disc_spectrum(-3.0), disc_spectrum(3.0));
    }

    #[test]
    fn series_and_expansion_meet() {
        let step = disc_spectrum(LARGE) - disc_spectrum(LARGE - 1e-9);
        // The slope there is below 0.02.
        assert!(step.abs() < 2e-11 + 2e-12, "{step:e}");
    }
}
