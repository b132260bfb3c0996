//! The true values of an image, as clients of the control plane get them.

use ismrmrd::{Image, Pixels};
use ndarray::Array4;
use num_complex::Complex32;
use pipeline::image_facts::{rescale, stored_zero_is_none};

use crate::proto::{self, ElementType};

/// What kind of numbers the values of an image are.
pub(crate) fn element_type(pixels: &Pixels) -> ElementType {
    match pixels {
        Pixels::C32(_) | Pixels::C64(_) => ElementType::Complex64,
        _ => ElementType::Float32,
    }
}

/// Bytes of the values of an image.
pub(crate) fn n_bytes(pixels: &Pixels) -> usize {
    let size = match element_type(pixels) {
        ElementType::Complex64 => 8,
        _ => 4,
    };
    pixels.shape().into_iter().fold(size, usize::saturating_mul)
}

/// The values: `[channel, z, y, x]`, little endian.
pub(crate) fn of(image: &Image) -> proto::Pixels {
    let (slope, intercept) = rescale(image);
    let (slope, intercept) = (slope as f32, intercept as f32);
    let zero_is_none = stored_zero_is_none(image);
    let scaled = |stored: f32| match stored * slope + intercept {
        _ if zero_is_none && stored == 0.0 => 0.0,
        // A value that there is must not look like none.
        0.0 if zero_is_none => f32::MIN_POSITIVE,
        value => value,
    };
    let data = match &image.pixels {
        Pixels::U16(pixels) => real(pixels, |value| scaled(f32::from(value))),
        Pixels::I16(pixels) => real(pixels, |value| scaled(f32::from(value))),
        Pixels::U32(pixels) => real(pixels, |value| scaled(value as f32)),
        Pixels::I32(pixels) => real(pixels, |value| scaled(value as f32)),
        Pixels::F32(pixels) => real(pixels, |value| value),
        Pixels::F64(pixels) => real(pixels, |value| value as f32),
        Pixels::C32(pixels) => complex(pixels, |value| value),
        Pixels::C64(pixels) => {
            complex(pixels, |value| Complex32::new(value.re as f32, value.im as f32))
        }
    };
    proto::Pixels {
        element_type: element_type(&image.pixels).into(),
        shape: shape(&image.pixels),
        data: data.into(),
    }
}

/// `[channel, z, y, x]`.
pub(crate) fn shape(pixels: &Pixels) -> Vec<u32> {
    pixels.shape().map(|n| u32::try_from(n).unwrap_or(u32::MAX)).to_vec()
}

fn real<T: Copy>(pixels: &Array4<T>, value: impl Fn(T) -> f32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(pixels.len() * 4);
    pixels.iter().for_each(|pixel| bytes.extend_from_slice(&value(*pixel).to_le_bytes()));
    bytes
}

fn complex<T: Copy>(pixels: &Array4<T>, value: impl Fn(T) -> Complex32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(pixels.len() * 8);
    for pixel in pixels {
        let value = value(*pixel);
        bytes.extend_from_slice(&value.re.to_le_bytes());
        bytes.extend_from_slice(&value.im.to_le_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use ismrmrd::{ImageHeader, Meta};

    fn floats(pixels: &proto::Pixels) -> Vec<f32> {
        let chunks = pixels.data.chunks_exact(4);
        chunks.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    }

    #[test]
    fn stored_integers_of_a_map_become_values_and_zero_stays_zero() {
        let meta = Meta::from_iter([("DataRole", "Quantitative"), ("RescaleSlope", "0.1")]);
        let stored = Array4::from_shape_vec((1, 1, 1, 3), vec![0_u16, 10, 255]).expect("it fits");
        let image = Image::new(ImageHeader::default(), meta, stored.clone());
        let values = of(&image);
        assert_eq!(floats(&values), [0.0, 1.0, 25.5]);
        assert_eq!(values.shape, [1, 1, 1, 3]);
        // A picture's slope is for the scanner.
        let meta = Meta::from_iter([("DataRole", "Image"), ("RescaleSlope", "0.1")]);
        let image = Image::new(ImageHeader::default(), meta, stored);
        assert_eq!(floats(&of(&image)), [0.0, 10.0, 255.0]);
    }

    #[test]
    fn complex_values_are_pairs() {
        let pixels = Array4::from_elem((1, 1, 1, 1), Complex32::new(1.5, -2.0));
        let image = Image::new(ImageHeader::default(), Meta::new(), pixels);
        let values = of(&image);
        assert_eq!(values.element_type, ElementType::Complex64 as i32);
        assert_eq!(floats(&values), [1.5, -2.0]);
        assert_eq!(n_bytes(&image.pixels), values.data.len());
    }
}
