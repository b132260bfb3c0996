//! Images of one series, read one by one.

use std::sync::Arc;

use ::hdf5::{Group, H5Type};
use ndarray::{Ix4, s};

use super::error::{FileError, Place};
use super::file_lock::LockedFile;
use super::layout::{ImageHead, missing_members};
use super::pixels::{RI32, RI64, RealImag32, RealImag64, element_type, read_elements};
use super::table::Table;
use super::text::read_texts;
use crate::wire::Limits;
use crate::{DataType, Image, ImageHeader, Meta, Pixels};

/// The images of one series, in their order. See [`super::FileReader::images`].
pub struct Images {
    header: Table,
    /// All headers, where the file lacks some of their members.
    completed: Option<Vec<ImageHead>>,
    attributes: Option<Table>,
    data: Table,
    kind: (DataType, bool),
    n_images: usize,
    next: usize,
}

impl Images {
    pub(super) fn open(
        file: &Arc<LockedFile>,
        group: &Group,
        place: &Place,
        name: &str,
        limits: &Limits,
    ) -> Result<Self, FileError> {
        let place = place.child(name);
        let group = group.group(name).map_err(|error| place.library("open", error))?;
        let required = |name| match Table::open(file, &group, &place, name) {
            Ok(Some(table)) => Ok(table),
            Ok(None) => {
                Err(place.layout(format!("has no dataset `{name}`, so it holds no images")))
            }
            Err(error) => Err(error),
        };
        let header = required("header")?;
        let data = required("data")?;
        let attributes = Table::open(file, &group, &place, "attributes")?;
        let n_images = header.n_rows();

        let pixels = data.descriptor()?;
        let kind = element_type(&pixels).ok_or_else(|| {
            let found = super::layout::described(&pixels);
            data.place.layout(format!("pixels are {found}, which no image of the standard has"))
        })?;
        let shape = data.shape();
        if shape.len() != 5 || shape[0] != n_images {
            let what = format!(
                "has the shape {shape:?}, expected [{n_images}, channels, z, y, x] as there are \
                 {n_images} headers"
            );
            return Err(data.place.layout(what));
        }
        let n_pixels: u128 = shape[1..].iter().map(|n| *n as u128).product();
        limits
            .image()
            .check(n_pixels * kind.0.size_bytes() as u128)
            .map_err(|source| FileError::Limit { place: data.place.clone(), row: 0, source })?;
        if let Some(attributes) = attributes.as_ref().filter(|table| table.n_rows() != n_images) {
            let what = format!("has {} texts for {n_images} images", attributes.n_rows());
            return Err(attributes.place.layout(what));
        }

        let missing = missing_members(&header.descriptor()?, &ImageHead::type_descriptor())
            .map_err(|what| header.place.layout(what))?;
        let completed = match missing.is_empty() {
            true => None,
            false => Some(header.read_over(ImageHead::from(ImageHeader::default()))?),
        };
        Ok(Self { header, completed, attributes, data, kind, n_images, next: 0 })
    }

    /// Type of the pixels.
    pub fn data_type(&self) -> DataType {
        self.kind.0
    }

    /// The image of this number, from 0.
    ///
    /// # Errors
    /// Where there is none, and where it cannot be read.
    pub fn read(&self, index: usize) -> Result<Image, FileError> {
        if index >= self.n_images {
            let what = format!("there are {} images", self.n_images);
            return Err(self.data.place.row(index, what));
        }
        let header = match &self.completed {
            Some(all) => all[index].into(),
            None => {
                let head = self.header.read_rows::<ImageHead>(index..index + 1)?.pop();
                head.map(ImageHeader::from).unwrap_or_default()
            }
        };
        let text = match &self.attributes {
            Some(table) => read_texts(table, index..index + 1)?.pop().unwrap_or_default(),
            None => String::new(),
        };
        let meta = Meta::from_xml(&text).map_err(|source| {
            let place = self.attributes.as_ref().unwrap_or(&self.data).place.clone();
            FileError::Meta { place, row: index, source }
        })?;
        let pixels = read_elements!(self.data, s![index, .., .., .., ..], self.kind, Pixels, Ix4);
        Ok(Image::new(header, meta, pixels))
    }
}

impl Iterator for Images {
    type Item = Result<Image, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        let index = self.next;
        if index >= self.n_images {
            return None;
        }
        let image = self.read(index);
        self.next = if image.is_ok() { index + 1 } else { self.n_images };
        Some(image)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.n_images - self.next))
    }
}
