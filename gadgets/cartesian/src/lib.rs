//! Gadgets that turn Cartesian k-space into images.

pub mod adjust_field_of_view;
pub mod filter_k_space;
pub mod gather_replicas;
mod image_headers;
pub mod image_to_k_space;
pub mod noise_sd_map;
pub mod partial_fourier_filter;
pub mod partial_fourier_homodyne;
pub mod partial_fourier_pocs;
pub mod pseudo_replica;
pub mod reconstruct_fft;
mod sampled_images;
pub mod scale_series;

pub use adjust_field_of_view::AdjustFieldOfView;
pub use filter_k_space::FilterKSpace;
pub use gather_replicas::GatherReplicas;
pub use image_to_k_space::ImageToKSpace;
pub use noise_sd_map::NoiseSdMap;
pub use partial_fourier_filter::PartialFourierFilter;
pub use partial_fourier_homodyne::PartialFourierHomodyne;
pub use partial_fourier_pocs::PartialFourierPocs;
pub use pseudo_replica::PseudoReplica;
pub use reconstruct_fft::ReconstructFft;
pub use sampled_images::SeriesError;
pub use scale_series::ScaleSeries;
