//! Denoising of images by what looks alike in them, and of series by what their images share.

mod mp_pca;
mod non_local_bayes;
mod non_local_means;

pub use mp_pca::{MpPca, PatchError, mp_pca};
pub use non_local_bayes::non_local_bayes;
pub use non_local_means::non_local_means;

/// Edge of a patch, pixels.
const PATCH: usize = 5;
/// Pixels on each side of a patch's centre.
const HALF: usize = PATCH / 2;
/// Rows that one task denoises: fixed, so that the number of threads changes nothing.
const BAND_ROWS: usize = 16;

/// The pixel of `n` that lies at `place`, mirrored at both edges.
fn mirrored(place: isize, n: usize) -> usize {
    let n = n as isize;
    let place = if place < 0 { -place - 1 } else { place };
    let place = if place >= n { 2 * n - 1 - place } else { place };
    // An image narrower than half a patch.
    place.clamp(0, n - 1) as usize
}

/// From `centre` up to half of `width` to both sides, within `n` pixels.
fn window(centre: usize, width: usize, n: usize) -> std::ops::Range<usize> {
    centre.saturating_sub(width / 2)..(centre + width / 2 + 1).min(n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, ArrayView2};
    use num_complex::Complex32;

    const SIZE: usize = 48;

    /// Noise with a standard deviation of 1 in the real and in the imaginary part.
    fn noise(seed: u64) -> Array2<Complex32> {
        let mut state = seed;
        let mut uniform = move || {
            // Splitmix64.
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (((z ^ (z >> 31)) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
        };
        Array2::from_shape_simple_fn((SIZE, SIZE), || {
            let (radius, angle) =
                ((-2.0 * uniform().ln()).sqrt(), std::f64::consts::TAU * uniform());
            Complex32::new((radius * angle.cos()) as f32, (radius * angle.sin()) as f32)
        })
    }

    /// A disc on a slope, with a phase.
    fn object() -> Array2<Complex32> {
        Array2::from_shape_fn((SIZE, SIZE), |(y, x)| {
            let (dy, dx) = (y as f32 - 22.5, x as f32 - 26.0);
            let magnitude = if dy * dy + dx * dx < 150.0 { 30.0 } else { 5.0 + 0.1 * x as f32 };
            Complex32::from_polar(magnitude, 0.02 * y as f32)
        })
    }

    fn error(image: ArrayView2<'_, Complex32>, truth: &Array2<Complex32>) -> f64 {
        let sum: f64 = image.iter().zip(truth).map(|(a, b)| f64::from((a - b).norm_sqr())).sum();
        (sum / (2.0 * truth.len() as f64)).sqrt()
    }

    type Denoise = fn(ArrayView2<'_, Complex32>, f32, usize) -> Array2<Complex32>;
    const METHODS: [(Denoise, f64); 2] = [(non_local_means, 0.6), (non_local_bayes, 0.5)];

    #[test]
    fn noise_goes_and_the_object_stays() {
        let truth = object();
        let noisy = &truth + &noise(7);
        for (denoise, limit) in METHODS {
            let denoised = denoise(noisy.view(), 2.0, 21);
            let error = error(denoised.view(), &truth);
            println!("error {error:.3} of the noise's standard deviation");
            assert!(error < limit, "{error}");
        }
    }

    #[test]
    fn noise_that_is_overestimated_smooths_and_never_amplifies() {
        let truth = object();
        let noisy = &truth + &noise(11);
        for (denoise, _) in METHODS {
            let error = error(denoise(noisy.view(), 50.0, 11).view(), &truth);
            // Five times the noise's standard deviation: the disc's edge of 25 is still there.
            assert!(error < 2.0, "{error}");
        }
    }

    #[test]
    fn an_image_without_noise_stays_as_it_is() {
        let truth = object();
        for (denoise, _) in METHODS {
            let error = error(denoise(truth.view(), 1e-6, 11).view(), &truth);
            // The weights of patches that are only alike.
            assert!(error < 1e-2, "{error}");
        }
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let noisy = object() + noise(3);
        for (denoise, _) in METHODS {
            let on = |n_threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build();
                pool.expect("threads").install(|| denoise(noisy.view(), 2.0, 9))
            };
            assert_eq!(on(1), on(5));
        }
    }

    #[test]
    fn small_images_and_those_of_nothing_come_back() {
        for shape in [(1, 1), (1, 7), (3, 2), (0, 5)] {
            for (denoise, _) in METHODS {
                let image = Array2::from_elem(shape, Complex32::new(2.0, 0.0));
                let denoised = denoise(image.view(), 1.0, 25);
                assert_eq!(denoised.dim(), shape);
                assert!(denoised.iter().all(|v| (v - Complex32::new(2.0, 0.0)).norm() < 1e-5));
            }
        }
    }

    #[test]
    fn places_are_mirrored_at_the_edges() {
        let mirrored: Vec<_> = (-3..7).map(|place| mirrored(place, 4)).collect();
        assert_eq!(mirrored, [2, 1, 0, 0, 1, 2, 3, 3, 2, 1]);
        assert_eq!(window(1, 5, 10), 0..4);
        assert_eq!(window(9, 5, 10), 7..10);
    }
}
