"""Errors on unseen series, by the linear dependence of the relaxation time on the modes."""

import torch

from scans import LEAST_WALL, Scan, middle_of, round_lesion
from unroll import reconstruct

WORDS = {
    "lesion %": "contrast of a lesion of three pixels and 13 % more T1 over the true one, %",
    "error %": "median error of T1 in the wall, %",
    "bias %": "mean of the median of T1 over each wall less the true one, %",
}


LESION = 0.13  # more T1 over T1, of one of three pixels


def with_lesion(case, index):
    rows, columns = middle_of(case[1])
    at = (index * 37) % len(rows)
    return round_lesion(case, float(rows[at]), float(columns[at]), 1.5, LESION)


def measure(model, test, accelerations, snr=20.0, cases=16):
    """Of each acceleration: the first images, the network's after each step."""
    rows = {}
    with torch.no_grad():
        for acceleration in accelerations:
            errors, biases, misfits, contrasts = {}, {}, [], {}
            for index in range(min(cases, len(test))):
                case = test.case(index)
                if case[1].sum() < LEAST_WALL:
                    continue
                random = torch.Generator().manual_seed(1000 + index)
                n_x = case[0].shape[2]
                before, tau = case[2], case[6][1]
                case = with_lesion(case, index)
                lesion = (case[2] > 0) & (before == 0)
                shown = (case[6][1] / tau - 1)[lesion].mean()
                scan = Scan(case, snr, [acceleration], [0], n_x, random, 0.003)
                images = reconstruct(model, scan)
                misfits.append(torch.stack([scan.misfit(image)[0] for image in images]))
                for step, image in enumerate(images):
                    off = (scan.slope * ((image - scan.truth) * scan.phase.conj()).real).sum(1)
                    contrasts.setdefault(step, []).append(1 + off[0][lesion].mean() / shown)
                    off = off[scan.wall > 0]
                    errors.setdefault(step, []).append(off.abs())
                    biases.setdefault(step, []).append(off.median())
            for step in errors:
                rows[acceleration, step] = {
                    "error %": 100 * torch.cat(errors[step]).median().item(),
                    "bias %": 100 * torch.stack(biases[step]).mean().item(),
                    "lesion %": 100 * torch.stack(contrasts[step]).nanmean().item(),
                    "misfit": torch.stack(misfits).mean(0)[step].item(),
                }
    return rows


def show(rows):
    for (acceleration, step), row in rows.items():
        print(f"  R {acceleration}, step {step}: " + ", ".join(f"{name} {value:.3f}" for name, value in row.items()), flush=True)
