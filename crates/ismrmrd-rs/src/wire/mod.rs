//! The MRD streaming protocol: messages, a decoder that is fed bytes, an encoder, and readers and
//! writers on top.
//!
//! A stream is messages one after the other, each a `u16` id and a body whose length only the id
//! tells. There is no common length field, so an unknown id ends the stream. All numbers are
//! little endian.
//!
//! Two dialects are spoken. Gadgetron and the C++ library count the bytes of a text; the Python
//! server (Siemens FIRE) counts a NUL behind it as well. Both are read everywhere, and
//! [`Decoder::saw_nul_terminated_text`] tells which one the peer speaks.
//!
//! ```
//! use bytes::BytesMut;
//! use ismrmrd::wire::{Decoder, Limits, Message, encode};
//!
//! let mut buffer = BytesMut::new();
//! encode(&Message::Text("hello".into()), &mut buffer).unwrap();
//! encode(&Message::Close, &mut buffer).unwrap();
//!
//! let mut decoder = Decoder::new(Limits::default());
//! assert_eq!(decoder.decode(&mut buffer).unwrap(), Some(Message::Text("hello".into())));
//! assert_eq!(decoder.decode(&mut buffer).unwrap(), Some(Message::Close));
//! assert_eq!(decoder.decode(&mut buffer).unwrap(), None);
//! ```
//!
//! # Source
//! `doc/mrd_streaming_protocol.md` of the ISMRMRD library, and the readers and writers of
//! Gadgetron 4.7 for what only Gadgetron sends.

mod acquisition;
#[cfg(feature = "tokio")]
mod async_io;
mod blob;
mod bucket;
mod cursor;
mod decoder;
mod encoder;
mod error;
mod image;
mod image_array;
mod limits;
mod message;
mod nd_array;
mod nested;
mod nhlbi;
mod reader;
mod recon_data;
mod text;
mod waveform;
mod writer;

#[cfg(feature = "tokio")]
pub use async_io::{AsyncReader, AsyncWriter};
pub use decoder::Decoder;
pub use encoder::{
    Dialect, encode, encode_acquisition, encode_image, encode_nhlbi, encode_waveform, encode_with,
};
pub use error::{DecodeError, EncodeError, Fault, ReadError, WriteError};
pub use limits::Limits;
pub use message::{Message, MessageId};
pub use nhlbi::NhlbiError;
pub use reader::Reader;
pub use writer::Writer;

#[cfg(feature = "hdf5")]
pub(crate) use {
    acquisition::checked_header as acquisition_header, cursor::text_from,
    image::checked_header as image_header, waveform::checked_header as waveform_header,
};
