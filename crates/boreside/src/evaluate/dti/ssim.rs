//! Structural similarity of two pictures.

use ndarray::{ArrayView2, s};

/// Edge of the windows, px.
const WINDOW: usize = 7;

/// Mean structural similarity of a picture and its truth, 1 for the same: `[y, x]` each. The range
/// of values is that of the truth.
///
/// # Panics
/// If the shapes differ or are smaller than 7 pixels.
///
/// # Source
/// Wang, Bovik, Sheikh and Simoncelli 2004, with even windows of 7 pixels.
pub fn structural_similarity(picture: ArrayView2<'_, f32>, truth: ArrayView2<'_, f32>) -> f64 {
    assert_eq!(picture.dim(), truth.dim(), "pictures of one shape");
    let (n_y, n_x) = truth.dim();
    assert!(n_y >= WINDOW && n_x >= WINDOW, "pictures larger than a window");
    let bounds = truth.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(f64::from(*value)), high.max(f64::from(*value)))
    });
    let range = (bounds.1 - bounds.0).max(1e-30);
    let (c1, c2) = ((0.01 * range).powi(2), (0.03 * range).powi(2));
    let n = (WINDOW * WINDOW) as f64;
    let mut sum = 0.0;
    for y in 0..=n_y - WINDOW {
        for x in 0..=n_x - WINDOW {
            let window = s![y..y + WINDOW, x..x + WINDOW];
            let (mut a, mut b, mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0, 0.0, 0.0);
            for (p, q) in picture.slice(window).iter().zip(truth.slice(window)) {
                let (p, q) = (f64::from(*p), f64::from(*q));
                a += p / n;
                b += q / n;
                aa += p * p;
                bb += q * q;
                ab += p * q;
            }
            // Unbiased, as the common programs have it.
            let covariance = |products: f64, means: f64| (products - n * means) / (n - 1.0);
            let (va, vb, vab) =
                (covariance(aa, a * a), covariance(bb, b * b), covariance(ab, a * b));
            let top = (2.0 * a * b + c1) * (2.0 * vab + c2);
            sum += top / ((a * a + b * b + c1) * (va + vb + c2));
        }
    }
    sum / ((n_y - WINDOW + 1) * (n_x - WINDOW + 1)) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    #[test]
    fn the_same_is_1_and_the_rest_is_what_another_program_finds() {
        let truth = Array2::from_shape_fn((16, 20), |(y, x)| (y * x) as f32 % 17.0 + x as f32);
        assert!((structural_similarity(truth.view(), truth.view()) - 1.0).abs() < 1e-12);
        let changed = Array2::from_shape_fn((16, 20), |(y, x)| {
            truth[[y, x]] + if (y + 2 * x) % 3 == 0 { 3.0 } else { -1.0 }
        });
        // scikit-image 0.26: structural_similarity(a, b, win_size=7, data_range=b.max() - b.min()).
        let found = structural_similarity(changed.view(), truth.view());
        assert!((found - SCIKIT).abs() < 1e-6, "{found}");
    }

    const SCIKIT: f64 = 0.935_176_654_382_749_7;
}
