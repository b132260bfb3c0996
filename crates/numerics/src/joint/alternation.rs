//! Denoising and agreement with the samples in turn.

use ndarray::{Array4, Zip};
use num_complex::Complex32;

use super::Normal;
use super::conjugate_gradients::{StopRule, conjugate_gradients};
use super::proximal::Report;

/// How often, and how much the denoiser is trusted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AlternationOptions {
    /// Times the images are denoised.
    pub n_iterations: usize,
    /// μ of (EᴴE + μ) X = Eᴴ y + μ D(X). Samples that were acquired are moved by the denoiser by
    /// μ/(1 + μ) of what it does.
    pub trust: f32,
    /// Most conjugate gradients in between.
    pub n_inner: usize,
    /// λ of the first images, (EᴴE + λ) X = Eᴴ y.
    pub regularisation: f32,
    /// Most conjugate gradients for these.
    pub n_first: usize,
}

impl Default for AlternationOptions {
    fn default() -> Self {
        Self { n_iterations: 5, trust: 0.1, n_inner: 8, regularisation: 0.01, n_first: 12 }
    }
}

/// Starts from regularised conjugate gradients, then denoises and solves
/// (EᴴE + μ) X = Eᴴ y + μ D(X) in turn; the samples have the last word.
///
/// * `denoise`: D, takes the images, `[frame, z, y, x]`, and how often it was called before.
///
/// # Errors
/// Those of the denoiser.
///
/// # Source
/// Aggarwal, Mani and Jacob 2019 (MoDL).
pub fn alternate<E>(
    normal: &impl Normal,
    right: &Array4<Complex32>,
    options: &AlternationOptions,
    mut denoise: impl FnMut(&Array4<Complex32>, usize) -> Result<Array4<Complex32>, E>,
) -> Result<(Array4<Complex32>, Report), E> {
    let mut images = Array4::zeros(right.raw_dim());
    let stop = StopRule { max_iterations: options.n_first, threshold: 1e-3 };
    let mut solved = conjugate_gradients(normal, options.regularisation, right, &mut images, stop);
    let mut report = Report { n_iterations: solved.n_iterations, ..Report::default() };
    let mut side = Array4::zeros(right.raw_dim());
    for step in 0..options.n_iterations {
        let denoised = denoise(&images, step)?;
        Zip::from(&mut side).and(right).and(&denoised).for_each(|side, right, denoised| {
            *side = right + denoised * options.trust;
        });
        // Next to the denoised images: where nothing was sampled they are the solution.
        images = denoised;
        let stop = StopRule { max_iterations: options.n_inner, threshold: 1e-4 };
        solved = conjugate_gradients(normal, options.trust, &side, &mut images, stop);
        report.n_iterations += solved.n_iterations;
    }
    report.last_change = solved.residual;
    Ok((images, report))
}
