//! Element types of images and arrays.

use ::hdf5::H5Type;
use ::hdf5::types::{FloatSize, IntSize, TypeDescriptor};
use bytemuck::{Pod, Zeroable};

use crate::DataType;

/// Declares a complex number under the names that a program gives its parts.
macro_rules! complex {
    ($($name:ident of $type:ty: $real:ident, $imag:ident;)*) => {
        $(
            #[derive(Clone, Copy, H5Type, Pod, Zeroable)]
            #[repr(C)]
            pub(super) struct $name {
                pub $real: $type,
                pub $imag: $type,
            }
        )*
    };
}

complex! {
    RealImag32 of f32: real, imag;
    RealImag64 of f64: real, imag;
    RI32 of f32: r, i;
    RI64 of f64: r, i;
}

/// Type of the elements in a file, and whether the parts of complex ones are called `r` and `i`
/// as h5py does of its own accord.
pub(super) fn element_type(file: &TypeDescriptor) -> Option<(DataType, bool)> {
    use TypeDescriptor::{Compound, Float, Integer, Unsigned};
    let kind = match file {
        Unsigned(IntSize::U1 | IntSize::U2) => DataType::U16,
        Unsigned(IntSize::U4) => DataType::U32,
        Integer(IntSize::U1 | IntSize::U2) => DataType::I16,
        // Python's package stores 32-bit images as 64-bit ones.
        Integer(IntSize::U4 | IntSize::U8) => DataType::I32,
        Float(FloatSize::U4) => DataType::F32,
        Float(FloatSize::U8) => DataType::F64,
        Compound(parts) => {
            let [first, second] = parts.fields.as_slice() else { return None };
            let short = match (first.name.as_str(), second.name.as_str()) {
                ("real", "imag") => false,
                ("r", "i") => true,
                _ => return None,
            };
            let kind = match (&first.ty, &second.ty) {
                (Float(FloatSize::U4), Float(FloatSize::U4)) => DataType::C32,
                (Float(FloatSize::U8), Float(FloatSize::U8)) => DataType::C64,
                _ => return None,
            };
            return Some((kind, short));
        }
        _ => return None,
    };
    Some((kind, false))
}

/// Reads a selection of a dataset into a variant of [`crate::Pixels`] or [`crate::NdArray`].
macro_rules! read_elements {
    ($table:expr, $selection:expr, $kind:expr, $enum:ident, $dimension:ty) => {{
        let (kind, short) = $kind;
        let dataset = &$table.dataset;
        let failed = |error| $table.place.library("read", error);
        macro_rules! plain {
            ($variant:ident, $type:ty) => {
                $enum::$variant(
                    dataset.read_slice::<$type, _, $dimension>($selection).map_err(failed)?,
                )
            };
        }
        macro_rules! complex {
            ($variant:ident, $type:ty) => {{
                let array =
                    dataset.read_slice::<$type, _, $dimension>($selection).map_err(failed)?;
                let shape = array.raw_dim();
                let values = bytemuck::allocation::cast_vec(array.into_raw_vec_and_offset().0);
                let array = ndarray::Array::from_shape_vec(shape, values);
                $enum::$variant(array.map_err(|error| $table.place.layout(error.to_string()))?)
            }};
        }
        match (kind, short) {
            (DataType::U16, _) => plain!(U16, u16),
            (DataType::I16, _) => plain!(I16, i16),
            (DataType::U32, _) => plain!(U32, u32),
            (DataType::I32, _) => plain!(I32, i32),
            (DataType::F32, _) => plain!(F32, f32),
            (DataType::F64, _) => plain!(F64, f64),
            (DataType::C32, false) => complex!(C32, RealImag32),
            (DataType::C32, true) => complex!(C32, RI32),
            (DataType::C64, false) => complex!(C64, RealImag64),
            (DataType::C64, true) => complex!(C64, RI64),
        }
    }};
}

/// What the C++ library stores elements of a type as.
pub(super) fn stored_type(kind: DataType) -> TypeDescriptor {
    match kind {
        DataType::U16 => u16::type_descriptor(),
        DataType::I16 => i16::type_descriptor(),
        DataType::U32 => u32::type_descriptor(),
        DataType::I32 => i32::type_descriptor(),
        DataType::F32 => f32::type_descriptor(),
        DataType::F64 => f64::type_descriptor(),
        DataType::C32 => RealImag32::type_descriptor(),
        DataType::C64 => RealImag64::type_descriptor(),
    }
}

/// Runs `$write` with a view of the elements as they are stored: `$array` is an array of a
/// variant of [`crate::Pixels`] or [`crate::NdArray`], in standard layout.
macro_rules! with_stored {
    ($enum:ident, $value:expr, |$view:ident| $write:expr) => {{
        macro_rules! plain {
            ($array:ident) => {{
                let standard = $array.as_standard_layout();
                let $view = standard.view();
                $write
            }};
        }
        macro_rules! complex {
            ($array:ident, $type:ty) => {{
                let standard = $array.as_standard_layout();
                // In standard layout there is a slice.
                let values: &[$type] =
                    bytemuck::cast_slice(standard.as_slice().unwrap_or_default());
                match ndarray::ArrayView::from_shape(standard.raw_dim(), values) {
                    Ok($view) => $write,
                    Err(error) => Err(error.into()),
                }
            }};
        }
        match $value {
            $enum::U16(array) => plain!(array),
            $enum::I16(array) => plain!(array),
            $enum::U32(array) => plain!(array),
            $enum::I32(array) => plain!(array),
            $enum::F32(array) => plain!(array),
            $enum::F64(array) => plain!(array),
            $enum::C32(array) => complex!(array, RealImag32),
            $enum::C64(array) => complex!(array, RealImag64),
        }
    }};
}

pub(super) use {read_elements, with_stored};
