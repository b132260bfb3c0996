//! Images that had to leave out a gadget that failed on them.
//!
//! An image that exists is never lost to a fault behind the transform: it goes on, past the
//! gadget, to the client, and says so where people read it (comment and series description) and
//! where programs do ([`KEY`]).

use ismrmrd::{DataType, Image, ImageType, Meta, Pixels};
use ndarray::Array4;
use num_complex::Complex32;

use crate::{ImageRole, ImageSeries, Message};

/// Meta attribute of such images: the gadgets that they left out.
pub const KEY: &str = "BoresideUnprocessed";

/// DICOM's limit for a series description.
const MAX_DESCRIPTION_CHARS: usize = 64;
/// An image of integers whose largest pixel is below this shows nothing.
const DIMMEST_PEAK: f32 = 64.0;

/// Whether the image has left out a gadget.
pub fn is_marked(meta: &Meta) -> bool {
    meta.get(KEY).is_some()
}

/// Writes into the meta attributes that the image has left out `gadget`, and why.
pub fn mark(meta: &mut Meta, gadget: &str, reason: &str) {
    let text = format!("unprocessed: {gadget}: {reason}");
    meta.append(KEY, gadget);
    for key in ["ImageComments", "GADGETRON_ImageComment"] {
        meta.append(key, text.as_str());
    }
    let description = match meta.get("SeriesDescription") {
        Some(description) => format!("{text}, {description}"),
        None => text,
    };
    let description: String = description.chars().take(MAX_DESCRIPTION_CHARS).collect();
    meta.set("SeriesDescription", description);
    for key in ["SequenceDescriptionAdditional", "GADGETRON_SeqDescription"] {
        meta.set(key, "unprocessed");
    }
}

/// The message with its mark.
pub(crate) fn marked(mut message: Message, gadget: &str, reason: &str) -> Message {
    match &mut message {
        Message::Image(image) => mark(&mut image.meta, gadget, reason),
        Message::ParametricMap(map) => mark(&mut map.meta, gadget, reason),
        Message::ImageSeries(series) => {
            // A series may come without meta attributes; its mark must not be lost.
            series.meta.resize(series.headers.len(), Meta::new());
            series.meta.iter_mut().for_each(|meta| mark(meta, gadget, reason));
        }
        Message::Acquisition(_)
        | Message::Waveform(_)
        | Message::Bucket(_)
        | Message::KSpace(_)
        | Message::Answer(_)
        | Message::DicomFile(_) => {}
    }
    message
}

/// What a marked series that reached the end of a chain becomes there: its images, one by one.
/// [`None`] for a series without a mark, and for one whose parts do not fit together.
pub(crate) fn images_of(series: &ImageSeries) -> Option<Vec<Image>> {
    if !series.meta.iter().any(is_marked) {
        return None;
    }
    let &[slices, s, n, channels, z, y, x] = series.data.shape() else { return None };
    if series.headers.dim() != (slices, s, n) {
        return None;
    }
    let pixels =
        series.data.view().into_shape_with_order((slices * s * n, channels, z, y, x)).ok()?;
    let images = series.headers.iter().zip(&series.meta).zip(pixels.outer_iter());
    Some(
        images
            .map(|((header, meta), pixels)| Image::new(*header, meta.clone(), pixels.to_owned()))
            .collect(),
    )
}

/// Factor that brings pixels into the range of integers up to `max`, so that a marked image that
/// has left out its scaling can be seen; [`None`] where they lie in it, or are all 0.
pub fn visible_factor<'a>(pixels: impl IntoIterator<Item = &'a f32>, max: f32) -> Option<f32> {
    let peak = pixels.into_iter().map(|value| value.abs()).filter(|value| value.is_finite());
    let peak = peak.fold(0.0, f32::max);
    let is_visible = (DIMMEST_PEAK.min(max)..=max).contains(&peak);
    let factor = max / peak;
    (!is_visible && peak > 0.0 && factor.is_finite()).then_some(factor)
}

/// Whether the pixels are a picture, whose scale is arbitrary, and not numbers with a unit.
pub fn may_be_scaled(meta: &Meta) -> bool {
    meta.get("DataRole") != Some("Quantitative")
        && ImageRole::of(meta).is_none_or(ImageRole::is_image)
}

