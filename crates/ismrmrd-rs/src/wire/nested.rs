//! What messages 1023 and 1024 are made of: Gadgetron's own serialisation of arrays, vectors and
//! optional values, one within the other. Their length is known only once they are walked through,
//! which is done step by step as the bytes arrive and never twice.

use bytemuck::AnyBitPattern;
use ndarray::{Array, Dimension, IxDyn};

use super::cursor::{Cursor, Length, Put, peek, to_vec};
use super::error::Fault;
use super::limits::{Limit, Limits};
use super::waveform;
use crate::WaveformHeader;

/// One step of the walk.
pub(super) enum Item {
    /// So many bytes.
    Bytes(usize),
    /// Number of axes, their lengths, elements of so many bytes.
    Array(usize),
    /// Length and text.
    Text,
    /// Waveform header and samples.
    Waveform,
    /// Whether the items follow, and the items.
    Optional(&'static [Item]),
    /// How often the items follow, and the items.
    Vector(&'static [Item]),
}

/// Axes that an array can have here.
const MAX_AXES: u64 = 8;

/// A walk through a message that is still arriving.
pub(super) struct Walk {
    /// What remains: items and how often.
    stack: Vec<(&'static [Item], u64)>,
    /// Bytes that are accounted for.
    offset: usize,
}

impl Walk {
    pub fn new(items: &'static [Item]) -> Self {
        Self { stack: vec![(items, 1)], offset: 0 }
    }

    /// Walks as far as `body` allows.
    pub fn advance(&mut self, body: &[u8], limits: &Limits) -> Result<Length, Fault> {
        while let Some((items, repeats)) = self.stack.last().copied() {
            let Some((item, rest)) = items.split_first() else {
                self.stack.pop();
                continue;
            };
            let (end, inner) = match self.step(item, body, limits)? {
                Step::Next(end) => (end, None),
                Step::Within(end, items, count) => (end, Some((items, count))),
                Step::Incomplete(needed) => return Ok(Length::AtLeast(needed)),
            };
            self.offset = limits.array().check(end as u128)?;
            self.stack.pop();
            if repeats > 1 {
                self.stack.push((items, repeats - 1));
            }
            if !rest.is_empty() {
                self.stack.push((rest, 1));
            }
            if let Some((items, count)) = inner.filter(|(_, count)| *count > 0) {
                self.stack.push((items, count));
            }
        }
        Ok(Length::Known(self.offset))
    }

    fn step(&self, item: &Item, body: &[u8], limits: &Limits) -> Result<Step, Fault> {
        let start = self.offset;
        match *item {
            Item::Bytes(n_bytes) => Ok(Step::Next(start.saturating_add(n_bytes))),
            Item::Array(element_bytes) => array_end(body, start, element_bytes, limits.array()),
            Item::Text => Ok(match super::cursor::text_end::<8>(body, start, limits.text())? {
                Length::Known(end) => Step::Next(end),
                Length::AtLeast(needed) => Step::Incomplete(needed),
            }),
            Item::Waveform => {
                let end = start + waveform::HEADER_BYTES;
                let Some(header) = body.get(start..end) else { return Ok(Step::Incomplete(end)) };
                let header: WaveformHeader = bytemuck::pod_read_unaligned(header);
                let n_bytes = waveform::data_bytes(&header, limits.waveform())?;
                Ok(Step::Next(end.saturating_add(n_bytes)))
            }
            Item::Optional(items) => Ok(match body.get(start) {
                Some(present) => Step::Within(start + 1, items, u64::from(*present != 0)),
                None => Step::Incomplete(start + 1),
            }),
            Item::Vector(items) => Ok(match peek(body, start) {
                Some(count) => Step::Within(start + 8, items, u64::from_le_bytes(count)),
                None => Step::Incomplete(start + 8),
            }),
        }
    }
}

enum Step {
    Next(usize),
    Within(usize, &'static [Item], u64),
    Incomplete(usize),
}

fn array_end(body: &[u8], start: usize, element_bytes: usize, limit: Limit) -> Result<Step, Fault> {
    let Some(n_axes) = peek(body, start).map(u64::from_le_bytes) else {
        return Ok(Step::Incomplete(start + 8));
    };
    if n_axes > MAX_AXES {
        return Err(Fault::TooManyAxes { what: "array", found: n_axes, most: MAX_AXES });
    }
    let end = start + 8 + 8 * n_axes as usize;
    let Some(shape) = body.get(start + 8..end) else { return Ok(Step::Incomplete(end)) };
    let n_bytes = limit.check(array_bytes(&to_vec::<u64>(shape), element_bytes))?;
    Ok(Step::Next(end.saturating_add(n_bytes)))
}

/// Bytes of an array, saturating. An array without axes is empty, as in Gadgetron.
pub(super) fn array_bytes(shape: &[u64], element_bytes: usize) -> u128 {
    if shape.is_empty() || shape.contains(&0) {
        return 0;
    }
    shape.iter().fold(element_bytes as u128, |bytes, n| bytes.saturating_mul(u128::from(*n)))
}

/// The lengths of the axes as sizes in memory; those of an empty array may be anything.
pub(super) fn array_shape(shape: &[u64]) -> Result<Vec<usize>, Fault> {
    if shape.is_empty() {
        return Ok(vec![0]);
    }
    let most = if shape.contains(&0) { u64::from(u32::MAX) } else { u64::MAX };
    shape
        .iter()
        .map(|n| {
            usize::try_from(*n).ok().filter(|_| *n <= most).ok_or(Fault::TooLarge {
                what: "axis of an array",
                bytes: *n,
                limit: most as usize,
                field: "max_array_bytes",
            })
        })
        .collect()
}

/// An array of `rank` axes, slowest first. Gadgetron may leave out axes of length 1 at the slow end.
pub(super) fn decode_array<T: AnyBitPattern>(
    cursor: &mut Cursor<'_>,
    what: &'static str,
    rank: usize,
) -> Result<Array<T, IxDyn>, Fault> {
    let n_axes = cursor.count(8)?;
    let mut shape = cursor.pods::<u64>(n_axes)?;
    shape.reverse();
    let shape = array_shape(&shape)?;
    let Some(missing) = rank.checked_sub(shape.len()) else {
        return Err(Fault::TooManyAxes { what, found: shape.len() as u64, most: rank as u64 });
    };
    let mut full = vec![1; missing];
    full.extend_from_slice(&shape);
    cursor.array(IxDyn(&full))
}

/// An array of a fixed number of axes.
pub(super) fn decode_ranked<T: AnyBitPattern, D: Dimension>(
    cursor: &mut Cursor<'_>,
    what: &'static str,
) -> Result<Array<T, D>, Fault> {
    let rank = D::NDIM.unwrap_or_default();
    let array = decode_array(cursor, what, rank)?;
    let found = array.ndim() as u64;
    array.into_dimensionality().map_err(|_| Fault::TooManyAxes { what, found, most: rank as u64 })
}

/// What follows if a byte says so.
pub(super) fn decode_optional<T>(
    cursor: &mut Cursor<'_>,
    decode: impl FnOnce(&mut Cursor<'_>) -> Result<T, Fault>,
) -> Result<Option<T>, Fault> {
    match cursor.pod::<u8>()? {
        0 => Ok(None),
        _ => decode(cursor).map(Some),
    }
}

/// Shape, fastest axis first, and elements.
pub(super) fn put_array<P: Put, T: bytemuck::NoUninit, D: Dimension>(
    array: &Array<T, D>,
    sink: &mut P,
) -> Result<(), P::Error> {
    sink.put_pod(&(array.ndim() as u64))?;
    for n in array.shape().iter().rev() {
        sink.put_pod(&(*n as u64))?;
    }
    sink.put_array(array)
}

/// Whether there is a value, and the value.
pub(super) fn put_optional<P: Put, T: ?Sized>(
    value: Option<&T>,
    sink: &mut P,
    put: impl FnOnce(&T, &mut P) -> Result<(), P::Error>,
) -> Result<(), P::Error> {
    sink.put_pod(&u8::from(value.is_some()))?;
    match value {
        Some(value) => put(value, sink),
        None => Ok(()),
    }
}
