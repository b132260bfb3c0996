//! Magnitude, phase, real and imaginary part of complex images.

use std::f32::consts::PI;

use ismrmrd::{DataType, Image, ImageType, Pixels};
use num_complex::Complex32;
use pipeline::{Gadget, Remedy, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

/// Extracts parts of complex images. Images of other pixels pass.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Parts as a sum of 1 (magnitude), 2 (real), 4 (imaginary) and 8 (phase), in addition to
    /// those that have a property each. Prefer these.
    pub extract_mask: u32,
    /// Whether to give the magnitude.
    pub extract_magnitude: bool,
    /// Whether to give the real part.
    pub extract_real: bool,
    /// Whether to give the imaginary part.
    pub extract_imag: bool,
    /// Whether to give the phase, from 0 to 2π: π is the phase of positive real numbers.
    pub extract_phase: bool,
    /// Added to real and imaginary parts.
    pub real_imag_offset: f32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            extract_mask: 0,
            extract_magnitude: true,
            extract_real: false,
            extract_imag: false,
            extract_phase: false,
            real_imag_offset: 0.0,
        }
    }
}

/// Gives parts of complex images as images of 32-bit floats, each part as a series of its own.
pub struct Extract {
    parts: Vec<ImageType>,
    real_imag_offset: f32,
}

impl Gadget for Extract {
    const NAME: &str = "extract";
    const ALIASES: &'static [&'static str] = &["ExtractGadget"];
    const PIXELS: Option<DataType> = Some(DataType::F32);
    type Config = Config;
    type Input = Image;
    type Output = Image;
    type Error = Error;

    fn new(config: Config, _scan: &Scan) -> Result<Self, Error> {
        let wanted = [
            (ImageType::Magnitude, config.extract_magnitude, 1),
            (ImageType::Phase, config.extract_phase, 8),
            (ImageType::Real, config.extract_real, 2),
            (ImageType::Imag, config.extract_imag, 4),
        ];
        let parts: Vec<_> = wanted
            .into_iter()
            .filter(|(_, wanted, bit)| *wanted || config.extract_mask & bit != 0)
            .map(|(part, ..)| part)
            .collect();
        if parts.is_empty() {
            return Err(Error::Nothing);
        }
        Ok(Self { parts, real_imag_offset: config.real_imag_offset })
    }

    fn process(&mut self, image: Image, out: &mut Sink<Self>) -> Result<(), Error> {
        let Pixels::C32(pixels) = &image.pixels else {
            out.push(image);
            return Ok(());
        };
        let offset = self.real_imag_offset;
        for part in &self.parts {
            let (series, values) = match part {
                ImageType::Phase => (3000, pixels.mapv(|value| value.arg() + PI)),
                ImageType::Real => (1000, pixels.mapv(|value| value.re + offset)),
                ImageType::Imag => (2000, pixels.mapv(|value| value.im + offset)),
                _ => (0, pixels.mapv(Complex32::norm)),
            };
            let mut header = image.header;
            header.image_type = *part as u16;
            header.image_series_index = header.image_series_index.wrapping_add(series);
            out.push(Image::new(header, image.meta.clone(), values));
        }
        Ok(())
    }
}

/// A configuration that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No part is wanted.
    #[error("no part of the images is to be extracted")]
    Nothing,
}

impl Remedy for Error {
    fn remedy(&self) -> &str {
        "set `extract_magnitude`, `extract_real`, `extract_imag` or `extract_phase`"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ismrmrd::{ImageHeader, Meta};
    use ndarray::Array4;
    use pipeline::{Message, run_gadget};

    fn complex() -> Image {
        let header = ImageHeader { image_series_index: 5, ..ImageHeader::default() };
        let pixels = Array4::from_elem((1, 1, 1, 2), Complex32::new(-3.0, 4.0));
        Image::new(header, Meta::from_iter([("key", "value")]), pixels)
    }

    fn run(config: Config, image: Image) -> Vec<Image> {
        let (outputs, _) =
            run_gadget::<Extract>(config, &Scan::default(), [image]).expect("it runs");
        outputs
            .into_iter()
            .map(|message| match message {
                Message::Image(image) => image,
                other => panic!("{:?} came out", other.kind()),
            })
            .collect()
    }

    #[test]
    fn each_part_is_a_series_of_its_own_in_gadgetrons_order() {
        let config =
            Config { extract_mask: 2 + 4 + 8, real_imag_offset: 10.0, ..Config::default() };
        let images = run(config, complex());
        let expected = [
            (ImageType::Magnitude, 5, 5.0),
            (ImageType::Phase, 3005, 4.0_f32.atan2(-3.0) + PI),
            (ImageType::Real, 1005, 7.0),
            (ImageType::Imag, 2005, 14.0),
        ];
        assert_eq!(images.len(), expected.len());
        for (image, (part, series, value)) in images.iter().zip(expected) {
            assert_eq!(image.image_type(), Some(part));
            assert_eq!({ image.header.image_series_index }, series);
            assert_eq!(image.pixels, Array4::from_elem((1, 1, 1, 2), value).into());
            assert_eq!({ image.header.data_type }, 5);
            assert_eq!(image.meta.get("key"), Some("value"));
        }
    }

    #[test]
    fn the_default_is_the_magnitude_alone() {
        let images = run(Config::default(), complex());
        assert_eq!(images.len(), 1);
        assert_eq!(images[0].image_type(), Some(ImageType::Magnitude));
    }

    #[test]
    fn images_that_are_not_complex_pass() {
        let float =
            Image::new(ImageHeader::default(), Meta::new(), Array4::<f32>::zeros((1, 1, 2, 2)));
        assert_eq!(run(Config::default(), float.clone()), [float]);
    }

    #[test]
    fn nothing_to_extract_is_refused() {
        let config = Config { extract_magnitude: false, ..Config::default() };
        assert_eq!(Extract::new(config, &Scan::default()).err(), Some(Error::Nothing));
    }
}
