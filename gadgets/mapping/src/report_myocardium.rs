//! Mean values of the heart's wall, as a whole and by segment.

mod reference;

use ismrmrd::{Image, ImageHeader, Meta, Pixels};
use ndarray::{Array2, Array3, ArrayView3, Axis};
use numerics::aha_segments::{Level, SegmentsError, aha_segments};
use numerics::relaxation::iron_mg_per_g;
use pipeline::{Gadget, ParametricMap, Remedy, Scan, Sink};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use pipeline::appearance::{field_strength_t, is_1_5_t, is_after_contrast, protocol_name};
use reference::Reference;

/// Where along the ventricle a short axis lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SliceLevel {
    /// Near the valves: segments 1 to 6.
    Basal,
    /// At the papillary muscles: segments 7 to 12.
    #[default]
    Mid,
    /// Near the tip: segments 13 to 16.
    Apical,
}

/// Reports mean and standard deviation of a map in the heart's wall.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the slice lies.
    pub level: SliceLevel,
    /// Share of the wall's thickness that is left out at each of its borders, where pixels are part
    /// blood or lung.
    pub margin: f64,
    /// Segments with fewer pixels have no value.
    pub least_pixels: usize,
    /// Lowest and highest value of healthy hearts, in the map's unit. Where it is not given, a
    /// published range for the field strength is named, for T1 only before contrast agent and by
    /// MOLLI or ShMOLLI; a site's own is better.
    pub reference_range: Option<[f64; 2]>,
    /// Names of the wall and of both blood pools in the legend of the labels.
    pub wall: String,
    /// See `wall`.
    pub left_blood: String,
    /// See `wall`.
    pub right_blood: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            level: SliceLevel::Mid,
            margin: 0.2,
            least_pixels: 4,
            reference_range: None,
            wall: "myocardium".to_owned(),
            left_blood: "left_blood".to_owned(),
            right_blood: "right_blood".to_owned(),
        }
    }
}

pipeline::message_set! {
    /// A map, or the labels of one.
    pub enum MapOrImage { ParametricMap, Image }
}

/// What the header says of the scan.
struct About {
    field_strength_t: Option<f64>,
    protocol_name: String,
}

impl About {
    /// Whether published values are for maps like this one: T1 before contrast agent, by MOLLI.
    fn has_published_range(&self, map: &ParametricMap) -> bool {
        let method = map.meta.get("BoresideMethod").unwrap_or_default();
        map.quantity != "T1"
            || (["T1: MOLLI", "T1: ShMOLLI"].iter().any(|molli| method.starts_with(molli))
                && !is_after_contrast(&self.protocol_name, &map.values))
    }
}

/// Reports mean and standard deviation of a map in the heart's wall, which the labels behind it
/// show: those of `apply_model`.
pub struct ReportMyocardium {
    config: Config,
    about: About,
    /// A map whose labels have not come yet.
    waiting: Option<ParametricMap>,
}

impl Gadget for ReportMyocardium {
    const NAME: &str = "report_myocardium";
    const KEEPS_KIND: bool = true;
    type Config = Config;
    type Input = MapOrImage;
    type Output = MapOrImage;
    type Error = Error;

    fn new(config: Config, scan: &Scan) -> Result<Self, Error> {
        if !(0.0..0.5).contains(&config.margin) {
            return Err(Error::Margin(config.margin));
        }
        let about =
            About { field_strength_t: field_strength_t(scan), protocol_name: protocol_name(scan) };
        Ok(Self { config, about, waiting: None })
    }

    fn process(&mut self, input: MapOrImage, out: &mut Sink<Self>) -> Result<(), Error> {
        match input {
            MapOrImage::ParametricMap(map) => {
                self.finish(out)?;
                self.waiting = Some(map);
            }
            MapOrImage::Image(image) => {
                let labels = legend(&image.meta);
                if let (Some(map), Some(legend)) = (&mut self.waiting, labels)
                    && is_same_place(&map.header, &image.header)
                {
                    match self.config.report(map, &image, &legend, &self.about) {
                        Ok(report) => report.write(map),
                        Err(error) => out.warn(
                            format!("no values of the heart's wall: {error}"),
                            error.remedy().to_owned(),
                        ),
                    }
                    self.send_waiting(out);
                }
                out.push(image);
            }
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Sink<Self>) -> Result<(), Error> {
        if self.waiting.is_some() {
            out.inform("a map came without labels of the heart's wall: no values of it");
            self.send_waiting(out);
        }
        Ok(())
    }
}

impl ReportMyocardium {
    fn send_waiting(&mut self, out: &mut Sink<Self>) {
        if let Some(map) = self.waiting.take() {
            out.push(map);
        }
    }
}

/// Number and name of each class in the legend that labels carry in their comment.
fn legend(meta: &Meta) -> Option<Vec<(u16, String)>> {
    let comments = meta.values("ImageComments");
    let text = comments.iter().find_map(|comment| comment.strip_prefix("labels: "))?;
    let class = |part: &str| {
        let (number, name) = part.trim().split_once(' ')?;
        Some((number.parse().ok()?, name.to_owned()))
    };
    text.split(',').map(class).collect()
}

fn is_same_place(a: &ImageHeader, b: &ImageHeader) -> bool {
    let close = |a: [f32; 3], b: [f32; 3]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 0.1);
    let (slice, other) = (a.slice, b.slice);
    slice == other && close(a.position, b.position)
}

