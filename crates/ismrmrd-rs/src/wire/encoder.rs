//! From messages to bytes.

use bytes::BytesMut;

use super::cursor::Put;
use super::error::EncodeError;
use super::message::{Message, MessageId};
use super::{
    acquisition, blob, bucket, image, image_array, nd_array, nhlbi, recon_data, text, waveform,
};
use crate::WaveformHeader;
use crate::{Acquisition, AcquisitionFlags, AcquisitionHeader, Image, ImageHeader, Waveform};

/// How texts are ended (messages 2, 3 and 5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// By their length alone, as Gadgetron and the C++ library do. All known readers take it.
    #[default]
    Gadgetron,
    /// With a NUL that the length counts, as the Python server does.
    Python,
}

/// Appends a message to `out`.
///
/// Counts and lengths in headers are set from the data. An empty text of message 2 or 5 is written
/// as one blank, because the C++ library reads the byte before an empty one.
///
/// # Errors
/// Where a size does not fit its place; `out` is as it was then.
pub fn encode(message: &Message, out: &mut BytesMut) -> Result<(), EncodeError> {
    encode_with(message, Dialect::default(), out)
}

/// Appends a message to `out` in a dialect.
///
/// # Errors
/// As [`encode`].
pub fn encode_with(
    message: &Message,
    dialect: Dialect,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    let checked = Checked::new(message)?;
    out.reserve(rough_bytes(message));
    let Ok(()) = checked.put(dialect, out);
    Ok(())
}

/// Appends a readout (1008) to `out`.
///
/// # Errors
/// As [`encode`].
pub fn encode_acquisition(
    acquisition: &Acquisition,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    let header = acquisition::checked_header(acquisition)?;
    out.reserve(acquisition_bytes(acquisition));
    let Ok(()) = Checked::Acquisition(header, acquisition).put(Dialect::default(), out);
    Ok(())
}

/// Appends an image (1022) to `out`.
///
/// # Errors
/// As [`encode`].
pub fn encode_image(image: &Image, out: &mut BytesMut) -> Result<(), EncodeError> {
    let checked = Checked::image(image)?;
    out.reserve(image_bytes(image));
    let Ok(()) = checked.put(Dialect::default(), out);
    Ok(())
}

/// Appends a waveform (1026) to `out`.
///
/// # Errors
/// As [`encode`].
pub fn encode_waveform(waveform: &Waveform, out: &mut BytesMut) -> Result<(), EncodeError> {
    let header = waveform::checked_header(waveform)?;
    let Ok(()) = Checked::Waveform(header, waveform).put(Dialect::default(), out);
    Ok(())
}

/// Appends a readout (1008) whose samples are compressed to `bits` per number, 2 to 31.
///
/// # Errors
/// As [`encode`], and [`EncodeError::Nhlbi`] for other bits, or samples that are not finite.
///
/// # Source
/// Option `-P` of Gadgetron's client.
pub fn encode_nhlbi(
    acquisition: &Acquisition,
    bits: u8,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    let mut header = acquisition::checked_header(acquisition)?;
    header.set_flags(AcquisitionFlags::COMPRESSION2);
    let samples: Vec<f32> =
        acquisition.data.iter().flat_map(|sample| [sample.re, sample.im]).collect();
    let blob = nhlbi::compress(&samples, bits)?;
    out.extend_from_slice(&MessageId::ACQUISITION.0.to_le_bytes());
    out.extend_from_slice(bytemuck::bytes_of(&header));
    let Ok(()) = out.put_array(&acquisition.trajectory);
    if !samples.is_empty() {
        out.extend_from_slice(&(blob.len() as u32).to_le_bytes());
        out.extend_from_slice(&blob);
    }
    Ok(())
}

