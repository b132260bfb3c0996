//! How alike images look.

use ndarray::{Array2, Array3, ArrayView2, s};
use num_complex::Complex32;

/// Pixels of a window along each axis.
const WINDOW: usize = 7;

/// Mean structural similarity of the magnitudes of series, `[frame, y, x]`, after the best common
/// factor: 1 is the same. Windows without signal do not count.
///
/// # Source
/// Wang, Bovik, Sheikh and Simoncelli 2004, with windows of 7 x 7 equal weights.
pub(super) fn structural_similarity(found: &Array3<Complex32>, truth: &Array3<Complex32>) -> f64 {
    let [found, truth] = [found, truth].map(|images| images.mapv(|value| f64::from(value.norm())));
    let product: f64 = found.iter().zip(&truth).map(|(a, b)| a * b).sum();
    let square: f64 = found.iter().map(|a| a * a).sum();
    let found = &found * (product / square.max(f64::MIN_POSITIVE));
    let range = truth.iter().copied().fold(0.0, f64::max);
    let (mut sum, mut n) = (0.0, 0_usize);
    for (found, truth) in found.outer_iter().zip(truth.outer_iter()) {
        for value in of_image(found, truth, range) {
            sum += value;
            n += 1;
        }
    }
    sum / n.max(1) as f64
}

fn of_image(found: ArrayView2<'_, f64>, truth: ArrayView2<'_, f64>, range: f64) -> Vec<f64> {
    let both = &found * &truth;
    let [a, b, aa, bb, ab] = [
        windows(found),
        windows(truth),
        windows((&found * &found).view()),
        windows((&truth * &truth).view()),
        windows(both.view()),
    ];
    let [c1, c2] = [0.01, 0.03].map(|k: f64| (k * range).powi(2));
    let mut values = Vec::new();
    for (place, mean_b) in b.indexed_iter() {
        if *mean_b < 0.05 * range {
            continue;
        }
        let mean_a = a[place];
        let (of_a, of_b) = (aa[place] - mean_a * mean_a, bb[place] - mean_b * mean_b);
        let covariance = ab[place] - mean_a * mean_b;
        values.push(
            (2.0 * mean_a * mean_b + c1) * (2.0 * covariance + c2)
                / ((mean_a * mean_a + mean_b * mean_b + c1) * (of_a + of_b + c2)),
        );
    }
    values
}

/// Means of all windows that lie in the image.
fn windows(image: ArrayView2<'_, f64>) -> Array2<f64> {
    let (height, width) = image.dim();
    // Sums of everything above and to the left.
    let mut sums = Array2::<f64>::zeros((height + 1, width + 1));
    for y in 0..height {
        for x in 0..width {
            sums[[y + 1, x + 1]] =
                image[[y, x]] + sums[[y, x + 1]] + sums[[y + 1, x]] - sums[[y, x]];
        }
    }
    let n = (WINDOW * WINDOW) as f64;
    let far = sums.slice(s![WINDOW.., WINDOW..]);
    let near = sums.slice(s![..height + 1 - WINDOW, ..width + 1 - WINDOW]);
    let right = sums.slice(s![..height + 1 - WINDOW, WINDOW..]);
    let below = sums.slice(s![WINDOW.., ..width + 1 - WINDOW]);
    (&far + &near - right - below) / n
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_like_itself_and_less_like_a_smooth_one() {
        let truth = Array3::from_shape_fn((2, 24, 20), |(n, y, x)| {
            Complex32::new(1.0 + n as f32 + ((y * 7 + x * 5) % 11) as f32, 0.0)
        });
        let twice = &truth * Complex32::new(0.0, 2.0);
        assert!((structural_similarity(&twice, &truth) - 1.0).abs() < 1e-9);
        let flat = truth.mapv(|_| Complex32::new(6.0, 0.0));
        assert!(structural_similarity(&flat, &truth) < 0.3);
    }

    #[test]
    fn windows_are_means() {
        let image = Array2::from_shape_fn((9, 8), |(y, x)| (y * 8 + x) as f64);
        let means = windows(image.view());
        assert_eq!(means.dim(), (3, 2));
        let expected = image.slice(s![2..9, 1..8]).mean().expect("pixels");
        assert!((means[[2, 1]] - expected).abs() < 1e-9);
    }
}
