//! A manifest and its ONNX file, held against each other.

use sha2::{Digest, Sha256};

use crate::ElementType;
use crate::manifest::{Length, Manifest};
use crate::onnx::{Dimension, OnnxModel, ProtobufError, ValueInfo};

/// How a file differs from what its manifest says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    /// Another file.
    #[error("the file has SHA-256 {found}, its manifest says {expected}")]
    Hash {
        /// That of the file.
        found: String,
        /// That of the manifest.
        expected: String,
    },
    /// No ONNX file.
    #[error("the file is no ONNX model: {0}")]
    Form(#[from] ProtobufError),
    /// No graph.
    #[error("the file is no ONNX model: it has no operators or no outputs")]
    Empty,
    /// Another opset.
    #[error("the file needs opset {found}, its manifest says {expected}")]
    Opset {
        /// That of the file.
        found: u64,
        /// That of the manifest.
        expected: u64,
    },
    /// Constants elsewhere.
    #[error("constants of the model lie in other files, which is not supported")]
    ExternalData,
    /// An input or output that is not there.
    #[error("{what} `{name}` is in the manifest and not in the file, which has {known}")]
    Missing {
        /// `input` or `output`.
        what: &'static str,
        /// Its name.
        name: String,
        /// Those of the file.
        known: String,
    },
    /// An input that the manifest leaves out.
    #[error("input `{name}` is in the file and not in the manifest")]
    Unlisted {
        /// Its name.
        name: String,
    },
    /// Another type.
    #[error(
        "{what} `{name}` has elements of type {found} in the file, the manifest says {expected}"
    )]
    Elements {
        /// `input` or `output`.
        what: &'static str,
        /// Its name.
        name: String,
        /// Type in the file.
        found: String,
        /// Type in the manifest.
        expected: String,
    },
    /// Another shape.
    #[error("{what} `{name}` has shape [{found}] in the file, the manifest says [{expected}]")]
    Shape {
        /// `input` or `output`.
        what: &'static str,
        /// Its name.
        name: String,
        /// Shape in the file.
        found: String,
        /// Shape in the manifest.
        expected: String,
    },
}

/// SHA-256 of bytes in hexadecimal digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Holds a file against its manifest.
///
/// # Errors
/// The first difference.
pub fn check(manifest: &Manifest, bytes: &[u8]) -> Result<OnnxModel, Difference> {
    let found = sha256_hex(bytes);
    if !found.eq_ignore_ascii_case(&manifest.sha256) {
        // A file that is cut is better called so.
        OnnxModel::read(bytes)?;
        return Err(Difference::Hash { found, expected: manifest.sha256.clone() });
    }
    let model = OnnxModel::read(bytes)?;
    if model.operators.is_empty() || model.outputs.is_empty() {
        return Err(Difference::Empty);
    }
    let found = model.opset.unwrap_or(0);
    if found != manifest.opset {
        return Err(Difference::Opset { found, expected: manifest.opset });
    }
    if model.has_external_data {
        return Err(Difference::ExternalData);
    }
    for input in &manifest.inputs {
        compare("input", &model.inputs, &input.name, input.element_type, &input.shape)?;
    }
    for output in &manifest.outputs {
        compare("output", &model.outputs, &output.name, output.element_type, &output.shape)?;
    }
    for found in &model.inputs {
        if !manifest.inputs.iter().any(|input| input.name == found.name) {
            return Err(Difference::Unlisted { name: found.name.clone() });
        }
    }
    Ok(model)
}

fn compare(
    what: &'static str,
    found: &[ValueInfo],
    name: &str,
    kind: ElementType,
    shape: &[Length],
) -> Result<(), Difference> {
    let Some(info) = found.iter().find(|info| info.name == name) else {
        let known: Vec<_> = found.iter().map(|info| info.name.as_str()).collect();
        return Err(Difference::Missing { what, name: name.to_owned(), known: known.join(", ") });
    };
    if info.element_type != Some(kind) {
        let found = info.element_type.map_or_else(|| "another kind".to_owned(), type_name);
        let (name, expected) = (name.to_owned(), type_name(kind));
        return Err(Difference::Elements { what, name, found, expected });
    }
    let Some(dimensions) = &info.shape else { return Ok(()) };
    let fits = dimensions.len() == shape.len()
        && dimensions.iter().zip(shape).all(|(found, expected)| match (found, expected) {
            (Dimension::Fixed(found), Length::Fixed(expected)) => found == expected,
            // Files do not always say what is fixed, least of all of outputs.
            (Dimension::Free(_), _) => true,
            (Dimension::Fixed(_), Length::Free(_)) => false,
        });
    if fits {
        return Ok(());
    }
    let found: Vec<_> = dimensions.iter().map(ToString::to_string).collect();
    let expected: Vec<_> = shape
        .iter()
        .map(|length| match length {
            Length::Fixed(length) => length.to_string(),
            Length::Free(name) => name.clone(),
        })
        .collect();
    let (found, expected) = (found.join(", "), expected.join(", "));
    Err(Difference::Shape { what, name: name.to_owned(), found, expected })
}

fn type_name(kind: ElementType) -> String {
    format!("{kind:?}").to_lowercase()
}
