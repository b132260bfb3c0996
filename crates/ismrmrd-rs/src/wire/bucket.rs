//! Message 1050: readouts that belong together. An index of byte counts, then all headers, all
//! trajectories, all samples, the counters that occur; the same for the calibration; waveforms.

use std::collections::BTreeSet;

use bytemuck::{Pod, Zeroable};
use ndarray::Array2;

use super::cursor::{Cursor, Length, Put, peek_header};
use super::error::{EncodeError, Fault};
use super::limits::Limits;
use super::{acquisition, waveform};
use crate::{Acquisition, AcquisitionHeader, Bucket, Waveform, WaveformHeader};

/// Counts of a set of readouts, all in bytes but the first.
#[derive(Clone, Copy, Default, Pod, Zeroable)]
#[repr(C)]
struct Readouts {
    count: u64,
    header: u64,
    data: u64,
    trajectory: u64,
}

/// What stands in front of the message.
#[derive(Clone, Copy, Default, Pod, Zeroable)]
#[repr(C)]
struct Index {
    data: Readouts,
    reference: Readouts,
    data_stats: u64,
    reference_stats: u64,
    n_waveforms: u64,
    waveform_header: u64,
    waveform_data: u64,
}

const INDEX_BYTES: usize = size_of::<Index>();

const _: () = assert!(INDEX_BYTES == 104);

pub(super) fn length(body: &[u8], limits: &Limits) -> Result<Length, Fault> {
    let Some(index) = peek_header::<Index>(body) else { return Ok(Length::AtLeast(INDEX_BYTES)) };
    let sections = [
        index.data.header,
        index.data.data,
        index.data.trajectory,
        index.reference.header,
        index.reference.data,
        index.reference.trajectory,
        index.data_stats,
        index.reference_stats,
        index.waveform_header,
        index.waveform_data,
    ];
    let n_bytes = sections.iter().map(|bytes| u128::from(*bytes)).sum();
    let n_bytes = limits.array().check(n_bytes)?;
    Ok(Length::Known(INDEX_BYTES.saturating_add(n_bytes)))
}

pub(super) fn decode(body: &[u8], limits: &Limits) -> Result<Bucket, Fault> {
    let mut cursor = Cursor::new(body);
    let index: Index = cursor.pod()?;
    let data = decode_readouts(&mut cursor, &index.data, limits)?;
    cursor.take(size(index.data_stats)?)?;
    let reference = decode_readouts(&mut cursor, &index.reference, limits)?;
    cursor.take(size(index.reference_stats)?)?;
    let headers: Vec<WaveformHeader> =
        decode_headers(&mut cursor, index.n_waveforms, index.waveform_header)?;
    let waveforms = headers
        .into_iter()
        .map(|header| waveform::decode_data(&mut cursor, header))
        .collect::<Result<_, _>>()?;
    cursor.finish()?;
    Ok(Bucket { data, reference, waveforms })
}

fn decode_readouts(
    cursor: &mut Cursor<'_>,
    readouts: &Readouts,
    limits: &Limits,
) -> Result<Vec<Acquisition>, Fault> {
    let headers: Vec<AcquisitionHeader> = decode_headers(cursor, readouts.count, readouts.header)?;
    for header in &headers {
        acquisition::sizes(header, limits.acquisition())?;
    }
    let trajectories = headers
        .iter()
        .map(|header| acquisition::decode_trajectory(cursor, header))
        .collect::<Result<Vec<Array2<f32>>, Fault>>()?;
    headers
        .into_iter()
        .zip(trajectories)
        .map(|(header, trajectory)| {
            let shape = (header.active_channels.into(), header.number_of_samples.into());
            Ok(Acquisition { header, trajectory, data: cursor.array(shape)? })
        })
        .collect()
}

fn decode_headers<T: Pod>(
    cursor: &mut Cursor<'_>,
    count: u64,
    n_bytes: u64,
) -> Result<Vec<T>, Fault> {
    let claimed = count.saturating_mul(size_of::<T>() as u64);
    if claimed != n_bytes {
        return Err(Fault::Inconsistent { what: "bytes of headers", claimed, found: n_bytes });
    }
    cursor.pods(size(count)?)
}

/// Cannot fail where `length` did not.
fn size(n_bytes: u64) -> Result<usize, Fault> {
    usize::try_from(n_bytes).map_err(|_| Fault::Inconsistent {
        what: "bytes of a section",
        claimed: n_bytes,
        found: usize::MAX as u64,
    })
}

