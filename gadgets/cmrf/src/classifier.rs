//! Classifiers of tissue by the whole course of a voxel: their files, and how they are trained.

use std::io::Read;
use std::path::Path;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, concatenate};
use numerics::discriminant::{Discriminant, DiscriminantError, fisher_coefficient};
use numerics::fingerprint::Course;
use pipeline::{ImageSeries, Remedy};
use serde::{Deserialize, Serialize};

use crate::courses::{Courses, WINDOW_ECHOES, WINDOW_STEP};
use crate::error::Error;
use crate::numbers::Numbers;
use crate::played::{Played, windows};

/// The largest file that is read.
const MAX_BYTES: u64 = 1 << 20;
/// Classifiers that are part of the program: name and text.
const BUILT_IN: [(&str, &str); 1] =
    [("heart_tissues", include_str!("../classifiers/heart_tissues.toml"))];

/// What was played, as far as courses depend on it other than by the rhythm.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Pulses {
    /// Of each beat: -1 an inversion, 0 nothing, else the echo time of a T2 preparation.
    preparations_ms: Vec<f64>,
    /// Means over the windows.
    flip_angles_deg: Vec<f32>,
    repetition_time_ms: f64,
    echo_time_ms: f64,
    inversion_time_ms: f64,
}

impl Pulses {
    fn of(played: &Played, course: &Course) -> Self {
        let angles: Array1<f32> =
            played.flip_angles_deg.iter().flatten().map(|angle| *angle as f32).collect();
        Self {
            preparations_ms: played.preparations_ms.clone(),
            flip_angles_deg: windows(&course.table, WINDOW_ECHOES, WINDOW_STEP)
                .dot(&angles)
                .to_vec(),
            repetition_time_ms: played.repetition_time_ms,
            echo_time_ms: played.echo_time_ms,
            inversion_time_ms: played.inversion_time_ms,
        }
    }

    /// Within half a percent and a tenth of a millisecond or degree.
    fn is_as(&self, other: &Self) -> bool {
        let near = |a: f64, b: f64| (a - b).abs() <= 0.005 * b.abs() + 0.1;
        let all =
            |a: &[f64], b: &[f64]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| near(*a, *b));
        let angles =
            |of: &Self| of.flip_angles_deg.iter().map(|a| f64::from(*a)).collect::<Vec<_>>();
        all(&self.preparations_ms, &other.preparations_ms)
            && all(&angles(self), &angles(other))
            && near(self.repetition_time_ms, other.repetition_time_ms)
            && near(self.echo_time_ms, other.echo_time_ms)
            && near(self.inversion_time_ms, other.inversion_time_ms)
    }
}

/// A linear discriminant of the courses of one pulse table (after Eck et al. 2022).
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Classifier {
    /// What it tells apart, in words.
    pub description: String,
    /// What its examples were.
    pub trained_on: String,
    /// Names of the classes: labels 1, 2, … of what it gives.
    pub classes: Vec<String>,
    /// Means of the intervals between beats of its examples: the least and the largest, ms.
    pub beats_ms: [f64; 2],
    pulses: Pulses,
    /// `[class]`.
    offsets: Vec<f64>,
    /// `[class][window]`.
    weights: Vec<Vec<f64>>,
}

