//! Message 1030: type, version, shape and elements of an array.
//!
//! The C++ library writes version 1 and the shape fastest axis first, Python's package version 0
//! and the shape slowest axis first, both around the same memory. Each is read by its version;
//! version 1 is written.

use ndarray::IxDyn;

use super::cursor::{Cursor, Length, Put, peek};
use super::error::{EncodeError, Fault};
use super::limits::Limits;
use crate::{DataType, NdArray};

/// More axes than any array has.
const MAX_AXES: usize = 32;

const VERSION: u16 = 1;

pub(super) fn length(body: &[u8], limits: &Limits) -> Result<Length, Fault> {
    let Some([type_0, type_1, _, _, axes_0, axes_1]) = peek::<6>(body, 0) else {
        return Ok(Length::AtLeast(6));
    };
    let code = u16::from_le_bytes([type_0, type_1]);
    let kind = DataType::from_code(code).ok_or(Fault::UnknownDataType(code))?;
    let n_axes = usize::from(u16::from_le_bytes([axes_0, axes_1]));
    check_axes(n_axes)?;
    let start = 6 + 8 * n_axes;
    let Some(shape) = body.get(6..start) else { return Ok(Length::AtLeast(start)) };
    let shape: Vec<u64> = super::cursor::to_vec(shape);
    let n_bytes = limits.array().check(super::nested::array_bytes(&shape, kind.size_bytes()))?;
    Ok(Length::Known(start.saturating_add(n_bytes)))
}

fn check_axes(n_axes: usize) -> Result<(), Fault> {
    if n_axes <= MAX_AXES {
        return Ok(());
    }
    Err(Fault::TooManyAxes { what: "array", found: n_axes as u64, most: MAX_AXES as u64 })
}

pub(super) fn decode(body: &[u8]) -> Result<NdArray, Fault> {
    let mut cursor = Cursor::new(body);
    let code: u16 = cursor.pod()?;
    let version: u16 = cursor.pod()?;
    let n_axes: u16 = cursor.pod()?;
    let mut shape = cursor.pods::<u64>(n_axes.into())?;
    if version != 0 {
        shape.reverse();
    }
    let shape = IxDyn(&super::nested::array_shape(&shape)?);
    let array = match DataType::from_code(code).ok_or(Fault::UnknownDataType(code))? {
        DataType::U16 => NdArray::U16(cursor.array(shape)?),
        DataType::I16 => NdArray::I16(cursor.array(shape)?),
        DataType::U32 => NdArray::U32(cursor.array(shape)?),
        DataType::I32 => NdArray::I32(cursor.array(shape)?),
        DataType::F32 => NdArray::F32(cursor.array(shape)?),
        DataType::F64 => NdArray::F64(cursor.array(shape)?),
        DataType::C32 => NdArray::C32(cursor.array(shape)?),
        DataType::C64 => NdArray::C64(cursor.array(shape)?),
    };
    cursor.finish()?;
    Ok(array)
}

pub(super) fn check(array: &NdArray) -> Result<(), EncodeError> {
    match array.shape().len() {
        count if count > MAX_AXES => {
            Err(EncodeError::TooMany { what: "axes", count, most: MAX_AXES })
        }
        _ => Ok(()),
    }
}

pub(super) fn put<P: Put>(array: &NdArray, sink: &mut P) -> Result<(), P::Error> {
    sink.put_pod(&(array.data_type() as u16))?;
    sink.put_pod(&VERSION)?;
    sink.put_pod(&(array.shape().len() as u16))?;
    for n in array.shape().iter().rev() {
        sink.put_pod(&(*n as u64))?;
    }
    match array {
        NdArray::U16(array) => sink.put_array(array),
        NdArray::I16(array) => sink.put_array(array),
        NdArray::U32(array) => sink.put_array(array),
        NdArray::I32(array) => sink.put_array(array),
        NdArray::F32(array) => sink.put_array(array),
        NdArray::F64(array) => sink.put_array(array),
        NdArray::C32(array) => sink.put_array(array),
        NdArray::C64(array) => sink.put_array(array),
    }
}
