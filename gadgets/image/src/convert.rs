//! Floats to integers.

use std::f32::consts::PI;

use ismrmrd::{DataType, Image, ImageType, Pixels};
use ndarray::Array4;
use pipeline::{Gadget, Remedy, Scan, Sink, unprocessed};
use schemars::JsonSchema;
use serde::Deserialize;

/// Meta attributes with the centre of the window, in Gadgetron's and in FIRE's words.
const WINDOW_CENTERS: [&str; 2] = ["GADGETRON_WindowCenter", "WindowCenter"];

macro_rules! converters {
    ($(
        $gadget:ident($config:ident): $type:ty, $pixels:ident,
        $name:literal, $alias:literal, $max:expr, $min:expr, $offset:expr;
    )*) => {
        $(
            #[doc = concat!("Converts images of 32-bit floats to `", stringify!($type), "`.")]
            #[derive(Clone, Debug, Deserialize, JsonSchema)]
            #[serde(default, deny_unknown_fields)]
            pub struct $config {
                /// Larger values are cut to this.
                pub max_intensity: i64,
                /// Smaller values are cut to this.
                pub min_intensity: i64,
                /// What 0 becomes in real and imaginary parts and in the phase; -π becomes 0 and
                /// π twice the offset.
                pub intensity_offset: i64,
            }

            impl Default for $config {
                fn default() -> Self {
                    Self {
                        max_intensity: $max,
                        min_intensity: $min,
                        intensity_offset: $offset,
                    }
                }
            }

            #[doc = concat!("Converts images of 32-bit floats to `", stringify!($type), "`.")]
            pub struct $gadget(Converter);

            impl Gadget for $gadget {
                const NAME: &str = $name;
                const ALIASES: &'static [&'static str] = &[$alias];
                const PIXELS: Option<DataType> = Some(DataType::$pixels);
                type Config = $config;
                type Input = Image;
                type Output = Image;
                type Error = Error;

                fn new(config: $config, _scan: &Scan) -> Result<Self, Error> {
                    let $config { max_intensity, min_intensity, intensity_offset } = config;
                    let range = (<$type>::MIN.into(), <$type>::MAX.into());
                    Converter::new(max_intensity, min_intensity, intensity_offset, range).map(Self)
                }

                fn process(&mut self, image: Image, out: &mut Sink<Self>) -> Result<(), Error> {
                    let mut complaints = Vec::new();
                    // A cast from float to integer saturates.
                    let result = self.0.convert(image, &mut complaints, |value| value as $type);
                    for (what, remedy) in complaints {
                        out.warn(what, remedy);
                    }
                    out.push(result?);
                    Ok(())
                }
            }
        )*
    };
}

converters! {
    ConvertToU16(U16Config): u16, U16, "convert_to_u16", "FloatToUShortGadget", 4095, 0, 2048;
    ConvertToI16(I16Config): i16, I16, "convert_to_i16", "FloatToShortGadget",
        i64::from(i16::MAX), i64::from(i16::MIN), 0;
    ConvertToU32(U32Config): u32, U32, "convert_to_u32", "FloatToUIntGadget", 4095, 0, 2048;
    ConvertToI32(I32Config): i32, I32, "convert_to_i32", "FloatToIntGadget", 4095, 0, 2048;
}

/// The rules, as in Gadgetron: values are cut to the range, then rounded, half away from zero.
///
/// * Magnitude: |v|.
/// * Real and imaginary part: v + offset; the window's centre moves with it.
/// * Phase (radians): v · offset / π + offset.
struct Converter {
    max: f32,
    min: f32,
    offset: f32,
    window_shift: i64,
    is_signed: bool,
    told_type: bool,
    told_phase: bool,
    told_dark: bool,
    told_cut: bool,
}

