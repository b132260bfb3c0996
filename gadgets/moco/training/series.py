"""Simulated series with known motion: makes the sets, keeps them small, cuts training pieces from them."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

LABEL_WEIGHT = {"wall": 1.0, "blood": 0.3, "right": 0.25, "near": 0.12, "far": 0.01}
TIMES = ("inversion_time_ms", "saturation_time_ms", "preparation_time_ms", "echo_time_ms")


def sets(cases, seed):
    """Commands of `boreside simulate dataset` and their shares of the cases: (name, arguments, cases, seed)."""
    long, short, shmolli = "3(3)3(3)5", "5(3)3", "5(1)1(1)1"
    table = [
        ("molli-3(3)3(3)5", ["molli", "--scheme", long], 0.24),
        ("molli-5(3)3", ["molli", "--scheme", short], 0.24),
        ("molli-5(1)1(1)1", ["molli", "--scheme", shmolli], 0.10),
        ("molli-3(3)3(3)5-breath-hold", ["molli", "--scheme", long, "--motion", "0.35"], 0.08),
        ("molli-5(3)3-breath-hold", ["molli", "--scheme", short, "--motion", "0.35"], 0.06),
        ("molli-5(3)3-strong", ["molli", "--scheme", short, "--motion", "1.3"], 0.06),
        ("sasha", ["sasha"], 0.11),
        ("t2", ["t2"], 0.06),
        ("t2-star", ["t2-star"], 0.05),
    ]
    return [(name, arguments, max(2, round(share * cases)), seed + i) for i, (name, arguments, share) in enumerate(table)]


def make(boreside, folder, cases, seed):
    """Simulates the sets that are not in the folder yet. What is kept of each: frames and fields as half
    floats, weights of the loss, times and what the test tells apart."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, arguments, n, its_seed in sets(cases, seed):
        kept = folder / name
        if (kept / "kept.json").exists():
            continue
        raw = folder / f"{name}.raw"
        shutil.rmtree(raw, ignore_errors=True)
        shutil.rmtree(kept, ignore_errors=True)
        subprocess.run(
            [boreside, "simulate", "dataset", *arguments, "--pixels", "magnitude", "--cases", str(n),
             "--seed", str(its_seed), "-o", str(raw)],
            check=True,
        )
        keep(raw, kept)
        shutil.rmtree(raw)


def keep(raw, folder):
    folder.mkdir()
    load = lambda name: np.load(raw / f"{name}.npy", mmap_mode="r")
    images, fields, labels, wall = load("images"), load("displacement_field_px"), load("labels"), load("myocardium_mask")
    reference = np.asarray(load("reference_frame")).astype(int)
    out = {
        "frames": np.lib.format.open_memmap(folder / "frames.npy", "w+", np.float16, images.shape),
        "fields": np.lib.format.open_memmap(folder / "fields.npy", "w+", np.float16, fields.shape),
    }
    regions, snr = np.zeros(labels.shape, np.uint8), np.zeros(len(images), np.float32)
    for case in range(len(images)):
        frames = np.asarray(images[case])
        out["frames"][case] = frames / max(np.percentile(frames, 99), 1e-12)
        out["fields"][case] = fields[case]
        regions[case] = region(np.asarray(labels[case]), np.asarray(wall[case]))
        snr[case] = np.median(frames[reference[case]][wall[case]]) / load("noise_sd")[case]
    times = next(np.asarray(load(name)) for name in TIMES if (raw / f"{name}.npy").exists())
    np.savez(
        folder / "cases.npz", regions=regions, snr=snr, reference=reference, times=times / 1000,
        still=load("is_still"), field_strength_t=load("field_strength_t"),
    )
    (folder / "kept.json").write_text(json.dumps({"cases": len(images)}))


def region(labels, wall):
    """0 far, 1 near the heart, 2 right ventricle, 3 blood of the left, 4 its wall."""
    result = np.zeros(labels.shape, np.uint8)
    heart = torch.from_numpy(((labels >= 6) & (labels <= 10)) | wall).float()[None, None]
    result[F.max_pool2d(heart, 13, 1, 6)[0, 0].numpy() > 0] = 1
    result[(labels == 6) | (labels == 7)] = 2
    result[(labels == 9) | (labels == 10)] = 3
    result[wall] = 4
    return result


