//! `boreside models describe`: the manifest that an ONNX file begins with.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use inference::onnx::{Dimension, OnnxModel, ValueInfo};
use inference::sha256_hex;

/// Prints a manifest with everything that the file tells. What only people know is left to them.
pub fn run(path: &Path) -> Result<()> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    let model = OnnxModel::read(&bytes).with_context(|| path.display().to_string())?;
    let Some(opset) = model.opset.filter(|_| !model.outputs.is_empty()) else {
        bail!("{} is no ONNX model", path.display());
    };
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("model");
    out!("{}", skeleton(stem, &sha256_hex(&bytes), opset, &model));
    Ok(())
}

fn skeleton(stem: &str, sha256: &str, opset: u64, model: &OnnxModel) -> String {
    let mut text = format!(
        "name = \"{stem}\"\nversion = \"1\"\nlicence = \"\"         # SPDX\nintended_use = \"\"\n\
         sha256 = \"{sha256}\"\nopset = {opset}\n\n[budget]\ntime_ms = 2000\nmemory_mib = 1024\n"
    );
    // Writing into a string cannot fail.
    let _ = write!(text, "\n# Producer: {}; operators: ", model.producer);
    let operators: Vec<&str> = model.operators.iter().map(String::as_str).collect();
    let _ = writeln!(text, "{}", operators.join(", "));
    for input in &model.inputs {
        let _ = writeln!(
            text,
            "\n[[input]]\nrole = \"image\"       # image, frames, times_ms, noise_sd, …"
        );
        describe(&mut text, input);
        let _ = writeln!(text, "intensity = {{ transform = \"percentile\", low = 0, high = 99 }}");
    }
    for output in &model.outputs {
        let _ = writeln!(
            text,
            "\n[[output]]\nkind = \"image\"       # image, map, label, probability, score, …"
        );
        describe(&mut text, output);
    }
    text
}

fn describe(text: &mut String, value: &ValueInfo) {
    let shape = value.shape.as_deref().unwrap_or_default();
    let lengths: Vec<String> = shape
        .iter()
        .enumerate()
        .map(|(axis, dimension)| match dimension {
            Dimension::Fixed(length) => length.to_string(),
            Dimension::Free(name) if name.is_empty() => format!("\"axis_{axis}\""),
            Dimension::Free(name) => format!("\"{name}\""),
        })
        .collect();
    let axes = match shape.len() {
        4 => r#"["batch", "channel", "y", "x"]"#,
        3 => r#"["channel", "y", "x"]"#,
        2 => r#"["batch", "channel"]"#,
        1 => r#"["batch"]"#,
        _ => "[]",
    };
    let _ = writeln!(
        text,
        "name = \"{}\"\naxes = {axes}\nshape = [{}]",
        value.name,
        lengths.join(", ")
    );
    match value.element_type {
        None => drop(writeln!(text, "# its elements have a type that is not supported")),
        Some(inference::ElementType::F32) => {}
        Some(other) => {
            let _ = writeln!(text, "element_type = \"{}\"", format!("{other:?}").to_lowercase());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use inference::{ElementType, Manifest};

    #[test]
    fn a_manifest_that_was_begun_can_be_read() {
        let value = |name: &str| ValueInfo {
            name: name.to_owned(),
            element_type: Some(ElementType::F32),
            shape: Some(vec![
                Dimension::Free("n".to_owned()),
                Dimension::Fixed(1),
                Dimension::Free(String::new()),
                Dimension::Fixed(8),
            ]),
        };
        let model = OnnxModel {
            inputs: vec![value("x")],
            outputs: vec![value("y")],
            ..OnnxModel::default()
        };
        let text = skeleton("model", &"0".repeat(64), 17, &model);
        let manifest = Manifest::parse(&text).unwrap_or_else(|error| panic!("{error}:\n{text}"));
        assert_eq!((manifest.opset, manifest.inputs[0].name.as_str()), (17, "x"));
    }
}
