//! Gadgets that work on readouts: noise, oversampling, buckets, sorted k-space, and those that
//! end a chain without an image.

pub mod adjust_asymmetric_echo;
pub mod adjust_noise;
pub mod collect_readouts;
pub mod discard;
pub mod inject_fault;
pub mod list_dependencies;
pub mod passthrough;
pub mod remove_oversampling;
pub mod save_data;
pub mod sort_k_space;
pub mod summarise_noise;

pub use adjust_asymmetric_echo::AdjustAsymmetricEcho;
pub use adjust_noise::AdjustNoise;
pub use collect_readouts::CollectReadouts;
pub use discard::Discard;
pub use inject_fault::InjectFault;
pub use list_dependencies::ListDependencies;
pub use passthrough::Passthrough;
pub use remove_oversampling::RemoveOversampling;
pub use save_data::SaveData;
pub use sort_k_space::SortKSpace;
pub use summarise_noise::SummariseNoise;