/// Gives a marked image the pixel type that its chain promises. `max` is the largest integer that
/// is shown. Values are rounded; where those of a picture lie outside of what integers can show
/// they are scaled, which the comment says.
pub(crate) fn keep_promise(image: &mut Image, promise: DataType, max: f32) {
    let values = match &image.pixels {
        Pixels::C32(pixels) => match image.image_type() {
            Some(ImageType::Phase) => pixels.mapv(Complex32::arg),
            Some(ImageType::Real) => pixels.mapv(|value| value.re),
            Some(ImageType::Imag) => pixels.mapv(|value| value.im),
            _ => {
                image.header.image_type = ImageType::Magnitude as u16;
                pixels.mapv(Complex32::norm)
            }
        },
        Pixels::F32(pixels) => pixels.clone(),
        _ => return,
    };
    let (values, offset) = match (promise, image.image_type()) {
        (DataType::F32, _) => (values, 0.0),
        // From −π to π, or from 0 to 2π: both fit the range.
        (_, Some(ImageType::Phase)) => {
            let middle = ((max + 1.0) / 2.0).floor();
            (values.mapv(|value| value / std::f32::consts::PI * middle), middle)
        }
        (DataType::U16 | DataType::U32, Some(ImageType::Real | ImageType::Imag)) => {
            let middle = ((max + 1.0) / 2.0).floor();
            (shown(&mut image.meta, values, middle - 1.0), middle)
        }
        (_, Some(ImageType::Real | ImageType::Imag)) => (shown(&mut image.meta, values, max), 0.0),
        _ => (shown(&mut image.meta, values.mapv(f32::abs), max), 0.0),
    };
    // What is no number becomes 0; casts from float to integer saturate.
    let round = |value: f32| {
        let value = if value.is_nan() { 0.0 } else { value + offset };
        value.min(max).round()
    };
    image.pixels = match promise {
        DataType::F32 => values.into(),
        DataType::U16 => values.mapv(|value| round(value) as u16).into(),
        DataType::I16 => values.mapv(|value| round(value) as i16).into(),
        DataType::U32 => values.mapv(|value| round(value) as u32).into(),
        DataType::I32 => values.mapv(|value| round(value) as i32).into(),
        DataType::F64 | DataType::C32 | DataType::C64 => return,
    };
    image.update_header();
}

fn shown(meta: &mut Meta, mut values: Array4<f32>, max: f32) -> Array4<f32> {
    if may_be_scaled(meta)
        && let Some(factor) = visible_factor(&values, max)
    {
        values.mapv_inplace(|value| value * factor);
        for key in ["ImageComments", "GADGETRON_ImageComment"] {
            meta.append(key, format!("scaled by {factor:.6e} to be seen"));
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(image_type: ImageType, values: &[f32]) -> Image {
        let pixels = Array4::from_shape_fn((1, 1, 1, values.len()), |(.., x)| values[x]);
        let mut image = Image::new(Default::default(), Meta::new(), pixels);
        image.header.image_type = image_type as u16;
        image
    }

    fn promised(mut image: Image) -> (Vec<u16>, Meta) {
        keep_promise(&mut image, DataType::U16, 4095.0);
        let Pixels::U16(pixels) = image.pixels else { panic!("u16 was promised") };
        assert_eq!({ image.header.data_type }, DataType::U16 as u16);
        (pixels.iter().copied().collect(), image.meta)
    }

    #[test]
    fn the_mark_is_in_both_vocabularies_and_short_enough_for_dicom() {
        let mut meta = Meta::from_iter([("SeriesDescription", "cine")]);
        let reason = "a reason that is a good deal longer than a series description may be";
        mark(&mut meta, "moco", reason);
        assert!(is_marked(&meta));
        assert_eq!(meta.get("ImageComments"), Some(&*format!("unprocessed: moco: {reason}")));
        assert_eq!(meta.get("GADGETRON_ImageComment"), meta.get("ImageComments"));
        let description = meta.get("SeriesDescription").expect("it is set");
        assert!(description.starts_with("unprocessed: moco: a reason"), "{description}");
        assert_eq!(description.chars().count(), 64);
        mark(&mut meta, "scale", "another");
        assert_eq!(meta.values(KEY), ["moco", "scale"]);
    }

    #[test]
    fn pixels_that_integers_can_show_are_only_rounded() {
        let (pixels, meta) = promised(image(ImageType::Magnitude, &[0.4, -3.6, 4095.0, f32::NAN]));
        assert_eq!(pixels, [0, 4, 4095, 0]);
        assert!(meta.is_empty());
    }

    #[test]
    fn pixels_too_dim_or_too_bright_are_scaled_and_the_comment_says_so() {
        for scale in [1e-5, 1e5] {
            let values = [0.0, 0.5 * scale, scale];
            let (pixels, meta) = promised(image(ImageType::Magnitude, &values));
            assert_eq!(pixels, [0, 2048, 4095]);
            assert!(meta.get("ImageComments").is_some_and(|text| text.starts_with("scaled by")));
        }
        let mut map = image(ImageType::Magnitude, &[1200.0, 5000.0]);
        map.meta.set("DataRole", "Quantitative");
        assert_eq!(promised(map).0, [1200, 4095], "numbers with a unit are cut");
        let (pixels, meta) = promised(image(ImageType::Magnitude, &[0.0; 3]));
        assert_eq!((pixels, meta.is_empty()), (vec![0; 3], true));
    }

    #[test]
    fn phase_and_real_parts_have_their_zero_in_the_middle() {
        let pi = std::f32::consts::PI;
        assert_eq!(promised(image(ImageType::Phase, &[-pi, 0.0, pi])).0, [0, 2048, 4095]);
        assert_eq!(promised(image(ImageType::Real, &[-100.0, 0.0, 100.0])).0, [1948, 2048, 2148]);
    }
}
