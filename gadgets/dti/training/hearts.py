"""Simulated hearts of `boreside simulate dataset dti`, and averaged images with noise made of them."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

# Cases, directions, b-value, seed.
TRAINING = [(360, 12, 500, 1), (140, 6, 450, 2), (80, 20, 600, 3), (100, 12, 350, 4)]
TEST = [(40, 12, 500, 900)]
LESION = 10  # times that a lesion counts more than the wall around it
LARGEST_SD, LEAST, MOST = 1.5, -1.0, 5.0  # of an element, µm²/ms


class Hearts:
    """A set on the disk: images without noise, weightings, masks, tensors."""

    def __init__(self, boreside, folder, cases, directions, b_value, seed):
        folder = Path(folder) / f"hearts-{seed}"
        if not (folder / "dataset.json").exists():
            command = [boreside, "simulate", "dataset", "dti", "--cases", str(cases), "--directions", str(directions)]
            command += ["--b-value", str(b_value), "--seed", str(seed), "--dropout-share", "0", "-o", str(folder)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        load = lambda name: torch.from_numpy(np.load(folder / f"{name}.npy").astype(np.float32))
        self.images = load("clean_images")
        self.wall = load("myocardium_mask")
        self.lesion = load("diffusion_lesion_mask") * self.wall
        self.tensor = load("tensor_um2_per_ms")
        b = 1e-3 * load("b_value_s_per_mm2")[0]
        x, y, z = load("direction")[0].unbind(1)
        ones = torch.ones_like(x)
        self.b = b
        self.design = torch.stack([-b * x * x, -2 * b * x * y, -2 * b * x * z, -b * y * y, -2 * b * y * z, -b * z * z, ones], 1)
        # Signal of the wall without weighting, and the scale of the images: what the server takes too.
        self.signal = (self.images[:, 0] * self.wall).sum((1, 2)) / self.wall.sum((1, 2))
        self.scale = torch.quantile(self.images[:, 0].flatten(1), 0.95, dim=1)
        rows, columns = torch.meshgrid(torch.arange(128.0), torch.arange(128.0), indexing="ij")
        n = self.wall.sum((1, 2))
        self.center = torch.stack([(self.wall * rows).sum((1, 2)) / n, (self.wall * columns).sum((1, 2)) / n], 1)


def transformed(images, design, turn, is_mirrored):
    """Images and weightings turned by quarters and mirrored: x and y of the directions go with them."""
    design = design.clone()
    if is_mirrored:
        images = images.flip(-1)
        design[:, 1], design[:, 2] = -design[:, 1], -design[:, 2]
    for _ in range(turn):
        images = torch.rot90(images, 1, (-2, -1))
        # What pointed to +x points to -y (up): x' = y, y' = -x.
        xx, xy, xz, yy, yz, zz, one = design.unbind(1)
        design = torch.stack([yy, -xy, yz, xx, -xz, zz, one], 1)
    return images, design


def averaged(clean, sd, n_averages):
    """Mean of magnitudes of images with complex noise. clean: `[case, image, y, x]`, sd: `[case, 1, y, x]`."""
    total = torch.zeros_like(clean)
    for _ in range(n_averages):
        real = clean + sd * torch.randn_like(clean)
        total += torch.hypot(real, sd * torch.randn_like(clean))
    return total / n_averages


def without_floor(magnitude, sd):
    """The mean of magnitudes without what noise adds to it: exact to the fourth order of sd over signal."""
    return (magnitude.square() - sd.square()).clamp(min=0).maximum((0.3 * sd).square()).sqrt()


def inputs(signals, design, sd, scale):
    """What the network is given: `values` of a linear fit and `noise`, their standard deviations.

    signals: `[case, image, y, x]`; sd: of the noise in them, `[case, 1, y, x]`; scale: `[case]`.
    """
    solve = torch.linalg.pinv(design.double()).float()
    floor = signals.amax(1, keepdim=True) * 1e-3
    fitted = torch.einsum("ki,cixy->ckxy", solve, signals.maximum(floor).log())
    tensor, log_s0 = fitted[:, :6].clamp(LEAST, MOST), fitted[:, 6:]
    predicted = torch.einsum("ik,ckxy->cixy", design, torch.cat([tensor, log_s0], 1)).exp()
    relative = (sd / predicted.maximum(sd)).square()
    variances = torch.einsum("ki,cixy->ckxy", solve.square(), relative)
    noise = torch.cat([variances[:, :6].mean(1, keepdim=True).sqrt().clamp(max=LARGEST_SD), variances[:, 6:].sqrt().clamp(max=1.0)], 1)
    s0 = (log_s0.exp() / scale[:, None, None, None]).clamp(max=4.0)
    return torch.cat([tensor, s0], 1), noise


def truth(clean, design, scale):
    """Values of a fit to images without noise."""
    return inputs(clean, design, torch.zeros_like(clean[:, :1]) + 1e-9, scale)[0]


def cropped(images, corners, size):
    return torch.stack([image[..., y : y + size, x : x + size] for image, (y, x) in zip(images, corners)])


def smooth_gain(n, size):
    """A map of noise that is amplified in places, as parallel imaging does."""
    strength = torch.rand(n, 1, 1, 1) * (torch.rand(n, 1, 1, 1) < 0.5)
    coarse = torch.rand(n, 1, 4, 4)
    return 1 + strength * functional.interpolate(coarse, (size, size), mode="bicubic", align_corners=True).clamp(min=0)


@dataclass
class Batch:
    """Pieces of hearts: `[case, channel, y, x]`, masks and weights `[case, y, x]`."""

    values: torch.Tensor
    noise: torch.Tensor
    wanted: torch.Tensor
    weights: torch.Tensor
    wall: torch.Tensor
    lesion: torch.Tensor
    clean: torch.Tensor  # images without noise, in units of their scale
    design: torch.Tensor


def batch(hearts, n, size):
    """Pieces of n hearts with new noise."""
    clean_all, design = hearts.images, hearts.design
    cases = torch.randint(len(clean_all), (n,))
    jitter = torch.where(torch.rand(n, 1) < 0.85, torch.randint(-8, 9, (n, 2)), torch.randint(-40, 41, (n, 2)))
    corners = (hearts.center[cases].round().long() + jitter - size // 2).clamp(0, 128 - size).tolist()
    clean = cropped(clean_all[cases], corners, size)
    masks = torch.stack([cropped((mask[cases] > 0).float(), corners, size) for mask in (hearts.wall, hearts.lesion)])
    turn, is_mirrored = int(torch.randint(4, ())), bool(torch.rand(()) < 0.5)
    wall, lesion = torch.rot90(masks.flip(-1) if is_mirrored else masks, turn, (-2, -1))
    # Lesions are few and their contrast is what a picture is made for.
    weights = wall * (1 + LESION * lesion)
    clean, design = transformed(clean, design, turn, is_mirrored)
    low, high = np.log(4), np.log(35)
    snr = torch.exp(low + (high - low) * torch.rand(n))
    sd = (hearts.signal[cases] / snr)[:, None, None, None] * smooth_gain(n, size)
    n_averages = int((1, 1, 2, 3, 4, 4, 6, 8)[int(torch.randint(8, ()))])
    # What registration leaves: shifts of a few hundredths of a pixel, by the slope.
    shift = 0.05 * torch.randn(2, n, clean.shape[1], 1, 1)
    slope_y, slope_x = torch.gradient(clean, dim=(-2, -1))
    moved = (clean + shift[0] * slope_y + shift[1] * slope_x).clamp(min=0)
    scale = hearts.scale[cases] * torch.exp(0.2 * torch.randn(n))
    signals = without_floor(averaged(moved, sd, n_averages), sd)
    values, noise = inputs(signals, design, sd / n_averages**0.5, scale)
    wanted = truth(clean, design, scale)
    tissue = (wanted[:, 6] > 0.08).float()
    weights = torch.where(weights > 0, weights, 0.1 * tissue)
    return Batch(values, noise, wanted, weights, wall, lesion, clean / scale[:, None, None, None], design)
