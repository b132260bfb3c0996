//! DICOM files on their way to the client.

use ismrmrd::Meta;

/// A DICOM file for the client, which writes it to its disk (message 1018).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DicomFile {
    /// The file.
    pub data: Vec<u8>,
    /// Its name.
    pub file_name: String,
    /// Meta attributes of the image that it was made of.
    pub meta: Meta,
}
