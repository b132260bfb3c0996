"""The regulariser: images of the modes of a series, with their noise, to better ones."""

import torch
from residual import Block
from torch import nn
from torch.nn import functional

N_MODES = 4
# How much it is trusted in each turn with the samples, at the usual noise. That grows: what is smoothed at once, before a lesion stands out of the
# noise, does not come back. Chosen by the error and the lesions of `measure.py`.
TRUSTS = 0.12, 1.08, 8.0
USUAL_NOISE = 0.042  # of the first mode, over its size
POWER = 2  # of the noise, by which trust grows: the better the samples, the more they have to say
REACH = 2  # px to each side, of the means
N_AROUND = (2 * REACH + 1) ** 2


def mean_around(x, size):
    return functional.avg_pool2d(x, size, 1, size // 2, count_include_pad=False)


def weighted(x, weights):
    """Sum over the pixels around each, `[batch, channel, y, x]`, with weights of its own, `[batch, pixel around, y, x]`."""
    n_y, n_x = x.shape[2:]
    wide = functional.pad(x, (REACH,) * 4, mode="replicate")
    total = 0
    for n in range(N_AROUND):
        y, x0 = n // (2 * REACH + 1), n % (2 * REACH + 1)
        total = total + weights[:, n : n + 1] * wide[:, :, y : y + n_y, x0 : x0 + n_x]
    return total


class SeriesRegulariser(nn.Module):
    """Says of each pixel which of its surroundings look like it, takes means of these, changes them a little, and says how much it is to be trusted.

    modes: `[batch, 2 · mode + part, y, x]`, real and imaginary parts over the modes' own size, the phase of the first mode taken out.
    noise: `[batch, mode, y, x]`, standard deviation over the modes' own size.
    step: `[batch, 1, y, x]`, how often it was asked before over how often it is asked at all.

    Means are of the modes' ratios to the first, of which relaxation times are made and which density, coils and most of the ringing leave
    alone, and with weights of their own of the first mode. That it predicts weights (Bako et al. 2017) and not pixels makes it learn: a
    residual network of the same size hardly did, also when given the ratios and what stands out of the surroundings in units of the noise.
    """

    def __init__(self, width=64, n_blocks=4):
        super().__init__()
        # What it takes the noise for, of what it is told: less keeps more of small lesions, and more noise.
        self.told = 1.0
        n_weak = N_MODES - 1
        n_in = 2 * N_MODES + n_weak + 2 * n_weak + 2 * n_weak + 1 + N_MODES + 1 + 1
        self.head = nn.Conv2d(4 * n_in, width, 3, padding=1)
        self.blocks = nn.Sequential(*[Block(width) for _ in range(n_blocks)])
        self.tail = nn.Conv2d(width, 4 * (2 * N_AROUND + 2 * N_MODES), 3, padding=1)
        with torch.no_grad():
            self.tail.weight.mul_(0.1)
        nn.init.zeros_(self.tail.bias)
        own = torch.zeros(1, N_AROUND, 1, 1)
        own[:, N_AROUND // 2] = 2
        self.register_buffer("own", own)

    def features(self, modes, noise, step):
        strong, weak = modes[:, :1], modes[:, 2:]
        weak_noise = noise[:, 1:].repeat_interleave(2, 1) + 1e-6
        floor = (3 * noise[:, :1]).square()
        amount = (strong.square() + floor).sqrt()
        around = lambda size: mean_around(weak * strong, size) / (mean_around(strong.square(), size) + floor)
        # In units of the noise that a ratio has here.
        unit = weak_noise / amount
        ratio, near, far = weak * strong / amount.square(), around(3), around(7)
        bounded = lambda x: 4 * torch.tanh(0.25 * x)
        outstanding = bounded((ratio - near) / unit), bounded((near - far) / unit)
        bright = bounded((strong - mean_around(strong, 5)) / (noise[:, :1] + 1e-6))
        # Noise over several orders of magnitude.
        level = 0.3 * torch.log(noise + 1e-3) + 1
        return torch.cat([modes, (ratio[:, 0::2] * 0.5).clamp(-4, 4), *outstanding, bright, level, noise[:, :1] / amount, step], 1)

    def forward(self, modes, noise, step):
        trust, noise = self.trust(noise, step), noise * self.told
        x = functional.pixel_unshuffle(self.features(modes, noise, step), 2)
        x = functional.pixel_shuffle(self.tail(self.blocks(self.head(x))), 2).float()
        of_ratios = torch.softmax(x[:, :N_AROUND] + self.own, 1)
        of_first = torch.softmax(x[:, N_AROUND : 2 * N_AROUND] + self.own, 1)
        strong, weak = modes[:, :1], modes[:, 2:]
        sums = weighted(torch.cat([weak * strong, strong.square()], 1), of_ratios)
        ratio = sums[:, :-1] / (sums[:, -1:] + (0.1 * noise[:, :1]).square() + 1e-12)
        first = weighted(modes[:, :2], of_first)
        unit = noise.repeat_interleave(2, 1)
        better = torch.cat([first, ratio * first[:, :1]], 1) + x[:, 2 * N_AROUND :] * unit
        return better, trust

    def trust(self, noise, step):
        # Straight lines between the steps' values, without a lookup.
        at = step.mean((1, 2, 3)).view(-1, 1) * len(TRUSTS)
        share = (1 - (at - torch.arange(float(len(TRUSTS)), device=at.device)).abs()).clamp(min=0)
        over_usual = (noise[:, 0].mean((1, 2)) / USUAL_NOISE).clamp(min=0.03, max=30)
        return (share * torch.tensor(TRUSTS)).sum(1) * over_usual**POWER
