//! Few different time courses in every neighbourhood.

use nalgebra::{DMatrix, SymmetricEigen};
use ndarray::{Array4, ArrayView1};
use num_complex::{Complex32, Complex64};
use rayon::prelude::*;

use crate::percentile::percentile;

/// The blocks that images are cut into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockOptions {
    /// Pixels along z, y and x, 1 or more.
    pub size: [usize; 3],
    /// Where the first block begins; blocks wrap around.
    pub shift: [usize; 3],
}

/// What becomes of a singular value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SingularValues {
    /// It loses so much, but stays 0 or more: the proximal map of Σ ‖block‖₊ (Cai, Candès and Shen
    /// 2010).
    Less(f32),
    /// What is expected of it without noise of this standard deviation in real and imaginary part
    /// together, the same in all pixels and frames (Gavish and Donoho 2017, for the Frobenius norm).
    /// Large ones stay as they are.
    Denoised(f32),
}

impl SingularValues {
    /// What is left over what was, for a matrix of so many rows and columns.
    fn factor(self, value: f64, [n_rows, n_columns]: [usize; 2]) -> f64 {
        match self {
            Self::Less(threshold) => (1.0 - f64::from(threshold) / value).max(0.0),
            // Without noise everything is signal; the formula would divide by 0.
            Self::Denoised(sd) if sd <= 0.0 => 1.0,
            Self::Denoised(sd) => {
                let [few, many] = [n_rows.min(n_columns), n_rows.max(n_columns)].map(|n| n as f64);
                let beta = few / many;
                let square = (value / f64::from(sd)).powi(2) / many;
                let inside = (square - beta - 1.0).powi(2) - 4.0 * beta;
                if square > (1.0 + beta.sqrt()).powi(2) {
                    inside.max(0.0).sqrt() / square
                } else {
                    0.0
                }
            }
        }
    }
}

/// Changes the singular values of every block's matrix of pixels and frames.
///
/// * `images`: `[frame, z, y, x]`.
///
/// # Source
/// Trzasko and Manduca 2011.
pub fn shrink_locally(images: &mut Array4<Complex32>, blocks: BlockOptions, rule: SingularValues) {
    let n_frames = images.dim().0;
    if images.is_empty() {
        return;
    }
    let blocks = Blocks::new(images, blocks);
    let n_pixels = images.len() / n_frames;
    let shrunk: Vec<(Vec<usize>, Vec<Complex32>)> = (0..blocks.n_blocks())
        .into_par_iter()
        .map(|block| {
            let (pixels, mut matrix) = blocks.matrix(images, block);
            shrink(&mut matrix, n_frames, rule);
            (pixels, matrix)
        })
        .collect();
    let mut values = vec![Complex32::ZERO; images.len()];
    for (pixels, matrix) in shrunk {
        for (frame, row) in values.chunks_exact_mut(n_pixels).zip(matrix.chunks(pixels.len())) {
            for (pixel, value) in pixels.iter().zip(row) {
                frame[*pixel] = *value;
            }
        }
    }
    images.iter_mut().zip(values).for_each(|(image, value)| *image = value);
}

/// Standard deviation, real and imaginary part together, of noise that is the same in all pixels
/// and frames, from what is smallest in every block: the median over the blocks that hold
/// anything of the smallest singular value.
///
/// * `images`: `[frame, z, y, x]`, of fewer different courses in a block than frames.
pub fn noise_sd_of_blocks(images: &Array4<Complex32>, blocks: BlockOptions) -> f32 {
    let n_frames = images.dim().0;
    if images.is_empty() {
        return 0.0;
    }
    let blocks = Blocks::new(images, blocks);
    let smallest: Vec<f32> = (0..blocks.n_blocks())
        .into_par_iter()
        .filter_map(|block| {
            let (pixels, matrix) = blocks.matrix(images, block);
            let gram = gram(&matrix, n_frames);
            if !gram.trace().re.is_finite() || gram.trace().re <= 0.0 || pixels.len() < n_frames {
                return None;
            }
            let smallest = gram.symmetric_eigenvalues().min().max(0.0).sqrt();
            // That of noise of 1 (Marchenko and Pastur 1967).
            let edge = (pixels.len() as f64).sqrt() - (n_frames as f64).sqrt();
            Some((smallest / edge.max(0.5)) as f32)
        })
        .collect();
    percentile(ArrayView1::from(&smallest), 0.5).unwrap_or(0.0)
}

/// Where the blocks lie.
struct Blocks {
    shape: [usize; 3],
    size: [usize; 3],
    shift: [usize; 3],
    /// How many along each axis; the last is smaller where the size does not divide the axis.
    count: [usize; 3],
}

impl Blocks {
    fn new(images: &Array4<Complex32>, options: BlockOptions) -> Self {
        let (_, n_z, n_y, n_x) = images.dim();
        let shape = [n_z, n_y, n_x];
        let size = [0, 1, 2].map(|axis| options.size[axis].clamp(1, shape[axis]));
        let count = [0, 1, 2].map(|axis| shape[axis].div_ceil(size[axis]));
        Self { shape, size, shift: options.shift, count }
    }

    fn n_blocks(&self) -> usize {
        self.count.iter().product()
    }

