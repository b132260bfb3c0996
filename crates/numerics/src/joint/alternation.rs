//! Denoising and agreement with the samples in turn.

use ndarray::{Array4, Zip};
use num_complex::Complex32;

use super::Normal;
use super::conjugate_gradients::{StopRule, conjugate_gradients, relative_distance};
use super::damping::Damped;
use super::proximal::{Report, misfit};

/// How often, and what is solved in between.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AlternationOptions {
    /// Times the images are denoised.
    pub n_iterations: usize,
    /// Most conjugate gradients in between.
    pub n_inner: usize,
    /// Most conjugate gradients for these.
    pub n_first: usize,
}

impl Default for AlternationOptions {
    fn default() -> Self {
        Self { n_iterations: 5, n_inner: 8, n_first: 12 }
    }
}

/// What a denoiser made of images.
pub struct Denoised {
    /// As they were, `[frame, z, y, x]`.
    pub images: Array4<Complex32>,
    /// How much it is trusted, above 0: μ of [`alternate`]. Where samples were acquired the denoiser
    /// has (Λ + μ)/(1 + Λ + μ) of the say.
    pub trust: f32,
}

/// Starts from (EᴴE + Λ) X = Eᴴ y, then denoises and solves (EᴴE + Λ + μ) X = Eᴴ y + (Λ + μ) D(X)
/// in turn. Trust may grow from turn to turn: what is denoised a little shows better what is no
/// noise.
///
/// * `right`, `squares_of_data`: Eᴴ y, `[unknown, z, y, x]`, and ‖y‖².
/// * `damping`: Λ, of each unknown: noise over signal, in units of EᴴE, is right (Wiener).
/// * `denoise`: D, takes the images and how often it was called before.
///
/// # Errors
/// Those of the denoiser.
///
/// # Source
/// Aggarwal, Mani and Jacob 2019 (MoDL).
pub fn alternate<E>(
    normal: &impl Normal,
    right: &Array4<Complex32>,
    squares_of_data: f64,
    damping: &[f32],
    options: &AlternationOptions,
    mut denoise: impl FnMut(&Array4<Complex32>, usize) -> Result<Denoised, E>,
) -> Result<(Array4<Complex32>, Report), E> {
    let mut images = Array4::zeros(right.raw_dim());
    let stop = StopRule { max_iterations: options.n_first, threshold: 1e-3 };
    let damped = Damped::new(normal, damping.to_vec());
    let mut solved = conjugate_gradients(&damped, 0.0, right, &mut images, stop);
    let mut report = Report { n_iterations: solved.n_iterations, ..Report::default() };
    let mut side = Array4::zeros(right.raw_dim());
    for step in 0..options.n_iterations {
        let Denoised { images: denoised, trust } = denoise(&images, step)?;
        report.disagreements.push(relative_distance(&denoised, &images));
        Zip::from(&mut side).and(right).and(&denoised).for_each(|side, right, denoised| {
            *side = right + denoised * trust;
        });
        damped.add(&denoised, &mut side);
        // Next to the denoised images: where nothing was sampled they are the solution.
        images = denoised;
        let stop = StopRule { max_iterations: options.n_inner, threshold: 1e-4 };
        solved = conjugate_gradients(&damped, trust, &side, &mut images, stop);
        report.n_iterations += solved.n_iterations;
        report.misfits.push(misfit(normal, right, squares_of_data, &images));
    }
    report.last_change = solved.residual;
    report.misfit = match report.misfits.last() {
        Some(last) => *last,
        None => misfit(normal, right, squares_of_data, &images),
    };
    Ok((images, report))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::joint::SeriesEncoding;
    use crate::joint::testing::Scan;

    #[test]
    fn the_less_a_denoiser_is_trusted_the_nearer_are_the_samples() {
        let mut scan = Scan::new([3, 1, 24, 10], 4, 5);
        scan.sample_every(2);
        let encoding = SeriesEncoding::new(scan.sampled.view(), scan.maps.view());
        let (right, squares) = encoding.adjoint(scan.samples().view());
        let options = AlternationOptions { n_iterations: 4, n_inner: 40, ..Default::default() };
        let trusts = [1.0, 0.3, 0.1, 0.01];
        let (_, report) =
            alternate(&encoding, &right, squares, &[0.01; 3], &options, |images, step| {
                // It takes away half of everything.
                let images = images * Complex32::new(0.5, 0.0);
                Ok::<_, Infallible>(Denoised { images, trust: trusts[step] })
            })
            .unwrap_or_else(|never| match never {});
        assert_eq!(report.misfits.len(), 4);
        for apart in &report.disagreements {
            assert!((apart - 0.5).abs() < 1e-5, "{:?}", report.disagreements);
        }
        assert_eq!(report.disagreements.len(), 4);
        assert!(report.misfits.is_sorted_by(|a, b| a > b), "{:?}", report.misfits);
        assert!(report.misfit < 1e-3, "{:?}", report.misfits);
    }

    #[test]
    fn a_denoiser_that_is_trusted_more_and_more_has_the_last_word() {
        let mut scan = Scan::new([3, 1, 24, 10], 4, 5);
        scan.sample_every(2);
        let encoding = SeriesEncoding::new(scan.sampled.view(), scan.maps.view());
        let (right, squares) = encoding.adjoint(scan.samples().view());
        let options = AlternationOptions { n_iterations: 3, n_inner: 40, ..Default::default() };
        let half = &scan.images * Complex32::new(0.5, 0.0);
        let trusts = [0.1, 1.0, 1e4];
        let (images, report) =
            alternate(&encoding, &right, squares, &[0.01; 3], &options, |_, step| {
                Ok::<_, Infallible>(Denoised { images: half.clone(), trust: trusts[step] })
            })
            .unwrap_or_else(|never| match never {});
        assert!(report.misfits.is_sorted(), "{:?}", report.misfits);
        let largest = half.iter().map(|value| value.norm()).fold(0.0, f32::max);
        for (image, half) in images.iter().zip(&half) {
            assert!((image - half).norm() < 1e-3 * largest, "{image} {half}");
        }
    }

    #[test]
    fn a_denoiser_that_fails_ends_it() {
        let scan = Scan::new([2, 1, 8, 6], 2, 6);
        let encoding = SeriesEncoding::new(scan.sampled.view(), scan.maps.view());
        let (right, squares) = encoding.adjoint(scan.samples().view());
        let failing = |_: &Array4<Complex32>, _| Err("no");
        let found = alternate(&encoding, &right, squares, &[0.01; 2], &Default::default(), failing);
        assert_eq!(found.err(), Some("no"));
    }
}
