"""What networks of several gadgets are made of."""

import torch
from torch import nn


class Block(nn.Module):
    """Adds a small change, so that what is deeper learns from the first step on."""

    def __init__(self, width):
        super().__init__()
        self.first, self.second = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
        for layer, size in ((self.first, 1.0), (self.second, 0.2)):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
            with torch.no_grad():
                layer.weight.mul_(size)

    def forward(self, x):
        return x + self.second(torch.relu(self.first(x)))
