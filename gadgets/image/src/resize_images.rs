//! Other numbers of pixels.

use ismrmrd::{Image, ImageHeader, ImageType, Pixels};
use ndarray::{Array4, Axis};
use num_complex::Complex32;
use numerics::spline::natural_cubic_weights;
use pipeline::{Gadget, Remedy, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

/// Interpolates images to another number of pixels in the same field of view.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Pixels along x; 0 leaves it to the factor.
    #[serde(rename = "new_RO", alias = "new_ro")]
    pub new_ro: u16,
    /// Pixels along y; 0 leaves it to the factor.
    #[serde(rename = "new_E1", alias = "new_e1")]
    pub new_e1: u16,
    /// Pixels along z; 0 leaves it to the factor.
    #[serde(rename = "new_E2", alias = "new_e2")]
    pub new_e2: u16,
    /// New over old number of pixels along x; 0 leaves it as it is.
    #[serde(rename = "scale_factor_RO", alias = "scale_factor_ro")]
    pub scale_factor_ro: f64,
    /// New over old number of pixels along y; 0 leaves it as it is.
    #[serde(rename = "scale_factor_E1", alias = "scale_factor_e1")]
    pub scale_factor_e1: f64,
    /// New over old number of pixels along z; 0 leaves it as it is.
    #[serde(rename = "scale_factor_E2", alias = "scale_factor_e2")]
    pub scale_factor_e2: f64,
    /// 1 joins pixels by lines, more by a cubic spline.
    pub order_interpolator: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            new_ro: 0,
            new_e1: 0,
            new_e2: 0,
            scale_factor_ro: 1.0,
            scale_factor_e1: 1.0,
            scale_factor_e2: 1.0,
            order_interpolator: 5,
        }
    }
}

/// Interpolates complex images and 32-bit floats. Others, and phases, whose values jump, pass
/// with one warning.
pub struct ResizeImages {
    config: Config,
    told: bool,
}

/// Largest image that is made, pixels along an axis.
const MAX_PIXELS: f64 = 8192.0;

impl Gadget for ResizeImages {
    const NAME: &str = "resize_images";
    const ALIASES: &'static [&'static str] = &["ImageResizingGadget"];
    type Config = Config;
    type Input = Image;
    type Output = Image;
    type Error = Error;

    fn new(config: Config, _scan: &Scan) -> Result<Self, Error> {
        for factor in [config.scale_factor_ro, config.scale_factor_e1, config.scale_factor_e2] {
            if !(factor.is_finite() && factor >= 0.0) {
                return Err(Error::Factor(factor));
            }
        }
        Ok(Self { config, told: false })
    }

    fn process(&mut self, image: Image, out: &mut Sink<Self>) -> Result<(), Error> {
        let is_phase = image.image_type() == Some(ImageType::Phase);
        let order = self.config.order_interpolator;
        let [_, z, y, x] = image.pixels.shape();
        let size = self.size([x, y, z])?;
        let pixels: Pixels = match &image.pixels {
            Pixels::C32(pixels) => {
                resized(pixels, size, order, |sum: &mut Complex32, weight, value| {
                    *sum += value * weight;
                })
                .into()
            }
            Pixels::F32(pixels) if !is_phase => {
                resized(pixels, size, order, |sum: &mut f32, weight, value| *sum += value * weight)
                    .into()
            }
            _ => {
                if !std::mem::replace(&mut self.told, true) {
                    out.warn(
                        "images of integers and of phases pass with the pixels that they have",
                        "put `resize_images` before `extract` or `complex_to_float`",
                    );
                }
                out.push(image);
                return Ok(());
            }
        };
        let header: ImageHeader = image.header;
        out.push(Image::new(header, image.meta, pixels));
        Ok(())
    }
}

impl ResizeImages {
    /// New number of pixels along `[x, y, z]`.
    fn size(&self, old: [usize; 3]) -> Result<[usize; 3], Error> {
        let config = &self.config;
        let wanted = [
            (config.new_ro, config.scale_factor_ro),
            (config.new_e1, config.scale_factor_e1),
            (config.new_e2, config.scale_factor_e2),
        ];
        let mut new = old;
        for (new, (pixels, factor)) in new.iter_mut().zip(wanted) {
            let size = match (pixels, factor) {
                (0, 0.0) => *new as f64,
                (0, factor) => (*new as f64 * factor).round(),
                (pixels, _) => f64::from(pixels),
            };
            if !(1.0..=MAX_PIXELS).contains(&size) {
                return Err(Error::Size { old, size });
            }
            *new = size as usize;
        }
        Ok(new)
    }
}

