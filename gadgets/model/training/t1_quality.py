"""Trains a classifier of T1 maps: is the heart's wall spoiled by motion, and where.

    boreside simulate dataset molli --cases 1000 --seed 5 --still-share 0.45 -o TRAIN
    boreside simulate dataset molli --cases 250 --seed 6 --still-share 0.45 -o TEST
    python t1_quality.py --train TRAIN --test TEST --minutes 10 -o ../models
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import median_filter
from torch import nn

from networks import Classifier
from package import figures, head, pack, statistics

# A map is faulty where a fifth of the wall's pixels are this far off, ms and part.
FAULT_MS, FAULT_PART = 100.0, 0.2


def fit(images, times):
    """T1 `[y, x]` in ms of signed images `[frame, y, x]` by A - B exp(-t/T1*), T1* on a grid, with the
    Look-Locker correction T1 = T1* (B/A - 1)."""
    y = images.reshape(len(times), -1).astype(np.float32)
    explained, best = np.full(y.shape[1], -1.0, np.float32), np.zeros(y.shape[1], np.float32)
    for t1_star in np.geomspace(80, 2500, 70):
        # Variable projection: the part of the signal that this T1* explains.
        q, r = np.linalg.qr(np.stack([np.ones_like(times), -np.exp(-times / t1_star)], 1))
        c = q.T.astype(np.float32) @ y
        part = c[0] ** 2 + c[1] ** 2
        better = part > explained
        a, b = np.linalg.solve(r, c[:, better])
        best[better] = t1_star * (b / np.where(np.abs(a) > 1e-12, a, 1e-12) - 1)
        explained[better] = part[better]
    return np.clip(np.nan_to_num(best), 0, 4000).reshape(images.shape[1:])


def maps(folder):
    """Fitted maps `[case, y, x]`, whether each is faulty, and the wall. The fits are kept beside the
    set."""
    folder = Path(folder)
    kept = folder / "fitted.npy"
    truth = np.load(folder / "t1_map_ms.npy", mmap_mode="r")
    masks = np.load(folder / "myocardium_mask.npy", mmap_mode="r")
    if not kept.exists():
        images = np.load(folder / "images.npy", mmap_mode="r")
        times = np.load(folder / "inversion_time_ms.npy")
        np.save(kept, np.stack([fit(series, t) for series, t in zip(images, times)]))
    fitted = np.load(kept, mmap_mode="r")
    # Noise changes pixels, motion whole stretches: the median of 3 x 3 pixels tells them apart. The
    # bias of series without motion is that of the method.
    off = [median_filter(np.asarray(f - t), 3)[m] for f, t, m in zip(fitted, truth, masks)]
    still = np.load(folder / "is_still.npy")
    bias = np.median([np.median(error) for error, s in zip(off, still) if s])
    part = np.array([(np.abs(error - bias) > FAULT_MS).mean() for error in off])
    return fitted, part > FAULT_PART, masks


def tissue(folder):
    """Whether a pixel has signal `[case, y, x]`: the gadget `map_t1` leaves out what has less than 3
    standard deviations of the noise, or a fiftieth of the brightest."""
    folder = Path(folder)
    images = np.load(folder / "images.npy", mmap_mode="r")
    times = np.load(folder / "inversion_time_ms.npy")
    noise = np.load(folder / "noise_sd.npy")
    brightest = np.stack([np.abs(series[np.argmax(t)]) for series, t in zip(images, times)])
    limit = np.maximum(3 * noise, 0.02 * np.percentile(brightest, 99, axis=(1, 2)))
    return brightest > limit[:, None, None]


def as_sent(fitted, tissue):
    """A map as `map_t1` sends it: 0 where it is not valid."""
    return np.where(tissue & (fitted < 4000), fitted, 0)


def scaled(image):
    """The manifest's intensity transform: 0 to 2500 ms to 0 to 1."""
    return np.clip(image / 2500, 0, 1).astype(np.float32)


def area_under_curve(score, truth):
    """Share of pairs of a faulty and a good map that the score orders rightly."""
    a, b = score[truth], score[~truth]
    return float((a[:, None] > b[None]).mean() + 0.5 * (a[:, None] == b[None]).mean())


