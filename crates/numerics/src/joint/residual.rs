//! What images leave of the samples.

use ndarray::{Array4, ArrayView2};
use num_complex::Complex32;

use super::Normal;

/// Pixels of a window along y and x.
const WINDOW: usize = 5;

/// The largest mean over windows of 5 x 5 pixels of what images leave of the samples, Eᴴ(y − E X).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Structure {
    /// In standard deviations of such a mean of noise; 0 where the noise is not known.
    pub noise_sds: f32,
    /// Over the largest such mean of the samples, Eᴴ y.
    pub of_signal: f32,
}

/// How much of an object is in what images leave of the samples: coil maps that do not fit, motion
/// within an image, or a denoiser that took something away make it large.
///
/// * `right`, `images`: Eᴴ y and X, `[unknown, z, y, x]`.
/// * `noise_sd`: of a pixel of Eᴴ y, both parts together, as its low frequencies have it: lines in
///   the middle are sampled more densely ([`share_of_windows`]).
pub fn structure_of_residual(
    normal: &impl Normal,
    right: &Array4<Complex32>,
    images: &Array4<Complex32>,
    noise_sd: f32,
) -> Structure {
    let mut residual = Array4::zeros(images.raw_dim());
    normal.apply(images, &mut residual);
    residual.zip_mut_with(right, |value, right| *value = right - *value);
    let largest = |images: &Array4<Complex32>| {
        let planes = images
            .outer_iter()
            .flat_map(|unknown| unknown.outer_iter().map(largest_mean).collect::<Vec<_>>());
        planes.fold(0.0_f32, f32::max)
    };
    let (left, signal) = (largest(&residual), largest(right));
    Structure {
        // A mean of so many pixels, of which each has the noise's variance.
        noise_sds: if noise_sd > 0.0 { left * WINDOW as f32 / noise_sd } else { 0.0 },
        of_signal: if signal > 0.0 { left / signal } else { 0.0 },
    }
}

/// Part of the lines that were acquired, each as much as a mean over [`structure_of_residual`]'s
/// windows sees of it.
///
/// * `share`: of each line along y, the middle of k-space in the middle.
pub fn share_of_windows(share: &[f32]) -> f32 {
    let n = share.len();
    let (mut sum, mut of_all) = (0.0, 0.0);
    for (line, share) in share.iter().enumerate() {
        let turns = (line as f64 - (n / 2) as f64) / n as f64;
        let half_rad = std::f64::consts::PI * turns;
        let transfer = if half_rad == 0.0 {
            1.0
        } else {
            (WINDOW as f64 * half_rad).sin() / (WINDOW as f64 * half_rad.sin())
        };
        sum += transfer * transfer * f64::from(*share);
        of_all += transfer * transfer;
    }
    if of_all > 0.0 { (sum / of_all) as f32 } else { 0.0 }
}

/// Largest absolute mean of all windows in the image.
fn largest_mean(image: ArrayView2<'_, Complex32>) -> f32 {
    image
        .windows((WINDOW, WINDOW))
        .into_iter()
        .map(|window| (window.sum() / (WINDOW * WINDOW) as f32).norm())
        .fold(0.0, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::joint::testing::Scan;
    use crate::joint::{SeriesEncoding, StopRule, conjugate_gradients};

    #[test]
    fn windows_see_more_of_the_middle() {
        assert!((share_of_windows(&[0.25; 64]) - 0.25).abs() < 1e-6);
        let mut share = [0.25; 64];
        share[26..38].fill(1.0);
        // The middle fifth is most of what a mean over five pixels lets through.
        assert!(share_of_windows(&share) > 0.7, "{}", share_of_windows(&share));
    }

    #[test]
    fn what_was_taken_from_the_images_is_seen_in_the_residual() {
        let mut scan = Scan::new([2, 1, 40, 32], 6, 21);
        scan.sample_every(2);
        let noise = Scan::new([2, 6, 40, 32], 1, 22).images;
        let sd = 0.02_f32;
        // Uniform from −½ to ½: a twelfth of variance in each part.
        let mut samples = scan.samples();
        for ((frame, channel, _, y, x), value) in samples.indexed_iter_mut() {
            *value += noise[[frame, channel, y, x]] * (sd * 12.0_f32.sqrt());
        }
        let encoding = SeriesEncoding::new(scan.sampled.view(), scan.maps.view());
        let (right, _) = encoding.adjoint(samples.view());
        let share = scan.sampled.iter().filter(|sampled| **sampled).count() as f32
            / scan.sampled.len() as f32;
        let of_pixel = sd * (2.0 * share).sqrt();
        let mut found = Array4::zeros(right.raw_dim());
        let stop = StopRule { max_iterations: 100, threshold: 1e-5 };
        conjugate_gradients(&encoding, 1e-4, &right, &mut found, stop);
        let fitted = structure_of_residual(&encoding, &right, &found, of_pixel);
        for y in 10..15 {
            for x in 8..13 {
                found[[1, 0, y, x]] -= 6.0 * sd;
            }
        }
        let spoilt = structure_of_residual(&encoding, &right, &found, of_pixel);
        assert!(fitted.noise_sds < 4.0, "{fitted:?}");
        assert!(spoilt.noise_sds > 8.0, "{spoilt:?}");
        assert!(spoilt.of_signal > 2.0 * fitted.of_signal, "{spoilt:?} {fitted:?}");
    }
}
