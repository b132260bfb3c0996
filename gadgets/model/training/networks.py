"""The small networks: a U-Net, a residual denoiser, a classifier with its class-activation map."""

import torch
from torch import nn


def _conv(n_in, n_out, stride=1):
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU(inplace=True)
    )


class UNet(nn.Module):
    """Logits of each class for each pixel; height and width must be multiples of 16."""

    def __init__(self, n_in, n_out, widths=(16, 24, 48, 64, 96)):
        super().__init__()
        self.down = nn.ModuleList()
        for n in widths:
            self.down.append(nn.Sequential(_conv(n_in, n), _conv(n, n)))
            n_in = n
        self.up, self.merge = nn.ModuleList(), nn.ModuleList()
        for n in reversed(widths[:-1]):
            self.up.append(nn.ConvTranspose2d(n_in, n, 2, 2))
            self.merge.append(nn.Sequential(_conv(2 * n, n), _conv(n, n)))
            n_in = n
        self.last = nn.Conv2d(n_in, n_out, 1)

    def forward(self, x):
        kept = []
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else nn.functional.max_pool2d(x, 2))
            kept.append(x)
        kept.pop()
        for up, merge in zip(self.up, self.merge):
            x = merge(torch.cat([up(x), kept.pop()], 1))
        return self.last(x)


class Segmentation(nn.Module):
    """Probability of each class, and the entropy of these in parts of its largest value."""

    def __init__(self, unet):
        super().__init__()
        self.unet = unet

    def forward(self, image):
        logits = self.unet(image)
        probability = torch.softmax(logits, 1)
        entropy = -(probability * torch.log_softmax(logits, 1)).sum(1, keepdim=True)
        return probability, entropy / torch.log(torch.tensor(float(logits.shape[1])))


class Denoiser(nn.Module):
    """The image without its noise, whose standard deviation is known.

    Zhang et al. 2018 (FFDNet): works on four interleaved half-size images with a map of the
    noise beside them. Height and width must be even.
    """

    def __init__(self, n_features=40, n_layers=7):
        super().__init__()
        layers = [nn.Conv2d(5, n_features, 3, 1, 1), nn.ReLU(inplace=True)]
        for _ in range(n_layers - 2):
            layers += [nn.Conv2d(n_features, n_features, 3, 1, 1), nn.ReLU(inplace=True)]
        layers.append(nn.Conv2d(n_features, 4, 3, 1, 1))
        self.body = nn.Sequential(*layers)
        for layer in self.body:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)
        nn.init.normal_(self.body[-1].weight, std=1e-3)

    def forward(self, image, noise_sd):
        small = nn.functional.pixel_unshuffle(image, 2)
        level = noise_sd.reshape(-1, 1, 1, 1).expand(-1, 1, small.shape[2], small.shape[3])
        noise = nn.functional.pixel_shuffle(self.body(torch.cat([small, level], 1)), 2)
        # What the layers see is in units of the image; what they answer, in units of the noise.
        return image - noise * noise_sd.reshape(-1, 1, 1, 1)


class Classifier(nn.Module):
    """Probability of a fault, and where it is seen (Zhou et al. 2016: class activation map).

    The score is the mean over the image of a weighted sum of the last features, so that this sum
    is the map: no gradient is needed.
    """

    def __init__(self, n_in=1, widths=(16, 24, 32, 48, 64)):
        super().__init__()
        layers = []
        for level, n in enumerate(widths):
            layers += [_conv(n_in, n, 2 if level else 1), _conv(n, n)]
            n_in = n
        self.features = nn.Sequential(*layers)
        self.weights = nn.Conv2d(n_in, 1, 1)

    def logits(self, image):
        activation = self.weights(self.features(image))
        return activation.mean((2, 3)), activation

    def forward(self, image):
        logit, activation = self.logits(image)
        activation = nn.functional.interpolate(
            activation, size=image.shape[2:], mode="bilinear", align_corners=False
        )
        return torch.sigmoid(logit), torch.relu(activation)
