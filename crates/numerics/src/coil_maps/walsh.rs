//! Walsh's adaptive reconstruction filter.

use ndarray::{Array4, ArrayView4};
use num_complex::Complex32;

use super::local_eigenvector::{Phase, local_eigenvector};

/// How [`walsh`] looks at the surroundings of a pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalshOptions {
    /// Window along x, y and (if there are several planes) z in pixels, made odd by adding 1.
    pub block: usize,
    /// Power iterations.
    pub power: usize,
}

impl Default for WalshOptions {
    /// 5 pixels, 3 iterations.
    fn default() -> Self {
        Self { block: 5, power: 3 }
    }
}

/// Coil maps by Walsh's adaptive method.
///
/// * `images`: `[channel, z, y, x]`, coil images with noise that is independent between the
///   channels.
///
/// Returns maps of the same shape with Σ|s|² = 1: the dominant eigenvector of the covariance
/// smoothed over the block. The phase is relative to the sum of the channels (Σs is real and
/// positive), so it is smooth only where that sum is far from 0; the combined image keeps the
/// object's phase.
///
/// # Source
/// Walsh et al. 2000; block and iterations as in ismrmrd-python-tools.
pub fn walsh(images: ArrayView4<'_, Complex32>, options: &WalshOptions) -> Array4<Complex32> {
    local_eigenvector(images, [options.block; 3], options.power, Phase::ChannelSum)
}
