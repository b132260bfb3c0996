//! What can go wrong with a file.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::wire::{EncodeError, Fault};
use crate::{HeaderError, MetaError};

/// An object in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// Path of the object within it.
    pub object: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, `{}`", self.file.display(), self.object)
    }
}

/// What is wrong with a file, and where.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system cannot open the file.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another program has locked the file.
    #[error(
        "{}: another program has it open, perhaps to write to it; close it there or take a copy \
         (the C++ library, and so Gadgetron's client, opens files for writing even to read them)",
        file.display()
    )]
    Busy {
        /// The file.
        file: PathBuf,
    },
    /// The file is something else.
    #[error("{}: not an HDF5 file{}", file.display(), hint)]
    NotHdf5 {
        /// The file.
        file: PathBuf,
        /// What it is instead, if that is known.
        hint: &'static str,
    },
    /// The file has no such group.
    #[error(
        "{}: no group `{group}` with a scan; {}", file.display(),
        if found.is_empty() { "the file has none".to_owned() }
        else { format!("the file has `{}`", found.join("`, `")) }
    )]
    NoGroup {
        /// The file.
        file: PathBuf,
        /// The group that was asked for.
        group: String,
        /// Groups with scans or images.
        found: Vec<String>,
    },
    /// The object is not what the standard says.
    #[error("{place}: {what}")]
    Layout {
        /// The object.
        place: Place,
        /// What is wrong with it.
        what: String,
    },
    /// A row contradicts itself.
    #[error("{place}, row {row}: {what}")]
    Row {
        /// The object.
        place: Place,
        /// Number of the row, from 0.
        row: usize,
        /// What is wrong with it.
        what: String,
    },
    /// A row is too large.
    #[error("{place}, row {row}: {source}")]
    Limit {
        /// The object.
        place: Place,
        /// Number of the row, from 0.
        row: usize,
        /// Which limit.
        source: Fault,
    },
    /// The XML header cannot be used.
    #[error("{place}: {source}")]
    Header {
        /// The object.
        place: Place,
        /// What is wrong with it.
        source: HeaderError,
    },
    /// The meta attributes of an image cannot be read.
    #[error("{place}, row {row}: {source}")]
    Meta {
        /// The object.
        place: Place,
        /// Number of the row, from 0.
        row: usize,
        /// What is wrong with them.
        source: MetaError,
    },
    /// What is to be written does not fit.
    #[error("{place}: {source}")]
    Encode {
        /// The object.
        place: Place,
        /// What does not fit.
        source: EncodeError,
    },
    /// The HDF5 library failed.
    #[error("{place}: cannot {doing}: {source}")]
    Library {
        /// The object.
        place: Place,
        /// What was attempted.
        doing: &'static str,
        /// What the library says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
