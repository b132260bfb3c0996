//! Which tissue each voxel of a cardiac fingerprint is, by its whole course.

use ismrmrd::{Image, ImageType, Meta, Pixels};
use ndarray::{Array2, Array3, Axis};
use pipeline::appearance::of_labels;
use pipeline::{
    Gadget, ImageSeries, ParametricMap, Presentation, Remedy, Scan, Sink, Unit, View, unprocessed,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::classifier::{Classifier, mean_beat_ms};
use crate::courses::Courses;
use crate::error::Error;
use crate::numbers::Numbers;
use crate::played::Played;

/// Tells which tissue each voxel of a fingerprint is.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The classifier: a built-in one (`heart_tissues`), or a file that ends in `.toml`, made by
    /// `boreside classifier train`.
    pub classifier: String,
    /// A pixel has label 0 where its most likely class is less probable than this.
    pub least_probability: f64,
    /// A pixel has label 0 where its magnetisation is below this part of the brightest ones'.
    pub mask_share: f64,
    /// Whether maps of the classes' probabilities are sent as well.
    pub send_probability_maps: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            classifier: "heart_tissues".to_owned(),
            least_probability: 0.5,
            mask_share: 0.05,
            send_probability_maps: false,
        }
    }
}

/// Series of the labels; those of the probabilities follow.
const LABEL_SERIES: u16 = 51;
const NAME_OF_LABELS: &str = "tissue";

pipeline::message_set! {
    /// What came in, labels, and probabilities.
    pub enum SeriesOrTissue { ImageSeries, Image, ParametricMap }
}

/// Tells which tissue each voxel of a cardiac fingerprint is.
pub struct ClassifyFingerprint {
    config: Config,
    classifier: Classifier,
    n_sent: u16,
}

impl Gadget for ClassifyFingerprint {
    const NAME: &str = "classify_fingerprint";
    const HEAVY: bool = true;
    type Config = Config;
    type Input = ImageSeries; // [1, 1, number, 1, 1, y, x]
    type Output = SeriesOrTissue;
    type Error = Error;

    fn new(config: Config, _scan: &Scan) -> Result<Self, Error> {
        for (property, value) in
            [("least_probability", config.least_probability), ("mask_share", config.mask_share)]
        {
            if !(0.0..=1.0).contains(&value) {
                return Err(Error::Property { property, value: value.to_string() });
            }
        }
        let classifier = Classifier::open(&config.classifier)
            .map_err(|error| Error::Classifier(error.to_string(), error.remedy().to_owned()))?;
        Ok(Self { config, classifier, n_sent: 0 })
    }

    fn process(&mut self, series: ImageSeries, out: &mut Sink<Self>) -> Result<(), Error> {
        let played = series.meta.first().and_then(Played::read);
        let is_marked = series.meta.iter().any(unprocessed::is_marked);
        let Some(played) = played.filter(|_| !is_marked) else {
            out.push(series);
            return Ok(());
        };
        let found = self.classify(&series, &played?, out);
        // The maps do not depend on the labels: they go on whatever becomes of these.
        out.push(series);
        found
    }
}

impl ClassifyFingerprint {
    fn classify(
        &mut self,
        series: &ImageSeries,
        played: &Played,
        out: &mut Sink<Self>,
    ) -> Result<(), Error> {
        let course = played.course()?;
        let numbers = Numbers::of(series, played, &course, self.config.mask_share)?;
        let courses = Courses::new(played, numbers.reduction.view(), &course.table);
        let known = courses.filter(|_| self.classifier.knows(played, &course));
        let Some(courses) = known else {
            out.warn(
                format!(
                    "no tissues: classifier {} is for another pulse table, or other windows",
                    self.config.classifier
                ),
                "train one for this sequence with `boreside classifier train`".to_owned(),
            );
            return Ok(());
        };
        let discriminant = self.classifier.discriminant();
        let (n_y, n_x) = numbers.is_tissue.dim();
        let n_classes = self.classifier.classes.len();
        let mut labels = Array2::<u16>::zeros((n_y, n_x));
        let mut probabilities = Array3::<f32>::zeros((n_classes, n_y, n_x));
        for ((y, x), _) in numbers.is_tissue.indexed_iter().filter(|(_, is_tissue)| **is_tissue) {
            let (course, _) = courses.of_pixel(numbers.pixels.column(y * n_x + x));
            let course: ndarray::Array1<f64> = course.into_iter().map(f64::from).collect();
            let of_classes = discriminant.probabilities(course.view());
            let mut best = (0, 0.0);
            for (class, probability) in of_classes.iter().enumerate() {
                probabilities[[class, y, x]] = *probability as f32;
                if *probability > best.1 {
                    best = (class, *probability);
                }
            }
            if best.1 >= self.config.least_probability {
                labels[[y, x]] = best.0 as u16 + 1;
            }
        }
        self.n_sent = self.n_sent.saturating_add(1);
        self.send(series, played, labels, probabilities, out);
        Ok(())
    }

