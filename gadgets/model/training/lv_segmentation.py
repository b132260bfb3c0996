"""Trains the segmentation of the left ventricle on simulated hearts.

    boreside simulate dataset segmentation --cases 4000 --seed 1 -o TRAIN
    boreside simulate dataset segmentation --cases 300 --seed 2 -o TEST
    python lv_segmentation.py --train TRAIN --test TEST --minutes 20 -o ../models
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from networks import Segmentation, UNet
from package import figures, head, pack, statistics

CLASSES = ["background", "myocardium", "left_blood", "right_blood"]
SIZE = 128
PAPILLARY = 10


def load(folder):
    """Images `[case, y, x]` and labels: papillary muscle counts as blood pool."""
    folder = Path(folder)
    images = np.load(folder / "images.npy", mmap_mode="r")
    labels = np.zeros(images.shape, np.uint8)
    labels[np.load(folder / "myocardium_mask.npy", mmap_mode="r")] = 1
    labels[np.load(folder / "left_blood_mask.npy", mmap_mode="r")] = 2
    labels[np.load(folder / "labels.npy", mmap_mode="r") == PAPILLARY] = 2
    labels[np.load(folder / "right_blood_mask.npy", mmap_mode="r")] = 3
    info = {
        "contrast": np.load(folder / "contrast.npy"),
        "field_strength_t": np.load(folder / "field_strength_t.npy"),
        "snr": np.zeros(len(images)),
    }
    return images, labels, info


def scaled(image):
    """The manifest's intensity transform: 1st and 99th percentile to 0 and 1, cut at 0 and 1.5."""
    low, high = np.percentile(image, (1, 99))
    return np.clip((image - low) / max(high - low, 1e-12), 0, 1.5).astype(np.float32)


def piece(images, labels, case, random):
    """A square of the image, mostly with the heart in it, at a random scale, turn and gamma."""
    image, label = scaled(images[case]), labels[case]
    n_y, n_x = image.shape
    if random.random() < 0.75:
        y, x = np.argwhere(label > 0).mean(0) + random.uniform(-35, 35, 2)
    else:
        y, x = random.uniform(0, n_y), random.uniform(0, n_x)
    scale, angle = random.uniform(0.8, 1.25), random.normal(0, 0.35)
    grid = (np.arange(SIZE) - (SIZE - 1) / 2) * scale
    dy, dx = np.meshgrid(grid, grid, indexing="ij")
    sample_y = y + np.cos(angle) * dy - np.sin(angle) * dx
    sample_x = x + np.sin(angle) * dy + np.cos(angle) * dx
    # As grid_sample wants it; outside the image there is air.
    where = torch.from_numpy(
        np.stack([2 * sample_x / (n_x - 1) - 1, 2 * sample_y / (n_y - 1) - 1], -1).astype(np.float32)
    )
    sample = lambda values, mode: nn.functional.grid_sample(
        torch.from_numpy(np.ascontiguousarray(values, np.float32))[None, None], where[None], mode, align_corners=True
    )[0, 0]
    picture = sample(image, "bilinear").clamp(0, 1.5) ** float(random.uniform(0.75, 1.33))
    return picture[None], sample(label, "nearest").long()


def loss_of(logits, labels):
    """Cross-entropy and the mean of 1 - Dice over the classes of the heart."""
    probability = torch.softmax(logits, 1)
    wanted = nn.functional.one_hot(labels, len(CLASSES)).permute(0, 3, 1, 2)
    both = (probability * wanted).sum((0, 2, 3))[1:]
    each = (probability + wanted).sum((0, 2, 3))[1:]
    weight = torch.tensor([1.0, 2.0, 1.5, 1.5])
    return nn.functional.cross_entropy(logits, labels, weight) + (1 - (2 * both + 1) / (each + 1)).mean()


def dice(predicted, labels):
    """Dice of the classes of the heart in each case: `[case, class]`."""
    scores = []
    for this, truth in zip(predicted, labels):
        a = [(this == c).sum() for c in range(1, len(CLASSES))]
        b = [(truth == c).sum() for c in range(1, len(CLASSES))]
        ab = [((this == c) & (truth == c)).sum() for c in range(1, len(CLASSES))]
        scores.append([2 * i / max(j + k, 1) for i, j, k in zip(ab, a, b)])
    return np.array(scores)


