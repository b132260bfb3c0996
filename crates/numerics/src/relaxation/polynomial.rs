//! Modified Bessel functions by polynomials.

fn horner(x: f64, coefficients: &[f64]) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, coefficient| sum * x + coefficient)
}

/// e^(−x) I₀(x) for x ≥ 0, to 2e-7 of its value.
///
/// # Source
/// Abramowitz, Stegun 1964, 9.8.1 and 9.8.2.
pub(super) fn bessel_i0_scaled(x: f64) -> f64 {
    if x < 3.75 {
        let squared = (x / 3.75).powi(2);
        let series =
            [1.0, 3.515_622_9, 3.089_942_4, 1.206_749_2, 0.265_973_2, 0.036_076_8, 0.004_581_3];
        return (-x).exp() * horner(squared, &series);
    }
    let series = [
        0.398_942_28,
        0.013_285_92,
        0.002_253_19,
        -0.001_575_65,
        0.009_162_81,
        -0.020_577_06,
        0.026_355_37,
        -0.016_476_33,
        0.003_923_77,
    ];
    horner(3.75 / x, &series) / x.sqrt()
}

/// e^(−x) I₁(x) for x ≥ 0, to 3e-7 of its value.
///
/// # Source
/// Abramowitz, Stegun 1964, 9.8.3 and 9.8.4.
pub(super) fn bessel_i1_scaled(x: f64) -> f64 {
    if x < 3.75 {
        let squared = (x / 3.75).powi(2);
        let series = [
            0.5,
            0.878_905_94,
            0.514_988_69,
            0.150_849_34,
            0.026_587_33,
            0.003_015_32,
            0.000_324_11,
        ];
        return (-x).exp() * x * horner(squared, &series);
    }
    let series = [
        0.398_942_28,
        -0.039_880_24,
        -0.003_620_18,
        0.001_638_01,
        -0.010_315_55,
        0.022_829_67,
        -0.028_953_12,
        0.017_876_54,
        -0.004_200_59,
    ];
    horner(3.75 / x, &series) / x.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_polynomials_agree_with_the_power_series() {
        for x in [0.0, 0.3, 2.0, 3.7, 3.8, 10.0, 40.0_f64] {
            let (mut i0, mut i1, mut term) = (0.0, 0.0, (-x).exp());
            for k in 0..200 {
                i0 += term;
                i1 += term * 0.5 * x / f64::from(k + 1);
                term *= 0.25 * x * x / f64::from((k + 1) * (k + 1));
            }
            assert!((bessel_i0_scaled(x) - i0).abs() < 3e-7 * i0.max(1e-3), "I0({x})");
            assert!((bessel_i1_scaled(x) - i1).abs() < 4e-7 * i1.max(1e-3), "I1({x})");
        }
    }
}
