//! Black for white.

use ismrmrd::{Image, ImageType, Pixels};
use ndarray::Array4;
use pipeline::{Gadget, Remedy, Scan, Sink};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::describe_images::set_directions;

/// Series number of originals that are sent along.
const ORIGINAL_SERIES: u16 = 99;

/// Bits of a pixel where the header does not say.
const DEFAULT_BITS_STORED: i64 = 12;

/// Inverts the contrast of images.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What a pixel is subtracted from.
    pub maximum: Maximum,
    /// With `bits_stored`: whether to send the images as they came, too, as series 99.
    #[serde(alias = "sendOriginal")]
    pub send_original: bool,
    /// With `bits_stored`: what else the images get.
    pub options: Option<Extra>,
}

/// What pixels are subtracted from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Maximum {
    /// The largest pixel of the image, whose type and meta attributes stay (Gadgetron's example).
    #[default]
    Image,
    /// The largest number of `BitsStored` bits (a whole-number user parameter of the header, 12
    /// where it is absent, at most 15). The images of a series are first scaled together to reach
    /// it, and become 16-bit integers (the Python server's `invertcontrast`).
    BitsStored,
}

/// What else inverted images get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Extra {
    /// The name of a colour table is added.
    Colormap,
}

/// Inverts the contrast of images.
pub struct InvertContrast {
    config: Config,
    /// Largest pixel with [`Maximum::BitsStored`].
    bits_maximum: i16,
    series: u16,
    /// Images of the series that is coming in.
    held: Vec<Image>,
}

impl Gadget for InvertContrast {
    const NAME: &str = "invert_contrast";
    const ALIASES: &'static [&'static str] = &["ImageInverter"];
    type Config = Config;
    type Input = Image;
    type Output = Image;
    type Error = Error;

    fn new(config: Config, scan: &Scan) -> Result<Self, Error> {
        let bits = scan
            .header
            .as_ref()
            .and_then(|header| header.user_parameters.as_ref())
            .and_then(|parameters| parameters.long("BitsStored"))
            .unwrap_or(DEFAULT_BITS_STORED);
        // More than 15 bits do not fit the integers that are sent.
        let bits_maximum = ((1_i32 << bits.clamp(1, 15)) - 1) as i16;
        Ok(Self { config, bits_maximum, series: 0, held: Vec::new() })
    }

    fn process(&mut self, mut image: Image, out: &mut Sink<Self>) -> Result<(), Error> {
        if self.config.maximum == Maximum::Image {
            invert_to_own_maximum(&mut image.pixels)?;
            out.push(image);
            return Ok(());
        }
        if image.header.image_series_index != self.series {
            self.release(out);
            self.series = image.header.image_series_index;
        }
        match image.image_type() {
            Some(ImageType::Magnitude) | None => self.held.push(image),
            Some(_) => {
                image.meta.set("Keep_image_geometry", 1);
                out.push(image);
            }
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Sink<Self>) -> Result<(), Error> {
        self.release(out);
        Ok(())
    }
}

impl InvertContrast {
    /// Inverts and sends the images of one series.
    fn release(&mut self, out: &mut Sink<Self>) {
        let images = std::mem::take(&mut self.held);
        let values: Vec<_> = images.iter().map(|image| image.pixels.to_magnitude()).collect();
        let brightest = values.iter().flatten().copied().fold(0.0, f32::max);
        let maximum = f64::from(self.bits_maximum);
        let factor = if brightest > 0.0 && brightest.is_finite() {
            maximum / f64::from(brightest)
        } else {
            1.0
        };
        if self.config.send_original {
            for image in &images {
                let mut original = image.clone();
                original.header.image_series_index = ORIGINAL_SERIES;
                original.meta.set("Keep_image_geometry", 1);
                out.push(original);
            }
        }
        for (image, values) in images.into_iter().zip(values) {
            let pixels: Array4<i16> = values.mapv(|value| {
                let scaled = (f64::from(value) * factor).round_ties_even();
                (maximum - scaled).abs() as i16
            });
            let mut inverted = Image::new(image.header, image.meta, pixels);
            self.describe(&mut inverted);
            out.push(inverted);
        }
    }

