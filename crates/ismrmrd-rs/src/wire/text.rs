//! Messages that are texts: 1, 2, 3, 5 with a `u32` length or a fixed one, 6, 7, 8 with `u64`.

use super::cursor::{Cursor, Length, Put, peek, text_end, text_from};
use super::encoder::Dialect;
use super::error::{EncodeError, Fault};
use super::limits::Limits;
use super::message::Message;

/// Bytes of the name of a configuration, the NUL behind it included.
const CONFIG_FILE_BYTES: usize = 1024;

pub(super) fn config_file_length() -> Length {
    Length::Known(CONFIG_FILE_BYTES)
}

/// The name ends at the first NUL; some senders leave what follows unset.
pub(super) fn decode_config_file(body: &[u8]) -> String {
    text_from(body.split(|byte| *byte == 0).next().unwrap_or_default())
}

pub(super) fn short_length(body: &[u8], limits: &Limits) -> Result<Length, Fault> {
    text_end::<4>(body, 0, limits.text())
}

/// The text and whether a NUL was counted in its length.
pub(super) fn decode_short(body: &[u8]) -> Result<(String, bool), Fault> {
    let mut cursor = Cursor::new(body);
    cursor.pod::<u32>()?;
    let bytes = cursor.take(cursor.remaining())?;
    Ok((text_from(bytes), bytes.last() == Some(&0)))
}

/// Length of a body of `n_numbers` numbers of 8 bytes and a text.
pub(super) fn long_length(body: &[u8], n_numbers: usize, limits: &Limits) -> Result<Length, Fault> {
    text_end::<8>(body, 8 * n_numbers, limits.text())
}

pub(super) fn decode_query(body: &[u8]) -> Result<Message, Fault> {
    let mut cursor = Cursor::new(body);
    let _reserved: u64 = cursor.pod()?;
    Ok(Message::Query { correlation_id: cursor.pod()?, text: cursor.text()? })
}

pub(super) fn decode_response(body: &[u8]) -> Result<Message, Fault> {
    let mut cursor = Cursor::new(body);
    Ok(Message::Response { correlation_id: cursor.pod()?, text: cursor.text()? })
}

pub(super) fn decode_error(body: &[u8]) -> Result<Message, Fault> {
    Ok(Message::Error(Cursor::new(body).text()?))
}

pub(super) fn check_config_file(name: &str) -> Result<(), EncodeError> {
    if name.len() < CONFIG_FILE_BYTES && !name.contains('\0') {
        Ok(())
    } else {
        Err(EncodeError::ConfigName(name.len()))
    }
}

pub(super) fn put_config_file<P: Put>(name: &str, sink: &mut P) -> Result<(), P::Error> {
    sink.put(name.as_bytes())?;
    sink.put(&[0; CONFIG_FILE_BYTES][name.len()..])
}

pub(super) fn check_short(text: &str) -> Result<(), EncodeError> {
    let most = u32::MAX as usize - 1;
    match text.len() {
        count if count > most => Err(EncodeError::TooMany { what: "bytes of text", count, most }),
        _ => Ok(()),
    }
}

/// An empty text is written as a blank: the C++ library reads the byte before an empty one.
pub(super) fn put_short<P: Put>(
    text: &str,
    dialect: Dialect,
    sink: &mut P,
) -> Result<(), P::Error> {
    let text = match text.trim_end_matches('\0') {
        "" => " ",
        text => text,
    };
    let nul: &[u8] = match dialect {
        Dialect::Gadgetron => &[],
        Dialect::Python => &[0],
    };
    sink.put_pod(&((text.len() + nul.len()) as u32))?;
    sink.put(text.as_bytes())?;
    sink.put(nul)
}

/// What a sender may be whose first bytes are these and no message of ours.
pub(super) fn stranger(bytes: &[u8]) -> &'static str {
    const HTTP: [&[u8; 4]; 4] = [b"GET ", b"POST", b"HEAD", b"PRI "];
    match peek::<4>(bytes, 0) {
        Some(first) if HTTP.contains(&&first) => "the sender speaks HTTP; it wants another port",
        Some([0x16, 3, _, _]) => "the sender speaks TLS; it wants another port",
        Some([0x89, b'H', b'D', b'F']) => "this is an HDF5 file; read it as one",
        _ => {
            "so its length is unknown too; the sender speaks another version of the protocol \
              or a message before was not written whole"
        }
    }
}
