"""Trains `diffusion_denoising` on hearts of `boreside simulate dataset dti`. See README.md."""

import argparse
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper

sys.path.append(str(Path(__file__).resolve().parents[2] / "model" / "training"))

from export import write
from hearts import TEST, TRAINING, Hearts, batch
from loss import loss_of
from measure import evaluate, show
from network import TensorDenoiser

def stage(model, sets, test, options, steps, rate, is_refining):
    """Trains for some steps; leaves the mean of the last ones in the model. Returns the minutes."""
    shares = torch.tensor([float(len(one.images)) for one in sets])
    average = {key: value.clone() for key, value in model.state_dict().items()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=1e-4)
    begin = time.monotonic()
    for step in range(1, steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1, step / 200) * (0.5 + 0.5 * np.cos(np.pi * step / steps))
        pieces = batch(sets[int(torch.multinomial(shares, 1))], options.batch, 40)
        with torch.autocast("cpu", torch.bfloat16):
            out = model(pieces.values, pieces.noise)
        loss = loss_of(out, pieces, is_refining)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1)
        optimizer.step()
        with torch.no_grad():
            keep = min(0.998, step / (step + 50))
            for key, value in model.state_dict().items():
                average[key].mul_(keep).add_(value, alpha=1 - keep)
        if step % 250 == 0 or step == steps:
            state = torch.get_rng_state()
            kept = TensorDenoiser()
            kept.load_state_dict(average)
            torch.save(average, Path(options.data) / "latest.pt")
            print(f"step {step}, {(time.monotonic() - begin) / 60:.1f} minutes: loss {loss.item():.3f}", flush=True)
            show("network, 4 averages", evaluate(kept.eval(), test, 10, 4, cases=8)["network"])
            torch.set_rng_state(state)
    model.load_state_dict(average)
    return (time.monotonic() - begin) / 60


def start_from(model, path):
    """Takes the weights of a packed network. Returns how they were trained."""
    initializers = onnx.load(path).graph.initializer
    model.load_state_dict({one.name: torch.from_numpy(numpy_helper.to_array(one).copy()) for one in initializers})
    manifest = tomllib.loads(Path(path).with_suffix(".toml").read_text())
    return f"{manifest['card']['trained_on'].rpartition('; ')[2]} (version {manifest['version']})"


def train(options):
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    load = lambda which: [Hearts(options.boreside, options.data, *one) for one in which]
    test, sets = load(TEST)[0], load(TRAINING)
    model = TensorDenoiser().to(memory_format=torch.channels_last)
    if options.start:
        training, command = start_from(model, options.start), "--start OLD"
        show("before, 4 averages", evaluate(model.eval(), test, 10, 4, cases=8)["network"])
        model.train()
    else:
        minutes = stage(model, sets, test, options, options.steps, 2e-3, False)
        training, command = f"{options.steps} steps in {minutes:.1f} minutes", f"--steps {options.steps}"
    minutes = stage(model, sets, test, options, options.refining_steps, 3e-4, True)
    training += f", then {options.refining_steps} steps in {minutes:.1f} minutes that look at images and means too"
    command += f" --refining-steps {options.refining_steps}"
    kept = {"state": model.state_dict(), "training": training, "command": command}
    torch.save(kept, Path(options.data) / "checkpoint.pt")
    return test


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--boreside", default="boreside")
    parser.add_argument("--data", required=True, help="folder of the hearts; they are made where it lacks them")
    parser.add_argument("--steps", type=int, default=9000, help="that look at pixels alone")
    parser.add_argument("--refining-steps", type=int, default=1000, help="after them, that look at images and means too")
    parser.add_argument("--start", help="network (.onnx beside its .toml) whose weights stand for the first steps")
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
    print(kept["training"], flush=True)
    write(model, test, kept, options)


if __name__ == "__main__":
    main()
