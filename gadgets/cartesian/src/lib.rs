//! Gadgets that turn Cartesian k-space into images.

mod coil_combination;
pub mod combine_channels;
pub mod compress_coils;
pub mod correct_epi_phase;
pub mod cut_readout;
mod epi_header;
pub mod grappa;
mod image_headers;
mod lines;
pub mod merge_encoding_spaces;
pub mod prepare_reference;
pub mod reconstruct_coils;
pub mod reconstruct_fft;
pub mod regrid_epi;
mod series;
pub mod transform_k_space;
pub mod transform_readout;

pub use coil_combination::CoilMapAlgorithm;
pub use combine_channels::CombineChannels;
pub use compress_coils::CompressCoils;
pub use correct_epi_phase::CorrectEpiPhase;
pub use cut_readout::CutReadout;
pub use epi_header::EpiHeaderError;
pub use grappa::Grappa;
pub use merge_encoding_spaces::MergeEncodingSpaces;
pub use prepare_reference::PrepareReference;
pub use reconstruct_coils::ReconstructCoils;
pub use reconstruct_fft::ReconstructFft;
pub use regrid_epi::RegridEpi;
pub use transform_k_space::TransformKSpace;
pub use transform_readout::TransformReadout;
