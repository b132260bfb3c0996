//! What goes into a network and comes out of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Types of the elements that networks may take and give.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ElementType {
    /// 32-bit float.
    #[default]
    F32,
    /// 64-bit float.
    F64,
    /// 8-bit unsigned integer.
    U8,
    /// 32-bit integer.
    I32,
    /// 64-bit integer.
    I64,
}

impl ElementType {
    /// The type with this number in ONNX's `TensorProto.DataType`, [`None`] for one that is not
    /// supported.
    pub fn from_onnx(code: u64) -> Option<Self> {
        Some(match code {
            1 => Self::F32,
            2 => Self::U8,
            6 => Self::I32,
            7 => Self::I64,
            11 => Self::F64,
            _ => return None,
        })
    }

    /// Its number in ONNX's `TensorProto.DataType`.
    pub fn onnx_code(self) -> u64 {
        match self {
            Self::F32 => 1,
            Self::U8 => 2,
            Self::I32 => 6,
            Self::I64 => 7,
            Self::F64 => 11,
        }
    }

    /// Bytes of one element.
    pub fn size_bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::F32 | Self::I32 => 4,
            Self::F64 | Self::I64 => 8,
        }
    }
}

/// Elements in the order of the axes, the last one contiguous.
#[derive(Clone, Debug, PartialEq)]
pub enum Elements {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// 64-bit floats.
    F64(Vec<f64>),
    /// 8-bit unsigned integers.
    U8(Vec<u8>),
    /// 32-bit integers.
    I32(Vec<i32>),
    /// 64-bit integers.
    I64(Vec<i64>),
}

macro_rules! for_all {
    ($elements:expr, $values:ident => $then:expr) => {
        match $elements {
            Elements::F32($values) => $then,
            Elements::F64($values) => $then,
            Elements::U8($values) => $then,
            Elements::I32($values) => $then,
            Elements::I64($values) => $then,
        }
    };
}
pub(crate) use for_all;

/// An array of any number of axes.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    elements: Elements,
}

/// Elements that do not fill the shape.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{n_elements} elements do not make an array of {shape:?}")]
pub struct ShapeError {
    shape: Vec<usize>,
    n_elements: usize,
}

/// Elements of an array of this shape; [`None`] beyond what can be counted.
pub fn n_elements(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |product, n| product.checked_mul(*n))
}

impl Tensor {
    /// An array of these elements.
    ///
    /// # Errors
    /// [`ShapeError`] where their number is not that of the shape.
    pub fn new(shape: &[usize], elements: Elements) -> Result<Self, ShapeError> {
        let len = for_all!(&elements, values => values.len());
        if n_elements(shape) != Some(len) {
            return Err(ShapeError { shape: shape.to_vec(), n_elements: len });
        }
        Ok(Self { shape: shape.to_vec(), elements })
    }

    /// An array of 32-bit floats.
    ///
    /// # Errors
    /// [`ShapeError`] where their number is not that of the shape.
    pub fn from_f32(shape: &[usize], values: Vec<f32>) -> Result<Self, ShapeError> {
        Self::new(shape, Elements::F32(values))
    }

    /// One number without axes.
    pub fn scalar(value: f32) -> Self {
        Self { shape: Vec::new(), elements: Elements::F32(vec![value]) }
    }

    /// Lengths of the axes.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements.
    pub fn elements(&self) -> &Elements {
        &self.elements
    }

    /// Type of the elements.
    pub fn element_type(&self) -> ElementType {
        match self.elements {
            Elements::F32(_) => ElementType::F32,
            Elements::F64(_) => ElementType::F64,
            Elements::U8(_) => ElementType::U8,
            Elements::I32(_) => ElementType::I32,
            Elements::I64(_) => ElementType::I64,
        }
    }

    /// The elements if they are 32-bit floats.
    pub fn as_f32(&self) -> Option<&[f32]> {
        match &self.elements {
            Elements::F32(values) => Some(values),
            _ => None,
        }
    }

