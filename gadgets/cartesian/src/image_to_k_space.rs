//! K-space of images.

use std::convert::Infallible;

use ismrmrd::{Image, Pixels};
use ndarray::{Array4, Axis};
use num_complex::Complex32;
use numerics::fft::Plan;
use pipeline::{Gadget, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

/// Transforms images to k-space.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {}

/// Transforms rows and columns of each image; its centre is at pixel N/2 before and after. Images
/// of other pixels become complex.
pub struct ImageToKSpace {
    plan: Option<Plan>,
}

impl Gadget for ImageToKSpace {
    const NAME: &str = "image_to_k_space";
    const ALIASES: &'static [&'static str] = &["ImageFFTGadget"];
    type Config = Config;
    type Input = Image; // [channel, z, y, x]
    type Output = Image; // [channel, z, encoding_step_1, readout], complex
    type Error = Infallible;

    fn new(_config: Config, _scan: &Scan) -> Result<Self, Infallible> {
        Ok(Self { plan: None })
    }

    fn process(&mut self, image: Image, out: &mut Sink<Self>) -> Result<(), Infallible> {
        let Image { header, mut meta, pixels } = image;
        let mut samples: Array4<Complex32> = match pixels {
            Pixels::C32(pixels) => pixels,
            Pixels::C64(pixels) => {
                pixels.mapv(|value| Complex32::new(value.re as f32, value.im as f32))
            }
            Pixels::F32(pixels) => pixels.mapv(Complex32::from),
            Pixels::F64(pixels) => pixels.mapv(|value| Complex32::from(value as f32)),
            Pixels::U16(pixels) => pixels.mapv(|value| Complex32::from(f32::from(value))),
            Pixels::I16(pixels) => pixels.mapv(|value| Complex32::from(f32::from(value))),
            Pixels::U32(pixels) => pixels.mapv(|value| Complex32::from(value as f32)),
            Pixels::I32(pixels) => pixels.mapv(|value| Complex32::from(value as f32)),
        };
        let plan = match &mut self.plan {
            Some(plan) if plan.shape() == samples.shape() => plan,
            plan => plan.insert(Plan::new(samples.shape(), &[Axis(2), Axis(3)])),
        };
        plan.forward(samples.view_mut());
        meta.append("GADGETRON_ImageProcessingHistory", "FFT");
        meta.append("ImageProcessingHistory", "FFT");
        out.push(Image::new(header, meta, samples));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ismrmrd::{ImageHeader, Meta};
    use ndarray::array;
    use pipeline::{Message, run_gadget};

    fn transform(pixels: impl Into<Pixels>) -> Image {
        let image = Image::new(ImageHeader::default(), Meta::new(), pixels);
        let Ok((mut outputs, _)) =
            run_gadget::<ImageToKSpace>(Config {}, &Scan::default(), [image]);
        let Message::Image(image) = outputs.remove(0) else { panic!("an image comes out") };
        image
    }

    #[test]
    fn an_even_image_is_a_point_in_the_centre_with_all_of_its_energy() {
        let image = transform(Array4::<u16>::from_elem((2, 1, 6, 4), 3));
        let Pixels::C32(samples) = &image.pixels else { panic!("complex samples") };
        for ((_, _, y, x), value) in samples.indexed_iter() {
            let expected = if (y, x) == (3, 2) { 3.0 * 24.0_f32.sqrt() } else { 0.0 };
            assert!((value - expected).norm() < 1e-4, "{y}, {x}: {value}");
        }
        assert_eq!(image.meta.get("GADGETRON_ImageProcessingHistory"), Some("FFT"));
    }

    #[test]
    fn a_point_in_the_centre_has_the_same_value_everywhere() {
        let point = array![[[[0.0_f32, 0.0, 0.0], [0.0, 6.0, 0.0], [0.0, 0.0, 0.0]]]];
        let image = transform(point.mapv(Complex32::from));
        let Pixels::C32(samples) = image.pixels else { panic!("complex samples") };
        assert!(samples.iter().all(|value| (value - 2.0).norm() < 1e-5));
    }
}