/// Why there is no classifier.
#[derive(Debug, thiserror::Error)]
pub enum ClassifierError {
    /// Neither a file's name nor that of a built-in one.
    #[error("there is no classifier `{0}`; built in are: {known}", known = names())]
    Unknown(String),
    /// A file that cannot be read.
    #[error("classifier {path}: {error}")]
    File {
        /// Where.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// A file that is no classifier.
    #[error("{path} is no classifier of fingerprints: {why}")]
    Content {
        /// Where.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// Examples of different pulse tables.
    #[error("scan {scan} has another pulse table than the first one")]
    Mixed {
        /// Counted from 1.
        scan: usize,
    },
    /// Examples that do not tell the classes.
    #[error("no classifier from these examples: {0}")]
    Examples(#[from] DiscriminantError),
}

impl Remedy for ClassifierError {
    fn remedy(&self) -> &str {
        match self {
            Self::Unknown(_) => "name one of them, or a file that ends in .toml",
            Self::File { .. } => "give the name of a file that can be read",
            Self::Content { .. } => "train it with `boreside classifier train`",
            Self::Mixed { .. } => "train one classifier for each pulse table",
            Self::Examples(_) => "label pixels of each class in more scans",
        }
    }
}

fn names() -> String {
    BUILT_IN.map(|(name, _)| name).join(", ")
}

impl Classifier {
    /// A built-in classifier, or that of a file whose name ends in `.toml`.
    ///
    /// # Errors
    /// There is none, or it is broken.
    pub fn open(name: &str) -> Result<Self, ClassifierError> {
        if let Some((name, text)) = BUILT_IN.iter().find(|(own, _)| *own == name) {
            return Self::parse(name, text);
        }
        if !name.ends_with(".toml") {
            return Err(ClassifierError::Unknown(name.to_owned()));
        }
        let unreadable = |error| ClassifierError::File { path: name.to_owned(), error };
        let mut text = String::new();
        let file = std::fs::File::open(Path::new(name)).map_err(unreadable)?;
        file.take(MAX_BYTES).read_to_string(&mut text).map_err(unreadable)?;
        Self::parse(name, &text)
    }

    fn parse(path: &str, text: &str) -> Result<Self, ClassifierError> {
        let broken = |why: String| ClassifierError::Content { path: path.to_owned(), why };
        // The name may come from a client: nothing of a file that is something else is repeated,
        // not even the name of a field.
        let own: Self = toml::from_str(text)
            .map_err(|_| broken("its fields are not those of a classifier".to_owned()))?;
        let (n_classes, n_windows) = (own.classes.len(), own.pulses.flip_angles_deg.len());
        let finite = |values: &[f64]| values.iter().all(|value| value.is_finite());
        let fits = (2..=1000).contains(&n_classes)
            && own.offsets.len() == n_classes
            && own.weights.len() == n_classes
            && own.weights.iter().all(|row| row.len() == n_windows && finite(row))
            && finite(&own.offsets);
        if !fits {
            return Err(broken(format!(
                "its weights and offsets are not those of {n_classes} classes and {n_windows} windows"
            )));
        }
        Ok(own)
    }

    /// Its file.
    pub fn to_toml(&self) -> String {
        // A structure of texts and finite numbers has a text.
        toml::to_string(self).unwrap_or_default()
    }

    pub(crate) fn discriminant(&self) -> Discriminant {
        let n_windows = self.pulses.flip_angles_deg.len();
        let values: Vec<f64> = self.weights.iter().flatten().copied().collect();
        // `parse` and `train` see to it that there are so many.
        let weights = Array2::from_shape_vec((self.weights.len(), n_windows), values)
            .unwrap_or_else(|_| Array2::zeros((self.offsets.len(), n_windows)));
        Discriminant { weights, offsets: Array1::from(self.offsets.clone()) }
    }

    pub(crate) fn knows(&self, played: &Played, course: &Course) -> bool {
        self.pulses.is_as(&Pulses::of(played, course))
    }

    /// A classifier of examples, and how good it is.
    ///
    /// * `groups`: examples of each scan, one or more slices each.
    ///
    /// # Errors
    /// Examples that differ in their pulse table, or do not tell the classes.
    pub fn train(
        groups: &[Vec<Examples>],
        classes: &[String],
        description: String,
    ) -> Result<(Self, Validation), ClassifierError> {
        let all: Vec<&Examples> = groups.iter().flatten().collect();
        let first = all.first().ok_or(DiscriminantError::Examples { class: 0, examples: 0 })?;
        for (scan, group) in groups.iter().enumerate() {
            if !group.iter().all(|examples| examples.pulses.is_as(&first.pulses)) {
                return Err(ClassifierError::Mixed { scan: scan + 1 });
            }
        }
        let found = fit(&all, classes.len())?;
        let beats = all.iter().map(|examples| examples.beat_ms);
        let classifier = Self {
            description,
            trained_on: format!(
                "{} voxels of {} scans",
                all.iter().map(|examples| examples.classes.len()).sum::<usize>(),
                groups.len()
            ),
            classes: classes.to_vec(),
            beats_ms: [beats.clone().fold(f64::INFINITY, f64::min), beats.fold(0.0, f64::max)],
            pulses: first.pulses.clone(),
            offsets: found.offsets.to_vec(),
            weights: found.weights.outer_iter().map(|row| row.to_vec()).collect(),
        };
        Ok((classifier, Validation::of(groups, classes.len())))
    }
}

fn fit(examples: &[&Examples], n_classes: usize) -> Result<Discriminant, DiscriminantError> {
    let views: Vec<_> = examples.iter().map(|examples| examples.courses.view()).collect();
    let labels: Vec<usize> =
        examples.iter().flat_map(|examples| examples.classes.iter().copied()).collect();
    let features = concatenate(Axis(0), &views).map_err(|_| DiscriminantError::Shape {
        examples: 0,
        features: 0,
        labels: labels.len(),
    })?;
    Discriminant::train(features.view(), &labels, n_classes)
}

/// Labelled courses of a slice.
#[derive(Clone, Debug)]
pub struct Examples {
    /// `[voxel, window]`.
    courses: Array2<f64>,
    /// Of each voxel, counted from 0.
    classes: Vec<usize>,
    pulses: Pulses,
    /// Mean interval between the beats.
    beat_ms: f64,
}

impl Examples {
    /// Courses of the labelled pixels of a series of `reconstruct_fingerprint`. [`None`] of any other
    /// series.
    ///
    /// * `labels`: class of each pixel, counted from 0: `[y, x]`.
    ///
    /// # Errors
    /// Labels of another size, or a series whose description is broken.
    pub fn of(
        series: &ImageSeries,
        labels: ArrayView2<'_, Option<usize>>,
    ) -> Result<Option<Self>, Error> {
        let Some(played) = series.meta.first().and_then(Played::read) else { return Ok(None) };
        let played = played?;
        let course = played.course()?;
        let numbers = Numbers::of(series, &played, &course, 0.0)?;
        if numbers.is_tissue.dim() != labels.dim() {
            let ((rows, columns), (n_y, n_x)) = (labels.dim(), numbers.is_tissue.dim());
            return Err(Error::Labels { labels: [rows, columns], image: [n_y, n_x] });
        }
        let courses = Courses::new(&played, numbers.reduction.view(), &course.table)
            .ok_or(Error::Windows { n_echoes: WINDOW_ECHOES, step: WINDOW_STEP })?;
        let places: Vec<(usize, usize)> = labels
            .iter()
            .enumerate()
            .filter_map(|(place, class)| class.map(|class| (place, class)))
            .collect();
        let mut rows = Array2::zeros((places.len(), courses.n_windows()));
        for (mut row, (place, _)) in rows.outer_iter_mut().zip(&places) {
            let (course, _) = courses.of_pixel(numbers.pixels.column(*place));
            row.iter_mut().zip(course).for_each(|(own, value)| *own = f64::from(value));
        }
        Ok(Some(Self {
            courses: rows,
            classes: places.into_iter().map(|(_, class)| class).collect(),
            pulses: Pulses::of(&played, &course),
            beat_ms: mean_beat_ms(&played),
        }))
    }

    /// The mean course of each class in place of the voxels' own.
    pub fn into_means(self) -> Self {
        let n = self.classes.iter().max().map_or(0, |largest| largest + 1);
        let present: Vec<usize> = (0..n).filter(|class| self.classes.contains(class)).collect();
        let mut courses = Array2::zeros((present.len(), self.courses.ncols()));
        for (mut row, class) in courses.outer_iter_mut().zip(&present) {
            let own = self.classes.iter().zip(self.courses.outer_iter());
            own.filter(|(of, _)| *of == class).for_each(|(_, course)| row += &course);
            let length = row.dot(&row).sqrt();
            row /= length.max(f64::MIN_POSITIVE);
        }
        Self { courses, classes: present, ..self }
    }

    /// Examples of this class.
    pub fn n_of(&self, class: usize) -> usize {
        self.classes.iter().filter(|own| **own == class).count()
    }
}

/// Mean interval between beats; 0 of a single one.
pub(crate) fn mean_beat_ms(played: &Played) -> f64 {
    match played.first_pulses_ms[..] {
        [first, .., last] => (last - first) / (played.first_pulses_ms.len() - 1) as f64,
        _ => 0.0,
    }
}

/// How good a classifier is on scans that it was not trained on, each left out in turn.
#[derive(Clone, Debug, PartialEq)]
pub struct Validation {
    /// Voxels by true class and found class; [`None`] where scans cannot be left out.
    pub confusion: Option<Array2<usize>>,
    /// Fisher coefficient of each pair of classes along the difference of their scores.
    pub fisher: Vec<([usize; 2], f64)>,
}

impl Validation {
    fn of(groups: &[Vec<Examples>], n_classes: usize) -> Self {
        let mut confusion = Array2::zeros((n_classes, n_classes));
        let mut scores: Vec<Vec<Array1<f64>>> = vec![Vec::new(); n_classes];
        for (left_out, group) in groups.iter().enumerate() {
            let others = groups.iter().enumerate().filter(|(number, _)| *number != left_out);
            let rest: Vec<&Examples> = others.flat_map(|(_, group)| group).collect();
            let Ok(found) = fit(&rest, n_classes) else {
                return Self { confusion: None, fisher: Vec::new() };
            };
            for examples in group {
                for (course, class) in examples.courses.outer_iter().zip(&examples.classes) {
                    confusion[[*class, found.class(course)]] += 1;
                    scores[*class].push(found.scores(course));
                }
            }
        }
        let pairs = (0..n_classes).flat_map(|a| (a + 1..n_classes).map(move |b| [a, b]));
        let fisher = pairs.map(|[a, b]| {
            let along = |class: usize| -> Vec<f64> {
                scores[class].iter().map(|scores| scores[b] - scores[a]).collect()
            };
            ([a, b], fisher_coefficient(&along(a), &along(b)))
        });
        Self { fisher: fisher.collect(), confusion: Some(confusion) }
    }

    /// Mean over the classes of the share of their voxels that were found to be of another one, %.
    pub fn error_percent(&self) -> Option<f64> {
        let confusion = self.confusion.as_ref()?;
        let shares = confusion.outer_iter().enumerate().filter(|(_, row)| row.sum() > 0);
        let shares: Vec<f64> = shares
            .map(|(class, row): (usize, ArrayView1<'_, usize>)| {
                1.0 - row[class] as f64 / row.sum() as f64
            })
            .collect();
        Some(100.0 * shares.iter().sum::<f64>() / shares.len().max(1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{COLUMNS, ROWS, series_of_halves};

    const MUSCLE: [f64; 2] = [1000.0, 35.0];
    const ILL: [f64; 2] = [1250.0, 48.0];

    /// Left and right, but for the columns between them.
    fn halves() -> Array2<Option<usize>> {
        Array2::from_shape_fn((ROWS, COLUMNS), |(_, x)| match x {
            0..6 => Some(0),
            10.. => Some(1),
            _ => None,
        })
    }

    fn groups(noise: f32) -> Vec<Vec<Examples>> {
        let of = |beat_ms: f64| {
            let series = series_of_halves([MUSCLE, ILL], beat_ms, noise);
            vec![Examples::of(&series, halves().view()).expect("good").expect("a fingerprint")]
        };
        [600.0, 800.0, 1000.0, 1200.0].map(of).to_vec()
    }

    fn names() -> Vec<String> {
        ["muscle", "ill"].map(str::to_owned).to_vec()
    }

    #[test]
    fn tissues_are_told_apart_in_rhythms_that_were_not_seen() {
        let (classifier, validation) =
            Classifier::train(&groups(0.02), &names(), "two".to_owned()).expect("good examples");
        let confusion = validation.confusion.as_ref().expect("scans to leave out");
        assert_eq!(confusion.sum(), 4 * ROWS * 12);
        let error = validation.error_percent().expect("a number");
        assert!(error < 1.0, "{error} %: {confusion}");
        assert!(validation.fisher[0].1 > 5.0, "{:?}", validation.fisher);
        assert_eq!(classifier.beats_ms, [600.0, 1200.0]);
        assert_eq!(classifier.trained_on, "576 voxels of 4 scans");
    }

    #[test]
    fn a_classifier_is_the_same_after_its_file() {
        let (classifier, _) =
            Classifier::train(&groups(0.05), &names(), "two".to_owned()).expect("good examples");
        let text = classifier.to_toml();
        assert_eq!(Classifier::parse("file", &text).expect("its own text"), classifier);
        let torn = text.replacen("offsets = [", "offsets = [1.0, ", 1);
        assert!(matches!(Classifier::parse("file", &torn), Err(ClassifierError::Content { .. })));
        let told = Classifier::parse("file", "secret = 1").map_err(|error| error.to_string());
        assert!(told.is_err_and(|text| text.contains("no classifier") && !text.contains("secret")));
        assert!(matches!(Classifier::open("no such"), Err(ClassifierError::Unknown(_))));
        assert!(matches!(Classifier::open("/no/such.toml"), Err(ClassifierError::File { .. })));
        assert!(Classifier::open("heart_tissues").is_ok());
    }

    #[test]
    fn mean_courses_are_one_example_for_each_class() {
        let group = groups(0.3).remove(0).remove(0);
        let means = group.clone().into_means();
        assert_eq!((means.n_of(0), means.n_of(1)), (1, 1));
        for row in means.courses.outer_iter() {
            assert!((row.dot(&row) - 1.0).abs() < 1e-12);
        }
        // Noise of a voxel's course is what the mean has less of.
        let clean = groups(0.0).remove(0).remove(0).into_means();
        let off = |examples: &Examples, row: usize| {
            let difference = &examples.courses.row(row) - &clean.courses.row(0);
            difference.dot(&difference).sqrt()
        };
        assert!(off(&means, 0) < 0.5 * off(&group, 0), "{} {}", off(&means, 0), off(&group, 0));
    }

    #[test]
    fn examples_that_do_not_fit_are_refused() {
        let series = series_of_halves([MUSCLE, ILL], 900.0, 0.1);
        let few = Array2::from_elem((3, 3), Some(0));
        assert!(matches!(Examples::of(&series, few.view()), Err(Error::Labels { .. })));
        let mut other = series.clone();
        other.meta.clear();
        assert!(Examples::of(&other, halves().view()).expect("no error").is_none());
        let one_class = halves().mapv(|class| class.map(|_| 0));
        let group = vec![Examples::of(&series, one_class.view()).expect("good").expect("some")];
        let found = Classifier::train(&[group], &names(), String::new());
        assert!(matches!(found, Err(ClassifierError::Examples(_))), "{found:?}");
        // A single scan makes a classifier that nobody can test.
        let (_, validation) =
            Classifier::train(&groups(0.1)[..1], &names(), String::new()).expect("examples");
        assert_eq!(validation.error_percent(), None);
    }
}
