//! `userParameters` and `waveformInformation`.

use super::HeaderError;
use super::element::{Field, Number, Path, Value, element, enumeration, number_text};
use super::tree::{Document, Node};

/// A named parameter of the vendor's or the sequence's own.
///
/// One without a name, and a numeric one whose value is no such number, is left out when a header
/// is read: files in the field have `true` and empty texts there.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct UserParameter<T> {
    /// Name.
    pub name: String,
    /// Value.
    pub value: T,
}

impl<T> UserParameter<T> {
    /// A parameter.
    pub fn new(name: impl Into<String>, value: impl Into<T>) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

/// What a user parameter can hold.
pub(super) trait ParameterText: Sized {
    fn from_text(text: &str) -> Option<Self>;
    fn to_text(&self) -> String;
}

impl ParameterText for String {
    fn from_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }

    fn to_text(&self) -> String {
        self.clone()
    }
}

impl ParameterText for i64 {
    fn from_text(text: &str) -> Option<Self> {
        Number::parse(text.trim())
    }

    fn to_text(&self) -> String {
        number_text(*self)
    }
}

impl ParameterText for f64 {
    fn from_text(text: &str) -> Option<Self> {
        Number::parse(text.trim())
    }

    fn to_text(&self) -> String {
        number_text(*self)
    }
}

impl<T: ParameterText> Value for UserParameter<T> {
    fn read(node: &Node, path: &Path<'_>) -> Result<Option<Self>, HeaderError> {
        let name = Option::<String>::read_from(node, "name", path)?;
        let value = node.child("value").and_then(|value| T::from_text(&value.text));
        Ok(name.zip(value).map(|(name, value)| Self { name, value }))
    }

    fn write(&self, name: &str, document: &mut Document) {
        document.element(name, "", |document| {
            document.leaf("name", &self.name);
            document.leaf("value", &self.value.to_text());
        });
    }
}

element! {
    /// Parameters of the vendor's or the sequence's own.
    pub struct UserParameters {
        /// Whole numbers.
        user_parameter_long: Vec<UserParameter<i64>> = "userParameterLong",
        /// Numbers.
        user_parameter_double: Vec<UserParameter<f64>> = "userParameterDouble",
        /// Texts.
        user_parameter_string: Vec<UserParameter<String>> = "userParameterString",
        /// Base64 texts, as they are.
        user_parameter_base64: Vec<UserParameter<String>> = "userParameterBase64",
    }
}

impl UserParameters {
    /// The whole number of this name.
    pub fn long(&self, name: &str) -> Option<i64> {
        find(&self.user_parameter_long, name).copied()
    }

    /// The number of this name, whether it was stored as one with or without decimals.
    pub fn double(&self, name: &str) -> Option<f64> {
        find(&self.user_parameter_double, name)
            .copied()
            .or_else(|| self.long(name).map(|value| value as f64))
    }

    /// The text of this name.
    pub fn string(&self, name: &str) -> Option<&str> {
        find(&self.user_parameter_string, name).map(String::as_str)
    }

    /// The Base64 text of this name.
    pub fn base64(&self, name: &str) -> Option<&str> {
        find(&self.user_parameter_base64, name).map(String::as_str)
    }
}

fn find<'a, T>(parameters: &'a [UserParameter<T>], name: &str) -> Option<&'a T> {
    parameters.iter().find(|parameter| parameter.name == name).map(|parameter| &parameter.value)
}

element! {
    /// A waveform that may come with the scan. Not tied to an id by the standard.
    pub struct WaveformInformation {
        /// Name.
        waveform_name: String = "waveformName" or default,
        /// Kind. An absent or unknown one reads as `Other`.
        waveform_type: WaveformType = "waveformType" or default,
        /// Parameters.
        user_parameters: Option<UserParameters> = "userParameters",
    }
}

enumeration! {
    /// Kind of a waveform. An unknown text reads as `Other`.
    pub enum WaveformType {
        /// Anything else.
        Other = "other",
        /// Electrocardiogram.
        Ecg = "ecg",
        /// Pulse oximeter.
        Pulse = "pulse",
        /// Respiration.
        Respiratory = "respiratory",
        /// Trigger.
        Trigger = "trigger",
        /// Gradient.
        GradientWaveform = "gradientwaveform",
    }
    else Other
}
