//! Messages 1018 (a DICOM file) and 1019 (the answer about a stored noise measurement).

use super::cursor::{Cursor, Length, Put, text_end};
use super::error::{EncodeError, Fault};
use super::limits::Limits;
use super::message::Message;
use crate::Meta;

/// The file has a `u32` length, its name and meta attributes have `u64` ones.
pub(super) fn dicom_length(body: &[u8], limits: &Limits) -> Result<Length, Fault> {
    let mut length = text_end::<4>(body, 0, limits.blob())?;
    for _ in 0..2 {
        length = match length {
            Length::Known(end) => text_end::<8>(body, end, limits.text())?,
            incomplete => return Ok(incomplete),
        };
    }
    Ok(length)
}

pub(super) fn decode_dicom(body: &[u8]) -> Result<Message, Fault> {
    let mut cursor = Cursor::new(body);
    let n_bytes: u32 = cursor.pod()?;
    let data = cursor.take(n_bytes as usize)?.to_vec();
    let file_name = cursor.text()?;
    let meta = Meta::from_xml(&cursor.text()?)?;
    cursor.finish()?;
    Ok(Message::Dicom { data, file_name, meta })
}

pub(super) fn check_dicom(data: &[u8]) -> Result<(), EncodeError> {
    let most = u32::MAX as usize;
    match data.len() {
        count if count > most => Err(EncodeError::TooMany { what: "bytes of DICOM", count, most }),
        _ => Ok(()),
    }
}

pub(super) fn put_dicom<P: Put>(
    data: &[u8],
    file_name: &str,
    meta: &Meta,
    sink: &mut P,
) -> Result<(), P::Error> {
    sink.put_pod(&(data.len() as u32))?;
    sink.put(data)?;
    sink.put_text(file_name)?;
    sink.put_text(&meta.to_xml())
}

pub(super) fn decode_dependency_query(body: &[u8]) -> Result<Message, Fault> {
    Ok(Message::DependencyQuery(Meta::from_xml(&Cursor::new(body).text()?)?))
}
