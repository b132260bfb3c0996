//! Gadgets that turn Cartesian k-space into images.

mod image_headers;
pub mod reconstruct_fft;

pub use reconstruct_fft::ReconstructFft;
