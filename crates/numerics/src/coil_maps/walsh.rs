//! Walsh's adaptive reconstruction filter.

use ndarray::{Array4, ArrayView4};
use num_complex::Complex32;

use super::local_eigenvector::{Phase, Window, local_eigenvector};

/// How [`walsh`] looks at the surroundings of a pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalshOptions {
    /// Window along x, y and (if there are several planes) z in pixels, made odd by adding 1.
    pub block: usize,
    /// Power iterations.
    pub power: usize,
    /// Of the pixels whose surroundings are looked at, along z, y and x; those between are
    /// interpolated.
    pub spacing: [usize; 3],
}

impl Default for WalshOptions {
    /// 5 pixels, 3 iterations, at all pixels.
    fn default() -> Self {
        Self { block: 5, power: 3, spacing: [1; 3] }
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
    let window = Window { size: [options.block; 3], spacing: options.spacing };
    local_eigenvector(images, window, options.power, Phase::ChannelSum)
}
