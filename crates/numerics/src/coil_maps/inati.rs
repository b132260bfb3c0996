//! Inati's direct method.

use ndarray::{Array4, ArrayView4};
use num_complex::Complex32;

use super::local_eigenvector::{Phase, Window, local_eigenvector};

/// How [`inati`] looks at the surroundings of a pixel. Sizes are made odd by adding 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InatiOptions {
    /// Window along x in pixels.
    pub kernel_readout: usize,
    /// Window along y in pixels.
    pub kernel_phase: usize,
    /// Window along z in pixels, cut down to the images' size: 1 for one plane.
    pub kernel_partition: usize,
    /// Power iterations.
    pub power: usize,
    /// Of the pixels whose surroundings are looked at, along z, y and x; those between are
    /// interpolated. 1 for all; 2 loses nothing with windows of 5 or more, and more along an
    /// axis along which the images are smooth.
    pub spacing: [usize; 3],
}

impl Default for InatiOptions {
    /// 7 × 7 × 5 pixels, 3 iterations, at all pixels.
    fn default() -> Self {
        Self { kernel_readout: 7, kernel_phase: 7, kernel_partition: 5, power: 3, spacing: [1; 3] }
    }
}

/// Coil maps by Inati's direct method.
///
/// * `images`: `[channel, z, y, x]`, coil images with noise that is independent between the
///   channels.
///
/// Returns maps of the same shape with Σ|s|² = 1. Their phase is that of the mean of the window
/// after combination, so it is as smooth as the object's: the combined image Σ conj(s)·a is
/// close to real and positive.
///
/// # Method
/// The window around a pixel gives a matrix D of pixels by channels. With one object times one
/// sensitivity it is u·sᵀ; s is the dominant eigenvector of the channels' covariance, by power
/// iteration from the mean of the window. s is turned by the phase of the sum of u over the
/// window. The images repeat periodically beyond their edges.
///
/// # Source
/// Inati et al., ISMRM 2013; the start from the mean of the window is the result of one
/// iteration for an object of constant phase.
pub fn inati(images: ArrayView4<'_, Complex32>, options: &InatiOptions) -> Array4<Complex32> {
    let size = [options.kernel_partition, options.kernel_phase, options.kernel_readout];
    let window = Window { size, spacing: options.spacing };
    local_eigenvector(images, window, options.power, Phase::WindowSum)
}
