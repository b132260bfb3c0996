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
pub fn combine(
    images: ArrayView4<'_, Complex32>,
    maps: ArrayView4<'_, Complex32>,
    scale: f32,
    combined: &mut [Complex32],
) {
    let n_pixels = combined.len();
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
