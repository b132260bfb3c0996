//! The methods by name.

use ndarray::{Array4, Axis, Zip};
use num_complex::Complex32;

use super::Normal;
use super::alternation::{AlternationOptions, Denoised, alternate};
use super::conjugate_gradients::{StopRule, conjugate_gradients, relative_distance};
use super::locally_low_rank::{BlockOptions, SingularValues, shrink_locally};
use super::patch_low_rank::{PatchOptions, denoise_patches};
use super::total_variation::shrink_variation;
use crate::wavelet::{Shrinkage, ShrinkageOptions};

/// What is assumed about a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Regulariser {
    /// That images are not large: `weight` is λ of (EᴴE + λ) X = Eᴴ y.
    None,
    /// That edges are few, and in the same places in all frames.
    TotalVariation,
    /// That wavelets are few, and the same in all frames. Its frame of wavelets is redundant, which
    /// makes the step an approximation of the proximal map.
    Wavelets(ShrinkageOptions),
    /// That a neighbourhood has few different time courses.
    LocallyLowRank {
        /// Pixels of a neighbourhood along z, y and x.
        block_size: [usize; 3],
        /// Whether neighbourhoods lie elsewhere in each step, by fixed random numbers: no borders
        /// stay visible.
        random_shift: bool,
        /// Whether courses that stand out of the noise keep their strength, which singular values
        /// that all lose the same do not: values of maps are not drawn together. `weight` is then
        /// the noise that is expected, real and imaginary part together, instead of the loss.
        keep_strong: bool,
    },
    /// That similar patches have few different patterns and time courses. `weight` is the
    /// threshold of their coefficients.
    PatchLowRank(PatchOptions),
}

/// Choices of [`reconstruct`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProximalOptions {
    /// What is assumed.
    pub regulariser: Regulariser,
    /// λ, in the units of the images.
    pub weight: f32,
    /// Most steps.
    pub max_iterations: usize,
    /// Change of the images in a step over the images, or the residual of the conjugate
    /// gradients, that ends them.
    pub threshold: f32,
}

/// What it took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Steps.
    pub n_iterations: usize,
    /// Relative change of the images in the last step; of conjugate gradients their residual.
    pub last_change: f64,
    /// ‖E X − y‖² over ‖y‖² at the end.
    pub misfit: f64,
    /// The same after each time that [`alternate`] denoised.
    pub misfits: Vec<f64>,
    /// ‖D(X) − X‖ over ‖X‖ of each time that [`alternate`] denoised: how far the denoiser and
    /// images that agree with the samples are apart.
    pub disagreements: Vec<f64>,
}

