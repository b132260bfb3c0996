//! What a map says of the heart's wall: mean and spread, whole and by AHA segment.

use std::convert::Infallible;

use ismrmrd::{Image, ImageHeader};
use ndarray::{Array2, ArrayView2, Axis};
use numerics::relaxation::iron_mg_per_g;
use pipeline::{Gadget, ParametricMap, Scan, Sink};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::appearance::field_strength_t;

/// Where along the ventricle the slice lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Segments 1 to 6.
    Basal,
    /// Segments 7 to 12.
    #[default]
    Mid,
    /// Segments 13 to 16.
    Apical,
}

/// Reports mean and spread of a map in the wall that a segmentation has found.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Data role of the masks, as `apply_model` writes it.
    pub mask_role: String,
    /// Class of the wall in the masks.
    pub myocardium_class: u16,
    /// Class of the left ventricle's blood.
    pub left_blood_class: u16,
    /// Class of the right ventricle's blood, whose side is the septum.
    pub right_blood_class: u16,
    /// Where along the ventricle the slices lie.
    pub level: Level,
    /// Lower end of the reference range, where it is not that of the field strength.
    pub reference_low: Option<f64>,
    /// Upper end of the reference range.
    pub reference_high: Option<f64>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mask_role: "LV segmentation".to_owned(),
            myocardium_class: 1,
            left_blood_class: 2,
            right_blood_class: 3,
            level: Level::Mid,
            reference_low: None,
            reference_high: None,
        }
    }
}

pipeline::message_set! {
    /// Maps and the masks that follow them.
    pub enum MapsAndMasks { ParametricMap, Image }
}

/// A part of the wall with fewer pixels has no mean.
const LEAST_PIXELS: usize = 5;

/// Reports mean and spread of a map in the wall that a segmentation has found.
pub struct ReportSegments {
    config: Config,
    field_strength_t: Option<f64>,
    /// Maps whose mask is to come.
    waiting: Vec<ParametricMap>,
}

impl Gadget for ReportSegments {
    const NAME: &str = "report_segments";
    const KEEPS_KIND: bool = true;
    type Config = Config;
    type Input = MapsAndMasks;
    type Output = MapsAndMasks;
    type Error = Infallible;

    fn new(config: Config, scan: &Scan) -> Result<Self, Infallible> {
        Ok(Self { config, field_strength_t: field_strength_t(scan), waiting: Vec::new() })
    }

    fn process(&mut self, message: MapsAndMasks, out: &mut Sink<Self>) -> Result<(), Infallible> {
        match message {
            // A model has seen it: its mask comes next.
            MapsAndMasks::ParametricMap(map) if map.meta.get("BoresideMeasurement").is_some() => {
                self.waiting.push(map);
            }
            MapsAndMasks::ParametricMap(map) => out.push(map),
            MapsAndMasks::Image(image) => {
                if image.meta.get("GADGETRON_DataRole") == Some(self.config.mask_role.as_str()) {
                    let (slice, repetition) = (image.header.slice, image.header.repetition);
                    let is_its = |map: &ParametricMap| {
                        (map.header.slice, map.header.repetition) == (slice, repetition)
                    };
                    if let Some(place) = self.waiting.iter().position(is_its) {
                        let mut map = self.waiting.remove(place);
                        self.report(&mut map, &image);
                        out.push(map);
                    }
                }
                out.push(image);
            }
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Sink<Self>) -> Result<(), Infallible> {
        self.waiting.drain(..).for_each(|map| out.push(map));
        Ok(())
    }
}

/// Mean, standard deviation and number of pixels.
#[derive(Clone, Copy)]
struct Summary {
    mean: f64,
    sd: f64,
    n: usize,
}

impl Summary {
    fn of(values: &[f64]) -> Option<Self> {
        let n = values.len();
        if n < LEAST_PIXELS {
            return None;
        }
        let mean = values.iter().sum::<f64>() / n as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Some(Self { mean, sd: (squares / (n - 1) as f64).sqrt(), n })
    }

