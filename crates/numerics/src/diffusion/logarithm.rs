//! Logarithms and exponentials of many numbers at once, in single precision: without branches, so
//! that a processor finds eight or sixteen together.

/// Natural logarithm of a normal number above 0, to 2·10⁻⁷ (or that part of it).
#[inline(always)]
pub(super) fn ln(value: f32) -> f32 {
    const HALF_ROOT: u32 = 0x3f35_04f3; // √½
    // value = 2ⁿ·m with m from √½ to √2.
    let bits = value.to_bits().wrapping_sub(HALF_ROOT);
    let exponent = (bits as i32) >> 23;
    let m = f32::from_bits((bits & 0x007f_ffff).wrapping_add(HALF_ROOT));
    // ln m = 2·artanh((m − 1)/(m + 1)), whose argument is below 0.172.
    let s = (m - 1.0) / (m + 1.0);
    let squared = s * s;
    let series = squared
        * (2.0 / 3.0 + squared * (2.0 / 5.0 + squared * (2.0 / 7.0 + squared * (2.0 / 9.0))));
    exponent as f32 * std::f32::consts::LN_2 + (2.0 * s + s * series)
}

/// Exponential of −80 to 80, to a part of 3·10⁻⁷; numbers beyond count as the nearer end.
#[inline(always)]
pub(super) fn exp(value: f32) -> f32 {
    // ln 2 in two parts: the first has few digits, so that its multiples are exact.
    const LN_2_FIRST: f32 = 0.693_359_4;
    const LN_2_REST: f32 = -2.121_944_4e-4;
    // Adding it leaves a whole number in the last bits.
    const ROUND: f32 = 12_582_912.0; // 1.5·2²³
    let value = value.clamp(-80.0, 80.0);
    let shifted = value * std::f32::consts::LOG2_E + ROUND;
    let whole = shifted - ROUND;
    let rest = (value - whole * LN_2_FIRST) - whole * LN_2_REST;
    // Taylor's series to the seventh power, of at most ½·ln 2.
    let series = 1.0 / 2.0
        + rest
            * (1.0 / 6.0
                + rest
                    * (1.0 / 24.0
                        + rest * (1.0 / 120.0 + rest * (1.0 / 720.0 + rest * (1.0 / 5040.0)))));
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127);
    let power = f32::from_bits(exponent << 23);
    power * (1.0 + (rest + rest * rest * series))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_exact_to_single_precision() {
        let mut value = 1e-30_f32;
        while value < 1e30 {
            let error = (f64::from(ln(value)) - f64::from(value).ln()).abs();
            assert!(error < 2e-7 * f64::from(value).ln().abs().max(1.0), "{value}: {error}");
            value *= 1.0007;
        }
    }

    #[test]
    fn the_exponential_is_exact_to_single_precision() {
        for step in -80_000..80_000 {
            let value = step as f32 * 1e-3;
            let error = f64::from(exp(value)) / f64::from(value).exp() - 1.0;
            assert!(error.abs() < 3e-7, "{value}: {error}");
        }
        assert_eq!((exp(0.0), exp(-1e9)), (1.0, exp(-80.0)));
        assert!(exp(f32::NAN).is_nan());
    }
}