/// Reconstructs a series.
///
/// * `normal`: EᴴE, with eigenvalues up to 1.
/// * `right`, `squares_of_data`: Eᴴ y, `[frame, z, y, x]`, and ‖y‖².
///
/// Returns X, `[frame, z, y, x]`.
///
/// # Source
/// Beck and Teboulle 2009 (FISTA) for total variation, wavelets and low rank in blocks (Zhang,
/// Pauly and Levesque 2015); Bustin et al. 2019 for patches.
pub fn reconstruct(
    normal: &impl Normal,
    right: &Array4<Complex32>,
    squares_of_data: f64,
    options: &ProximalOptions,
) -> (Array4<Complex32>, Report) {
    let ProximalOptions { regulariser, weight, max_iterations, threshold } = *options;
    let mut images = Array4::zeros(right.raw_dim());
    let mut report = match regulariser {
        Regulariser::None => {
            let stop = StopRule { max_iterations, threshold };
            let solved = conjugate_gradients(normal, weight, right, &mut images, stop);
            let (n_iterations, last_change) = (solved.n_iterations, solved.residual);
            Report { n_iterations, last_change, ..Report::default() }
        }
        Regulariser::PatchLowRank(patches) => {
            let options = AlternationOptions {
                n_iterations: max_iterations.div_ceil(STEPS_PER_DENOISING).max(1),
                n_inner: STEPS_PER_DENOISING,
                ..AlternationOptions::default()
            };
            let denoiser = |images: &Array4<Complex32>, _| {
                let images = denoise_patches(images, patches, weight);
                Ok::<_, std::convert::Infallible>(Denoised { images, trust: TRUST_IN_PATCHES })
            };
            let damping = vec![DAMPING_OF_PATCHES; right.len_of(Axis(0))];
            return match alternate(normal, right, squares_of_data, &damping, &options, denoiser) {
                Ok(found) => found,
                Err(never) => match never {},
            };
        }
        Regulariser::TotalVariation => {
            fista(normal, right, &mut images, options, |images, _| shrink_variation(images, weight))
        }
        Regulariser::Wavelets(wavelets) => {
            let (_, n_z, n_y, n_x) = right.dim();
            let plan = Shrinkage::new([n_z, n_y, n_x], wavelets);
            fista(normal, right, &mut images, options, |images, _| {
                if let Some(values) = images.as_slice_mut() {
                    let mut frames: Vec<_> = values.chunks_exact_mut(n_z * n_y * n_x).collect();
                    plan.apply(&mut frames, weight);
                }
            })
        }
        Regulariser::LocallyLowRank { block_size, random_shift, keep_strong } => {
            let rule = if keep_strong {
                SingularValues::Denoised(weight)
            } else {
                SingularValues::Less(weight)
            };
            fista(normal, right, &mut images, options, |images, step| {
                let shift = if random_shift { block_shift(step, block_size) } else { [0; 3] };
                shrink_locally(images, BlockOptions { size: block_size, shift }, rule);
            })
        }
    };
    report.misfit = misfit(normal, right, squares_of_data, &images);
    (images, report)
}

/// Conjugate gradients between two looks at the patches, which take far longer.
const STEPS_PER_DENOISING: usize = 8;

/// μ and λ of [`alternate`].
const TRUST_IN_PATCHES: f32 = 0.09;
const DAMPING_OF_PATCHES: f32 = 0.01;

/// ‖E X − y‖² over ‖y‖².
pub(super) fn misfit(
    normal: &impl Normal,
    right: &Array4<Complex32>,
    squares_of_data: f64,
    images: &Array4<Complex32>,
) -> f64 {
    let mut applied = Array4::zeros(images.raw_dim());
    normal.apply(images, &mut applied);
    let mut sum = squares_of_data;
    for ((image, applied), right) in images.iter().zip(&applied).zip(right) {
        sum += f64::from((image.conj() * (applied - right * 2.0)).re);
    }
    if squares_of_data > 0.0 { sum.max(0.0) / squares_of_data } else { 0.0 }
}

/// Where the blocks of a step begin, if they are to lie elsewhere in each: fixed random numbers.
pub fn block_shift(step: usize, size: [usize; 3]) -> [usize; 3] {
    let mut state = (step as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    size.map(|size| {
        // SplitMix64 (Steele, Lea and Flood 2014).
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % size.max(1) as u64) as usize
    })
}

