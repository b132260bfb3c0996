"""The network: tensor, signal and their noise to a better tensor and signal."""

import torch
from torch import nn

N_VALUES, N_NOISE = 7, 2  # six elements and S0; standard deviations of the elements and of log S0


class TensorDenoiser(nn.Module):
    """A residual network at half the resolution that is told the noise of each pixel (Zhang et al. 2018, FFDNet)."""

    def __init__(self, width=48, n_layers=7):
        super().__init__()
        layers = [nn.Conv2d(4 * (N_VALUES + N_NOISE), width, 3, padding=1), nn.ReLU()]
        for _ in range(n_layers - 2):
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
        layers.append(nn.Conv2d(width, 4 * N_VALUES, 3, padding=1))
        for layer in layers[:-1]:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)
        nn.init.normal_(layers[-1].weight, std=1e-3)
        nn.init.zeros_(layers[-1].bias)
        self.body = nn.Sequential(*layers)

    def forward(self, values, noise):
        x = nn.functional.pixel_unshuffle(torch.cat([values, noise], 1), 2)
        return values + nn.functional.pixel_shuffle(self.body(x), 2)
