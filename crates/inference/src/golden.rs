//! A small input and its output that every runtime must agree with.

use std::path::Path;

use crate::Tensor;
use crate::manifest::Manifest;
use crate::onnx::read_tensor;

/// Bytes of a golden array: more is a mistake.
const MAX_BYTES: u64 = 64 << 20;
/// Arrays of a set.
const MAX_ARRAYS: usize = 32;

/// Inputs and outputs by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GoldenSet {
    /// Inputs.
    pub inputs: Vec<(String, Tensor)>,
    /// Outputs.
    pub outputs: Vec<(String, Tensor)>,
}

/// Why a golden set cannot be used, or what differs from it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GoldenError {
    /// A file that is not there or not readable.
    #[error("golden array {file}: {reason}")]
    File {
        /// The file.
        file: String,
        /// Why not.
        reason: String,
    },
    /// An input or output of the manifest without an array.
    #[error("there is no golden array for `{0}`")]
    Missing(String),
    /// An output of another shape.
    #[error("output `{name}` has shape {found:?}, the golden one {expected:?}")]
    Shape {
        /// The output.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// That of the golden array.
        expected: Vec<usize>,
    },
    /// Another result.
    #[error(
        "output `{name}` differs from the golden one by {difference} of its largest value, {tolerance} is allowed"
    )]
    Differs {
        /// The output.
        name: String,
        /// The largest difference in parts of the largest golden value.
        difference: String,
        /// What is allowed.
        tolerance: String,
    },
}

impl GoldenSet {
    /// Reads `input_0.pb` … and `output_0.pb` … of a folder.
    ///
    /// # Errors
    /// [`GoldenError::File`].
    pub fn read(folder: &Path, manifest: &Manifest) -> Result<Self, GoldenError> {
        Self::read_with(manifest, |name| {
            let path = folder.join(name);
            let Ok(about) = std::fs::metadata(&path) else { return Ok(None) };
            if about.len() > MAX_BYTES {
                return Err(format!("{} bytes are too many", about.len()));
            }
            std::fs::read(&path).map(Some).map_err(|error| error.to_string())
        })
    }

    /// Reads the arrays with `read`, which gives the bytes of a file, or [`None`] where there is
    /// no such file.
    ///
    /// # Errors
    /// [`GoldenError::File`], [`GoldenError::Missing`].
    pub fn read_with(
        manifest: &Manifest,
        read: impl Fn(&str) -> Result<Option<Vec<u8>>, String>,
    ) -> Result<Self, GoldenError> {
        let arrays = |prefix: &str| {
            let mut arrays = Vec::new();
            for index in 0..MAX_ARRAYS {
                let file = format!("{prefix}_{index}.pb");
                let fail = |reason| GoldenError::File { file: file.clone(), reason };
                let Some(bytes) = read(&file).map_err(fail)? else { break };
                let array = read_tensor(&bytes).map_err(|error| fail(error.to_string()))?;
                arrays.push(array.ok_or_else(|| fail("its type is not supported".to_owned()))?);
            }
            Ok::<_, GoldenError>(arrays)
        };
        let set = Self { inputs: arrays("input")?, outputs: arrays("output")? };
        let missing = |names: &[(String, Tensor)], name: &str| {
            if names.iter().any(|(known, _)| known == name) {
                Ok(())
            } else {
                Err(GoldenError::Missing(name.to_owned()))
            }
        };
        manifest.inputs.iter().try_for_each(|input| missing(&set.inputs, &input.name))?;
        manifest.outputs.iter().try_for_each(|output| missing(&set.outputs, &output.name))?;
        Ok(set)
    }

    /// Holds outputs against the golden ones. Gives the largest difference in parts of the
    /// largest value.
    ///
    /// # Errors
    /// [`GoldenError::Missing`], [`GoldenError::Shape`], [`GoldenError::Differs`].
    pub fn compare(
        &self,
        outputs: &[(String, Tensor)],
        tolerance: f64,
    ) -> Result<f64, GoldenError> {
        let mut worst: f64 = 0.0;
        for (name, expected) in &self.outputs {
            let found = outputs.iter().find(|(other, _)| other == name);
            let (_, found) = found.ok_or_else(|| GoldenError::Missing(name.clone()))?;
            if found.shape() != expected.shape() {
                let (found, expected) = (found.shape().to_vec(), expected.shape().to_vec());
                return Err(GoldenError::Shape { name: name.clone(), found, expected });
            }
            let (found, expected) = (found.to_f32(), expected.to_f32());
            let largest = expected.iter().fold(0.0_f64, |most, v| most.max(f64::from(v.abs())));
            let off = found.iter().zip(&expected).map(|(a, b)| f64::from((a - b).abs()));
            // What is no number is as far off as can be.
            let off = off.fold(0.0_f64, |most, v| if v <= most { most } else { v });
            let difference = if largest > 0.0 { off / largest } else { off };
            if difference > tolerance || difference.is_nan() {
                return Err(GoldenError::Differs {
                    name: name.clone(),
                    difference: format!("{difference:.2e}"),
                    tolerance: format!("{tolerance:.2e}"),
                });
            }
            worst = worst.max(difference);
        }
        Ok(worst)
    }
}
