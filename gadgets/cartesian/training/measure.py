"""Errors on unseen series, by the linear dependence of the relaxation time on the modes."""

import torch

from scans import LEAST_WALL, Scan
from unroll import reconstruct

WORDS = {"error %": "median error of T1 in the wall, %", "bias %": "mean of the median of T1 over each wall less the true one, %"}


def measure(model, test, accelerations, snr=20.0, cases=16):
    """Of each acceleration: the first images, the network's after each step."""
    rows = {}
    with torch.no_grad():
        for acceleration in accelerations:
            errors, biases, misfits = {}, {}, []
            for index in range(min(cases, len(test))):
                case = test.case(index)
                if case[1].sum() < LEAST_WALL:
                    continue
                random = torch.Generator().manual_seed(1000 + index)
                n_x = case[0].shape[2]
                scan = Scan(case, snr, [acceleration], [0], n_x, random)
                images, _ = reconstruct(model, scan)
                misfits.append(torch.stack([scan.misfit(image)[0] for image in images]))
                for step, image in enumerate(images):
                    off = (scan.slope * ((image - scan.truth) * scan.phase.conj()).real).sum(1)[scan.wall > 0]
                    errors.setdefault(step, []).append(off.abs())
                    biases.setdefault(step, []).append(off.median())
            for step in errors:
                rows[acceleration, step] = {
                    "error %": 100 * torch.cat(errors[step]).median().item(),
                    "bias %": 100 * torch.stack(biases[step]).mean().item(),
                    "misfit": torch.stack(misfits).mean(0)[step].item(),
                }
    return rows


def show(rows):
    for (acceleration, step), row in rows.items():
        print(f"  R {acceleration}, step {step}: " + ", ".join(f"{name} {value:.3f}" for name, value in row.items()), flush=True)
