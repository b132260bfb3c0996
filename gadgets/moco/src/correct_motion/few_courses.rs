//! Whether images are made of few time courses, so that nothing in them tells motion.

use ndarray::{Array2, ArrayView3, Axis};
use num_complex::{Complex32, Complex64};

/// Images of more courses than this are registered: twins are told by three at most, and
/// `reconstruct_series` by its network takes four.
const MOST_COURSES: usize = 4;
/// Root mean square of what the courses leave over that of the images, below which it is rounding.
/// Noise of separate images leaves a thousandth at least.
const ROUNDING: f64 = 1e-6;

/// How many time courses all images are made of where these are few and leave nothing, not even noise.
/// Each image then is what the others say of it, moved or not.
///
/// * `images`: `[frame, y, x]`.
pub(super) fn few_courses(images: ArrayView3<'_, Complex32>) -> Option<usize> {
    let n_frames = images.len_of(Axis(0));
    let mut products = products(images);
    let trace =
        |products: &Array2<Complex64>| -> f64 { products.diag().iter().map(|v| v.re).sum() };
    let whole = trace(&products);
    if whole <= 0.0 {
        return None;
    }
    // Cholesky's factors with pivots: what is left of the trace is the energy that so many of the
    // images do not tell of the others.
    for n_courses in 1..=MOST_COURSES.min(n_frames.saturating_sub(1)) {
        let of_frame = |frame: &usize| products[[*frame, *frame]].re;
        let pivot = (0..n_frames).max_by(|a, b| of_frame(a).total_cmp(&of_frame(b)))?;
        let column = products.column(pivot).to_owned();
        let size = column[pivot].re.max(f64::MIN_POSITIVE);
        for ((a, b), value) in products.indexed_iter_mut() {
            *value -= column[a] * column[b].conj() / size;
        }
        if trace(&products).max(0.0) <= ROUNDING * ROUNDING * whole {
            return Some(n_courses);
        }
    }
    None
}

/// Σ over the pixels of one image times another's conjugate, `[frame, frame]`.
fn products(images: ArrayView3<'_, Complex32>) -> Array2<Complex64> {
    let wide = |value: &Complex32| Complex64::new(value.re.into(), value.im.into());
    let n_frames = images.len_of(Axis(0));
    let mut products = Array2::zeros((n_frames, n_frames));
    for (a, left) in images.axis_iter(Axis(0)).enumerate() {
        for (b, right) in images.axis_iter(Axis(0)).enumerate().take(a + 1) {
            let pairs = left.iter().zip(right);
            let sum: Complex64 = pairs.map(|(left, right)| wide(left) * wide(right).conj()).sum();
            products[[a, b]] = sum;
            products[[b, a]] = sum.conj();
        }
    }
    products
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    /// Eight images of so many courses, and what differs from pixel to pixel and image to image.
    fn images(n_courses: usize, noise: f32) -> Array3<Complex32> {
        Array3::from_shape_fn((8, 20, 24), |(frame, y, x)| {
            let courses = (1..=n_courses).map(|n| {
                let rate = (-(frame as f32) * 0.3 * n as f32).exp();
                rate * Complex32::from_polar(1.0, (n * y) as f32 * 0.31 + (n * n * x) as f32 * 0.17)
            });
            let odd = ((frame * 7919 + y * 104_729 + x * 1_299_709) % 1013) as f32 / 1013.0 - 0.5;
            courses.sum::<Complex32>() + noise * odd
        })
    }

    #[test]
    fn few_courses_are_counted_and_noise_is_not_one_of_few() {
        assert_eq!(few_courses(images(3, 0.0).view()), Some(3));
        assert_eq!(few_courses(images(4, 0.0).view()), Some(4));
        assert_eq!(few_courses(images(6, 0.0).view()), None);
        assert_eq!(few_courses(images(3, 1e-3).view()), None);
        assert_eq!(few_courses(Array3::zeros((8, 4, 4)).view()), None);
    }

    #[test]
    fn as_many_courses_as_images_are_not_few() {
        let three = images(3, 0.0).slice(ndarray::s![..3, .., ..]).to_owned();
        assert_eq!(few_courses(three.view()), None);
    }
}
