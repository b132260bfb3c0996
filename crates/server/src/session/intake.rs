//! What arrives on a connection: pieces for the journal, and the messages in them.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use ismrmrd::wire::{DecodeError, Decoder, Limits, Message};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::journal::Piece;

/// Bytes of a piece: few enough to stay in a processor's cache between the socket, the journal
/// and the decoder.
const PIECE_BYTES: usize = 256 << 10;
/// A buffer for a message in several pieces is given back when it was larger than this.
const KEPT_BYTES: usize = 4 << 20;

/// Reads pieces and takes the messages out of them.
pub(crate) struct Intake {
    decoder: Decoder,
    started: Instant,
    /// All pieces that were made; those that the journal has done with are used again.
    pool: Vec<Arc<Piece>>,
    /// The piece that messages are taken from, and how much of it was taken.
    current: Option<(Arc<Piece>, usize)>,
    /// The beginning of a message that goes on in the next piece.
    begun: Vec<u8>,
}

impl Intake {
    pub fn new(limits: Limits) -> Self {
        let (pool, begun) = (Vec::new(), Vec::new());
        Self { decoder: Decoder::new(limits), started: Instant::now(), pool, current: None, begun }
    }

    /// Time since the session began, µs.
    pub fn elapsed_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Reads the next piece; [`None`] at the end of the connection. Nothing is lost if this is
    /// cancelled.
    pub async fn read(
        &mut self,
        socket: &mut (impl AsyncRead + Unpin),
    ) -> io::Result<Option<Arc<Piece>>> {
        self.current = None;
        // The one that was used last is the likeliest to be in the cache still.
        let vacant = self.pool.iter_mut().rposition(|piece| Arc::get_mut(piece).is_some());
        let index = vacant.unwrap_or_else(|| {
            self.pool.push(Arc::new(Piece::with_capacity(PIECE_BYTES)));
            self.pool.len() - 1
        });
        let started = self.started;
        let Some(piece) = Arc::get_mut(&mut self.pool[index]) else {
            return Err(io::Error::other("a piece of memory is in use"));
        };
        let length = socket.read(piece.space()).await?;
        if length == 0 {
            return Ok(None);
        }
        piece.seal(length, u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX));
        let piece = Arc::clone(&self.pool[index]);
        self.current = Some((Arc::clone(&piece), 0));
        Ok(Some(piece))
    }

    /// The next message of the piece; [`None`] when the next piece is needed.
    pub fn message(&mut self) -> Result<Option<Message>, DecodeError> {
        while let Some((piece, taken)) = &mut self.current {
            let rest = &piece.payload()[*taken..];
            if self.begun.is_empty() {
                if let Some((message, n_bytes)) = self.decoder.decode_slice(rest)? {
                    *taken += n_bytes;
                    return Ok(Some(message));
                }
                self.begun.extend_from_slice(rest);
                self.current = None;
                return Ok(None);
            }
            let n_bytes = self.decoder.missing().min(rest.len());
            if n_bytes == 0 {
                self.current = None;
                return Ok(None);
            }
            self.begun.extend_from_slice(&rest[..n_bytes]);
            *taken += n_bytes;
            if let Some((message, n_bytes)) = self.decoder.decode_slice(&self.begun)? {
                self.begun.drain(..n_bytes);
                self.begun.shrink_to(KEPT_BYTES);
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    /// Whether the client counts a NUL in its texts, as the Python server's do: it may send
    /// parameters after the header.
    pub fn is_python(&self) -> bool {
        self.decoder.saw_nul_terminated_text()
    }

    /// Drops what has not been taken.
    pub fn forget(&mut self) {
        self.current = None;
        self.begun = Vec::new();
    }

    /// Whether all that arrived was whole messages.
    pub fn is_between_messages(&self) -> bool {
        self.begun.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use ismrmrd::wire;

    /// Gives at most so many bytes at once.
    struct Drip<'a>(&'a [u8], usize);

    impl AsyncRead for Drip<'_> {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            buffer: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            let n = self.1.min(self.0.len()).min(buffer.remaining());
            let (now, later) = self.0.split_at(n);
            buffer.put_slice(now);
            self.0 = later;
            std::task::Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn messages_are_whole_wherever_the_stream_is_cut_and_pieces_are_used_again() {
        let texts: Vec<_> = (0..50).map(|n| Message::Text("x".repeat(1 + n * n))).collect();
        let mut bytes = BytesMut::new();
        for text in &texts {
            wire::encode(text, &mut bytes).expect("a text has a wire form");
        }
        for size in [1, 2, 3, 7, 100, 5000, bytes.len()] {
            let mut intake = Intake::new(Limits::default());
            let mut socket = Drip(&bytes, size);
            let (mut messages, mut all) = (Vec::new(), Vec::new());
            while let Some(piece) = intake.read(&mut socket).await.expect("it does not fail") {
                all.extend_from_slice(piece.payload());
                drop(piece);
                while let Some(message) = intake.message().expect("all are good") {
                    messages.push(message);
                }
            }
            assert!(messages == texts, "cut into {size}");
            assert!(intake.is_between_messages());
            assert_eq!(all, bytes);
            assert_eq!(intake.pool.len(), 1);
        }
    }
}
