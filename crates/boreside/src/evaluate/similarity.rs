//! Structural similarity of two pictures.

use ndarray::{Array2, ArrayView2, Zip, s};

/// Edge of the windows, px.
const WINDOW: usize = 7;

/// Structural similarity of a picture and its truth, `[y, x]` each, in every window of 7 x 7 pixels
/// that lies in them, 1 for the same: `[y - 6, x - 6]`. `range` is that of the values.
///
/// # Panics
/// If the shapes differ or are smaller than a window.
///
/// # Source
/// Wang, Bovik, Sheikh and Simoncelli 2004, with equal weights in a window.
pub(super) fn structural_similarity(
    picture: ArrayView2<'_, f64>,
    truth: ArrayView2<'_, f64>,
    range: f64,
) -> Array2<f64> {
    assert_eq!(picture.dim(), truth.dim(), "pictures of one shape");
    let [aa, ab, bb] = [&picture * &picture, &picture * &truth, &truth * &truth];
    let [c1, c2] = [0.01, 0.03].map(|k: f64| (k * range).powi(2));
    let n = (WINDOW * WINDOW) as f64;
    // Unbiased, as the common programs have it.
    let covariance = |product: f64, a: f64, b: f64| (product - a * b) * n / (n - 1.0);
    let [mut similarity, b] = [window_means(picture), window_means(truth)];
    let [aa, ab, bb] = [aa, ab, bb].map(|product| window_means(product.view()));
    Zip::from(&mut similarity).and(&b).and(&aa).and(&ab).and(&bb).for_each(
        |a, &b, &aa, &ab, &bb| {
            let (of_a, of_both, of_b) =
                (covariance(aa, *a, *a), covariance(ab, *a, b), covariance(bb, b, b));
            *a = (2.0 * *a * b + c1) * (2.0 * of_both + c2)
                / ((*a * *a + b * b + c1) * (of_a + of_b + c2));
        },
    );
    similarity
}

/// Means of all windows that lie in the image.
pub(super) fn window_means(image: ArrayView2<'_, f64>) -> Array2<f64> {
    let (height, width) = image.dim();
    assert!(height >= WINDOW && width >= WINDOW, "pictures not smaller than a window");
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

    /// scikit-image 0.26: structural_similarity(a, b, win_size=7, data_range=b.max() - b.min()).
    const SCIKIT: f64 = 0.935_176_654_382_749_7;

    #[test]
    fn the_same_is_1_and_the_rest_is_what_another_program_finds() {
        let truth = Array2::from_shape_fn((16, 20), |(y, x)| ((y * x) % 17 + x) as f64);
        let range = truth.fold(0.0_f64, |most, value| most.max(*value))
            - truth.fold(f64::INFINITY, |least, value| least.min(*value));
        let mean = |picture: &Array2<f64>| {
            let similarity = structural_similarity(picture.view(), truth.view(), range);
            similarity.mean().expect("windows")
        };
        assert!((mean(&truth) - 1.0).abs() < 1e-12);
        let changed = Array2::from_shape_fn((16, 20), |(y, x)| {
            truth[[y, x]] + if (y + 2 * x) % 3 == 0 { 3.0 } else { -1.0 }
        });
        let found = mean(&changed);
        assert!((found - SCIKIT).abs() < 1e-6, "{found}");
    }

    #[test]
    fn windows_are_means() {
        let image = Array2::from_shape_fn((9, 8), |(y, x)| (y * 8 + x) as f64);
        let means = window_means(image.view());
        assert_eq!(means.dim(), (3, 2));
        let expected = image.slice(s![2..9, 1..8]).mean().expect("pixels");
        assert!((means[[2, 1]] - expected).abs() < 1e-9);
    }
}
