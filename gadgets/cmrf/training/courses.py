"""Courses of voxels and rhythms: `boreside simulate dataset cmrf`, reduced to averages over windows."""

import shutil
import subprocess
from pathlib import Path

import numpy as np

N_BEATS, N_ECHOES = 15, 47
WINDOW, STEP = 20, 10
CHUNK = 64_512
N_MODES = 8  # of a scan, as `reconstruct_fingerprint` makes images of
PER_RHYTHM = 128


def windows():
    """`[window, echo]`: the averages over 20 echoes, every 10, within a beat."""
    rows = []
    for beat in range(N_BEATS):
        for first in range(0, N_ECHOES - WINDOW + 1, STEP):
            row = np.zeros(N_BEATS * N_ECHOES, np.float32)
            row[beat * N_ECHOES + first : beat * N_ECHOES + first + WINDOW] = 1 / WINDOW
            rows.append(row)
    return np.stack(rows)


def courses(boreside, folder, n_cases, seed):
    """Windows of `n_cases` signals, times between the beats in s, T1 and T2 in ms, inversion factors; of each
    rhythm, which `PER_RHYTHM` cases in a row share, the windows that its modes span.

    Signals are what the modes of their rhythm hold of them, as the images of a scan are. Made in pieces that are put away once they are reduced; kept in `folder`.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    reduce = windows().T
    parts = []
    for piece in range(-(-n_cases // CHUNK)):
        path = folder / f"courses-{seed}-{piece}.npz"
        if not path.exists():
            raw = folder / "raw"
            shutil.rmtree(raw, ignore_errors=True)
            command = [boreside, "simulate", "dataset", "cmrf", "--b1", "1,1", "--seed", str(1000 * seed + piece)]
            command += ["--sixteens-per-rhythm", str(PER_RHYTHM // 16), "--rhythm-modes", str(N_MODES)]
            subprocess.run([*command, "--cases", str(CHUNK), "-o", str(raw)], check=True, stdout=subprocess.DEVNULL)
            load = lambda name: np.load(raw / f"{name}.npy", mmap_mode="r")
            signals = np.concatenate([load("signals")[i : i + 8192] @ reduce for i in range(0, CHUNK, 8192)])
            start = load("beat_start_ms")
            units = signals / np.linalg.norm(signals, axis=1, keepdims=True)
            span = np.linalg.svd(units.reshape(-1, PER_RHYTHM, units.shape[1]), full_matrices=False)[2][:, :N_MODES]
            np.savez(
                path, windows=signals, span=span.astype(np.float32), between_s=np.diff(start, axis=1) / 1000, t1_ms=load("t1_ms"),
                t2_ms=load("t2_ms"), inversion_factor=load("inversion_factor"),
            )
            shutil.rmtree(raw)
        parts.append(dict(np.load(path)))
    data = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    return {key: value if key == "span" else value[:n_cases] for key, value in data.items()}
