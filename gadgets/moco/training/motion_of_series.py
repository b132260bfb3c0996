"""Trains the network that says how each frame of a series has moved, on simulated series alone.

    python motion_of_series.py --boreside boreside --data DATA --minutes 70 -o ../models

Simulates what is not in DATA yet (3600 series to train with, 300 to test with), trains for so many minutes of the
clock, measures on the unseen series and packs the model. --checkpoint FILE packs what a run left, without training.
"""

import argparse
import copy
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

sys.path.append(str(Path(__file__).resolve().parents[2] / "model" / "training"))

import series
from measure import measure, summary
from network import RADIUS, MotionOfSeries

LEARNING_RATE = 1.2e-3
# Pieces are this large at first; in the last part of the time nearly whole images.
SIZE, LAST_SIZE, LAST_PART = 128, 160, 0.8
FRAMES_A_STEP = 40


def match_loss(found, start, fields, weight):
    """Cross-entropy of the correlation with the bilinear weights of the true place, where that is in reach.

    Without it the correlations stay flat, and every field 0, for hundreds of steps."""
    cell = 2 * fields.shape[-1] // found.shape[-1]
    truth = F.avg_pool2d(fields.flatten(0, 1), cell // 2)
    offset = (truth - start) / cell
    reach = torch.arange(-RADIUS, RADIUS + 1.0).view(1, -1, 1, 1)
    y, x = (F.relu(1 - (offset[:, i : i + 1] - reach).abs()) for i in (0, 1))
    target = (y.unsqueeze(2) * x.unsqueeze(1)).flatten(1, 2)
    inside = (offset.abs().amax(1) <= RADIUS).float()
    weight = F.avg_pool2d(weight, cell // 2).expand(-1, fields.shape[1], -1, -1).flatten(0, 1) * inside
    return -((target * F.log_softmax(found, 1)).sum(1) * weight).sum() / weight.sum()


def loss_of(steps, matches, fields, regions, still):
    """End-point errors of all steps, weighted by region, their squares for the tail, matches, and smoothness."""
    n_series, n_frames = fields.shape[:2]
    # At half the resolution: a quarter of the time.
    fields = F.avg_pool2d(fields.flatten(0, 1), 2).unflatten(0, (n_series, n_frames))
    weight = F.avg_pool2d(series.weights(regions).unsqueeze(1), 2)[:, 0]
    weight = (weight / weight.sum((1, 2), keepdim=True)).unsqueeze(1)
    each = torch.where(still, 2.0, 1.0).view(-1, 1)
    total = sum(0.2 * match_loss(found, start, fields, weight) for found, start in matches)
    last = None
    for importance, step in zip((0.2, 0.35, 1.0), steps):
        full = F.interpolate(step, size=fields.shape[-2:], mode="bilinear", align_corners=False)
        off = full.unflatten(0, (n_series, n_frames)) - fields
        error = (off.square().sum(2) + 1e-4).sqrt()
        mean = (weight * error).sum((2, 3))
        total = total + importance * (each * (mean + 0.06 * (weight * error.square()).sum((2, 3)))).mean()
        last = mean
    field = steps[-1]
    bend = (field[:, :, 2:] - 2 * field[:, :, 1:-1] + field[:, :, :-2]).abs().mean()
    bend = bend + (field[:, :, :, 2:] - 2 * field[:, :, :, 1:-1] + field[:, :, :, :-2]).abs().mean()
    dy = (field[:, :, 1:, :-1] - field[:, :, :-1, :-1]) / 4
    dx = (field[:, :, :-1, 1:] - field[:, :, :-1, :-1]) / 4
    determinant = (1 + dy[:, 0]) * (1 + dx[:, 1]) - dy[:, 1] * dx[:, 0]
    return total + 0.05 * bend + 2.0 * F.relu(0.3 - determinant).mean(), last.mean()


def start_from(model, values):
    """Weights of an earlier run; what a layer has more inputs now than then starts at 0."""
    own = model.state_dict()
    for name, value in values.items():
        own[name].zero_()
        own[name][tuple(slice(n) for n in value.shape)] = value


def keep(model, path, n_steps, minutes, start):
    """A checkpoint: weights and how they came about. start: that of the run before, or None."""
    history = (start["history"] if start else []) + [{"steps": n_steps, "minutes": round(minutes, 1)}]
    torch.save({"weights": model.state_dict(), "history": history}, path)
    return history


def train(sets, test, options):
    random = np.random.default_rng([options.seed, options.start is not None])
    model = MotionOfSeries()
    before = torch.load(options.start) if options.start else None
    if before:
        start_from(model, before["weights"])
    model = model.to(memory_format=torch.channels_last)
    kept = copy.deepcopy(model)
    optimizer = torch.optim.AdamW(model.parameters(), LEARNING_RATE, weight_decay=1e-4)
    share = np.array([len(data) for data in sets], float)
    share /= share.sum()
    minutes = lambda: (time.monotonic() - start) / 60
    start, step, shown, saved = time.monotonic(), 0, None, 0.0
    while (part := minutes() / options.minutes) < 1:
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * min(1, (step + 1) / 150) * (0.5 + 0.5 * np.cos(np.pi * part)) + 1e-6
        data = sets[random.choice(len(sets), p=share)]
        size = SIZE if part < LAST_PART else LAST_SIZE
        n_series = max(2, round(FRAMES_A_STEP * (SIZE / size) ** 2 / data.times.shape[1]))
        frames, reference, times, fields, regions, still = series.batch(data, n_series, size, random)
        with torch.autocast("cpu", torch.bfloat16):
            steps, matches = model.all(frames.flatten(0, 1).unsqueeze(1), reference.unsqueeze(1), times.flatten())
        loss, error = loss_of(steps, matches, fields, regions, still)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        decay = min(0.998, 1 - 10 / (10 + step))
        with torch.no_grad():
            for mean, value in zip(kept.parameters(), model.parameters()):
                mean.lerp_(value, 1 - decay)
        shown = error.item() if shown is None else 0.98 * shown + 0.02 * error.item()
        if step % 50 == 0:
            print(f"{minutes():5.1f} min, step {step}, weighted error {shown:.3f} px", flush=True)
        if minutes() - saved > options.checkpoint_minutes:
            saved = minutes()
            keep(kept, options.data / "checkpoint.pt", step, saved, before)
            print(f"{minutes():5.1f} min, unseen: {summary(measure(kept, test, most=6))}", flush=True)
    return kept, keep(kept, options.data / "last.pt", step, minutes(), before)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boreside", default="boreside", help="the program that simulates")
    parser.add_argument("--data", type=Path, required=True, help="folder of the sets and checkpoints, 8 GB")
    parser.add_argument("--minutes", type=float, default=70)
    parser.add_argument("--checkpoint-minutes", type=float, default=5)
    parser.add_argument("--checkpoint", help="pack this one instead of training")
    parser.add_argument("--start", help="checkpoint of an earlier run to start from")
    parser.add_argument("--cases", type=int, default=3600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--output", default="../models")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    series.make(options.boreside, options.data / "test", 300, 1000 * options.seed - 100)
    series.make(options.boreside, options.data / "train", options.cases, 1000 * options.seed - 900)
    sets, test = series.load(options.data / "train"), series.load(options.data / "test")
    if options.checkpoint:
        found, model = torch.load(options.checkpoint), MotionOfSeries()
        model.load_state_dict(found["weights"])
        history = found["history"]
    else:
        model, history = train(sets, test, options)
    model = model.to(memory_format=torch.contiguous_format).eval()
    found = measure(model, test, bf16=False)
    print(summary(found))
    from export import write

    write(model, sets, test, found, history, options)


if __name__ == "__main__":
    main()
