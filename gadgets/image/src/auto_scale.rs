//! Scaling by the histogram.

use std::convert::Infallible;

use ismrmrd::{Image, ImageType, Pixels};
use numerics::percentile::auto_scale;
use pipeline::{Gadget, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

/// Scales magnitude images so that their bright end, by the histogram, becomes a given value.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What the bright end becomes.
    pub max_value: f32,
    /// Bins of the histogram from 0 to the largest pixel.
    #[schemars(range(min = 1, max = 65536))]
    pub histogram_bins: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_value: 2048.0, histogram_bins: 100 }
    }
}

/// Scales each magnitude image by a factor of its own. Others pass.
pub struct AutoScale {
    config: Config,
    told_complex: bool,
}

/// Bins that the histogram may have.
const MAX_BINS: u32 = 1 << 16;

impl Gadget for AutoScale {
    const NAME: &str = "auto_scale";
    const ALIASES: &'static [&'static str] = &["AutoScaleGadget"];
    type Config = Config;
    type Input = Image;
    type Output = Image;
    type Error = Infallible;

    fn new(config: Config, _scan: &Scan) -> Result<Self, Infallible> {
        Ok(Self { config, told_complex: false })
    }

    fn process(&mut self, mut image: Image, out: &mut Sink<Self>) -> Result<(), Infallible> {
        let is_magnitude = image.image_type() == Some(ImageType::Magnitude);
        if is_magnitude && !self.scale(&mut image.pixels) && !self.told_complex {
            self.told_complex = true;
            out.warn(
                "complex images pass without scaling: it is defined for their parts only",
                "put `extract` or `complex_to_float` before `auto_scale`",
            );
        }
        out.push(image);
        Ok(())
    }
}

impl AutoScale {
    /// Scales pixels in place. Returns false for complex ones.
    fn scale(&self, pixels: &mut Pixels) -> bool {
        let n_bins = self.config.histogram_bins.min(MAX_BINS) as usize;
        let max_value = self.config.max_value;
        macro_rules! scale {
            ($pixels:ident, $type:ty) => {
                if let Some(factor) =
                    auto_scale($pixels.mapv(|value| value as f32).view(), max_value, n_bins)
                {
                    $pixels.mapv_inplace(|value| (f64::from(value) * f64::from(factor)) as $type);
                }
            };
        }
        match pixels {
            Pixels::F32(pixels) => {
                if let Some(factor) = auto_scale(pixels.view(), max_value, n_bins) {
                    pixels.mapv_inplace(|value| value * factor);
                }
            }
            Pixels::F64(pixels) => scale!(pixels, f64),
            Pixels::U16(pixels) => scale!(pixels, u16),
            Pixels::I16(pixels) => scale!(pixels, i16),
            Pixels::U32(pixels) => scale!(pixels, u32),
            Pixels::I32(pixels) => scale!(pixels, i32),
            Pixels::C32(_) | Pixels::C64(_) => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ismrmrd::{ImageHeader, Meta};
    use ndarray::Array4;
    use num_complex::Complex32;
    use pipeline::{Message, run_gadget};

    fn run(image_type: ImageType, pixels: impl Into<Pixels>) -> (Pixels, usize) {
        let header = ImageHeader { image_type: image_type as u16, ..ImageHeader::default() };
        let image = Image::new(header, Meta::new(), pixels);
        let Ok((mut outputs, warnings)) =
            run_gadget::<AutoScale>(Config::default(), &Scan::default(), [image.clone(), image]);
        let Some(Message::Image(image)) = outputs.pop() else { panic!("an image comes out") };
        (image.pixels, warnings.len())
    }

    /// 0, 1, … 999 of which the largest is an outlier of 10 times the rest.
    fn ramp() -> Array4<f32> {
        let mut ramp = Array4::from_shape_fn((1, 1, 10, 100), |(_, _, y, x)| (100 * y + x) as f32);
        ramp[[0, 0, 9, 99]] = 9990.0;
        ramp
    }

    #[test]
    fn the_bright_end_of_the_histogram_becomes_the_wanted_value() {
        // Bins of 99.9: 99 % of the 1000 values, 990, are complete with bin 9 (up to 999), whose
        // upper edge, and one bin more, counts as the bright end: 11 bins, 1098.9.
        let (pixels, _) = run(ImageType::Magnitude, ramp());
        let factor = 2048.0 / (11.0 * 99.9);
        let Pixels::F32(pixels) = pixels else { panic!("floats stay floats") };
        for (value, before) in pixels.iter().zip(&ramp()) {
            assert!((value - before * factor).abs() <= 1e-5 * before.abs());
        }
        let (pixels, _) = run(ImageType::Magnitude, ramp().mapv(|value| value as u16));
        let Pixels::U16(pixels) = pixels else { panic!("integers stay integers") };
        assert_eq!(pixels[[0, 0, 1, 0]], (100.0 * factor) as u16);
    }

    #[test]
    fn only_magnitudes_are_scaled() {
        for image_type in [ImageType::Phase, ImageType::Real, ImageType::Imag] {
            let (pixels, warnings) = run(image_type, ramp());
            assert_eq!(pixels, ramp().into());
            assert_eq!(warnings, 0);
        }
        let complex = Array4::from_elem((1, 1, 2, 2), Complex32::new(1.0, 1.0));
        assert_eq!(run(ImageType::Magnitude, complex.clone()), (complex.into(), 1));
    }

    #[test]
    fn black_and_empty_images_stay_as_they_are() {
        for pixels in [Array4::<f32>::zeros((1, 1, 4, 4)), Array4::zeros((0, 0, 0, 0))] {
            assert_eq!(run(ImageType::Magnitude, pixels.clone()).0, pixels.into());
        }
    }
}
