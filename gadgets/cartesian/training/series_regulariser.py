"""Trains `series_regulariser` on series of `boreside simulate dataset`. See README.md."""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

sys.path.append(str(Path(__file__).resolve().parents[2] / "model" / "training"))

from export import write
from measure import measure, show
from network import SeriesRegulariser
from scans import LEAST_WALL, TEST, TRAINING, Noisy, Scan, Series, modes_of, with_lesions
from unroll import denoise, first, reconstruct

ACCELERATIONS, SHARES = [2, 3, 4, 5, 6, 8], [1.0, 1.0, 3.0, 1.0, 1.5, 2.0]
WIDTH, BATCH, LESION_SHARE = 40, 2, 0.7


def draw_case(sets, shares, random):
    while True:
        one = sets[int(torch.multinomial(shares, 1, generator=random))]
        index = int(torch.randint(len(one), (1,), generator=random))
        if one.case(index)[1].sum() >= LEAST_WALL:
            return one, index


def draw(sets, shares, random, lesions):
    """A scan of a random case, windows around its heart; where lesions count, most of the cases get some."""
    one, index = draw_case(sets, shares, random)
    case = one.case(index)
    if lesions > 0 and float(torch.rand(1, generator=random)) < LESION_SHARE:
        case = with_lesions(case, random)
    n_x = case[0].shape[2]
    middle = int(case[1].sum(0).argmax())
    shifts = torch.randint(-WIDTH // 2, WIDTH // 2 + 1, (BATCH,), generator=random)
    columns = [int(min(max(middle - WIDTH // 2 + shift, 0), n_x - WIDTH)) for shift in shifts]
    snr = float(torch.exp(torch.empty(1).uniform_(np.log(7.0), np.log(60.0), generator=random)))
    weights = torch.tensor(SHARES)
    accelerations = [ACCELERATIONS[int(i)] for i in torch.multinomial(weights, BATCH, replacement=True, generator=random)]
    return Scan(case, snr, accelerations, columns, WIDTH, random)


def loss_of(images, scan, lesions=0):
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
    if lesions > 0:
        # What a lesion is off by, and not its noise.
        relative = (scan.slope * off.real).sum(1) * scan.sd[:, None, None]
        around = functional.avg_pool2d((relative * scan.wall)[:, None], 3, 1, 1) / functional.avg_pool2d(scan.wall[:, None], 3, 1, 1).clamp(min=0.1)
        loss = loss + lesions * (around[:, 0].abs() * scan.lesion).sum() / scan.lesion.sum().clamp(min=1) / 0.03
    return loss


# Steps with white noise, with what is denoised first, with the whole alternation; rate of learning at the beginning, and steps of the last two kinds in
# which it would fall to 0; how much lesions count beside all else.
ROUNDS = [
    (3500, 500, 1500, 1.5e-3, 2000, 0),
    (0, 0, 1500, 8e-4, 3000, 0),
    (4000, 1000, 2000, 1e-3, 3000, 1),
    (0, 0, 3500, 1e-3, 3500, 1.5),
    (0, 0, 1000, 7e-4, 2500, 0.8),
    (0, 0, 2600, 8e-4, 2600, 1),
]


def loss_of_step(model, step, n_noise, n_first, sets, shares, random, lesions):
    """White noise, then what is denoised first of undersampled scans, then the whole alternation: ever nearer to the server, ever slower."""
    if step <= n_noise:
        one, index = draw_case(sets, shares, random)
        modes, case = one.modes(index), one.case(index)
        if lesions > 0 and float(torch.rand(1, generator=random)) < LESION_SHARE:
            case = with_lesions(case, random)
            own = modes_of(one.case(index)[0], 24)
            modes = torch.einsum("kf,fyx->kyx", own.to(case[0].dtype), case[0]), modes[1]
        scan = Noisy(modes, case, 8, 48, random)
        return loss_of(denoise(model, scan, scan.images, int(torch.randint(4, (1,), generator=random)))[0], scan, lesions)
    scan = draw(sets, shares, random, lesions)
    if step <= n_noise + n_first:
        return loss_of(denoise(model, scan, first(scan), 0)[0], scan)
    images, denoised = reconstruct(model, scan)
    losses = [loss_of(image, scan, lesions) for image in images[1:]]
    return losses[-1] + 0.1 * sum(losses[:-1]) + 0.2 * loss_of(denoised[-1], scan, lesions)


def train(options):
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    sets = [Series(options.boreside, options.data, *one) for one in TRAINING]
    test = Series(options.boreside, options.data, *TEST[0])
    model = SeriesRegulariser().to(memory_format=torch.channels_last)
    done = {"steps": 0, "minutes": 0.0}
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
    n_noise, n_first, n_whole, rate, n_falling, lesions = plan
    n_steps = n_noise + n_first + n_whole
    random = torch.Generator().manual_seed(seed)
    shares = torch.tensor([float(len(one)) for one in sets])
    average = {key: value.clone() for key, value in model.state_dict().items()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=1e-4)
    begin = time.monotonic()
    for step in range(1, n_steps + 1):
        share = max(0, step - n_noise) / n_falling
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1, step / 100) * (0.5 + 0.5 * np.cos(np.pi * share))
        loss = loss_of_step(model, step, n_noise, n_first, sets, shares, random, lesions)
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
        if step % 500 == 0 or step == n_steps:
            kept = {"state": average, "steps": done["steps"] + step, "minutes": done["minutes"] + minutes}
            torch.save(kept, path)
            so_far = SeriesRegulariser()
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
    parser.add_argument("-o", "--output", default=str(Path(__file__).resolve().parents[1] / "models"))
    options = parser.parse_args()
    model, done, test = train(options)
    write(model.eval(), test, done["steps"], done["minutes"], options)


if __name__ == "__main__":
    main()
