//! The methods by name, with thresholds in units of the noise.

use ndarray::{ArrayView3, Axis};
use numerics::joint::{PatchOptions, ProximalOptions, Regulariser, share_of_windows};
use numerics::wavelet::ShrinkageOptions;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Config;

/// What images of a series have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Nothing: each image is what its own samples say (Pruessmann et al. 2001).
    Sense,
    /// Edges are few and in the same places (Block et al. 2007).
    TotalVariation,
    /// Wavelets are few and in the same places (Lustig et al. 2007).
    Wavelets,
    /// A neighbourhood has few different time courses (Trzasko and Manduca 2011).
    LocallyLowRank,
    /// The whole series has few time courses, those of its calibration lines (Liang 2007), and their
    /// images have few wavelets.
    #[default]
    Subspace,
    /// What a network has seen of series, of which it is given the strongest courses (Aggarwal et al.
    /// 2019). `subspace` where it cannot be asked.
    Network,
    /// Similar patches have few different patterns and time courses (Bustin et al. 2019).
    PatchLowRank,
}

/// Part of an image that is bright.
const BODY_SHARE: f64 = 0.25;
/// λ of modes that do not stand out of the noise. A larger one would hold down small lesions, which
/// lie in weak modes.
const MOST_DAMPING: f32 = 0.75;

/// Noise of the samples, and what it does to images.
pub(super) struct Noise {
    /// Standard deviation in real and imaginary part of a sample.
    pub(super) sd: f32,
    /// That of a pixel of Eᴴ y, both parts together.
    of_pixel: f32,
    /// The same at the low frequencies that windows of a few pixels see.
    pub(super) of_windows: f32,
    /// Part of the lines that were acquired.
    share: f32,
    /// Energy that noise alone gives the samples, and all that they have.
    energy: f64,
    of_samples: f64,
}

impl Noise {
    /// * `sampled`: `[frame, encoding_step_2, encoding_step_1]`.
    /// * `squares`: Σ|y|² of the samples.
    /// * `n_of_line`: samples of a line, of all channels.
    pub(super) fn new(
        sd: f32,
        sampled: ArrayView3<'_, bool>,
        squares: f64,
        n_of_line: usize,
    ) -> Self {
        let n_lines = sampled.iter().filter(|sampled| **sampled).count();
        let share = n_lines as f32 / sampled.len().max(1) as f32;
        let of_lines = sampled.mapv(|sampled| f32::from(u8::from(sampled)));
        let of_lines = of_lines.mean_axis(Axis(0)).and_then(|lines| lines.mean_axis(Axis(0)));
        let of_lines = of_lines.map_or_else(Vec::new, |lines| lines.to_vec());
        let variance = 2.0 * f64::from(sd).powi(2);
        Self {
            sd,
            of_pixel: sd * (2.0 * share).sqrt(),
            of_windows: sd * (2.0 * share_of_windows(&of_lines)).sqrt(),
            share,
            energy: variance * n_lines as f64 * n_of_line as f64,
            of_samples: squares,
        }
    }

    /// That of a pixel of a mode, both parts together, as if all lines had been acquired with so
    /// much more noise.
    pub(super) fn of_mode(&self) -> f32 {
        if self.share > 0.0 { self.of_pixel / self.share } else { 0.0 }
    }

    /// λ of each mode that keeps it as small as it is, noise over signal (Wiener), in units of EᴴE.
    /// Signal is where the body is, in [`BODY_SHARE`] of an image.
    ///
    /// * `energies`: Σ|samples|² of each, of an image of `n_pixels`.
    pub(super) fn damping(&self, energies: &[f64], n_pixels: usize) -> Vec<f32> {
        let variance = f64::from(self.of_mode()).powi(2) * f64::from(self.share) * BODY_SHARE;
        let damping = |energy: &f64| (variance * n_pixels as f64 / energy) as f32;
        energies.iter().map(|energy| damping(energy).min(MOST_DAMPING)).collect()
    }

    /// [`Noise::of_mode`] that is left of a mode with such a λ.
    pub(super) fn of_damped_mode(&self, damping: f32) -> f32 {
        if self.share > 0.0 { self.of_mode() * self.share / (self.share + damping) } else { 0.0 }
    }

    /// That of either part of a pixel of an image of all lines with so much more noise: what the
    /// samples allow, without what images have in common.
    pub(super) fn of_images(&self) -> f32 {
        if self.share > 0.0 { self.sd / self.share.sqrt() } else { 0.0 }
    }

