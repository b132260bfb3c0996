//! Scaling by a percentile.

use std::convert::Infallible;

use ismrmrd::{ImageType, Pixels};
use ndarray::{ArrayView, Dimension};
use num_complex::Complex32;
use numerics::percentile::percentile;
use pipeline::{Gadget, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

/// Scales magnitude images so that a percentile becomes a given value.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What the percentile becomes.
    pub max_value: f32,
    /// Percentile, from 0 to 100; 100 is the largest value.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub percentile: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_value: 2048.0, percentile: 98.5 }
    }
}

pipeline::message_set! {
    /// An image, or a series that is scaled as a whole.
    pub enum Images { Image, ImageSeries }
}

/// Scales magnitude images of 32-bit floats, each by a factor of its own, and series by one
/// factor for all of their images. Others pass.
pub struct Scale(Config);

impl Gadget for Scale {
    const NAME: &str = "scale";
    const ALIASES: &'static [&'static str] = &["ScaleGadget"];
    const KEEPS_KIND: bool = true;
    type Config = Config;
    type Input = Images;
    type Output = Images;
    type Error = Infallible;

    fn new(config: Config, _scan: &Scan) -> Result<Self, Infallible> {
        Ok(Self(config))
    }

    fn process(&mut self, mut images: Images, out: &mut Sink<Self>) -> Result<(), Infallible> {
        match &mut images {
            Images::Image(image) => {
                let is_magnitude = image.image_type() == Some(ImageType::Magnitude);
                if let Pixels::F32(pixels) = &mut image.pixels
                    && is_magnitude
                    && let Some(factor) = self.factor(pixels.view())
                {
                    pixels.mapv_inplace(|value| value * factor);
                }
            }
            Images::ImageSeries(series) => {
                if let Some(factor) = self.factor(series.data.mapv(Complex32::norm).view()) {
                    series.data.mapv_inplace(|value| value * factor);
                }
            }
        }
        out.push(images);
        Ok(())
    }
}

impl Scale {
    /// Factor for these magnitudes, [`None`] where the percentile is 0 or no number.
    fn factor<D: Dimension>(&self, magnitudes: ArrayView<'_, f32, D>) -> Option<f32> {
        let bright = percentile(magnitudes, self.0.percentile / 100.0)?;
        let factor = self.0.max_value / bright;
        (bright > 0.0 && factor.is_finite()).then_some(factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ismrmrd::{Image, ImageHeader, Meta};
    use ndarray::{Array3, Array4, ArrayD, IxDyn};
    use pipeline::{ImageRole, ImageSeries, Message, run_gadget};

    fn image(image_type: ImageType) -> Image {
        let header = ImageHeader { image_type: image_type as u16, ..ImageHeader::default() };
        let pixels = Array4::from_shape_fn((1, 1, 1, 199), |(.., x)| (x + 1) as f32);
        Image::new(header, Meta::new(), pixels)
    }

    fn run(config: Config, input: impl Into<Images>) -> Message {
        let Ok((mut outputs, _)) = run_gadget::<Scale>(config, &Scan::default(), [input.into()]);
        outputs.remove(0)
    }

    #[test]
    fn the_percentile_becomes_the_wanted_value() {
        // The 98.5th percentile of 1, 2, … 199 is 0.985 · 200 = 197.
        let Message::Image(scaled) = run(Config::default(), image(ImageType::Magnitude)) else {
            panic!("an image comes out");
        };
        let Pixels::F32(pixels) = scaled.pixels else { panic!("floats stay floats") };
        assert!((pixels[[0, 0, 0, 196]] - 2048.0).abs() < 1e-2);
        assert!((pixels[[0, 0, 0, 0]] - 2048.0 / 197.0).abs() < 1e-4);
    }

    #[test]
    fn a_percentile_of_100_is_the_largest_value() {
        let config = Config { max_value: 4095.0, percentile: 100.0 };
        let Message::Image(scaled) = run(config, image(ImageType::Magnitude)) else {
            panic!("an image comes out");
        };
        let Pixels::F32(pixels) = scaled.pixels else { panic!("floats stay floats") };
        assert!((pixels[[0, 0, 0, 198]] - 4095.0).abs() < 1e-2);
    }

    #[test]
    fn phase_passes_and_so_does_a_black_image() {
        for input in [image(ImageType::Phase), {
            let black = Array4::<f32>::zeros((1, 1, 2, 2));
            Image::new(image(ImageType::Magnitude).header, Meta::new(), black)
        }] {
            let Message::Image(output) = run(Config::default(), input.clone()) else {
                panic!("an image comes out");
            };
            assert_eq!(output, input);
        }
    }

    #[test]
    fn a_series_has_one_factor() {
        let series = ImageSeries {
            role: ImageRole::Image,
            s: None,
            n: None,
            data: ArrayD::from_shape_fn(IxDyn(&[1, 1, 2, 1, 1, 1, 50]), |place| {
                Complex32::new(0.0, (50 * place[2] + place[6]) as f32)
            }),
            headers: Array3::default((1, 1, 2)),
            meta: vec![Meta::new(); 2],
            waveforms: Vec::new(),
            acquisition_headers: None,
            sampling: None,
        };
        let config = Config { max_value: 198.0, percentile: 100.0 };
        let Message::ImageSeries(scaled) = run(config, series) else {
            panic!("a series comes out");
        };
        assert_eq!(scaled.data[[0, 0, 0, 0, 0, 0, 10]], Complex32::new(0.0, 20.0));
        assert_eq!(scaled.data[[0, 0, 1, 0, 0, 0, 49]], Complex32::new(0.0, 198.0));
    }
}