    fn json(&self) -> Value {
        let digit = |value: f64| (10.0 * value).round() / 10.0;
        json!({ "mean": digit(self.mean), "sd": digit(self.sd), "n_pixels": self.n })
    }
}

impl ReportSegments {
    fn report(&self, map: &mut ParametricMap, mask: &Image) {
        let labels = mask.pixels.to_magnitude();
        let (channels, z, ..) = labels.dim();
        if channels != 1 || z != 1 || map.values.len_of(Axis(0)) != 1 {
            return;
        }
        let labels = labels.index_axis(Axis(0), 0).index_axis_move(Axis(0), 0).mapv(|v| v as u16);
        let values = map.values.index_axis(Axis(0), 0);
        if labels.dim() != values.dim() {
            return;
        }
        let wall = core(&labels, self.config.myocardium_class);
        let pixels = || wall.indexed_iter().filter(|(place, is)| **is && values[*place] > 0.0);
        let all: Vec<f64> = pixels().map(|(place, _)| values[place].into()).collect();
        let Some(whole) = Summary::of(&all) else { return };
        let mut report = json!({
            "quantity": map.quantity,
            "unit": map.unit.symbol(),
            "myocardium": whole.json(),
        });
        let axes = self.axes(labels.view(), &map.header);
        if let Some((center, septal, anterior)) = axes {
            let parts = segments(self.config.level);
            let mut of_part = vec![Vec::new(); parts.len()];
            for (place, _) in pixels() {
                let (dy, dx) = (place.0 as f64 - center[0], place.1 as f64 - center[1]);
                let along = |axis: [f64; 2]| dy * axis[0] + dx * axis[1];
                let angle_deg = along(anterior).atan2(along(septal)).to_degrees();
                let width_deg = 360.0 / parts.len() as f64;
                // Four segments lie around the septum's middle, of six two meet in it.
                let first_deg = if parts.len() == 4 { -45.0 } else { 0.0 };
                let part = ((angle_deg - first_deg).rem_euclid(360.0) / width_deg) as usize;
                of_part[part.min(parts.len() - 1)].push(f64::from(values[place]));
            }
            let segments: Vec<Value> = parts
                .iter()
                .zip(&of_part)
                .filter_map(|((number, name), values)| {
                    let mut segment = Summary::of(values)?.json();
                    segment["aha"] = json!(number);
                    segment["name"] = json!(name);
                    Some(segment)
                })
                .collect();
            report["segments"] = Value::Array(segments);
        }
        let mut remark =
            format!("myocardium {:.0} ± {:.0} {}", whole.mean, whole.sd, map.unit.symbol());
        if let Some([low, high]) = self.reference_range(&map.quantity) {
            let is_inside = (low..=high).contains(&whole.mean);
            report["reference_range"] = json!([low, high]);
            report["is_in_reference_range"] = json!(is_inside);
            let word = if is_inside { "in" } else { "outside of" };
            remark += &format!(", {word} the reference range {low:.0} to {high:.0}");
        }
        let is_1_5_t = self.field_strength_t.is_some_and(|field| (field - 1.5).abs() < 0.1);
        if map.quantity == "T2STAR"
            && is_1_5_t
            && let Some(iron) = iron_mg_per_g(whole.mean)
        {
            report["iron_mg_per_g"] = json!((100.0 * iron).round() / 100.0);
        }
        map.meta.append("BoresideMeasurement", report.to_string());
        map.meta.append("BoresideRemark", remark);
    }

