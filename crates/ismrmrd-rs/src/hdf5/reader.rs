//! Reading files.

use std::path::Path;
use std::sync::Arc;

use ::hdf5::{File, Group};

use super::error::{FileError, Place};
use super::file_lock::LockedFile;
use super::images::Images;
use super::merge::Messages;
use super::open_files::open_to_read;
use super::rows::{Acquisitions, Waveforms};
use super::table::Table;
use super::{BLOCK_BYTES, DEFAULT_GROUP};
use crate::sniff::{Format, sniff};
use crate::wire::Limits;
use crate::{Header, NdArray};

/// Groups within groups that are searched for scans.
const MAX_DEPTH: usize = 4;

/// One group of a file: a scan, or images.
#[derive(Clone)]
pub struct FileReader {
    group: Group,
    place: Place,
    limits: Limits,
    block_bytes: usize,
    /// Last, so that it is closed last.
    file: Arc<LockedFile>,
}

impl FileReader {
    /// Opens the group `dataset` of a file.
    ///
    /// # Errors
    /// Where the file cannot be opened, and [`FileError::NoGroup`], which lists the groups that
    /// the file has.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, FileError> {
        Self::open_group(path, DEFAULT_GROUP)
    }

    /// Opens a group of a file.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_group(path: impl AsRef<Path>, group: &str) -> Result<Self, FileError> {
        let path = path.as_ref();
        let file = open_file(path)?;
        let name = group.trim_matches('/');
        let found = if name.is_empty() { file.group("/") } else { file.group(name) };
        let group = found.map_err(|_| FileError::NoGroup {
            file: path.to_owned(),
            group: name.to_owned(),
            found: groups_of(&file),
        })?;
        Ok(Self {
            group,
            place: Place { file: path.to_owned(), object: name.to_owned() },
            limits: Limits::default(),
            block_bytes: BLOCK_BYTES,
            file,
        })
    }

    /// Paths of the groups of a file that hold a scan or images.
    ///
    /// # Errors
    /// Where the file cannot be opened.
    pub fn groups(path: impl AsRef<Path>) -> Result<Vec<String>, FileError> {
        let file = open_file(path.as_ref())?;
        Ok(groups_of(&file))
    }

    /// Refuses rows and images beyond these limits, which are those of the wire.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Holds so many bytes of samples at once, or one row where that is larger. 16 MiB by default.
    #[must_use]
    pub fn with_block_bytes(mut self, block_bytes: usize) -> Self {
        self.block_bytes = block_bytes;
        self
    }

    /// The XML header as it stands in the file, [`None`] where there is none.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn header_text(&self) -> Result<Option<String>, FileError> {
        self.text("xml")
    }

    /// The XML header, [`None`] where there is none.
    ///
    /// # Errors
    /// Where it cannot be read or is not a usable header.
    pub fn header(&self) -> Result<Option<Header>, FileError> {
        let Some(text) = self.header_text()? else { return Ok(None) };
        Header::from_xml(&text)
            .map(Some)
            .map_err(|source| FileError::Header { place: self.place.child("xml"), source })
    }

    /// A text of its own, e.g. `config`, `config_file` or `configAdditional` of a session that the
    /// Python server saved, [`None`] where there is none.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn text(&self, name: &str) -> Result<Option<String>, FileError> {
        super::text::read_text(&self.file, &self.group, &self.place, name)
    }

    /// Number of readouts.
    ///
    /// # Errors
    /// Where they cannot be opened.
    pub fn n_acquisitions(&self) -> Result<usize, FileError> {
        Ok(self.table(&["data"])?.map_or(0, |table| table.n_rows()))
    }

    /// Number of waveforms.
    ///
    /// # Errors
    /// Where they cannot be opened.
    pub fn n_waveforms(&self) -> Result<usize, FileError> {
        Ok(self.table(&["waveforms", "waveform"])?.map_or(0, |table| table.n_rows()))
    }

    /// The readouts in their order, none where the group has no `data`.
    ///
    /// Members that the file's headers lack have the value of [`crate::AcquisitionHeader::default`];
    /// without trajectories in the file their dimensions are 0.
    ///
    /// # Errors
    /// Where `data` does not hold readouts.
    pub fn acquisitions(&self) -> Result<Acquisitions, FileError> {
        Acquisitions::new(self.table(&["data"])?, &self.limits, self.block_bytes)
    }

    /// The waveforms in their order, none where the group has neither `waveforms` nor `waveform`.
    ///
    /// # Errors
    /// Where the dataset does not hold waveforms.
    pub fn waveforms(&self) -> Result<Waveforms, FileError> {
        let table = self.table(&["waveforms", "waveform"])?;
        Waveforms::new(table, &self.limits, self.block_bytes)
    }

    /// Readouts and waveforms, merged by their time stamps as Gadgetron's client sends them.
    ///
    /// # Errors
    /// As [`acquisitions`](Self::acquisitions) and [`waveforms`](Self::waveforms).
    pub fn messages(&self) -> Result<Messages, FileError> {
        Ok(Messages::new(self.acquisitions()?, self.waveforms()?))
    }

    /// Names of the groups of images, in alphabetic order.
    ///
    /// # Errors
    /// Those of the library.
    pub fn image_names(&self) -> Result<Vec<String>, FileError> {
        let names = self.group.member_names().map_err(|error| self.place.library("list", error))?;
        Ok(names.into_iter().filter(|name| holds_images(&self.group, name)).collect())
    }

    /// The images of a group of images, in their order.
    ///
    /// # Errors
    /// Where the group does not hold images.
    pub fn images(&self, name: &str) -> Result<Images, FileError> {
        Images::open(&self.file, &self.group, &self.place, name, &self.limits)
    }

    /// An array beside the scan, the one of this number from 0.
    ///
    /// # Errors
    /// Where there is none.
    pub fn array(&self, name: &str, index: usize) -> Result<NdArray, FileError> {
        super::arrays::read_array(&self.file, &self.group, &self.place, name, index, &self.limits)
    }

    /// The first of these that is there.
    fn table(&self, names: &[&str]) -> Result<Option<Table>, FileError> {
        for name in names {
            if let Some(table) = Table::open(&self.file, &self.group, &self.place, name)? {
                return Ok(Some(table));
            }
        }
        Ok(None)
    }
}

