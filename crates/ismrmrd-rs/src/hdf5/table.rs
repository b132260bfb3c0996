//! A dataset of a file with its place, for error messages.

use std::ops::Range;
use std::sync::Arc;

use ::hdf5::types::TypeDescriptor;
use ::hdf5::{Dataset, Group, H5Type};

use super::error::{FileError, Place};
use super::file_lock::LockedFile;

/// A dataset and where it lies.
#[derive(Clone)]
pub(super) struct Table {
    pub dataset: Dataset,
    pub place: Place,
    /// Stays open until the dataset is closed.
    _file: Arc<LockedFile>,
}

impl Table {
    /// The dataset of this name in `group`, [`None`] if there is none.
    pub fn open(
        file: &Arc<LockedFile>,
        group: &Group,
        place: &Place,
        name: &str,
    ) -> Result<Option<Self>, FileError> {
        if !group.link_exists(name) {
            return Ok(None);
        }
        let place = place.child(name);
        let dataset = group.dataset(name).map_err(|error| place.library("open", error))?;
        Ok(Some(Self { dataset, place, _file: file.clone() }))
    }

    /// Lengths of the axes.
    pub fn shape(&self) -> Vec<usize> {
        self.dataset.shape()
    }

    /// Number of rows: length of the first axis, 1 for a single value.
    pub fn n_rows(&self) -> usize {
        self.shape().first().copied().unwrap_or(1)
    }

    /// Type of the elements in the file.
    pub fn descriptor(&self) -> Result<TypeDescriptor, FileError> {
        self.dataset
            .dtype()
            .and_then(|dtype| dtype.to_descriptor())
            .map_err(|error| self.place.layout(format!("not a type of the standard ({error})")))
    }

    /// Some rows of a dataset with one axis, or its only value.
    ///
    /// The memory is not cleared before: `T` must have no member that the file lacks.
    pub fn read_rows<T: H5Type>(&self, rows: Range<usize>) -> Result<Vec<T>, FileError> {
        let read = if self.dataset.is_scalar() {
            self.dataset.read_raw()
        } else {
            let rows = self.dataset.read_slice_1d::<T, _>(rows);
            rows.map(|rows| rows.into_raw_vec_and_offset().0)
        };
        read.map_err(|error| self.place.library("read", error))
    }

    /// All rows over `fresh` ones: members that the file lacks stay as they are.
    pub fn read_over<T: H5Type + Copy>(&self, fresh: T) -> Result<Vec<T>, FileError> {
        let mut rows = vec![fresh; self.n_rows()];
        self.dataset.read_into_raw(&mut rows).map_err(|error| self.place.library("read", error))?;
        Ok(rows)
    }
}

impl Place {
    pub(super) fn child(&self, name: &str) -> Self {
        let object = match self.object.as_str() {
            "" => name.to_owned(),
            parent => format!("{parent}/{name}"),
        };
        Self { file: self.file.clone(), object }
    }

    pub(super) fn library(&self, doing: &'static str, source: ::hdf5::Error) -> FileError {
        FileError::Library { place: self.clone(), doing, source: Box::new(source) }
    }

    pub(super) fn layout(&self, what: String) -> FileError {
        FileError::Layout { place: self.clone(), what }
    }

    pub(super) fn row(&self, row: usize, what: String) -> FileError {
        FileError::Row { place: self.clone(), row, what }
    }
}