/// The headers with the counts of the arrays.
pub(super) struct Checked {
    data: Vec<AcquisitionHeader>,
    reference: Vec<AcquisitionHeader>,
    waveforms: Vec<WaveformHeader>,
}

pub(super) fn check(bucket: &Bucket) -> Result<Checked, EncodeError> {
    Ok(Checked {
        data: bucket.data.iter().map(acquisition::checked_header).collect::<Result<_, _>>()?,
        reference: bucket
            .reference
            .iter()
            .map(acquisition::checked_header)
            .collect::<Result<_, _>>()?,
        waveforms: bucket
            .waveforms
            .iter()
            .map(waveform::checked_header)
            .collect::<Result<_, _>>()?,
    })
}

pub(super) fn put<P: Put>(
    checked: &Checked,
    bucket: &Bucket,
    sink: &mut P,
) -> Result<(), P::Error> {
    let data_stats = Stats::of(&checked.data);
    let reference_stats = Stats::of(&checked.reference);
    sink.put_pod(&Index {
        data: index(&bucket.data),
        reference: index(&bucket.reference),
        data_stats: data_stats.n_bytes(),
        reference_stats: reference_stats.n_bytes(),
        n_waveforms: bucket.waveforms.len() as u64,
        waveform_header: (bucket.waveforms.len() * waveform::HEADER_BYTES) as u64,
        waveform_data: 4 * bucket.waveforms.iter().map(|w| w.data.len() as u64).sum::<u64>(),
    })?;
    put_readouts(&checked.data, &bucket.data, sink)?;
    data_stats.put(sink)?;
    put_readouts(&checked.reference, &bucket.reference, sink)?;
    reference_stats.put(sink)?;
    sink.put(bytemuck::cast_slice(&checked.waveforms))?;
    bucket.waveforms.iter().try_for_each(|Waveform { data, .. }| sink.put_array(data))
}

fn index(readouts: &[Acquisition]) -> Readouts {
    Readouts {
        count: readouts.len() as u64,
        header: (readouts.len() * acquisition::HEADER_BYTES) as u64,
        data: 8 * readouts.iter().map(|readout| readout.data.len() as u64).sum::<u64>(),
        trajectory: 4 * readouts.iter().map(|readout| readout.trajectory.len() as u64).sum::<u64>(),
    }
}

fn put_readouts<P: Put>(
    headers: &[AcquisitionHeader],
    readouts: &[Acquisition],
    sink: &mut P,
) -> Result<(), P::Error> {
    sink.put(bytemuck::cast_slice(headers))?;
    readouts.iter().try_for_each(|readout| sink.put_array(&readout.trajectory))?;
    readouts.iter().try_for_each(|readout| sink.put_array(&readout.data))
}

/// Values of the counters that occur, per encoding space.
struct Stats {
    encodings: Vec<[BTreeSet<u16>; 9]>,
}

impl Stats {
    fn of(headers: &[AcquisitionHeader]) -> Self {
        let mut encodings: Vec<[BTreeSet<u16>; 9]> = Vec::new();
        for header in headers {
            let encoding = usize::from(header.encoding_space_ref);
            if encodings.len() <= encoding {
                encodings.resize_with(encoding + 1, Default::default);
            }
            let idx = header.idx;
            let counters = [
                idx.kspace_encode_step_1,
                idx.kspace_encode_step_2,
                idx.slice,
                idx.phase,
                idx.contrast,
                idx.repetition,
                idx.set,
                idx.segment,
                idx.average,
            ];
            for (values, counter) in encodings[encoding].iter_mut().zip(counters) {
                values.insert(counter);
            }
        }
        Self { encodings }
    }

    fn n_bytes(&self) -> u64 {
        8 + self.encodings.iter().flatten().map(|values| 8 + 2 * values.len() as u64).sum::<u64>()
    }

    fn put<P: Put>(&self, sink: &mut P) -> Result<(), P::Error> {
        sink.put_pod(&(self.encodings.len() as u64))?;
        for values in self.encodings.iter().flatten() {
            sink.put_pod(&(values.len() as u64))?;
            values.iter().try_for_each(|value| sink.put_pod(value))?;
        }
        Ok(())
    }
}
