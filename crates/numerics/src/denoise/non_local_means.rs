//! Non-local means.

use ndarray::{Array2, ArrayView2, Axis};
use num_complex::Complex32;
use rayon::prelude::*;

use super::{BAND_ROWS, HALF, PATCH, mirrored};

/// Filter strength over the noise's standard deviation.
const STRENGTH: f32 = 0.4;

/// Mean of the pixels around each pixel, weighted by how much their surroundings look like its
/// own.
///
/// * `image`: `[y, x]`. A real image has imaginary parts of 0.
/// * `noise_variance`: mean of |noise|² of a pixel: 2 where real and imaginary part have a
///   standard deviation of 1, 1 for a real image whose noise has one of 1.
/// * `search_width`: edge of the square around a pixel that is searched.
///
/// # Source
/// Buades, Coll, Morel, Non-Local Means Denoising, IPOL 2011: patches of 5 × 5, strength 0.4, the
/// pixel itself weighs as much as the best of the others.
pub fn non_local_means(
    image: ArrayView2<'_, Complex32>,
    noise_variance: f32,
    search_width: usize,
) -> Array2<Complex32> {
    let (height, width) = image.dim();
    let mut denoised = Array2::zeros((height, width));
    if height == 0 || width == 0 {
        return denoised;
    }
    let bands: Vec<_> = denoised.axis_chunks_iter_mut(Axis(0), BAND_ROWS).collect();
    bands.into_par_iter().enumerate().for_each(|(band, mut rows)| {
        rows.assign(&denoise_rows(image, noise_variance, search_width, band * BAND_ROWS));
    });
    denoised
}

/// The band of rows that begins at `first`.
fn denoise_rows(
    image: ArrayView2<'_, Complex32>,
    noise_variance: f32,
    search_width: usize,
    first: usize,
) -> Array2<Complex32> {
    let (height, width) = image.dim();
    let n_rows = BAND_ROWS.min(height - first);
    let half = (search_width / 2) as isize;
    let strength = (STRENGTH * STRENGTH * noise_variance).max(f32::MIN_POSITIVE);
    let mut sum = Array2::<Complex32>::zeros((n_rows, width));
    let mut weights = Array2::<f32>::zeros((n_rows, width));
    let mut best = Array2::<f32>::zeros((n_rows, width));
    // Squared differences to the shifted image, with half a patch more on all sides.
    let mut difference = Array2::<f32>::zeros((n_rows + 2 * HALF, width + 2 * HALF));
    let mut along_x = Array2::<f32>::zeros((n_rows + 2 * HALF, width));
    for dy in -half..=half {
        for dx in -half..=half {
            if (dy, dx) == (0, 0) {
                continue;
            }
            for ((y, x), difference) in difference.indexed_iter_mut() {
                let (y, x) = ((first + y) as isize - HALF as isize, x as isize - HALF as isize);
                let here = image[[mirrored(y, height), mirrored(x, width)]];
                let there = image[[mirrored(y + dy, height), mirrored(x + dx, width)]];
                *difference = (here - there).norm_sqr();
            }
            for (mut sums, row) in along_x.outer_iter_mut().zip(difference.outer_iter()) {
                for (x, sum) in sums.iter_mut().enumerate() {
                    *sum = row.iter().skip(x).take(PATCH).sum();
                }
            }
            for y in 0..n_rows {
                let there_y = (first + y) as isize + dy;
                if there_y < 0 || there_y >= height as isize {
                    continue;
                }
                for x in 0..width {
                    let there_x = x as isize + dx;
                    if there_x < 0 || there_x >= width as isize {
                        continue;
                    }
                    let distance: f32 = (0..PATCH).map(|row| along_x[[y + row, x]]).sum();
                    let distance = distance / (PATCH * PATCH) as f32;
                    let weight = (-(distance - 2.0 * noise_variance).max(0.0) / strength).exp();
                    sum[[y, x]] += image[[there_y as usize, there_x as usize]] * weight;
                    weights[[y, x]] += weight;
                    best[[y, x]] = best[[y, x]].max(weight);
                }
            }
        }
    }
    for ((y, x), sum) in sum.indexed_iter_mut() {
        // Alone of its kind, a pixel stays.
        let own = if best[[y, x]] > 0.0 { best[[y, x]] } else { 1.0 };
        *sum = (*sum + image[[first + y, x]] * own) / (weights[[y, x]] + own);
    }
    sum
}
