//! Joint reconstruction of a series of images: what they share makes up for lines that are missing.
//!
//! All methods look for images X, `[frame, z, y, x]`, with ½‖E X − y‖² + R(X) small, where E is
//! the sampling of each frame, the Fourier transform and the coil maps ([`SeriesEncoding`]), and
//! R says what series look like: nothing in particular ([`Regulariser::None`]), few edges
//! ([`Regulariser::TotalVariation`]), few wavelets ([`Regulariser::Wavelets`]), few different
//! time courses in every neighbourhood ([`Regulariser::LocallyLowRank`]) or among similar patches
//! ([`Regulariser::PatchLowRank`]). [`Subspace`] lets a signal model say which time courses there
//! are, [`Moving`] puts motion between object and coils, and [`alternate`] takes any denoiser, a
//! network for one.

mod alternation;
mod conjugate_gradients;
mod damping;
mod encoding;
mod locally_low_rank;
mod moving;
mod noise;
mod patch_low_rank;
mod proximal;
mod residual;
mod subspace;
#[cfg(test)]
mod testing;
mod total_variation;

pub use alternation::{AlternationOptions, Denoised, alternate};
pub use conjugate_gradients::{Solved, StopRule, conjugate_gradients};
pub use damping::Damped;
pub use encoding::SeriesEncoding;
pub use locally_low_rank::{BlockOptions, SingularValues, noise_sd_of_blocks, shrink_locally};
pub use moving::Moving;
pub use noise::noise_sd;
pub use patch_low_rank::{PatchOptions, denoise_patches};
pub use proximal::{ProximalOptions, Regulariser, Report, block_shift, reconstruct};
pub use residual::{Structure, share_of_windows, structure_of_residual};
pub use subspace::{PrincipalModes, Subspace, principal_modes};
pub use total_variation::shrink_variation;

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, Array4, ArrayView2, ArrayView4};
use num_complex::Complex32;

/// AᴴA of a linear model A of a scan.
pub trait Normal: Sync {
    /// `result` = AᴴA `images`, both `[unknown, z, y, x]`. Its eigenvalues lie between 0 and 1
    /// where coil maps have Σ|s|² = 1.
    fn apply(&self, images: &Array4<Complex32>, result: &mut Array4<Complex32>);

    /// The same of images that are combinations of a few modes: `result` = M AᴴA Mᵀ `images`,
    /// both `[mode, z, y, x]`.
    ///
    /// * `modes`: M, `[mode, unknown]`, orthonormal.
    fn apply_in_modes(
        &self,
        modes: &Array2<f32>,
        images: &Array4<Complex32>,
        result: &mut Array4<Complex32>,
    ) {
        let frames = mix(modes.t(), images.view());
        let mut applied = Array4::zeros(frames.raw_dim());
        self.apply(&frames, &mut applied);
        result.assign(&mix(modes.view(), applied.view()));
    }
}

/// Combinations of images, `[row, z, y, x]`.
///
/// * `matrix`: `[row, image]`.
fn mix(matrix: ArrayView2<'_, f32>, images: ArrayView4<'_, Complex32>) -> Array4<Complex32> {
    let (n, z, y, x) = images.dim();
    let flat = images.to_shape((n, z * y * x)).expect("the same number of pixels");
    let matrix = matrix.mapv(Complex32::from);
    let mut result = Array2::zeros((matrix.nrows(), z * y * x));
    general_mat_mul(Complex32::ONE, &matrix, &flat, Complex32::ZERO, &mut result);
    result.into_shape_with_order((matrix.nrows(), z, y, x)).expect("the same number of pixels")
}
