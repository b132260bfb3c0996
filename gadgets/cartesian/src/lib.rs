//! Gadgets that turn Cartesian k-space into images.

pub mod combine_channels;
pub mod correct_epi_phase;
pub mod cut_readout;
mod epi_header;
mod image_headers;
pub mod merge_encoding_spaces;
pub mod reconstruct_fft;
pub mod regrid_epi;
pub mod transform_k_space;
pub mod transform_readout;

pub use combine_channels::CombineChannels;
pub use correct_epi_phase::CorrectEpiPhase;
pub use cut_readout::CutReadout;
pub use epi_header::EpiHeaderError;
pub use merge_encoding_spaces::MergeEncodingSpaces;
pub use reconstruct_fft::ReconstructFft;
pub use regrid_epi::RegridEpi;
pub use transform_k_space::TransformKSpace;
pub use transform_readout::TransformReadout;
