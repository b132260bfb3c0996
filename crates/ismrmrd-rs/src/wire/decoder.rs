//! From bytes to messages, without I/O.

use bytes::{Buf, BytesMut};

use super::cursor::{Length, peek};
use super::error::{DecodeError, Fault};
use super::limits::Limits;
use super::message::{Message, MessageId};
use super::nested::Walk;
use super::{acquisition, blob, bucket, image, image_array, nd_array, recon_data, text, waveform};

const ID_BYTES: usize = 2;

/// Turns the bytes of one direction of a stream into messages.
///
/// Feed it with [`decode`](Self::decode), which takes whole messages out of a buffer, or with
/// [`decode_slice`](Self::decode_slice). Bytes of an unfinished message are looked at once: its
/// length is found as soon as its header is there, and checked against the [`Limits`] right then.
#[derive(Default)]
pub struct Decoder {
    limits: Limits,
    offset: u64,
    previous: Option<u16>,
    missing: usize,
    nul_terminated: bool,
    /// Where the length of an unfinished message has been searched for.
    walk: Option<Walk>,
}

impl Decoder {
    /// A decoder at the beginning of a stream.
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Takes the next message out of `buffer`, [`None`] while it is incomplete. Nothing is taken
    /// until then, so append to the buffer and call again.
    ///
    /// # Errors
    /// The stream cannot be read on after an error; the buffer stays as it is and a further call
    /// gives the same error.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Message>, DecodeError> {
        Ok(self.decode_slice(buffer)?.map(|(message, n_bytes)| {
            buffer.advance(n_bytes);
            message
        }))
    }

    /// The message at the beginning of `bytes` and its length, [`None`] while it is incomplete:
    /// then call again with the same bytes and more behind them, otherwise with the bytes behind
    /// the message.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn decode_slice(&mut self, bytes: &[u8]) -> Result<Option<(Message, usize)>, DecodeError> {
        let Some(id) = peek(bytes, 0).map(u16::from_le_bytes) else {
            self.missing = ID_BYTES - bytes.len();
            return Ok(None);
        };
        let body = &bytes[ID_BYTES..];
        let (needed, complete) = match self.length(id, body) {
            Ok(Length::Known(needed)) => (needed, needed <= body.len()),
            Ok(Length::AtLeast(needed)) => (needed, false),
            Err(fault) => return Err(self.error(id, fault)),
        };
        if !complete {
            self.missing = needed.saturating_sub(body.len()).max(1);
            return Ok(None);
        }
        self.walk = None;
        let message = match self.message(id, &body[..needed]) {
            Ok(message) => message,
            Err(fault) => return Err(self.error(id, fault)),
        };
        let n_bytes = ID_BYTES + needed;
        self.offset += n_bytes as u64;
        self.previous = Some(id);
        self.missing = ID_BYTES;
        Ok(Some((message, n_bytes)))
    }

    /// Bytes of all messages so far: where in the stream the next one begins.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes that are missing from the message that [`decode`](Self::decode) last found
    /// incomplete, at least.
    pub fn missing(&self) -> usize {
        self.missing
    }

    /// Whether a NUL was counted in the length of a text so far (messages 2, 3 and 5): the sender
    /// speaks the dialect of the Python server and of FIRE.
    pub fn saw_nul_terminated_text(&self) -> bool {
        self.nul_terminated
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    fn length(&mut self, id: u16, body: &[u8]) -> Result<Length, Fault> {
        let limits = &self.limits;
        match MessageId(id) {
            MessageId::CLOSE => Ok(Length::Known(0)),
            MessageId::CONFIG_FILE => Ok(text::config_file_length()),
            MessageId::CONFIG_TEXT | MessageId::HEADER | MessageId::TEXT => {
                text::short_length(body, limits)
            }
            MessageId::QUERY => text::long_length(body, 2, limits),
            MessageId::RESPONSE => text::long_length(body, 1, limits),
            MessageId::ERROR | MessageId::DEPENDENCY_QUERY => text::long_length(body, 0, limits),
            MessageId::ACQUISITION => acquisition::length(body, limits),
            MessageId::DICOM => blob::dicom_length(body, limits),
            MessageId::IMAGE => image::length(body, limits),
            MessageId::WAVEFORM => waveform::length(body, limits),
            MessageId::ND_ARRAY => nd_array::length(body, limits),
            MessageId::BUCKET => bucket::length(body, limits),
            MessageId::RECON_DATA => {
                let walk = self.walk.get_or_insert_with(|| Walk::new(recon_data::ITEMS));
                walk.advance(body, limits)
            }
            MessageId::IMAGE_ARRAY => {
                let walk = self.walk.get_or_insert_with(|| Walk::new(image_array::ITEMS));
                walk.advance(body, limits)
            }
            MessageId(_) => {
                let mut first = id.to_le_bytes().to_vec();
                first.extend_from_slice(body.get(..2).unwrap_or_default());
                Err(Fault::UnknownId { hint: text::stranger(&first) })
            }
        }
    }

    fn message(&mut self, id: u16, body: &[u8]) -> Result<Message, Fault> {
        Ok(match MessageId(id) {
            MessageId::CONFIG_FILE => Message::ConfigFile(text::decode_config_file(body)),
            MessageId::CONFIG_TEXT => Message::ConfigText(self.short_text(body)?),
            MessageId::HEADER => Message::Header(self.short_text(body)?),
            MessageId::TEXT => Message::Text(self.short_text(body)?),
            MessageId::QUERY => text::decode_query(body)?,
            MessageId::RESPONSE => text::decode_response(body)?,
            MessageId::ERROR => text::decode_error(body)?,
            MessageId::ACQUISITION => Message::Acquisition(acquisition::decode(body)?),
            MessageId::DICOM => blob::decode_dicom(body)?,
            MessageId::DEPENDENCY_QUERY => blob::decode_dependency_query(body)?,
            MessageId::IMAGE => Message::Image(image::decode(body)?),
            MessageId::RECON_DATA => Message::ReconData(recon_data::decode(body)?),
            MessageId::IMAGE_ARRAY => Message::ImageArray(image_array::decode(body)?),
            MessageId::WAVEFORM => {
                Message::Waveform(waveform::decode(&mut super::cursor::Cursor::new(body))?)
            }
            MessageId::ND_ARRAY => Message::NdArray(nd_array::decode(body)?),
            MessageId::BUCKET => Message::Bucket(bucket::decode(body, &self.limits)?),
            // `length` knows no other.
            MessageId(_) => Message::Close,
        })
    }

    fn short_text(&mut self, body: &[u8]) -> Result<String, Fault> {
        let (text, nul_terminated) = text::decode_short(body)?;
        self.nul_terminated |= nul_terminated;
        Ok(text)
    }

    fn error(&mut self, id: u16, fault: Fault) -> DecodeError {
        self.walk = None;
        DecodeError { offset: self.offset, id, previous: self.previous, fault }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_message(id: u16, text: &[u8]) -> BytesMut {
        let mut buffer = BytesMut::new();
        buffer.extend_from_slice(&id.to_le_bytes());
        buffer.extend_from_slice(&(text.len() as u32).to_le_bytes());
        buffer.extend_from_slice(text);
        buffer
    }

    #[test]
    fn both_conventions_of_nul_are_read_and_told_apart() {
        let mut decoder = Decoder::default();
        let mut buffer = text_message(5, b"plain");
        assert_eq!(decoder.decode(&mut buffer).unwrap(), Some(Message::Text("plain".into())));
        assert!(!decoder.saw_nul_terminated_text());
        let mut buffer = text_message(3, b"<x/>\0");
        assert_eq!(decoder.decode(&mut buffer).unwrap(), Some(Message::Header("<x/>".into())));
        assert!(decoder.saw_nul_terminated_text());
    }

    #[test]
    fn a_config_name_ends_at_its_first_nul() {
        let mut buffer = BytesMut::from(&[1_u8, 0][..]);
        buffer.extend_from_slice(b"default.xml\0garbage");
        buffer.resize(2 + 1024, 0xff);
        let message = Decoder::default().decode(&mut buffer).unwrap();
        assert_eq!(message, Some(Message::ConfigFile("default.xml".into())));
        assert!(buffer.is_empty());
    }

    #[test]
    fn an_unknown_id_is_named_with_its_place_and_what_came_before() {
        let mut decoder = Decoder::default();
        let mut buffer = text_message(5, b"ok");
        buffer.extend_from_slice(&1012_u16.to_le_bytes());
        decoder.decode(&mut buffer).unwrap();
        let message = decoder.decode(&mut buffer).unwrap_err().to_string();
        assert!(
            message.starts_with("MRD stream, byte 8, message 1012 after 5 (text): unknown"),
            "{message}"
        );
    }

    #[test]
    fn strangers_are_recognised() {
        let error = |bytes: &[u8]| {
            Decoder::default().decode(&mut BytesMut::from(bytes)).unwrap_err().to_string()
        };
        assert!(error(b"GET / HTTP/1.1").contains("HTTP"));
        assert!(error(b"\x16\x03\x01\x00").contains("TLS"));
        assert!(error(b"\x89HDF\r\n").contains("HDF5"));
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_its_bytes_arrive() {
        let limits = Limits { max_text_bytes: 100, ..Limits::default() };
        let mut decoder = Decoder::new(limits);
        let mut buffer = BytesMut::from(&[3_u8, 0, 101, 0, 0, 0][..]);
        assert_eq!(
            decoder.decode(&mut buffer).unwrap_err().to_string(),
            "MRD stream, byte 0, message 3 (header) at the beginning: text of 101 bytes, the \
             limit is 100; raise `max_text_bytes` if this is meant"
        );
    }

    #[test]
    fn missing_says_how_much_is_needed() {
        let mut decoder = Decoder::default();
        let whole = text_message(5, b"hello");
        for (n_bytes, missing) in [(0, 2), (1, 1), (2, 4), (5, 1), (6, 5), (10, 1)] {
            assert!(decoder.decode_slice(&whole[..n_bytes]).unwrap().is_none());
            assert_eq!(decoder.missing(), missing, "{n_bytes} bytes");
        }
        assert!(decoder.decode_slice(&whole).unwrap().is_some());
        assert_eq!(decoder.offset(), whole.len() as u64);
    }
}
