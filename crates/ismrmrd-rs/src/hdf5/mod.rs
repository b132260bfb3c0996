//! ISMRMRD HDF5 files.
//!
//! A scan lies in one group of a file, by default `dataset`: the XML header in `xml`, readouts in
//! `data`, waveforms in `waveforms`, images in groups of their own such as `image_0`.
//!
//! Files are read in blocks of bounded size, so their length does not matter. Members of records
//! are found by name and converted by HDF5, so that files of other layouts than the C++ library's
//! are read; what a file lacks has the value of a fresh header. Files that cannot be read are
//! refused with a sentence that names what is wrong.
//!
//! What is written opens in the C++ library and in Python's `ismrmrd`. Text is stored as ASCII,
//! which is all that these two read: in XML, other characters become character references.
//!
//! ```
//! use ismrmrd::hdf5::{FileReader, FileWriter};
//! use ismrmrd::{Acquisition, AcquisitionHeader};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("scan.h5");
//!
//! let mut writer = FileWriter::create(&path)?;
//! let samples = ndarray::Array2::zeros((8, 256));
//! writer.write_acquisition(&Acquisition::new(AcquisitionHeader::default(), samples))?;
//! writer.finish()?;
//!
//! for readout in FileReader::open(&path)?.acquisitions()? {
//!     assert_eq!(readout?.data.dim(), (8, 256));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Source
//! `libsrc/dataset.c` of the C++ library, `ismrmrd/hdf5.py` of the Python package.

mod arrays;
mod error;
mod file_lock;
mod image_writer;
mod images;
mod layout;
mod merge;
mod open_files;
mod pixels;
mod reader;
mod rows;
mod table;
mod text;
mod writer;

pub use error::{FileError, Place};
pub use images::Images;
pub use merge::Messages;
pub use reader::FileReader;
pub use rows::{Acquisitions, Waveforms};
pub use writer::FileWriter;

/// Group of a scan where none is named.
pub const DEFAULT_GROUP: &str = "dataset";

/// Bytes of samples that a reader holds at once.
const BLOCK_BYTES: usize = 16 << 20;

#[cfg(test)]
mod foreign_tests;
#[cfg(test)]
mod tests;
