"""The network: what each frame of a series must be displaced by to show what the reference frame shows."""

import torch
from torch import nn
from torch.nn import functional as F

from correlation import Correlation

# Cosine of features to logits of the correlation.
TEMPERATURE = 12.0
RADIUS = 2


def conv(n_in, n_out, stride=1, kernel=3, scale=1.0):
    layer = nn.Conv2d(n_in, n_out, kernel, stride, kernel // 2)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    with torch.no_grad():
        layer.weight *= scale
    nn.init.zeros_(layer.bias)
    return layer


def normalised(features):
    """Each channel without its mean over the image and with standard deviation 1, then each pixel's vector
    with length 1: what is left is independent of a frame's contrast as a whole."""
    features = features.float()
    features = features - features.mean((2, 3), keepdim=True)
    features = features * torch.rsqrt((features * features).mean((2, 3), keepdim=True) + 1e-4)
    return features * torch.rsqrt((features * features).sum(1, keepdim=True) + 1e-2)


def shifted(frame, n_y, n_x):
    """The parts of a padded frame that lie up to RADIUS away, row by row."""
    side = 2 * RADIUS + 1
    return [frame[:, :, dy : dy + n_y, dx : dx + n_x] for dy in range(side) for dx in range(side)]


def correlation(twin, frame):
    """Products of the twin's features with those of the frame's pixels up to RADIUS away, `[n, 25, y, x]`."""
    padded = F.pad(frame, [RADIUS] * 4, mode="replicate")
    if torch.is_grad_enabled() and not torch.onnx.is_in_onnx_export():
        return Correlation.apply(twin, padded, 2 * RADIUS + 1)
    return torch.cat([(twin * part).sum(1, keepdim=True) for part in shifted(padded, *twin.shape[2:])], 1)


def grid(like):
    """Rows and columns of an image's pixels, `[1, 2, y, x]`."""
    y = torch.ones_like(like[:1, :1]).cumsum(2) - 1
    x = torch.ones_like(like[:1, :1]).cumsum(3) - 1
    return torch.cat([y, x], 1)


def warp(features, displacement):
    """Features `[n, c, y, x]` at pixels displaced by `[n, 2, y, x]`, bilinear, clamped at the edges.

    The exported graph has no GridSample, which not every runtime has: rows of a table are gathered."""
    n, c, n_y, n_x = features.shape
    where = grid(features) + displacement
    if not torch.onnx.is_in_onnx_export():
        scale = torch.tensor([2 / (n_y - 1), 2 / (n_x - 1)], device=features.device).view(1, 2, 1, 1)
        return F.grid_sample(features, (where * scale - 1).flip(1).permute(0, 2, 3, 1), "bilinear", "border", align_corners=True)
    y, x = where[:, 0].clamp(min=0), where[:, 1].clamp(min=0)
    y, x = torch.minimum(y, (n_y - 1) * torch.ones_like(y)), torch.minimum(x, (n_x - 1) * torch.ones_like(x))
    y0, x0 = torch.floor(y), torch.floor(x)
    fy, fx = (y - y0).unsqueeze(3), (x - x0).unsqueeze(3)
    y1 = torch.minimum(y0 + 1, (n_y - 1) * torch.ones_like(y))
    x1 = torch.minimum(x0 + 1, (n_x - 1) * torch.ones_like(x))
    table = features.permute(0, 2, 3, 1).reshape(-1, c)
    first = (torch.ones_like(y[:, :1, :1]).cumsum(0) - 1) * (n_y * n_x)
    take = lambda y, x: table[(first + y * n_x + x).long()]
    top = take(y0, x0) * (1 - fx) + take(y0, x1) * fx
    bottom = take(y1, x0) * (1 - fx) + take(y1, x1) * fx
    return (top * (1 - fy) + bottom * fy).permute(0, 3, 1, 2)


def joined(parts, layer):
    """Parts along the channel axis for a layer that may have more inputs than they have: see `widened`."""
    missing = layer.in_channels - sum(part.shape[1] for part in parts)
    return torch.cat([*parts, parts[0][:, :missing]] if missing else parts, 1)


def widened(layer, multiple=16):
    """The same layer with inputs of weight 0 up to a multiple: ONNX Runtime's fast convolutions ask for that (a tenth
    of the time)."""
    missing = -layer.in_channels % multiple
    wide = nn.Conv2d(layer.in_channels + missing, layer.out_channels, layer.kernel_size, layer.stride, layer.padding)
    with torch.no_grad():
        wide.weight.copy_(F.pad(layer.weight, (0, 0, 0, 0, 0, missing)))
        wide.bias.copy_(layer.bias)
    return wide


def twice(field):
    return F.interpolate(field, scale_factor=2.0, mode="bilinear", align_corners=False)


class Twin(nn.Module):
    """Features of a frame as they would be in the pose of the reference, from those of the reference and of
    the mean of all frames, and from the code of the frame's contrast."""

    def __init__(self, n_in, n_out, n_code):
        super().__init__()
        self.shared = conv(2 * n_in, 2 * n_out, kernel=3)
        self.code = nn.Linear(n_code, 4 * n_out)
        self.last = conv(2 * n_out, n_out, kernel=1, scale=0.1)
        nn.init.normal_(self.code.weight, std=0.1)
        nn.init.zeros_(self.code.bias)

    def forward(self, matched, reference, mean, code):
        shared = self.shared(torch.cat([reference, mean], 1))
        # [series, 1, c, y, x] times [series, frame, c, 1, 1].
        gain, shift = self.code(code).view(shared.shape[0], -1, 2 * shared.shape[1], 1, 1).chunk(2, 2)
        mixed = torch.relu(shared.unsqueeze(1) * (1 + gain) + shift)
        # At first the twin is the reference itself, so that the correlation says something from the start.
        return (matched.unsqueeze(1) + self.last(mixed.flatten(0, 1)).unflatten(0, mixed.shape[:2])).flatten(0, 1)


class MotionOfSeries(nn.Module):
    """Displacement `[series * frame, 2, y / 4, x / 4]`, (dy, dx) in px of full resolution.

    frames: `[series * frame, 1, y, x]`, magnitudes. reference: `[series, 1, y, x]`.
    times: `[series * frame]`, s. y and x are multiples of 16.
    """

    def __init__(self, n_half=24, n_quarter=40, n_eighth=64, n_sixteenth=96, n_match=24, n_match_8=32, n_state=24, n_code=32, n_passes=2):
        super().__init__()
        self.n_passes, self.n_state = n_passes, n_state
        self.encode_2 = conv(4, n_half)
        self.encode_4 = nn.ModuleList([conv(n_half, n_quarter, 2), conv(n_quarter, n_quarter)])
        self.encode_8 = nn.ModuleList([conv(n_quarter, n_eighth, 2), conv(n_eighth, n_eighth)])
        self.embed = nn.Sequential(nn.Linear(n_eighth * 2 + 6, 64), nn.ReLU(), nn.Linear(64, n_code))
        self.match_8 = conv(n_eighth, n_match_8, kernel=1)
        self.twin_8 = Twin(n_eighth, n_match_8, n_code)
        n = 25 + 2 * n_match_8 + 2
        self.coarse_in = conv(n, n_sixteenth)
        self.coarse_down = nn.ModuleList([conv(n_sixteenth, n_sixteenth, 2), conv(n_sixteenth, n_sixteenth)])
        self.coarse_out = conv(2 * n_sixteenth, n_eighth)
        self.coarse_last = conv(n_eighth, 2 + n_state, scale=0.02)
        self.match_4 = conv(n_quarter, n_match, kernel=1)
        self.twin_4 = Twin(n_quarter, n_match, n_code)
        self.fine_in = conv(25 + 2 * n_match + 4 + n_state, 48)
        self.fine = conv(48, 48)
        self.fine_last = conv(48, 2 + n_state, scale=0.02)

    def code(self, pooled, times):
        t = times.clamp(0, 10).unsqueeze(1)
        curves = [torch.exp(-t / scale) for scale in (0.02, 0.1, 0.35, 1.0, 3.0)] + [t / 10]
        return self.embed(torch.cat([pooled, *curves], 1))

    def features(self, images):
        half = torch.relu(self.encode_2(F.pixel_unshuffle(images, 2)))
        quarter = torch.relu(self.encode_4[0](half))
        quarter = quarter + torch.relu(self.encode_4[1](quarter))
        eighth = torch.relu(self.encode_8[0](quarter))
        return quarter, eighth + torch.relu(self.encode_8[1](eighth))

    def forward(self, frames, reference, times):
        return self.all(frames, reference, times)[0][-1]

    def all(self, frames, reference, times):
        """The displacement after each step, the first one at an eighth of the resolution; and of each step the logits
        of the correlation with the displacement that it starts from."""
        n_series = reference.shape[0]
        mean = lambda f: f.unflatten(0, (n_series, -1)).mean(1) if n_series > 1 else f.mean(0, keepdim=True)
        quarter, eighth = self.features(frames)
        reference_4, reference_8 = self.features(reference)
        mean_4, mean_8 = mean(quarter), mean(eighth)
        level = eighth.float().mean((2, 3))
        spread = (eighth.float() - level[:, :, None, None]).square().mean((2, 3)).add(1e-4).sqrt()
        code = self.code(torch.cat([level, spread], 1), times)
        # At an eighth: where the twin is found within 16 px, as a first guess, and what the surroundings say.
        twin = normalised(self.twin_8(self.match_8(reference_8), reference_8, mean_8, code))
        match = normalised(self.match_8(eighth))
        found = TEMPERATURE * correlation(twin, match)
        chance = torch.softmax(found, 1)
        side = torch.arange(-RADIUS, RADIUS + 1, dtype=torch.float32, device=frames.device)
        offset = torch.stack([side.repeat_interleave(len(side)), side.repeat(len(side))])
        with torch.autocast("cpu", enabled=False):
            guess = F.conv2d(chance, offset.view(2, -1, 1, 1))
        wide = torch.relu(self.coarse_in(joined([found, twin * 4, match * 4, guess], self.coarse_in)))
        deep = torch.relu(self.coarse_down[0](wide))
        deep = deep + torch.relu(self.coarse_down[1](deep))
        deep = F.interpolate(deep, scale_factor=2.0, mode="nearest")
        out = self.coarse_last(torch.relu(self.coarse_out(torch.cat([wide, deep], 1)))).float()
        displacement = 8 * (guess + out[:, :2])
        steps, matches = [displacement], [(found, torch.zeros_like(guess))]
        displacement, state = twice(displacement), twice(torch.tanh(out[:, 2:]))
        # At a quarter: the same about what is left, twice.
        twin = normalised(self.twin_4(self.match_4(reference_4), reference_4, mean_4, code))
        match = normalised(self.match_4(quarter))
        for _ in range(self.n_passes):
            displacement = displacement.detach()
            warped = warp(match, displacement / 4)
            found = TEMPERATURE * correlation(twin, warped)
            matches.append((found, displacement))
            # How far the heart moves in all frames, here and around: where none moves, this one does not either.
            size = mean((displacement.square().sum(1, keepdim=True) + 1e-4).sqrt())
            size = torch.cat([size, F.avg_pool2d(size, 9, 1, 4, count_include_pad=False)], 1) / 8
            size = (size.unsqueeze(1) + torch.zeros_like(displacement).unflatten(0, (n_series, -1))).flatten(0, 1)
            x = joined([found, twin * 4, warped * 4, displacement / 8, state, size], self.fine_in)
            out = self.fine_last(torch.relu(self.fine(torch.relu(self.fine_in(x))))).float()
            displacement, state = displacement + 4 * out[:, :2], torch.tanh(out[:, 2:])
            steps.append(displacement)
        return steps, matches
