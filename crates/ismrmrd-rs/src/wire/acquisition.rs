//! Message 1008: header, trajectory, samples. Compressed samples come behind their length.

use ndarray::Array2;

use super::cursor::{Cursor, Length, Put, peek_header, text_end};
use super::error::{EncodeError, Fault};
use super::limits::{Limit, Limits};
use super::nhlbi;
use crate::{Acquisition, AcquisitionFlags, AcquisitionHeader};

pub(super) const HEADER_BYTES: usize = size_of::<AcquisitionHeader>();

const SAMPLE_BYTES: usize = 8;

/// Bytes of trajectory and samples as the header has it.
pub(super) struct Sizes {
    pub trajectory: usize,
    pub data: usize,
}

/// Sizes by the header, checked against `limit`.
pub(super) fn sizes(header: &AcquisitionHeader, limit: Limit) -> Result<Sizes, Fault> {
    let samples = u128::from(header.number_of_samples);
    let trajectory = 4 * samples * u128::from(header.trajectory_dimensions);
    let data = SAMPLE_BYTES as u128 * samples * u128::from(header.active_channels);
    limit.check(trajectory + data)?;
    Ok(Sizes { trajectory: limit.check(trajectory)?, data: limit.check(data)? })
}

impl Limits {
    /// Bytes of trajectory and samples as the header has it, if they are within the limit.
    #[cfg(feature = "hdf5")]
    pub(crate) fn check_acquisition(&self, header: &AcquisitionHeader) -> Result<usize, Fault> {
        sizes(header, self.acquisition()).map(|sizes| sizes.trajectory + sizes.data)
    }
}

pub(super) fn length(body: &[u8], limits: &Limits) -> Result<Length, Fault> {
    let Some(header) = peek_header::<AcquisitionHeader>(body) else {
        return Ok(Length::AtLeast(HEADER_BYTES));
    };
    let sizes = sizes(&header, limits.acquisition())?;
    let data_start = HEADER_BYTES + sizes.trajectory;
    if header.has_any(AcquisitionFlags::COMPRESSION1) {
        return Err(Fault::Zfp);
    }
    // Gadgetron's client sends no length where there are no samples.
    if header.has_any(AcquisitionFlags::COMPRESSION2) && sizes.data > 0 {
        return text_end::<4>(body, data_start, limits.acquisition());
    }
    Ok(Length::Known(data_start.saturating_add(sizes.data)))
}

pub(super) fn decode(body: &[u8]) -> Result<Acquisition, Fault> {
    let mut cursor = Cursor::new(body);
    let mut header: AcquisitionHeader = cursor.pod()?;
    let trajectory = decode_trajectory(&mut cursor, &header)?;
    let shape = (usize::from(header.active_channels), usize::from(header.number_of_samples));
    let compressed = header.has_any(AcquisitionFlags::COMPRESSION2);
    header.clear_flags(AcquisitionFlags::COMPRESSION2);
    let data = if compressed && shape.0 * shape.1 > 0 {
        cursor.pod::<u32>()?;
        let blob = cursor.take(cursor.remaining())?;
        let values = nhlbi::decompress(blob, 2 * shape.0 * shape.1)?;
        super::cursor::shaped(ndarray::Ix2(shape.0, shape.1), values)?
    } else {
        cursor.array(shape)?
    };
    cursor.finish()?;
    Ok(Acquisition { header, trajectory, data })
}

/// `[sample, dimension]`, `[0, 0]` where there are no dimensions.
pub(super) fn decode_trajectory(
    cursor: &mut Cursor<'_>,
    header: &AcquisitionHeader,
) -> Result<Array2<f32>, Fault> {
    match usize::from(header.trajectory_dimensions) {
        0 => Ok(Array2::default((0, 0))),
        n_dimensions => cursor.array((usize::from(header.number_of_samples), n_dimensions)),
    }
}

/// The header with the counts of the arrays.
pub(crate) fn checked_header(acquisition: &Acquisition) -> Result<AcquisitionHeader, EncodeError> {
    let (n_channels, n_samples) = acquisition.data.dim();
    let (trajectory_samples, n_dimensions) = acquisition.trajectory.dim();
    if n_dimensions > 0 && trajectory_samples != n_samples {
        return Err(EncodeError::TrajectoryLength {
            trajectory: trajectory_samples,
            data: n_samples,
        });
    }
    let mut header = acquisition.header;
    header.number_of_samples = fit_u16("samples", n_samples)?;
    header.active_channels = fit_u16("channels", n_channels)?;
    header.trajectory_dimensions = fit_u16("trajectory dimensions", n_dimensions)?;
    // The samples are written as they are.
    header.clear_flags(AcquisitionFlags::COMPRESSION1.union(AcquisitionFlags::COMPRESSION2));
    Ok(header)
}

pub(super) fn put<P: Put>(
    header: &AcquisitionHeader,
    acquisition: &Acquisition,
    sink: &mut P,
) -> Result<(), P::Error> {
    sink.put_pod(header)?;
    sink.put_array(&acquisition.trajectory)?;
    sink.put_array(&acquisition.data)
}

/// `count` as it stands in a header.
pub(super) fn fit_u16(what: &'static str, count: usize) -> Result<u16, EncodeError> {
    let most = usize::from(u16::MAX);
    u16::try_from(count).map_err(|_| EncodeError::TooMany { what, count, most })
}
