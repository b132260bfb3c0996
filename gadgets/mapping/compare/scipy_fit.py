"""Fits the PSIR images of a reconstructed MOLLI once more with scipy, and holds the T1 map against it.

    boreside simulate molli --signals bloch --snr 60 -o molli.h5
    boreside replay molli.h5 --chain molli_t1 -o maps.h5
    python scipy_fit.py maps.h5 [pixels]

Needs numpy, scipy and h5py.
"""

import re
import sys
import time

import h5py
import numpy as np
from scipy.optimize import curve_fit


def attribute(text, key):
    found = re.search(rf"<name>{key}</name>\s*<value>([^<]*)</value>", text)
    return found.group(1) if found else None


def series_by_role(file):
    roles = {}
    for group in file.values():
        for series in group.values():
            if not isinstance(series, h5py.Group) or "attributes" not in series:
                continue
            texts = [t.decode() if isinstance(t, bytes) else t for t in series["attributes"][()]]
            roles[attribute(texts[0], "GADGETRON_DataRole")] = (series["data"][()], texts)
    return roles


def model(t, a, b, time_constant):
    return a - b * np.exp(-t / time_constant)


def main():
    n_pixels = int(sys.argv[2]) if len(sys.argv) > 2 else 500
    with h5py.File(sys.argv[1]) as file:
        roles = series_by_role(file)
    psir, texts = roles["PSIR"]
    t1 = roles["T1"][0][0, 0, 0]
    times = np.array([float(attribute(text, "InversionTime")) for text in texts])
    signals = psir[:, 0, 0].astype(float)
    rows, columns = np.nonzero(t1)
    chosen = np.random.default_rng(1).choice(len(rows), min(n_pixels, len(rows)), replace=False)
    ratios = []
    start = time.perf_counter()
    for index in chosen:
        y = signals[:, rows[index], columns[index]]
        try:
            (a, b, star), _ = curve_fit(model, times, y, p0=[y[-1], y[-1] - y[0], 1000.0], maxfev=5000)
        except RuntimeError:
            continue
        ratios.append(t1[rows[index], columns[index]] / (star * (b / a - 1)) - 1)
    elapsed = time.perf_counter() - start
    ratios = np.abs(ratios)
    print(f"{len(ratios)} pixels, {signals.shape[0]} images of {signals.shape[2]} x {signals.shape[1]}")
    print(f"difference to scipy: median {100 * np.median(ratios):.5f} %, 99 % within {100 * np.percentile(ratios, 99):.5f} %")
    print(f"scipy: {1e6 * elapsed / len(chosen):.0f} us per pixel")


if __name__ == "__main__":
    main()