    fn describe(&self, image: &mut Image) {
        let width = i32::from(self.bits_maximum) + 1;
        let meta = &mut image.meta;
        meta.set("DataRole", "Image");
        meta.set_all("ImageProcessingHistory", ["BORESIDE", "INVERT"]);
        meta.set("WindowCenter", width / 2);
        meta.set("WindowWidth", width);
        meta.set("SequenceDescriptionAdditional", "BORESIDE");
        meta.set("Keep_image_geometry", 1);
        if self.config.options == Some(Extra::Colormap) {
            meta.set("LUTFileName", "MicroDeltaHotMetal.pal");
        }
        set_directions(meta, &image.header);
    }
}

/// Subtracts each pixel from the largest one.
fn invert_to_own_maximum(pixels: &mut Pixels) -> Result<(), Error> {
    macro_rules! invert {
        ($pixels:ident, $subtract:expr) => {
            if let Some(maximum) = $pixels.iter().copied().reduce(|a, b| if b > a { b } else { a })
            {
                $pixels.mapv_inplace(|value| $subtract(maximum, value));
            }
        };
    }
    match pixels {
        Pixels::U16(pixels) => invert!(pixels, u16::saturating_sub),
        Pixels::I16(pixels) => invert!(pixels, i16::saturating_sub),
        Pixels::U32(pixels) => invert!(pixels, u32::saturating_sub),
        Pixels::I32(pixels) => invert!(pixels, i32::saturating_sub),
        Pixels::F32(pixels) => invert!(pixels, |a: f32, b: f32| a - b),
        Pixels::F64(pixels) => invert!(pixels, |a: f64, b: f64| a - b),
        Pixels::C32(_) | Pixels::C64(_) => return Err(Error::Complex),
    }
    Ok(())
}

/// An image that has no contrast to invert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Complex numbers are not ordered.
    #[error("a complex image has no contrast to invert")]
    Complex,
}

