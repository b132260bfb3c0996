"""Signals of four or five images after one inversion by Bloch's equations, and what a full MOLLI makes of the same voxels."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

N_IMAGES = 5
CHUNK = 1024  # voxels that share a readout, so that their pulses are played together


@dataclass
class Readout:
    """A balanced train. `n_ramp` 0: half the angle half a repetition before the first pulse."""

    repetition_time_ms: float
    n_ramp: int
    n_before: int
    n_pulses: int

    def startup_ms(self):
        return (self.n_ramp or 0.5) * self.repetition_time_ms

    def lead_ms(self):
        """From the start of the train to the echo at the centre of k-space."""
        return self.startup_ms() + (self.n_before + 0.5) * self.repetition_time_ms

    def duration_ms(self):
        return self.startup_ms() + self.n_pulses * self.repetition_time_ms


def play(readout, z, flip_rad, t1_ms, t2_ms):
    """The echo at the centre of k-space, and Mz after the train. On resonance, the phase of pulses alternates."""
    y = np.zeros_like(z)
    whole = np.exp(-readout.repetition_time_ms / t1_ms), -np.exp(-readout.repetition_time_ms / t2_ms)

    def pulse(y, z, cos, sin):
        return y * cos + z * sin, z * cos - y * sin

    def relax(y, z, e1, minus_e2):
        # The sign is that of the next pulse's phase.
        return y * minus_e2, 1 + (z - 1) * e1

    if readout.n_ramp == 0:
        y, z = pulse(y, z, np.cos(flip_rad / 2), np.sin(flip_rad / 2))
        y, z = relax(y, z, np.sqrt(whole[0]), -np.sqrt(-whole[1]))
    for k in range(readout.n_ramp):
        angle = flip_rad * (k + 0.5) / readout.n_ramp
        y, z = pulse(y, z, np.cos(angle), np.sin(angle))
        y, z = relax(y, z, *whole)
    cos, sin = np.cos(flip_rad), np.sin(flip_rad)
    for k in range(readout.n_pulses):
        y, z = pulse(y, z, cos, sin)
        if k == readout.n_before:
            echo = y * np.sqrt(-whole[1])
        y, z = relax(y, z, *whole)
    return echo, z


def look_locker(readout, inversions_ms, centers_ms, factor, flip_rad, t1_ms, t2_ms):
    """Signals `[voxel, image]`.

    inversions_ms, centers_ms: in the order of time, `[voxel]` each; magnetisation is in equilibrium before the first.
    """
    events = [("inversion", at) for at in inversions_ms] + [("image", at - readout.lead_ms()) for at in centers_ms]
    events.sort(key=lambda event: event[1].mean())
    z, now, signals = np.ones_like(t1_ms), events[0][1], []
    for kind, start in events:
        pause = start - now
        assert pause.min() > -1e-6, "a train begins before the last has ended"
        z, now = 1 + (z - 1) * np.exp(-pause / t1_ms), start
        if kind == "inversion":
            z = -factor * z
        else:
            echo, z = play(readout, z, flip_rad, t1_ms, t2_ms)
            signals.append(echo)
            now = start + readout.duration_ms()
    return np.stack(signals, 1)


def three_parameters(times_ms, signals):
    """T1 = T1* (B/A - 1) of A - B exp(-t/T1*), fitted to signals `[voxel, image]` with signs."""
    t, s = times_ms[:, None], signals[:, None]
    grid = np.geomspace(40, 4000, 64)[None, :, None]

    def solve(rate):
        e = np.exp(-t * rate)
        de, ds = e - e.mean(-1, keepdims=True), s - s.mean(-1, keepdims=True)
        slope = (de * ds).sum(-1) / np.maximum((de * de).sum(-1), 1e-30)
        left = ((ds - slope[..., None] * de) ** 2).sum(-1)
        return slope, s.mean(-1) - slope * e.mean(-1), left

    best = solve(1 / grid)[2].argmin(1)
    best = np.clip(best, 1, grid.shape[1] - 2)
    low, high = np.log(grid[0, best - 1, 0]), np.log(grid[0, best + 1, 0])
    golden = (np.sqrt(5) - 1) / 2
    for _ in range(36):
        a, b = high - golden * (high - low), low + golden * (high - low)
        is_left = solve(np.exp(-a)[:, None, None])[2][:, 0] < solve(np.exp(-b)[:, None, None])[2][:, 0]
        low, high = np.where(is_left, low, a), np.where(is_left, b, high)
    time_ms = np.exp((low + high) / 2)
    slope, constant, _ = solve((1 / time_ms)[:, None, None])
    return time_ms * (-slope[:, 0] / constant[:, 0] - 1)


def tissues(random, n):
    """T1 and T2 in ms: half anything, the others like myocardium and blood, before and after contrast agent."""
    between = lambda low, high: random.uniform(low, high, n)
    along = lambda low, high: np.exp(random.uniform(np.log(low), np.log(high), n))
    kind = random.random(n)
    t1_ms = np.select([kind < 0.25, kind < 0.5, kind < 0.8], [along(120, 2600), between(120, 2600), between(250, 1700)], between(200, 2400))
    t2_ms = np.select([kind < 0.5, kind < 0.8], [along(25, 250), between(35, 75)], between(100, 250))
    return t1_ms, np.minimum(t2_ms, 0.8 * t1_ms)


def chunk(seed):
    random = np.random.default_rng(seed)
    n = CHUNK
    readout = Readout(
        random.uniform(2.2, 4.0), int(random.choice([0, *range(3, 11)])), 0, int(random.integers(30, 131)),
    )
    readout.n_before = int(random.uniform(0, 0.6) * readout.n_pulses) if random.random() < 0.75 else 0
    t1_ms, t2_ms = tissues(random, n)
    flip_deg, b1 = random.uniform(20, 70, n), random.uniform(0.8, 1.2, n)
    factor = random.uniform(0.9, 1.0, n)
    first_ms = max(80, readout.lead_ms() + 3) + random.uniform(0, 1, n) ** 2 * 170
    least_ms = max(450, 1.15 * readout.duration_ms())
    mean_ms = np.maximum(random.uniform(500, 1500, n), least_ms)
    spread = random.choice([0.0, 0.03, 0.15], n)[:, None]
    between_ms = mean_ms[:, None] * (1 + spread * random.standard_normal((n, N_IMAGES - 1)))
    # An R wave that is missed.
    between_ms *= np.where(random.random(between_ms.shape) < 0.02, 2, 1)
    between_ms = np.clip(between_ms, least_ms, 3200)
    times_ms = np.concatenate([first_ms[:, None], first_ms[:, None] + between_ms.cumsum(1)], 1)
    flip_rad = np.deg2rad(flip_deg) * b1
    signals = look_locker(readout, [0 * first_ms], list(times_ms.T), factor, flip_rad, t1_ms, t2_ms)
    # 5(3)3 at 60 beats per minute: a value that does not depend on the rhythm of the scan.
    full_ms = np.concatenate([first_ms[:, None] + 1000 * np.arange(5), first_ms[:, None] + 80 + 1000 * np.arange(3)], 1)
    centers = list((first_ms[:, None] + 1000 * np.array([0, 1, 2, 3, 4, 8, 9, 10])).T)
    full = look_locker(readout, [0 * first_ms, 0 * first_ms + 7920], centers, factor, flip_rad, t1_ms, t2_ms)
    rows = lambda value: np.full(n, value, np.float32)
    return {
        "signals": signals.astype(np.float32), "times_s": (times_ms / 1000).astype(np.float32), "t1_ms": t1_ms.astype(np.float32),
        "t2_ms": t2_ms.astype(np.float32), "molli_t1_ms": three_parameters(full_ms, full).astype(np.float32), "flip_deg": flip_deg.astype(np.float32),
        "repetition_time_ms": rows(readout.repetition_time_ms), "n_before": rows(readout.n_before), "n_pulses": rows(readout.n_pulses),
    }


def voxels(n_chunks, seed, n_processes, folder=None):
    """Arrays by name, of `n_chunks` times `CHUNK` voxels without those that MOLLI does not see; kept in `folder`."""
    kept = folder and Path(folder) / f"voxels-{seed}-{n_chunks}.npz"
    if kept and kept.exists():
        return dict(np.load(kept))
    seeds = np.random.SeedSequence(seed).spawn(n_chunks)
    with ProcessPoolExecutor(n_processes) as pool:
        parts = list(pool.map(chunk, seeds, chunksize=8))
    data = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    # Long trains of large angles leave nothing of a short T1 that MOLLI could see.
    share = data["molli_t1_ms"] / data["t1_ms"]
    is_seen = (share > 0.4) & (share < 1.4)
    data = {key: value[is_seen] for key, value in data.items()}
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.savez(kept, **data)
    return data
