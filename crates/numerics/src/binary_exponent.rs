//! Scale of single-precision data whose squares are summed.

use num_complex::Complex32;

/// Power of two that brings the largest of `samples` near 1, so that squares and their squares
/// neither overflow nor vanish. `None` if there is nothing but zeros.
///
/// # Errors
/// [`NotFinite`] if a sample is NaN or infinite.
pub(crate) fn normalising_power(samples: &[Complex32]) -> Result<Option<f32>, NotFinite> {
    let largest = f32::from_bits(largest_magnitude_bits(samples));
    if !largest.is_finite() {
        return Err(NotFinite);
    }
    if largest == 0.0 {
        return Ok(None);
    }
    Ok(Some(2.0_f32.powi(-(largest.log2().floor() as i32).clamp(-120, 120))))
}

/// The largest bits of real and imaginary parts without their sign: they are in the order of the
/// magnitudes, infinity and NaN behind all others.
#[multiversion::multiversion(targets("x86_64+avx2", "x86_64+sse4.1"))]
fn largest_magnitude_bits(samples: &[Complex32]) -> u32 {
    let magnitude = |part: f32| part.to_bits() & (u32::MAX >> 1);
    samples
        .iter()
        .fold(0, |largest, sample| largest.max(magnitude(sample.re)).max(magnitude(sample.im)))
}

/// A sample is NaN or infinite.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotFinite;

#[cfg(test)]
mod tests {
    use super::*;

    fn power(values: &[(f32, f32)]) -> Result<Option<f32>, NotFinite> {
        let samples: Vec<_> = values.iter().map(|&(re, im)| Complex32::new(re, im)).collect();
        normalising_power(&samples)
    }

    #[test]
    fn the_largest_part_counts() {
        assert_eq!(power(&[(0.5, 0.0), (0.1, -5.0)]), Ok(Some(0.25)));
        assert_eq!(power(&[(1e-20, 0.0)]), Ok(Some(2.0_f32.powi(67))));
        assert_eq!(power(&[(3e38, 3e38)]), Ok(Some(2.0_f32.powi(-120))));
        assert_eq!(power(&[(0.0, 0.0)]), Ok(None));
        assert_eq!(power(&[]), Ok(None));
    }

    #[test]
    fn what_is_not_finite_is_told_wherever_it_is() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(power(&[(bad, 0.0), (1.0, 1.0)]), Err(NotFinite));
            assert_eq!(power(&[(1.0, 1.0), (0.0, bad), (1.0, 1.0)]), Err(NotFinite));
        }
    }
}
