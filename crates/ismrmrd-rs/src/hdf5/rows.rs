//! Readouts and waveforms, read in blocks.
//!
//! The headers of some rows are read first: they tell how large the samples are, so that limits
//! are checked and blocks are cut before any sample is read.

use std::collections::VecDeque;
use std::ops::Range;
use std::vec;

use ::hdf5::H5Type;
use ndarray::Array2;

use super::error::FileError;
use super::layout::{AcquisitionHead, DataOf, HeadOf, TrajectoryOf, WaveformHead, missing_members};
use super::table::Table;
use crate::wire::{Fault, Limits};
use crate::{Acquisition, AcquisitionHeader, Waveform, WaveformHeader};

/// Headers that are read at once.
const N_HEADERS: usize = 512;

/// The readouts of a file, in their order. See [`super::FileReader::acquisitions`].
pub struct Acquisitions(Rows<Acquisition>);

/// The waveforms of a file, in their order. See [`super::FileReader::waveforms`].
pub struct Waveforms(Rows<Waveform>);

macro_rules! row_iterator {
    ($name:ident, $row:ty) => {
        impl $name {
            pub(super) fn new(
                table: Option<Table>,
                limits: &Limits,
                block_bytes: usize,
            ) -> Result<Self, FileError> {
                Rows::new(table, limits, block_bytes).map(Self)
            }
        }

        impl Iterator for $name {
            type Item = Result<$row, FileError>;

            fn next(&mut self) -> Option<Self::Item> {
                self.0.next()
            }

            fn size_hint(&self) -> (usize, Option<usize>) {
                (0, Some(self.0.remaining()))
            }
        }
    };
}

row_iterator!(Acquisitions, Acquisition);
row_iterator!(Waveforms, Waveform);

/// A kind of row.
trait Row: Sized {
    type Header: Copy + Default + Into<Self::Head> + From<Self::Head>;
    type Head: H5Type + Copy;
    /// Members of the header without which the samples have no shape.
    const REQUIRED: &[&str];

    /// Bytes of the samples.
    fn n_bytes(header: &Self::Header, limits: &Limits) -> Result<usize, Fault>;

    /// The rows with these headers.
    fn read(
        table: &Table,
        rows: Range<usize>,
        headers: vec::Drain<'_, Self::Header>,
        has_trajectory: bool,
    ) -> Result<Vec<Self>, FileError>;
}

struct Rows<R: Row> {
    table: Option<Table>,
    limits: Limits,
    block_bytes: usize,
    n_rows: usize,
    has_trajectory: bool,
    /// All headers, where the file lacks some of their members.
    completed: Option<Vec<R::Header>>,
    /// Headers from `next_row` on.
    headers: VecDeque<R::Header>,
    next_row: usize,
    block: vec::IntoIter<R>,
}

impl<R: Row> Rows<R> {
    fn new(table: Option<Table>, limits: &Limits, block_bytes: usize) -> Result<Self, FileError> {
        let mut rows = Self {
            table: None,
            limits: limits.clone(),
            block_bytes,
            n_rows: 0,
            has_trajectory: false,
            completed: None,
            headers: VecDeque::new(),
            next_row: 0,
            block: Vec::new().into_iter(),
        };
        let Some(table) = table else { return Ok(rows) };
        if table.shape().len() > 1 {
            let what =
                format!("has {} axes, expected one row after the other", table.shape().len());
            return Err(table.place.layout(what));
        }
        rows.n_rows = table.n_rows();
        let file = table.descriptor()?;
        let missing =
            |wanted| missing_members(&file, &wanted).map_err(|what| table.place.layout(what));
        if let Some(member) = missing(DataOf::<f32>::type_descriptor())?.pop() {
            return Err(table.place.layout(format!("member `{member}` is missing")));
        }
        rows.has_trajectory = missing(TrajectoryOf::type_descriptor())?.is_empty();
        let missing = missing(HeadOf::<R::Head>::type_descriptor())?;
        if let Some(member) = missing.iter().find(|name| R::REQUIRED.contains(&name.as_str())) {
            return Err(table.place.layout(format!("member `{member}` is missing")));
        }
        if !missing.is_empty() {
            rows.completed = Some(rows.complete(&table)?);
        }
        rows.table = Some(table);
        Ok(rows)
    }

    /// All headers, with the value of a fresh one for what the file lacks.
    fn complete(&self, table: &Table) -> Result<Vec<R::Header>, FileError> {
        let n_bytes = self.n_rows as u128 * size_of::<HeadOf<R::Head>>() as u128;
        self.limits.array().check(n_bytes).map_err(|source| FileError::Limit {
            place: table.place.clone(),
            row: 0,
            source,
        })?;
        let fresh = HeadOf { head: R::Header::default().into() };
        Ok(table.read_over(fresh)?.into_iter().map(|row| row.head.into()).collect())
    }

    fn remaining(&self) -> usize {
        self.block.len() + (self.n_rows - self.next_row)
    }

