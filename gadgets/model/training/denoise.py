"""Trains a denoiser of magnitude images that knows the noise.

    boreside simulate dataset segmentation --cases 1200 --seed 3 --snr 100000000 -o TRAIN
    boreside simulate dataset segmentation --cases 100 --seed 4 --snr 100000000 -o TEST
    python denoise.py --train TRAIN --test TEST --minutes 15 -o ../models
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from networks import Denoiser
from package import figures, head, pack, statistics

SIZE = 96
SNR = (4, 40)


def load(folder):
    """Images without noise `[case, y, x]`, and where the heart's wall is."""
    folder = Path(folder)
    return np.load(folder / "images.npy", mmap_mode="r"), np.load(folder / "myocardium_mask.npy", mmap_mode="r")


def rician(clean, sd, generator):
    """Magnitude of the image with normal noise in its real and imaginary part."""
    real = clean + sd * torch.randn(clean.shape, generator=generator)
    return torch.sqrt(real**2 + (sd * torch.randn(clean.shape, generator=generator)) ** 2)


def scaled(image):
    """The manifest's intensity transform: the 99th percentile to 1."""
    return (image / max(np.percentile(image, 99), 1e-12)).astype(np.float32)


def piece(images, random):
    """A square of an image, mirrored at random."""
    image = scaled(images[random.integers(len(images))])
    y, x = random.integers(image.shape[0] - SIZE), random.integers(image.shape[1] - SIZE)
    image = image[y : y + SIZE, x : x + SIZE]
    if random.random() < 0.5:
        image = image[:, ::-1]
    return torch.from_numpy(np.ascontiguousarray(image))[None]


def test(model, folder, seed=7):
    """Root mean square error in the wall, denoised and as it was, in dB of gain."""
    images, masks = load(folder)
    generator = torch.Generator().manual_seed(seed)
    gains = {}
    with torch.no_grad():
        for snr in (5, 10, 20, 40):
            before, after = 0.0, 0.0
            for image, mask in zip(images, masks):
                clean = torch.from_numpy(scaled(image))[None, None]
                signal = float(clean[0, 0][torch.from_numpy(np.array(mask))].mean())
                sd = torch.tensor([max(signal, 0.05) / snr])
                noisy = rician(clean, sd, generator)
                inside = torch.from_numpy(np.array(mask))[None, None]
                before += float((noisy - clean)[inside].square().mean() / sd.square())
                after += float((model(noisy, sd) - clean)[inside].square().mean() / sd.square())
            gains[snr] = 10 * np.log10(before / after)
    return {"n_cases": len(images), "gain_db": gains}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--output", default="../models")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    random = np.random.default_rng(options.seed)
    generator = torch.Generator().manual_seed(options.seed)
    images, _ = load(options.train)
    model = Denoiser()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=1e-5)
    # Minutes of its cores, whatever else the machine does.
    minutes = lambda: time.process_time() / 60 / torch.get_num_threads()
    start, step, shown = minutes(), 0, 0.0
    while (part := (minutes() - start) / options.minutes) < 1:
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * min(1, (step + 1) / 200) * (0.5 + 0.5 * np.cos(np.pi * part)) + 1e-6
        clean = torch.stack([piece(images, random) for _ in range(8)])
        snr = np.exp(random.uniform(*np.log(SNR), 8))
        sd = torch.from_numpy((random.uniform(0.2, 0.8, 8) / snr).astype(np.float32))
        noisy = rician(clean, sd.reshape(-1, 1, 1, 1), generator)
        with torch.autocast("cpu", torch.bfloat16):
            denoised = model(noisy, sd)
        off = (denoised.float() - clean) / sd.reshape(-1, 1, 1, 1)
        loss = off.abs().mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        shown = 0.98 * shown + 0.02 * loss.item() if step else loss.item()
        step += 1
        if step % 500 == 0:
            print(f"{minutes() - start:5.1f} min, step {step}, loss {shown:.4f}", flush=True)
    model = model.float().eval()
    measured = test(model, options.test) | {"n_steps": step, "minutes": options.minutes}
    print(json.dumps(measured, indent=1))
    rows = [
        ("gain in the myocardium, dB", gain, f"SNR {snr}, {measured['n_cases']} unseen hearts")
        for snr, gain in measured["gain_db"].items()
    ]
    clean = torch.from_numpy(scaled(images[0]))[None, None, 48:112, 64:128].contiguous()
    sd = torch.tensor([0.05])
    noisy = rician(clean, sd, generator)
    noisy_images = [
        rician(torch.from_numpy(scaled(image)), float(random.uniform(0.2, 0.8) / np.exp(random.uniform(*np.log(SNR)))), generator).numpy()
        for image in images[::2]
    ]
    pack(
        "denoise_magnitude",
        model,
        [noisy, sd],
        (["image", "noise_sd"], ["denoised"]),
        {"image": {0: "n", 2: "height", 3: "width"}, "noise_sd": {0: "n"}, "denoised": {0: "n", 2: "height", 3: "width"}},
        options.output,
        MANIFEST.replace("{statistics}", statistics([scaled(image) for image in noisy_images]))
        .replace("{figures}", figures(rows))
        .replace("{minutes}", f"{options.minutes:g}"),
    )


MANIFEST = head(
    "denoise_magnitude",
    "Less noise in magnitude images of known, white noise. Trained on simulated hearts only: not for "
    "diagnosis.",
    "gadgets/model/training/denoise.py",
    "images",
    "the image as it was",
) + """\
[[input]]
name = "image"
role = "image"
axes = ["batch", "channel", "y", "x"]
shape = ["n", 1, "height", "width"]
multiple_of = 2
tiles = { size_px = 512, overlap_px = 32 }
intensity = { transform = "percentile", low = 0, high = 99 }
{statistics}
[[input]]
name = "noise_sd"
role = "noise_sd"
axes = ["batch"]
shape = ["n"]

[[output]]
name = "denoised"
kind = "image"
axes = ["batch", "channel", "y", "x"]
shape = ["n", 1, "height", "width"]
in_units_of_input = true
guard = { range = [-1.0, 20.0], max_outside_share = 0.001 }

[card]
trained_on = "1200 simulated short-axis images of random hearts without noise (boreside simulate dataset segmentation \
--cases 1200 --seed 3 --snr 100000000), with Rician noise of SNR 4 to 40 added"
training_command = "python denoise.py --train TRAIN --test TEST --minutes {minutes}"
limits = [
    "The noise must be white; that of parallel imaging is not.",
    "Structures that simulated hearts do not have (trabeculae, coronary arteries) may be smoothed away.",
]
{figures}"""


if __name__ == "__main__":
    main()
