//! Non-local Bayes.

use nalgebra::{DMatrix, SymmetricEigen};
use ndarray::{Array2, ArrayView2};
use num_complex::{Complex32, Complex64};
use rayon::prelude::*;

use super::{BAND_ROWS, HALF, PATCH, mirrored, window};

/// Pixels of a patch.
const N: usize = PATCH * PATCH;
/// Patches that are denoised together.
const N_ALIKE: usize = 2 * N;
/// A group whose variance is at most this times that of the noise shows nothing but noise.
const HOMOGENEOUS: f64 = 1.05;

/// Estimates groups of patches that look alike as samples of one normal distribution.
///
/// * `image`: `[y, x]`. A real image has imaginary parts of 0.
/// * `noise_variance`: mean of |noise|² of a pixel: 2 where real and imaginary part have a
///   standard deviation of 1, 1 for a real image whose noise has one of 1.
/// * `search_width`: edge of the square around a pixel that is searched.
///
/// # Source
/// Lebrun, Buades, Morel, A Nonlocal Bayesian Image Denoising Algorithm, SIAM J. Imaging Sci.
/// 2013, both steps. Departures: the image is worked on in bands of 16 rows, and a patch that has
/// been in a group of its band does not begin another. Where a group varies less than the noise
/// in some direction, which the paper's matrix turns round, the group's mean is taken.
pub fn non_local_bayes(
    image: ArrayView2<'_, Complex32>,
    noise_variance: f32,
    search_width: usize,
) -> Array2<Complex32> {
    if image.is_empty() || noise_variance.is_nan() || noise_variance <= 0.0 {
        return image.to_owned();
    }
    let variance = f64::from(noise_variance);
    let basic = step(image, None, variance, search_width);
    step(image, Some(basic.view()), variance, search_width)
}

/// One step: without a basic estimate the first, with one the second.
fn step(
    image: ArrayView2<'_, Complex32>,
    basic: Option<ArrayView2<'_, Complex32>>,
    variance: f64,
    search_width: usize,
) -> Array2<Complex32> {
    let (height, width) = image.dim();
    let bands: Vec<_> = (0..height)
        .step_by(BAND_ROWS)
        .collect::<Vec<_>>()
        .into_par_iter()
        .map(|first| Band::new(image, first, search_width).run(basic, variance, search_width))
        .collect();
    let mut sum = Array2::<Complex32>::zeros((height, width));
    let mut count = Array2::<f32>::zeros((height, width));
    // Bands overlap: they are added in order.
    for band in bands {
        for ((y, x), value) in band.sum.indexed_iter() {
            sum[[band.top + y, x]] += value;
            count[[band.top + y, x]] += band.count[[y, x]];
        }
    }
    sum.zip_mut_with(&count, |sum, count| *sum /= count.max(1.0));
    sum
}

type Patch = [Complex32; N];

struct Band<'i> {
    image: ArrayView2<'i, Complex32>,
    /// Rows whose patches begin groups.
    first: usize,
    last: usize,
    /// First row that the band's patches reach.
    top: usize,
    sum: Array2<Complex32>,
    count: Array2<f32>,
}

impl<'i> Band<'i> {
    fn new(image: ArrayView2<'i, Complex32>, first: usize, search_width: usize) -> Self {
        let (height, width) = image.dim();
        let last = (first + BAND_ROWS).min(height);
        let reach = search_width / 2 + HALF;
        let top = first.saturating_sub(reach);
        let n_rows = (last + reach).min(height) - top;
        let (sum, count) = (Array2::zeros((n_rows, width)), Array2::zeros((n_rows, width)));
        Self { image, first, last, top, sum, count }
    }

