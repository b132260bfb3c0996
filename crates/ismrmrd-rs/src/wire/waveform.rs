//! Message 1026: header and samples.

use super::acquisition::fit_u16;
use super::cursor::{Cursor, Length, Put, peek_header};
use super::error::{EncodeError, Fault};
use super::limits::{Limit, Limits};
use crate::{Waveform, WaveformHeader};

pub(super) const HEADER_BYTES: usize = size_of::<WaveformHeader>();

/// Bytes of the samples.
pub(super) fn data_bytes(header: &WaveformHeader, limit: Limit) -> Result<usize, Fault> {
    limit.check(4 * u128::from(header.number_of_samples) * u128::from(header.channels))
}

impl Limits {
    /// Bytes of the samples, if they are within the limit.
    #[cfg(feature = "hdf5")]
    pub(crate) fn check_waveform(&self, header: &WaveformHeader) -> Result<usize, Fault> {
        data_bytes(header, self.waveform())
    }
}

pub(super) fn length(body: &[u8], limits: &Limits) -> Result<Length, Fault> {
    match peek_header(body) {
        Some(header) => {
            let n_bytes = data_bytes(&header, limits.waveform())?;
            Ok(Length::Known(HEADER_BYTES.saturating_add(n_bytes)))
        }
        None => Ok(Length::AtLeast(HEADER_BYTES)),
    }
}

pub(super) fn decode(cursor: &mut Cursor<'_>) -> Result<Waveform, Fault> {
    let header: WaveformHeader = cursor.pod()?;
    decode_data(cursor, header)
}

pub(super) fn decode_data(
    cursor: &mut Cursor<'_>,
    header: WaveformHeader,
) -> Result<Waveform, Fault> {
    let shape = (usize::from(header.channels), usize::from(header.number_of_samples));
    Ok(Waveform { header, data: cursor.array(shape)? })
}

/// The header with the counts of the array.
pub(crate) fn checked_header(waveform: &Waveform) -> Result<WaveformHeader, EncodeError> {
    let (n_channels, n_samples) = waveform.data.dim();
    Ok(WaveformHeader {
        number_of_samples: fit_u16("samples", n_samples)?,
        channels: fit_u16("channels", n_channels)?,
        ..waveform.header
    })
}

pub(super) fn put<P: Put>(
    header: &WaveformHeader,
    waveform: &Waveform,
    sink: &mut P,
) -> Result<(), P::Error> {
    sink.put_pod(header)?;
    sink.put_array(&waveform.data)
}
