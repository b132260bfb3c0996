//! Images as files of several formats, a file each.

mod dicom;
mod mrd_hdf5;
mod mrd_stream;

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use ismrmrd::{Image, Meta};
use tonic::Status;

use crate::live::{StoredImage, is_personal};
use crate::proto::FileFormat;

/// What can be written.
pub(super) const FORMATS: [FileFormat; 3] =
    [FileFormat::MrdStream, FileFormat::MrdHdf5, FileFormat::Dicom];
/// Bytes of one piece of a file.
const PIECE_BYTES: usize = 256 << 10;

/// What is written.
pub(super) struct Content {
    /// Number of the session.
    pub session: u64,
    /// What tells this session from others in objects that do not say whose it is.
    pub run: String,
    /// The MRD header, as much of it as may be told.
    pub header_text: Option<String>,
    /// The images; they are held.
    pub images: Vec<Arc<StoredImage>>,
    /// Whether nothing may be told of patients.
    pub hides_patients: bool,
}

/// A file that is made piece by piece, as somebody takes it.
pub(super) struct Export {
    pub name: String,
    pub media_type: &'static str,
    pub pieces: Box<dyn Iterator<Item = Result<Bytes, Status>> + Send>,
}

impl Export {
    /// A file of these images, of which there is at least one.
    pub fn new(format: FileFormat, content: Content) -> Self {
        match format {
            FileFormat::MrdHdf5 => mrd_hdf5::export(content),
            FileFormat::Dicom => dicom::export(content),
            FileFormat::MrdStream | FileFormat::Unspecified => mrd_stream::export(content),
        }
    }
}

impl Content {
    /// Name of the file without its ending.
    fn name(&self) -> String {
        let session = self.session;
        match &self.images[..] {
            [image] => format!("boreside-session-{session}-image-{}", image.facts.id),
            _ => format!("boreside-session-{session}"),
        }
    }

    /// An image, as much of it as may be told.
    fn shown<'a>(&self, image: &'a Image) -> Cow<'a, Image> {
        if !self.hides_patients || !image.meta.iter().any(|(key, _)| is_personal(key)) {
            return Cow::Borrowed(image);
        }
        let mut meta = Meta::new();
        for (key, values) in image.meta.iter().filter(|(key, _)| !is_personal(key)) {
            meta.set_all(key, values.iter().map(String::as_str));
        }
        Cow::Owned(Image { meta, ..image.clone() })
    }
}

/// A fault in the middle of a file.
fn broken(error: impl std::fmt::Display) -> Status {
    Status::internal(error.to_string())
}
