"""Trains `series_regulariser` on series of `boreside simulate dataset`. See README.md."""

import argparse
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional

sys.path.append(str(Path(__file__).resolve().parents[2] / "model" / "training"))

from export import manifest_of, state_of, trained_on, write
from measure import measure, show
from network import N_MODES, TRUSTS, SeriesRegulariser
from scans import LEAST_WALL, TEST, TRAINING, Noisy, Scan, Series, images_of, noise_field, with_lesions
from unroll import N_FIRST, denoise, first

ACCELERATIONS, SHARES = [2, 3, 4, 5, 6, 8], [1.0, 1.0, 3.0, 1.0, 1.5, 2.0]
WIDTH, BATCH, LESION_SHARE = 40, 2, 0.9


def draw_case(sets, shares, random):
    while True:
        one = sets[int(torch.multinomial(shares, 1, generator=random))]
        index = int(torch.randint(len(one), (1,), generator=random))
        if one.case(index)[1].sum() >= LEAST_WALL:
            return one, index


def draw_snr(random):
    return float(torch.exp(torch.empty(1).uniform_(np.log(7.0), np.log(60.0), generator=random)))


def draw(sets, shares, random):
    """A scan of a random case, windows around its heart; most of the cases get lesions."""
    one, index = draw_case(sets, shares, random)
    case = one.case(index)
    if float(torch.rand(1, generator=random)) < LESION_SHARE:
        case = with_lesions(case, random)
    n_x = case[0].shape[2]
    middle = int(case[1].sum(0).argmax())
    shifts = torch.randint(-WIDTH // 2, WIDTH // 2 + 1, (BATCH,), generator=random)
    columns = [int(min(max(middle - WIDTH // 2 + shift, 0), n_x - WIDTH)) for shift in shifts]
    weights = torch.tensor(SHARES)
    accelerations = [ACCELERATIONS[int(i)] for i in torch.multinomial(weights, BATCH, replacement=True, generator=random)]
    return Scan(case, draw_snr(random), accelerations, columns, WIDTH, random)


def loss_of(images, scan, lesions):
    """Distance of the modes in units of the noise, and of the relaxation time in what a wall's usually is."""
    off = (images - scan.truth) * scan.phase.conj() / scan.sd[:, None, None, None]
    weight = 0.4 + scan.near * 1.6 + scan.wall * 4
    of_modes = off.real.abs().mean(1) + 0.3 * off.imag.abs().mean(1)
    # A fit's noise: what the modes' noise does to the time.
    usual = scan.slope.square().sum(1).sqrt()
    times = (scan.slope * off.real).sum(1) / (usual + 1e-9)
    of_times = (times.square() + 0.01).sqrt()
    on_wall = scan.wall + (4 + 4 * lesions) * scan.lesion
    loss = (weight * of_modes).sum() / weight.sum() + (on_wall * of_times).sum() / on_wall.sum().clamp(min=1)
    # What a lesion is off by, and not its noise.
    relative = (scan.slope * off.real).sum(1) * scan.sd[:, None, None]
    around = functional.avg_pool2d((relative * scan.wall)[:, None], 3, 1, 1) / functional.avg_pool2d(scan.wall[:, None], 3, 1, 1).clamp(min=0.1)
    # What all of a wall is off by: of that less is unknown than of its pixels.
    rest = scan.wall * (1 - scan.lesion)
    of_wall = (relative * rest).sum((1, 2)) / rest.sum((1, 2)).clamp(min=LEAST_WALL)
    loss = loss + of_wall.abs().mean() / 0.01
    return loss + lesions * (around[:, 0].abs() * scan.lesion).sum() / scan.lesion.sum().clamp(min=1) / 0.03


class Round(NamedTuple):
    """So many steps of a kind, at a rate of learning that falls to 0 as a cosine."""

    n_steps: int
    kind: str
    rate: float
    lesions: float  # how much they count beside all else


# With white noise, and nearer to the server and slower with that of undersampled scans.
ROUNDS = [
    Round(3000, "white", 1e-3, 1.5),
    Round(10000, "coloured", 8e-4, 1.5),
    Round(2800, "coloured", 4e-4, 1),
]
TOLD = 0.55  # what it takes noise for, of what it is: chosen by `boreside evaluate accelerated --seed 7` of models packed with several
FIRST_SHARE = 0.25  # of the coloured steps: the first images of scans, their signal too
N_FIELDS = 160


def noise_fields(sets, shares, seed):
    """Noise of the first images of many scans."""
    random = torch.Generator().manual_seed(seed)
    fields = []
    while len(fields) < N_FIELDS:
        one, index = draw_case(sets, shares, random)
        case = one.case(index)
        if len(case[0]) < N_MODES:
            continue
        acceleration = [ACCELERATIONS[int(torch.multinomial(torch.tensor(SHARES), 1, generator=random))]]
        scan = Scan(case, draw_snr(random), acceleration, [0], case[0].shape[2], random, 0.0)
        fields.append(noise_field(scan, N_FIRST).clone())
    return fields


def loss_of_step(model, kind, sets, shares, random, lesions, fields):
    if kind == "coloured" and float(torch.rand(1, generator=random)) < FIRST_SHARE:
        scan = draw(sets, shares, random)
        return loss_of(denoise(model, scan, first(scan), 0)[0], scan, lesions)
    one, index = draw_case(sets, shares, random)
    modes, case = one.modes(index), one.case(index)
    if float(torch.rand(1, generator=random)) < LESION_SHARE:
        case = with_lesions(case, random)
        modes = images_of(modes[3], case[0]), *modes[1:]
    scan = Noisy(modes, case, 8, 48, random, fields)
    return loss_of(denoise(model, scan, scan.images, int(torch.randint(len(TRUSTS), (1,), generator=random)))[0], scan, lesions)


def train(options):
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    sets = [Series(options.boreside, options.data, *one) for one in TRAINING]
    test = Series(options.boreside, options.data, *TEST[0])
    model = SeriesRegulariser().to(memory_format=torch.channels_last)
    done = {"steps": 0, "minutes": 0.0}
    if options.begin_from:
        model.load_state_dict(state_of(options.begin_from))
    for number, plan in enumerate(ROUNDS):
        path = Path(options.data) / f"series_regulariser-{number}.pt"
        if number < options.begin_with:
            done = torch.load(path)
            model.load_state_dict(done["state"])
        else:
            done = train_round(model, plan, done, path, sets, test, options.seed + number)
    return model, done, test


def train_round(model, plan, done, path, sets, test, seed):
    """One round from the state that the model is in. It is left in the running mean of its states."""
    random = torch.Generator().manual_seed(seed)
    shares = torch.tensor([float(len(one)) for one in sets])
    begin = time.monotonic()
    fields = noise_fields(sets, shares, seed) if plan.kind == "coloured" else []
    average = {key: value.clone() for key, value in model.state_dict().items()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=plan.rate, weight_decay=1e-4)
    for step in range(1, plan.n_steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = plan.rate * min(1, step / 100) * (0.5 + 0.5 * np.cos(np.pi * step / plan.n_steps))
        loss = loss_of_step(model, plan.kind, sets, shares, random, plan.lesions, fields)
        optimizer.zero_grad()
        if torch.isfinite(loss):
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1)
            optimizer.step()
        with torch.no_grad():
            keep = min(0.995, step / (step + 50))
            for key, value in model.state_dict().items():
                average[key].mul_(keep).add_(value, alpha=1 - keep)
        minutes = (time.monotonic() - begin) / 60
        if step % 100 == 0:
            print(f"step {step}, {minutes:.1f} minutes: loss {loss.item():.3f}", flush=True)
        if step % 1000 == 0 or step == plan.n_steps:
            kept = {"state": average, "steps": done["steps"] + step, "minutes": done["minutes"] + minutes}
            torch.save(kept, path)
            so_far = SeriesRegulariser()
            so_far.told = TOLD
            so_far.load_state_dict(average)
            show(measure(so_far.eval(), test, [4, 8], cases=6))
    model.load_state_dict(average)
    return kept


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--boreside", default="boreside")
    parser.add_argument("--data", required=True, help="folder of the series; they are made where it lacks them")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--begin-with", type=int, default=0, metavar="ROUND", help=f"from the checkpoint of the round before; {len(ROUNDS)}: only measure and pack"
    )
    parser.add_argument("--begin-from", metavar="MODEL.onnx", help="weights to begin with, of a model that this packed")
    parser.add_argument("--pack", metavar="MODEL.onnx", help="no training: measure and pack the weights of this anew")
    parser.add_argument("-o", "--output", default=str(Path(__file__).resolve().parents[1] / "models"))
    options = parser.parse_args()
    if options.pack:
        model, test = SeriesRegulariser(), Series(options.boreside, options.data, *TEST[0])
        model.load_state_dict(state_of(options.pack))
        history = manifest_of(options.pack)["card"]["trained_on"]
    else:
        model, done, test = train(options)
        history = trained_on(done["steps"], done["minutes"], options.begin_from)
    model.told = TOLD
    write(model.eval(), test, history, options)


if __name__ == "__main__":
    main()
