//! Principal components of patches of a series of images, without those that noise makes.

use nalgebra::{DMatrix, SymmetricEigen};
use ndarray::{Array3, Array4, ArrayView4, Axis, s};
use rayon::prelude::*;

/// Rows of patches that one task takes: fixed, so that the number of threads changes nothing.
const BAND: usize = 8;

/// A series without most of its noise, and what that noise was.
#[derive(Clone, Debug)]
pub struct MpPca {
    /// `[image, z, y, x]`, not below 0.
    pub images: Array4<f32>,
    /// Standard deviation of the noise: `[z, y, x]`.
    pub noise_sd: Array3<f32>,
}

/// A series does not hold a patch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{n_images} images of {shape:?} pixels (z, y, x) hold no patch of {patch:?} with 2 pixels or more"
)]
pub struct PatchError {
    n_images: usize,
    shape: [usize; 3],
    patch: [usize; 3],
}

/// Takes the noise out of a series of magnitude images of one object.
///
/// The images of a patch, each less its mean, are samples of as many numbers as there are images.
/// Eigenvalues of their covariance that lie as those of noise alone would (Marčenko and Pastur)
/// are noise: its variance is their mean, and components whose eigenvalues are not above what
/// noise reaches are left out. Patches overlap; one that needs fewer components counts more.
///
/// * `images`: `[image, z, y, x]`.
/// * `radius`: pixels to each side of a patch's centre along z, y, x; 0 along an axis of 1.
///
/// # Errors
/// [`PatchError`]: a patch is larger than the images or has one pixel, or there is one image.
///
/// # Source
/// Veraart et al. 2016 (NeuroImage 142), in DIPY's form: variance as in their equation 12, the
/// threshold (1 + √(n_images/n_pixels))² of it, weights of Manjón et al. 2013. With more images
/// than pixels in a patch the two change places, as Veraart has it; DIPY divides by the number of
/// pixels there too and finds too much noise.
pub fn mp_pca(images: ArrayView4<'_, f32>, radius: [usize; 3]) -> Result<MpPca, PatchError> {
    let (n_images, n_z, n_y, n_x) = images.dim();
    let shape = [n_z, n_y, n_x];
    let radius: [usize; 3] =
        std::array::from_fn(|axis| if shape[axis] == 1 { 0 } else { radius[axis] });
    let patch = radius.map(|radius| 2 * radius + 1);
    let n_samples: usize = patch.iter().product();
    if n_images < 2 || n_samples < 2 || shape.iter().zip(patch).any(|(n, patch)| *n < patch) {
        return Err(PatchError { n_images, shape, patch });
    }
    let places = (n_z - patch[0] + 1, n_y - patch[1] + 1);
    let bands: Vec<(usize, usize)> =
        (0..places.0).flat_map(|z| (0..places.1).step_by(BAND).map(move |y| (z, y))).collect();
    let sums: Vec<Sums> = bands
        .par_iter()
        .map(|&(z, y)| {
            let n_rows = BAND.min(places.1 - y);
            let part = s![.., z..z + patch[0], y..y + n_rows + patch[1] - 1, ..];
            denoise_band(images.slice(part), patch, n_rows)
        })
        .collect();
    let mut total = Sums::zeros([n_images, n_z, n_y, n_x]);
    for ((z, y), part) in bands.iter().zip(&sums) {
        let (_, depth, height, _) = part.images.dim();
        let place = s![*z..z + depth, *y..y + height, ..];
        let mut target = total.images.slice_mut(s![.., *z..z + depth, *y..y + height, ..]);
        target += &part.images;
        let mut target = total.variance.slice_mut(place);
        target += &part.variance;
        let mut target = total.weights.slice_mut(place);
        target += &part.weights;
    }
    let mut images = total.images;
    for mut image in images.axis_iter_mut(Axis(0)) {
        image.zip_mut_with(&total.weights, |sum, weight| *sum = (*sum / weight).max(0.0));
    }
    let mut noise_sd = total.variance;
    noise_sd.zip_mut_with(&total.weights, |sum, weight| *sum = (*sum / weight).max(0.0).sqrt());
    Ok(MpPca { images, noise_sd })
}

