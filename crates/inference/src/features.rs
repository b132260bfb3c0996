//! A few numbers that say what kind of image this is, for the distance to a training set.

/// Features of an image.
pub const N_FEATURES: usize = 7;

/// Names of the features, in order.
pub const NAMES: [&str; N_FEATURES] = ["mean", "sd", "p10", "p50", "p90", "step_x", "step_y"];

/// Features of transformed images `[image, y, x]`: over all pixels the mean, the standard
/// deviation and the 10th, 50th and 90th percentile; over all neighbours the mean absolute
/// difference along x and along y.
///
/// Percentiles are those of the pixels at every `n/4096`-th place, so that large images cost no
/// more than small ones.
pub fn features(values: &[f32], n_y: usize, n_x: usize) -> [f64; N_FEATURES] {
    let n = values.len().max(1) as f64;
    let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / n;
    let variance = values.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>() / n;
    let mut some: Vec<f32> = values.iter().copied().step_by((values.len() / 4096).max(1)).collect();
    some.sort_unstable_by(f32::total_cmp);
    let rank = |q: f64| {
        let place = (q * some.len().saturating_sub(1) as f64).round() as usize;
        some.get(place).copied().map_or(0.0, f64::from)
    };
    let plane = (n_y * n_x).max(1);
    let (mut along_x, mut along_y) = (0.0, 0.0);
    for image in values.chunks_exact(plane) {
        for row in image.chunks_exact(n_x.max(1)) {
            along_x += row.windows(2).map(|pair| f64::from((pair[1] - pair[0]).abs())).sum::<f64>();
        }
        let below = image.get(n_x..).unwrap_or_default();
        along_y += image.iter().zip(below).map(|(a, b)| f64::from((b - a).abs())).sum::<f64>();
    }
    [mean, variance.sqrt(), rank(0.1), rank(0.5), rank(0.9), along_x / n, along_y / n]
}

/// Mahalanobis distance of features from those of a training set.
///
/// * `precision`: inverse covariance, `[feature, feature]`.
pub fn distance(features: &[f64], mean: &[f64], precision: &[Vec<f64>]) -> f64 {
    let difference: Vec<f64> = features.iter().zip(mean).map(|(a, b)| a - b).collect();
    let sum: f64 = precision
        .iter()
        .zip(&difference)
        .map(|(row, a)| a * row.iter().zip(&difference).map(|(p, b)| p * b).sum::<f64>())
        .sum();
    sum.max(0.0).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_of_a_ramp_are_as_computed_by_hand() {
        // 0 1 2 / 10 11 12
        let values = [0.0, 1.0, 2.0, 10.0, 11.0, 12.0];
        let got = features(&values, 2, 3);
        let expected = [6.0, 5.066_228, 1.0, 10.0, 12.0, 4.0 / 6.0, 30.0 / 6.0];
        for (name, (got, expected)) in NAMES.iter().zip(got.iter().zip(expected)) {
            assert!((got - expected).abs() < 1e-5, "{name}: {got}, {expected}");
        }
    }

    #[test]
    fn the_distance_counts_in_standard_deviations() {
        let precision = vec![vec![0.25, 0.0], vec![0.0, 1.0]];
        assert_eq!(distance(&[4.0, 0.0], &[0.0, 0.0], &precision), 2.0);
        assert_eq!(distance(&[0.0, 3.0], &[0.0, 0.0], &precision), 3.0);
    }
}