    /// Centre (y, x) of the left ventricle, and unit vectors (y, x) towards the middle of the septum
    /// and, across it, towards the anterior wall.
    fn axes(
        &self,
        labels: ArrayView2<'_, u16>,
        header: &ImageHeader,
    ) -> Option<([f64; 2], [f64; 2], [f64; 2])> {
        let center_of = |classes: &[u16]| -> Option<[f64; 2]> {
            let inside = labels.indexed_iter().filter(|(_, label)| classes.contains(label));
            let (mut y, mut x, mut n) = (0.0, 0.0, 0.0);
            for (place, _) in inside {
                (y, x, n) = (y + place.0 as f64, x + place.1 as f64, n + 1.0);
            }
            (n >= LEAST_PIXELS as f64).then(|| [y / n, x / n])
        };
        let left = center_of(&[self.config.left_blood_class, self.config.myocardium_class])?;
        let right = center_of(&[self.config.right_blood_class])?;
        let (dy, dx) = (right[0] - left[0], right[1] - left[1]);
        let length = dy.hypot(dx);
        if length < 1.0 {
            return None;
        }
        let septal = [dy / length, dx / length];
        let across = [-septal[1], septal[0]];
        // Of the two directions across, the one that leads forward and up in the patient (LPS).
        let (rows, columns) = (header.read_dir, header.phase_dir);
        let towards = |axis: [f64; 2]| {
            let part = |n: usize| axis[0] * f64::from(columns[n]) + axis[1] * f64::from(rows[n]);
            part(2) - part(1)
        };
        let has_directions = rows.iter().chain(&columns).any(|value| *value != 0.0);
        let is_anterior = if has_directions { towards(across) >= 0.0 } else { across[0] < 0.0 };
        let anterior = if is_anterior { across } else { across.map(|value| -value) };
        Some((left, septal, anterior))
    }

