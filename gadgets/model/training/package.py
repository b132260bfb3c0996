"""Packs a trained network: ONNX file, golden arrays, statistics of its input, manifest."""

import hashlib
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper

OPSET = 17


def features(image):
    """The features of crates/inference/src/features.rs of an image `[y, x]` after its transform."""
    some = np.sort(image.ravel()[:: max(image.size // 4096, 1)])
    rank = lambda q: some[int(np.floor(q * (some.size - 1) + 0.5))]
    n = image.size
    return np.array(
        [
            image.mean(dtype=np.float64),
            image.std(dtype=np.float64),
            rank(0.1),
            rank(0.5),
            rank(0.9),
            np.abs(np.diff(image, axis=1)).sum(dtype=np.float64) / n,
            np.abs(np.diff(image, axis=0)).sum(dtype=np.float64) / n,
        ]
    )


def statistics(images, margin=1.5):
    """Mean and precision of the features of transformed images; the limit is the largest distance
    among them times a margin, since a training set never has everything."""
    values = np.array([features(image) for image in images])
    mean = values.mean(0)
    # A feature that all of a set have alike (a share of background) says nothing of other scans.
    spread = np.concatenate([np.full(5, 0.02), 0.05 * mean[5:]])
    precision = np.linalg.inv(np.cov(values.T) + np.diag(spread**2))
    off = values - mean
    distance = np.sqrt(np.einsum("ci,ij,cj->c", off, precision, off).max())
    rows = ", ".join("[" + ", ".join(f"{p:.6g}" for p in row) + "]" for row in precision)
    return (
        "[input.statistics]\n"
        f"mean = [{', '.join(f'{m:.6g}' for m in mean)}]\n"
        f"precision = [{rows}]\n"
        f"max_distance = {margin * distance:.2f}\n"
    )


def pack(name, model, inputs, names, free, folder, manifest):
    """Writes NAME.onnx, NAME.golden and NAME.toml.

    inputs: example inputs, small: they and their outputs become the golden arrays.
    names: of inputs and of outputs. free: axes that are chosen with each call, by name.
    manifest: text with {sha256} and {opset}.
    """
    folder = Path(folder)
    golden = folder / f"{name}.golden"
    golden.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.onnx"
    model = model.eval()
    torch.onnx.export(
        model, tuple(inputs), str(path), input_names=names[0], output_names=names[1],
        opset_version=OPSET, dynamic_axes=free, dynamo=False,
    )
    # A stale path of this machine is of no use to anybody.
    onnx_model = onnx.load(path)
    for node in onnx_model.graph.node:
        node.ClearField("doc_string")
    onnx.save(onnx_model, path)
    with torch.no_grad():
        outputs = model(*inputs)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    for prefix, arrays, labels in (("input", inputs, names[0]), ("output", outputs, names[1])):
        for index, (array, label) in enumerate(zip(arrays, labels)):
            tensor = numpy_helper.from_array(np.ascontiguousarray(array.numpy()), label)
            (golden / f"{prefix}_{index}.pb").write_bytes(tensor.SerializeToString())
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / f"{name}.toml").write_text(manifest.replace("{sha256}", sha256).replace("{opset}", str(OPSET)))
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


def head(name, intended_use, script, data, fallback, conditions="", time_ms=2000, max_batch=4, tolerance="1e-3", version="0.1.0"):
    """First half of a manifest, down to its inputs. `pack` puts the hash and the opset in.

    script: path of the script that trains, from the root. data: what it is trained on, images or series of
    `boreside simulate dataset`. conditions: text of that table, where there is one.
    """
    return f"""\
name = "{name}"
version = "{version}"
licence = "MIT OR Apache-2.0"
intended_use = "{intended_use}"
sha256 = "{{sha256}}"
opset = {{opset}}
provenance = "Trained by {script} on {data} of boreside simulate dataset"
fallback = "{fallback}"

{conditions}[budget]
time_ms = {time_ms}
memory_mib = 1024
max_batch = {max_batch}

[golden]
tolerance = {tolerance}

"""


def figures(rows):
    """The card's table: (what, value, group or None) each."""
    text = ""
    for what, value, group in rows:
        text += f'[[card.measured]]\nwhat = "{what}"\nvalue = {value:.4g}\n'
        text += f'group = "{group}"\n' if group else ""
    return text
