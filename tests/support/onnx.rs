//! Small ONNX models, written operator by operator, and manifests for them.

use std::path::{Path, PathBuf};

use inference::onnx::{Writer, write_tensor};
use inference::{Elements, Tensor, sha256_hex};

/// A tensor type: floats of these axes; a name stands for a free one.
fn tensor_type(shape: &[&str]) -> Writer {
    let mut dimensions = Writer::new();
    for length in shape {
        let dimension = match length.parse() {
            Ok(length) => Writer::new().number(1, length),
            Err(_) => Writer::new().bytes(2, length),
        };
        dimensions = dimensions.message(1, dimension);
    }
    Writer::new().message(1, Writer::new().number(1, 1).message(2, dimensions))
}

fn value(name: &str, shape: &[&str]) -> Writer {
    Writer::new().bytes(1, name).message(2, tensor_type(shape))
}

/// An operator: its name, its domain, inputs and an output.
pub struct Node(pub &'static str, pub &'static str, pub Vec<String>, pub String);

/// A model from `image` to `result` of the same shape, with constants by name.
pub fn model(opset: u64, shape: &[&str], nodes: &[Node], constants: &[(&str, Tensor)]) -> Vec<u8> {
    model_of(opset, &[("image", shape)], shape, nodes, constants)
}

/// A model from inputs of these shapes to a `result`, with constants by name.
fn model_of(
    opset: u64,
    inputs: &[(&str, &[&str])],
    result: &[&str],
    nodes: &[Node],
    constants: &[(&str, Tensor)],
) -> Vec<u8> {
    let mut graph = Writer::new();
    for Node(operator, domain, inputs, output) in nodes {
        let mut node = Writer::new();
        for input in inputs {
            node = node.bytes(1, input);
        }
        node = node.bytes(2, output).bytes(4, operator);
        if !domain.is_empty() {
            node = node.bytes(7, domain);
        }
        graph = graph.message(1, node);
    }
    graph = graph.bytes(2, "test");
    for (name, tensor) in constants {
        graph = graph.bytes(5, write_tensor(name, tensor));
    }
    for (name, shape) in inputs {
        graph = graph.message(11, value(name, shape));
    }
    graph = graph.message(12, value("result", result));
    let set = |domain: &str, version| Writer::new().bytes(1, domain).number(2, version);
    Writer::new()
        .number(1, 8)
        .bytes(2, "boreside tests")
        .message(7, graph)
        .message(8, set("", opset))
        .message(8, set("org.elsewhere", 1))
        .finish()
}

/// The image twice as bright.
pub fn doubling() -> Vec<u8> {
    model(17, IMAGE, &[node("Mul", &["image", "two"], "result")], &[("two", Tensor::scalar(2.0))])
}

/// The sum of the images of a series, each multiplied with its time: inputs `image` and `times`.
pub fn sum_over_times() -> Vec<u8> {
    let axis = Tensor::new(&[1], Elements::I64(vec![1])).expect("one axis");
    let inputs: [(&str, &[&str]); 2] =
        [("image", &["n", "frames", "height", "width"]), ("times", &["frames", "1", "1"])];
    let nodes = [
        node("Mul", &["image", "times"], "weighted"),
        node("ReduceSum", &["weighted", "axis"], "result"),
    ];
    model_of(17, &inputs, IMAGE, &nodes, &[("axis", axis)])
}

/// The sum of an image and its `companion`.
pub fn sum_of_two() -> Vec<u8> {
    let inputs: [(&str, &[&str]); 2] = [("image", IMAGE), ("companion", IMAGE)];
    model_of(17, &inputs, IMAGE, &[node("Add", &["image", "companion"], "result")], &[])
}

/// One of the standard operators.
pub fn node(operator: &'static str, inputs: &[&str], output: &str) -> Node {
    let inputs = inputs.iter().map(|&name| name.to_owned()).collect();
    Node(operator, "", inputs, output.to_owned())
}

/// Zero over zero everywhere.
pub fn not_a_number() -> Vec<u8> {
    let nodes =
        [node("Sub", &["image", "image"], "zero"), node("Div", &["zero", "zero"], "result")];
    model(17, IMAGE, &nodes, &[])
}

/// An operator that no runtime has.
pub fn unknown_operator() -> Vec<u8> {
    let inputs = vec!["image".to_owned()];
    let node = Node("Divine", "org.elsewhere", inputs, "result".to_owned());
    model(17, IMAGE, &[node], &[])
}

/// The image as it is, after seconds of work that come to nothing.
pub fn slow() -> Vec<u8> {
    const N: usize = 4000;
    let shape = Tensor::new(&[4], Elements::I64(vec![64, 32, 32, 32])).expect("four lengths");
    let mut nodes = vec![node("Expand", &["image", "shape"], "x0")];
    for n in 0..N {
        nodes.push(node("Sin", &[&format!("x{n}")], &format!("x{}", n + 1)));
    }
    nodes.push(node("ReduceMax", &[&format!("x{N}")], "most"));
    nodes.push(node("Mul", &["most", "nothing"], "zero"));
    nodes.push(node("Add", &["image", "zero"], "result"));
    model(17, IMAGE, &nodes, &[("shape", shape), ("nothing", Tensor::scalar(0.0))])
}

/// Axes of an image.
pub const IMAGE: &[&str] = &["n", "1", "height", "width"];

/// A folder of models.
pub struct Folder(pub tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn text(&self) -> &str {
        self.path().to_str().expect("UTF-8")
    }

    /// Writes a model with its manifest, in which `change` may change what it likes.
    pub fn put(&self, name: &str, bytes: &[u8], change: impl Fn(String) -> String) -> PathBuf {
        let file = self.path().join(format!("{name}.onnx"));
        std::fs::write(&file, bytes).expect("written");
        let manifest = format!(
            "name = \"{name}\"\nversion = \"1.2.3\"\nlicence = \"MIT\"\nintended_use = \"tests\"\n\
             sha256 = \"{}\"\nopset = 17\n[budget]\ntime_ms = 20000\n[[input]]\nname = \"image\"\n\
             role = \"image\"\naxes = [\"batch\", \"channel\", \"y\", \"x\"]\n\
             shape = [\"n\", 1, \"height\", \"width\"]\n[[output]]\nname = \"result\"\nkind = \"image\"\n\
             axes = [\"batch\", \"channel\", \"y\", \"x\"]\nshape = [\"n\", 1, \"height\", \"width\"]\n",
            sha256_hex(bytes)
        );
        let path = self.path().join(format!("{name}.toml"));
        std::fs::write(path, change(manifest)).expect("written");
        file
    }
}
