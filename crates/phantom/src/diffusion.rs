//! The diffusion tensor of the heart, and what diffusion-weighted shots make of it.
//!
//! No ellipse describes helices, so these objects are pixels: build a [`DiffusionHeart`] on a
//! grid some times finer than the scan's for its signal, and on the grid of the images for the
//! truth.

mod directions;
mod eigenvalues;
mod encoding;
mod error;
mod fibre;
mod heart;
mod options;
mod random;
mod shots;
mod wall;

pub use directions::{DiffusionTable, gradient_directions};
pub use eigenvalues::Eigenvalues;
pub use encoding::{DiffusionEncoding, MixingTime};
pub use error::DiffusionError;
pub use fibre::{Fibre, WallFrame};
pub use heart::DiffusionHeart;
pub use options::{DiffusionOptions, FibreChange, FibrePatch, IsotropicDiffusivities};
pub use random::random_diffusion_options;
pub use shots::{Shot, ShotOptions};