impl Remedy for Error {
    fn remedy(&self) -> &str {
        "put `extract` before `invert_contrast`"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ismrmrd::xml::{UserParameter, UserParameters};
    use ismrmrd::{Header, ImageHeader, Meta};
    use num_complex::Complex32;
    use pipeline::{Message, run_gadget};

    fn image(series: u16, image_type: u16, pixels: impl Into<Pixels>) -> Image {
        let header =
            ImageHeader { image_series_index: series, image_type, ..ImageHeader::default() };
        Image::new(header, Meta::from_iter([("IceMiniHead", "kept")]), pixels)
    }

    fn row(values: &[f32]) -> Array4<f32> {
        Array4::from_shape_fn((1, 1, 1, values.len()), |(.., x)| values[x])
    }

    fn run(config: Config, scan: &Scan, inputs: Vec<Image>) -> Vec<Image> {
        let (outputs, _) = run_gadget::<InvertContrast>(config, scan, inputs).expect("it runs");
        outputs
            .into_iter()
            .map(|message| match message {
                Message::Image(image) => image,
                other => panic!("{:?} came out", other.kind()),
            })
            .collect()
    }

    fn bits_stored() -> Config {
        Config { maximum: Maximum::BitsStored, ..Config::default() }
    }

    fn i16s(image: &Image) -> Vec<i16> {
        let Pixels::I16(pixels) = &image.pixels else { panic!("i16 comes out") };
        pixels.iter().copied().collect()
    }

    #[test]
    fn by_default_pixels_keep_their_type_and_are_subtracted_from_the_largest() {
        let inputs = vec![
            image(0, 1, row(&[1.0, 2.5, 4.0])),
            image(0, 1, row(&[1.0, 2.0, 7.0]).mapv(|value| value as u16)),
        ];
        let outputs = run(Config::default(), &Scan::default(), inputs);
        assert_eq!(outputs[0].pixels, row(&[3.0, 1.5, 0.0]).into());
        assert_eq!(outputs[1].pixels, row(&[6.0, 5.0, 0.0]).mapv(|value| value as u16).into());
        assert_eq!(outputs[0].meta.len(), 1, "meta attributes stay as they are");
        let complex = image(0, 1, Array4::from_elem((1, 1, 1, 1), Complex32::new(1.0, 1.0)));
        let error = run_gadget::<InvertContrast>(Config::default(), &Scan::default(), [complex])
            .expect_err("complex numbers are not ordered");
        assert_eq!(error, Error::Complex);
    }

    #[test]
    fn a_series_is_scaled_together_to_the_bits_that_are_stored_and_inverted() {
        let inputs = vec![
            image(1, 1, row(&[0.0, 100.0])),
            image(1, 1, row(&[50.0, 200.0])),
            image(2, 0, row(&[1.0, 2.0])),
        ];
        let outputs = run(bits_stored(), &Scan::default(), inputs);
        let values: Vec<_> = outputs.iter().map(i16s).collect();
        // 4095/200 per unit: 100 is 2047.5, to even 2048; 50 is 1023.75.
        assert_eq!(values, [vec![4095, 2047], vec![3071, 0], vec![2047, 0]]);
        let meta = &outputs[0].meta;
        assert_eq!(meta.get("DataRole"), Some("Image"));
        assert_eq!(meta.values("ImageProcessingHistory"), ["BORESIDE", "INVERT"]);
        assert_eq!(
            (meta.get("WindowCenter"), meta.get("WindowWidth")),
            (Some("2048"), Some("4096"))
        );
        assert_eq!(meta.get("Keep_image_geometry"), Some("1"));
        assert_eq!(meta.get("IceMiniHead"), Some("kept"));
        assert_eq!(meta.values("ImageRowDir").len(), 3);
    }

    #[test]
    fn the_header_may_say_how_many_bits_are_stored() {
        let scan = |bits| {
            let parameters = UserParameters {
                user_parameter_long: vec![UserParameter {
                    name: "BitsStored".to_owned(),
                    value: bits,
                }],
                ..UserParameters::default()
            };
            Scan::with_header(Header { user_parameters: Some(parameters), ..Header::default() })
        };
        for (bits, maximum) in [(8, 255), (15, 32767), (16, 32767), (-3, 1), (i64::MAX, 32767)] {
            let outputs = run(bits_stored(), &scan(bits), vec![image(0, 1, row(&[0.0, 5.0]))]);
            assert_eq!(i16s(&outputs[0]), [maximum, 0], "{bits} bits");
        }
    }

    #[test]
    fn phase_images_pass_at_once_with_their_geometry() {
        let inputs = vec![image(0, 1, row(&[1.0])), image(0, 2, row(&[3.0]))];
        let outputs = run(bits_stored(), &Scan::default(), inputs);
        assert_eq!(outputs[0].pixels, row(&[3.0]).into());
        assert_eq!(outputs[0].meta.get("Keep_image_geometry"), Some("1"));
        assert_eq!(i16s(&outputs[1]), [0]);
    }

    #[test]
    fn originals_are_sent_as_series_99_on_demand() {
        let config =
            Config { send_original: true, options: Some(Extra::Colormap), ..bits_stored() };
        let outputs = run(config, &Scan::default(), vec![image(4, 1, row(&[1.0, 2.0]))]);
        assert_eq!(outputs[0].pixels, row(&[1.0, 2.0]).into());
        assert_eq!({ outputs[0].header.image_series_index }, 99);
        assert_eq!({ outputs[1].header.image_series_index }, 4);
        assert_eq!(outputs[1].meta.get("LUTFileName"), Some("MicroDeltaHotMetal.pal"));
    }

    #[test]
    fn black_empty_and_infinite_images_do_not_panic() {
        let inputs = vec![
            image(0, 1, row(&[0.0, 0.0])),
            image(1, 1, Array4::<f32>::zeros((0, 0, 0, 0))),
            image(2, 1, row(&[f32::INFINITY, f32::NAN, -1.0])),
        ];
        let outputs = run(bits_stored(), &Scan::default(), inputs);
        assert_eq!(i16s(&outputs[0]), [4095, 4095]);
        assert_eq!(i16s(&outputs[2]), [32767, 0, 4096]);
    }
}