/// Mean and standard deviation of some pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Spread {
    mean: f64,
    sd: f64,
    n: usize,
}

impl Spread {
    fn of(values: impl Iterator<Item = f32> + Clone) -> Option<Self> {
        let n = values.clone().count();
        if n == 0 {
            return None;
        }
        let mean = values.clone().map(f64::from).sum::<f64>() / n as f64;
        let squares: f64 = values.map(|value| (f64::from(value) - mean).powi(2)).sum();
        let sd = (squares / (n.max(2) - 1) as f64).sqrt();
        Some(Self { mean, sd, n })
    }

    fn to_json(self) -> Value {
        let rounded = |value: f64| (value * 100.0).round() / 100.0;
        json!({ "mean": rounded(self.mean), "sd": rounded(self.sd), "n": self.n })
    }
}

/// Values of a wall.
struct Report {
    whole: Spread,
    segments: Vec<(u8, String, Option<Spread>)>,
    reference: Option<Reference>,
    is_1_5_t: bool,
}

impl Config {
    fn report(
        &self,
        map: &ParametricMap,
        labels: &Image,
        legend: &[(u16, String)],
        about: &About,
    ) -> Result<Report, Error> {
        let Pixels::U16(classes) = &labels.pixels else { return Err(Error::NoLabels) };
        let classes = classes.index_axis(Axis(0), 0);
        if classes.dim() != map.values.dim() {
            let (_, map_y, map_x) = map.values.dim();
            let (_, labels_y, labels_x) = classes.dim();
            return Err(Error::Shapes { map: [map_y, map_x], labels: [labels_y, labels_x] });
        }
        let mask = |name: &str| -> Result<Array3<bool>, Error> {
            let class = legend.iter().find(|(_, known)| known == name);
            let (number, _) = class.ok_or_else(|| Error::Class(name.to_owned()))?;
            Ok(classes.mapv(|found| found == *number))
        };
        let masks = [mask(&self.wall)?, mask(&self.left_blood)?, mask(&self.right_blood)?];
        let level = match self.level {
            SliceLevel::Basal => Level::Basal,
            SliceLevel::Mid => Level::Mid,
            SliceLevel::Apical => Level::Apical,
        };
        let planes = classes.dim().0;
        let mut found = Array3::<u8>::zeros(classes.dim());
        for z in 0..planes {
            let [wall, left, right] = masks.each_ref().map(|mask| mask.index_axis(Axis(0), z));
            let front = front_of(&map.header);
            let segments: Array2<u8> = aha_segments(wall, left, right, front, level, self.margin)?;
            found.index_axis_mut(Axis(0), z).assign(&segments);
        }
        let values = |segment: Option<u8>| values_of(map.values.view(), found.view(), segment);
        let whole = Spread::of(values(None)).ok_or(Error::NoValues)?;
        let spread = |(number, name)| {
            let spread = Spread::of(values(Some(number)));
            (number, name, spread.filter(|spread| spread.n >= self.least_pixels))
        };
        let segments = level.segments().into_iter().map(spread).collect();
        let reference = match self.reference_range {
            Some(range) => Some(Reference::of_site(range)),
            None if about.has_published_range(map) => {
                Reference::published(&map.quantity, about.field_strength_t)
            }
            None => None,
        };
        let is_1_5_t = about.field_strength_t.is_some_and(is_1_5_t);
        Ok(Report { whole, segments, reference, is_1_5_t })
    }
}

/// Valid values of a segment, or of all.
fn values_of<'a>(
    values: ArrayView3<'a, f32>,
    segments: ArrayView3<'a, u8>,
    wanted: Option<u8>,
) -> impl Iterator<Item = f32> + Clone + use<'a> {
    let pairs = values.into_iter().zip(segments);
    pairs.filter_map(move |(value, segment)| {
        let is_wanted = wanted.map_or(*segment > 0, |wanted| *segment == wanted);
        (is_wanted && *value > 0.0 && value.is_finite()).then_some(*value)
    })
}