fn open_file(path: &Path) -> Result<Arc<LockedFile>, FileError> {
    let sniffed = sniff(path).map_err(|source| FileError::Io { file: path.to_owned(), source })?;
    let hint = match sniffed.format {
        Format::Hdf5 => return open_to_read(path),
        Format::MrdStream => "; it is an MRD stream",
        Format::Unknown => "",
    };
    Err(FileError::NotHdf5 { file: path.to_owned(), hint })
}

/// Whether `group` has a group of this name with images.
fn holds_images(group: &Group, name: &str) -> bool {
    group.group(name).is_ok_and(|group| group.link_exists("header") && group.link_exists("data"))
}

fn groups_of(file: &File) -> Vec<String> {
    let mut found = Vec::new();
    if let Ok(root) = file.group("/") {
        search(&root, "", 0, &mut found);
    }
    found
}

fn search(group: &Group, path: &str, depth: usize, found: &mut Vec<String>) {
    let Ok(names) = group.member_names() else { return };
    let is_scan = ["xml", "data", "waveforms", "waveform"]
        .iter()
        .any(|dataset| names.iter().any(|name| name == dataset) && group.dataset(dataset).is_ok());
    if is_scan || names.iter().any(|name| holds_images(group, name)) {
        found.push(if path.is_empty() { "/".to_owned() } else { path.to_owned() });
    }
    if depth == MAX_DEPTH {
        return;
    }
    for name in names.iter().filter(|name| !holds_images(group, name)) {
        if let Ok(inner) = group.group(name) {
            let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            search(&inner, &path, depth + 1, found);
        }
    }
}