def test(model, folder):
    fitted, faulty, masks = maps(folder)
    scores, inside = [], []
    with torch.no_grad():
        for image, signal, mask, bad in zip(fitted, tissue(folder), masks, faulty):
            image = as_sent(image, signal)
            score, activation = model(torch.from_numpy(scaled(image))[None, None])
            scores.append(float(score))
            if bad:
                # Whether the map points at the heart: within 20 px of its wall.
                y, x = np.unravel_index(int(activation.argmax()), image.shape)
                where = np.argwhere(mask)
                inside.append(np.hypot(*(where - (y, x)).T).min() < 20)
    scores = np.array(scores)
    return {
        "n_cases": len(fitted),
        "share_faulty": float(faulty.mean()),
        "accuracy": float(((scores > 0.5) == faulty).mean()),
        "sensitivity": float((scores > 0.5)[faulty].mean()),
        "specificity": float((scores <= 0.5)[~faulty].mean()),
        "area_under_curve": area_under_curve(scores, faulty),
        "activation_at_the_heart": float(np.mean(inside)),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--output", default="../models")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    random = np.random.default_rng(options.seed)
    fitted, faulty, _ = maps(options.train)
    sent = np.stack([as_sent(image, signal) for image, signal in zip(fitted, tissue(options.train))])
    model = Classifier()
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=1e-2)
    # Minutes of its cores, whatever else the machine does.
    minutes = lambda: time.process_time() / 60 / torch.get_num_threads()
    start, step, shown = minutes(), 0, 0.0
    good, bad = np.flatnonzero(~faulty), np.flatnonzero(faulty)
    while (part := (minutes() - start) / options.minutes) < 1:
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min(1, (step + 1) / 100) * (0.5 + 0.5 * np.cos(np.pi * part)) + 1e-6
        cases = np.concatenate([random.choice(good, 8), random.choice(bad, 8)])
        batch = []
        for case in cases:
            image = scaled(sent[case])
            shift = random.integers(-8, 9, 2)
            image = np.roll(image, shift, (0, 1))
            batch.append(torch.from_numpy(np.ascontiguousarray(image))[None] * float(random.uniform(0.95, 1.05)))
        with torch.autocast("cpu", torch.bfloat16):
            logit, _ = model.logits(torch.stack(batch))
        wanted = torch.from_numpy(faulty[cases].astype(np.float32))[:, None]
        loss = nn.functional.binary_cross_entropy_with_logits(logit.float(), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        shown = 0.98 * shown + 0.02 * loss.item() if step else loss.item()
        step += 1
        if step % 100 == 0:
            print(f"{minutes() - start:5.1f} min, step {step}, loss {shown:.4f}", flush=True)
    model = model.float().eval()
    measured = test(model, options.test) | {"n_steps": step, "minutes": options.minutes}
    print(json.dumps(measured, indent=1))
    group = f"{measured['n_cases']} unseen series"
    rows = [
        (name.replace("_", " "), measured[name], group)
        for name in ("share_faulty", "accuracy", "sensitivity", "specificity", "area_under_curve", "activation_at_the_heart")
    ]
    # At the size that it was trained with: the score is a mean over the image.
    example = torch.from_numpy(scaled(sent[int(bad[0])]))[None, None].contiguous()
    pack(
        "t1_map_quality",
        model,
        [example],
        (["t1_map"], ["fault", "activation"]),
        {"t1_map": {0: "n"}, "fault": {0: "n"}, "activation": {0: "n"}},
        options.output,
        MANIFEST.replace("{statistics}", statistics([scaled(image) for image in sent]))
        .replace("{figures}", figures(rows))
        .replace("{minutes}", f"{options.minutes:g}"),
    )


MANIFEST = head(
    "t1_map_quality",
    "Says whether motion has spoiled the heart's wall in a T1 map of MOLLI, and where it sees that. "
    "Trained on simulated series only: a hint to look, not a verdict.",
    "gadgets/model/training/t1_quality.py",
    "series",
    "no score; the map as it was",
) + """\
[[input]]
name = "t1_map"
role = "image"
axes = ["batch", "channel", "y", "x"]
shape = ["n", 1, 160, 192]
unit = "ms"
spacing_mm = [1.875, 1.875]
resample = true
range = [0.0, 5000.0]
intensity = { transform = "range", low = 0.0, high = 2500.0, cut = [0.0, 1.0] }
{statistics}
[[output]]
name = "fault"
kind = "score"
axes = ["batch", "channel"]
shape = ["n", 1]
quantity = "probability of a fault by motion"
threshold = 0.5
guard = { range = [0.0, 1.0] }

[[output]]
name = "activation"
kind = "activation_map"
axes = ["batch", "channel", "y", "x"]
shape = ["n", 1, 160, 192]
quantity = "where the fault is seen"
scale = 100.0
series_offset = 32

[card]
trained_on = "1000 simulated MOLLI series, 45 % of them still, fitted pixel by pixel without motion correction, without background; a map is \
faulty where more than 20 % of the wall's pixels are more than 100 ms off"
training_command = "python t1_quality.py --train TRAIN --test TEST --minutes {minutes}"
limits = [
    "Simulated series of MOLLI 5(3)3 only; motion is the only fault that it knows.",
    "The whole chest must be in view, at 1.875 mm after resampling.",
    "Nearly every series that moves is spoiled in the test set: it tells moving from still rather than degrees.",
    "Where the fault is seen is a hint only: see the measured share at the heart.",
]
{figures}"""


if __name__ == "__main__":
    main()
