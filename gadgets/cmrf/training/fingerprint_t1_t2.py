"""Trains `fingerprint_t1_t2` on courses of `boreside simulate dataset cmrf`. See README.md."""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.append(str(Path(__file__).resolve().parents[2] / "model" / "training"))

from courses import PER_RHYTHM, courses
from export import write
from network import Voxels

N_MODES = 16
NOISE = (2e-5, 0.1)  # of a window over the length of all: the range that is trained
BATCH = 4096


def pooled_basis(values):
    units = values / np.linalg.norm(values, axis=1, keepdims=True)
    eigenvalues, vectors = np.linalg.eigh(units.T.astype(np.float64) @ units)
    left = 1 - eigenvalues[::-1][:N_MODES].sum() / eigenvalues.sum()
    print(f"pooled basis of {N_MODES} modes leaves {left:.1e} of the energy out", flush=True)
    return np.ascontiguousarray(vectors[:, ::-1][:, :N_MODES].T).astype(np.float32)


class Noise:
    """Noise of the modes of a scan, of which the faint ones may have more."""

    def __init__(self, data):
        self.span = data.pop("span")

    def draw(self, rows, generator):
        n, n_modes = len(rows), self.span.shape[1]
        growth = 1 + 0.6 * torch.rand(n, 1, generator=generator)
        spread = growth ** torch.arange(n_modes)
        modes = torch.randn(n, n_modes, generator=generator) * spread
        modes = modes * (45 / spread.square().sum(1, keepdim=True)).sqrt()
        return torch.einsum("nm,nmw->nw", modes, self.span[rows // PER_RHYTHM])


def corrupted(values, rows, noise, generator, level=None):
    """Windows of length 1 with noise, and the log of noise over length."""
    n = values.shape[0]
    values = values / values.norm(dim=1, keepdim=True)
    if level is None:
        low, high = np.log(NOISE[0]), np.log(NOISE[1])
        level = torch.exp(low + (high - low) * torch.rand(n, 1, generator=generator))
        # Some without any, as the scan of a simulation is.
        level = torch.where(torch.rand(n, 1, generator=generator) < 0.1, torch.full_like(level, 0.0), level)
    values = values + level * noise.draw(rows, generator)
    length = values.norm(dim=1, keepdim=True)
    return values / length, torch.log((level / length).clamp(min=NOISE[0]))


def tensors(data):
    return {key: torch.from_numpy(np.ascontiguousarray(value)).float() for key, value in data.items()}


def inputs(data, rows, noise, generator, level=None):
    values, log_noise = corrupted(data["windows"][rows], rows, noise, generator, level)
    conditions = torch.cat([data["inversion_factor"][rows, None], log_noise], 1)
    return values, data["between_s"][rows], conditions


def truth(data, rows):
    return torch.stack([data["t1_ms"][rows].log(), data["t2_ms"][rows].log()], 1)


REGIONS = {
    "myocardium": ((800, 1500), (30, 70)),
    "liver": ((400, 800), (30, 70)),
    "blood": ((1400, 2000), (150, 300)),
}


def measure(model, data, noise):
    """Errors of unseen courses, by tissue and signal-to-noise ratio of the brightest echo."""
    rows_of = {}
    for name, (t1, t2) in REGIONS.items():
        inside = (data["t1_ms"] > t1[0]) & (data["t1_ms"] < t1[1]) & (data["t2_ms"] > t2[0]) & (data["t2_ms"] < t2[1])
        rows_of[name] = torch.nonzero(inside)[:, 0]
    found = []
    model.eval()
    for name, rows in rows_of.items():
        for snr in (10, 20, 40, np.inf):
            generator = torch.Generator().manual_seed(5)
            peak = data["windows"][rows].abs().amax(1, keepdim=True) / data["windows"][rows].norm(dim=1, keepdim=True)
            level = peak / snr / np.sqrt(20)
            with torch.no_grad():
                out = model(*inputs(data, rows, noise, generator, level))
            off = torch.exp(out[:, :2] - truth(data, rows)) - 1
            covered = ((out[:, :2] - truth(data, rows)).abs() < torch.exp(out[:, 2:])).float().mean(0)
            figures = {
                "nrmse": 100 * off.square().mean(0).sqrt(), "bias": 100 * off.mean(0), "coverage": 100 * covered,
            }
            found.append((name, snr, {key: value.tolist() for key, value in figures.items()}, len(rows)))
    model.train()
    return found


def show(found):
    for name, snr, figures, n in found:
        line = " ".join(f"{key} {a:.2f} {b:.2f}" for key, (a, b) in figures.items())
        print(f"  {name} SNR {snr} ({n}): {line}", flush=True)


def train(options):
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    data = courses(options.boreside, options.data, options.cases, 1)
    test = tensors(courses(options.boreside, options.data, options.test_cases, 3))
    basis = pooled_basis(data["windows"][:400_000])
    data = tensors(data)
    noise, test_noise = Noise(data), Noise(test)
    model = Voxels(basis)
    # Faint modes are as loud as the strong ones.
    values = data["windows"][:100_000]
    modes = values / values.norm(dim=1, keepdim=True) @ model.basis
    model.scale.copy_(1 / modes.std(0).clamp(min=2e-3))
    average = {key: value.clone() for key, value in model.state_dict().items()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-4)
    generator = torch.Generator().manual_seed(options.seed)
    begin, step, n = time.monotonic(), 0, len(data["t1_ms"])
    order = torch.randperm(n, generator=generator)
    while (share := (time.monotonic() - begin) / (60 * options.minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min(1, (step + 1) / 300) * (0.5 + 0.5 * np.cos(np.pi * share))
        place = (step * BATCH) % (n - BATCH)
        rows = order[place : place + BATCH]
        out = model(*inputs(data, rows, noise, generator))
        off = out[:, :2] - truth(data, rows)
        log_sd = out[:, 2:].clamp(-8, 1)
        likelihood = (log_sd + 0.5 * (off * torch.exp(-log_sd)).square()).mean()
        loss = 20 * off.abs().mean() + 0.0 * likelihood if step < 500 else likelihood + 5 * off.abs().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1)
        optimizer.step()
        step += 1
        with torch.no_grad():
            keep = min(0.999, step / (step + 50))
            for key, value in model.state_dict().items():
                average[key].mul_(keep).add_(value, alpha=1 - keep)
        if step % 2000 == 0:
            print(f"{share:.0%} step {step}: loss {loss.item():.4f}", flush=True)
            saved = {key: value.clone() for key, value in model.state_dict().items()}
            model.load_state_dict(average)
            show(measure(model, test, test_noise))
            torch.save({"state": average, "basis": basis, "steps": step}, Path(options.data) / "checkpoint.pt")
            model.load_state_dict(saved)
    model.load_state_dict(average)
    minutes = (time.monotonic() - begin) / 60
    torch.save({"state": average, "basis": basis, "steps": step, "minutes": minutes}, Path(options.data) / "checkpoint.pt")
    found = measure(model, test, test_noise)
    show(found)
    print(f"{step} steps in {minutes:.1f} minutes", flush=True)
    return model, test, test_noise, found, step, minutes


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--boreside", default="boreside")
    parser.add_argument("--data", required=True, help="folder of the courses; they are made where it lacks them")
    parser.add_argument("--minutes", type=float, default=45)
    parser.add_argument("--cases", type=int, default=1_548_288)
    parser.add_argument("--test-cases", type=int, default=193_536)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("-o", "--output", default=str(Path(__file__).resolve().parents[1] / "models"))
    options = parser.parse_args()
    model, test, noise, found, step, minutes = train(options)
    generator = torch.Generator().manual_seed(1)
    example = inputs(test, torch.arange(24), noise, generator)
    write(model, [value.contiguous() for value in example], found, step, minutes, options)


if __name__ == "__main__":
    main()