class Set:
    """One kept set, in memory as far as the system likes."""

    def __init__(self, folder):
        self.name = Path(folder).name
        self.frames = np.load(folder / "frames.npy", mmap_mode="r")
        self.fields = np.load(folder / "fields.npy", mmap_mode="r")
        cases = np.load(folder / "cases.npz")
        for key in cases.files:
            setattr(self, key, cases[key])

    def __len__(self):
        return len(self.frames)


def load(folder):
    return [Set(path) for path in sorted(Path(folder).iterdir()) if (path / "kept.json").exists()]


def weights(regions):
    table = torch.tensor([LABEL_WEIGHT[k] for k in ("far", "near", "right", "blood", "wall")])
    return table[regions.long()]


def piece(data, case, chosen, size, random):
    """Square of the chosen frames around the heart, turned and mirrored by quarters, at times rescaled, with more noise.

    Returns frames `[n, size, size]`, fields `[n, 2, size, size]`, regions `[size, size]`.
    """
    regions = data.regions[case]
    n_y, n_x = regions.shape
    scale = float(np.exp(random.uniform(-0.18, 0.18))) if random.random() < 0.35 else 1.0
    wanted = min(int(np.ceil(size * max(scale, 1.0))) + 2 if scale != 1 else size, n_y, n_x)
    centre = np.argwhere(regions == 4).mean(0) + random.uniform(-24, 24, 2)
    y, x = (int(np.clip(c - wanted / 2, 0, n - wanted)) for c, n in zip(centre, (n_y, n_x)))
    cut = (..., slice(y, y + wanted), slice(x, x + wanted))
    frames = torch.from_numpy(data.frames[case][cut][chosen].astype(np.float32))
    fields = torch.from_numpy(data.fields[case][cut][chosen].astype(np.float32))
    regions = torch.from_numpy(regions[cut[1:]].astype(np.float32))
    if scale != 1:
        # Pixels of another size: `scale` old ones to the new one, about the middle.
        span = min(size * scale, wanted) / wanted
        scale = span * wanted / size
        grid = F.affine_grid(torch.tensor([[[span, 0, 0], [0, span, 0]]]), [1, 1, size, size], align_corners=False)
        sample = lambda v, mode: F.grid_sample(v[None], grid, mode, "border", align_corners=False)[0]
        frames = sample(frames, "bilinear")
        fields = sample(fields.flatten(0, 1), "bilinear").unflatten(0, (-1, 2)) / scale
        regions = sample(regions[None], "nearest")[0]
    if random.random() < 0.5:
        frames, regions, fields = frames.flip(-1), regions.flip(-1), fields.flip(-1) * torch.tensor([1.0, -1.0]).view(2, 1, 1)
    if random.random() < 0.5:
        frames, regions, fields = frames.flip(-2), regions.flip(-2), fields.flip(-2) * torch.tensor([-1.0, 1.0]).view(2, 1, 1)
    if random.random() < 0.5:
        frames, regions, fields = frames.mT, regions.mT, fields.mT.flip(1)
    frames = frames * float(random.uniform(0.85, 1.15))
    if random.random() < 0.3:
        sd = float(np.exp(random.uniform(np.log(0.005), np.log(0.04))))
        noise = sd * torch.from_numpy(random.standard_normal((2, *frames.shape), np.float32))
        frames = torch.sqrt((frames + noise[0]) ** 2 + noise[1] ** 2)
    return frames, fields, regions


def batch(data, n_series, size, random):
    """Pieces of several series of one set: frames `[series, frame, y, x]`, reference `[series, y, x]`, times
    `[series, frame]`, fields `[series, frame, 2, y, x]`, regions `[series, y, x]`, still `[series]`."""
    cases = random.integers(len(data), size=n_series)
    n_frames = data.times.shape[1]
    # Series of fewer images, too; never without the reference.
    keep_n = n_frames if random.random() < 0.6 or n_frames < 5 else int(random.integers(4, n_frames))
    parts = []
    for case in cases:
        reference = int(data.reference[case])
        others = np.setdiff1d(np.arange(n_frames), [reference])
        chosen = np.sort(np.append(random.choice(others, keep_n - 1, replace=False), reference))
        frames, fields, regions = piece(data, case, chosen, size, random)
        times = torch.from_numpy(data.times[case][chosen].astype(np.float32))
        parts.append((frames, frames[int(np.flatnonzero(chosen == reference)[0])], times, fields, regions, torch.tensor(bool(data.still[case]))))
    return [torch.stack(part).contiguous() for part in zip(*parts)]
