"""What is left of the errors of tensor, anisotropy and angles in the wall of unseen hearts."""

import numpy as np
import torch
from hearts import averaged, inputs, without_floor

MATRIX = [[0, 1, 2], [1, 3, 4], [2, 4, 5]]


def maps(tensor):
    """MD, FA and eigenvectors (largest first) of tensors `[element, pixel]`."""
    values, vectors = np.linalg.eigh(tensor.T[:, MATRIX].astype(np.float64))
    values, vectors = np.maximum(values[:, ::-1], 1e-6), vectors[:, :, ::-1]
    md = values.mean(1)
    fa = np.sqrt(1.5 * ((values - md[:, None]) ** 2).sum(1) / (values**2).sum(1))
    return md, fa, vectors


def helix(vectors, offset):
    """Helix angles, degrees; offset: `[2, pixel]` from the centre, y and x."""
    y, x = offset / np.hypot(*offset)
    e1 = vectors[:, :, 0]
    along = -y * e1[:, 0] + x * e1[:, 1]
    return np.degrees(np.arctan2(e1[:, 2] * np.sign(along), np.abs(along)))


def angle(a, b):
    return np.degrees(np.arccos(np.clip(np.abs((a * b).sum(1)), 0, 1)))


def ssim(a, b, mask, peak):
    """Mean over images `[image, y, x]` of the structural similarity in a mask, with windows of 7 x 7.

    peak: what values reach, of all images or of each.
    """
    box = lambda x: torch.nn.functional.avg_pool2d(x[:, None], 7, 1, 3)[:, 0]
    mean_a, mean_b = box(a), box(b)
    var_a, var_b, cov = box(a * a) - mean_a**2, box(b * b) - mean_b**2, box(a * b) - mean_a * mean_b
    one, two = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    found = (2 * mean_a * mean_b + one) * (2 * cov + two) / ((mean_a**2 + mean_b**2 + one) * (var_a + var_b + two))
    return float(found[:, mask].mean())


EDGE = 64  # of the piece around the heart that is looked at


class Case:
    """The piece around a heart: images without noise, what they say of its wall, and errors against that."""

    def __init__(self, hearts, case):
        top, left = ((hearts.center[case] - EDGE // 2).round().int().clamp(0, EDGE)).tolist()
        self.part = part = (slice(top, top + EDGE), slice(left, left + EDGE))
        self.clean = hearts.images[case : case + 1][..., part[0], part[1]]
        self.signal, self.scale = float(hearts.signal[case]), hearts.scale[case : case + 1]
        self.solve = torch.linalg.pinv(hearts.design.double()).float()
        true = self.fit(self.clean[0])
        # Not where blood or fat lies in the pixel as well.
        mean = lambda tensor: tensor[[0, 3, 5]].mean(0)
        self.wall = (hearts.wall[case][part] > 0) & ((mean(true) - mean(hearts.tensor[case][:, part[0], part[1]])).abs() < 0.1)
        rows, columns = np.nonzero(self.wall.numpy())
        center = hearts.center[case].numpy() - (top, left)
        self.offset = np.stack([rows - center[0], columns - center[1]])
        self.true = maps(true[:, self.wall].numpy())
        self.lesion = hearts.lesion[case][part][self.wall].numpy() > 0

    def fit(self, images):
        """Tensors of a linear fit: `[element, y, x]`."""
        return torch.einsum("ki,ixy->kxy", self.solve, images.clamp(min=1e-6).log())[:6]

    def errors(self, tensor, images):
        """In the order of NAMES."""
        (md, fa, vectors), (m, f, v) = self.true, maps(tensor[:, self.wall].numpy())
        ha = helix(v, self.offset) - helix(vectors, self.offset)
        lesion, contrast = self.lesion, np.nan
        if lesion.sum() > 10 and (~lesion).sum() > 10:
            contrast = (m[lesion].mean() - m[~lesion].mean()) / (md[lesion].mean() - md[~lesion].mean())
        clean = self.clean[0]
        return [
            f.mean() - fa.mean(), f.std(), 100 * (m.mean() / md.mean() - 1), np.abs(f - fa).mean(), np.abs((ha + 90) % 180 - 90).mean(),
            angle(v[:, :, 0], vectors[:, :, 0]).mean(), angle(v[:, :, 1], vectors[:, :, 1]).mean(), ssim(images, clean, self.wall, clean.max()),
            ssim(images, clean, torch.ones_like(self.wall), clean.amax((1, 2), keepdim=True)), contrast,
        ]


def by_network(model, case, design, magnitude, sd, n_averages):
    """Tensor and images of the network. magnitude: mean of averages `[1, image, y, x]`; sd: noise of one."""
    with torch.no_grad():
        out = model(*inputs(without_floor(magnitude, sd), design, sd / n_averages**0.5, case.scale))[0]
    log = torch.cat([out[:6], (out[6:] * case.scale).clamp(min=1e-6).log()])
    return out[:6], torch.einsum("ik,kxy->ixy", design, log).exp()


def evaluate(model, hearts, snr, n_averages, seed=7, cases=None):
    """Figures of plain averaging and of the network, by name; truth is the fit without noise."""
    torch.manual_seed(seed)
    found = {"plain": [], "network": []}
    for number in range(len(hearts.images) if cases is None else cases):
        case = Case(hearts, number)
        sd = torch.full_like(case.clean[:, :1], case.signal / snr)
        magnitude = averaged(case.clean, sd, n_averages)
        found["plain"].append(case.errors(case.fit(magnitude[0]), magnitude[0]))
        found["network"].append(case.errors(*by_network(model, case, hearts.design, magnitude, sd, n_averages)))
    return summary(found)


def summary(found):
    return {name: dict(zip(NAMES, np.nanmean(rows, 0))) for name, rows in found.items()}


NAMES = ["FA bias", "FA spread", "MD bias %", "FA error", "HA error", "e1 error", "e2 error", "SSIM", "SSIM around", "lesion contrast"]


def show(name, figures):
    print(f"  {name:22s}" + " ".join(f"{key} {value:.3f}" for key, value in figures.items()), flush=True)
