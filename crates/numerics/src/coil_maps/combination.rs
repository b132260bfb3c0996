//! One image of the images of all channels.

use ndarray::ArrayView4;
use num_complex::Complex32;
use rayon::prelude::*;

/// Pixels that one thread combines at a time.
const CHUNK: usize = 4096;

/// Σ conj(s)·a · `scale` over the channels, in their order.
///
/// * `images`, `maps`: `[channel, z, y, x]`; of the images only as many channels as the maps
///   have are used.
/// * `combined`: `[z, y, x]`, contiguous.
///
/// # Panics
/// If they have different numbers of pixels, or the images fewer channels than the maps.
pub fn combine(
    images: ArrayView4<'_, Complex32>,
    maps: ArrayView4<'_, Complex32>,
    scale: f32,
    combined: &mut [Complex32],
) {
    let n_pixels = combined.len();
    let pixels = |array: ArrayView4<'_, Complex32>| array.shape()[1..].iter().product::<usize>();
    assert_eq!([pixels(images), pixels(maps)], [n_pixels; 2], "pixels of images and maps");
    assert!(images.dim().0 >= maps.dim().0, "channels of images and maps");
    let (images, maps) = (images.as_standard_layout(), maps.as_standard_layout());
    let (Some(images), Some(maps)) = (images.as_slice(), maps.as_slice()) else { return };
    if n_pixels == 0 {
        return;
    }
    combined.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, sums)| {
        let start = chunk * CHUNK;
        sums.fill(Complex32::ZERO);
        for (image, map) in images.chunks_exact(n_pixels).zip(maps.chunks_exact(n_pixels)) {
            add_conjugate_products(&map[start..], &image[start..], sums);
        }
        sums.iter_mut().for_each(|sum| *sum *= scale);
    });
}

/// `sums` += conj(`maps`) · `images`.
#[multiversion::multiversion(targets("x86_64+avx2+fma", "x86_64+avx"))]
fn add_conjugate_products(maps: &[Complex32], images: &[Complex32], sums: &mut [Complex32]) {
    for (sum, (map, image)) in sums.iter_mut().zip(maps.iter().zip(images)) {
        sum.re += map.re * image.re + map.im * image.im;
        sum.im += map.re * image.im - map.im * image.re;
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array4;

    use super::*;

    #[test]
    fn channels_are_weighted_with_their_conjugated_maps() {
        let value = |n: usize| Complex32::new((n as f32 * 0.7).sin(), (n as f32 * 1.3).cos());
        let images = Array4::from_shape_fn((3, 1, 50, 100), |(c, _, y, x)| value(c + y * 7 + x));
        let maps = Array4::from_shape_fn((2, 1, 50, 100), |(c, _, y, x)| value(3 * c + y + 5 * x));
        let mut combined = vec![Complex32::ONE; 5000];
        combine(images.view(), maps.view(), 0.5, &mut combined);
        for (n, found) in combined.iter().enumerate() {
            let at = |c| [c, 0, n / 100, n % 100];
            let expected: Complex32 =
                (0..2).map(|c| maps[at(c)].conj() * images[at(c)]).sum::<Complex32>() * 0.5;
            assert!((found - expected).norm() < 1e-6, "{n}: {found} and {expected}");
        }
    }
}
