//! What a model says of itself in `NAME.toml`, beside `NAME.onnx`.

mod input;
mod intensity;
mod output;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use input::{Input, InputRole, Orientation, Statistics, Tiles};
pub use intensity::{Intensity, Linear};
pub use output::{Output, OutputGuard, OutputKind};

/// A model: everything that is needed to run it, to check it, and to say what it did.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Name, as chains write it: that of the file, without `.toml`.
    pub name: String,
    /// Version of the model.
    pub version: String,
    /// Licence, as an SPDX expression.
    pub licence: String,
    /// What it is for, and what not, in a sentence or two.
    pub intended_use: String,
    /// The ONNX file in the manifest's folder [default: NAME.onnx].
    #[serde(default)]
    pub file: Option<String>,
    /// SHA-256 of the ONNX file, 64 hexadecimal digits.
    pub sha256: String,
    /// Version of the standard set of operators that the file needs.
    pub opset: u64,
    /// Whether the same input always gives the same output on the same provider.
    #[serde(default = "yes")]
    pub is_deterministic: bool,
    /// Where it comes from: who trained it on what, in a sentence.
    #[serde(default)]
    pub provenance: String,
    /// The classical method that runs where the model cannot, in words.
    #[serde(default)]
    pub fallback: Option<String>,
    /// Inputs, in any order.
    #[serde(rename = "input")]
    pub inputs: Vec<Input>,
    /// Outputs that are used, in any order.
    #[serde(rename = "output")]
    pub outputs: Vec<Output>,
    /// Scans that it was made for.
    #[serde(default)]
    pub conditions: Conditions,
    /// Time and memory that it may take.
    #[serde(default)]
    pub budget: Budget,
    /// A small input and its output, which every runtime must agree with before the model is used.
    #[serde(default)]
    pub golden: Option<Golden>,
    /// What people should know of it.
    #[serde(default)]
    pub card: Card,
}

fn yes() -> bool {
    true
}

/// Scans that a model was made for; what is not given is not asked.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Conditions {
    /// Main fields in tesla, each with a tolerance of 10 %.
    pub field_strength_t: Vec<f64>,
    /// Regular expression that the protocol's or the sequence's name must match somewhere.
    pub sequence_name: Option<String>,
    /// Least number of images of a series.
    pub min_frames: Option<usize>,
    /// Largest number of images of a series.
    pub max_frames: Option<usize>,
}

/// Time and memory that a model may take.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// One call, waiting included, in ms.
    pub time_ms: f64,
    /// Loading and the first calls, in ms.
    pub load_time_ms: f64,
    /// Memory beside that of the runtime, in MiB.
    pub memory_mib: usize,
    /// Images that may be worked on in one call where several wait; needs a free first axis.
    pub max_batch: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { time_ms: 2000.0, load_time_ms: 60_000.0, memory_mib: 1024, max_batch: 1 }
    }
}

/// A small input and its output.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    /// Folder with `input_0.pb` …, `output_0.pb` …, as ONNX's own test sets have them
    /// [default: NAME.golden].
    #[serde(default)]
    pub folder: Option<String>,
    /// Largest difference in parts of the largest value of each output.
    pub tolerance: f64,
}

/// What people should know of a model.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Card {
    /// What it was trained on.
    pub trained_on: String,
    /// The command that trained it.
    pub training_command: String,
    /// What was measured.
    pub measured: Vec<Measured>,
    /// What it cannot do.
    pub limits: Vec<String>,
}

/// A measured figure.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// What was measured, with its unit.
    pub what: String,
    /// The figure.
    pub value: f64,
    /// Part of the data that it holds for, where it is not all of them.
    #[serde(default)]
    pub group: Option<String>,
}

/// A manifest that cannot be right, whatever the model is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct ManifestError {
    /// The table or key.
    pub place: String,
    /// What is wrong.
    pub what: String,
}

impl Manifest {
    /// Reads a manifest and checks what can be checked without its model.
    ///
    /// # Errors
    /// The first thing that is wrong, with its line where it is one of form.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let manifest: Self = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| 1 + text[..span.start].matches('\n').count());
            let place = line.map_or_else(|| "manifest".to_owned(), |line| format!("line {line}"));
            ManifestError { place, what: error.message().to_owned() }
        })?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The manifest's JSON Schema.
    pub fn schema() -> serde_json::Value {
        schemars::schema_for!(Self).to_value()
    }

    /// Name of the ONNX file.
    pub fn file_name(&self) -> String {
        self.file.clone().unwrap_or_else(|| format!("{}.onnx", self.name))
    }

    /// Name of the folder of the golden arrays, where there is one.
    pub fn golden_folder(&self) -> Option<String> {
        let golden = self.golden.as_ref()?;
        Some(golden.folder.clone().unwrap_or_else(|| format!("{}.golden", self.name)))
    }

    /// The output of this kind, the first one where there are several.
    pub fn output_of_kind(&self, kind: OutputKind) -> Option<&Output> {
        self.outputs.iter().find(|output| output.kind == kind)
    }

    fn check(&self) -> Result<(), ManifestError> {
        let fail = |place: &str, what: String| Err(ManifestError { place: place.to_owned(), what });
        let is_plain = |name: &str| {
            !name.is_empty()
                && !name.starts_with('.')
                && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
        };
        if !is_plain(&self.name) {
            return fail(
                "name",
                format!("`{}` is not made of letters, digits, - and _", self.name),
            );
        }
        for (place, name) in
            [("file", Some(self.file_name())), ("golden.folder", self.golden_folder())]
        {
            if let Some(name) = name
                && !is_plain(&name)
            {
                return fail(place, format!("`{name}` does not lie in the manifest's folder"));
            }
        }
        if self.sha256.len() != 64 || !self.sha256.chars().all(|c| c.is_ascii_hexdigit()) {
            return fail("sha256", "64 hexadecimal digits are expected".to_owned());
        }
        if self.inputs.is_empty() || self.outputs.is_empty() {
            return fail("input, output", "a model has at least one of each".to_owned());
        }
        for (place, value) in [
            ("budget.time_ms", self.budget.time_ms),
            ("budget.load_time_ms", self.budget.load_time_ms),
        ] {
            if !(value > 0.0 && value < 1e9) {
                return fail(place, format!("{value} is no time"));
            }
        }
        if self.budget.memory_mib == 0 || self.budget.max_batch == 0 {
            return fail("budget", "memory and batch must be above 0".to_owned());
        }
        if let Some(golden) = &self.golden
            && !(golden.tolerance >= 0.0 && golden.tolerance < 1.0)
        {
            return fail("golden.tolerance", format!("{} is not from 0 to 1", golden.tolerance));
        }
        if let Some(pattern) = &self.conditions.sequence_name
            && let Err(error) = regex_lite::Regex::new(pattern)
        {
            return fail("conditions.sequence_name", error.to_string());
        }
        self.inputs.iter().try_for_each(Input::check)?;
        self.outputs.iter().try_for_each(Output::check)
    }
}

/// Length of an axis: a number, or a name for one that is chosen with each call.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Length {
    /// A fixed one.
    Fixed(usize),
    /// One that is chosen with each call.
    Free(String),
}

/// What an axis of an input or output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Axis {
    /// Independent images, one after the other.
    Batch,
    /// Colours, classes, or the like.
    Channel,
    /// Images of a series.
    Frame,
    /// Slices or partitions.
    Z,
    /// Lines.
    Y,
    /// Columns.
    X,
}
