//! Messages from and to sockets of tokio.

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::decoder::Decoder;
use super::encoder::{Dialect, encode_with};
use super::error::{ReadError, WriteError};
use super::limits::Limits;
use super::message::Message;
use super::reader::truncated;

/// Bytes that are read at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// Bytes that are gathered before they are written.
const BUFFER_BYTES: usize = 256 * 1024;

/// Reads messages from a socket.
pub struct AsyncReader<R> {
    source: R,
    decoder: Decoder,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> AsyncReader<R> {
    /// A reader with the given limits. It has a buffer of its own.
    pub fn new(source: R, limits: Limits) -> Self {
        Self { source, decoder: Decoder::new(limits), buffer: BytesMut::new() }
    }

    /// The next message, [`None`] where the stream ends between two messages.
    ///
    /// Can be cancelled: what has arrived stays in the buffer.
    ///
    /// # Errors
    /// Faults of the stream and of the system. Nothing can be read after one.
    pub async fn read(&mut self) -> Result<Option<Message>, ReadError> {
        loop {
            if let Some(message) = self.decoder.decode(&mut self.buffer)? {
                return Ok(Some(message));
            }
            // By what arrives, never by what a length claims.
            self.buffer.reserve(CHUNK_BYTES);
            match self.source.read_buf(&mut self.buffer).await {
                Ok(0) => return truncated(&self.decoder, &self.buffer),
                Ok(_) => {}
                Err(source) => {
                    let offset = self.decoder.offset() + self.buffer.len() as u64;
                    return Err(ReadError::Io { offset, source });
                }
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
}

/// Writes messages to a socket. They may stay in the buffer until [`flush`](Self::flush).
pub struct AsyncWriter<W> {
    sink: W,
    dialect: Dialect,
    buffer: BytesMut,
}

impl<W: AsyncWrite + Unpin> AsyncWriter<W> {
    /// A writer in the dialect that all known readers take.
    pub fn new(sink: W) -> Self {
        Self { sink, dialect: Dialect::default(), buffer: BytesMut::new() }
    }

    /// Speaks another dialect from the next message on.
    pub fn set_dialect(&mut self, dialect: Dialect) {
        self.dialect = dialect;
    }

    /// Writes a message.
    ///
    /// Can be cancelled: the message is in the buffer by then and is written with the next one.
    ///
    /// # Errors
    /// Sizes that do not fit, and errors of the system.
    pub async fn write(&mut self, message: &Message) -> Result<(), WriteError> {
        encode_with(message, self.dialect, &mut self.buffer)?;
        if self.buffer.len() >= BUFFER_BYTES {
            self.drain().await?;
        }
        Ok(())
    }

    /// Hands everything to the system.
    ///
    /// # Errors
    /// Those of the system.
    pub async fn flush(&mut self) -> Result<(), WriteError> {
        self.drain().await?;
        Ok(self.sink.flush().await?)
    }

    /// Flushes and ends the direction that is written to.
    ///
    /// # Errors
    /// Those of the system.
    pub async fn shutdown(&mut self) -> Result<(), WriteError> {
        self.drain().await?;
        Ok(self.sink.shutdown().await?)
    }

    /// What is written to. Messages in the buffer are lost.
    pub fn into_inner(self) -> W {
        self.sink
    }

    async fn drain(&mut self) -> Result<(), WriteError> {
        while self.buffer.has_remaining() {
            self.sink.write_buf(&mut self.buffer).await?;
        }
        Ok(())
    }
}