struct Sums {
    images: Array4<f32>,
    variance: Array3<f32>,
    weights: Array3<f32>,
}

impl Sums {
    fn zeros([n, z, y, x]: [usize; 4]) -> Self {
        Self {
            images: Array4::zeros((n, z, y, x)),
            variance: Array3::zeros((z, y, x)),
            weights: Array3::zeros((z, y, x)),
        }
    }
}

/// All patches of a band that is one patch deep.
fn denoise_band(images: ArrayView4<'_, f32>, patch: [usize; 3], n_rows: usize) -> Sums {
    let (n_images, depth, height, width) = images.dim();
    let n_samples = patch.iter().product::<usize>();
    let mut sums = Sums::zeros([n_images, depth, height, width]);
    // A column for each image.
    let mut samples = DMatrix::<f64>::zeros(n_samples, n_images);
    let mut means = vec![0.0; n_images];
    for y in 0..n_rows {
        for x in 0..=width - patch[2] {
            let part = s![.., y..y + patch[1], x..x + patch[2]];
            for (image, mean) in means.iter_mut().enumerate() {
                let values = images.index_axis(Axis(0), image);
                let values = values.slice(part);
                let mut column = samples.column_mut(image);
                column.iter_mut().zip(values).for_each(|(sample, v)| *sample = f64::from(*v));
                *mean = column.mean();
                column.add_scalar_mut(-*mean);
            }
            let (variance, n_kept) = reduce(&mut samples);
            let weight = 1.0 / (1.0 + n_kept as f32);
            for (image, mean) in means.iter().enumerate() {
                let mut target = sums.images.index_axis_mut(Axis(0), image);
                let mut target = target.slice_mut(part);
                for (sum, sample) in target.iter_mut().zip(samples.column(image).iter()) {
                    *sum += weight * (sample + mean) as f32;
                }
            }
            sums.variance.slice_mut(part).mapv_inplace(|sum| sum + weight * variance as f32);
            sums.weights.slice_mut(part).mapv_inplace(|sum| sum + weight);
        }
    }
    sums
}

/// Leaves the components of `[sample, image]` that are not noise; the noise's variance and their
/// number.
fn reduce(samples: &mut DMatrix<f64>) -> (f64, usize) {
    let (n_samples, n_images) = samples.shape();
    // The smaller one of the two has all eigenvalues that are not 0.
    let is_wide = n_images > n_samples;
    let gram = if is_wide { &*samples * samples.transpose() } else { samples.tr_mul(samples) };
    let SymmetricEigen { eigenvectors, eigenvalues } = SymmetricEigen::new(gram);
    // The mean that was taken away leaves one sample less, where samples are few.
    let few_samples = n_images > n_samples - 1;
    let n_noise = if few_samples { n_samples - 1 } else { n_images };
    // The longer side: noise's eigenvalues have its variance as their mean.
    let n = if few_samples { n_images } else { n_samples } as f64;
    let mut order: Vec<usize> = (0..eigenvalues.len()).collect();
    order.sort_by(|a, b| eigenvalues[*a].total_cmp(&eigenvalues[*b]));
    let ascending: Vec<f64> = order.iter().map(|place| eigenvalues[*place] / n).collect();
    let first = ascending.len().saturating_sub(n_noise);
    let variance = noise_variance(&ascending[first..], n);
    let threshold = (1.0 + (n_noise as f64 / n).sqrt()).powi(2) * variance;
    let kept: Vec<usize> = order
        .iter()
        .zip(&ascending)
        .filter(|(_, value)| **value >= threshold)
        .map(|(place, _)| *place)
        .collect();
    // All that is 0 is no noise, nor is it a component.
    let n_kept = if variance > 0.0 { kept.len() } else { kept.len().min(first_above(&ascending)) };
    let basis = eigenvectors.select_columns(&kept);
    *samples = if is_wide {
        &basis * basis.tr_mul(samples)
    } else {
        (&*samples * &basis) * basis.transpose()
    };
    (variance, n_kept)
}

