//! Few different time courses in every neighbourhood.

use nalgebra::{DMatrix, SymmetricEigen};
use ndarray::Array4;
use num_complex::{Complex32, Complex64};
use rayon::prelude::*;

/// The blocks that images are cut into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockOptions {
    /// Pixels along z, y and x, 1 or more.
    pub size: [usize; 3],
    /// Where the first block begins; blocks wrap around.
    pub shift: [usize; 3],
}

/// Shrinks the singular values of every block's matrix of pixels and frames by `threshold`: the
/// proximal map of Σ ‖block‖₊.
///
/// * `images`: `[frame, z, y, x]`.
///
/// # Source
/// Cai, Candès and Shen 2010 for the singular values; Trzasko and Manduca 2011 for the blocks.
pub fn shrink_locally(images: &mut Array4<Complex32>, blocks: BlockOptions, threshold: f32) {
    let (n_frames, n_z, n_y, n_x) = images.dim();
    let shape = [n_z, n_y, n_x];
    if images.is_empty() {
        return;
    }
    let size = [0, 1, 2].map(|axis| blocks.size[axis].clamp(1, shape[axis]));
    let count = [0, 1, 2].map(|axis| shape[axis].div_ceil(size[axis]));
    let n_pixels: usize = shape.iter().product();
    let n_blocks: usize = count.iter().product();
    // The last block of an axis is smaller where its size does not divide the axis.
    let pixels_of = |block: usize| -> Vec<usize> {
        let at = [block / (count[1] * count[2]), block / count[2] % count[1], block % count[2]];
        let range = |axis: usize| {
            let from = at[axis] * size[axis];
            (from..(from + size[axis]).min(shape[axis]))
                .map(move |place| (place + blocks.shift[axis]) % shape[axis])
        };
        let mut pixels = Vec::with_capacity(size.iter().product());
        for z in range(0) {
            for y in range(1) {
                pixels.extend(range(2).map(|x| (z * n_y + y) * n_x + x));
            }
        }
        pixels
    };
    let Some(values) = images.as_slice_mut() else {
        let mut copy = images.as_standard_layout().into_owned();
        shrink_locally(&mut copy, blocks, threshold);
        images.assign(&copy);
        return;
    };
    let shrunk: Vec<(Vec<usize>, Vec<Complex32>)> = (0..n_blocks)
        .into_par_iter()
        .map(|block| {
            let pixels = pixels_of(block);
            let mut matrix = Vec::with_capacity(n_frames * pixels.len());
            for frame in values.chunks_exact(n_pixels) {
                matrix.extend(pixels.iter().map(|pixel| frame[*pixel]));
            }
            shrink(&mut matrix, n_frames, threshold);
            (pixels, matrix)
        })
        .collect();
    for (pixels, matrix) in shrunk {
        for (frame, row) in values.chunks_exact_mut(n_pixels).zip(matrix.chunks(pixels.len())) {
            for (pixel, value) in pixels.iter().zip(row) {
                frame[*pixel] = *value;
            }
        }
    }
}

/// `[row][column]` with fewer rows than columns, as a rule.
fn shrink(matrix: &mut [Complex32], n_rows: usize, threshold: f32) {
    let n_columns = matrix.len() / n_rows;
    let rows: Vec<&[Complex32]> = matrix.chunks_exact(n_columns).collect();
    let mut gram = DMatrix::<Complex64>::zeros(n_rows, n_rows);
    for (i, a) in rows.iter().enumerate() {
        for (j, b) in rows[..=i].iter().enumerate() {
            let inner = inner(a, b);
            gram[(i, j)] = inner;
            gram[(j, i)] = inner.conj();
        }
    }
    if !gram.trace().re.is_finite() {
        return;
    }
    let SymmetricEigen { eigenvectors, eigenvalues } = SymmetricEigen::new(gram);
    // U · max(1 − t/σ, 0) · Uᴴ.
    let factors = eigenvalues.map(|value| {
        let singular = value.max(0.0).sqrt();
        if singular > f64::from(threshold) { 1.0 - f64::from(threshold) / singular } else { 0.0 }
    });
    let mut kept = DMatrix::<Complex64>::zeros(n_rows, n_rows);
    for (vector, factor) in eigenvectors.column_iter().zip(factors.iter()) {
        if *factor > 0.0 {
            kept += vector * vector.adjoint() * Complex64::from(*factor);
        }
    }
    let mut result = vec![Complex32::ZERO; matrix.len()];
    for (i, target) in result.chunks_exact_mut(n_columns).enumerate() {
        for (j, row) in rows.iter().enumerate() {
            let Complex64 { re, im } = kept[(i, j)];
            let weight = Complex32::new(re as f32, im as f32);
            for (target, value) in target.iter_mut().zip(*row) {
                *target += weight * value;
            }
        }
    }
    matrix.copy_from_slice(&result);
}