    /// The elements as 32-bit floats, whatever they are: where they lie if they are.
    pub fn as_floats(&self) -> std::borrow::Cow<'_, [f32]> {
        match self.as_f32() {
            Some(values) => values.into(),
            None => self.to_f32().into(),
        }
    }

    /// The elements as 32-bit floats, whatever they are.
    pub fn to_f32(&self) -> Vec<f32> {
        match &self.elements {
            Elements::F32(values) => values.clone(),
            Elements::F64(values) => values.iter().map(|value| *value as f32).collect(),
            Elements::U8(values) => values.iter().map(|value| f32::from(*value)).collect(),
            Elements::I32(values) => values.iter().map(|value| *value as f32).collect(),
            Elements::I64(values) => values.iter().map(|value| *value as f32).collect(),
        }
    }

    /// The same elements as another type, rounded where it is one of integers.
    pub fn cast(self, to: ElementType) -> Self {
        if self.element_type() == to {
            return self;
        }
        let values = self.to_f32();
        let elements = match to {
            ElementType::F32 => Elements::F32(values),
            ElementType::F64 => Elements::F64(values.into_iter().map(f64::from).collect()),
            ElementType::U8 => {
                Elements::U8(values.iter().map(|value| value.round() as u8).collect())
            }
            ElementType::I32 => {
                Elements::I32(values.iter().map(|value| value.round() as i32).collect())
            }
            ElementType::I64 => {
                Elements::I64(values.iter().map(|value| value.round() as i64).collect())
            }
        };
        Self { shape: self.shape, elements }
    }

    /// Bytes of the elements, in this machine's order.
    pub fn bytes(&self) -> &[u8] {
        for_all!(&self.elements, values => bytemuck::cast_slice(values))
    }

    /// An array of zeros.
    ///
    /// # Errors
    /// [`ShapeError`] for more elements than can be counted.
    pub fn zeros(kind: ElementType, shape: &[usize]) -> Result<Self, ShapeError> {
        let counted = n_elements(shape).filter(|n| n.checked_mul(kind.size_bytes()).is_some());
        let n = counted.ok_or_else(|| ShapeError { shape: shape.to_vec(), n_elements: 0 })?;
        let elements = match kind {
            ElementType::F32 => Elements::F32(vec![0.0; n]),
            ElementType::F64 => Elements::F64(vec![0.0; n]),
            ElementType::U8 => Elements::U8(vec![0; n]),
            ElementType::I32 => Elements::I32(vec![0; n]),
            ElementType::I64 => Elements::I64(vec![0; n]),
        };
        Ok(Self { shape: shape.to_vec(), elements })
    }

    /// Bytes of the elements, to be written to.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        for_all!(&mut self.elements, values => bytemuck::cast_slice_mut(values))
    }

    /// An array from the bytes of its elements, in this machine's order.
    ///
    /// # Errors
    /// [`ShapeError`] where their number is not that of the shape.
    pub fn from_bytes(
        kind: ElementType,
        shape: &[usize],
        bytes: &[u8],
    ) -> Result<Self, ShapeError> {
        let size = kind.size_bytes();
        if n_elements(shape).and_then(|n| n.checked_mul(size)) != Some(bytes.len()) {
            return Err(ShapeError { shape: shape.to_vec(), n_elements: bytes.len() / size });
        }
        // Copies, so that the bytes may lie anywhere.
        let elements = match kind {
            ElementType::F32 => Elements::F32(bytemuck::pod_collect_to_vec(bytes)),
            ElementType::F64 => Elements::F64(bytemuck::pod_collect_to_vec(bytes)),
            ElementType::U8 => Elements::U8(bytes.to_vec()),
            ElementType::I32 => Elements::I32(bytemuck::pod_collect_to_vec(bytes)),
            ElementType::I64 => Elements::I64(bytemuck::pod_collect_to_vec(bytes)),
        };
        Ok(Self { shape: shape.to_vec(), elements })
    }

    /// Joins arrays of one shape along the first axis; [`None`] where they differ in type or in
    /// the other axes, or where there is none.
    pub fn stack(tensors: &[&Self]) -> Option<Self> {
        let first = *tensors.first()?;
        let rest = first.shape.get(1..)?;
        let is_alike = |other: &&Self| {
            other.element_type() == first.element_type() && other.shape.get(1..) == Some(rest)
        };
        if !tensors.iter().all(is_alike) {
            return None;
        }
        let mut shape = first.shape.clone();
        shape[0] = tensors.iter().map(|tensor| tensor.shape[0]).sum();
        let mut bytes = Vec::with_capacity(tensors.iter().map(|tensor| tensor.bytes().len()).sum());
        tensors.iter().for_each(|tensor| bytes.extend_from_slice(tensor.bytes()));
        Self::from_bytes(first.element_type(), &shape, &bytes).ok()
    }

    /// Elements `start` to `end` along the first axis; [`None`] beyond its length.
    pub fn part(&self, start: usize, end: usize) -> Option<Self> {
        let len = *self.shape.first()?;
        if start > end || end > len || len == 0 {
            return None;
        }
        let each = self.bytes().len() / len;
        let mut shape = self.shape.clone();
        shape[0] = end - start;
        let bytes = self.bytes().get(start * each..end * each)?;
        Self::from_bytes(self.element_type(), &shape, bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacked_arrays_come_apart_again() {
        let part =
            |start: f32| Tensor::from_f32(&[1, 2], vec![start, start + 1.0]).expect("two elements");
        let (a, b) = (part(0.0), part(10.0));
        let both = Tensor::stack(&[&a, &b]).expect("alike");
        assert_eq!(both.shape(), [2, 2]);
        assert_eq!(both.part(1, 2), Some(b.clone()));
        assert_eq!(both.part(1, 3), None);
        let other = Tensor::from_f32(&[1, 3], vec![0.0; 3]).expect("three elements");
        assert_eq!(Tensor::stack(&[&a, &other]), None);
        assert_eq!(Tensor::stack(&[]), None);
    }

    #[test]
    fn a_shape_that_the_elements_do_not_fill_is_refused() {
        assert!(Tensor::from_f32(&[2, 2], vec![0.0; 3]).is_err());
        assert!(Tensor::from_bytes(ElementType::I64, &[usize::MAX, 2], &[0; 8]).is_err());
        let long = Tensor::from_bytes(ElementType::I64, &[1], &7_i64.to_ne_bytes()).expect("fits");
        assert_eq!(long.to_f32(), [7.0]);
        assert_eq!(long.cast(ElementType::U8).elements(), &Elements::U8(vec![7]));
    }
}
