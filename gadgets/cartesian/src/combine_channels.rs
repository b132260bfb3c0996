//! One image of those of all channels.

use std::convert::Infallible;

use ismrmrd::{Image, Pixels};
use ndarray::{Array4, ArrayView4, Axis};
use num_complex::Complex32;
use pipeline::{Gadget, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

/// Combines the channels of complex images.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {}

/// Combines the channels of complex images: the magnitude is the root sum of squares, the phase
/// that of the sum of the channels, each weighted with its magnitude. Other images pass.
pub struct CombineChannels {
    told_real: bool,
}

impl Gadget for CombineChannels {
    const NAME: &str = "combine_channels";
    const ALIASES: &'static [&'static str] = &["CombineGadget"];
    type Config = Config;
    type Input = Image; // [channel, z, y, x]
    type Output = Image; // [1, z, y, x]
    type Error = Infallible;

    fn new(_config: Config, _scan: &Scan) -> Result<Self, Infallible> {
        Ok(Self { told_real: false })
    }

    fn process(&mut self, mut image: Image, out: &mut Sink<Self>) -> Result<(), Infallible> {
        match &image.pixels {
            Pixels::C32(pixels) if pixels.len_of(Axis(0)) != 1 => {
                let combined = combine(pixels.view());
                image.header.channels = 1;
                image.pixels = combined.into();
            }
            Pixels::C32(_) => {}
            _ => {
                if !std::mem::replace(&mut self.told_real, true) {
                    out.warn(
                        "images that are not complex pass as they are: their channels cannot be \
                         combined",
                        "put `combine_channels` behind the transform",
                    );
                }
            }
        }
        out.push(image);
        Ok(())
    }
}

fn combine(channels: ArrayView4<'_, Complex32>) -> Array4<Complex32> {
    let (_, z, y, x) = channels.dim();
    let mut power = ndarray::Array3::<f32>::zeros((z, y, x));
    let mut sum = ndarray::Array3::<Complex32>::zeros((z, y, x));
    for channel in channels.outer_iter() {
        ndarray::Zip::from(&mut power).and(&mut sum).and(channel).for_each(|power, sum, value| {
            let square = value.norm_sqr();
            *power += square;
            *sum += value * square.sqrt();
        });
    }
    ndarray::Zip::from(&mut sum).and(&power).for_each(|sum, power| {
        let norm = sum.norm();
        let phase = if norm > 0.0 { *sum / norm } else { Complex32::ONE };
        *sum = phase * power.sqrt();
    });
    sum.insert_axis(Axis(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ismrmrd::{ImageHeader, Meta};
    use pipeline::{Message, run_gadget};

    fn run(pixels: impl Into<Pixels>) -> (Image, usize) {
        let image = Image::new(ImageHeader::default(), Meta::new(), pixels);
        let (mut outputs, warnings) =
            run_gadget::<CombineChannels>(Config {}, &Scan::default(), [image.clone(), image])
                .unwrap_or_else(|never| match never {});
        let Some(Message::Image(image)) = outputs.pop() else { panic!("an image comes out") };
        (image, warnings.len())
    }

    #[test]
    fn magnitudes_add_in_squares_and_the_brighter_channel_gives_the_phase() {
        let mut pixels = Array4::zeros((2, 1, 1, 3));
        for (x, (first, second)) in [
            // The same phase; a phase beyond the wrap; opposite ones.
            (Complex32::from_polar(3.0, 0.4), Complex32::from_polar(4.0, 0.4)),
            (Complex32::from_polar(3.0, 3.1), Complex32::from_polar(3.0, -3.1)),
            (
                Complex32::from_polar(1.0, 0.5),
                Complex32::from_polar(2.0, 0.5 + std::f32::consts::PI),
            ),
        ]
        .into_iter()
        .enumerate()
        {
            pixels[[0, 0, 0, x]] = first;
            pixels[[1, 0, 0, x]] = second;
        }
        let (image, _) = run(pixels);
        assert_eq!({ image.header.channels }, 1);
        let Pixels::C32(pixels) = image.pixels else { panic!("complex pixels") };
        for (x, expected) in [
            Complex32::from_polar(5.0, 0.4),
            Complex32::from(-(18.0_f32.sqrt())),
            Complex32::from_polar(-(5.0_f32.sqrt()), 0.5),
        ]
        .into_iter()
        .enumerate()
        {
            let found = pixels[[0, 0, 0, x]];
            assert!((found - expected).norm() < 1e-5, "{x}: {found} {expected}");
        }
    }

    #[test]
    fn silence_stays_silent_and_real_images_pass_with_a_warning() {
        let (image, warnings) = run(Array4::<Complex32>::zeros((3, 1, 2, 2)));
        assert_eq!((image.pixels, warnings), (Array4::<Complex32>::zeros((1, 1, 2, 2)).into(), 0));
        let real = Array4::<f32>::ones((3, 1, 2, 2));
        let (image, warnings) = run(real.clone());
        assert_eq!((image.pixels, warnings), (real.into(), 1));
    }
}
