//! Iterative SENSE for samples anywhere in k-space.

use ndarray::{Array2, Array3, ArrayView2, ArrayView3, Axis, Zip};
use num_complex::{Complex32, Complex64};

use super::{Nufft, Toeplitz};

/// When the conjugate gradients stop, and what keeps them from amplifying noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SenseOptions {
    /// λ of (EᴴWE + λ) x = EᴴW y. EᴴWE is about 1 where nothing is missing.
    pub regularisation: f32,
    /// At most so many steps.
    pub max_iterations: usize,
    /// Stop where the residual falls below this part of what it was.
    pub threshold: f32,
}

impl Default for SenseOptions {
    fn default() -> Self {
        Self { regularisation: 0.001, max_iterations: 15, threshold: 0.001 }
    }
}

/// What it took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SenseReport {
    /// Steps.
    pub n_iterations: usize,
    /// The residual over what it was.
    pub residual: f32,
}

/// Solves for the image of one frame.
///
/// * `samples`: `[channel, sample]`, whitened.
/// * `weights`: of each sample, as [`Nufft::density_compensation`] gives them; those of
///   `normal`, too. They make the steps few and weight the residual.
/// * `coil_maps`: `[channel, y, x]`.
///
/// Returns the image, `[y, x]`, in the intensities of the object where Σ|s|² = 1 and λ = 0, and
/// what it took.
///
/// # Panics
/// If the shapes do not fit each other.
///
/// # Method
/// Conjugate gradients for (EᴴWE + λ) x = EᴴW y from 0, E = transform · maps.
///
/// # Source
/// Pruessmann et al. 2001, without intensity correction.
pub fn cg_sense(
    nufft: &Nufft,
    normal: &Toeplitz,
    samples: ArrayView2<'_, Complex32>,
    weights: &[f32],
    coil_maps: ArrayView3<'_, Complex32>,
    options: &SenseOptions,
) -> (Array2<Complex32>, SenseReport) {
    let (_, n_y, n_x) = coil_maps.dim();
    let mut channels = Array3::zeros(coil_maps.dim());
    nufft.weighted_adjoint(samples, Some(weights), channels.view_mut());
    let mut residual = combine(channels.view(), coil_maps);
    let mut image = Array2::zeros((n_y, n_x));
    let mut direction = residual.clone();
    let first = norm_sqr(&residual);
    let mut report = SenseReport { n_iterations: 0, residual: 1.0 };
    let mut now = first;
    let limit = f64::from(options.threshold).powi(2) * first;
    while report.n_iterations < options.max_iterations && now > limit && now.is_finite() {
        for (mut channel, map) in channels.outer_iter_mut().zip(coil_maps.outer_iter()) {
            Zip::from(&mut channel).and(&map).and(&direction).for_each(|value, map, pixel| {
                *value = map * pixel;
            });
        }
        normal.apply(channels.view_mut());
        let mut product = combine(channels.view(), coil_maps);
        product.zip_mut_with(&direction, |value, pixel| *value += options.regularisation * pixel);
        let curvature: f64 = direction.iter().zip(&product).map(|(a, b)| dot(*a, *b).re).sum();
        if !(curvature > 0.0 && curvature.is_finite()) {
            break;
        }
        let step = (now / curvature) as f32;
        image.zip_mut_with(&direction, |pixel: &mut Complex32, value| *pixel += step * value);
        residual.zip_mut_with(&product, |pixel, value| *pixel -= step * value);
        let next = norm_sqr(&residual);
        let ratio = (next / now) as f32;
        direction.zip_mut_with(&residual, |value, pixel| *value = pixel + ratio * *value);
        now = next;
        report.n_iterations += 1;
    }
    report.residual = if first > 0.0 { (now / first).sqrt() as f32 } else { 0.0 };
    (image, report)
}

/// Σ conj(s)·image over the channels.
fn combine(
    channels: ArrayView3<'_, Complex32>,
    coil_maps: ArrayView3<'_, Complex32>,
) -> Array2<Complex32> {
    assert_eq!(channels.dim(), coil_maps.dim(), "coil images and coil maps");
    let mut sum = Array2::zeros((channels.dim().1, channels.dim().2));
    for channel in 0..channels.dim().0 {
        Zip::from(&mut sum)
            .and(channels.index_axis(Axis(0), channel))
            .and(coil_maps.index_axis(Axis(0), channel))
            .for_each(|sum, value, map| *sum += map.conj() * value);
    }
    sum
}

fn dot(a: Complex32, b: Complex32) -> Complex64 {
    let wide = |value: Complex32| Complex64::new(value.re.into(), value.im.into());
    wide(a).conj() * wide(b)
}

fn norm_sqr(image: &Array2<Complex32>) -> f64 {
    image.iter().map(|value| f64::from(value.norm_sqr())).sum()
}

#[cfg(test)]
mod tests {
    use super::super::Options;
    use super::*;

    #[test]
    fn half_of_the_spokes_and_four_coils_give_the_image() {
        const N: usize = 48;
        let image = Array2::from_shape_fn((N, N), |(y, x)| {
            let (y, x) = (y as f32 / 24.0 - 1.0, x as f32 / 24.0 - 1.0);
            let radius = (y * y + 1.3 * x * x).sqrt();
            // Smooth: k-space beyond the edge of the spokes is empty.
            Complex32::from((1.0 - (radius / 0.8).powi(2)).max(0.0).powi(2))
        });
        let mut maps = Array3::from_shape_fn((4, N, N), |(channel, y, x)| {
            let angle = std::f32::consts::FRAC_PI_2 * channel as f32;
            let (y, x) = (y as f32 / 24.0 - 1.0, x as f32 / 24.0 - 1.0);
            let distance = (y - angle.sin()).powi(2) + (x - angle.cos()).powi(2);
            Complex32::from_polar((-0.6 * distance).exp(), angle)
        });
        for y in 0..N {
            for x in 0..N {
                let mut pixel = maps.slice_mut(ndarray::s![.., y, x]);
                let norm = pixel.iter().map(|v| v.norm_sqr()).sum::<f32>().sqrt();
                pixel.mapv_inplace(|value| value / norm);
            }
        }
        let n_spokes = 38;
        let trajectory: Vec<[f32; 2]> = (0..n_spokes * 2 * N)
            .map(|n| {
                let angle = std::f32::consts::PI * (n / (2 * N)) as f32 / n_spokes as f32;
                let k = (n % (2 * N)) as f32 * 0.5 - 24.0;
                [k * angle.cos(), k * angle.sin()]
            })
            .collect();
        let options = Options::accurate();
        let nufft = Nufft::new([N, N], &trajectory, options).expect("a plan");
        let weights = nufft.density_compensation(15);
        let normal = Toeplitz::new([N, N], &trajectory, &weights, options).expect("a plan");
        let channels = &maps * &image.view().insert_axis(Axis(0));
        let mut samples = Array2::zeros((4, trajectory.len()));
        nufft.forward(channels.view(), samples.view_mut());
        let options =
            SenseOptions { regularisation: 0.0, max_iterations: 30, ..SenseOptions::default() };
        let (found, report) =
            cg_sense(&nufft, &normal, samples.view(), &weights, maps.view(), &options);
        let error = (norm_sqr(&(&found - &image)) / norm_sqr(&image)).sqrt();
        // Ends at a residual of 1e-3; the corners of k-space are not sampled.
        assert!(error < 5e-3, "{error} after {report:?}");
        assert!(report.n_iterations < 30, "{report:?}");
    }
}
