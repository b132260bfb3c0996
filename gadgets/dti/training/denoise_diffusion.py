"""Trains `diffusion_denoising` on hearts of `boreside simulate dataset dti`. See README.md."""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.append(str(Path(__file__).resolve().parents[2] / "model" / "training"))

from export import write
from hearts import TEST, TRAINING, Hearts, batch
from measure import evaluate, show
from network import TensorDenoiser

DOUBLED = torch.tensor([1.0, 2, 2, 1, 2, 1]).view(1, 6, 1, 1)  # elements that a matrix has twice


def deviator(tensor):
    mean = (tensor[:, 0] + tensor[:, 3] + tensor[:, 5]) / 3
    return tensor - mean[:, None] * torch.tensor([1.0, 0, 0, 1, 0, 1]).view(1, 6, 1, 1), mean


def length(tensor):
    return ((DOUBLED * tensor.square()).sum(1) + 1e-6).sqrt()


def loss_of(out, wanted, noise, weights):
    """Of the tensor, of the direction and size of what makes it anisotropic, of the mean and of S0."""
    tensor, true = out[:, :6], wanted[:, :6]
    (part, mean), (true_part, true_mean) = deviator(tensor), deviator(true)
    allowed = noise[:, 0] + 0.1
    off = length(tensor - true) / allowed
    cosine = (DOUBLED * part * true_part).sum(1) / (length(part) * length(true_part))
    anisotropy = length(part) / length(tensor) - length(true_part) / length(true)
    terms = off + 0.5 * (1 - cosine) + 2 * anisotropy.abs() + (mean - true_mean).abs() / allowed
    terms = terms + 3 * (out[:, 6] - wanted[:, 6]).abs() / (noise[:, 1] + 0.05)
    return (weights * terms).sum() / weights.sum()


def train(options):
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    load = lambda which: [Hearts(options.boreside, options.data, *one) for one in which]
    test, sets = load(TEST)[0], load(TRAINING)
    shares = torch.tensor([float(len(one.images)) for one in sets])
    model = TensorDenoiser().to(memory_format=torch.channels_last)
    average = {key: value.clone() for key, value in model.state_dict().items()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-4)
    begin = time.monotonic()
    for step in range(1, options.steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min(1, step / 200) * (0.5 + 0.5 * np.cos(np.pi * step / options.steps))
        values, noise, wanted, weights = batch(sets[int(torch.multinomial(shares, 1))], options.batch, 40)
        with torch.autocast("cpu", torch.bfloat16):
            out = model(values, noise)
        loss = loss_of(out, wanted, noise, weights)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1)
        optimizer.step()
        with torch.no_grad():
            keep = min(0.998, step / (step + 50))
            for key, value in model.state_dict().items():
                average[key].mul_(keep).add_(value, alpha=1 - keep)
        minutes = (time.monotonic() - begin) / 60
        if step % 500 == 0 or step == options.steps:
            torch.save({"state": average, "steps": step, "minutes": minutes}, Path(options.data) / "checkpoint.pt")
        if step % 500 == 0:
            state = torch.get_rng_state()
            kept = TensorDenoiser()
            kept.load_state_dict(average)
            print(f"step {step}, {minutes:.1f} minutes: loss {loss.item():.3f}", flush=True)
            show("network, 4 averages", evaluate(kept.eval(), test, 10, 4, cases=8)["network"])
            torch.set_rng_state(state)
    return test


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--boreside", default="boreside")
    parser.add_argument("--data", required=True, help="folder of the hearts; they are made where it lacks them")
    parser.add_argument("--steps", type=int, default=9000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pack-only", action="store_true", help="measure and pack the checkpoint in the folder")
    parser.add_argument("-o", "--output", default=str(Path(__file__).resolve().parents[1] / "models"))
    options = parser.parse_args()
    test = Hearts(options.boreside, options.data, *TEST[0]) if options.pack_only else train(options)
    kept = torch.load(Path(options.data) / "checkpoint.pt")
    model = TensorDenoiser()
    model.load_state_dict(kept["state"])
    model.eval()
    print(f"{kept['steps']} steps in {kept['minutes']:.1f} minutes", flush=True)
    write(model, test, kept["steps"], kept["minutes"], options)


if __name__ == "__main__":
    main()
