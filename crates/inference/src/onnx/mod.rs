//! What of an ONNX file must be known before it is given to a runtime: enough of the format to
//! read a model's opset, inputs, outputs and operators, and to read and write single arrays.
//!
//! # Source
//! `onnx.proto` of the ONNX project; field numbers in the order in which they are read here.

mod model;
mod protobuf;
mod tensor_proto;

pub use model::{Dimension, OnnxModel, ValueInfo};
pub use protobuf::{ProtobufError, Reader, Writer};
pub use tensor_proto::{read_tensor, write_tensor};
