//! Handing objects to an archive.

use std::time::Duration;

use crate::destination::Destination;
use crate::{dimse, stow};

/// Why an archive has not taken an object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// It never will: the object is what it complains about.
    #[error("refused: {0}")]
    Refused(String),
    /// It may another time.
    #[error("{0}")]
    Later(String),
}

/// How long an archive may be silent.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// An open way to an archive.
pub enum Delivery {
    /// An association.
    Dimse(Box<dimse::Association>),
    /// A client of a DICOMweb service.
    Stow(Box<stow::Client>),
}

impl Delivery {
    /// Opens the way. `classes`: SOP classes of what will be sent.
    ///
    /// # Errors
    /// The archive does not answer, or not to us.
    pub fn open(to: &Destination, classes: &[String]) -> Result<Self, DeliveryError> {
        Ok(match to {
            Destination::Dimse { called, host, port, calling } => {
                let association = dimse::Association::open(called, host, *port, calling, classes)?;
                Self::Dimse(Box::new(association))
            }
            Destination::Stow { url, token_file, ca_file } => {
                let client = stow::Client::new(url, token_file.as_deref(), ca_file.as_deref())?;
                Self::Stow(Box::new(client))
            }
        })
    }

    /// Hands one file over.
    ///
    /// # Errors
    /// It was not taken.
    pub fn store(&mut self, file: &[u8]) -> Result<(), DeliveryError> {
        match self {
            Self::Dimse(association) => association.store(file),
            Self::Stow(client) => client.store(file),
        }
    }

    /// Whether more can be sent this way.
    pub fn is_usable(&self) -> bool {
        match self {
            Self::Dimse(association) => association.is_usable(),
            // Each request is one of its own.
            Self::Stow(_) => true,
        }
    }

    /// Ends it orderly.
    pub fn close(self) {
        if let Self::Dimse(association) = self
            && association.is_usable()
        {
            association.release();
        }
    }
}

/// Asks whether somebody is there and speaks to us: C-ECHO, or a question to the DICOMweb service.
///
/// # Errors
/// What is wrong.
pub fn echo(to: &Destination) -> Result<(), DeliveryError> {
    match to {
        Destination::Dimse { called, host, port, calling } => {
            let class = dicom_dictionary_std::uids::VERIFICATION.to_owned();
            let mut association = dimse::Association::open(called, host, *port, calling, &[class])?;
            association.echo()?;
            association.release();
            Ok(())
        }
        Destination::Stow { url, token_file, ca_file } => {
            stow::Client::new(url, token_file.as_deref(), ca_file.as_deref())?.ask()
        }
    }
}

/// SOP class of a file.
///
/// # Errors
/// It is no DICOM file.
pub fn sop_class(file: &[u8]) -> Result<String, DeliveryError> {
    dicom_object::FileMetaTable::from_reader(file.get(128..).unwrap_or_default())
        .map(|meta| meta.media_storage_sop_class_uid().to_owned())
        .map_err(|error| DeliveryError::Refused(format!("it is no DICOM file: {error}")))
}
