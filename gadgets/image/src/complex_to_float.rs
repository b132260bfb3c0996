//! Complex images to floats, by the type that their header names.

use std::convert::Infallible;

use ismrmrd::{DataType, Image, ImageType, Pixels};
use num_complex::Complex32;
use pipeline::{Gadget, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

/// Turns complex images into floats.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {}

/// Turns complex images into 32-bit floats: the part that the header's image type names, the
/// magnitude where it names none of them. Other images pass.
pub struct ComplexToFloat;

impl Gadget for ComplexToFloat {
    const NAME: &str = "complex_to_float";
    const ALIASES: &'static [&'static str] = &["ComplexToFloatGadget"];
    const PIXELS: Option<DataType> = Some(DataType::F32);
    type Config = Config;
    type Input = Image;
    type Output = Image;
    type Error = Infallible;

    fn new(_config: Config, _scan: &Scan) -> Result<Self, Infallible> {
        Ok(Self)
    }

    fn process(&mut self, mut image: Image, out: &mut Sink<Self>) -> Result<(), Infallible> {
        if let Pixels::C32(pixels) = &image.pixels {
            let values = match image.image_type() {
                Some(ImageType::Phase) => pixels.mapv(Complex32::arg),
                Some(ImageType::Real) => pixels.mapv(|value| value.re),
                Some(ImageType::Imag) => pixels.mapv(|value| value.im),
                _ => {
                    image.header.image_type = ImageType::Magnitude as u16;
                    pixels.mapv(Complex32::norm)
                }
            };
            image = Image::new(image.header, image.meta, values);
        }
        out.push(image);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ismrmrd::{ImageHeader, Meta};
    use ndarray::Array4;
    use pipeline::{Message, run_gadget};

    #[test]
    fn the_headers_type_chooses_the_part_and_an_unknown_one_becomes_magnitude() {
        let phase = 4.0_f32.atan2(-3.0);
        for (code, expected_code, value) in
            [(1, 1, 5.0), (2, 2, phase), (3, 3, -3.0), (4, 4, 4.0), (5, 1, 5.0), (0, 1, 5.0)]
        {
            let header = ImageHeader { image_type: code, ..ImageHeader::default() };
            let pixels = Array4::from_elem((1, 1, 1, 2), Complex32::new(-3.0, 4.0));
            let image = Image::new(header, Meta::new(), pixels);
            let Ok((outputs, _)) =
                run_gadget::<ComplexToFloat>(Config {}, &Scan::default(), [image]);
            let [Message::Image(image)] = &outputs[..] else { panic!("one image") };
            assert_eq!({ image.header.image_type }, expected_code);
            assert_eq!(image.pixels, Array4::from_elem((1, 1, 1, 2), value).into());
        }
    }
}
