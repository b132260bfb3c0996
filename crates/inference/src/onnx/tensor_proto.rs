//! Arrays in files of their own, as ONNX's test sets have them (`input_0.pb`).

use super::protobuf::{ProtobufError, Reader, Writer};
use crate::{ElementType, Elements, Tensor};

/// Reads an array and its name. [`None`] where its type is not supported, or where its elements
/// do not fill its shape.
///
/// # Errors
/// [`ProtobufError`].
pub fn read_tensor(bytes: &[u8]) -> Result<Option<(String, Tensor)>, ProtobufError> {
    let (mut name, mut kind, mut shape) = (String::new(), None, Vec::new());
    let (mut raw, mut floats, mut longs) = (None, Vec::new(), Vec::new());
    let mut reader = Reader::new(bytes);
    while let Some((field, value)) = reader.next()? {
        match field {
            1 => {
                let mut packed = Reader::new(value.bytes());
                while let Some(len) = packed.packed()? {
                    shape.push(len);
                }
                if value.bytes().is_empty() {
                    shape.push(value.number());
                }
            }
            2 => kind = ElementType::from_onnx(value.number()),
            4 => floats.extend(bytemuck::pod_collect_to_vec::<u8, f32>(value.bytes())),
            7 => {
                let mut packed = Reader::new(value.bytes());
                while let Some(long) = packed.packed()? {
                    longs.push(long as i64);
                }
            }
            8 => name = value.text(),
            9 => raw = Some(value.bytes()),
            _ => {}
        }
    }
    let shape: Option<Vec<usize>> = shape.iter().map(|len| usize::try_from(*len).ok()).collect();
    let (Some(kind), Some(shape)) = (kind, shape) else { return Ok(None) };
    let tensor = match raw {
        Some(bytes) => Tensor::from_bytes(kind, &shape, bytes),
        None if kind == ElementType::F32 => Tensor::new(&shape, Elements::F32(floats)),
        None => Tensor::new(&shape, Elements::I64(longs)),
    };
    Ok(tensor.ok().map(|tensor| (name, tensor)))
}

/// Writes an array with its name.
pub fn write_tensor(name: &str, tensor: &Tensor) -> Vec<u8> {
    let mut writer = Writer::new();
    for len in tensor.shape() {
        writer = writer.number(1, *len as u64);
    }
    writer
        .number(2, tensor.element_type().onnx_code())
        .bytes(8, name)
        .bytes(9, tensor.bytes())
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_that_was_written_is_read() {
        let tensor = Tensor::from_f32(&[2, 1], vec![1.5, -2.0]).expect("two elements");
        let bytes = write_tensor("image", &tensor);
        assert_eq!(read_tensor(&bytes), Ok(Some(("image".to_owned(), tensor))));
        assert!(read_tensor(&bytes[..bytes.len() - 1]).is_err());
    }
}
