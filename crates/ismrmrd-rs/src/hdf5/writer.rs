//! Writing files.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ::hdf5::types::VarLenArray;
use ::hdf5::{Dataset, File, Group, H5Type};

use super::DEFAULT_GROUP;
use super::error::{FileError, Place};
use super::file_lock::LockedFile;
use super::image_writer::SeriesWriter;
use super::layout::{AcquisitionRow, WaveformRow, missing_members};
use super::open_files::open_to_write;
use super::text::Stored;
use crate::wire::{EncodeError, Message, acquisition_header, waveform_header};
use crate::{Acquisition, Header, Image, NdArray, Waveform};

/// Rows of a dataset that are stored together. More makes small files larger and does not make
/// large ones faster.
const CHUNK_ROWS: usize = 64;

/// Bytes of samples that are gathered before rows are written.
const BUFFER_BYTES: usize = 4 << 20;

/// Writes a scan, or its images, into one group of a file.
///
/// Rows are gathered and written many at once. [`finish`](Self::finish) writes the rest and tells
/// of errors; dropping the writer writes the rest too, silently.
pub struct FileWriter {
    place: Place,
    acquisitions: RowBuffer<AcquisitionRow>,
    waveforms: RowBuffer<WaveformRow>,
    series: BTreeMap<String, SeriesWriter>,
    group: Group,
    /// Last, so that it is closed last.
    file: Arc<LockedFile>,
}

