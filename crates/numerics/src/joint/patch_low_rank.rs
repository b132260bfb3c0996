//! Few different patterns and time courses among similar patches.

use nalgebra::{DMatrix, SymmetricEigen};
use ndarray::Array4;
use num_complex::Complex32;
use rayon::prelude::*;

use super::locally_low_rank::gram;

/// Which patches are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PatchOptions {
    /// Pixels along z, y and x.
    pub size: [usize; 3],
    /// Patches that are gathered, the first among them.
    pub n_similar: usize,
    /// How far away along an axis they may lie, pixels.
    pub search_radius: usize,
    /// From one first patch to the next along each axis, pixels; at most the size.
    pub stride: usize,
}

impl Default for PatchOptions {
    fn default() -> Self {
        Self { size: [1, 5, 5], n_similar: 20, search_radius: 8, stride: 4 }
    }
}

/// Gathers similar patches, sets the coefficients of their higher-order singular value
/// decomposition to 0 that are smaller than `threshold`, and averages what overlaps.
///
/// * `images`: `[frame, z, y, x]`.
///
/// # Source
/// Bustin et al. 2019 (HD-PROST); De Lathauwer, De Moor and Vandewalle 2000.
pub fn denoise_patches(
    images: &Array4<Complex32>,
    options: PatchOptions,
    threshold: f32,
) -> Array4<Complex32> {
    let (n_frames, n_z, n_y, n_x) = images.dim();
    if images.is_empty() {
        return images.clone();
    }
    let shape = [n_z, n_y, n_x];
    let size = [0, 1, 2].map(|axis| options.size[axis].clamp(1, shape[axis]));
    let images = images.as_standard_layout();
    let plan = Patches {
        values: images.iter().copied().collect(),
        shape,
        n_frames,
        offsets: offsets(size, shape),
        size,
        options,
    };
    // Rows of first patches, each on its own; what they give is added in their order.
    let places = |axis: usize| {
        let last = shape[axis] - size[axis];
        let stride = options.stride.clamp(1, size[axis]);
        (0..last).step_by(stride).chain([last]).collect::<Vec<_>>()
    };
    let [of_z, of_y, of_x] = [0, 1, 2].map(places);
    let rows: Vec<[usize; 2]> =
        of_z.iter().flat_map(|z| of_y.iter().map(move |y| [*z, *y])).collect();
    let n_pixels = n_z * n_y * n_x;
    let mut sum = vec![Complex32::ZERO; n_frames * n_pixels];
    let mut count = vec![0.0_f32; n_pixels];
    for rows in rows.chunks(32) {
        let groups: Vec<_> = rows
            .par_iter()
            .flat_map_iter(|[z, y]| of_x.iter().map(|x| plan.group([*z, *y, *x], threshold)))
            .collect();
        for (corners, tensor) in groups {
            let n_patch = plan.offsets.len();
            for (k, corner) in corners.iter().enumerate() {
                for (pixel, offset) in plan.offsets.iter().enumerate() {
                    let place = corner + offset;
                    count[place] += 1.0;
                    for frame in 0..n_frames {
                        sum[frame * n_pixels + place] +=
                            tensor[(frame * corners.len() + k) * n_patch + pixel];
                    }
                }
            }
        }
    }
    let values = sum.iter().enumerate().map(|(n, sum)| sum / count[n % n_pixels].max(1.0));
    Array4::from_shape_vec((n_frames, n_z, n_y, n_x), values.collect())
        .expect("as many values as pixels")
}

fn offsets(size: [usize; 3], shape: [usize; 3]) -> Vec<usize> {
    let mut offsets = Vec::with_capacity(size.iter().product());
    for z in 0..size[0] {
        for y in 0..size[1] {
            offsets.extend((0..size[2]).map(|x| (z * shape[1] + y) * shape[2] + x));
        }
    }
    offsets
}

struct Patches {
    /// `[frame][pixel]`.
    values: Vec<Complex32>,
    shape: [usize; 3],
    n_frames: usize,
    /// Pixels of a patch from its first.
    offsets: Vec<usize>,
    size: [usize; 3],
    options: PatchOptions,
}

