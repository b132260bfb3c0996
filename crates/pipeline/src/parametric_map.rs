//! Values with a unit: T1, T2, T2* and their like.

use ismrmrd::{Image, ImageHeader, ImageType, Meta};
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
            Self::Ratio => "",
        }
    }
}

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
    /// Meta attributes of the source images.
    pub meta: Meta,
    /// Values: `[z, y, x]`, 0 is invalid.
    pub values: Array3<f32>,
    /// Standard deviation of each value: `[z, y, x]`, 0 is invalid.
    pub sd: Option<Array3<f32>>,
    /// Whether it can be used, and why not.
    pub verdict: Option<Verdict>,
}

impl ParametricMap {
    /// The values as an image of 32-bit floats, with role, unit and verdict in its meta
    /// attributes in both vocabularies; and where there are standard deviations, these as a
    /// second one in the series after the map's.
    pub fn into_images(self) -> Vec<Image> {
        let Self { quantity, unit, mut header, mut meta, values, sd, verdict } = self;
        header.image_type = ImageType::Magnitude as u16;
        match &verdict {
            Some(Verdict::Accept) => meta.set("BoresideVerdict", "accept"),
            Some(Verdict::Check(reason)) => meta.set("BoresideVerdict", format!("check: {reason}")),
            Some(Verdict::Repeat(reason)) => {
                meta.set("BoresideVerdict", format!("repeat: {reason}"));
            }
            None => {}
        }
        let image = |role: String, values: Array3<f32>, header: ImageHeader| {
            let mut meta = meta.clone();
            meta.set("DataRole", "Quantitative");
            meta.set("GADGETRON_DataRole", role.clone());
            meta.set("RescaleSlope", "1");
            meta.set("RescaleIntercept", "0");
            let comment = format!("{role} x1 {}", unit.symbol());
            // That a gadget was left out is said as well.
            let is_marked = unprocessed::is_marked(&meta);
            for key in ["ImageComments", "GADGETRON_ImageComment"] {
                let before = meta.remove(key).filter(|_| is_marked).unwrap_or_default();
                meta.set_all(key, std::iter::once(comment.trim_end().to_owned()).chain(before));
            }
            Image::new(header, meta, values.insert_axis(ndarray::Axis(0)))
        };
        // A series holds images of one kind.
        let image_series_index = header.image_series_index.wrapping_add(1);
        let sd_header = ImageHeader { image_series_index, ..header };
        let sd = sd.map(|sd| image(format!("{quantity}SD"), sd, sd_header));
        std::iter::once(image(quantity, values, header)).chain(sd).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_images_of_a_map_say_what_they_are_and_in_which_unit() {
        let map = ParametricMap {
            quantity: "T1".to_owned(),
            unit: Unit::Ms,
            header: ImageHeader { slice: 3, ..ImageHeader::default() },
            meta: Meta::default(),
            values: Array3::from_elem((1, 2, 3), 1200.0),
            sd: Some(Array3::from_elem((1, 2, 3), 20.0)),
            verdict: Some(Verdict::Check("motion of 4 px".to_owned())),
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
}