    fn run(
        mut self,
        basic: Option<ArrayView2<'_, Complex32>>,
        variance: f64,
        search_width: usize,
    ) -> Self {
        let (height, width) = self.image.dim();
        // What patches are compared by and what they are samples of.
        let guide = basic.unwrap_or(self.image);
        let mut is_done = Array2::from_elem((self.last - self.first, width), false);
        let mut alike: Vec<(f32, [usize; 2])> = Vec::new();
        for y in self.first..self.last {
            for x in 0..width {
                if is_done[[y - self.first, x]] {
                    continue;
                }
                let reference = patch(guide, y, x);
                alike.clear();
                for there_y in window(y, search_width, height) {
                    for there_x in window(x, search_width, width) {
                        let distance = distance(guide, there_y, there_x, &reference);
                        alike.push((distance, [there_y, there_x]));
                    }
                }
                if alike.len() > N_ALIKE {
                    alike.select_nth_unstable_by(N_ALIKE - 1, |a, b| {
                        a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))
                    });
                    alike.truncate(N_ALIKE);
                    // Sums must not depend on how the selection left them.
                    alike.sort_unstable_by_key(|(_, place)| *place);
                }
                let places: Vec<_> = alike.iter().map(|(_, place)| *place).collect();
                let noisy: Vec<_> = places.iter().map(|[y, x]| patch(self.image, *y, *x)).collect();
                let estimates = match basic {
                    // What is left of the variance without the noise's.
                    None => estimate(&noisy, &noisy, variance, |of_group| {
                        (1.0 - variance / of_group).max(0.0)
                    }),
                    Some(basic) => {
                        let guides: Vec<_> =
                            places.iter().map(|[y, x]| patch(basic, *y, *x)).collect();
                        estimate(&noisy, &guides, variance, |of_group| {
                            of_group / (of_group + variance)
                        })
                    }
                };
                for (place, estimate) in places.into_iter().zip(estimates) {
                    self.add(place, &estimate);
                    if (self.first..self.last).contains(&place[0]) {
                        is_done[[place[0] - self.first, place[1]]] = true;
                    }
                }
                is_done[[y - self.first, x]] = true;
            }
        }
        self
    }

    /// Adds the part of a patch that lies in the image.
    fn add(&mut self, [y, x]: [usize; 2], patch: &Patch) {
        let (height, width) = self.image.dim();
        for row in 0..PATCH {
            for column in 0..PATCH {
                let (y, x) = (y + row, x + column);
                if (HALF..height + HALF).contains(&y) && (HALF..width + HALF).contains(&x) {
                    let place = [y - HALF - self.top, x - HALF];
                    self.sum[place] += patch[row * PATCH + column];
                    self.count[place] += 1.0;
                }
            }
        }
    }
}

/// Pixels around a pixel.
fn patch(image: ArrayView2<'_, Complex32>, y: usize, x: usize) -> Patch {
    let (height, width) = image.dim();
    let at =
        |centre: usize, offset: usize, n| mirrored((centre + offset) as isize - HALF as isize, n);
    std::array::from_fn(|i| image[[at(y, i / PATCH, height), at(x, i % PATCH, width)]])
}

/// Sum of the squared differences of the patch at a place to another.
fn distance(image: ArrayView2<'_, Complex32>, y: usize, x: usize, other: &Patch) -> f32 {
    let (height, width) = image.dim();
    let is_inside = (HALF..height.saturating_sub(HALF)).contains(&y)
        && (HALF..width.saturating_sub(HALF)).contains(&x);
    if !is_inside {
        return patch(image, y, x).iter().zip(other).map(|(a, b)| (a - b).norm_sqr()).sum();
    }
    let mut sum = 0.0;
    for row in 0..PATCH {
        for column in 0..PATCH {
            let value = image[[y + row - HALF, x + column - HALF]];
            sum += (value - other[row * PATCH + column]).norm_sqr();
        }
    }
    sum
}

/// Estimates of a group of noisy patches: the mean of `samples`, and of what differs from it along
/// each eigenvector of their covariance the part that `gain` gives for the eigenvalue.
fn estimate(
    noisy: &[Patch],
    samples: &[Patch],
    variance: f64,
    gain: impl Fn(f64) -> f64,
) -> Vec<Patch> {
    let n = samples.len() as f64;
    let wide = |value: Complex32| Complex64::new(f64::from(value.re), f64::from(value.im));
    let narrow = |value: Complex64| Complex32::new(value.re as f32, value.im as f32);
    let mut mean = [Complex64::default(); N];
    for sample in samples {
        mean.iter_mut().zip(sample).for_each(|(mean, value)| *mean += wide(*value) / n);
    }
    // Of the noisy patches, whose pixels differ by noise alone where nothing else is there.
    let pixels = noisy.iter().flatten().map(|value| wide(*value));
    let n_pixels = (noisy.len() * N) as f64;
    let level = pixels.clone().sum::<Complex64>() / n_pixels;
    let spread = pixels.map(|value| (value - level).norm_sqr()).sum::<f64>() / (n_pixels - 1.0);
    if spread <= HOMOGENEOUS * variance {
        return vec![[narrow(level); N]; noisy.len()];
    }
    if samples.len() < 2 {
        return noisy.to_vec();
    }
    let centred = DMatrix::from_fn(N, samples.len(), |i, k| wide(samples[k][i]) - mean[i]);
    let covariance = &centred * centred.adjoint() / Complex64::from(n - 1.0);
    let eigen = SymmetricEigen::new(covariance);
    let noisy_centred = DMatrix::from_fn(N, noisy.len(), |i, k| wide(noisy[k][i]) - mean[i]);
    let mut parts = eigen.eigenvectors.adjoint() * noisy_centred;
    for (mut row, eigenvalue) in parts.row_iter_mut().zip(eigen.eigenvalues.iter()) {
        // Rounding may leave less than nothing.
        row *= Complex64::from(if *eigenvalue > 0.0 { gain(*eigenvalue) } else { 0.0 });
    }
    let estimates = eigen.eigenvectors * parts;
    (0..noisy.len()).map(|k| std::array::from_fn(|i| narrow(mean[i] + estimates[(i, k)]))).collect()
}