    /// ‖E X − y‖ over what noise alone would make of it, from ‖E X − y‖² over ‖y‖².
    pub(super) fn misfit(&self, relative: f64) -> f64 {
        if self.energy > 0.0 { (relative * self.of_samples / self.energy).sqrt() } else { 0.0 }
    }
}

/// Pixels of a neighbourhood and of a patch along an axis where nobody says otherwise.
const USUAL_BLOCK: usize = 4;
const USUAL_PATCH: usize = 5;

impl Method {
    /// As in a chain file.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sense => "sense",
            Self::TotalVariation => "total_variation",
            Self::Wavelets => "wavelets",
            Self::LocallyLowRank => "locally_low_rank",
            Self::Subspace => "subspace",
            Self::Network => "network",
            Self::PatchLowRank => "patch_low_rank",
        }
    }

    /// Whether a single image has nothing that it could share.
    pub(super) fn shares_courses(self) -> bool {
        matches!(self, Self::LocallyLowRank | Self::Subspace | Self::Network | Self::PatchLowRank)
    }

    /// * `shape`: `[frame, z, y, x]`.
    pub(super) fn options(
        self,
        config: &Config,
        noise: &Noise,
        shape: [usize; 4],
    ) -> ProximalOptions {
        let [n_frames, n_z, n_y, n_x] = shape;
        let size = |usual: usize| {
            let size = if config.block_size == 0 { usual } else { config.block_size };
            // Partitions are thick: half as many.
            [size.div_ceil(2).min(n_z), size.min(n_y), size.min(n_x)]
        };
        let of_frames = (n_frames as f32).sqrt();
        let of_pixel = noise.of_pixel;
        let (regulariser, threshold, usual_iterations) = match self {
            // Wiener's: noise over signal, of all pixels together.
            Self::Sense => {
                let n_unknowns: usize = shape.iter().product();
                let signal = (noise.of_samples - noise.energy).max(f64::MIN_POSITIVE);
                let of_unknowns = 2.0 * f64::from(noise.sd).powi(2) * n_unknowns as f64;
                (Regulariser::None, (of_unknowns / signal).min(1.0) as f32, 30)
            }
            Self::TotalVariation => (Regulariser::TotalVariation, 0.3 * of_pixel * of_frames, 40),
            Self::Wavelets => {
                let wavelets = Regulariser::Wavelets(ShrinkageOptions::default());
                (wavelets, 0.35 * of_pixel * of_frames, 40)
            }
            // The modes share what they have as frames do; there are about three.
            Self::Subspace | Self::Network => {
                let wavelets = Regulariser::Wavelets(ShrinkageOptions::default());
                (wavelets, 0.6 * of_pixel, 40)
            }
            Self::LocallyLowRank => {
                let block_size = size(USUAL_BLOCK);
                let regulariser = Regulariser::LocallyLowRank {
                    block_size,
                    random_shift: true,
                    keep_strong: true,
                };
                (regulariser, of_pixel, 15)
            }
            Self::PatchLowRank => {
                let patches = PatchOptions { size: size(USUAL_PATCH), ..PatchOptions::default() };
                (Regulariser::PatchLowRank(patches), 3.0 * of_pixel, 40)
            }
        };
        ProximalOptions {
            regulariser,
            weight: config.regularisation * threshold,
            max_iterations: match config.max_iterations {
                0 => usual_iterations,
                n => n,
            },
            threshold: config.threshold,
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    #[test]
    fn weak_modes_are_damped_more_and_none_beyond_the_limit() {
        // A quarter of the lines of noise 2: of a pixel of a mode 2² · 2 / ¼ = 32.
        let sampled = Array3::from_shape_fn((4, 1, 16), |(frame, _, line)| (frame + line) % 4 == 0);
        let noise = Noise::new(2.0, sampled.view(), 1.0, 16);
        assert!((noise.of_mode() - 32.0_f32.sqrt()).abs() < 1e-4);
        // λ is noise over signal, 32 · ¼ over the mean square of what is bright: with a mean square
        // of 200 over all pixels, of 800 over a quarter of them.
        let n_pixels = 256;
        let energies = [200.0, 20.0, 1e-3].map(|mean_square| mean_square * n_pixels as f64);
        let damping = noise.damping(&energies, n_pixels);
        for (found, expected) in damping.iter().zip([0.01, 0.1, MOST_DAMPING]) {
            assert!((found - expected).abs() < 1e-5, "{damping:?}");
        }
        // Of a mode without signal a quarter is left of ¼ / (¼ + ¾).
        let left = noise.of_damped_mode(damping[2]) / noise.of_mode();
        assert!((left - 0.25).abs() < 1e-5, "{left}");
    }
}