fn fista(
    normal: &impl Normal,
    right: &Array4<Complex32>,
    images: &mut Array4<Complex32>,
    options: &ProximalOptions,
    mut shrink: impl FnMut(&mut Array4<Complex32>, usize),
) -> Report {
    let mut ahead = images.clone();
    let mut applied = Array4::zeros(images.raw_dim());
    let mut next = images.clone();
    let mut momentum = 1.0_f32;
    let mut report = Report::default();
    for step in 0..options.max_iterations {
        normal.apply(&ahead, &mut applied);
        Zip::from(&mut next)
            .and(&ahead)
            .and(&applied)
            .and(right)
            .for_each(|next, ahead, applied, right| *next = ahead - applied + right);
        shrink(&mut next, step);
        let following = (1.0 + (1.0 + 4.0 * momentum * momentum).sqrt()) / 2.0;
        let carry = (momentum - 1.0) / following;
        momentum = following;
        Zip::from(&mut ahead).and(&next).and(&*images).for_each(|ahead, next, before| {
            *ahead = next + (next - before) * carry;
        });
        report.n_iterations = step + 1;
        report.last_change = relative_distance(images, &next);
        std::mem::swap(images, &mut next);
        if report.last_change <= f64::from(options.threshold) {
            break;
        }
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::joint::SeriesEncoding;
    use crate::joint::testing::Scan;

    fn solve(
        scan: &Scan,
        regulariser: Regulariser,
        weight: f32,
        max_iterations: usize,
    ) -> (Array4<Complex32>, Report) {
        let encoding = SeriesEncoding::new(scan.sampled.view(), scan.maps.view());
        let (right, squares) = encoding.adjoint(scan.samples().view());
        let options = ProximalOptions { regulariser, weight, max_iterations, threshold: 1e-6 };
        reconstruct(&encoding, &right, squares, &options)
    }

    fn low_rank() -> Regulariser {
        Regulariser::LocallyLowRank {
            block_size: [1, 8, 8],
            random_shift: true,
            keep_strong: false,
        }
    }

    #[test]
    fn where_channels_suffice_every_method_gives_the_images_back() {
        // Two thirds of the lines of 8 channels determine the images.
        let scan = Scan::new([3, 1, 18, 8], 8, 4);
        for regulariser in [
            Regulariser::None,
            Regulariser::TotalVariation,
            Regulariser::Wavelets(ShrinkageOptions::default()),
            low_rank(),
        ] {
            let (found, report) = solve(&scan, regulariser, 0.0, 600);
            let error = relative_distance(&found, &scan.images);
            assert!(error < 2e-3, "{regulariser:?}: {error} {report:?}");
            assert!(report.misfit < 1e-5, "{report:?}");
        }
    }

    /// Images whose courses are mixtures of two, of which one channel sees a third of the lines.
    fn two_courses() -> Scan {
        let mut scan = Scan::new([8, 1, 24, 24], 1, 5);
        scan.maps.fill(Complex32::ONE);
        scan.images = Array4::from_shape_fn((8, 1, 24, 24), |(frame, _, y, x)| {
            let inside = (6..18).contains(&y) && (5..19).contains(&x);
            let [a, b] = if (y + x) % 24 < 12 { [1.0, 0.2] } else { [0.4, 0.9] };
            let time = frame as f32;
            let value = a * (-time / 3.0).exp() + b * (1.0 - (-time / 5.0).exp());
            if inside { Complex32::new(value, 0.3 * value) } else { Complex32::ZERO }
        });
        scan.sample_every(3);
        scan
    }

    #[test]
    fn few_courses_fill_in_for_missing_lines() {
        let scan = two_courses();
        let error = |regulariser, weight, steps| {
            let (found, _) = solve(&scan, regulariser, weight, steps);
            relative_distance(&found, &scan.images)
        };
        let linear = error(Regulariser::None, 1e-4, 50);
        let low = error(low_rank(), 0.02, 300);
        let patches = PatchOptions { search_radius: 4, ..PatchOptions::default() };
        let similar = error(Regulariser::PatchLowRank(patches), 0.15, 160);
        let edges = error(Regulariser::TotalVariation, 0.01, 300);
        let wavelets = error(
            Regulariser::Wavelets(ShrinkageOptions { levels: 2, ..Default::default() }),
            0.02,
            300,
        );
        println!(
            "linear {linear}, blocks {low}, patches {similar}, edges {edges}, wavelets {wavelets}"
        );
        assert!(linear > 0.25, "{linear}");
        assert!(low < 0.1, "{low}");
        assert!(similar < 0.5 * linear, "{similar}");
        assert!(edges < 0.5 * linear && wavelets < 0.9 * linear, "{edges} {wavelets}");
    }

    #[test]
    fn shifts_cover_the_block() {
        let shifts: std::collections::BTreeSet<_> =
            (0..200).map(|step| block_shift(step, [1, 2, 3])).collect();
        assert_eq!(shifts.len(), 6);
    }
}