    fn next(&mut self) -> Option<Result<R, FileError>> {
        if self.block.len() == 0 && self.next_row < self.n_rows {
            match self.read_block() {
                Ok(block) => self.block = block.into_iter(),
                Err(error) => {
                    self.next_row = self.n_rows;
                    return Some(Err(error));
                }
            }
        }
        self.block.next().map(Ok)
    }

    fn read_block(&mut self) -> Result<Vec<R>, FileError> {
        let Some(table) = &self.table else { return Ok(Vec::new()) };
        if self.headers.is_empty() {
            let rows = self.next_row..self.n_rows.min(self.next_row + N_HEADERS);
            self.headers = match &self.completed {
                Some(all) => all[rows].iter().copied().collect(),
                None => {
                    let heads = table.read_rows::<HeadOf<R::Head>>(rows)?;
                    heads.into_iter().map(|row| row.head.into()).collect()
                }
            };
        }
        let mut block_bytes = 0;
        let mut count = 0;
        for header in &self.headers {
            let n_bytes = R::n_bytes(header, &self.limits).map_err(|source| FileError::Limit {
                place: table.place.clone(),
                row: self.next_row + count,
                source,
            })?;
            block_bytes += n_bytes;
            if count > 0 && block_bytes > self.block_bytes {
                break;
            }
            count += 1;
        }
        let rows = self.next_row..self.next_row + count;
        self.next_row += count;
        let mut headers: Vec<_> = self.headers.drain(..count).collect();
        R::read(table, rows, headers.drain(..), self.has_trajectory)
    }
}

impl Row for Acquisition {
    type Header = AcquisitionHeader;
    type Head = AcquisitionHead;
    const REQUIRED: &[&str] = &["head", "head.number_of_samples", "head.active_channels"];

    fn n_bytes(header: &AcquisitionHeader, limits: &Limits) -> Result<usize, Fault> {
        limits.check_acquisition(header)
    }

    fn read(
        table: &Table,
        rows: Range<usize>,
        headers: vec::Drain<'_, AcquisitionHeader>,
        has_trajectory: bool,
    ) -> Result<Vec<Self>, FileError> {
        let trajectories: Vec<TrajectoryOf> = match has_trajectory
            && headers.as_slice().iter().any(|header| header.trajectory_dimensions > 0)
        {
            true => table.read_rows(rows.clone())?,
            false => Vec::new(),
        };
        let data: Vec<DataOf<f32>> = table.read_rows(rows.clone())?;
        rows.zip(headers)
            .enumerate()
            .zip(data)
            .map(|((place, (row, mut header)), data)| {
                let n_samples = usize::from(header.number_of_samples);
                let n_channels = usize::from(header.active_channels);
                if data.data.len() != 2 * n_samples * n_channels {
                    let what = format!(
                        "{} numbers of data, {n_channels} channels of {n_samples} complex \
                         samples need {}",
                        data.data.len(),
                        2 * n_samples * n_channels
                    );
                    return Err(table.place.row(row, what));
                }
                let samples = bytemuck::cast_slice(&data.data).to_vec();
                let trajectory = match usize::from(header.trajectory_dimensions) {
                    n_dimensions if n_dimensions > 0 && has_trajectory => {
                        let numbers = trajectories[place].traj.to_vec();
                        array(table, row, (n_samples, n_dimensions), numbers, "trajectory")?
                    }
                    _ => {
                        header.trajectory_dimensions = 0;
                        Array2::default((0, 0))
                    }
                };
                let data = array(table, row, (n_channels, n_samples), samples, "data")?;
                Ok(Self { header, trajectory, data })
            })
            .collect()
    }
}

impl Row for Waveform {
    type Header = WaveformHeader;
    type Head = WaveformHead;
    const REQUIRED: &[&str] = &["head", "head.number_of_samples", "head.channels"];

    fn n_bytes(header: &WaveformHeader, limits: &Limits) -> Result<usize, Fault> {
        limits.check_waveform(header)
    }

    fn read(
        table: &Table,
        rows: Range<usize>,
        headers: vec::Drain<'_, WaveformHeader>,
        _has_trajectory: bool,
    ) -> Result<Vec<Self>, FileError> {
        let data: Vec<DataOf<u32>> = table.read_rows(rows.clone())?;
        rows.zip(headers)
            .zip(data)
            .map(|((row, header), data)| {
                let shape = (header.channels.into(), header.number_of_samples.into());
                let data = array(table, row, shape, data.data.to_vec(), "data")?;
                Ok(Self { header, data })
            })
            .collect()
    }
}

fn array<T>(
    table: &Table,
    row: usize,
    shape: (usize, usize),
    values: Vec<T>,
    what: &str,
) -> Result<Array2<T>, FileError> {
    let found = values.len();
    Array2::from_shape_vec(shape, values).map_err(|_| {
        let (outer, inner) = shape;
        let what = format!("{found} numbers of {what}, the header says {outer} × {inner}");
        table.place.row(row, what)
    })
}