    /// Its pixels, and their courses: `[frame][pixel]`.
    fn matrix(&self, images: &Array4<Complex32>, block: usize) -> (Vec<usize>, Vec<Complex32>) {
        let [_, n_y, n_x] = self.shape;
        let count = self.count;
        let at = [block / (count[1] * count[2]), block / count[2] % count[1], block % count[2]];
        let range = |axis: usize| {
            let from = at[axis] * self.size[axis];
            (from..(from + self.size[axis]).min(self.shape[axis]))
                .map(move |place| (place + self.shift[axis]) % self.shape[axis])
        };
        let mut pixels = Vec::with_capacity(self.size.iter().product());
        for z in range(0) {
            for y in range(1) {
                pixels.extend(range(2).map(|x| (z * n_y + y) * n_x + x));
            }
        }
        let mut matrix = Vec::with_capacity(images.dim().0 * pixels.len());
        for frame in images.outer_iter() {
            let value =
                |pixel: &usize| frame[[pixel / (n_y * n_x), pixel / n_x % n_y, pixel % n_x]];
            matrix.extend(pixels.iter().map(value));
        }
        (pixels, matrix)
    }
}

/// A Aᴴ of `[row][column]`.
pub(super) fn gram(matrix: &[Complex32], n_rows: usize) -> DMatrix<Complex64> {
    let rows: Vec<&[Complex32]> = matrix.chunks_exact(matrix.len() / n_rows).collect();
    let mut gram = DMatrix::<Complex64>::zeros(n_rows, n_rows);
    for (i, a) in rows.iter().enumerate() {
        for (j, b) in rows[..=i].iter().enumerate() {
            let inner = inner(a, b);
            gram[(i, j)] = inner;
            gram[(j, i)] = inner.conj();
        }
    }
    gram
}

/// `[row][column]` with fewer rows than columns, as a rule.
fn shrink(matrix: &mut [Complex32], n_rows: usize, rule: SingularValues) {
    let n_columns = matrix.len() / n_rows;
    let rows: Vec<&[Complex32]> = matrix.chunks_exact(n_columns).collect();
    let gram = gram(matrix, n_rows);
    if !gram.trace().re.is_finite() {
        return;
    }
    let SymmetricEigen { eigenvectors, eigenvalues } = SymmetricEigen::new(gram);
    // U · diag(what is left) · Uᴴ.
    let factors = eigenvalues.map(|value| {
        let singular = value.max(0.0).sqrt();
        if singular > 0.0 { rule.factor(singular, [n_rows, n_columns]) } else { 0.0 }
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
fn inner(a: &[Complex32], b: &[Complex32]) -> Complex64 {
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
        shrink_locally(&mut images, blocks, SingularValues::Less(threshold));
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
        shrink_locally(
            &mut images,
            BlockOptions { size: [1, 8, 8], shift: [0; 3] },
            SingularValues::Less(0.5),
        );
        let ratio = images[[0, 0, 3, 3]] / truth[[0, 0, 3, 3]];
        assert!(ratio.im.abs() < 1e-5 && ratio.re < 1.0 && ratio.re > 0.95, "{ratio}");
        for (found, truth) in images.iter().zip(&truth) {
            assert!((found - truth * ratio).norm() < 1e-3, "{found} {truth}");
        }
    }

    #[test]
    fn of_noise_nothing_is_left_and_of_a_strong_course_all() {
        // Uniform from −½ to ½ in both parts: a variance of 1/6.
        let noise = Scan::new([6, 1, 24, 24], 1, 8).images;
        let rule = SingularValues::Denoised((1.0_f32 / 6.0).sqrt());
        let blocks = BlockOptions { size: [1, 8, 8], shift: [0; 3] };
        let mut images = noise.clone();
        shrink_locally(&mut images, blocks, rule);
        let energy = |images: &Array4<Complex32>| {
            images.iter().map(|value| f64::from(value.norm_sqr())).sum::<f64>()
        };
        assert!(energy(&images) < 0.1 * energy(&noise), "{}", energy(&images) / energy(&noise));
        let truth = Array4::from_shape_fn(noise.dim(), |(frame, ..)| {
            Complex32::new(3.0 - frame as f32, 4.0)
        });
        let mut images = &truth + &noise;
        shrink_locally(&mut images, blocks, rule);
        // One of six courses, and one of 64 pixels' worth of noise along it: 1/6 + 1/64.
        let left = energy(&(&images - &truth)) / energy(&noise);
        assert!(left < 0.25, "{left}");
    }

    #[test]
    fn where_there_is_no_noise_nothing_changes() {
        let truth = Scan::new([3, 1, 8, 8], 2, 3).images;
        let mut images = truth.clone();
        let blocks = BlockOptions { size: [1, 4, 4], shift: [0; 3] };
        shrink_locally(&mut images, blocks, SingularValues::Denoised(0.0));
        for (found, truth) in images.iter().zip(&truth) {
            assert!((found - truth).norm() < 1e-5, "{found} {truth}");
        }
    }

    #[test]
    fn numbers_that_are_none_stay_in_their_block() {
        let mut images = Scan::new([3, 1, 8, 8], 2, 3).images;
        images[[0, 0, 0, 0]] = Complex32::new(f32::NAN, 0.0);
        shrink_locally(
            &mut images,
            BlockOptions { size: [1, 4, 4], shift: [0; 3] },
            SingularValues::Less(0.1),
        );
        assert_eq!(images.iter().filter(|value| !value.re.is_finite()).count(), 1);
    }
}
