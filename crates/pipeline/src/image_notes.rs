//! What gadgets write into the meta attributes of images for gadgets that make maps of them.

use ismrmrd::Meta;

/// What made the image of its samples: method or network.
pub const RECONSTRUCTION_KEY: &str = "BoresideReconstruction";

/// Standard deviation of noise in the real and in the imaginary part of a pixel, in the image's
/// unit: what the samples allow. Images that are made together agree with each other better than
/// they are known, so that what a fit leaves of them does not tell it.
pub const NOISE_SD_KEY: &str = "BoresideNoiseSd";

/// Why the image has to be looked at before it is used.
pub const FAULT_KEY: &str = "BoresideReconstructionFault";

/// The largest displacement that was corrected, px.
pub const MOTION_PX_KEY: &str = "BoresideMotionPx";

/// Follows pixels that are multiplied by a factor.
pub fn scale_noise_sd(meta: &mut Meta, factor: f64) {
    if let Some(noise_sd) = meta.get_f64(NOISE_SD_KEY) {
        meta.set(NOISE_SD_KEY, format!("{:e}", noise_sd * factor));
    }
}
