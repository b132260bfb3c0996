//! Memory that the socket fills, the decoder reads and the journal writes, without a copy
//! between them.

use crate::journal::format::{ALIGNMENT, BLOCK_HEADER_BYTES, KIND_DATA, KIND_END, block_header};

/// A block of a journal file in memory: its header, what arrived, and zeros up to a multiple of
/// [`ALIGNMENT`]. It begins at such a multiple in memory too, as writing past the page cache needs.
#[derive(Debug)]
pub struct Piece {
    memory: Vec<u8>,
    /// Where the header begins.
    first: usize,
    /// Bytes that arrived.
    length: usize,
}

impl Piece {
    /// Room for `capacity` bytes, the header among them.
    pub fn with_capacity(capacity: usize) -> Self {
        let memory = vec![0; capacity.next_multiple_of(ALIGNMENT) + ALIGNMENT];
        let first = memory.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        Self { memory, first, length: 0 }
    }

    /// Where bytes that arrive are put.
    pub fn space(&mut self) -> &mut [u8] {
        let end = self.memory.len() - ALIGNMENT + self.first;
        &mut self.memory[self.first + BLOCK_HEADER_BYTES..end]
    }

    /// Makes the first `length` bytes of the space those that arrived `arrival_us` after the
    /// session began.
    pub fn seal(&mut self, length: usize, arrival_us: u64) {
        self.finish(KIND_DATA, length, arrival_us);
    }

    /// The block that says why a session ended.
    pub(crate) fn end(reason: &str, arrival_us: u64) -> Self {
        let mut piece = Self::with_capacity(BLOCK_HEADER_BYTES + reason.len());
        piece.space()[..reason.len()].copy_from_slice(reason.as_bytes());
        piece.finish(KIND_END, reason.len(), arrival_us);
        piece
    }

    /// `bytes` without a header, for the beginning of a file.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &[u8] {
        let place = &mut self.memory[self.first..][..bytes.len().next_multiple_of(ALIGNMENT)];
        place.fill(0);
        place[..bytes.len()].copy_from_slice(bytes);
        place
    }

    fn finish(&mut self, kind: u32, length: usize, arrival_us: u64) {
        self.length = length;
        let header = block_header(kind, length, arrival_us);
        self.memory[self.first..][..BLOCK_HEADER_BYTES].copy_from_slice(&header);
        let end = BLOCK_HEADER_BYTES + length;
        self.memory[self.first + end..self.first + end.next_multiple_of(ALIGNMENT)].fill(0);
    }

    /// What arrived.
    pub fn payload(&self) -> &[u8] {
        &self.memory[self.first + BLOCK_HEADER_BYTES..][..self.length]
    }

    /// The block as it stands in the file.
    pub(crate) fn block(&self) -> &[u8] {
        let length = (BLOCK_HEADER_BYTES + self.length).next_multiple_of(ALIGNMENT);
        &self.memory[self.first..][..length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_aligned_and_padded_with_zeros() {
        let mut piece = Piece::with_capacity(10_000);
        let n = piece.space().len();
        assert_eq!(n + BLOCK_HEADER_BYTES, 12_288);
        piece.space().fill(7);
        for length in [0, 1, 4080, 4081, n] {
            piece.seal(length, 5);
            let block = piece.block();
            assert_eq!(block.as_ptr().align_offset(ALIGNMENT), 0);
            assert_eq!(block.len() % ALIGNMENT, 0);
            assert_eq!(piece.payload().len(), length);
            assert!(block[BLOCK_HEADER_BYTES + length..].iter().all(|byte| *byte == 0));
            piece.space().fill(7);
        }
    }
}
