//! An input of a model.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::intensity::Intensity;
use super::{Axis, Length, ManifestError};
use crate::ElementType;

/// An input of a model.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Its name in the ONNX file.
    pub name: String,
    /// What is put in.
    pub role: InputRole,
    /// Type of its elements [default: f32].
    #[serde(default)]
    pub element_type: ElementType,
    /// What its axes are, slowest first.
    #[serde(default)]
    pub axes: Vec<Axis>,
    /// Their lengths.
    #[serde(default)]
    pub shape: Vec<Length>,
    /// Unit of the values before the transform: `ms`, `snr`, …; empty where it is arbitrary.
    #[serde(default)]
    pub unit: String,
    /// Pixel spacing that the model was trained with, `[x, y]`.
    #[serde(default)]
    pub spacing_mm: Option<[f64; 2]>,
    /// Spacings that are taken as they are, in percent to each side.
    #[serde(default = "ten")]
    pub spacing_tolerance_percent: f64,
    /// Whether images of other spacings are resampled; else they are refused.
    #[serde(default)]
    pub resample: bool,
    /// Height and width are padded to multiples of this many pixels.
    #[serde(default = "one")]
    pub multiple_of: usize,
    /// Larger images are cut into tiles.
    #[serde(default)]
    pub tiles: Option<Tiles>,
    /// How the image lies.
    #[serde(default)]
    pub orientation: Orientation,
    /// What is done to the values.
    #[serde(default)]
    pub intensity: Intensity,
    /// Least and largest value that the model was made for, before the transform.
    #[serde(default)]
    pub range: Option<[f64; 2]>,
    /// Share of values that may lie outside of the range.
    #[serde(default)]
    pub max_outside_share: f64,
    /// The data role (e.g. `T1`) of the series that a companion comes from.
    #[serde(default)]
    pub series: Option<String>,
    /// The value of a constant; what stands for a number that the scan does not tell.
    #[serde(default)]
    pub value: Option<f64>,
    /// What images of the training set look like, after the transform.
    #[serde(default)]
    pub statistics: Option<Statistics>,
}

fn one() -> usize {
    1
}

fn ten() -> f64 {
    10.0
}

/// What is put into an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InputRole {
    /// Pixels of the image.
    Image,
    /// Pixels of all images of a series, along the frame axis, or the channel axis where there
    /// is none.
    Frames,
    /// Pixels of an image of another series of the same exam.
    Companion,
    /// Inversion, saturation, preparation or echo times of the images, in ms.
    TimesMs,
    /// Main field in tesla.
    FieldStrengthT,
    /// Standard deviation of the noise, in units of the transformed image.
    NoiseSd,
    /// Pixel spacing in mm: x, y.
    SpacingMm,
    /// A number that is always the same.
    Constant,
    /// Numbers that the gadget makes that the model belongs to; `apply_model` has none.
    Features,
}

impl InputRole {
    /// Whether it is made of pixels.
    pub fn is_image(self) -> bool {
        matches!(self, Self::Image | Self::Frames | Self::Companion)
    }
}

/// Large images are cut into pieces that overlap.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tiles {
    /// Edge of a tile.
    pub size_px: usize,
    /// What a tile shares with its neighbour; there the results are blended.
    pub overlap_px: usize,
}

/// How an image lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Orientation {
    /// As it comes.
    #[default]
    AsAcquired,
    /// Turned and mirrored by quarters such that x goes to the patient's left and y to the back,
    /// as nearly as can be, which is how a short axis is looked at.
    PatientLeftBack,
}

/// What images of the training set look like: means and covariance of their features
/// (see [`crate::features`]), after the transform.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Statistics {
    /// Mean of each feature.
    pub mean: Vec<f64>,
    /// Inverse of the features' covariance.
    pub precision: Vec<Vec<f64>>,
    /// Mahalanobis distance beyond which an image is not of the training set's kind.
    pub max_distance: f64,
}

impl Input {
    /// Place of an axis, [`None`] where the input does not have it.
    pub fn axis(&self, axis: Axis) -> Option<usize> {
        self.axes.iter().position(|other| *other == axis)
    }

    pub(super) fn check(&self) -> Result<(), ManifestError> {
        let fail =
            |what: String| Err(ManifestError { place: format!("input {}", self.name), what });
        if self.axes.len() != self.shape.len() {
            return fail(format!("{} axes, but {} lengths", self.axes.len(), self.shape.len()));
        }
        let has = |axis| self.axis(axis).is_some();
        if self.role.is_image() && !(has(Axis::Y) && has(Axis::X)) {
            return fail("an input of pixels has the axes y and x".to_owned());
        }
        if self.role == InputRole::Frames && !(has(Axis::Frame) || has(Axis::Channel)) {
            return fail("an input of frames has an axis frame or channel".to_owned());
        }
        if self.role == InputRole::Companion && self.series.is_none() {
            return fail("a companion names the `series` that it comes from".to_owned());
        }
        if self.role == InputRole::Constant && self.value.is_none() {
            return fail("a constant has a `value`".to_owned());
        }
        if self.multiple_of == 0 || self.multiple_of > 4096 {
            return fail(format!("multiple_of = {} is not from 1 to 4096", self.multiple_of));
        }
        if let Some(spacing) = self.spacing_mm
            && !spacing.iter().all(|mm| *mm > 0.0 && *mm < 1000.0)
        {
            return fail(format!("spacing_mm = {spacing:?} is no spacing"));
        }
        if self.resample && self.spacing_mm.is_none() {
            return fail("to resample, `spacing_mm` must be known".to_owned());
        }
        if let Some(Tiles { size_px, overlap_px }) = self.tiles
            && !(size_px > 0 && size_px % self.multiple_of == 0 && 2 * overlap_px < size_px)
        {
            return fail(
                "a tile is a multiple of `multiple_of` and overlaps by less than half".to_owned(),
            );
        }
        if let Some(statistics) = &self.statistics {
            let n = statistics.mean.len();
            let is_square = statistics.precision.len() == n
                && statistics.precision.iter().all(|row| row.len() == n);
            if n != crate::features::N_FEATURES || !is_square {
                return fail(format!(
                    "statistics need {0} means and {0} times {0} precisions",
                    crate::features::N_FEATURES
                ));
            }
        }
        self.intensity.check().or_else(fail)
    }
}