impl Patches {
    /// First pixels of the patches most like the one at `at`, and what is left of them:
    /// `[frame][patch][pixel]`.
    fn group(&self, at: [usize; 3], threshold: f32) -> (Vec<usize>, Vec<Complex32>) {
        let n_pixels: usize = self.shape.iter().product();
        let index = |[z, y, x]: [usize; 3]| (z * self.shape[1] + y) * self.shape[2] + x;
        let first = index(at);
        let radius = self.options.search_radius;
        let range = |axis: usize| {
            let last = self.shape[axis] - self.size[axis];
            at[axis].saturating_sub(radius)..=(at[axis] + radius).min(last)
        };
        let mut candidates = Vec::new();
        for z in range(0) {
            for y in range(1) {
                for x in range(2) {
                    let corner = index([z, y, x]);
                    let mut distance = 0.0;
                    for frame in self.values.chunks_exact(n_pixels) {
                        for offset in &self.offsets {
                            distance += (frame[corner + offset] - frame[first + offset]).norm_sqr();
                        }
                    }
                    candidates.push((distance, corner));
                }
            }
        }
        let n_similar = self.options.n_similar.clamp(1, candidates.len());
        candidates
            .select_nth_unstable_by(n_similar - 1, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let mut corners: Vec<usize> =
            candidates[..n_similar].iter().map(|(_, corner)| *corner).collect();
        corners.sort_unstable();
        let mut tensor = Vec::with_capacity(self.n_frames * n_similar * self.offsets.len());
        for frame in self.values.chunks_exact(n_pixels) {
            for corner in &corners {
                tensor.extend(self.offsets.iter().map(|offset| frame[corner + offset]));
            }
        }
        if tensor.iter().all(|value| value.is_finite()) {
            truncate(&mut tensor, [self.n_frames, n_similar, self.offsets.len()], threshold);
        }
        (corners, tensor)
    }
}

/// Sets small coefficients of the higher-order singular value decomposition to 0.
fn truncate(tensor: &mut Vec<Complex32>, shape: [usize; 3], threshold: f32) {
    let mut shape = shape;
    let mut bases = Vec::with_capacity(3);
    // Each turn makes the last axis the first, with the coefficients of its modes.
    for _ in 0..3 {
        let n = shape[2];
        let rest = tensor.len() / n;
        let turned: Vec<Complex32> =
            (0..n * rest).map(|place| tensor[place % rest * n + place / rest]).collect();
        let basis = modes(&turned, n);
        *tensor = multiply(&basis, &turned, n, true);
        bases.push(basis);
        shape = [n, shape[0], shape[1]];
    }
    for value in tensor.iter_mut() {
        if value.norm() < threshold {
            *value = Complex32::ZERO;
        }
    }
    // Back the same way: the first axis becomes the last.
    for basis in bases.iter().rev() {
        let n = shape[0];
        let rest = tensor.len() / n;
        let turned = multiply(basis, tensor, n, false);
        *tensor = (0..n * rest).map(|place| turned[place % n * rest + place / n]).collect();
        shape = [shape[1], shape[2], n];
    }
}

/// Eigenvectors, in columns, of A Aᴴ for `[row][column]`.
fn modes(matrix: &[Complex32], n_rows: usize) -> DMatrix<Complex32> {
    SymmetricEigen::new(gram(matrix, n_rows))
        .eigenvectors
        .map(|value| Complex32::new(value.re as f32, value.im as f32))
}

/// B A, or Bᴴ A, for `[row][column]`.
fn multiply(
    basis: &DMatrix<Complex32>,
    matrix: &[Complex32],
    n_rows: usize,
    is_adjoint: bool,
) -> Vec<Complex32> {
    let n_columns = matrix.len() / n_rows;
    let mut result = vec![Complex32::ZERO; matrix.len()];
    for (i, target) in result.chunks_exact_mut(n_columns).enumerate() {
        for (j, row) in matrix.chunks_exact(n_columns).enumerate() {
            let weight = if is_adjoint { basis[(j, i)].conj() } else { basis[(i, j)] };
            for (target, value) in target.iter_mut().zip(row) {
                *target += weight * value;
            }
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::joint::testing::Scan;

    #[test]
    fn without_a_threshold_nothing_changes() {
        let images = Scan::new([3, 2, 9, 11], 1, 8).images;
        let options = PatchOptions { size: [2, 3, 4], n_similar: 5, search_radius: 3, stride: 2 };
        let found = denoise_patches(&images, options, 0.0);
        for (found, truth) in found.iter().zip(&images) {
            assert!((found - truth).norm() < 1e-4, "{found} {truth}");
        }
    }

    #[test]
    fn noise_goes_and_a_pattern_stays() {
        let noise = Scan::new([4, 1, 30, 30], 1, 9).images;
        let truth = Array4::from_shape_fn(noise.dim(), |(frame, _, y, x)| {
            let value = if (y / 5 + x / 5) % 2 == 0 { 3.0 } else { 1.0 };
            Complex32::new(value * (1.0 - 0.3 * frame as f32), 0.5 * value)
        });
        let noisy = &truth + &noise;
        // Uniform from −½ to ½ in both parts: a standard deviation of 0.29.
        let found = denoise_patches(&noisy, PatchOptions::default(), 1.2);
        let error = |images: &Array4<Complex32>| {
            images.iter().zip(&truth).map(|(a, b)| (a - b).norm_sqr()).sum::<f32>()
        };
        assert!(error(&found) < 0.2 * error(&noisy), "{} {}", error(&found), error(&noisy));
    }
}