/// What happened, and what to do.
type Complaint = (String, &'static str);

/// A picture whose brightest pixel has no more than that many steps is all but black.
const DARK_STEPS: f32 = 8.0;
/// Share of the pixels with signal beyond which cut ones are more than a few bright vessels.
const CUT_SHARE: f64 = 0.02;

impl Converter {
    fn new(max: i64, min: i64, offset: i64, range: (i64, i64)) -> Result<Self, Error> {
        if min > max || min < range.0 || max > range.1 {
            return Err(Error::Range { min, max, smallest: range.0, largest: range.1 });
        }
        Ok(Self {
            max: max as f32,
            min: min as f32,
            offset: offset as f32,
            window_shift: offset,
            is_signed: range.0 < 0,
            told_type: false,
            told_phase: false,
            told_dark: false,
            told_cut: false,
        })
    }

    /// The image in integers; one that is not of 32-bit floats as it is.
    fn convert<T>(
        &mut self,
        mut image: Image,
        complaints: &mut Vec<Complaint>,
        to_integer: impl Fn(f32) -> T,
    ) -> Result<Image, Error>
    where
        Pixels: From<Array4<T>>,
    {
        let Pixels::F32(pixels) = &image.pixels else {
            return Ok(image);
        };
        let (min, max, offset) = (self.min, self.max, self.offset);
        // One that had to leave out its scaling would be black, or white.
        let is_magnitude = matches!(image.header.image_type, 0 | 1);
        let factor = Some(pixels)
            .filter(|_| is_magnitude && unprocessed::is_marked(&image.meta))
            .filter(|_| unprocessed::may_be_scaled(&image.meta))
            .and_then(|pixels| unprocessed::visible_factor(pixels, max))
            .unwrap_or(1.0);
        if is_magnitude {
            let brightness = Brightness::of(pixels.iter().map(|value| value.abs() * factor), max);
            self.complain_of(brightness, complaints);
        }
        let cut = |value: f32| {
            // What is no number would become the smallest one.
            let value = if value.is_nan() { 0.0 } else { value };
            to_integer(value.max(min).min(max).round())
        };
        let converted = match image.image_type() {
            Some(ImageType::Magnitude) => pixels.mapv(|value| cut(value.abs() * factor)),
            None if image.header.image_type == 0 => {
                if !std::mem::replace(&mut self.told_type, true) {
                    complaints.push((
                        "images without a type are taken as magnitudes".to_owned(),
                        "set `image_type` in their headers",
                    ));
                }
                pixels.mapv(|value| cut(value.abs() * factor))
            }
            Some(ImageType::Real | ImageType::Imag) => {
                for key in WINDOW_CENTERS {
                    if let Some(center) = image.meta.get_f64(key) {
                        image.meta.set(key, center + self.window_shift as f64);
                    }
                }
                pixels.mapv(|value| cut(value + offset))
            }
            Some(ImageType::Phase) => {
                let (scale, offset) = self.phase_rule(complaints);
                pixels.mapv(|value| cut(value * scale / PI + offset))
            }
            _ => return Err(Error::ImageType(image.header.image_type)),
        };
        Ok(Image::new(image.header, image.meta, converted))
    }

    /// What π is added and what 0 becomes. With an offset of 0, which would turn every phase to
    /// 0, the phase fills the range.
    fn phase_rule(&mut self, complaints: &mut Vec<Complaint>) -> (f32, f32) {
        if self.window_shift != 0 {
            return (self.offset, self.offset);
        }
        if !std::mem::replace(&mut self.told_phase, true) {
            complaints.push((
                "an `intensity_offset` of 0 would erase phase images; they fill the range instead"
                    .to_owned(),
                "set `intensity_offset` to what a phase of 0 is to become",
            ));
        }
        if self.is_signed && self.min < 0.0 {
            (self.max, 0.0)
        } else {
            let middle = ((self.max + 1.0) / 2.0).floor();
            (middle, middle)
        }
    }
}

/// How a magnitude image fills the range.
struct Brightness {
    max: f32,
    /// Pixels that are not 0, and those of them above the range.
    n_lit: usize,
    n_cut: usize,
}

impl Brightness {
    fn of(values: impl Iterator<Item = f32>, limit: f32) -> Self {
        let mut brightness = Self { max: 0.0, n_lit: 0, n_cut: 0 };
        for value in values {
            brightness.max = brightness.max.max(value);
            brightness.n_lit += usize::from(value > 0.0);
            brightness.n_cut += usize::from(value > limit);
        }
        brightness
    }
}

impl Converter {
    /// Says once where a picture comes out all but black, and once where much of it comes out
    /// white.
    fn complain_of(&mut self, brightness: Brightness, complaints: &mut Vec<Complaint>) {
        let Brightness { max, n_lit, n_cut } = brightness;
        // Every value that is not 0 exists on purpose; a range that small is one too.
        let is_dark = max > 0.0 && max < DARK_STEPS.min(self.max);
        if is_dark && !std::mem::replace(&mut self.told_dark, true) {
            complaints.push((
                format!(
                    "the brightest pixel of an image is {max:.3e}, the integers go to {}: the \
                     picture is all but black",
                    self.max
                ),
                "give the scan its noise readouts or noise measurement, which put it in units of \
                 the noise, or put `auto_scale` or `scale` before the conversion",
            ));
        }
        let is_cut = n_cut as f64 > CUT_SHARE * n_lit as f64;
        if is_cut && !std::mem::replace(&mut self.told_cut, true) {
            complaints.push((
                format!(
                    "{:.0} % of the pixels of an image are above {} (the brightest is {max:.3e}) \
                     and are cut to it",
                    100.0 * n_cut as f64 / n_lit as f64,
                    self.max
                ),
                "raise `max_intensity`, or put `auto_scale` before the conversion",
            ));
        }
    }
}

/// An image or a range that cannot be converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The range is empty or does not fit the integers.
    #[error("intensities from {min} to {max} do not fit integers from {smallest} to {largest}")]
    Range {
        /// Smallest intensity.
        min: i64,
        /// Largest intensity.
        max: i64,
        /// Smallest integer.
        smallest: i64,
        /// Largest integer.
        largest: i64,
    },
    /// The header names a type without a rule.
    #[error("an image of floats has the image type {0}, which has no rule for integers")]
    ImageType(u16),
}