def test(model, folder):
    images, labels, info = load(folder)
    predicted = []
    with torch.no_grad():
        for image in images:
            predicted.append(model(torch.from_numpy(scaled(image))[None, None])[0][0].argmax(0).numpy())
    scores = dice(predicted, labels)
    result = {"n_cases": len(images)}
    for index, name in enumerate(CLASSES[1:]):
        result[name] = {"mean": float(scores[:, index].mean()), "p5": float(np.percentile(scores[:, index], 5))}
    groups = {"contrast": ["balanced", "inversion_recovery", "saturation_recovery", "t2_prepared", "gradient_echo", "t1_map", "t2_map"]}
    result["myocardium_by_contrast"] = {
        name: float(scores[info["contrast"] == code, 0].mean())
        for code, name in enumerate(groups["contrast"]) if (info["contrast"] == code).any()
    }
    result["myocardium_by_field_strength_t"] = {
        f"{field:g}": float(scores[np.isclose(info["field_strength_t"], field), 0].mean())
        for field in np.unique(info["field_strength_t"])
    }
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--output", default="../models")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    random = np.random.default_rng(options.seed)
    images, labels, _ = load(options.train)
    unet = UNet(1, len(CLASSES)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(unet.parameters(), 3e-3, weight_decay=1e-4)
    # Minutes of its cores, whatever else the machine does.
    minutes = lambda: time.process_time() / 60 / torch.get_num_threads()
    start, step, shown = minutes(), 0, 0.0
    while (part := (minutes() - start) / options.minutes) < 1:
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(1, (step + 1) / 100) * (0.5 + 0.5 * np.cos(np.pi * part)) + 1e-6
        batch = [piece(images, labels, random.integers(len(images)), random) for _ in range(8)]
        image = torch.stack([image for image, _ in batch]).to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            logits = unet(image)
        loss = loss_of(logits.float(), torch.stack([label for _, label in batch]))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        optimizer.step()
        shown = 0.98 * shown + 0.02 * loss.item() if step else loss.item()
        step += 1
        if step % 200 == 0:
            print(f"{minutes() - start:5.1f} min, step {step}, loss {shown:.4f}", flush=True)
    model = Segmentation(unet.float().to(memory_format=torch.contiguous_format)).eval()
    measured = test(model, options.test) | {"n_steps": step, "minutes": options.minutes}
    print(json.dumps(measured, indent=1))
    write(model, images, measured, options)


def write(model, images, measured, options):
    """Packs the network with what was measured."""
    rows = []
    for name in CLASSES[1:]:
        words = name.replace("_", " ")
        rows.append((f"Dice of {words}, mean of {measured['n_cases']} unseen hearts", measured[name]["mean"], None))
        rows.append((f"Dice of {words}, 5th percentile", measured[name]["p5"], None))
    for group in ("contrast", "field_strength_t"):
        unit = " T" if group == "field_strength_t" else ""
        for name, value in measured[f"myocardium_by_{group}"].items():
            rows.append(("Dice of myocardium, mean", value, name.replace("_", " ") + unit))
    example = torch.from_numpy(scaled(images[0]))[None, None, 32:128, 48:144].contiguous()
    pack(
        "lv_segmentation",
        model,
        [example],
        (["image"], ["probability", "uncertainty"]),
        {"image": {0: "n", 2: "height", 3: "width"}, "probability": {0: "n", 2: "height", 3: "width"},
         "uncertainty": {0: "n", 2: "height", 3: "width"}},
        options.output,
        MANIFEST.replace("{statistics}", statistics([scaled(image) for image in images[::4]]))
        .replace("{figures}", figures(rows))
        .replace("{minutes}", f"{options.minutes:g}"),
    )


MANIFEST = head(
    "lv_segmentation",
    "Myocardium and blood pools of both ventricles in short-axis images of any contrast, as masks for "
    "later steps. Trained on simulated hearts only: not for diagnosis.",
    "gadgets/model/training/lv_segmentation.py",
    "images",
    "no mask; the image as it was",
    conditions="[conditions]\nfield_strength_t = [0.55, 1.5, 3.0]\n\n",
) + """\
[[input]]
name = "image"
role = "image"
axes = ["batch", "channel", "y", "x"]
shape = ["n", 1, "height", "width"]
spacing_mm = [1.875, 1.875]
resample = true
multiple_of = 16
intensity = { transform = "percentile", low = 1, high = 99, cut = [0.0, 1.5] }
{statistics}
[[output]]
name = "probability"
kind = "probability"
axes = ["batch", "channel", "y", "x"]
shape = ["n", 4, "height", "width"]
classes = ["background", "myocardium", "left_blood", "right_blood"]
quantity = "LV segmentation"
series_offset = 30
guard = { range = [0.0, 1.0], max_outside_share = 0.001, sum_tolerance = 0.01 }

[[output]]
name = "uncertainty"
kind = "uncertainty"
axes = ["batch", "channel", "y", "x"]
shape = ["n", 1, "height", "width"]
quantity = "entropy of LV segmentation"
scale = 1000.0
unit = "per mille"
series_offset = 31
is_sent = false
guard = { range = [-0.001, 1.001], max_mean = 0.25 }

[card]
trained_on = "4000 simulated short-axis images of random hearts, seven contrasts, 0.55 to 3 T (boreside simulate dataset \
segmentation --cases 4000 --seed 1)"
training_command = "python lv_segmentation.py --train TRAIN --test TEST --minutes {minutes}"
limits = [
    "Simulated hearts are nested ellipses: real hearts, other views than the short axis, and artefacts were not seen.",
    "Papillary muscles count as blood pool.",
    "Images with less than two thirds of the chest in view were not seen.",
]
{figures}"""


if __name__ == "__main__":
    main()
