//! Dominant eigenvector of the channels' covariance around each pixel.
//!
//! # Method
//! The eigenvectors are found on a grid of every so many pixels ([`grid`]). Those of the pixels
//! between lie between their neighbours' ([`between`]): a map changes slowly over the width of
//! the window, so little is lost by a grid finer than the window, and much time is won. The
//! phase is found at every pixel, so it may jump between two pixels as that of an object does.

mod between;
mod grid;

use ndarray::{Array4, ArrayView4};
use num_complex::Complex32;

use crate::binary_exponent::normalising_power;

/// What the phase of an eigenvector is relative to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The combined image, summed over the window, is real and positive.
    WindowSum,
    /// The sum of the channels of the eigenvector is real and positive.
    ChannelSum,
}

/// The surroundings of a pixel, and the pixels that are looked at, along z, y and x.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// In pixels, made odd, and cut down to the images' size.
    pub(super) size: [usize; 3],
    /// Pixels from one to the next of those whose surroundings are looked at; 0 counts as 1.
    pub(super) spacing: [usize; 3],
}

/// Unit eigenvector of Σ a·aᴴ over the window around each pixel, `[channel, z, y, x]`; 0 where
/// all images are 0 in the windows around. The images are periodic at the edges.
///
/// * `power`: power iterations, starting from the channels' sum over the window, or of the
///   covariance's columns with [`Phase::ChannelSum`].
pub(super) fn local_eigenvector(
    images: ArrayView4<'_, Complex32>,
    window: Window,
    power: usize,
    phase: Phase,
) -> Array4<Complex32> {
    let (_, n_z, n_y, n_x) = images.dim();
    let images = images.as_standard_layout();
    // Where a sample is not finite there is no map.
    let scale = images.as_slice().and_then(|samples| normalising_power(samples).ok().flatten());
    let Some(scale) = scale else { return Array4::zeros(images.dim()) };
    let half = half_window(window.size, [n_z, n_y, n_x]);
    let spacing = window.spacing.map(|spacing| spacing.max(1));
    let search = grid::Search { images: images.view(), scale, half, spacing, power, phase };
    between::fill(&search.eigenvectors(), images.view(), scale, half, spacing, phase)
}

/// Pixels on either side of the middle one along z, y and x.
pub(super) fn half_window(window: [usize; 3], size: [usize; 3]) -> [usize; 3] {
    [0, 1, 2].map(|axis| (window[axis] / 2).min(size[axis].saturating_sub(1) / 2))
}
