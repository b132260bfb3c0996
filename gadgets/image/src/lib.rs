//! Gadgets that work on images: out of series, out of complex numbers, into integers, and what a
//! client wants to know about them.

pub mod auto_scale;
pub mod complex_to_float;
pub mod convert;
pub mod denoise;
pub mod describe_images;
pub mod extract;
pub mod finish_dicom;
pub mod finish_images;
pub mod interpolate_phases;
pub mod invert_contrast;
pub mod number_images;
pub mod resize_images;
pub mod scale;
pub mod sort_images;
pub mod split_series;
pub mod write_dicom;

pub use auto_scale::AutoScale;
pub use complex_to_float::ComplexToFloat;
pub use convert::{ConvertToI16, ConvertToI32, ConvertToU16, ConvertToU32};
pub use denoise::Denoise;
pub use describe_images::DescribeImages;
pub use extract::Extract;
pub use finish_dicom::FinishDicom;
pub use finish_images::FinishImages;
pub use interpolate_phases::InterpolatePhases;
pub use invert_contrast::InvertContrast;
pub use number_images::NumberImages;
pub use resize_images::ResizeImages;
pub use scale::Scale;
pub use sort_images::SortImages;
pub use split_series::SplitSeries;
pub use write_dicom::WriteDicom;