impl FileWriter {
    /// Creates a file, in place of one that may be there.
    ///
    /// # Errors
    /// Those of the library.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, FileError> {
        Self::open(path.as_ref(), DEFAULT_GROUP, |path| File::create(path))
    }

    /// Opens a file, or creates it, and adds to one of its groups.
    ///
    /// # Errors
    /// Those of the library.
    pub fn append(path: impl AsRef<Path>, group: &str) -> Result<Self, FileError> {
        Self::open(path.as_ref(), group, |path| File::append(path))
    }

    fn open(
        path: &Path,
        group: &str,
        open: impl FnOnce(&Path) -> ::hdf5::Result<File>,
    ) -> Result<Self, FileError> {
        let name = group.trim_matches('/');
        let place = Place { file: path.to_owned(), object: name.to_owned() };
        let file = open_to_write(path, open)?;
        let group = group_at(&file, name).map_err(|error| place.library("create", error))?;
        Ok(Self {
            acquisitions: RowBuffer::new("data", true),
            waveforms: RowBuffer::new("waveforms", false),
            series: BTreeMap::new(),
            place,
            group,
            file,
        })
    }

    /// Writes the XML header as it is, in place of one that may be there.
    ///
    /// # Errors
    /// Those of the library.
    pub fn write_header_text(&mut self, text: &str) -> Result<(), FileError> {
        Stored::xml(text).write_only(&self.group, &self.place, "xml")
    }

    /// Writes the XML header, in place of one that may be there.
    ///
    /// # Errors
    /// Those of the library.
    pub fn write_header(&mut self, header: &Header) -> Result<(), FileError> {
        self.write_header_text(&header.to_xml())
    }

    /// Writes a text of its own, in place of one that may be there: `config`, `config_file` and
    /// `configAdditional` are what the Python server writes and its client reads.
    ///
    /// # Errors
    /// Those of the library.
    pub fn write_text(&mut self, name: &str, text: &str) -> Result<(), FileError> {
        Stored::new(text).write_only(&self.group, &self.place, name)
    }

    /// Adds a readout.
    ///
    /// # Errors
    /// Sizes that do not fit the header, and those of the library.
    pub fn write_acquisition(&mut self, acquisition: &Acquisition) -> Result<(), FileError> {
        let header = acquisition_header(acquisition).map_err(|error| self.encode("data", error))?;
        let samples = acquisition.data.as_standard_layout();
        let trajectory = acquisition.trajectory.as_standard_layout();
        let row = AcquisitionRow {
            head: header.into(),
            traj: VarLenArray::from_slice(trajectory.as_slice().unwrap_or_default()),
            data: VarLenArray::from_slice(bytemuck::cast_slice(
                samples.as_slice().unwrap_or_default(),
            )),
        };
        let n_bytes = size_of::<AcquisitionRow>() + 4 * (row.traj.len() + row.data.len());
        self.acquisitions.push(row, n_bytes, &self.group, &self.place)
    }

    /// Adds a waveform.
    ///
    /// # Errors
    /// Sizes that do not fit the header, and those of the library.
    pub fn write_waveform(&mut self, waveform: &Waveform) -> Result<(), FileError> {
        let header = waveform_header(waveform).map_err(|error| self.encode("waveforms", error))?;
        let samples = waveform.data.as_standard_layout();
        let row = WaveformRow {
            head: header.into(),
            data: VarLenArray::from_slice(samples.as_slice().unwrap_or_default()),
        };
        let n_bytes = size_of::<WaveformRow>() + 4 * row.data.len();
        self.waveforms.push(row, n_bytes, &self.group, &self.place)
    }

    /// Adds an image to the group of its series, `image_N` for the header's series N.
    ///
    /// All images of a group have the same shape and type. One of another shape or type goes to
    /// `image_N_2` and so on: nothing is lost.
    ///
    /// # Errors
    /// Sizes that do not fit the header, and those of the library.
    pub fn write_image(&mut self, image: &Image) -> Result<(), FileError> {
        let series = image.header.image_series_index;
        self.write_image_to(&format!("image_{series}"), image)
    }

    /// Adds an image to a group of images, or to one with `_2` and so on behind its name if the
    /// images there have another shape or type.
    ///
    /// # Errors
    /// Sizes that do not fit the header, and those of the library.
    pub fn write_image_to(&mut self, name: &str, image: &Image) -> Result<(), FileError> {
        let mut candidate = name.to_owned();
        for number in 2.. {
            if !self.series.contains_key(&candidate) {
                let writer = SeriesWriter::open(&self.group, &self.place, &candidate, image)?;
                self.series.insert(candidate.clone(), writer);
            }
            if let Some(writer) = self.series.get_mut(&candidate).filter(|w| w.takes(image)) {
                return writer.append(image);
            }
            candidate = format!("{name}_{number}");
        }
        Ok(())
    }

    /// Adds an array behind those of the same name, which must have its shape and type.
    ///
    /// # Errors
    /// Those of the library.
    pub fn append_array(&mut self, name: &str, array: &NdArray) -> Result<(), FileError> {
        super::arrays::append_array(&self.group, &self.place, name, array)
    }

    /// Writes what a message carries, and returns whether there is a place for it: readouts,
    /// waveforms, images, the header, the configuration.
    ///
    /// # Errors
    /// As the functions for each.
    pub fn write(&mut self, message: &Message) -> Result<bool, FileError> {
        match message {
            Message::Acquisition(acquisition) => self.write_acquisition(acquisition)?,
            Message::Waveform(waveform) => self.write_waveform(waveform)?,
            Message::Image(image) => self.write_image(image)?,
            Message::Header(text) => self.write_header_text(text)?,
            Message::ConfigFile(name) => self.write_text("config_file", name)?,
            Message::ConfigText(text) => self.write_text("config", text)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Writes what has been gathered and hands the file to the system.
    ///
    /// # Errors
    /// Those of the library.
    pub fn flush(&mut self) -> Result<(), FileError> {
        self.acquisitions.drain(&self.group, &self.place)?;
        self.waveforms.drain(&self.group, &self.place)?;
        self.file.flush().map_err(|error| self.place.library("flush", error))
    }

    /// Writes what has been gathered and closes the file.
    ///
    /// # Errors
    /// Those of the library.
    pub fn finish(mut self) -> Result<(), FileError> {
        self.flush()
    }

    fn encode(&self, name: &str, source: EncodeError) -> FileError {
        FileError::Encode { place: self.place.child(name), source }
    }
}

impl Drop for FileWriter {
    fn drop(&mut self) {
        // `finish` tells of errors; here nobody listens.
        let _ = self.flush();
    }
}

/// The group at a path, created where it is not there.
fn group_at(file: &File, path: &str) -> ::hdf5::Result<Group> {
    let mut group = file.group("/")?;
    for name in path.split('/').filter(|name| !name.is_empty()) {
        group = match group.link_exists(name) {
            true => group.group(name)?,
            false => group.create_group(name)?,
        };
    }
    Ok(group)
}

/// Rows that wait to be written.
struct RowBuffer<T> {
    name: &'static str,
    /// Without padding, as Python's package needs the headers of readouts and it and the C++
    /// library have them. Those of waveforms are padded in both.
    packed: bool,
    dataset: Option<Dataset>,
    rows: Vec<T>,
    n_bytes: usize,
    n_written: usize,
}

impl<T: H5Type> RowBuffer<T> {
    fn new(name: &'static str, packed: bool) -> Self {
        Self { name, packed, dataset: None, rows: Vec::new(), n_bytes: 0, n_written: 0 }
    }

    fn push(
        &mut self,
        row: T,
        n_bytes: usize,
        group: &Group,
        place: &Place,
    ) -> Result<(), FileError> {
        self.rows.push(row);
        self.n_bytes += n_bytes;
        if self.n_bytes >= BUFFER_BYTES { self.drain(group, place) } else { Ok(()) }
    }

    fn drain(&mut self, group: &Group, place: &Place) -> Result<(), FileError> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let place = place.child(self.name);
        let rows = std::mem::take(&mut self.rows);
        self.n_bytes = 0;
        let dataset = match self.dataset.take() {
            Some(dataset) => dataset,
            None => self.open(group, &place)?,
        };
        let end = self.n_written + rows.len();
        let write = || -> ::hdf5::Result<()> {
            dataset.resize(end)?;
            dataset.write_slice(&rows, self.n_written..end)
        };
        write().map_err(|error| place.library("append", error))?;
        self.n_written = end;
        self.dataset = Some(dataset);
        Ok(())
    }

    fn open(&mut self, group: &Group, place: &Place) -> Result<Dataset, FileError> {
        if group.link_exists(self.name) {
            let dataset = group.dataset(self.name).map_err(|error| place.library("open", error))?;
            let file = dataset.dtype().and_then(|dtype| dtype.to_descriptor());
            let file = file.map_err(|error| place.library("append", error))?;
            let missing =
                missing_members(&file, &T::type_descriptor()).map_err(|what| place.layout(what))?;
            if let Some(member) = missing.first() {
                let what = format!("rows there have no member `{member}`, so none can be added");
                return Err(place.layout(what));
            }
            self.n_written = dataset.size();
            return Ok(dataset);
        }
        group
            .new_dataset_builder()
            .packed(self.packed)
            .chunk(CHUNK_ROWS)
            .empty_as(T::type_descriptor())
            .shape(0..)
            .create(self.name)
            .map_err(|error| place.library("create", error))
    }
}
