//! Why there is no fingerprint, or no map of one.

use numerics::fingerprint::{CourseError, GridError};
use pipeline::{Remedy, ScanError};

/// Why no images or maps can be made of a fingerprint, or not with these properties.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// No header, or no encoding space.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// Nothing says what was played.
    #[error("the pulse table is not known: {0}")]
    Sequence(String),
    /// Times that cannot be.
    #[error("the times of the scan do not fit its pulse table: {0}")]
    Course(#[from] CourseError),
    /// All readouts at the same time.
    #[error(
        "all {0} readouts have the same acquisition time stamp: without the times of the beats \
         T1 would be wrong by up to 16 %"
    )]
    SameTime(usize),
    /// Time stamps of another repetition time.
    #[error(
        "time stamps of beat {beat} advance by {found_ms:.2} ms from readout to readout, the \
         pulse table says {expected_ms:.2} ms"
    )]
    Pace {
        /// Counted from 1.
        beat: usize,
        /// By the time stamps.
        found_ms: f64,
        /// By the pulse table.
        expected_ms: f64,
    },
    /// Readouts that are not those of the pulse table.
    #[error(
        "{found} readouts in beats of {beats:?}, the pulse table has {expected} in beats of {of_beat}"
    )]
    Readouts {
        /// How many arrived.
        found: usize,
        /// Of each beat that can be told by the gaps between them; the first few.
        beats: Vec<usize>,
        /// What the table has.
        expected: usize,
        /// Echoes of a beat of the table.
        of_beat: usize,
    },
    /// A beat between others did not arrive.
    #[error(
        "beat {beat} of {n_beats} did not arrive, and later ones did: when it was is not known"
    )]
    MissingBeat {
        /// Counted from 1.
        beat: usize,
        /// Of the table.
        n_beats: usize,
    },
    /// The scan ended early.
    #[error("{found} of {n_beats} beats arrived, at least {least} are needed")]
    Truncated {
        /// How many arrived.
        found: usize,
        /// Of the table.
        n_beats: usize,
        /// How many are needed.
        least: usize,
    },
    /// Readouts of different shapes, or without positions in k-space.
    #[error("{0}")]
    Shape(String),
    /// Lines instead of spirals.
    #[error("the scan is Cartesian, and fingerprints are made of spirals")]
    Cartesian,
    /// Images of more memory than is given.
    #[error("{matrix} x {matrix} pixels of {n_modes} modes need {needed_gib:.1} GiB")]
    TooLarge {
        /// Pixels along an edge.
        matrix: usize,
        /// Numbers of a voxel.
        n_modes: usize,
        /// What they need.
        needed_gib: f64,
    },
    /// A property that makes no sense.
    #[error("`{property}` is {value}")]
    Property {
        /// Its name.
        property: &'static str,
        /// Its value.
        value: String,
    },
    /// A range of T1 and T2 that is none.
    #[error(transparent)]
    Grid(#[from] GridError),
    /// Labels of other images.
    #[error("labels of {} x {} pixels, images of {} x {}", labels[0], labels[1], image[0], image[1])]
    Labels {
        /// Rows and columns.
        labels: [usize; 2],
        /// Likewise.
        image: [usize; 2],
    },
    /// Images that no course can be made of.
    #[error("images are averages over windows other than {n_echoes} echoes every {step}")]
    Windows {
        /// What is expected.
        n_echoes: usize,
        /// Likewise.
        step: usize,
    },
    /// No classifier, and what to do.
    #[error("{0}")]
    Classifier(String, String),
    /// What `reconstruct_fingerprint` wrote cannot be read.
    #[error("the description of the fingerprint in the images' meta attributes is broken: {0}")]
    Description(String),
}

impl Remedy for Error {
    fn remedy(&self) -> &str {
        match self {
            Self::Scan(error) => error.remedy(),
            Self::Sequence(_) => {
                "let the converter write flip angles and `Preparation_b` into the header, or set \
                 `sequence` and its properties in the chain"
            }
            Self::Course(_) | Self::Pace { .. } => {
                "check that `sequence`, `repetition_time_ms` and `tick_ms` are those of the scan"
            }
            Self::SameTime(_) => "let the converter keep `acquisition_time_stamp`",
            Self::Readouts { .. } => {
                "check the pulse table, or repeat the scan: readouts are missing"
            }
            Self::MissingBeat { .. } | Self::Truncated { .. } => "repeat the scan",
            Self::Shape(_) => "let the converter write the trajectory into every readout",
            Self::Cartesian => {
                "take a chain for lines: for maps `molli_t1`, `sasha_t1` or `t2`, as the scan is, for \
                 images `cartesian_fft`, or `cartesian_grappa` where lines are missing"
            }
            Self::TooLarge { .. } => "reconstruct fewer pixels or modes",
            Self::Property { .. } | Self::Grid(_) => "give it a value in its range",
            Self::Labels { .. } => "draw the labels on images of this scan",
            Self::Windows { .. } => {
                "reconstruct with modes, or set `window_echoes` and `window_step` to these"
            }
            Self::Classifier(_, remedy) => remedy,
            Self::Description(_) => "put `reconstruct_fingerprint` right before",
        }
    }
}

/// A property that must be a number above 0.
pub(crate) fn positive(property: &'static str, value: f64) -> Result<f64, Error> {
    if value > 0.0 && value.is_finite() {
        Ok(value)
    } else {
        Err(Error::Property { property, value: value.to_string() })
    }
}
