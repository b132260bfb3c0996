//! Values with a unit: T1, T2, T2* and their like.

use ismrmrd::{DataType, Image, ImageHeader, ImageType, Meta};
use ndarray::Array3;

use crate::unprocessed;

/// What the values of a map are measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Milliseconds.
    Ms,
    /// Percent.
    Percent,
    /// Multiples of the noise's standard deviation.
    Snr,
    /// 10⁻³ mm²/s.
    MicrometerSquaredPerMs,
    /// Degrees.
    Deg,
    /// Degrees by a percent of a way, such as the thickness of a wall.
    DegPerPercent,
    /// A ratio.
    Ratio,
}

impl Unit {
    /// The unit as people read it; empty for a ratio.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Ms => "ms",
            Self::Percent => "%",
            Self::Snr => "SNR",
            Self::MicrometerSquaredPerMs => "10^-3 mm^2/s",
            Self::Deg => "deg",
            Self::DegPerPercent => "deg/%",
            Self::Ratio => "",
        }
    }

    /// What values are multiplied by where they become integers: milliseconds go as they are, so
    /// that a pixel can be read without a slope.
    pub fn integer_scale(self) -> f32 {
        match self {
            Self::Ms => 1.0,
            Self::Percent | Self::Snr | Self::Deg => 10.0,
            Self::MicrometerSquaredPerMs | Self::Ratio | Self::DegPerPercent => 1000.0,
        }
    }
}

/// How one of a map's images is shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    /// Centre and width of the window, in the map's unit.
    pub window: Option<[f64; 2]>,
    /// Name of the palette file on the scanner, e.g. `GadgetronT1_IR_1_5T.pal`.
    pub palette_file: Option<String>,
    /// The colour map that is recommended for the quantity: a name of [`crate::palette::Colors`].
    pub color_map: Option<&'static str>,
    /// Series of its images; [`None`]: that of the header, and those after it.
    pub series_index: Option<u16>,
    /// What values are multiplied by where they become integers, if not [`Unit::integer_scale`].
    pub integer_scale: Option<f32>,
    /// What is added to values, in the map's unit, before they become integers: for values with a
    /// sign, such as angles. 0 stays what is stored where there is no value.
    pub integer_offset: f32,
}

/// How a map's images are shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Presentation {
    /// The values.
    pub values: View,
    /// Their standard deviations.
    pub sd: View,
    /// The goodness of fit.
    pub r_squared: View,
}

impl View {
    /// `WindowCenter` and `WindowWidth` are in the map's unit; Gadgetron's keys are in what is
    /// stored, values with `offset` times `scale`. All four are whole numbers for clients: a window
    /// of which these would make another is left out of them, and [`WINDOW_KEY`] says it.
    fn write(&self, meta: &mut Meta, scale: f32, offset: f32) {
        // Those of the source images are for other values.
        let others = ["LUTFileName", "GADGETRON_ColorMap", WINDOW_KEY];
        for key in WINDOW_KEYS.into_iter().chain(others) {
            meta.remove(key);
        }
        if let Some([center, width]) = self.window {
            let (scale, offset) = (f64::from(scale), f64::from(offset));
            let stored = [scale * (center + offset), scale * width];
            for (keys, window) in WINDOW_KEYS.chunks(2).zip([[center, width], stored]) {
                let is_whole = |value: &f64| (value - value.round()).abs() <= 0.02 * window[1];
                if window.iter().all(is_whole) {
                    for (key, value) in keys.iter().zip(window) {
                        meta.set(key, value.round());
                    }
                } else {
                    meta.set(WINDOW_KEY, format!("{center} {width}"));
                }
            }
        }
        if let Some(file) = &self.palette_file {
            meta.set("LUTFileName", file.as_str());
            meta.set("GADGETRON_ColorMap", file.as_str());
        }
        if let Some(name) = self.color_map {
            meta.set("BoresideColorMap", name);
        }
    }
}

/// Meta attribute: centre and width of a window in the map's unit where whole numbers would be
/// another one.
pub const WINDOW_KEY: &str = "BoresideWindow";