    fn send(
        &self,
        series: &ImageSeries,
        played: &Played,
        labels: Array2<u16>,
        probabilities: Array3<f32>,
        out: &mut Sink<Self>,
    ) {
        let mut header = series.headers.first().copied().unwrap_or_default();
        header.image_index = self.n_sent;
        header.image_type = ImageType::Magnitude as u16;
        let mut meta = series.meta.first().cloned().unwrap_or_default();
        Played::forget(&mut meta);
        meta.set("BoresideVersion", env!("CARGO_PKG_VERSION"));
        meta.set("BoresideMethod", format!("linear discriminant {}", self.config.classifier));
        let mut limits = Vec::new();
        let beat_ms = mean_beat_ms(played);
        let [least, most] = self.classifier.beats_ms;
        if !(0.9 * least..=1.1 * most).contains(&beat_ms) {
            limits.push(format!(
                "beats of {beat_ms:.0} ms: the classifier was trained with {least:.0} to {most:.0} ms"
            ));
        }
        if played.is_truncated {
            limits.push("beats are missing: the classifier was trained on whole scans".to_owned());
        }
        let tell = |mut meta: Meta| {
            for key in ["ImageComments", "GADGETRON_ImageComment"] {
                limits.iter().for_each(|limit: &String| meta.append(key, limit.as_str()));
            }
            meta
        };
        if self.config.send_probability_maps {
            let classes = self.classifier.classes.iter().zip(probabilities.outer_iter());
            for (number, (class, values)) in classes.enumerate() {
                let view = View {
                    window: Some([0.5, 1.0]),
                    series_index: Some(LABEL_SERIES + 1 + number as u16),
                    ..View::default()
                };
                out.push(ParametricMap {
                    quantity: format!("probability of {class}"),
                    unit: Unit::Ratio,
                    header,
                    meta: tell(meta.clone()),
                    values: values.to_owned().insert_axis(Axis(0)),
                    sd: None,
                    r_squared: None,
                    verdict: None,
                    presentation: Presentation { values: view, ..Presentation::default() },
                });
            }
        }
        let names: Vec<String> = std::iter::once("not classified".to_owned())
            .chain(self.classifier.classes.iter().cloned())
            .collect();
        of_labels(&mut meta, NAME_OF_LABELS, &names);
        header.image_series_index = LABEL_SERIES;
        let pixels = Pixels::U16(labels.insert_axis(Axis(0)).insert_axis(Axis(0)));
        out.push(Image::new(header, tell(meta), pixels));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifier::Examples;
    use crate::testing::{COLUMNS, ROWS, scan, series_of_halves};
    use pipeline::{Message, run_gadget};

    const MUSCLE: [f64; 2] = [1000.0, 35.0];
    const ILL: [f64; 2] = [1250.0, 48.0];

    /// A file with a classifier of these two.
    fn file() -> tempfile::NamedTempFile {
        let labels = Array2::from_shape_fn((ROWS, COLUMNS), |(_, x)| Some(2 * x / COLUMNS));
        let group = |beat_ms: f64| {
            let series = series_of_halves([MUSCLE, ILL], beat_ms, 0.02);
            vec![Examples::of(&series, labels.view()).expect("good").expect("a fingerprint")]
        };
        let groups = [700.0, 900.0, 1100.0].map(group);
        let names = ["muscle", "ill"].map(str::to_owned);
        let (classifier, _) =
            Classifier::train(&groups, &names, String::new()).expect("good examples");
        let file = tempfile::Builder::new().suffix(".toml").tempfile().expect("a file");
        std::fs::write(file.path(), classifier.to_toml()).expect("written");
        file
    }

    fn run(config: Config, series: ImageSeries) -> (Vec<Message>, Vec<String>) {
        run_gadget::<ClassifyFingerprint>(config, &scan(&[], &[]), [series]).expect("no error")
    }

    fn with(file: &tempfile::NamedTempFile) -> Config {
        Config { classifier: file.path().display().to_string(), ..Config::default() }
    }

    #[test]
    fn labels_and_probabilities_are_those_of_the_halves_and_the_series_goes_on() {
        let file = file();
        let config = Config { send_probability_maps: true, ..with(&file) };
        let series = series_of_halves([MUSCLE, ILL], 800.0, 0.02);
        let (outputs, reports) = run(config, series.clone());
        assert!(reports.is_empty(), "{reports:?}");
        let [
            Message::ParametricMap(muscle),
            Message::ParametricMap(ill),
            Message::Image(labels),
            Message::ImageSeries(back),
        ] = &outputs[..]
        else {
            panic!("{} messages", outputs.len())
        };
        assert_eq!(back.data, series.data);
        let Pixels::U16(pixels) = &labels.pixels else { panic!("labels") };
        let right = pixels
            .indexed_iter()
            .filter(|((.., x), label)| usize::from(**label) == 1 + 2 * x / COLUMNS);
        assert!(right.count() * 100 >= 99 * ROWS * COLUMNS);
        let sum = &muscle.values + &ill.values;
        assert!(sum.iter().all(|sum| (sum - 1.0).abs() < 1e-5));
        assert!(muscle.values[[0, 5, 2]] > 0.9 && ill.values[[0, 5, 12]] > 0.9);
        assert_eq!(labels.meta.get("DataRole"), Some("Segmentation"));
        let comment = labels.meta.get("ImageComments");
        assert_eq!(comment, Some("labels: 0 not classified, 1 muscle, 2 ill"));
        assert!(Played::read(&labels.meta).is_none());
    }

    #[test]
    fn what_the_classifier_does_not_know_is_told() {
        let file = file();
        // Beats much slower than its own: labels with a word of warning.
        let (outputs, _) = run(with(&file), series_of_halves([MUSCLE, ILL], 1500.0, 0.02));
        let Some(Message::Image(labels)) = outputs.first() else { panic!("labels") };
        let comments = labels.meta.values("ImageComments");
        assert!(comments.iter().any(|text| text.contains("beats of 1500 ms")), "{comments:?}");
        // Another pulse table: no labels.
        let mut series = series_of_halves([MUSCLE, ILL], 900.0, 0.02);
        let mut played = Played::read(&series.meta[0]).expect("some").expect("whole");
        played.preparations_ms[2] = 80.0;
        played.write(&mut series.meta[0]);
        let (outputs, reports) = run(with(&file), series);
        assert!(matches!(&outputs[..], [Message::ImageSeries(_)]));
        assert!(reports[0].contains("another pulse table"), "{reports:?}");
        // No fingerprint at all.
        let mut series = series_of_halves([MUSCLE, ILL], 900.0, 0.02);
        series.meta.clear();
        assert!(matches!(&run(with(&file), series).0[..], [Message::ImageSeries(_)]));
    }

    #[test]
    fn classifiers_and_properties_that_make_no_sense_are_refused() {
        let new = |config| ClassifyFingerprint::new(config, &scan(&[], &[])).map(|_| ());
        let config =
            |classifier: &str| Config { classifier: classifier.into(), ..Config::default() };
        let found = new(config("hearts"));
        assert!(
            matches!(&found, Err(Error::Classifier(text, _)) if text.contains("heart_tissues"))
        );
        assert!(matches!(new(config("/no/such.toml")), Err(Error::Classifier(..))));
        let found = new(Config { least_probability: 1.5, ..Config::default() });
        assert!(matches!(found, Err(Error::Property { property: "least_probability", .. })));
    }
}
