//! Message 1022: header, meta attributes behind their length, pixels.

use super::acquisition::fit_u16;
use super::cursor::{Cursor, Length, Put, peek_header, text_end};
use super::error::{EncodeError, Fault};
use super::limits::Limits;
use crate::{DataType, Image, ImageHeader, Meta, Pixels};

const HEADER_BYTES: usize = size_of::<ImageHeader>();

fn data_type(header: &ImageHeader) -> Result<DataType, Fault> {
    DataType::from_code(header.data_type).ok_or(Fault::UnknownDataType(header.data_type))
}

/// Elements by the header's matrix and channels. Cannot overflow: each is a `u16`.
fn n_pixels(header: &ImageHeader) -> u128 {
    let [x, y, z] = header.matrix_size.map(u128::from);
    x * y * z * u128::from(header.channels)
}

pub(super) fn length(body: &[u8], limits: &Limits) -> Result<Length, Fault> {
    let Some(header) = peek_header::<ImageHeader>(body) else {
        return Ok(Length::AtLeast(HEADER_BYTES));
    };
    let pixel_bytes = data_type(&header)?.size_bytes() as u128;
    let n_bytes = limits.image().check(n_pixels(&header) * pixel_bytes)?;
    Ok(match text_end::<8>(body, HEADER_BYTES, limits.text())? {
        Length::Known(attributes_end) => Length::Known(attributes_end.saturating_add(n_bytes)),
        incomplete => incomplete,
    })
}

pub(super) fn decode(body: &[u8]) -> Result<Image, Fault> {
    let mut cursor = Cursor::new(body);
    let header: ImageHeader = cursor.pod()?;
    let meta = Meta::from_xml(&cursor.text()?)?;
    let [x, y, z] = header.matrix_size.map(usize::from);
    let shape = (usize::from(header.channels), z, y, x);
    let pixels = match data_type(&header)? {
        DataType::U16 => Pixels::U16(cursor.array(shape)?),
        DataType::I16 => Pixels::I16(cursor.array(shape)?),
        DataType::U32 => Pixels::U32(cursor.array(shape)?),
        DataType::I32 => Pixels::I32(cursor.array(shape)?),
        DataType::F32 => Pixels::F32(cursor.array(shape)?),
        DataType::F64 => Pixels::F64(cursor.array(shape)?),
        DataType::C32 => Pixels::C32(cursor.array(shape)?),
        DataType::C64 => Pixels::C64(cursor.array(shape)?),
    };
    cursor.finish()?;
    Ok(Image { header, meta, pixels })
}

/// The header with the sizes and type of the pixels and the length of the attributes.
pub(crate) fn checked_header(
    image: &Image,
    attribute_bytes: usize,
) -> Result<ImageHeader, EncodeError> {
    let [n_channels, z, y, x] = image.pixels.shape();
    let mut header = image.header;
    header.matrix_size = [
        fit_u16("pixels along x", x)?,
        fit_u16("pixels along y", y)?,
        fit_u16("pixels along z", z)?,
    ];
    header.channels = fit_u16("channels", n_channels)?;
    header.data_type = image.pixels.data_type() as u16;
    header.attribute_string_len =
        u32::try_from(attribute_bytes).map_err(|_| EncodeError::TooMany {
            what: "bytes of meta attributes",
            count: attribute_bytes,
            most: u32::MAX as usize,
        })?;
    Ok(header)
}

pub(super) fn put<P: Put>(
    header: &ImageHeader,
    attributes: &str,
    pixels: &Pixels,
    sink: &mut P,
) -> Result<(), P::Error> {
    sink.put_pod(header)?;
    sink.put_text(attributes)?;
    match pixels {
        Pixels::U16(pixels) => sink.put_array(pixels),
        Pixels::I16(pixels) => sink.put_array(pixels),
        Pixels::U32(pixels) => sink.put_array(pixels),
        Pixels::I32(pixels) => sink.put_array(pixels),
        Pixels::F32(pixels) => sink.put_array(pixels),
        Pixels::F64(pixels) => sink.put_array(pixels),
        Pixels::C32(pixels) => sink.put_array(pixels),
        Pixels::C64(pixels) => sink.put_array(pixels),
    }
}