/// Centre and width of the window that an image asks for, in its unit.
pub fn window_of(meta: &Meta) -> Option<[f64; 2]> {
    let exact = meta.get(WINDOW_KEY).and_then(|text| {
        let numbers: Vec<f64> =
            text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        <[f64; 2]>::try_from(numbers).ok()
    });
    let whole = || Some([meta.get_f64("WindowCenter")?, meta.get_f64("WindowWidth")?]);
    let is_window =
        |[center, width]: &[f64; 2]| center.is_finite() && width.is_finite() && *width > 0.0;
    exact.or_else(whole).filter(is_window)
}

const WINDOW_KEYS: [&str; 4] =
    ["WindowCenter", "WindowWidth", "GADGETRON_WindowCenter", "GADGETRON_WindowWidth"];

/// Meta attribute: what else is to be said of a map, for its comment.
pub const REMARK_KEY: &str = "BoresideRemark";

/// Whether a map can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Use it.
    Accept,
    /// Look at it first: the reason in plain words.
    Check(String),
    /// Scan again: the reason in plain words.
    Repeat(String),
}

/// A map: its values cannot be had without their unit.
#[derive(Clone, Debug)]
pub struct ParametricMap {
    /// What the values are, in the words of Gadgetron's data roles: `T1`, `T2STAR`, …
    pub quantity: String,
    /// Unit of the values and of their standard deviation.
    pub unit: Unit,
    /// Geometry and counters of the source images.
    pub header: ImageHeader,
    /// Meta attributes of the source images. What `BoresideRemark` says goes into the comments.
    pub meta: Meta,
    /// Values: `[z, y, x]`, 0 is invalid.
    pub values: Array3<f32>,
    /// Standard deviation of each value: `[z, y, x]`, 0 is invalid.
    pub sd: Option<Array3<f32>>,
    /// R² of each fit: `[z, y, x]`. It is sent only where it is given.
    pub r_squared: Option<Array3<f32>>,
    /// Whether it can be used, and why not.
    pub verdict: Option<Verdict>,
    /// How it is shown.
    pub presentation: Presentation,
}

impl ParametricMap {
    /// The values as an image of 32-bit floats, with role, unit, window and verdict in its meta
    /// attributes in both vocabularies; and where there are standard deviations or R², these as
    /// images of series of their own.
    pub fn into_images(self) -> Vec<Image> {
        self.into_images_as(DataType::F32, u16::MAX.into())
    }

