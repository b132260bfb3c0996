//! Diffusion tensor imaging of the heart: from repeated diffusion-weighted images to maps of
//! diffusivity, anisotropy and the direction of fibres and sheetlets.

mod denoise_diffusion;
pub mod weighting;

pub use denoise_diffusion::{
    Config as DenoiseDiffusionConfig, DenoiseDiffusion, DenoisingMethod,
    Error as DenoiseDiffusionError, by_mp_pca, by_network, by_non_local_means, estimated_noise_sd,
};
