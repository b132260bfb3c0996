//! Gadgets that work on readouts: noise, oversampling, buckets, sorted k-space, and those that
//! end a chain without an image.

pub mod adjust_asymmetric_echo;
pub mod adjust_noise;
mod bucket_rule;
pub mod collect_by_flags;
pub mod collect_readouts;
pub mod compress_channels;
pub mod discard;
pub mod inject_fault;
pub mod list_dependencies;
pub mod passthrough;
pub mod remove_oversampling;
pub mod save_copy;
pub mod save_data;
pub mod select_channels;
pub mod sort_k_space;
pub mod summarise_noise;

pub use adjust_asymmetric_echo::AdjustAsymmetricEcho;
pub use adjust_noise::AdjustNoise;
pub use collect_by_flags::CollectByFlags;
pub use collect_readouts::CollectReadouts;
pub use compress_channels::CompressChannels;
pub use discard::Discard;
pub use inject_fault::InjectFault;
pub use list_dependencies::ListDependencies;
pub use passthrough::Passthrough;
pub use remove_oversampling::RemoveOversampling;
pub use save_copy::SaveCopy;
pub use save_data::SaveData;
pub use select_channels::SelectChannels;
pub use sort_k_space::SortKSpace;
pub use summarise_noise::SummariseNoise;
