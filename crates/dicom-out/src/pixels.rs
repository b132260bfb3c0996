//! Values of an image as integers that lead back to them.

use ismrmrd::{Image, ImageType, Pixels};
use ndarray::{Array2, ArrayView4, Axis};
use num_complex::Complex;
use pipeline::{ImageFacts, ImageKind, image_facts};

/// Largest integer of 16 bits with a sign.
const MAX_SIGNED: f64 = 32767.0;

/// One plane of an image as integers of 16 bits.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredPlane {
    /// The pixels' bits: `[y, x]`, rows one after the other.
    pub pixels: Vec<u16>,
    /// Whether they are signed.
    pub is_signed: bool,
    /// A value is a pixel times this …
    pub slope: f64,
    /// … plus this.
    pub intercept: f64,
    /// The pixel that means that there is no value.
    pub padding: Option<i32>,
    /// Smallest and largest value, those without one left out; `[0, 0]` where there is none.
    pub range: [f64; 2],
}

/// What the values of a plane are quantised by at the finest, by unit.
fn quantum(facts: &ImageFacts) -> Option<f64> {
    if !facts.kind.is_of_map() {
        return None;
    }
    // T1 in whole milliseconds: a viewer that knows no slope shows the right number.
    let is_t1 = facts.kind == ImageKind::Map && facts.quantity == "T1";
    Some(match facts.unit.as_str() {
        "ms" if is_t1 => 1.0,
        "ms" | "%" | "deg" | "SNR" => 0.1,
        _ => 0.001,
    })
}

/// The values of one plane in the map's unit: `[y, x]`; NaN where there is none. Magnitudes of complex
/// pixels.
pub fn values(image: &Image, facts: &ImageFacts, channel: usize, z: usize) -> Array2<f32> {
    let (slope, intercept) = image_facts::rescale(image);
    let zero_is_none = image_facts::stored_zero_is_none(image);
    let scaled = |stored: f64| {
        if zero_is_none && stored == 0.0 { f32::NAN } else { (stored * slope + intercept) as f32 }
    };
    let mut plane = match &image.pixels {
        Pixels::U16(p) => plane(p.view(), channel, z, |v| scaled(v.into())),
        Pixels::I16(p) => plane(p.view(), channel, z, |v| scaled(v.into())),
        Pixels::U32(p) => plane(p.view(), channel, z, |v| scaled(v.into())),
        Pixels::I32(p) => plane(p.view(), channel, z, |v| scaled(v.into())),
        Pixels::F32(p) => plane(p.view(), channel, z, |v| v),
        Pixels::F64(p) => plane(p.view(), channel, z, |v| v as f32),
        Pixels::C32(p) => plane(p.view(), channel, z, Complex::norm),
        Pixels::C64(p) => plane(p.view(), channel, z, |v| v.norm() as f32),
    };
    plane.mapv_inplace(|value| {
        let is_none = facts.zero_is_invalid && !zero_is_none && value == 0.0;
        let is_value = value.is_finite() && !is_none;
        if is_value { value } else { f32::NAN }
    });
    plane
}

fn plane<T: Copy>(
    pixels: ArrayView4<'_, T>,
    channel: usize,
    z: usize,
    value: impl Fn(T) -> f32,
) -> Array2<f32> {
    pixels.index_axis(Axis(0), channel).index_axis(Axis(0), z).mapv(value)
}

