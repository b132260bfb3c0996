//! Gadgets that turn Cartesian k-space into images.

pub mod reconstruct_fft;

pub use reconstruct_fft::ReconstructFft;
