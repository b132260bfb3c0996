//! DICOM objects: one as a file, several in a ZIP archive.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use dicom_out::{DicomFile, Forms, Study};
use ismrmrd::Header;
use tonic::Status;
use zip::ZipWriter;
use zip::write::{SimpleFileOptions, StreamWriter};

use super::{Content, Export, PIECE_BYTES, broken};
use crate::control::refusal;

pub(super) fn export(content: Content) -> Export {
    let header = content.header_text.as_deref().and_then(|text| Header::from_xml(text).ok());
    let study = Study::new(header.as_ref(), &content.run);
    let stored = match &content.images[..] {
        [only] => Some(only.image.pixels.shape()).filter(|[channels, z, ..]| channels * z == 1),
        _ => None,
    };
    if stored.is_some() {
        let name = format!("{}.dcm", content.name());
        let mut file = Some((content, study));
        // Made when it is asked for.
        let make = move || {
            let (content, study) = file.take()?;
            let files = objects(&content, &study, 0);
            Some(
                files.map(|files| files.into_iter().flat_map(|file| file.bytes).collect::<Bytes>()),
            )
        };
        let pieces = std::iter::from_fn(make).flat_map(pieces_of);
        return Export { name, media_type: "application/dicom", pieces: Box::new(pieces) };
    }
    let name = format!("{}-dicom.zip", content.name());
    let buffer = Buffer::default();
    let zip = Some(ZipWriter::new_stream(buffer.clone()));
    let pieces = Archive { content, study, n_written: 0, zip, buffer, is_broken: false };
    let pieces = pieces.flat_map(pieces_of);
    Export { name, media_type: "application/zip", pieces: Box::new(pieces) }
}

fn objects(content: &Content, study: &Study, image: usize) -> Result<Vec<DicomFile>, Status> {
    let Some(image) = content.images.get(image) else { return Ok(Vec::new()) };
    dicom_out::objects(&image.image, study, Forms::default()).map_err(|error| {
        let what = format!("image {}: {error}", image.facts.id);
        let remedy = pipeline::Remedy::remedy(&error);
        refusal(tonic::Code::FailedPrecondition, &what, remedy)
    })
}

fn pieces_of(file: Result<Bytes, Status>) -> Vec<Result<Bytes, Status>> {
    let mut bytes = match file {
        Ok(bytes) => bytes,
        Err(error) => return vec![Err(error)],
    };
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        pieces.push(Ok(bytes.split_to(bytes.len().min(PIECE_BYTES))));
    }
    pieces
}

/// What the archive's writer has written and nobody has taken.
#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Makes one image after the other, as they are taken.
struct Archive {
    content: Content,
    study: Study,
    n_written: usize,
    /// [`None`] once it is finished.
    zip: Option<ZipWriter<StreamWriter<Buffer>>>,
    buffer: Buffer,
    is_broken: bool,
}

impl Archive {
    /// Writes the next image, or the end.
    fn step(&mut self) -> Result<(), Status> {
        let Some(zip) = &mut self.zip else { return Ok(()) };
        if self.n_written == self.content.images.len() {
            if let Some(zip) = self.zip.take() {
                zip.finish().map_err(broken)?;
            }
            return Ok(());
        }
        // Pixels hardly become smaller, and a scanner's network is faster than a compressor.
        let options =
            SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        for file in objects(&self.content, &self.study, self.n_written)? {
            // Two images may be equal; names in an archive may not.
            let name = format!("{:04}_{}", self.n_written + 1, file.name);
            zip.start_file(name, options).map_err(broken)?;
            zip.write_all(&file.bytes).map_err(broken)?;
        }
        self.n_written += 1;
        Ok(())
    }
}

impl Iterator for Archive {
    type Item = Result<Bytes, Status>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_broken {
            return None;
        }
        loop {
            let is_over = self.zip.is_none();
            if let Err(error) = self.step() {
                self.is_broken = true;
                return Some(Err(error));
            }
            let piece = self.buffer.take();
            if !piece.is_empty() {
                return Some(Ok(piece.into()));
            }
            if is_over {
                return None;
            }
        }
    }
}
