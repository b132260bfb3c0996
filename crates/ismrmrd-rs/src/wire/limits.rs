//! How large the parts of a message may be.

use super::error::Fault;

/// Largest sizes that a decoder accepts. A length beyond its limit is an error as soon as the
/// length itself has arrived, before any memory is set aside for it.
///
/// The defaults fit every scan that the authors know of; a server that shares a machine can set
/// tighter ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Configurations, XML headers, log lines, queries, meta attributes. 64 MiB.
    pub max_text_bytes: usize,
    /// Samples and trajectory of one readout, decompressed. 128 MiB.
    pub max_acquisition_bytes: usize,
    /// Samples of one waveform message. 64 MiB.
    pub max_waveform_bytes: usize,
    /// Pixels of one image. 1 GiB.
    pub max_image_bytes: usize,
    /// A whole message of sorted k-space, images, readouts or an array. 4 GiB.
    pub max_array_bytes: usize,
    /// A DICOM file. 1 GiB.
    pub max_blob_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: usize = 1 << 20;
        Self {
            max_text_bytes: 64 * MIB,
            max_acquisition_bytes: 128 * MIB,
            max_waveform_bytes: 64 * MIB,
            max_image_bytes: 1024 * MIB,
            max_array_bytes: 4096 * MIB,
            max_blob_bytes: 1024 * MIB,
        }
    }
}

/// One of the limits, with what it limits.
#[derive(Clone, Copy)]
pub(crate) struct Limit {
    pub what: &'static str,
    pub field: &'static str,
    pub bytes: usize,
}

impl Limit {
    /// `bytes` as a size in memory if it is within the limit.
    pub fn check(self, bytes: u128) -> Result<usize, Fault> {
        match usize::try_from(bytes) {
            Ok(size) if size <= self.bytes => Ok(size),
            _ => Err(Fault::TooLarge {
                what: self.what,
                bytes: u64::try_from(bytes).unwrap_or(u64::MAX),
                limit: self.bytes,
                field: self.field,
            }),
        }
    }
}

macro_rules! limit_methods {
    ($($method:ident: $field:ident = $what:literal,)*) => {
        impl Limits {
            $(pub(crate) fn $method(&self) -> Limit {
                Limit { what: $what, field: stringify!($field), bytes: self.$field }
            })*
        }
    };
}

limit_methods! {
    text: max_text_bytes = "text",
    acquisition: max_acquisition_bytes = "samples and trajectory",
    waveform: max_waveform_bytes = "waveform",
    image: max_image_bytes = "pixels",
    array: max_array_bytes = "array message",
    blob: max_blob_bytes = "DICOM file",
}
