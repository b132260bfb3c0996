//! Reading values off a body that is known to be complete, and lengths off one that may not be.

use bytemuck::{AnyBitPattern, NoUninit};
use ndarray::{Array, Dimension, IntoDimension};

use super::error::Fault;
use super::limits::Limit;

/// How long a body is, as far as the bytes at hand tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// Exactly so many bytes.
    Known(usize),
    /// More is known once so many bytes are there.
    AtLeast(usize),
}

/// The `N` bytes at `offset`, if they have arrived.
pub(super) fn peek<const N: usize>(body: &[u8], offset: usize) -> Option<[u8; N]> {
    body.get(offset..)?.first_chunk().copied()
}

/// The header at the beginning, if it has arrived.
pub(super) fn peek_header<T: AnyBitPattern>(body: &[u8]) -> Option<T> {
    body.get(..size_of::<T>()).map(bytemuck::pod_read_unaligned)
}

/// Values copied out of bytes of any alignment, in one pass and without clearing memory first.
pub(super) fn to_vec<T: AnyBitPattern>(bytes: &[u8]) -> Vec<T> {
    match bytemuck::try_cast_slice(bytes) {
        Ok(values) => values.to_vec(),
        // Compiles to a copy of the whole block.
        Err(_) => bytes.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned).collect(),
    }
}

/// Reads values one after the other. Running out of bytes is a fault of the sender's lengths.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub fn remaining(&self) -> usize {
        self.bytes.len()
    }

    pub fn take(&mut self, n_bytes: usize) -> Result<&'a [u8], Fault> {
        let Some((head, tail)) = self.bytes.split_at_checked(n_bytes) else {
            return Err(Fault::Inconsistent {
                what: "bytes of the message",
                claimed: n_bytes as u64,
                found: self.bytes.len() as u64,
            });
        };
        self.bytes = tail;
        Ok(head)
    }

    pub fn pod<T: AnyBitPattern>(&mut self) -> Result<T, Fault> {
        self.take(size_of::<T>()).map(bytemuck::pod_read_unaligned)
    }

    /// `count` values.
    pub fn pods<T: AnyBitPattern>(&mut self, count: usize) -> Result<Vec<T>, Fault> {
        self.take(count.saturating_mul(size_of::<T>())).map(to_vec)
    }

    /// An array in our order of axes, slowest first.
    pub fn array<T: AnyBitPattern, I: IntoDimension>(
        &mut self,
        shape: I,
    ) -> Result<Array<T, I::Dim>, Fault> {
        let shape = shape.into_dimension();
        let values = self.pods(n_elements(&shape))?;
        shaped(shape, values)
    }

    /// A count, which must not exceed what the remaining bytes can hold at `least_bytes` each.
    pub fn count(&mut self, least_bytes: usize) -> Result<usize, Fault> {
        let claimed: u64 = self.pod()?;
        let most = self.remaining() / least_bytes;
        match usize::try_from(claimed) {
            Ok(count) if count <= most => Ok(count),
            _ => Err(Fault::Inconsistent { what: "elements", claimed, found: most as u64 }),
        }
    }

    /// A text behind its `u64` length, without NULs at its end.
    pub fn text(&mut self) -> Result<String, Fault> {
        let n_bytes = self.count(1)?;
        Ok(text_from(self.take(n_bytes)?))
    }

    /// Whether everything has been read.
    pub fn finish(self) -> Result<(), Fault> {
        match self.bytes.len() {
            0 => Ok(()),
            left => Err(Fault::Inconsistent {
                what: "bytes behind the message's contents",
                claimed: 0,
                found: left as u64,
            }),
        }
    }
}

/// An array of `shape` around `values`.
pub(super) fn shaped<T, D: Dimension>(shape: D, values: Vec<T>) -> Result<Array<T, D>, Fault> {
    let found = values.len() as u64;
    let claimed = n_elements(&shape) as u64;
    Array::from_shape_vec(shape, values).map_err(|_| Fault::Inconsistent {
        what: "elements of the array",
        claimed,
        found,
    })
}

/// Elements of an array of `shape`, saturating: lengths from outside may overflow.
fn n_elements(shape: &impl Dimension) -> usize {
    let lengths = shape.as_array_view();
    if lengths.iter().any(|n| *n == 0) {
        return 0;
    }
    lengths.iter().fold(1, |all: usize, n| all.saturating_mul(*n))
}

/// Text without the NULs at its end. Bytes that are not UTF-8 are taken as Latin-1, which is what
/// old converters write.
pub(crate) fn text_from(bytes: &[u8]) -> String {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let bytes = &bytes[..end];
    match str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    }
}

/// Length of a body that is a length of type `u32` or `u64` at `offset` and as many bytes.
pub(super) fn text_end<const N: usize>(
    body: &[u8],
    offset: usize,
    limit: Limit,
) -> Result<Length, Fault> {
    let start = offset + N;
    let Some(bytes) = peek::<N>(body, offset) else { return Ok(Length::AtLeast(start)) };
    let mut wide = [0_u8; 8];
    wide[..N].copy_from_slice(&bytes);
    let n_bytes = limit.check(u64::from_le_bytes(wide).into())?;
    Ok(Length::Known(start.saturating_add(n_bytes)))
}

/// Where encoded bytes go.
pub(super) trait Put {
    type Error;

    fn put(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;

    fn put_pod<T: NoUninit>(&mut self, value: &T) -> Result<(), Self::Error> {
        self.put(bytemuck::bytes_of(value))
    }

    /// The elements in our order of axes, slowest first, in one piece where the memory is so.
    fn put_array<T: NoUninit, D: Dimension>(
        &mut self,
        array: &Array<T, D>,
    ) -> Result<(), Self::Error> {
        match array.as_slice() {
            Some(values) => self.put(bytemuck::cast_slice(values)),
            None => array.iter().try_for_each(|value| self.put_pod(value)),
        }
    }

    /// A text behind its `u64` length.
    fn put_text(&mut self, text: &str) -> Result<(), Self::Error> {
        self.put_pod(&(text.len() as u64))?;
        self.put(text.as_bytes())
    }
}

impl Put for bytes::BytesMut {
    type Error = std::convert::Infallible;

    fn put(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
        self.extend_from_slice(bytes);
        Ok(())
    }
}

/// Passes on to a writer.
pub(super) struct PutWriter<W>(pub W);

impl<W: std::io::Write> Put for PutWriter<W> {
    type Error = std::io::Error;

    fn put(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
        self.0.write_all(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_copied_from_any_alignment() {
        let values: Vec<u64> = (0..9).collect();
        let bytes: &[u8] = bytemuck::cast_slice(&values);
        let mut shifted = vec![0_u8];
        shifted.extend_from_slice(bytes);
        assert_eq!(to_vec::<u64>(bytes), values);
        assert_eq!(to_vec::<u64>(&shifted[1..]), values);
    }

    #[test]
    fn text_loses_the_nuls_at_its_end_only() {
        assert_eq!(text_from(b"a\0b\0\0"), "a\0b");
        assert_eq!(text_from(b"\0"), "");
        assert_eq!(text_from("µ".as_bytes()), "µ");
        assert_eq!(text_from(b"M\xfcller"), "Müller");
    }

    #[test]
    fn a_count_cannot_exceed_what_is_left() {
        let mut bytes = 3_u64.to_le_bytes().to_vec();
        bytes.extend_from_slice(&[0; 16]);
        assert_eq!(Cursor::new(&bytes).count(5).unwrap(), 3);
        assert!(Cursor::new(&bytes).count(6).is_err());
    }
}
