"""The network: four or five signed images of a voxel after one inversion to log T1 and how sure it is."""

import torch
from torch import nn

MEAN_LOG_T1 = 6.8
READOUT = ((45.0, 15.0), (3.1, 0.5), (20.0, 20.0), (80.0, 30.0))  # mean and spread of the conditions on the readout


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x):
        return x + self.second(nn.functional.silu(self.first(x)))


class Voxels(nn.Module):
    def __init__(self, width=96, n_blocks=3):
        super().__init__()
        self.enter = nn.Linear(5 + 5 + 5 + 1 + 4 + 1, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(n_blocks))
        self.leave = nn.Linear(width, 2)
        self.register_buffer("center", torch.tensor([mean for mean, _ in READOUT]))
        self.register_buffer("spread", torch.tensor([spread for _, spread in READOUT]))

    def forward(self, signals, times_s, conditions):
        """signals: `[voxel, 5]`, over the root of their mean square, the last 0 where there are four; times_s: likewise,
        of their images; conditions: `[voxel, 6]`: whether the readout is known; its flip angle in degrees, repetition
        time in ms, pulses before the centre of k-space and of all; log of the noise over the same scale as the signals.
        Gives log T1 in ms and the log of its relative standard deviation."""
        is_known = conditions[:, :1]
        readout = is_known * (conditions[:, 1:5] - self.center) / self.spread
        noise = (conditions[:, 5:] + 3) / 1.2
        # Of all times that images can have, short ones need the finest steps.
        near = torch.exp(-2 * times_s)
        x = torch.cat([signals, times_s - 1.5, near, is_known, readout, noise], 1)
        x = self.enter(x)
        for block in self.blocks:
            x = block(x)
        out = self.leave(nn.functional.silu(x))
        return out + torch.tensor([MEAN_LOG_T1, -2.5], dtype=out.dtype)