/// Σ a · conj(b).
pub(super) fn inner(a: &[Complex32], b: &[Complex32]) -> Complex64 {
    let mut sums = [[0.0_f32; 8]; 2];
    let (a_whole, a_rest) = a.as_chunks::<8>();
    let (b_whole, b_rest) = b.as_chunks::<8>();
    for (a, b) in a_whole.iter().zip(b_whole) {
        for lane in 0..8 {
            sums[0][lane] += a[lane].re * b[lane].re + a[lane].im * b[lane].im;
            sums[1][lane] += a[lane].im * b[lane].re - a[lane].re * b[lane].im;
        }
    }
    let rest: Complex32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b.conj()).sum();
    let [re, im] = sums.map(|lanes| lanes.iter().map(|sum| f64::from(*sum)).sum::<f64>());
    Complex64::new(re + f64::from(rest.re), im + f64::from(rest.im))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::joint::testing::Scan;

    fn singular_values(images: &Array4<Complex32>, pixels: &[[usize; 3]]) -> Vec<f64> {
        let matrix = DMatrix::from_fn(images.dim().0, pixels.len(), |frame, pixel| {
            let [z, y, x] = pixels[pixel];
            let Complex32 { re, im } = images[[frame, z, y, x]];
            Complex64::new(f64::from(re), f64::from(im))
        });
        matrix.singular_values().iter().copied().collect()
    }

    #[test]
    fn singular_values_of_every_block_lose_the_threshold() {
        let mut images = Scan::new([4, 2, 7, 6], 2, 3).images;
        let blocks = BlockOptions { size: [2, 4, 3], shift: [1, 5, 2] };
        let before = images.clone();
        let threshold = 0.7;
        shrink_locally(&mut images, blocks, threshold);
        // The first block wraps around; the last along y has 3 pixels.
        for (from, n_y) in [([1, 5, 2], 4), ([1, 2, 2], 3), ([1, 5, 5], 4)] {
            let mut pixels = Vec::new();
            for z in 0..2 {
                for y in 0..n_y {
                    for x in 0..3 {
                        pixels.push([(from[0] + z) % 2, (from[1] + y) % 7, (from[2] + x) % 6]);
                    }
                }
            }
            let expected = singular_values(&before, &pixels);
            let found = singular_values(&images, &pixels);
            assert!(expected.iter().any(|value| *value > f64::from(threshold)));
            for (found, before) in found.iter().zip(expected) {
                let expected = (before - f64::from(threshold)).max(0.0);
                assert!((found - expected).abs() < 1e-4, "{found} {expected}");
            }
        }
    }

    #[test]
    fn a_series_of_one_time_course_only_becomes_fainter() {
        let course = [1.0, -0.5, 0.3];
        let truth = Array4::from_shape_fn((3, 1, 8, 8), |(frame, _, y, x)| {
            Complex32::new(course[frame] * (1.0 + y as f32), course[frame] * x as f32)
        });
        let mut images = truth.clone();
        shrink_locally(&mut images, BlockOptions { size: [1, 8, 8], shift: [0; 3] }, 0.5);
        let ratio = images[[0, 0, 3, 3]] / truth[[0, 0, 3, 3]];
        assert!(ratio.im.abs() < 1e-5 && ratio.re < 1.0 && ratio.re > 0.95, "{ratio}");
        for (found, truth) in images.iter().zip(&truth) {
            assert!((found - truth * ratio).norm() < 1e-3, "{found} {truth}");
        }
    }

    #[test]
    fn numbers_that_are_none_stay_in_their_block() {
        let mut images = Scan::new([3, 1, 8, 8], 2, 3).images;
        images[[0, 0, 0, 0]] = Complex32::new(f32::NAN, 0.0);
        shrink_locally(&mut images, BlockOptions { size: [1, 4, 4], shift: [0; 3] }, 0.1);
        assert_eq!(images.iter().filter(|value| !value.re.is_finite()).count(), 1);
    }
}
