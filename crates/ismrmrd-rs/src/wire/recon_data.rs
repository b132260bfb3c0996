//! Message 1023: sorted k-space with its headers, per encoding space.

use super::cursor::{Cursor, Put};
use super::error::{EncodeError, Fault};
use super::nested::{Item, decode_array, decode_optional, decode_ranked, put_array, put_optional};
use crate::{AcquisitionHeader, KSpaceBuffer, ReconBit, SamplingDescription};

const BUFFER: &[Item] = &[
    Item::Array(8),
    Item::Optional(&[Item::Array(4)]),
    Item::Optional(&[Item::Array(4)]),
    Item::Array(size_of::<AcquisitionHeader>()),
    Item::Bytes(size_of::<SamplingDescription>()),
];

pub(super) const ITEMS: &[Item] = &[Item::Vector(&[
    // The imaging data, spelt out: a list of items cannot hold another in line.
    Item::Array(8),
    Item::Optional(&[Item::Array(4)]),
    Item::Optional(&[Item::Array(4)]),
    Item::Array(size_of::<AcquisitionHeader>()),
    Item::Bytes(size_of::<SamplingDescription>()),
    Item::Optional(BUFFER),
])];

/// Bytes of a buffer whose arrays are all empty.
const LEAST_BUFFER_BYTES: usize = 8 + 1 + 1 + 8 + size_of::<SamplingDescription>();

pub(super) fn decode(body: &[u8]) -> Result<Vec<ReconBit>, Fault> {
    let mut cursor = Cursor::new(body);
    let count = cursor.count(LEAST_BUFFER_BYTES + 1)?;
    let bits = (0..count)
        .map(|_| {
            Ok(ReconBit {
                data: decode_buffer(&mut cursor)?,
                reference: decode_optional(&mut cursor, decode_buffer)?,
            })
        })
        .collect::<Result<_, Fault>>()?;
    cursor.finish()?;
    Ok(bits)
}

fn decode_buffer(cursor: &mut Cursor<'_>) -> Result<KSpaceBuffer, Fault> {
    Ok(KSpaceBuffer {
        data: decode_array(cursor, "k-space", 7)?,
        trajectory: decode_optional(cursor, |cursor| decode_array(cursor, "trajectory", 7))?,
        density: decode_optional(cursor, |cursor| decode_array(cursor, "density", 6))?,
        headers: decode_ranked(cursor, "readout headers")?,
        sampling: cursor.pod()?,
    })
}

pub(super) fn check(bits: &[ReconBit]) -> Result<(), EncodeError> {
    for buffer in bits.iter().flat_map(|bit| std::iter::once(&bit.data).chain(&bit.reference)) {
        check_axes("k-space", buffer.data.ndim(), 7)?;
        if let Some(trajectory) = &buffer.trajectory {
            check_axes("trajectory", trajectory.ndim(), 7)?;
        }
        if let Some(density) = &buffer.density {
            check_axes("density", density.ndim(), 6)?;
        }
    }
    Ok(())
}

pub(super) fn check_axes(
    what: &'static str,
    found: usize,
    expected: usize,
) -> Result<(), EncodeError> {
    if found == expected { Ok(()) } else { Err(EncodeError::Axes { what, found, expected }) }
}

pub(super) fn put<P: Put>(bits: &[ReconBit], sink: &mut P) -> Result<(), P::Error> {
    sink.put_pod(&(bits.len() as u64))?;
    bits.iter().try_for_each(|bit| {
        put_buffer(&bit.data, sink)?;
        put_optional(bit.reference.as_ref(), sink, put_buffer)
    })
}

fn put_buffer<P: Put>(buffer: &KSpaceBuffer, sink: &mut P) -> Result<(), P::Error> {
    put_array(&buffer.data, sink)?;
    put_optional(buffer.trajectory.as_ref(), sink, put_array)?;
    put_optional(buffer.density.as_ref(), sink, put_array)?;
    put_array(&buffer.headers, sink)?;
    sink.put_pod(&buffer.sampling)
}
