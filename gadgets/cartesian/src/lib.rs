//! Gadgets that turn Cartesian k-space into images.

mod coil_combination;
pub mod compress_coils;
pub mod grappa;
mod image_headers;
mod lines;
pub mod prepare_reference;
pub mod reconstruct_coils;
pub mod reconstruct_fft;
mod series;

pub use coil_combination::CoilMapAlgorithm;
pub use compress_coils::CompressCoils;
pub use grappa::Grappa;
pub use prepare_reference::PrepareReference;
pub use reconstruct_coils::ReconstructCoils;
pub use reconstruct_fft::ReconstructFft;