fn first_above(ascending: &[f64]) -> usize {
    ascending.iter().filter(|value| **value > 0.0).count()
}

/// Mean of the eigenvalues that lie as noise's do; largest ones are left out until the rest does.
fn noise_variance(ascending: &[f64], n_samples: f64) -> f64 {
    let mut n = ascending.len();
    let mean = |n: usize| ascending[..n].iter().sum::<f64>() / n.max(1) as f64;
    let mut variance = mean(n);
    while n > 1 && ascending[n - 1] - ascending[0] > 4.0 * (n as f64 / n_samples).sqrt() * variance
    {
        n -= 1;
        variance = mean(n);
    }
    variance
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Normal numbers from splitmix64.
    fn normal(state: &mut u64) -> f32 {
        let mut uniform = || {
            *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = *state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (((z ^ (z >> 31)) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
        };
        let (radius, angle) = ((-2.0 * uniform().ln()).sqrt(), std::f64::consts::TAU * uniform());
        (radius * angle.cos()) as f32
    }

    /// Two tissues whose signals decay differently.
    fn object(n: usize, size: usize) -> Array4<f32> {
        Array4::from_shape_fn((n, 1, size, size), |(image, _, y, x)| {
            let place = (0.3 * x as f32).sin() + 0.1 * y as f32;
            200.0 * (-0.08 * image as f32 * (1.0 + 0.4 * place.tanh())).exp() + 20.0
        })
    }

    #[test]
    fn noise_is_known_and_mostly_gone() {
        let (n, size, sd) = (20, 24, 4.0);
        let clean = object(n, size);
        let mut state = 5;
        let noisy = clean.mapv(|value| value + sd * normal(&mut state));
        let found = mp_pca(noisy.view(), [2, 2, 2]).expect("patches fit");
        let rms = |a: &Array4<f32>| {
            (a.iter().zip(&clean).map(|(a, b)| (a - b).powi(2)).sum::<f32>() / a.len() as f32)
                .sqrt()
        };
        // Of 20 components in patches of 25 about 2 stay, and patches overlap.
        assert!(rms(&found.images) < 0.45 * rms(&noisy), "{} {}", rms(&found.images), rms(&noisy));
        let mean = found.noise_sd.mean().expect("pixels");
        assert!((mean / sd - 1.0).abs() < 0.08, "{mean}");
    }

    #[test]
    fn more_images_than_pixels_of_a_patch_and_none_at_all() {
        let (n, size, sd) = (40, 12, 4.0);
        let clean = object(n, size);
        let mut state = 9;
        let noisy = clean.mapv(|value| value + sd * normal(&mut state));
        let found = mp_pca(noisy.view(), [0, 2, 2]).expect("patches fit");
        let mean = found.noise_sd.mean().expect("pixels");
        assert!((mean / sd - 1.0).abs() < 0.1, "{mean}");
        assert!(mp_pca(Array4::zeros((3, 1, 4, 4)).view(), [0, 2, 2]).is_err());
        assert!(mp_pca(Array4::zeros((1, 1, 8, 8)).view(), [0, 2, 2]).is_err());
        let flat = mp_pca(Array4::from_elem((3, 1, 8, 8), 7.0).view(), [0, 2, 2]).expect("fits");
        assert!(flat.images.iter().all(|value| (value - 7.0).abs() < 1e-4));
        assert!(flat.noise_sd.iter().all(|value| *value < 1e-3));
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let mut state = 3;
        let noisy = object(9, 30).mapv(|value| value + normal(&mut state));
        let with = |n: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().expect("threads");
            pool.install(|| mp_pca(noisy.view(), [2, 2, 2]).expect("patches fit"))
        };
        let (one, five) = (with(1), with(5));
        assert_eq!(one.images, five.images);
        assert_eq!(one.noise_sd, five.noise_sd);
    }
}
