//! Messages from anything that can be read, one thread, blocking.

use std::io::Read;

use super::decoder::Decoder;
use super::error::ReadError;
use super::limits::Limits;
use super::message::Message;

/// Bytes that are read at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// Most bytes that the buffer grows by at once: memory follows what has arrived, not what a length
/// claims.
const MOST_GROWTH_BYTES: usize = 16 * 1024 * 1024;

/// Reads messages.
///
/// It is an iterator that ends where the stream ends between two messages; an end within one is
/// an error. [`Message::Close`] does not end it.
///
/// ```
/// use ismrmrd::wire::{Message, Reader};
///
/// let stream: &[u8] = &[5, 0, 2, 0, 0, 0, b'h', b'i', 4, 0];
/// let messages: Result<Vec<Message>, _> = Reader::new(stream).collect();
/// assert_eq!(messages.unwrap(), [Message::Text("hi".into()), Message::Close]);
/// ```
pub struct Reader<R> {
    source: R,
    decoder: Decoder,
    /// Bytes `start..end` have been read and not decoded.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    failed: bool,
}

impl<R: Read> Reader<R> {
    /// A reader with the default limits. It has a buffer of its own.
    pub fn new(source: R) -> Self {
        Self::with_limits(source, Limits::default())
    }

    /// A reader with other limits.
    pub fn with_limits(source: R, limits: Limits) -> Self {
        let buffer = vec![0; CHUNK_BYTES];
        Self { source, decoder: Decoder::new(limits), buffer, start: 0, end: 0, failed: false }
    }

    /// The next message, [`None`] at the end.
    ///
    /// # Errors
    /// Faults of the stream and of the system. Nothing can be read after one.
    pub fn read(&mut self) -> Result<Option<Message>, ReadError> {
        loop {
            let bytes = &self.buffer[self.start..self.end];
            if let Some((message, n_bytes)) = self.decoder.decode_slice(bytes)? {
                self.start += n_bytes;
                return Ok(Some(message));
            }
            if self.fill()? == 0 {
                return self.end();
            }
        }
    }

    /// What the decoder has seen so far.
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// The source. Bytes that were read ahead are lost.
    pub fn into_inner(self) -> R {
        self.source
    }

    fn fill(&mut self) -> Result<usize, ReadError> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        let missing = self.decoder.missing();
        if self.buffer.len() - self.end < missing {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if self.buffer.len() - self.end < missing {
                let growth = missing.clamp(CHUNK_BYTES, MOST_GROWTH_BYTES);
                self.buffer.resize(self.end + growth, 0);
            }
        }
        loop {
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(n_bytes) => {
                    self.end += n_bytes;
                    return Ok(n_bytes);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(source) => {
                    let offset = self.decoder.offset() + (self.end - self.start) as u64;
                    return Err(ReadError::Io { offset, source });
                }
            }
        }
    }

    fn end(&self) -> Result<Option<Message>, ReadError> {
        truncated(&self.decoder, &self.buffer[self.start..self.end])
    }
}

/// The end of a stream with `rest` not decoded.
pub(super) fn truncated(decoder: &Decoder, rest: &[u8]) -> Result<Option<Message>, ReadError> {
    if rest.is_empty() {
        return Ok(None);
    }
    Err(ReadError::Truncated {
        offset: decoder.offset(),
        id: super::cursor::peek(rest, 0).map(u16::from_le_bytes),
        found: rest.len(),
        missing: decoder.missing(),
    })
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Message, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let message = self.read().transpose();
        self.failed = matches!(message, Some(Err(_)));
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_within_a_message_says_what_is_missing() {
        let stream: &[u8] = &[4, 0, 5, 0, 9, 0, 0, 0, b'h', b'i'];
        let mut reader = Reader::new(stream);
        assert_eq!(reader.next().unwrap().unwrap(), Message::Close);
        assert_eq!(
            reader.next().unwrap().unwrap_err().to_string(),
            "MRD stream, byte 2: ended within message 5 (text), 8 bytes of it arrived, 7 more \
             were due at least; the sender was cut off"
        );
        assert!(reader.next().is_none());
    }

    #[test]
    fn messages_larger_than_the_buffer_are_read() {
        let text = "x".repeat(3 * CHUNK_BYTES);
        let mut stream = vec![5, 0];
        stream.extend_from_slice(&(text.len() as u32).to_le_bytes());
        stream.extend_from_slice(text.as_bytes());
        let stream = stream.repeat(3);
        let messages: Vec<_> = Reader::new(&stream[..]).map(Result::unwrap).collect();
        assert_eq!(messages, vec![Message::Text(text); 3]);
    }
}