/// Direction (dy, dx) in the image towards the patient's front and head: the front wall of the
/// heart lies there.
fn front_of(header: &ImageHeader) -> [f64; 2] {
    // x to the left, y to the back, z to the head.
    let front = [0.0, -1.0, 1.0];
    let along = |direction: [f32; 3]| {
        direction.iter().zip(front).map(|(part, front)| f64::from(*part) * front).sum()
    };
    [along(header.phase_dir), along(header.read_dir)]
}

impl Report {
    /// Puts the report into the map's meta attributes: whole as JSON, in short as a remark.
    fn write(&self, map: &mut ParametricMap) {
        let segments: Vec<Value> = self
            .segments
            .iter()
            .map(|(number, name, spread)| {
                let mut value = spread.map_or_else(|| json!({ "n": 0 }), Spread::to_json);
                value["segment"] = (*number).into();
                value["name"] = name.as_str().into();
                value
            })
            .collect();
        let mut report = json!({
            "quantity": map.quantity,
            "unit": map.unit.symbol(),
            "whole": self.whole.to_json(),
            "segments": segments,
        });
        let Spread { mean, sd, n } = self.whole;
        let unit = map.unit.symbol();
        let mut text = format!("myocardium {mean:.0} ± {sd:.0} {unit} (n {n})");
        if sd < 10.0 {
            text = format!("myocardium {mean:.1} ± {sd:.1} {unit} (n {n})");
        }
        // The formula is for 1.5 T (Carpenter 2011).
        let is_iron = map.quantity == "T2STAR" && self.is_1_5_t;
        if let Some(iron) = iron_mg_per_g(mean).filter(|_| is_iron) {
            report["iron_mg_per_g"] = ((iron * 100.0).round() / 100.0).into();
            text += &format!(", iron {iron:.2} mg/g");
        }
        if let Some(reference) = &self.reference {
            report["reference"] = reference.to_json(mean);
            text += &format!(", {}", reference.verdict(mean, unit));
        }
        map.meta.set("BoresideMyocardium", report.to_string());
        map.meta.append(pipeline::REMARK_KEY, text);
    }
}

/// Why a wall has no values.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// A property.
    #[error("`margin` is {0}")]
    Margin(f64),
    /// Labels that are no integers.
    #[error("the labels are no integers")]
    NoLabels,
    /// A class that the legend does not have.
    #[error("the labels have no class `{0}`")]
    Class(String),
    /// Labels on another grid.
    #[error("the map has {map:?} pixels, its labels have {labels:?}")]
    Shapes {
        /// y and x of the map.
        map: [usize; 2],
        /// Those of the labels.
        labels: [usize; 2],
    },
    /// No segments.
    #[error(transparent)]
    Segments(#[from] SegmentsError),
    /// No valid pixel.
    #[error("no pixel of the wall has a value")]
    NoValues,
}

