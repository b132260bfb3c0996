//! The arrays of a set.

use ndarray::{Array, Dimension};
use num_complex::Complex32;

/// What an array holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// One byte, 0 or 1.
    Bool,
    /// Two bytes.
    U16,
    /// Four bytes.
    F32,
    /// Twice four bytes: real and imaginary part.
    Complex32,
}

impl Element {
    /// Bytes of one.
    pub fn n_bytes(self) -> usize {
        match self {
            Self::Bool => 1,
            Self::U16 => 2,
            Self::F32 => 4,
            Self::Complex32 => 8,
        }
    }
}

/// One array of a set, without its slowest axis, the case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrayDescription {
    /// What it is called.
    pub name: &'static str,
    /// What it holds.
    pub element: Element,
    /// Length of each axis but the case, slowest first; none for one number per case.
    pub shape: Vec<usize>,
    /// Names of these axes.
    pub axes: Vec<&'static str>,
    /// Unit of the numbers; empty where there is none.
    pub unit: &'static str,
    /// What the numbers mean.
    pub meaning: String,
}

impl ArrayDescription {
    /// Elements of one case.
    pub fn n_elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Bytes of one case.
    pub fn n_bytes(&self) -> usize {
        self.n_elements() * self.element.n_bytes()
    }

    /// One number per case.
    pub(super) fn scalar(
        name: &'static str,
        element: Element,
        unit: &'static str,
        meaning: impl Into<String>,
    ) -> Self {
        let (shape, axes) = (Vec::new(), Vec::new());
        Self { name, element, shape, axes, unit, meaning: meaning.into() }
    }

    /// An array with axes.
    pub(super) fn array<const N: usize>(
        name: &'static str,
        element: Element,
        axes: [(&'static str, usize); N],
        unit: &'static str,
        meaning: impl Into<String>,
    ) -> Self {
        let shape = axes.iter().map(|(_, length)| *length).collect();
        let axes = axes.iter().map(|(axis, _)| *axis).collect();
        Self { name, element, shape, axes, unit, meaning: meaning.into() }
    }
}

/// The numbers of an array, slowest axis first, without gaps.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// [`Element::Bool`].
    Bool(Vec<bool>),
    /// [`Element::U16`].
    U16(Vec<u16>),
    /// [`Element::F32`].
    F32(Vec<f32>),
    /// [`Element::Complex32`].
    Complex32(Vec<Complex32>),
}

impl Values {
    /// What it holds.
    pub fn element(&self) -> Element {
        match self {
            Self::Bool(_) => Element::Bool,
            Self::U16(_) => Element::U16,
            Self::F32(_) => Element::F32,
            Self::Complex32(_) => Element::Complex32,
        }
    }

    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Self::Bool(values) => values.len(),
            Self::U16(values) => values.len(),
            Self::F32(values) => values.len(),
            Self::Complex32(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends the first `n_elements` to `bytes`, the lowest byte of each number first.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn extend_le_bytes(&self, n_elements: usize, bytes: &mut Vec<u8>) {
        let start = bytes.len();
        bytes.resize(start + n_elements * self.element().n_bytes(), 0);
        let target = &mut bytes[start..];
        match self {
            Self::Bool(values) => {
                for (byte, value) in target.iter_mut().zip(&values[..n_elements]) {
                    *byte = u8::from(*value);
                }
            }
            Self::U16(values) => {
                for (place, value) in target.chunks_exact_mut(2).zip(&values[..n_elements]) {
                    place.copy_from_slice(&value.to_le_bytes());
                }
            }
            Self::F32(values) => {
                for (place, value) in target.chunks_exact_mut(4).zip(&values[..n_elements]) {
                    place.copy_from_slice(&value.to_le_bytes());
                }
            }
            Self::Complex32(values) => {
                for (place, value) in target.chunks_exact_mut(8).zip(&values[..n_elements]) {
                    place[..4].copy_from_slice(&value.re.to_le_bytes());
                    place[4..].copy_from_slice(&value.im.to_le_bytes());
                }
            }
        }
    }
}

/// Takes the numbers of an array in the order of its axes.
pub(super) fn flat<T: Clone, D: Dimension>(array: Array<T, D>) -> Vec<T> {
    if array.is_standard_layout() && array.len() == array.as_slice().map_or(0, <[T]>::len) {
        let (values, offset) = array.into_raw_vec_and_offset();
        debug_assert_eq!(offset.unwrap_or(0), 0, "a whole array");
        values
    } else {
        array.iter().cloned().collect()
    }
}

/// One number of a case, in single precision.
pub(super) fn number(value: f64) -> Values {
    Values::F32(vec![value as f32])
}

/// Numbers of a case, in single precision.
pub(super) fn numbers(values: impl IntoIterator<Item = f64>) -> Values {
    Values::F32(values.into_iter().map(|value| value as f32).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_lowest_byte_first() {
        let mut bytes = vec![7];
        Values::U16(vec![0x0102, 9]).extend_le_bytes(1, &mut bytes);
        Values::Bool(vec![true, false]).extend_le_bytes(2, &mut bytes);
        Values::F32(vec![1.0]).extend_le_bytes(1, &mut bytes);
        Values::Complex32(vec![Complex32::new(0.0, -2.0)]).extend_le_bytes(1, &mut bytes);
        assert_eq!(bytes, [7, 2, 1, 1, 0, 0, 0, 0x80, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0xc0]);
    }
}
