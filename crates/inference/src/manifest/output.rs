//! An output of a model.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Axis, Length, ManifestError};
use crate::ElementType;

/// An output of a model.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// Its name in the ONNX file.
    pub name: String,
    /// What comes out.
    pub kind: OutputKind,
    /// Type of its elements [default: f32].
    #[serde(default)]
    pub element_type: ElementType,
    /// What its axes are, slowest first.
    #[serde(default)]
    pub axes: Vec<Axis>,
    /// Their lengths.
    #[serde(default)]
    pub shape: Vec<Length>,
    /// Names of the classes of a label or probability, in order; the first one is background.
    #[serde(default)]
    pub classes: Vec<String>,
    /// What is measured, in the words of Gadgetron's data roles (`T1`), or in plain words.
    #[serde(default)]
    pub quantity: String,
    /// Unit of the values after the scale.
    #[serde(default)]
    pub unit: String,
    /// Values are multiplied by this.
    #[serde(default = "one")]
    pub scale: f32,
    /// And this is added.
    #[serde(default)]
    pub offset: f32,
    /// Whether the values are taken back to the scale of the input image.
    #[serde(default)]
    pub in_units_of_input: bool,
    /// Centre and width of the window, in the values' unit.
    #[serde(default)]
    pub window: Option<[f64; 2]>,
    /// Palette's name on the scanner.
    #[serde(default)]
    pub colour_map: Option<String>,
    /// DICOM concept: scheme, code, meaning.
    #[serde(default)]
    pub dicom_concept: Option<[String; 3]>,
    /// Series of the images: that of the source image plus this.
    #[serde(default)]
    pub series_offset: u16,
    /// Description of the series.
    #[serde(default)]
    pub description: Option<String>,
    /// Whether the image was not measured, and must not be taken for one that was.
    #[serde(default)]
    pub is_synthetic: bool,
    /// Whether it is sent on as an image; else it is only used.
    #[serde(default = "yes")]
    pub is_sent: bool,
    /// A score above this is a finding.
    #[serde(default)]
    pub threshold: Option<f64>,
    /// What values are believed.
    #[serde(default)]
    pub guard: OutputGuard,
}

fn yes() -> bool {
    true
}

fn one() -> f32 {
    1.0
}

/// What comes out of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutputKind {
    /// An image that stands for the input image.
    Image,
    /// Values with a unit.
    Map,
    /// Number of the class of each pixel.
    Label,
    /// Probability of each class for each pixel, along the channel axis.
    Probability,
    /// Numbers for the whole image.
    Score,
    /// Displacements along the channel axis: (dy, dx), px.
    Field,
    /// How uncertain each pixel is.
    Uncertainty,
    /// Where what a score is about is seen.
    ActivationMap,
}

impl OutputKind {
    /// Whether there is a value for each pixel.
    pub fn is_image(self) -> bool {
        self != Self::Score
    }
}

/// What values of an output are believed.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OutputGuard {
    /// Least and largest value, before scale and offset.
    pub range: Option<[f64; 2]>,
    /// Share of values that may lie outside of the range.
    pub max_outside_share: f64,
    /// Share of values that may be no numbers.
    pub max_nan_share: f64,
    /// How far the sum over the channel axis may be from 1; absent: it is not asked.
    pub sum_tolerance: Option<f64>,
    /// Largest mean of an uncertainty.
    pub max_mean: Option<f64>,
    /// Whether a field must not fold: its Jacobian is above 0 everywhere.
    pub no_folding: bool,
    /// Largest displacement of a field in px.
    pub max_displacement_px: Option<f64>,
}

impl Output {
    /// Place of an axis, [`None`] where the output does not have it.
    pub fn axis(&self, axis: Axis) -> Option<usize> {
        self.axes.iter().position(|other| *other == axis)
    }

    pub(super) fn check(&self) -> Result<(), ManifestError> {
        let fail = |what: &str| {
            Err(ManifestError { place: format!("output {}", self.name), what: what.to_owned() })
        };
        if self.axes.len() != self.shape.len() {
            return fail("the numbers of axes and of lengths differ");
        }
        let has = |axis| self.axis(axis).is_some();
        if self.kind.is_image() && !(has(Axis::Y) && has(Axis::X)) {
            return fail("an output of pixels has the axes y and x");
        }
        let needs_channel = self.kind == OutputKind::Field
            || self.kind == OutputKind::Probability && self.classes.len() > 1
            || self.guard.sum_tolerance.is_some();
        if needs_channel && !has(Axis::Channel) {
            return fail("classes and displacements lie along an axis channel");
        }
        if self.guard.range.is_some_and(|[low, high]| low >= high) {
            return fail("guard.range has its least value first");
        }
        if self.scale == 0.0 || !self.scale.is_finite() || !self.offset.is_finite() {
            return fail("scale and offset must be numbers, scale not 0");
        }
        Ok(())
    }
}
