//! What a gadget knows of the scan it works for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ismrmrd::Header;

use crate::Remedy;
use crate::noise::NoiseStore;
use crate::services::Services;

/// The scan behind a chain's data.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    /// Number of the session, 0 outside a server.
    pub session: u64,
    /// The header as it was sent. It may have elements that [`Scan::header`] has no place for,
    /// or be no MRD header at all.
    pub header_text: String,
    /// The header, [`None`] where the client sent none or one that is not MRD XML.
    pub header: Option<Header>,
    /// Folder for gadgets that keep files, [`None`] where the site does not allow any.
    pub save_dir: Option<PathBuf>,
    /// Noise of earlier scans, and room for that of this one; [`None`] where none is kept.
    pub noise: Option<Arc<dyn NoiseStore>>,
    /// What the program has for gadgets beside that, e.g. its networks.
    pub services: Services,
}

/// The scan's header lacks what a gadget needs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// No header.
    #[error("the scan has no MRD header")]
    NoHeader,
    /// The header does not describe this encoding space.
    #[error("the scan's header has {n_encodings} encoding spaces, number {index} is needed")]
    NoEncoding {
        /// The one that is needed, from 0.
        index: usize,
        /// How many there are.
        n_encodings: usize,
    },
    /// No place for files.
    #[error("no folder for saved data is set")]
    NoSaveDir,
    /// The folder for files cannot be made.
    #[error("the folder for saved data cannot be made: {0}")]
    SaveDir(String),
}

impl Remedy for ScanError {
    fn remedy(&self) -> &str {
        match self {
            Self::NoHeader => "send the MRD XML header before the data",
            Self::NoEncoding { .. } => {
                "let the converter write one `encoding` for each encoding space of the readouts"
            }
            Self::NoSaveDir | Self::SaveDir(_) => {
                "start the server with a data directory that it may write to"
            }
        }
    }
}

impl Scan {
    /// A scan with this header and nothing else.
    pub fn with_header(header: Header) -> Self {
        Self { header_text: header.to_xml(), header: Some(header), ..Self::default() }
    }

    /// The header.
    ///
    /// # Errors
    /// [`ScanError::NoHeader`].
    pub fn header(&self) -> Result<&Header, ScanError> {
        self.header.as_ref().ok_or(ScanError::NoHeader)
    }

    /// The header's description of an encoding space.
    ///
    /// # Errors
    /// [`ScanError::NoHeader`], [`ScanError::NoEncoding`].
    pub fn encoding(&self, index: usize) -> Result<&ismrmrd::xml::Encoding, ScanError> {
        let encodings = &self.header()?.encoding;
        encodings.get(index).ok_or(ScanError::NoEncoding { index, n_encodings: encodings.len() })
    }

    /// Folder for files that a gadget keeps. It is made if it is missing.
    ///
    /// # Errors
    /// [`ScanError::NoSaveDir`], [`ScanError::SaveDir`].
    pub fn save_dir(&self) -> Result<&Path, ScanError> {
        let folder = self.save_dir.as_deref().ok_or(ScanError::NoSaveDir)?;
        std::fs::create_dir_all(folder).map_err(|error| ScanError::SaveDir(error.to_string()))?;
        Ok(folder)
    }
}