/// The plane as integers.
///
/// Integers of 16 bits stay as they are. Others become whole multiples of a quantum: that of the unit
/// (1 ms for T1, 0.1 for other times, percent and degrees, 0.001 for ratios and diffusivities), or the
/// smallest tenfold of it that all values fit with; for pictures, whose scale is arbitrary, 1, 2 or 5
/// times a power of ten.
pub fn stored(image: &Image, facts: &ImageFacts, channel: usize, z: usize) -> StoredPlane {
    let values = values(image, facts, channel, z);
    let (low, high) = values
        .iter()
        .filter(|value| value.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(f64::from(*value)), high.max(f64::from(*value)))
        });
    let range = if low <= high { [low, high] } else { [0.0, 0.0] };
    let has_gaps = values.iter().any(|value| value.is_nan());
    let (slope, intercept) = image_facts::rescale(image);
    let zero_is_free = facts.zero_is_invalid;
    // The stored number whose value is 0, or 0 itself.
    let zero_is_none = image_facts::stored_zero_is_none(image);
    let gap = Some(if zero_is_none { 0.0 } else { -intercept / slope })
        .filter(|gap| zero_is_free && gap.fract() == 0.0 && (-32768.0..=32767.0).contains(gap))
        .map(|gap| gap as i32);
    let kept = |pixels: Vec<u16>, is_signed| StoredPlane {
        pixels,
        is_signed,
        slope,
        intercept,
        padding: gap,
        range,
    };
    match &image.pixels {
        // Most viewers are happier with a sign.
        Pixels::U16(pixels) => {
            let pixels = pixels.index_axis(Axis(0), channel);
            let pixels: Vec<u16> = pixels.index_axis(Axis(0), z).iter().copied().collect();
            let is_signed = pixels.iter().all(|pixel| *pixel <= i16::MAX as u16);
            return kept(pixels, is_signed);
        }
        Pixels::I16(pixels) => {
            let pixels = pixels.index_axis(Axis(0), channel);
            let pixels = pixels.index_axis(Axis(0), z).iter().map(|v| v.cast_unsigned()).collect();
            return kept(pixels, true);
        }
        _ => {}
    }
    let peak = low.abs().max(high.abs());
    let peak = if peak.is_finite() { peak } else { 0.0 };
    let slope = match quantum(facts) {
        Some(finest) => {
            let mut decades = 0;
            while peak / decade(finest, decades) > MAX_SIGNED {
                decades += 1;
            }
            decade(finest, decades)
        }
        None => picture_quantum(peak),
    };
    let padding = if zero_is_free { Some(0) } else { has_gaps.then_some(i32::from(i16::MIN)) };
    let gap = padding.map_or(0, |padding| padding as i16);
    let pixel = |value: &f32| {
        if value.is_nan() {
            return gap;
        }
        let value = f64::from(*value) / slope;
        let pixel = value.round().clamp(-MAX_SIGNED, MAX_SIGNED) as i16;
        // A value that there is must not look like none.
        if zero_is_free && pixel == 0 { if value < 0.0 { -1 } else { 1 } } else { pixel }
    };
    let pixels = values.iter().map(|value| pixel(value).cast_unsigned()).collect();
    StoredPlane { pixels, is_signed: true, slope, intercept: 0.0, padding, range }
}

/// `finest` times 10 to the power of `decades`, the closest number to it.
fn decade(finest: f64, decades: i32) -> f64 {
    let exponent = finest.log10().round() as i32 + decades;
    if exponent < 0 { 1.0 / 10_f64.powi(-exponent) } else { 10_f64.powi(exponent) }
}

/// The smallest of 1, 2 and 5 times a power of ten that leads to `peak` with integers of 16 bits.
fn picture_quantum(peak: f64) -> f64 {
    let least = peak / MAX_SIGNED;
    if least < 1e-30 {
        return 1.0;
    }
    let exponent = least.log10().floor() as i32;
    [1.0, 2.0, 5.0, 10.0]
        .map(|factor: f64| {
            if exponent < 0 {
                factor / 10_f64.powi(-exponent)
            } else {
                factor * 10_f64.powi(exponent)
            }
        })
        .into_iter()
        .find(|quantum| *quantum >= least)
        .unwrap_or(least)
}

/// Centre and width of a window over the values: what the image says, or from its 0.5th to its 99.5th
/// percentile.
pub fn window(facts: &ImageFacts, values: &Array2<f32>) -> [f64; 2] {
    if let Some(window) = facts.window {
        return window;
    }
    let mut sorted: Vec<f32> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f32::total_cmp);
    let at = |share: f64| {
        let place = share * sorted.len().saturating_sub(1) as f64;
        sorted.get(place.round() as usize).copied().map_or(0.0, f64::from)
    };
    let (low, high) = (at(0.005), at(0.995));
    let low = if low > 0.0 { 0.0 } else { low };
    // A width of 0 is not allowed.
    [(low + high) / 2.0, (high - low).max(high.abs() * 1e-3).max(1e-6)]
}

