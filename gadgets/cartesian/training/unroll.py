"""Denoising and agreement with the samples in turn, as the server does it."""

import torch
from torch.nn import functional

from network import N_MODES, TRUSTS
from scans import agreement, damped

N_FIRST, N_INNER = 20, 5
# Which way round it is shown the images in each step, mirrored along these axes. What it makes of them differs a little, as by noise of its own.
VIEWS = [()], [(2,)], [(), (2,), (3,), (2, 3)]


def first(scan):
    return damped(scan, scan.right, N_FIRST)


def denoise(model, scan, images, step):
    """What the network makes of the images of the modes, and the trust in it."""
    batch, n_modes, n_y, n_x = images.shape
    phase = torch.sgn(images[:, :1].detach() + 1e-20)
    size = scan.size[:, :, None, None]
    turned = images * phase.conj() / size
    values = torch.view_as_real(turned).permute(0, 1, 4, 2, 3).reshape(batch, 2 * n_modes, n_y, n_x)
    noise = (scan.noise / scan.size)[:, :, None, None].expand(-1, -1, n_y, n_x)
    missing = N_MODES - n_modes
    values = functional.pad(values, (0, 0, 0, 0, 0, 2 * missing))
    noise = functional.pad(noise, (0, 0, 0, 0, 0, missing))
    steps = torch.full((batch, 1, n_y, n_x), step / len(TRUSTS))
    with torch.autocast("cpu", torch.bfloat16, enabled=torch.is_grad_enabled()):
        out, trust = model(values, noise, steps)
    out = out[:, : 2 * n_modes].float().reshape(batch, n_modes, 2, n_y, n_x).permute(0, 1, 3, 4, 2).contiguous()
    return torch.view_as_complex(out) * size * phase, trust.float()


def reconstruct(model, scan):
    """The first images, and those after each agreement with the samples."""
    images = [first(scan)]
    for step, views in enumerate(VIEWS):
        answers = [denoise(model, scan, images[-1].flip(axes), step) for axes in views]
        better = sum(answer.flip(axes) for (answer, _), axes in zip(answers, views)) / len(views)
        images.append(agreement(better, answers[0][1], scan, N_INNER))
    return images
