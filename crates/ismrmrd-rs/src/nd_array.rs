//! An array of any shape and of any of the eight element types.

use ndarray::ArrayD;
use num_complex::{Complex32, Complex64};

use crate::DataType;

macro_rules! nd_array {
    ($($variant:ident($type:ty),)*) => {
        /// An array of any shape. The last axis is contiguous.
        #[derive(Clone, Debug, PartialEq)]
        pub enum NdArray {
            $(
                #[doc = concat!("Elements of type `", stringify!($type), "`.")]
                $variant(ArrayD<$type>),
            )*
        }

        impl NdArray {
            /// Type of the elements.
            pub const fn data_type(&self) -> DataType {
                match self {
                    $(Self::$variant(_) => DataType::$variant,)*
                }
            }

            /// Lengths of the axes, slowest first.
            pub fn shape(&self) -> &[usize] {
                match self {
                    $(Self::$variant(array) => array.shape(),)*
                }
            }
        }

        $(impl From<ArrayD<$type>> for NdArray {
            fn from(array: ArrayD<$type>) -> Self {
                Self::$variant(array)
            }
        })*
    };
}

nd_array! {
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    F64(f64),
    C32(Complex32),
    C64(Complex64),
}