/// `pixels` with another size along `[x, y, z]`.
fn resized<T: Copy + Default>(
    pixels: &Array4<T>,
    size: [usize; 3],
    order: u32,
    add: impl Fn(&mut T, f32, T) + Copy,
) -> Array4<T> {
    let mut pixels = pixels.clone();
    for (axis, new) in [Axis(3), Axis(2), Axis(1)].into_iter().zip(size) {
        let old = pixels.len_of(axis);
        if old == new || old == 0 {
            continue;
        }
        let knots: Vec<_> = (0..old).map(|place| place as f64).collect();
        let mut shape = pixels.raw_dim();
        shape[axis.0] = new;
        let mut result = Array4::default(shape);
        for (place, mut sum) in result.axis_iter_mut(axis).enumerate() {
            // The edges of the field of view stay where they are.
            let place = (place as f64 + 0.5) * old as f64 / new as f64 - 0.5;
            let weights = weights(&knots, place, order);
            for (values, weight) in pixels.axis_iter(axis).zip(weights) {
                if weight != 0.0 {
                    sum.zip_mut_with(&values, |sum, value| add(sum, weight as f32, *value));
                }
            }
        }
        pixels = result;
    }
    pixels
}

fn weights(knots: &[f64], place: f64, order: u32) -> Vec<f64> {
    if order > 1 {
        return natural_cubic_weights(knots, place);
    }
    let place = place.clamp(0.0, knots.len() as f64 - 1.0);
    knots.iter().map(|knot| (1.0 - (knot - place).abs()).max(0.0)).collect()
}

/// A size that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// A factor that is none.
    #[error("a factor of {0} for the number of pixels makes no sense")]
    Factor(f64),
    /// Too few or too many pixels.
    #[error("an image of {old:?} pixels (x, y, z) cannot get {size} along one axis")]
    Size {
        /// What it has.
        old: [usize; 3],
        /// What it should get.
        size: f64,
    },
}

impl Remedy for Error {
    fn remedy(&self) -> &str {
        "correct `new_RO`, `new_E1`, `new_E2` or the scale factors: 1 to 8192 pixels"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ismrmrd::Meta;
    use pipeline::{Message, run_gadget};

    fn run(config: Config, image: Image) -> Result<(Image, usize), Error> {
        let (mut outputs, warnings) =
            run_gadget::<ResizeImages>(config, &Scan::default(), [image.clone(), image])?;
        let Some(Message::Image(image)) = outputs.pop() else { panic!("an image comes out") };
        Ok((image, warnings.len()))
    }

    /// A smooth function of the place in the field of view, from 0 to 1.
    fn value(y: f64, x: f64) -> f32 {
        ((3.0 * y).sin() + (4.0 * x).cos()) as f32
    }

    fn image([x, y]: [usize; 2]) -> Image {
        let pixels = Array4::from_shape_fn((1, 1, y, x), |(.., row, column)| {
            value((row as f64 + 0.5) / y as f64, (column as f64 + 0.5) / x as f64)
        });
        let header = ImageHeader { field_of_view: [300.0; 3], ..ImageHeader::default() };
        Image::new(header, Meta::from_iter([("key", "value")]), pixels)
    }

    #[test]
    fn a_smooth_image_is_the_same_at_another_resolution() {
        for (order, tolerance) in [(5, 4e-3), (1, 2e-2)] {
            let config = Config {
                new_ro: 60,
                scale_factor_e1: 0.75,
                order_interpolator: order,
                ..Config::default()
            };
            let (resized, _) = run(config, image([40, 32])).expect("it fits");
            let expected = image([60, 24]);
            assert_eq!({ resized.header.matrix_size }, [60, 24, 1]);
            assert_eq!({ resized.header.field_of_view }, [300.0; 3]);
            assert_eq!(resized.meta, expected.meta);
            let (Pixels::F32(resized), Pixels::F32(expected)) = (&resized.pixels, &expected.pixels)
            else {
                panic!("floats")
            };
            // The outermost half pixel has nothing beyond it.
            for (place, expected) in expected.indexed_iter() {
                let (.., y, x) = place;
                if (1..23).contains(&y) && (1..59).contains(&x) {
                    assert!((resized[place] - expected).abs() < tolerance, "{place:?}");
                }
            }
        }
    }

    #[test]
    fn the_default_changes_nothing_and_integers_pass_with_one_warning() {
        let float = image([8, 6]);
        assert_eq!(run(Config::default(), float.clone()), Ok((float, 0)));
        let integers =
            Image::new(ImageHeader::default(), Meta::new(), Array4::<u16>::zeros((1, 1, 2, 2)));
        let double = Config { scale_factor_ro: 2.0, ..Config::default() };
        assert_eq!(run(double, integers.clone()), Ok((integers, 1)));
    }

    #[test]
    fn sizes_without_sense_are_refused() {
        let negative = Config { scale_factor_e2: -1.0, ..Config::default() };
        assert_eq!(run(negative, image([4, 4])), Err(Error::Factor(-1.0)));
        let huge = Config { scale_factor_ro: 1e9, ..Config::default() };
        assert!(matches!(run(huge, image([4, 4])), Err(Error::Size { .. })));
    }
}
