//! Gadgets that turn Cartesian k-space into images.

mod image_headers;
mod lines;
pub mod prepare_reference;
pub mod reconstruct_fft;
mod series;

pub use prepare_reference::PrepareReference;
pub use reconstruct_fft::ReconstructFft;
