//! The ISMRMRD / MRD raw data format.
//!
//! Headers, flags, the XML header, meta attributes, the wire protocol in both of its dialects
//! (Gadgetron and the Python server) and HDF5 files.

mod acquisition;
pub mod flags;
#[cfg(feature = "hdf5")]
pub mod hdf5;
mod header;
mod image;
mod meta;
mod nd_array;
mod recon_data;
pub mod sniff;
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
pub use waveform::Waveform;
pub use xml::{Header, HeaderError};
