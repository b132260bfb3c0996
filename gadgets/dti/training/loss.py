"""What the network is to get right: pixels, images, and what a reader sees in the wall as a whole."""

import torch

DOUBLED = torch.tensor([1.0, 2, 2, 1, 2, 1]).view(1, 6, 1, 1)  # elements that a matrix has twice
LEAST_WALL, LEAST_LESION = 60, 15  # pixels of a piece from which their means are looked at


def deviator(tensor):
    mean = (tensor[:, 0] + tensor[:, 3] + tensor[:, 5]) / 3
    return tensor - mean[:, None] * torch.tensor([1.0, 0, 0, 1, 0, 1]).view(1, 6, 1, 1), mean


def length(tensor):
    return ((DOUBLED * tensor.square()).sum(1) + 1e-6).sqrt()


def of_pixels(out, batch):
    """Of the tensor, of the direction and size of what makes it anisotropic, of the mean and of S0."""
    wanted, noise, weights = batch.wanted, batch.noise, batch.weights
    tensor, true = out[:, :6], wanted[:, :6]
    (part, mean), (true_part, true_mean) = deviator(tensor), deviator(true)
    allowed = noise[:, 0] + 0.1
    off = length(tensor - true) / allowed
    cosine = (DOUBLED * part * true_part).sum(1) / (length(part) * length(true_part))
    anisotropy = length(part) / length(tensor) - length(true_part) / length(true)
    terms = off + 0.5 * (1 - cosine) + 2 * anisotropy.abs() + (mean - true_mean).abs() / allowed
    terms = terms + 3 * (out[:, 6] - wanted[:, 6]).abs() / (noise[:, 1] + 0.05)
    return (weights * terms).sum() / weights.sum()


def of_images(out, batch):
    """Of the images that the tensor makes, everywhere, as a share of each image's brightest pixel."""
    log = torch.cat([out[:, :6], out[:, 6:].clamp(min=1e-3).log()], 1)
    made = torch.einsum("ik,ckxy->cixy", batch.design, log).clamp(max=2).exp()
    return ((made - batch.clean) / batch.clean.amax((2, 3), keepdim=True)).abs().mean()


def of_walls(out, batch):
    """Of means over the wall of each piece, which noise in single pixels leaves alone: of the anisotropy; of how far
    xz and yz follow the true ones (1: the helix turns as far as it should); of what lesions have more in MD."""
    (part, mean), (true_part, true_mean) = deviator(out[:, :6]), deviator(batch.wanted[:, :6])
    wall, lesion = batch.wall, batch.lesion
    over = lambda values, mask: (values * mask).sum((1, 2)) / mask.sum((1, 2)).clamp(min=1)
    counted = lambda values, has: (values.abs() * has).sum() / has.sum().clamp(min=1)
    has_wall = (wall.sum((1, 2)) > LEAST_WALL).float()
    anisotropy = length(part) / length(out[:, :6]) - length(true_part) / length(batch.wanted[:, :6])
    through, true_through = part[:, [2, 4]], true_part[:, [2, 4]]
    gain = over((through * true_through).sum(1), wall) / (over(true_through.square().sum(1), wall) + 1e-3)
    rest = wall * (1 - lesion)
    has_lesion = (lesion.sum((1, 2)) > LEAST_LESION).float() * (rest.sum((1, 2)) > LEAST_LESION)
    contrast = lambda values: over(values, lesion) - over(values, rest)
    return (
        10 * counted(over(anisotropy, wall), has_wall)
        + counted(gain - 1, has_wall)
        + 3 * counted(contrast(mean) - contrast(true_mean), has_lesion)
    )


def loss_of(out, batch, is_refining):
    """At first of pixels alone: what it should be at each is learned faster without the rest."""
    loss = of_pixels(out, batch)
    return loss + 20 * of_images(out, batch) + of_walls(out, batch) if is_refining else loss