/// A message that can be written: everything that may fail has been tried.
pub(super) enum Checked<'a> {
    Other(&'a Message),
    Acquisition(AcquisitionHeader, &'a Acquisition),
    Waveform(WaveformHeader, &'a Waveform),
    Image(ImageHeader, String, &'a Image),
    Bucket(bucket::Checked, &'a crate::Bucket),
}

impl<'a> Checked<'a> {
    pub fn new(message: &'a Message) -> Result<Self, EncodeError> {
        match message {
            Message::Acquisition(acquisition) => {
                let header = acquisition::checked_header(acquisition)?;
                return Ok(Self::Acquisition(header, acquisition));
            }
            Message::Waveform(waveform) => {
                return Ok(Self::Waveform(waveform::checked_header(waveform)?, waveform));
            }
            Message::Image(image) => return Self::image(image),
            Message::Bucket(bucket) => return Ok(Self::Bucket(bucket::check(bucket)?, bucket)),
            Message::ConfigFile(name) => text::check_config_file(name)?,
            Message::ConfigText(text) | Message::Header(text) | Message::Text(text) => {
                text::check_short(text)?;
            }
            Message::Dicom { data, .. } => blob::check_dicom(data)?,
            Message::ReconData(bits) => recon_data::check(bits)?,
            Message::ImageArray(images) => image_array::check(images)?,
            Message::NdArray(array) => nd_array::check(array)?,
            Message::Close
            | Message::Query { .. }
            | Message::Response { .. }
            | Message::Error(_)
            | Message::DependencyQuery(_) => {}
        }
        Ok(Self::Other(message))
    }

    pub fn image(image: &'a Image) -> Result<Self, EncodeError> {
        let attributes = image.meta.to_xml();
        Ok(Self::Image(image::checked_header(image, attributes.len())?, attributes, image))
    }

    pub fn acquisition(acquisition: &'a Acquisition) -> Result<Self, EncodeError> {
        Ok(Self::Acquisition(acquisition::checked_header(acquisition)?, acquisition))
    }

    pub fn waveform(waveform: &'a Waveform) -> Result<Self, EncodeError> {
        Ok(Self::Waveform(waveform::checked_header(waveform)?, waveform))
    }

    fn id(&self) -> MessageId {
        match self {
            Self::Other(message) => message.id(),
            Self::Acquisition(..) => MessageId::ACQUISITION,
            Self::Waveform(..) => MessageId::WAVEFORM,
            Self::Image(..) => MessageId::IMAGE,
            Self::Bucket(..) => MessageId::BUCKET,
        }
    }

    pub fn put<P: Put>(&self, dialect: Dialect, sink: &mut P) -> Result<(), P::Error> {
        sink.put(&self.id().0.to_le_bytes())?;
        match self {
            Self::Acquisition(header, acquisition) => acquisition::put(header, acquisition, sink),
            Self::Waveform(header, waveform) => waveform::put(header, waveform, sink),
            Self::Image(header, attributes, image) => {
                image::put(header, attributes, &image.pixels, sink)
            }
            Self::Bucket(checked, bucket) => bucket::put(checked, bucket, sink),
            Self::Other(message) => put_other(message, dialect, sink),
        }
    }
}

fn put_other<P: Put>(message: &Message, dialect: Dialect, sink: &mut P) -> Result<(), P::Error> {
    match message {
        Message::ConfigFile(name) => text::put_config_file(name, sink),
        Message::ConfigText(text) | Message::Header(text) | Message::Text(text) => {
            text::put_short(text, dialect, sink)
        }
        Message::Query { correlation_id, text } => {
            sink.put_pod(&0_u64)?;
            sink.put_pod(correlation_id)?;
            sink.put_text(text)
        }
        Message::Response { correlation_id, text } => {
            sink.put_pod(correlation_id)?;
            sink.put_text(text)
        }
        Message::Error(text) => sink.put_text(text),
        Message::Dicom { data, file_name, meta } => blob::put_dicom(data, file_name, meta, sink),
        Message::DependencyQuery(meta) => sink.put_text(&meta.to_document()),
        Message::ReconData(bits) => recon_data::put(bits, sink),
        Message::ImageArray(images) => image_array::put(images, sink),
        Message::NdArray(array) => nd_array::put(array, sink),
        // The others have variants of `Checked`.
        Message::Close
        | Message::Acquisition(_)
        | Message::Image(_)
        | Message::Waveform(_)
        | Message::Bucket(_) => Ok(()),
    }
}

/// So that large data are written without growing the buffer in steps.
fn rough_bytes(message: &Message) -> usize {
    match message {
        Message::Acquisition(acquisition) => acquisition_bytes(acquisition),
        Message::Image(image) => image_bytes(image),
        Message::Dicom { data, .. } => data.len(),
        Message::NdArray(array) => {
            array.shape().iter().product::<usize>() * array.data_type().size_bytes()
        }
        _ => 0,
    }
}

fn acquisition_bytes(acquisition: &Acquisition) -> usize {
    2 + acquisition::HEADER_BYTES + 4 * acquisition.trajectory.len() + 8 * acquisition.data.len()
}

fn image_bytes(image: &Image) -> usize {
    let n_pixels: usize = image.pixels.shape().iter().product();
    n_pixels * image.pixels.data_type().size_bytes() + 1024
}
