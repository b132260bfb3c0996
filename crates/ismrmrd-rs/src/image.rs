//! One image: its header, meta attributes and pixels of any of the eight types.

use ndarray::{Array4, ArrayView4};
use num_complex::{Complex32, Complex64};

use crate::{ImageHeader, Meta};

/// One image of one series.
///
/// The header's matrix, channels, data type and attribute length are set from `pixels` and
/// `meta` when it is written; [`Image::new`] keeps the former equal from the start.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// Geometry, counters and times.
    pub header: ImageHeader,
    /// Meta attributes.
    pub meta: Meta,
    /// Pixels: `[channel, z, y, x]`.
    pub pixels: Pixels,
}

impl Image {
    /// An image whose header has the matrix, channels and data type of `pixels`.
    /// Sizes beyond 65535 do not fit the header and are refused when it is written.
    pub fn new(header: ImageHeader, meta: Meta, pixels: impl Into<Pixels>) -> Self {
        let mut image = Self { header, meta, pixels: pixels.into() };
        image.update_header();
        image
    }

    /// Sets the header's matrix, channels and data type from the pixels.
    pub fn update_header(&mut self) {
        let [channels, z, y, x] = self.pixels.shape().map(|n| u16::try_from(n).unwrap_or(u16::MAX));
        self.header.matrix_size = [x, y, z];
        self.header.channels = channels;
        self.header.data_type = self.pixels.data_type() as u16;
    }

    /// The kind of image, [`None`] where the header has a code that is not in the standard (0 too).
    pub fn image_type(&self) -> Option<ImageType> {
        ImageType::from_code(self.header.image_type)
    }
}

/// What the pixels of an image stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum ImageType {
    /// Magnitude.
    Magnitude = 1,
    /// Phase.
    Phase = 2,
    /// Real part.
    Real = 3,
    /// Imaginary part.
    Imag = 4,
    /// Complex.
    Complex = 5,
    /// Red, green, blue as three channels of 0 to 255.
    Rgb = 6,
}

impl ImageType {
    /// The type with this code in [`ImageHeader::image_type`].
    pub fn from_code(code: u16) -> Option<Self> {
        Some(match code {
            1 => Self::Magnitude,
            2 => Self::Phase,
            3 => Self::Real,
            4 => Self::Imag,
            5 => Self::Complex,
            6 => Self::Rgb,
            _ => return None,
        })
    }
}

macro_rules! pixel_types {
    ($($(#[$doc:meta])* $variant:ident($type:ty) = $code:literal,)*) => {
        /// Type of the pixels of an image.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum DataType {
            $($(#[$doc])* $variant = $code,)*
        }

        impl DataType {
            /// All eight types.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The type with this code in [`ImageHeader::data_type`].
            pub fn from_code(code: u16) -> Option<Self> {
                Self::ALL.iter().copied().find(|kind| *kind as u16 == code)
            }

            /// Bytes of one pixel.
            pub const fn size_bytes(self) -> usize {
                match self {
                    $(Self::$variant => size_of::<$type>(),)*
                }
            }
        }

        /// Pixels of one image: `[channel, z, y, x]`.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Pixels {
            $($(#[$doc])* $variant(Array4<$type>),)*
        }

        impl Pixels {
            /// Type of the pixels.
            pub const fn data_type(&self) -> DataType {
                match self {
                    $(Self::$variant(_) => DataType::$variant,)*
                }
            }

            /// Copies the pixels into others, whose memory is used where type and size allow.
            pub fn copy_into(&self, copy: &mut Self) {
                match (self, copy) {
                    $((Self::$variant(pixels), Self::$variant(copy)) => copy.clone_from(pixels),)*
                    (pixels, copy) => *copy = pixels.clone(),
                }
            }

            /// `[channels, z, y, x]`.
            pub fn shape(&self) -> [usize; 4] {
                let (channels, z, y, x) = match self {
                    $(Self::$variant(pixels) => pixels.dim(),)*
                };
                [channels, z, y, x]
            }
        }

        $(impl From<Array4<$type>> for Pixels {
            fn from(pixels: Array4<$type>) -> Self {
                Self::$variant(pixels)
            }
        })*
    };
}

pixel_types! {
    /// 16-bit unsigned integer.
    U16(u16) = 1,
    /// 16-bit signed integer.
    I16(i16) = 2,
    /// 32-bit unsigned integer.
    U32(u32) = 3,
    /// 32-bit signed integer. Python's ismrmrd package misreads it.
    I32(i32) = 4,
    /// 32-bit float.
    F32(f32) = 5,
    /// 64-bit float.
    F64(f64) = 6,
    /// Complex of two 32-bit floats.
    C32(Complex32) = 7,
    /// Complex of two 64-bit floats.
    C64(Complex64) = 8,
}

impl Pixels {
    /// The pixels if they are complex 32-bit floats.
    pub fn as_c32(&self) -> Option<ArrayView4<'_, Complex32>> {
        match self {
            Self::C32(pixels) => Some(pixels.view()),
            _ => None,
        }
    }

    /// The pixels as 32-bit floats for display or comparison: the magnitude of complex ones.
    pub fn to_magnitude(&self) -> Array4<f32> {
        match self {
            Self::U16(pixels) => pixels.mapv(f32::from),
            Self::I16(pixels) => pixels.mapv(f32::from),
            Self::U32(pixels) => pixels.mapv(|value| value as f32),
            Self::I32(pixels) => pixels.mapv(|value| value as f32),
            Self::F32(pixels) => pixels.clone(),
            Self::F64(pixels) => pixels.mapv(|value| value as f32),
            Self::C32(pixels) => pixels.mapv(|value| value.norm()),
            Self::C64(pixels) => pixels.mapv(|value| value.norm() as f32),
        }
    }
}
