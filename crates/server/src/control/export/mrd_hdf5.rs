//! An HDF5 file as ISMRMRD's tools read it.

use std::fs::File;
use std::io::Read;

use bytes::Bytes;
use ismrmrd::hdf5::FileWriter;
use ismrmrd::wire;
use tempfile::TempDir;
use tonic::Status;

use super::{Content, Export, PIECE_BYTES, broken};

pub(super) fn export(content: Content) -> Export {
    let name = format!("{}.h5", content.name());
    let pieces = Box::new(Pieces { state: State::Asked(content) });
    Export { name, media_type: "application/x-hdf5", pieces }
}

/// HDF5 is written all over its file: it lies on disk until it has been taken.
struct Pieces {
    state: State,
}

enum State {
    Asked(Content),
    Written { file: File, _folder: TempDir },
    Over,
}

impl Iterator for Pieces {
    type Item = Result<Bytes, Status>;

    fn next(&mut self) -> Option<Self::Item> {
        if let State::Asked(content) = &self.state {
            match write(content) {
                Ok((file, folder)) => self.state = State::Written { file, _folder: folder },
                Err(error) => {
                    self.state = State::Over;
                    return Some(Err(error));
                }
            }
        }
        let State::Written { file, .. } = &mut self.state else { return None };
        let mut piece = vec![0; PIECE_BYTES];
        match file.read(&mut piece) {
            Ok(0) => {
                self.state = State::Over;
                None
            }
            Ok(n) => {
                piece.truncate(n);
                Some(Ok(piece.into()))
            }
            Err(error) => {
                self.state = State::Over;
                Some(Err(broken(error)))
            }
        }
    }
}

fn write(content: &Content) -> Result<(File, TempDir), Status> {
    let folder = tempfile::tempdir().map_err(broken)?;
    let path = folder.path().join("images.h5");
    let mut writer = FileWriter::create(&path).map_err(broken)?;
    if let Some(header) = &content.header_text {
        writer.write_header_text(header).map_err(broken)?;
    }
    for image in &content.images {
        let image = content.shown(&image.image).into_owned();
        writer.write(&wire::Message::Image(image)).map_err(broken)?;
    }
    drop(writer);
    let file = File::open(&path).map_err(broken)?;
    Ok((file, folder))
}