    /// The same with the pixel type that a chain promises. Integers are values times
    /// [`Unit::integer_scale`], with slope and intercept that lead back to them; a value above
    /// `max_stored`, or below what [`View::integer_offset`] lifts above 0, becomes 0, invalid, and
    /// never another value.
    pub fn into_images_as(self, pixels: DataType, max_stored: i64) -> Vec<Image> {
        let Self { quantity, unit, mut header, mut meta, values, sd, r_squared, .. } = self;
        let Presentation { values: view, sd: sd_view, r_squared: r_squared_view } =
            self.presentation;
        header.image_type = ImageType::Magnitude as u16;
        let remark = match &self.verdict {
            Some(Verdict::Accept) => Some("accept".to_owned()),
            Some(Verdict::Check(reason)) => Some(format!("check: {reason}")),
            Some(Verdict::Repeat(reason)) => Some(format!("repeat: {reason}")),
            None => None,
        };
        if let Some(remark) = &remark {
            meta.set("BoresideVerdict", remark.as_str());
        }
        let first_series = view.series_index.unwrap_or(header.image_series_index);
        let image = |role: String, unit: Unit, values: Array3<f32>, view: View, series_after| {
            let mut meta = meta.clone();
            let is_float = matches!(pixels, DataType::F32 | DataType::F64);
            let of_unit = || unit.integer_scale();
            let scale = if is_float { 1.0 } else { view.integer_scale.unwrap_or_else(of_unit) };
            let offset = if is_float { 0.0 } else { view.integer_offset };
            meta.set("DataRole", "Quantitative");
            meta.set("GADGETRON_DataRole", role.clone());
            meta.set("RescaleSlope", 1.0 / f64::from(scale));
            // No -0.
            meta.set("RescaleIntercept", 0.0 - offset);
            meta.set("GADGETRON_ScaleRatio", scale);
            meta.set("GADGETRON_ScaleOffset", offset * scale);
            meta.set("BoresideUnit", unit.symbol());
            view.write(&mut meta, scale, offset);
            for key in ["SequenceDescriptionAdditional", "GADGETRON_SeqDescription"] {
                meta.set(key, role.as_str());
            }
            let added = if offset == 0.0 { String::new() } else { format!("(+{offset}) ") };
            let comment = format!("{role} {added}x{scale} {}", unit.symbol());
            let comment = comment.trim_end().to_owned();
            // That a gadget was left out is said as well.
            let is_marked = unprocessed::is_marked(&meta);
            for key in ["ImageComments", "GADGETRON_ImageComment"] {
                let before = meta.remove(key).filter(|_| is_marked).unwrap_or_default();
                let comments = std::iter::once(comment.clone()).chain(remark.clone());
                // Remarks are about the values.
                let remarks =
                    if series_after == 0 { meta.values(REMARK_KEY).to_vec() } else { Vec::new() };
                meta.set_all(key, comments.chain(remarks).chain(before));
            }
            let image_series_index =
                view.series_index.unwrap_or(first_series.wrapping_add(series_after));
            let header = ImageHeader { image_series_index, ..header };
            let values = values.insert_axis(ndarray::Axis(0));
            let stored = |value: f32| {
                if offset != 0.0 && (value == 0.0 || value.is_nan()) {
                    return 0.0;
                }
                let stored = ((value + offset) * scale).round();
                // The lowest value is one: 0 is none.
                let stored = if offset != 0.0 && stored == 0.0 { 1.0 } else { stored };
                if stored >= 0.0 && stored <= max_stored as f32 { stored } else { 0.0 }
            };
            match pixels {
                DataType::U16 => {
                    Image::new(header, meta, values.mapv(|value| stored(value) as u16))
                }
                DataType::I16 => {
                    Image::new(header, meta, values.mapv(|value| stored(value) as i16))
                }
                DataType::U32 => {
                    Image::new(header, meta, values.mapv(|value| stored(value) as u32))
                }
                DataType::I32 => {
                    Image::new(header, meta, values.mapv(|value| stored(value) as i32))
                }
                _ => Image::new(header, meta, values),
            }
        };
        let sd = sd.map(|sd| image(format!("{quantity}SD"), unit, sd, sd_view, 1));
        let r_squared = r_squared.map(|r_squared| {
            image(format!("{quantity}R2"), Unit::Ratio, r_squared, r_squared_view, 2)
        });
        std::iter::once(image(quantity, unit, values, view, 0)).chain(sd).chain(r_squared).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ismrmrd::Pixels;

    #[test]
    fn the_images_of_a_map_say_what_they_are_and_in_which_unit() {
        let map = ParametricMap {
            quantity: "T1".to_owned(),
            unit: Unit::Ms,
            header: ImageHeader { slice: 3, ..ImageHeader::default() },
            meta: Meta::default(),
            values: Array3::from_elem((1, 2, 3), 1200.0),
            sd: Some(Array3::from_elem((1, 2, 3), 20.0)),
            r_squared: None,
            verdict: Some(Verdict::Check("motion of 4 px".to_owned())),
            presentation: Presentation::default(),
        };
        let images = map.into_images();
        assert_eq!(images.len(), 2);
        assert_eq!(images[0].meta.get("GADGETRON_DataRole"), Some("T1"));
        assert_eq!(images[1].meta.get("GADGETRON_DataRole"), Some("T1SD"));
        assert_eq!(images[0].meta.get("ImageComments"), Some("T1 x1 ms"));
        assert_eq!(images[0].meta.get("BoresideVerdict"), Some("check: motion of 4 px"));
        assert_eq!({ images[1].header.matrix_size }, [3, 2, 1]);
        assert_eq!({ images[1].header.slice }, 3);
        let series = [&images[0], &images[1]].map(|image| image.header.image_series_index);
        assert_eq!(series, [0, 1]);
    }

    #[test]
    fn integers_lead_back_to_values_and_none_is_cut_to_another() {
        let map = ParametricMap {
            quantity: "ECV".to_owned(),
            unit: Unit::Percent,
            header: ImageHeader::default(),
            meta: Meta::from_iter([("WindowCenter", "7")]),
            values: Array3::from_shape_fn((1, 1, 3), |(.., x)| [26.34, 500.0, f32::NAN][x]),
            sd: None,
            r_squared: Some(Array3::from_elem((1, 1, 3), 0.987)),
            verdict: Some(Verdict::Accept),
            presentation: Presentation {
                values: View {
                    window: Some([40.0, 80.0]),
                    series_index: Some(7),
                    ..View::default()
                },
                ..Presentation::default()
            },
        };
        let images = map.into_images_as(DataType::U16, 4095);
        let Pixels::U16(pixels) = &images[0].pixels else { panic!("u16 was asked for") };
        assert_eq!(pixels.iter().copied().collect::<Vec<_>>(), [263, 0, 0]);
        assert_eq!(
            images[0].meta.get_f64("RescaleSlope").map(|slope| (1.0 / slope).round()),
            Some(10.0)
        );
        assert_eq!(images[0].meta.get("WindowCenter"), Some("40"));
        assert_eq!(images[0].meta.get("GADGETRON_WindowCenter"), Some("400"), "as it is stored");
        assert_eq!(images[1].meta.get("WindowCenter"), None, "a window of the source images");
        assert_eq!({ images[0].header.image_series_index }, 7);
        assert_eq!({ images[1].header.image_series_index }, 9);
        assert_eq!(images[1].meta.get("GADGETRON_DataRole"), Some("ECVR2"));
        assert_eq!(images[0].meta.values("ImageComments"), ["ECV x10 %", "accept"]);
    }

    #[test]
    fn values_with_a_sign_keep_it_as_integers_and_0_stays_invalid() {
        let angles = [-90.0, -45.26, 0.0, 90.0, f32::NAN, -120.0];
        let map = ParametricMap {
            quantity: "HA".to_owned(),
            unit: Unit::Deg,
            header: ImageHeader::default(),
            meta: Meta::default(),
            values: Array3::from_shape_fn((1, 1, 6), |(.., x)| angles[x]),
            sd: None,
            r_squared: None,
            verdict: None,
            presentation: Presentation {
                values: View {
                    window: Some([0.0, 180.0]),
                    integer_offset: 90.0,
                    ..View::default()
                },
                ..Presentation::default()
            },
        };
        let floats = map.clone().into_images();
        assert_eq!(floats[0].meta.get("RescaleIntercept"), Some("0"));
        let images = map.into_images_as(DataType::U16, 4095);
        let Pixels::U16(pixels) = &images[0].pixels else { panic!("u16 was asked for") };
        assert_eq!(pixels.iter().copied().collect::<Vec<_>>(), [1, 447, 0, 1800, 0, 0]);
        let meta = &images[0].meta;
        let (slope, intercept) = (meta.get_f64("RescaleSlope"), meta.get_f64("RescaleIntercept"));
        let back = 447.0 * slope.expect("a slope") + intercept.expect("an intercept");
        // Half of a tenth of a degree.
        assert!((back + 45.26).abs() <= 0.05, "{back}");
        assert_eq!(meta.get("GADGETRON_ScaleOffset"), Some("900"));
        assert_eq!(meta.get("WindowCenter"), Some("0"));
        assert_eq!(meta.get("GADGETRON_WindowCenter"), Some("900"));
        assert_eq!(meta.get("ImageComments"), Some("HA (+90) x10 deg"));
    }

    #[test]
    fn a_window_that_is_no_whole_numbers_is_told_as_it_is_and_never_as_another() {
        let view = View { window: Some([0.5, 1.0]), ..View::default() };
        let mut meta = Meta::default();
        view.write(&mut meta, 1000.0, 0.0);
        assert_eq!(window_of(&meta), Some([0.5, 1.0]));
        assert_eq!(meta.get("WindowCenter"), None);
        assert_eq!(meta.get("GADGETRON_WindowCenter"), Some("500"), "as it is stored");
        view.write(&mut meta, 1.0, 0.0);
        assert_eq!(meta.get("GADGETRON_WindowCenter"), None);
        let view = View { window: Some([60.0, 120.0]), ..View::default() };
        view.write(&mut meta, 10.0, 0.0);
        assert_eq!((window_of(&meta), meta.get(WINDOW_KEY)), (Some([60.0, 120.0]), None));
    }
}