impl Remedy for Error {
    fn remedy(&self) -> &str {
        match self {
            Self::Margin(_) => "write a share from 0 up to 0.5",
            Self::NoLabels | Self::Class(_) | Self::Shapes { .. } => {
                "put `apply_model` with a model that labels wall and blood before it"
            }
            Self::Segments(_) => "check that the slice is a short axis of the heart",
            Self::NoValues => "look at the map: its verdict says why",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array4;
    use pipeline::{Message, Presentation, Unit, run_gadget};

    const CENTER: [f64; 2] = [30.0, 36.0];

    fn radius(y: usize, x: usize, [cy, cx]: [f64; 2]) -> f64 {
        (y as f64 - cy).hypot(x as f64 - cx)
    }

    /// A map of 1000 ms, of 1200 ms in the septal half of the wall.
    fn map() -> ParametricMap {
        let values = Array3::from_shape_fn((1, 64, 64), |(_, _, x)| match x {
            _ if (x as f64) < CENTER[1] => 1200.0,
            _ => 1000.0,
        });
        let header = ImageHeader {
            read_dir: [1.0, 0.0, 0.0],
            phase_dir: [0.0, 1.0, 0.0],
            ..ImageHeader::default()
        };
        ParametricMap {
            quantity: "T1".to_owned(),
            unit: Unit::Ms,
            header,
            meta: Meta::new(),
            values,
            sd: None,
            r_squared: None,
            verdict: None,
            presentation: Presentation::default(),
        }
    }

    fn labels(comment: &str) -> Image {
        let pixels = Array4::from_shape_fn((1, 1, 64, 64), |(_, _, y, x)| {
            let (left, right) = (radius(y, x, CENTER), radius(y, x, [30.0, 12.0]));
            match () {
                () if left < 8.0 => 2_u16,
                () if left < 16.0 => 1,
                () if right < 6.0 => 3,
                () => 0,
            }
        });
        Image::new(map().header, Meta::from_iter([("ImageComments", comment)]), pixels)
    }

    const LEGEND: &str = "labels: 0 background, 1 myocardium, 2 left_blood, 3 right_blood";

    fn run(config: Config, labels: Image) -> (ParametricMap, Vec<String>) {
        let scan = crate::testing::scan(&[], &[], &[]);
        let inputs = [MapOrImage::ParametricMap(map()), MapOrImage::Image(labels)];
        let (outputs, reports) =
            run_gadget::<ReportMyocardium>(config, &scan, inputs).expect("it runs");
        assert_eq!(outputs.len(), 2, "map and labels go on");
        let Some(Message::ParametricMap(map)) = outputs.into_iter().next() else {
            panic!("the map goes first")
        };
        (map, reports)
    }

    #[test]
    fn whole_and_segments_have_their_means() {
        let config = Config { reference_range: Some([950.0, 1050.0]), ..Config::default() };
        let (map, reports) = run(config, labels(LEGEND));
        assert!(reports.is_empty(), "{reports:?}");
        let text = map.meta.get("BoresideMyocardium").expect("a report");
        let report: Value = serde_json::from_str(text).expect("JSON");
        let whole = report["whole"]["mean"].as_f64().expect("a mean");
        assert!((whole - 1100.0).abs() < 5.0, "{whole}");
        let mean = |segment: u64| {
            let segments = report["segments"].as_array().expect("segments");
            let found = segments.iter().find(|of| of["segment"] == segment).expect("it is there");
            found["mean"].as_f64().expect("a mean")
        };
        assert_eq!([mean(8), mean(9)], [1200.0; 2], "septal");
        assert_eq!([mean(11), mean(12)], [1000.0; 2], "lateral");
        assert_eq!(report["reference"]["within"], false);
        let remark = map.meta.get(pipeline::REMARK_KEY).expect("a remark");
        assert!(remark.contains("above 950 to 1050 ms"), "{remark}");
        // The image that is sent says it as well.
        let images = map.into_images();
        let comments = images[0].meta.values("ImageComments");
        assert!(
            comments.iter().any(|comment| comment.contains("myocardium 1097 ± 100 ms")),
            "{comments:?}"
        );
    }

    #[test]
    fn published_t1_is_native_and_by_molli() {
        let about =
            |name: &str| About { field_strength_t: Some(1.5), protocol_name: name.to_owned() };
        let with = |method: &str| {
            let mut map = map();
            map.meta.set("BoresideMethod", method);
            map
        };
        let molli = with("T1: MOLLI, Look-Locker corrected, 3 parameters");
        assert!(about("MOLLI").has_published_range(&molli));
        assert!(about("").has_published_range(&with("T1: ShMOLLI, conditional")));
        assert!(!about("MOLLI_post").has_published_range(&molli));
        assert!(!about("").has_published_range(&with("T1: saturation recovery, 3 parameters")));
        assert!(!about("").has_published_range(&map()), "a method that is not known");
        let t2 = ParametricMap { quantity: "T2".to_owned(), ..map() };
        assert!(about("").has_published_range(&t2));
    }

    #[test]
    fn labels_without_a_heart_are_told_and_the_map_goes_on() {
        let (map, reports) = run(Config::default(), labels("labels: 0 background, 1 text"));
        assert!(reports[0].contains("no class `myocardium`"), "{reports:?}");
        assert_eq!(map.meta.get("BoresideMyocardium"), None);
        let mut empty = labels(LEGEND);
        empty.pixels = Pixels::U16(Array4::zeros((1, 1, 64, 64)));
        let (_, reports) = run(Config::default(), empty);
        assert!(reports[0].contains("no ventricle"), "{reports:?}");
    }

    #[test]
    fn a_map_without_labels_is_not_held_back_for_ever() {
        let scan = crate::testing::scan(&[], &[], &[]);
        let inputs = [MapOrImage::ParametricMap(map()), MapOrImage::ParametricMap(map())];
        let (outputs, reports) =
            run_gadget::<ReportMyocardium>(Config::default(), &scan, inputs).expect("it runs");
        assert_eq!((outputs.len(), reports.len()), (2, 2));
    }
}
