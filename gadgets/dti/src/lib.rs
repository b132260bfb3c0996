//! Diffusion tensor imaging of the heart: from repeated diffusion-weighted images to maps of
//! diffusivity, anisotropy and the direction of fibres and sheetlets.

mod assemble_diffusion;
mod correct_diffusion_motion;
mod denoise_diffusion;
mod map_diffusion;
#[cfg(test)]
mod test_heart;
pub mod weighting;

pub use assemble_diffusion::{
    AssembleDiffusion, Config as AssembleDiffusionConfig, Error as AssembleDiffusionError,
};
pub use correct_diffusion_motion::{
    Config as CorrectDiffusionMotionConfig, CorrectDiffusionMotion,
};
pub use denoise_diffusion::{
    Config as DenoiseDiffusionConfig, DenoiseDiffusion, DenoisingMethod,
    Error as DenoiseDiffusionError, by_mp_pca, by_network, by_non_local_means, estimated_noise_sd,
};
pub use map_diffusion::{Config as MapDiffusionConfig, Fit, MapDiffusion};
pub use weighting::SeriesError;
