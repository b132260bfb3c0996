//! Averages of what cases gave.

/// Not a number of none.
pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Standard error of the mean; not a number of less than two.
pub(super) fn standard_error(values: &[f64]) -> f64 {
    let (mean, n) = (mean(values), values.len() as f64);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (n - 1.0) / n).sqrt()
}

/// The upper of the two in the middle where their number is even; not a number of none.
pub(super) fn median(values: Vec<f64>) -> f64 {
    quantile(values, 0.5)
}

/// The value that `share` of all lie below; not a number of none.
pub(super) fn quantile(mut values: Vec<f64>, share: f64) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    let at = ((values.len() as f64 * share) as usize).min(values.len() - 1);
    *values.select_nth_unstable_by(at, f64::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_of_few() {
        let values = vec![4.0, 1.0, 7.0, 2.0];
        assert_eq!(mean(&values), 3.5);
        // Squares of 0.5, 2.5, 3.5 and 1.5, over three and four.
        assert!((standard_error(&values) - 1.75_f64.sqrt()).abs() < 1e-12);
        assert!(standard_error(&[1.0]).is_nan());
        assert_eq!(median(values.clone()), 4.0);
        assert_eq!(quantile(values.clone(), 0.0), 1.0);
        assert_eq!(quantile(values, 1.0), 7.0);
        assert!(mean(&[]).is_nan());
        assert!(median(Vec::new()).is_nan());
    }
}
