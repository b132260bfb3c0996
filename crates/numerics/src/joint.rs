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
mod encoding;
mod locally_low_rank;
mod moving;
mod noise;
mod patch_low_rank;
mod proximal;
mod subspace;
#[cfg(test)]
mod testing;
mod total_variation;

pub use alternation::{AlternationOptions, alternate};
pub use conjugate_gradients::{Solved, StopRule, conjugate_gradients};
pub use encoding::SeriesEncoding;
pub use locally_low_rank::{BlockOptions, SingularValues, noise_sd_of_blocks, shrink_locally};
pub use moving::Moving;
pub use noise::noise_sd;
pub use patch_low_rank::{PatchOptions, denoise_patches};
pub use proximal::{ProximalOptions, Regulariser, Report, block_shift, reconstruct};
pub use subspace::{Subspace, principal_modes};
pub use total_variation::shrink_variation;

use ndarray::Array4;
use num_complex::Complex32;

/// AᴴA of a linear model A of a scan.
pub trait Normal: Sync {
    /// `result` = AᴴA `images`, both `[unknown, z, y, x]`. Its eigenvalues lie between 0 and 1
    /// where coil maps have Σ|s|² = 1.
    fn apply(&self, images: &Array4<Complex32>, result: &mut Array4<Complex32>);
}
