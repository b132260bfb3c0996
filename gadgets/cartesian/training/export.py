"""Packs the trained network: ONNX file, golden arrays, manifest with what was measured."""

import tomllib
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from measure import WORDS, measure, show
from network import N_MODES, TRUSTS, SeriesRegulariser
from package import figures, head, pack


def state_of(path):
    """The weights of a packed model."""
    arrays = {one.name: torch.from_numpy(numpy_helper.to_array(one).copy()) for one in onnx.load(path).graph.initializer}
    known = SeriesRegulariser().state_dict()
    return {name: array for name, array in arrays.items() if name in known}


TRAINED_ON = (
    "330 simulated series (boreside simulate dataset: MOLLI 3(3)3(3)5 and 5(3)3, an eighth of them moving, SASHA, three T2-prepared images; 1.5 and 3 T, "
    "half with lesions of 4 mm to the whole wall, 4 % with one of at most 10 pixels and 125 to 175 ms; two to nine round lesions of 1.8 to 5.6 pixels and 6 to 30 % "
    "more or less T1 in most walls, none of 2.5 to 3.5 pixels with 9 to 18 % more), coils, lines (2- to 8-fold, 16 to 28 calibration lines) and noise (SNR 7 to 60) "
    "drawn anew for each step; {steps} steps in {minutes:.1f} minutes{begin}"
)


def trained_on(steps, minutes, begin_from):
    """How a model came about, for its card."""
    return TRAINED_ON.format(steps=steps, minutes=minutes, begin=f", from the weights of {said_of(begin_from)}" if begin_from else "")


def manifest_of(path):
    return tomllib.loads(Path(path).with_suffix(".toml").read_text())


def said_of(path):
    manifest = manifest_of(path)
    return f"{manifest['name']} {manifest['version']}"


def write(model, test, trained_on, options):
    rows = []
    found = measure(model, test, [2, 4, 6, 8])
    show(found)
    for (acceleration, step), row in found.items():
        if step in (0, len(TRUSTS)):
            group = f"{acceleration}-fold, SNR 20, {len(test)} series of its own test" + (", before the network" if step == 0 else "")
            rows += [(words, row[key], group) for key, words in WORDS.items()]
    torch.manual_seed(3)
    modes = torch.randn(1, 2 * N_MODES, 32, 32)
    noise = torch.full((1, N_MODES, 32, 32), 0.2)
    step = torch.full((1, 1, 32, 32), 1 / len(TRUSTS))
    free = {name: {0: "batch", 2: "y", 3: "x"} for name in ("modes", "noise", "step", "denoised")} | {"trust": {0: "batch"}}
    pack(
        "series_regulariser", model, [modes, noise, step], (["modes", "noise", "step"], ["denoised", "trust"]), free, options.output,
        MANIFEST.replace("{figures}", figures(rows)).replace("{trained_on}", trained_on),
    )


MANIFEST = head(
    "series_regulariser",
    "Takes noise and the traces of missing lines out of the images of the four strongest time courses of a series for T1 or T2 of the heart, "
    "in turn with the samples. Trained on simulated hearts only: not for diagnosis.",
    "gadgets/cartesian/training/series_regulariser.py",
    "series",
    "`subspace` with wavelets",
    conditions="[conditions]\nmin_frames = 2\nmax_frames = 64\n\n",
    time_ms=5000,
    max_batch=64,
    version="0.3.0",
    tolerance="1e-3",
) + """\
[[input]]
name = "modes"
role = "features"
axes = ["batch", "channel", "y", "x"]
shape = ["n", 8, "height", "width"]
multiple_of = 2
spacing_mm = [1.875, 1.875]
spacing_tolerance_percent = 35

[[input]]
name = "noise"
role = "features"
axes = ["batch", "channel", "y", "x"]
shape = ["n", 4, "height", "width"]
multiple_of = 2

[[input]]
name = "step"
role = "features"
axes = ["batch", "channel", "y", "x"]
shape = ["n", 1, "height", "width"]
multiple_of = 2

[[output]]
name = "denoised"
kind = "image"
axes = ["batch", "channel", "y", "x"]
shape = ["n", 8, "height", "width"]
quantity = "real and imaginary parts of the modes over their sizes"
is_sent = false

[[output]]
name = "trust"
kind = "score"
axes = ["batch"]
shape = ["n"]
quantity = "weight of the denoised images beside the samples"
is_sent = false

[card]
trained_on = "{trained_on}"
training_command = "python series_regulariser.py --boreside boreside --data DATA"
limits = [
    "Simulated hearts: real ones were not seen.",
    "Of a lesion of three pixels and 150 ms more T1, 81 ± 2 % of the contrast is kept at acceleration 4 and SNR 20, 70 ± 2 % at acceleration 8, 95 ± 1 % at SNR 60 (boreside evaluate accelerated).",
    "Situs inversus, walls of 16 to 24 mm and a device in the right ventricle, none of them in the training, have at most 1.1 times the error of usual hearts (1.3 to 1.7 %, six of each); the guard does not tell them.",
    "In its last turn with the samples it has most of the say, where noise is high nearly all of it: what it smooths away is not in the images.",
    "Four time courses: a series that is made of more loses what the others hold.",
    "Other lines missing in each image; where the same are missing in all, its aliasing was not seen.",
    "Pixels of 1.2 to 2.5 mm; motion between images only as small as in a breath-hold.",
]
{figures}"""
