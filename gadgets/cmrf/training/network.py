"""The network: windows of a voxel's course and its rhythm to log T1, log T2 and how sure it is."""

import torch
from torch import nn

N_WINDOWS, N_BETWEEN = 45, 14
MEAN = (6.6, 3.9)  # of log T1 and log T2 in ms


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x):
        return x + self.second(nn.functional.silu(self.first(x)))


class Voxels(nn.Module):
    """basis: `[mode, window]`, pooled over rhythms and fixed: what is not in it is no signal."""

    def __init__(self, basis, width=256, n_blocks=4):
        super().__init__()
        self.register_buffer("basis", torch.as_tensor(basis).T.contiguous())
        self.register_buffer("scale", torch.ones(basis.shape[0]))
        self.enter = nn.Linear(basis.shape[0] + N_BETWEEN + 2, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(n_blocks))
        self.leave = nn.Linear(width, 4)

    def forward(self, windows, between_s, conditions):
        """windows: `[voxel, 45]` of length 1; between_s: `[voxel, 14]`; conditions: inversion factor and
        log of noise over length. Gives log T1 and log T2 (ms) and the logs of their standard deviations."""
        modes = (windows @ self.basis) * self.scale
        noise = (conditions[:, 1:] + 6) / 2
        x = torch.cat([modes, 2 * (between_s - 1), 20 * (conditions[:, :1] - 0.95), noise], 1)
        x = self.enter(x)
        for block in self.blocks:
            x = block(x)
        out = self.leave(nn.functional.silu(x))
        offset = torch.tensor([*MEAN, -4.0, -3.5], dtype=out.dtype)
        return out + offset
