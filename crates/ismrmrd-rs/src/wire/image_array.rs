//! Message 1024: images that belong together, with their headers, attributes and waveforms.

use super::cursor::{Cursor, Put};
use super::error::{EncodeError, Fault};
use super::nested::{Item, decode_array, decode_optional, decode_ranked, put_array, put_optional};
use super::{recon_data, waveform};
use crate::{AcquisitionHeader, ImageArray, ImageHeader, Meta, Waveform};

pub(super) const ITEMS: &[Item] = &[
    Item::Array(8),
    Item::Array(size_of::<ImageHeader>()),
    Item::Vector(&[Item::Text]),
    Item::Optional(&[Item::Vector(&[Item::Waveform])]),
    Item::Optional(&[Item::Array(size_of::<AcquisitionHeader>())]),
];

pub(super) fn decode(body: &[u8]) -> Result<ImageArray, Fault> {
    let mut cursor = Cursor::new(body);
    let data = decode_array(&mut cursor, "images", 7)?;
    let headers = decode_ranked(&mut cursor, "image headers")?;
    let n_metas = cursor.count(8)?;
    let meta =
        (0..n_metas).map(|_| Ok(Meta::from_xml(&cursor.text()?)?)).collect::<Result<_, Fault>>()?;
    let waveforms = decode_optional(&mut cursor, |cursor| {
        let count = cursor.count(waveform::HEADER_BYTES)?;
        (0..count).map(|_| waveform::decode(cursor)).collect()
    })?;
    let acquisition_headers =
        decode_optional(&mut cursor, |cursor| decode_ranked(cursor, "readout headers"))?;
    cursor.finish()?;
    Ok(ImageArray { data, headers, meta, waveforms, acquisition_headers })
}

pub(super) fn check(images: &ImageArray) -> Result<(), EncodeError> {
    recon_data::check_axes("images", images.data.ndim(), 7)?;
    images.waveforms.iter().flatten().try_for_each(|w| waveform::checked_header(w).map(|_| ()))
}

pub(super) fn put<P: Put>(images: &ImageArray, sink: &mut P) -> Result<(), P::Error> {
    put_array(&images.data, sink)?;
    put_array(&images.headers, sink)?;
    sink.put_pod(&(images.meta.len() as u64))?;
    for meta in &images.meta {
        // Gadgetron refuses an empty text here.
        sink.put_text(&meta.to_document())?;
    }
    put_optional(images.waveforms.as_deref(), sink, put_waveforms)?;
    put_optional(images.acquisition_headers.as_ref(), sink, put_array)
}

fn put_waveforms<P: Put>(waveforms: &[Waveform], sink: &mut P) -> Result<(), P::Error> {
    sink.put_pod(&(waveforms.len() as u64))?;
    waveforms.iter().try_for_each(|waveform| {
        // Cannot fail: `check` came before.
        let header = waveform::checked_header(waveform).unwrap_or(waveform.header);
        waveform::put(&header, waveform, sink)
    })
}
