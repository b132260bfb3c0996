//! The outside of a model: what it takes and gives, and what it needs of a runtime.

use std::collections::BTreeSet;
use std::fmt;

use super::protobuf::{ProtobufError, Reader};
use crate::ElementType;

/// Length of an axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// A fixed one.
    Fixed(usize),
    /// One that is chosen with each call, by its name.
    Free(String),
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(len) => write!(f, "{len}"),
            Self::Free(name) if name.is_empty() => f.write_str("?"),
            Self::Free(name) => f.write_str(name),
        }
    }
}

/// An input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueInfo {
    /// Its name.
    pub name: String,
    /// Type of its elements, [`None`] for one that is not supported.
    pub element_type: Option<ElementType>,
    /// Its axes, [`None`] where the model does not say.
    pub shape: Option<Vec<Dimension>>,
}

/// What an ONNX file says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OnnxModel {
    /// Version of the standard set of operators.
    pub opset: Option<u64>,
    /// Program that wrote it.
    pub producer: String,
    /// Inputs that are no constants.
    pub inputs: Vec<ValueInfo>,
    /// Outputs.
    pub outputs: Vec<ValueInfo>,
    /// Its operators in alphabetic order, others than the standard ones with their domain.
    pub operators: BTreeSet<String>,
    /// Whether constants lie in other files.
    pub has_external_data: bool,
}

impl OnnxModel {
    /// Reads a model.
    ///
    /// # Errors
    /// [`ProtobufError`] where the bytes are no protocol buffer, or end within one.
    pub fn read(bytes: &[u8]) -> Result<Self, ProtobufError> {
        let mut model = Self::default();
        let mut reader = Reader::new(bytes);
        while let Some((field, value)) = reader.next()? {
            match field {
                2 => model.producer = value.text(),
                7 => model.read_graph(value.bytes())?,
                8 => {
                    let (mut domain, mut version) = (String::new(), 0);
                    let mut opset = Reader::new(value.bytes());
                    while let Some((field, value)) = opset.next()? {
                        match field {
                            1 => domain = value.text(),
                            2 => version = value.number(),
                            _ => {}
                        }
                    }
                    if domain.is_empty() || domain == "ai.onnx" {
                        model.opset = Some(version);
                    }
                }
                _ => {}
            }
        }
        Ok(model)
    }

    fn read_graph(&mut self, bytes: &[u8]) -> Result<(), ProtobufError> {
        let mut constants = BTreeSet::new();
        let mut reader = Reader::new(bytes);
        while let Some((field, value)) = reader.next()? {
            match field {
                1 => self.read_node(value.bytes())?,
                5 => {
                    let mut tensor = Reader::new(value.bytes());
                    while let Some((field, value)) = tensor.next()? {
                        match field {
                            8 => drop(constants.insert(value.text())),
                            14 if value.number() == 1 => self.has_external_data = true,
                            _ => {}
                        }
                    }
                }
                11 => self.inputs.push(value_info(value.bytes())?),
                12 => self.outputs.push(value_info(value.bytes())?),
                _ => {}
            }
        }
        // Older files name constants among the inputs.
        self.inputs.retain(|input| !constants.contains(&input.name));
        Ok(())
    }

    fn read_node(&mut self, bytes: &[u8]) -> Result<(), ProtobufError> {
        let (mut operator, mut domain) = (String::new(), String::new());
        let mut reader = Reader::new(bytes);
        while let Some((field, value)) = reader.next()? {
            match field {
                4 => operator = value.text(),
                7 => domain = value.text(),
                _ => {}
            }
        }
        let is_standard = domain.is_empty() || domain == "ai.onnx";
        self.operators.insert(if is_standard { operator } else { format!("{domain}:{operator}") });
        Ok(())
    }
}

fn value_info(bytes: &[u8]) -> Result<ValueInfo, ProtobufError> {
    let mut info = ValueInfo { name: String::new(), element_type: None, shape: None };
    let mut reader = Reader::new(bytes);
    while let Some((field, value)) = reader.next()? {
        match field {
            1 => info.name = value.text(),
            2 => {
                let mut kind = Reader::new(value.bytes());
                while let Some((field, value)) = kind.next()? {
                    if field == 1 {
                        read_tensor_type(value.bytes(), &mut info)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(info)
}

fn read_tensor_type(bytes: &[u8], info: &mut ValueInfo) -> Result<(), ProtobufError> {
    let mut reader = Reader::new(bytes);
    while let Some((field, value)) = reader.next()? {
        match field {
            1 => info.element_type = ElementType::from_onnx(value.number()),
            2 => {
                let mut shape = Vec::new();
                let mut dimensions = Reader::new(value.bytes());
                while let Some((field, value)) = dimensions.next()? {
                    if field == 1 {
                        shape.push(dimension(value.bytes())?);
                    }
                }
                info.shape = Some(shape);
            }
            _ => {}
        }
    }
    Ok(())
}

fn dimension(bytes: &[u8]) -> Result<Dimension, ProtobufError> {
    let mut dimension = Dimension::Free(String::new());
    let mut reader = Reader::new(bytes);
    while let Some((field, value)) = reader.next()? {
        match field {
            // A length below 0 stands for one that is not known.
            1 => {
                if let Ok(len) = i64::try_from(value.number())
                    && let Ok(len) = usize::try_from(len)
                {
                    dimension = Dimension::Fixed(len);
                }
            }
            2 => dimension = Dimension::Free(value.text()),
            _ => {}
        }
    }
    Ok(dimension)
}