/// What the third value of Image Type says.
pub fn component(image: &Image) -> &'static str {
    match image.image_type() {
        Some(ImageType::Phase) => "P",
        Some(ImageType::Real) => "R",
        Some(ImageType::Imag) => "I",
        _ => "M",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ismrmrd::{DataType, ImageHeader, Meta};
    use ndarray::{Array3, Array4};
    use pipeline::{ParametricMap, Presentation, Unit};

    fn map(quantity: &str, unit: Unit, values: &[f32], pixels: DataType) -> Vec<Image> {
        let values = Array3::from_shape_fn((1, 1, values.len()), |(.., x)| values[x]);
        ParametricMap {
            quantity: quantity.to_owned(),
            unit,
            header: ImageHeader::default(),
            meta: Meta::new(),
            sd: Some(values.mapv(|value| value / 100.0)),
            values,
            r_squared: None,
            verdict: None,
            presentation: Presentation::default(),
        }
        .into_images_as(pixels, u16::MAX.into())
    }

    fn read(plane: &StoredPlane) -> Vec<Option<f64>> {
        let value = |pixel: &u16| {
            let pixel =
                if plane.is_signed { i32::from(pixel.cast_signed()) } else { i32::from(*pixel) };
            (Some(pixel) != plane.padding).then(|| f64::from(pixel) * plane.slope + plane.intercept)
        };
        plane.pixels.iter().map(value).collect()
    }

    #[test]
    fn pixels_lead_back_to_the_map_within_half_a_quantum() {
        let truth = [0.0, 0.06, 51.27, 1234.56, 4999.9, f32::NAN, f32::INFINITY];
        for (quantity, unit, quantum) in [
            ("T1", Unit::Ms, 1.0),
            ("T2", Unit::Ms, 1.0),
            ("ECV", Unit::Percent, 1.0),
            ("MD", Unit::MicrometerSquaredPerMs, 1.0),
        ] {
            let images = map(quantity, unit, &truth, DataType::F32);
            let facts = ImageFacts::of(&images[0]);
            let plane = stored(&images[0], &facts, 0, 0);
            assert_eq!((plane.slope, plane.padding), (quantum, Some(0)), "{quantity}");
            for (value, truth) in read(&plane).into_iter().zip(truth) {
                match value {
                    // 0.06 has no integer of its own and must not become "none".
                    Some(value) if truth == 0.06 => assert_eq!(value, quantum),
                    Some(value) => assert!((value - f64::from(truth)).abs() <= quantum / 2.0),
                    None => assert!(truth == 0.0 || !truth.is_finite()),
                }
            }
            let facts = ImageFacts::of(&images[1]);
            let sd = stored(&images[1], &facts, 0, 0);
            assert!(sd.slope <= 0.1, "{quantity}: {}", sd.slope);
        }
        let images = map("T2", Unit::Ms, &[45.26], DataType::F32);
        let plane = stored(&images[0], &ImageFacts::of(&images[0]), 0, 0);
        assert_eq!((plane.slope, plane.pixels[0]), (0.1, 453));
    }

    #[test]
    fn integers_stay_as_they_are_with_their_slope() {
        let images = map("ECV", Unit::Percent, &[26.34, 0.0], DataType::U16);
        let plane = stored(&images[0], &ImageFacts::of(&images[0]), 0, 0);
        assert_eq!((plane.pixels.as_slice(), plane.slope), (&[263, 0][..], 0.1));
        let large = Array4::from_shape_vec((1, 1, 1, 2), vec![7_u16, 40_000]).expect("it fits");
        let image = Image::new(ImageHeader::default(), Meta::new(), large);
        let plane = stored(&image, &ImageFacts::of(&image), 0, 0);
        assert_eq!((plane.is_signed, plane.slope, plane.padding), (false, 1.0, None));
        assert_eq!(plane.range, [7.0, 40_000.0]);
    }

    #[test]
    fn pictures_of_any_scale_keep_four_digits_and_gaps_are_told_from_0() {
        for peak in [3.3e-9_f32, 0.7, 1.0, 3.2e7] {
            let pixels =
                Array4::from_shape_vec((1, 1, 1, 4), vec![0.0, peak, -peak / 3.0, f32::NAN])
                    .expect("it fits");
            let image = Image::new(ImageHeader::default(), Meta::new(), pixels);
            let plane = stored(&image, &ImageFacts::of(&image), 0, 0);
            assert!(plane.slope <= f64::from(peak) / 6553.0, "{}", plane.slope);
            let values = read(&plane);
            assert_eq!((values[0], values[3]), (Some(0.0), None));
            for (place, truth) in [(1, peak), (2, -peak / 3.0)] {
                let value = values[place].expect("a value");
                assert!((value - f64::from(truth)).abs() <= plane.slope * 0.5001);
            }
        }
        let image =
            Image::new(ImageHeader::default(), Meta::new(), Array4::<f32>::zeros((1, 1, 1, 1)));
        assert_eq!(stored(&image, &ImageFacts::of(&image), 0, 0).slope, 1.0);
    }
}