impl Remedy for Error {
    fn remedy(&self) -> &str {
        match self {
            Self::Range { .. } => "correct `min_intensity` and `max_intensity`",
            Self::ImageType(_) => "put `extract` or `complex_to_float` before the conversion",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ismrmrd::{ImageHeader, Meta};
    use pipeline::{Message, run_gadget};

    fn image(image_type: u16, values: &[f32]) -> Image {
        let header = ImageHeader { image_type, ..ImageHeader::default() };
        let pixels = Array4::from_shape_fn((1, 1, 1, values.len()), |(.., x)| values[x]);
        let meta = Meta::from_iter([("GADGETRON_WindowCenter", "100"), ("WindowCenter", "20.5")]);
        Image::new(header, meta, pixels)
    }

    fn run<G: Gadget<Input = Image>>(config: G::Config, input: Image) -> (Image, Vec<String>)
    where
        G::Error: std::fmt::Debug,
    {
        let (mut outputs, warnings) =
            run_gadget::<G>(config, &Scan::default(), [input.clone(), input]).expect("it runs");
        let Some(Message::Image(image)) = outputs.pop() else { panic!("an image comes out") };
        (image, warnings)
    }

    fn u16s(image: &Image) -> Vec<u16> {
        let Pixels::U16(pixels) = &image.pixels else { panic!("u16 comes out") };
        pixels.iter().copied().collect()
    }

    #[test]
    fn magnitudes_are_rounded_half_away_from_zero_and_cut() {
        let values = [0.0, 0.49, 0.5, 1.5, 2.5, -3.2, 4094.6, 9e9, f32::INFINITY, f32::NAN];
        let (converted, warnings) = run::<ConvertToU16>(U16Config::default(), image(1, &values));
        assert_eq!(u16s(&converted), [0, 0, 1, 2, 3, 3, 4095, 4095, 4095, 0]);
        assert_eq!({ converted.header.data_type }, 1);
        assert_eq!(converted.meta.get("GADGETRON_WindowCenter"), Some("100"), "not moved");
        assert_eq!(warnings.len(), 1, "of the cut ones, once for both images: {warnings:?}");
        assert!(warnings[0].contains("25 % of the pixels"), "{warnings:?}");
    }

    #[test]
    fn a_picture_that_comes_out_black_is_told_once_and_an_empty_or_visible_one_is_not() {
        let warnings =
            |values: &[f32]| run::<ConvertToI16>(I16Config::default(), image(1, values)).1;
        let dark = warnings(&[0.0, 1e-5, 2e-5]);
        assert!(dark.len() == 1 && dark[0].contains("all but black"), "{dark:?}");
        assert!(dark[0].contains("2.000e-5"), "{dark:?}");
        assert_eq!(warnings(&[0.0, 0.0]), [""; 0]);
        assert_eq!(warnings(&[0.1, 8.0, 200.0]), [""; 0]);
        // One bright pixel of a hundred is a vessel.
        let mut vessel = [100.0; 100];
        vessel[7] = 1e6;
        assert_eq!(warnings(&vessel), [""; 0]);
    }

    #[test]
    fn real_and_imaginary_parts_are_shifted_and_the_window_with_them() {
        for code in [3, 4] {
            let values = [-5000.0, -2048.0, -0.4, 0.0, 2047.0, 5000.0];
            let (converted, _) = run::<ConvertToU16>(U16Config::default(), image(code, &values));
            assert_eq!(u16s(&converted), [0, 0, 2048, 2048, 4095, 4095]);
            assert_eq!(converted.meta.get("GADGETRON_WindowCenter"), Some("2148"));
            assert_eq!(converted.meta.get("WindowCenter"), Some("2068.5"));
        }
    }

    #[test]
    fn phase_goes_from_0_to_twice_the_offset() {
        let values = [-PI, -PI / 2.0, 0.0, PI / 2.0, PI];
        let (converted, warnings) = run::<ConvertToU16>(U16Config::default(), image(2, &values));
        assert_eq!(u16s(&converted), [0, 1024, 2048, 3072, 4095]);
        assert!(warnings.is_empty());
    }

    #[test]
    fn an_offset_of_0_does_not_erase_the_phase() {
        let values = [-PI, 0.0, PI];
        let config = U16Config { max_intensity: 32767, intensity_offset: 0, ..Default::default() };
        let (converted, warnings) = run::<ConvertToU16>(config, image(2, &values));
        assert_eq!(u16s(&converted), [0, 16384, 32767]);
        assert_eq!(warnings.len(), 1, "told once for two images");
        let (converted, _) = run::<ConvertToI16>(I16Config::default(), image(2, &values));
        let Pixels::I16(pixels) = converted.pixels else { panic!("i16 comes out") };
        assert_eq!(pixels.iter().copied().collect::<Vec<_>>(), [-32767, 0, 32767]);
    }

    #[test]
    fn each_type_has_gadgetrons_defaults() {
        let values = [-1e6, 1e6];
        let (converted, _) = run::<ConvertToI16>(I16Config::default(), image(3, &values));
        assert_eq!(
            converted.pixels,
            Array4::from_shape_vec((1, 1, 1, 2), vec![i16::MIN, i16::MAX])
                .expect("two values")
                .into()
        );
        let (converted, _) = run::<ConvertToI16>(I16Config::default(), image(3, &[f32::NAN]));
        assert_eq!(converted.pixels, Array4::<i16>::zeros((1, 1, 1, 1)).into());
        let (converted, _) = run::<ConvertToU32>(U32Config::default(), image(3, &values));
        assert_eq!(
            converted.pixels,
            Array4::from_shape_vec((1, 1, 1, 2), vec![0_u32, 4095]).expect("two values").into()
        );
        let (converted, _) = run::<ConvertToI32>(I32Config::default(), image(3, &values));
        assert_eq!(
            converted.pixels,
            Array4::from_shape_vec((1, 1, 1, 2), vec![0_i32, 4095]).expect("two values").into()
        );
    }

    #[test]
    fn a_missing_type_is_a_magnitude_and_a_strange_one_is_refused() {
        let (converted, warnings) = run::<ConvertToU16>(U16Config::default(), image(0, &[-70.0]));
        assert_eq!((u16s(&converted), warnings.len()), (vec![70], 1));
        for code in [5, 6, 99] {
            let error = run_gadget::<ConvertToU16>(
                U16Config::default(),
                &Scan::default(),
                [image(code, &[1.0])],
            )
            .expect_err("there is no rule");
            assert_eq!(error, Error::ImageType(code));
        }
    }

    #[test]
    fn an_image_that_left_out_its_scaling_can_be_seen_and_others_are_as_they_are() {
        let mut dim = image(1, &[0.0, 1e-5, 2e-5]);
        let (converted, _) = run::<ConvertToU16>(U16Config::default(), dim.clone());
        assert_eq!(u16s(&converted), [0, 0, 0]);
        unprocessed::mark(&mut dim.meta, "scale", "it failed");
        let (converted, _) = run::<ConvertToU16>(U16Config::default(), dim);
        assert_eq!(u16s(&converted), [0, 2048, 4095]);
    }

    #[test]
    fn images_of_other_pixels_pass() {
        let input =
            Image::new(ImageHeader::default(), Meta::new(), Array4::<u16>::zeros((1, 1, 2, 2)));
        assert_eq!(run::<ConvertToU16>(U16Config::default(), input.clone()).0, input);
    }

    #[test]
    fn a_range_that_does_not_fit_is_refused() {
        let config = U16Config { max_intensity: 70_000, ..U16Config::default() };
        assert!(ConvertToU16::new(config, &Scan::default()).is_err());
        let config = I16Config { min_intensity: 5, max_intensity: 4, ..I16Config::default() };
        assert!(ConvertToI16::new(config, &Scan::default()).is_err());
    }
}
