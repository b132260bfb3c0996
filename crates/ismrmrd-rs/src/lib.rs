//! The ISMRMRD / MRD raw data format.
//!
//! Headers, flags, the [XML header](xml), [meta attributes](Meta), the [wire protocol](wire) in
//! both of its dialects (Gadgetron and the Python server) and HDF5 files (`hdf5`, behind the
//! feature of that name). [`Survey`] tells what a scan consists of.
//!
//! Axes are named slowest first, so the last one is contiguous. The fixed-size headers have the
//! memory layout of the wire, which makes them packed: copy a field before you borrow it.
//!
//! # Source
//! The [ISMRMRD](https://github.com/ismrmrd/ismrmrd) C++ library, its documentation and schema.

mod acquisition;
pub mod flags;
#[cfg(feature = "hdf5")]
pub mod hdf5;
mod header;
mod image;
mod image_geometry;
mod meta;
mod nd_array;
mod recon_data;
pub mod sniff;
pub mod survey;
mod waveform;
pub mod wire;
pub mod xml;

pub use acquisition::Acquisition;
pub use flags::{AcquisitionFlags, ImageFlags};
pub use header::{AcquisitionHeader, EncodingCounters, ImageHeader, MAX_CHANNELS, WaveformHeader};
pub use image::{DataType, Image, ImageType, Pixels};
pub use meta::{Meta, MetaError, MetaValue};
pub use nd_array::NdArray;
pub use recon_data::{
    Bucket, ImageArray, KSpaceBuffer, ReconBit, SamplingDescription, SamplingLimit,
};
pub use survey::Survey;
pub use waveform::Waveform;
pub use xml::{Header, HeaderError};

/// Runs the example of the README.
#[cfg(all(doctest, feature = "hdf5"))]
#[doc = include_str!("../README.md")]
struct Readme;
