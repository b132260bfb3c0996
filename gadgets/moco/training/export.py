"""Packs the trained network: ONNX file, golden arrays, manifest with what was measured."""

import copy

import numpy as np
import torch
from torch import nn

from measure import groups
from network import widened
from package import figures, head, pack, statistics


class Exported(nn.Module):
    """One series; times in ms, as the manifest's role has them."""

    def __init__(self, model):
        super().__init__()
        self.model = copy.deepcopy(model)
        self.model.coarse_in, self.model.fine_in = widened(model.coarse_in), widened(model.fine_in)

    def forward(self, frames, reference, times_ms):
        return self.model(frames, reference, times_ms / 1000)


def write(model, train, test, found, history, options):
    rows = []
    for name, figure in groups(found):
        group = f"{name}, {figure['n_series']} series"
        for key, words in WORDS.items():
            if key in figure:
                rows.append((words, figure[key], group))
    data = next(data for data in test if data.name == "molli-5(3)3")
    case = int(np.flatnonzero(~data.still)[0])
    # A small square of a series with the heart in it.
    y, x = (int(c) // 16 * 16 for c in np.argwhere(data.regions[case] == 4).mean(0))
    chosen = [0, 4, 5]
    frames = torch.from_numpy(data.frames[case][:, max(y - 32, 0) :, max(x - 32, 0) :][chosen, :64, :64].astype(np.float32))
    frames = frames.unsqueeze(1).contiguous()
    times = torch.from_numpy(data.times[case][chosen].astype(np.float32)) * 1000
    some = [np.asarray(frame, np.float32) for data in train for series in data.frames[::24] for frame in series[::3]]
    free = {
        "frames": {0: "n", 2: "height", 3: "width"}, "reference": {2: "height", 3: "width"}, "times_ms": {0: "n"},
        "displacement": {0: "n", 2: "quarter_height", 3: "quarter_width"},
    }
    pack(
        "motion_of_series",
        Exported(model),
        [frames, frames[1:2].contiguous(), times],
        (["frames", "reference", "times_ms"], ["displacement"]),
        free,
        options.output,
        MANIFEST.replace("{statistics}", statistics(some))
        .replace("{figures}", figures(rows))
        .replace("{minutes}", f"{history[-1]['minutes']:g}" + " --start FIRST" * (len(history) > 1))
        .replace("{steps}", ", then ".join(f"{run['steps']} steps in {run['minutes']:g} minutes" for run in history))
        .replace("{cases}", str(sum(len(data) for data in train))),
    )


WORDS = {
    "median_before_px": "end-point error in the wall without correction, median, px",
    "median_px": "end-point error in the wall, median, px",
    "p95_before_px": "end-point error in the wall without correction, 95th percentile, px",
    "p95_px": "end-point error in the wall, 95th percentile, px",
    "still_max_median_px": "largest displacement in the wall of a still series, median of series, px",
    "still_max_worst_px": "largest displacement in the wall of a still series, worst series, px",
    "folded_percent": "pixels in and around the heart where the field folds, %",
}

MANIFEST = head(
    "motion_of_series",
    "Proposes how the heart has moved in each image of a mapping series (MOLLI, SASHA, T2, T2*), for a registration that "
    "refines the proposal. Trained on simulated series only: not for diagnosis.",
    "gadgets/moco/training/motion_of_series.py",
    "series",
    "registration of each image to its predicted twin",
    conditions="[conditions]\nmin_frames = 2\nmax_frames = 64\n\n",
    time_ms=4000,
    max_batch=1,
) + """\
[[input]]
name = "frames"
role = "frames"
axes = ["frame", "channel", "y", "x"]
shape = ["n", 1, "height", "width"]
multiple_of = 16
spacing_mm = [1.875, 1.875]
spacing_tolerance_percent = 35
intensity = { transform = "percentile", low = 0, high = 99 }
{statistics}
[[input]]
name = "reference"
role = "image"
axes = ["batch", "channel", "y", "x"]
shape = [1, 1, "height", "width"]
multiple_of = 16
intensity = { transform = "percentile", low = 0, high = 99 }

[[input]]
name = "times_ms"
role = "times_ms"
axes = ["frame"]
shape = ["n"]
unit = "ms"

[[output]]
name = "displacement"
kind = "field"
axes = ["frame", "channel", "y", "x"]
shape = ["n", 2, "quarter_height", "quarter_width"]
quantity = "displacement of the heart from the reference frame, at a quarter of the resolution"
unit = "px"
is_sent = false
guard = { max_displacement_px = 40.0 }

[card]
trained_on = "{cases} simulated series of random hearts, 0.55 to 3 T, SNR 10 to 60, with known motion (boreside simulate \
dataset: MOLLI of three schemes, a seventh of all with the motion of a breath-hold, SASHA, T2-prepared, T2*); {steps}"
training_command = "python motion_of_series.py --boreside boreside --data DATA --minutes {minutes}"
limits = [
    "Simulated hearts are nested ellipses with lesions: real hearts and other views than the short axis were not seen.",
    "Right in the heart; in the chest wall and outside of the body the field only goes on smoothly and means nothing.",
    "Motion of more than 20 px from the reference frame was not seen, nor motion through the plane.",
    "The proposal is to be refined: alone it leaves the errors below.",
]
{figures}"""
