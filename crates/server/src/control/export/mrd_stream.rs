//! A stream of MRD messages, as `boreside replay` and `boreside stream` read it.

use bytes::{Bytes, BytesMut};
use ismrmrd::wire;
use tonic::Status;

use super::{Content, Export, PIECE_BYTES, broken};

pub(super) fn export(mut content: Content) -> Export {
    let name = format!("{}.mrd", content.name());
    let header = content.header_text.take();
    let file = File { header, content, n_written: 0, buffer: BytesMut::new(), is_closed: false };
    Export { name, media_type: "application/octet-stream", pieces: Box::new(file) }
}

/// Makes one piece after the other, as they are asked for.
struct File {
    header: Option<String>,
    content: Content,
    n_written: usize,
    buffer: BytesMut,
    is_closed: bool,
}

impl File {
    fn fill(&mut self) -> Result<(), wire::EncodeError> {
        while self.buffer.len() < PIECE_BYTES && !self.is_closed {
            if let Some(header) = self.header.take() {
                wire::encode(&wire::Message::Header(header), &mut self.buffer)?;
            } else if let Some(image) = self.content.images.get(self.n_written) {
                self.n_written += 1;
                wire::encode_image(&self.content.shown(&image.image), &mut self.buffer)?;
            } else {
                wire::encode(&wire::Message::Close, &mut self.buffer)?;
                self.is_closed = true;
            }
        }
        Ok(())
    }
}

impl Iterator for File {
    type Item = Result<Bytes, Status>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Err(error) = self.fill() {
            self.is_closed = true;
            self.buffer.clear();
            return Some(Err(broken(error)));
        }
        if self.buffer.is_empty() {
            return None;
        }
        let n_bytes = self.buffer.len().min(PIECE_BYTES);
        Some(Ok(self.buffer.split_to(n_bytes).freeze()))
    }
}
