"""Trains `t1_from_few_images` on signals of Bloch's equations. See README.md."""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.append(str(Path(__file__).resolve().parents[2] / "model" / "training"))

from export import write
from network import Voxels
from signals import CHUNK, N_IMAGES, voxels

NOISE = (0.008, 0.3)  # over the root of the images' mean square: the range that is trained
BATCH = 2048
REGIONS = {
    "myocardium": ((900, 1400), (35, 60)),
    "myocardium after contrast agent": ((350, 700), (35, 60)),
    "blood": ((1500, 2000), (120, 250)),
    "blood after contrast agent": ((250, 550), (120, 250)),
}


def tensors(data):
    return {key: torch.from_numpy(np.ascontiguousarray(value)) for key, value in data.items()}


def with_signs(signals, noise_sd, n_images, generator):
    """Real images as the server makes them of complex ones with noise: turned by the phase of the last."""
    noise = noise_sd * torch.randn(2, *signals.shape, generator=generator)
    images = torch.complex(signals + noise[0], noise[1])
    last = images.gather(1, n_images[:, None] - 1)
    return (images * (last.conj() / last.abs().clamp(min=1e-9))).real


def inputs(data, rows, generator, snr=None, n_images=None, is_known=None):
    """What the network is given. snr: of the last image; without it, noise from none to the most that is trained."""
    signals, times = data["signals"][rows], data["times_s"][rows]
    n = len(rows)
    draw = lambda: torch.rand(n, 1, generator=generator)
    count = torch.where(draw()[:, 0] < 0.6, 4, 5) if n_images is None else torch.full((n,), n_images)
    is_there = torch.arange(N_IMAGES)[None] < count[:, None]
    scale = ((signals * is_there).square().sum(1) / count).sqrt()[:, None]
    if snr is None:
        level = torch.exp(np.log(NOISE[0]) + np.log(NOISE[1] / NOISE[0]) * draw())
        noise_sd = scale * torch.where(draw() < 0.1, torch.zeros_like(level), level)
    else:
        noise_sd = signals.gather(1, count[:, None] - 1).abs() / snr
    signed = with_signs(signals, noise_sd, count, generator) * is_there
    scale = (signed.square().sum(1, keepdim=True) / count[:, None]).sqrt()
    # The noise is estimated from what fits leave.
    told = noise_sd * torch.exp(0.05 * torch.randn(n, 1, generator=generator))
    known = (draw() < 0.8).float() if is_known is None else torch.full((n, 1), float(is_known))
    readout = torch.stack([data[key][rows] for key in ("flip_deg", "repetition_time_ms", "n_before", "n_pulses")], 1)
    log_noise = torch.log((told / scale).clamp(*NOISE))
    return signed / scale, times * is_there, torch.cat([known, known * readout, log_noise], 1)


def measure(model, data):
    """Errors of unseen voxels against what a full MOLLI gives of them, by tissue."""
    found = []
    model.eval()
    for name, (t1, t2) in REGIONS.items():
        inside = (data["t1_ms"] > t1[0]) & (data["t1_ms"] < t1[1]) & (data["t2_ms"] > t2[0]) & (data["t2_ms"] < t2[1])
        rows = torch.nonzero(inside)[:, 0]
        for n_images, snr, is_known in ((4, 10, True), (4, 20, True), (4, 20, False), (4, 40, True), (5, 20, True), (4, 100, True)):
            generator = torch.Generator().manual_seed(5)
            with torch.no_grad():
                out = model(*inputs(data, rows, generator, snr, n_images, is_known))
            off = out[:, 0] - data["molli_t1_ms"][rows].log()
            relative = torch.exp(off) - 1
            figures = {
                "bias": 100 * relative.mean(), "rms": 100 * relative.square().mean().sqrt(),
                "coverage": 100 * (off.abs() < torch.exp(out[:, 1])).float().mean(),
            }
            group = f"{name}, {n_images} images, SNR {snr}" + ("" if is_known else ", readout not known")
            found.append((f"{group}, {len(rows)} voxels", {key: value.item() for key, value in figures.items()}))
    model.train()
    return found


def show(found):
    for group, figures in found:
        print(f"  {group}: " + " ".join(f"{key} {value:.2f}" for key, value in figures.items()), flush=True)


def train(options):
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    begin = time.monotonic()
    data = tensors(voxels(options.voxels // CHUNK, 1, options.threads, options.data))
    test = tensors(voxels(options.test_voxels // CHUNK, 2, options.threads, options.data))
    print(f"{len(data['t1_ms'])} voxels in {time.monotonic() - begin:.0f} s", flush=True)
    model = Voxels()
    average = {key: value.clone() for key, value in model.state_dict().items()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-4)
    generator = torch.Generator().manual_seed(options.seed)
    begin, n = time.monotonic(), len(data["t1_ms"])
    order = torch.randperm(n, generator=generator)
    for step in range(options.steps):
        share = step / options.steps
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min(1, (step + 1) / 300) * (0.5 + 0.5 * np.cos(np.pi * share))
        place = (step * BATCH) % (n - BATCH)
        rows = order[place : place + BATCH]
        out = model(*inputs(data, rows, generator))
        off = out[:, 0] - data["molli_t1_ms"][rows].log()
        log_sd = out[:, 1].clamp(-8, 1)
        likelihood = (log_sd + 0.5 * (off * torch.exp(-log_sd)).square()).mean()
        loss = 10 * off.abs().mean() + 0.0 * likelihood if step < 500 else likelihood
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1)
        optimizer.step()
        with torch.no_grad():
            keep = min(0.999, (step + 1) / (step + 50))
            for key, value in model.state_dict().items():
                average[key].mul_(keep).add_(value, alpha=1 - keep)
        if (step + 1) % 1000 == 0:
            print(f"{step + 1} steps, {time.monotonic() - begin:.0f} s: loss {loss.item():.4f}", flush=True)
    model.load_state_dict(average)
    minutes = (time.monotonic() - begin) / 60
    found = measure(model, test)
    show(found)
    print(f"{options.steps} steps in {minutes:.1f} minutes", flush=True)
    return model, test, found, minutes


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=6_000)
    parser.add_argument("--voxels", type=int, default=786_432)
    parser.add_argument("--test-voxels", type=int, default=65_536)
    parser.add_argument("--data", help="folder in which the simulated voxels are kept")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("-o", "--output", default=str(Path(__file__).resolve().parents[1] / "models"))
    options = parser.parse_args()
    model, test, found, minutes = train(options)
    example = inputs(test, torch.arange(24), torch.Generator().manual_seed(1))
    write(model, [value.contiguous() for value in example], found, minutes, options)


if __name__ == "__main__":
    main()
