//! What eigenvalues say.

/// Mean of the eigenvalues.
#[inline(always)]
pub fn mean_diffusivity(eigenvalues: &[f64; 3]) -> f64 {
    eigenvalues.iter().sum::<f64>() / 3.0
}

/// √(3/2)·|λ − mean|/|λ|: 0 where all are equal, 1 along one line; 0 of a tensor that is 0.
///
/// # Source
/// Basser and Pierpaoli 1996.
#[inline(always)]
pub fn fractional_anisotropy(eigenvalues: &[f64; 3]) -> f64 {
    let mean = mean_diffusivity(eigenvalues);
    let squares: f64 = eigenvalues.iter().map(|value| value * value).sum();
    let deviations: f64 = eigenvalues.iter().map(|value| (value - mean).powi(2)).sum();
    // Both are found: without a branch several pixels are found at once.
    let anisotropy = (1.5 * deviations / squares).sqrt();
    if squares > 0.0 { anisotropy } else { 0.0 }
}

/// √2·m₃·m₂^(−3/2) with the central moments of the eigenvalues: −1 of a disc, 1 of a line; 0
/// where all are equal.
///
/// # Source
/// Ennis and Kindlmann 2006.
pub fn mode(eigenvalues: &[f64; 3]) -> f64 {
    let mean = mean_diffusivity(eigenvalues);
    let moment = |n: i32| eigenvalues.iter().map(|value| (value - mean).powi(n)).sum::<f64>() / 3.0;
    let second = moment(2);
    let size = eigenvalues.iter().fold(0.0_f64, |size, value| size.max(value.abs()));
    if second.sqrt() <= 1e-12 * size {
        return 0.0;
    }
    (std::f64::consts::SQRT_2 * moment(3) * second.powf(-1.5)).clamp(-1.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spheres_discs_and_lines() {
        for (values, fa, expected_mode) in [
            ([1.0, 1.0, 1.0], 0.0, 0.0),
            ([1.0, 0.0, 0.0], 1.0, 1.0),
            ([1.0, 1.0, 0.0], 0.5_f64.sqrt(), -1.0),
            ([0.0, 0.0, 0.0], 0.0, 0.0),
            // By hand: mean 1.3, deviations 0.5, −0.1, −0.4.
            ([1.8, 1.2, 0.9], (1.5 * 0.42 / 5.49_f64).sqrt(), 0.53995),
        ] {
            assert!((fractional_anisotropy(&values) - fa).abs() < 1e-12, "{values:?}");
            let found = mode(&values);
            assert!((found - expected_mode).abs() < 1e-3, "{values:?}: {found}");
        }
        assert!((mean_diffusivity(&[1.8, 1.2, 0.9]) - 1.3).abs() < 1e-12);
    }
}
