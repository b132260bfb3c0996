//! Images of one series, written one by one.

use ::hdf5::types::{TypeDescriptor, VarLenAscii, VarLenUnicode};
use ::hdf5::{Dataset, Extent, Group, H5Type};
use ndarray::s;

use super::error::{FileError, Place};
use super::layout::ImageHead;
use super::pixels::{RealImag32, RealImag64, element_type, stored_type, with_stored};
use super::text::Stored;
use crate::wire::image_header;
use crate::{DataType, Image, Pixels};

/// The datasets of one series. All its images have the same shape and type.
pub(super) struct SeriesWriter {
    place: Place,
    header: Dataset,
    attributes: Dataset,
    data: Dataset,
    shape: [usize; 4],
    kind: DataType,
    n_images: usize,
}

impl SeriesWriter {
    /// Opens the series of this name, or creates it for images like `image`.
    pub fn open(
        group: &Group,
        place: &Place,
        name: &str,
        image: &Image,
    ) -> Result<Self, FileError> {
        let place = place.child(name);
        let open = || -> ::hdf5::Result<Self> {
            let (shape, kind) = (image.pixels.shape(), image.pixels.data_type());
            if !group.link_exists(name) {
                return Self::create(&group.create_group(name)?, place.clone(), shape, kind);
            }
            let group = group.group(name)?;
            let data = group.dataset("data")?;
            let [n_images, n_channels, z, y, x] = data.shape()[..] else {
                return Err("the images there do not have five axes".into());
            };
            let (kind, _) = element_type(&data.dtype()?.to_descriptor()?)
                .ok_or("the pixels there are of no type of the standard")?;
            Ok(Self {
                place: place.clone(),
                header: group.dataset("header")?,
                attributes: group.dataset("attributes")?,
                data,
                shape: [n_channels, z, y, x],
                kind,
                n_images,
            })
        };
        open().map_err(|error| place.library("open", error))
    }

    fn create(
        group: &Group,
        place: Place,
        shape: [usize; 4],
        kind: DataType,
    ) -> ::hdf5::Result<Self> {
        let header = group
            .new_dataset_builder()
            .packed(true)
            .chunk(1)
            .empty_as(ImageHead::type_descriptor())
            .shape(0..)
            .create("header")?;
        let attributes = group
            .new_dataset_builder()
            .chunk(1)
            .empty_as(TypeDescriptor::VarLenAscii)
            .shape(0..)
            .create("attributes")?;
        let mut extents = vec![Extent::resizable(0)];
        extents.extend(shape.map(Extent::fixed));
        let mut chunk = vec![1];
        chunk.extend(shape.map(|n| n.max(1)));
        let data = group
            .new_dataset_builder()
            .chunk(chunk)
            .empty_as(stored_type(kind))
            .shape(extents)
            .create("data")?;
        Ok(Self { place, header, attributes, data, shape, kind, n_images: 0 })
    }

    /// Whether `image` can be added.
    pub fn takes(&self, image: &Image) -> bool {
        self.shape == image.pixels.shape() && self.kind == image.pixels.data_type()
    }

    /// Adds an image that the series [takes](Self::takes).
    pub fn append(&mut self, image: &Image) -> Result<(), FileError> {
        let text = Stored::xml(&image.meta.to_xml());
        let header = image_header(image, text.n_bytes())
            .map_err(|source| FileError::Encode { place: self.place.clone(), source })?;
        let index = self.n_images;
        let write = || -> ::hdf5::Result<()> {
            let rows = index..index + 1;
            let [n_channels, z, y, x] = self.shape;
            self.data.resize((index + 1, n_channels, z, y, x))?;
            with_stored!(Pixels, &image.pixels, |view| self
                .data
                .write_slice(view, s![index, .., .., .., ..]))?;
            self.attributes.resize(index + 1)?;
            match text {
                Stored::Ascii(ref text) => self.attributes.write_slice::<_, VarLenAscii, _, _>(
                    std::slice::from_ref(text),
                    rows.clone(),
                )?,
                Stored::Unicode(ref text) => {
                    self.attributes.write_slice::<_, VarLenUnicode, _, _>(
                        std::slice::from_ref(text),
                        rows.clone(),
                    )?
                }
            }
            // Last, so that a header means a whole image.
            self.header.resize(index + 1)?;
            self.header.write_slice(&[ImageHead::from(header)], rows)
        };
        write().map_err(|error| self.place.library("append", error))?;
        self.n_images += 1;
        Ok(())
    }
}
