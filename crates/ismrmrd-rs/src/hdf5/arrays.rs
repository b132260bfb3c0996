//! Arrays of any shape beside the scan, several of one name after the other.

use std::sync::Arc;

use ::hdf5::{Extent, Group, Hyperslab, SliceOrIndex};
use ndarray::IxDyn;

use super::error::{FileError, Place};
use super::file_lock::LockedFile;
use super::pixels::{
    RI32, RI64, RealImag32, RealImag64, element_type, read_elements, stored_type, with_stored,
};
use super::table::Table;
use crate::wire::Limits;
use crate::{DataType, NdArray};

/// The array of this number, from 0.
pub(super) fn read_array(
    file: &Arc<LockedFile>,
    group: &Group,
    place: &Place,
    name: &str,
    index: usize,
    limits: &Limits,
) -> Result<NdArray, FileError> {
    let Some(table) = Table::open(file, group, place, name)? else {
        return Err(place.layout(format!("has no array `{name}`")));
    };
    let shape = table.shape();
    if shape.is_empty() || index >= shape[0] {
        return Err(table.place.row(index, format!("there are {} arrays", table.n_rows())));
    }
    let elements = table.descriptor()?;
    let kind = element_type(&elements).ok_or_else(|| {
        table.place.layout(format!("elements are {}", super::layout::described(&elements)))
    })?;
    let n_elements: u128 = shape[1..].iter().map(|n| *n as u128).product();
    limits
        .array()
        .check(n_elements * kind.0.size_bytes() as u128)
        .map_err(|source| FileError::Limit { place: table.place.clone(), row: index, source })?;
    Ok(read_elements!(table, one(index, shape.len()), kind, NdArray, IxDyn))
}

/// Adds an array behind those of the same name, shape and type.
pub(super) fn append_array(
    group: &Group,
    place: &Place,
    name: &str,
    array: &NdArray,
) -> Result<(), FileError> {
    let shape = array.shape();
    let place = place.child(name);
    let write = || -> ::hdf5::Result<()> {
        let dataset = if group.link_exists(name) {
            group.dataset(name)?
        } else {
            let mut extents = vec![Extent::resizable(0)];
            extents.extend(shape.iter().map(|n| Extent::fixed(*n)));
            let mut chunk = vec![1];
            chunk.extend(shape.iter().map(|n| (*n).max(1)));
            group
                .new_dataset_builder()
                .chunk(chunk)
                .empty_as(stored_type(array.data_type()))
                .shape(extents)
                .create(name)?
        };
        let mut extents = dataset.shape();
        if extents.get(1..) != Some(shape) {
            return Err(
                format!("arrays there have the shape {:?}, not {shape:?}", &extents[1..]).into()
            );
        }
        let index = extents[0];
        extents[0] += 1;
        dataset.resize(extents)?;
        with_stored!(NdArray, array, |view| dataset.write_slice(view, one(index, shape.len() + 1)))
    };
    write().map_err(|error| place.library("append", error))
}

/// One place along the first of some axes.
pub(super) fn one(index: usize, n_axes: usize) -> Hyperslab {
    let mut axes = vec![SliceOrIndex::Index(index)];
    axes.resize(n_axes, (..).into());
    Hyperslab::from(axes)
}