    /// Mean ± 2 standard deviations of healthy hearts.
    ///
    /// T1 by MOLLI 5(3)3 and T2: Granitz et al. 2019. T2* at 3 T: Roy et al. 2017; at 1.5 T at
    /// least 20 ms. ECV: Dabir et al. 2014.
    fn reference_range(&self, quantity: &str) -> Option<[f64; 2]> {
        if let (Some(low), Some(high)) = (self.config.reference_low, self.config.reference_high) {
            return Some([low, high]);
        }
        let field = self.field_strength_t?;
        let is_1_5_t = (field - 1.5).abs() < 0.1;
        let is_3_t = (2.8..=3.1).contains(&field);
        match (quantity, is_1_5_t, is_3_t) {
            ("T1", true, _) => Some([934.0, 1058.0]),
            ("T1", _, true) => Some([1108.0, 1260.0]),
            ("T2", true, _) => Some([50.2, 61.4]),
            ("T2", _, true) => Some([45.6, 57.6]),
            ("T2STAR", true, _) => Some([20.0, 60.0]),
            ("T2STAR", _, true) => Some([14.0, 34.0]),
            ("ECV", true, _) => Some([17.0, 33.0]),
            ("ECV", _, true) => Some([18.0, 34.0]),
            _ => None,
        }
    }
}

/// Numbers and names from the septum's middle towards the anterior wall and round.
fn segments(level: Level) -> Vec<(u8, &'static str)> {
    match level {
        Level::Basal => vec![
            (2, "basal anteroseptal"),
            (1, "basal anterior"),
            (6, "basal anterolateral"),
            (5, "basal inferolateral"),
            (4, "basal inferior"),
            (3, "basal inferoseptal"),
        ],
        Level::Mid => vec![
            (8, "mid anteroseptal"),
            (7, "mid anterior"),
            (12, "mid anterolateral"),
            (11, "mid inferolateral"),
            (10, "mid inferior"),
            (9, "mid inferoseptal"),
        ],
        Level::Apical => vec![
            (14, "apical septal"),
            (13, "apical anterior"),
            (16, "apical lateral"),
            (15, "apical inferior"),
        ],
    }
}

/// Pixels of a class without its edge, which is mixed with what lies beyond; all of them where that
/// leaves less than a third.
fn core(labels: &Array2<u16>, class: u16) -> Array2<bool> {
    let (height, width) = labels.dim();
    let all = labels.mapv(|label| label == class);
    let core = Array2::from_shape_fn((height, width), |(y, x)| {
        let inside = y > 0 && x > 0 && y + 1 < height && x + 1 < width;
        inside
            && all[[y, x]]
            && all[[y - 1, x]]
            && all[[y + 1, x]]
            && all[[y, x - 1]]
            && all[[y, x + 1]]
    });
    let count = |mask: &Array2<bool>| mask.iter().filter(|is| **is).count();
    if 3 * count(&core) < count(&all) { all } else { core }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ismrmrd::Meta;
    use ismrmrd::xml::{AcquisitionSystemInformation, Header};
    use ndarray::{Array3, Array4};
    use pipeline::{Message, Presentation, Unit, run_gadget};

    /// A ring whose upper half, towards the patient's front, has another T1; the right ventricle
    /// to the left of the image.
    fn map_and_mask() -> (ParametricMap, Image) {
        let label = |y: usize, x: usize| -> u16 {
            let radius = (y as f64 - 32.0).hypot(x as f64 - 36.0);
            if radius < 10.0 {
                2
            } else if radius < 18.0 {
                1
            } else if (y as f64 - 32.0).hypot(x as f64 - 10.0) < 8.0 {
                3
            } else {
                0
            }
        };
        let values =
            Array3::from_shape_fn((1, 64, 64), |(_, y, _)| if y < 32 { 1200.0 } else { 1000.0 });
        let header = ImageHeader {
            read_dir: [1.0, 0.0, 0.0],
            phase_dir: [0.0, 1.0, 0.0],
            ..ImageHeader::default()
        };
        let map = ParametricMap {
            quantity: "T1".to_owned(),
            unit: Unit::Ms,
            header,
            meta: Meta::from_iter([("BoresideMeasurement", "{}")]),
            values,
            sd: None,
            r_squared: None,
            verdict: None,
            presentation: Presentation::default(),
        };
        let pixels = Array4::from_shape_fn((1, 1, 64, 64), |(_, _, y, x)| label(y, x));
        let meta = Meta::from_iter([("GADGETRON_DataRole", "LV segmentation")]);
        (map, Image::new(header, meta, pixels))
    }

    fn report(config: Config) -> (Value, ParametricMap) {
        let system = AcquisitionSystemInformation {
            system_field_strength_t: Some(1.5),
            ..Default::default()
        };
        let scan = Scan::with_header(Header {
            acquisition_system_information: Some(system),
            ..Default::default()
        });
        let (map, mask) = map_and_mask();
        let inputs = [MapsAndMasks::ParametricMap(map), MapsAndMasks::Image(mask)];
        let Ok((outputs, _)) = run_gadget::<ReportSegments>(config, &scan, inputs);
        let Some(Message::ParametricMap(map)) = outputs.into_iter().next() else {
            panic!("the map comes first")
        };
        let text = map.meta.values("BoresideMeasurement").last().cloned().expect("a report");
        (serde_json::from_str(&text).expect("JSON"), map)
    }

    #[test]
    fn segments_lie_where_the_american_heart_association_has_them() {
        let (report, map) = report(Config::default());
        let segments = report["segments"].as_array().expect("a list");
        let mean = |name: &str| {
            let segment = segments.iter().find(|segment| segment["name"] == name);
            segment.and_then(|segment| segment["mean"].as_f64()).expect(name)
        };
        assert_eq!(segments.len(), 6);
        // The patient's front is up in the image, the septum to the left.
        for (name, t1_ms) in [
            ("mid anterior", 1200.0),
            ("mid anteroseptal", 1200.0),
            ("mid anterolateral", 1200.0),
            ("mid inferior", 1000.0),
            ("mid inferoseptal", 1000.0),
            ("mid inferolateral", 1000.0),
        ] {
            assert!((mean(name) - t1_ms).abs() < 20.0, "{name}: {}", mean(name));
        }
        let whole = report["myocardium"]["mean"].as_f64().expect("a mean");
        assert!((whole - 1100.0).abs() < 10.0, "{whole}");
        assert_eq!(report["is_in_reference_range"], json!(false));
        let remark = map.meta.get("BoresideRemark").expect("a remark");
        assert!(remark.ends_with("outside of the reference range 934 to 1058"), "{remark}");
    }

    #[test]
    fn the_apex_has_four_segments_and_a_map_without_a_mask_is_not_held_back() {
        let (report, _) = report(Config { level: Level::Apical, ..Config::default() });
        let names: Vec<_> = report["segments"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|s| s["aha"].clone())
            .collect();
        assert_eq!(names, [json!(14), json!(13), json!(16), json!(15)]);
        let (map, _) = map_and_mask();
        let inputs = [MapsAndMasks::ParametricMap(map)];
        let Ok((outputs, _)) =
            run_gadget::<ReportSegments>(Config::default(), &Scan::default(), inputs);
        assert_eq!(outputs.len(), 1);
    }
}
