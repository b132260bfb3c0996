"""Undersampled scans made of series of `boreside simulate dataset`: coils, lines, noise, and the model of the samples."""

import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from network import N_MODES

# Name, arguments, cases, seed.
TRAINING = [
    ("molli-long", ["molli", "--scheme", "3(3)3(3)5", "--still-share", "1"], 130, 1),
    ("molli-short", ["molli", "--scheme", "5(3)3", "--still-share", "1"], 70, 2),
    ("molli-moving", ["molli", "--scheme", "3(3)3(3)5", "--motion", "0.35"], 40, 3),
    ("sasha", ["sasha", "--still-share", "1"], 50, 4),
    ("t2", ["t2", "--still-share", "1"], 40, 5),
]
TEST = [("test-molli", ["molli", "--scheme", "3(3)3(3)5", "--still-share", "1"], 16, 900)]
TIMES = ("inversion_time_ms", "saturation_time_ms", "preparation_time_ms")
N_COILS, N_VIRTUAL, N_ARRAYS = 16, 8, 24
LEAST_WALL = 20  # pixels
TISSUE_SDS = 5.0  # of noise, by which the first mode of tissue stands out
MOST_MAP_ERROR = 0.006  # of a coil's sensitivity, to the largest
BODY_SHARE, MOST_DAMPING = 0.25, 0.75  # as in the server
# Lesions that only the test has: radius, px, and more of the relaxation time over it.
TESTED_RADIUS, TESTED_CHANGE = (1.25, 1.75), (0.09, 0.18)


def centred(n):
    return torch.arange(n, dtype=torch.float32) - n // 2


class Series:
    """A set on the disk. Of each case: frames without noise, how T1 depends on them, masks."""

    def __init__(self, boreside, folder, name, arguments, cases, seed):
        folder = Path(folder) / name
        if not (folder / "dataset.json").exists():
            command = [boreside, "simulate", "dataset", *arguments, "--complex", "--snr", "1e6", "--field-strengths", "1.5,3"]
            command += ["--contrast-share", "0.2", "--cases", str(cases), "--seed", str(seed), "-o", str(folder)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        load = lambda what: np.load(folder / f"{what}.npy", mmap_mode="r")
        self.images, self.wall, self.labels = load("images"), load("myocardium_mask"), load("labels")
        self.times = next(load(time) for time in TIMES if (folder / f"{time}.npy").exists())
        self.has_offset = not (folder / "preparation_time_ms.npy").exists()
        self.is_inversion = (folder / "inversion_time_ms.npy").exists()
        self.known, self.known_modes = {}, {}

    def __len__(self):
        return len(self.images)

    def case(self, index):
        """Frames, wall, lesion, region, sensitivity of the relaxation time to the frames over that time, the time, and the course's numbers."""
        if index not in self.known:
            frames = torch.from_numpy(np.array(self.images[index], np.complex64))
            wall = torch.from_numpy(np.array(self.wall[index])).float()
            labels = np.array(self.labels[index])
            lesion = torch.from_numpy((labels >= 20).astype(np.float32)) * wall
            times = torch.from_numpy(np.array(self.times[index], np.float32))
            near = torch.from_numpy(((labels >= 6) & (labels <= 10) | (labels >= 20)).astype(np.float32))
            slope, value, course = sensitivity(frames, times, self.has_offset, self.is_inversion, near > 0)
            self.known[index] = frames, wall, lesion, near, slope, value, course
        return self.known[index]

    def modes(self, index):
        """Images of the strongest modes, what a change of each does to the relaxation time over that time, their energies, and their courses."""
        if index not in self.known_modes:
            frames, slope = self.case(index)[0], self.case(index)[4]
            modes, energies = modes_of(frames, 24)
            self.known_modes[index] = images_of(modes, frames), torch.einsum("kf,fyx->kyx", modes, slope), energies, modes
        return self.known_modes[index]


def sensitivity(frames, times, has_offset, is_inversion, where):
    """What a change of each frame does to the relaxation time over that time, by the fit of an exponential. `[frame, y, x]`, `[y, x]`, 0 but
    `where`; and the course: times of the frames, its own time, factor of its decay `[y, x]`, whether it rises, and its phase."""
    t = times.double()
    signal = (frames * torch.sgn(frames[times.argmax()] + 1e-20).conj()).real[:, where].double()
    taus = torch.exp(torch.linspace(*((np.log(60.0), np.log(4000.0)) if has_offset else (np.log(15.0), np.log(400.0))), 120, dtype=torch.float64))
    decay = torch.exp(-t / taus[:, None])
    designs = torch.stack([torch.ones_like(decay), -decay], 2) if has_offset else decay[:, :, None]
    inverses = torch.linalg.pinv(designs)
    found = inverses @ signal  # [tau, parameter, pixel]
    best = (signal - designs @ found).square().sum(1).argmin(0)
    tau, found = taus[best], found[best, :, torch.arange(len(best))]
    level, height = found[:, 0], found[:, -1]
    decay = torch.exp(-t / tau[:, None])
    by_tau = height[:, None] * t / tau.square()[:, None] * decay
    columns = [torch.ones_like(decay), -decay, -by_tau] if has_offset else [decay, by_tau]
    inverse = torch.linalg.pinv(torch.stack(columns, 2), rtol=1e-9)  # [pixel, parameter, frame]
    value, slope = tau, inverse[:, -1]
    if is_inversion:
        level = torch.where(level.abs() < 1e-9, torch.full_like(level, 1e-9), level)
        ratio = height / level - 1
        value = tau * ratio
        slope = ratio[:, None] * slope + (tau / level)[:, None] * inverse[:, 1] - (tau * height / level.square())[:, None] * inverse[:, 0]
    value = value.clamp(min=1.0)
    map_of = lambda values: torch.zeros(where.shape).masked_scatter_(where, values.float())
    slopes = torch.zeros(len(times), *where.shape)
    slopes[:, where] = (slope / value[:, None]).T.float()
    sign = -1.0 if has_offset else 1.0
    course = times, map_of(tau), sign * map_of(height), torch.sgn(frames[times.argmax()] + 1e-20)
    return slopes, map_of(value), course


def disc(shape, row, column, radius):
    """A disc as a scan of this resolution shows it: of its spectrum on pixels eight times finer, the image's part is kept."""
    n, fine = 24, 8
    top, left = [min(max(round(at) - n // 2, 0), size - n) for at, size in zip((row, column), shape)]
    place = (torch.arange(n * fine) + 0.5) / fine - 0.5
    inside = ((place[:, None] + top - row).square() + (place + left - column).square() < radius**2).float()
    kept = torch.fft.fftfreq(n, 1 / n).long()
    spectrum = torch.fft.fft2(inside)[kept][:, kept] / fine**2
    # Pixels lie between the finer ones.
    turn = torch.exp(2j * np.pi * kept * (fine - 1) / 2 / (n * fine))
    image = torch.zeros(shape)
    image[top : top + n, left : left + n] = torch.fft.ifft2(spectrum * turn[:, None] * turn).real
    return image


def round_lesion(case, row, column, radius, change):
    """The same with one lesion, px."""
    frames, wall, lesion, near, slope, value, (times, tau, factor, phase) = case
    y, x = torch.meshgrid(torch.arange(float(wall.shape[0])), torch.arange(float(wall.shape[1])), indexing="ij")
    here = ((y - row).square() + (x - column).square() < radius**2).float() * wall
    amount = disc(wall.shape, float(row), float(column), radius) * (tau > 0)
    decay = lambda tau: torch.exp(-times[:, None, None] / tau.clamp(min=1e-3))
    more = amount * factor * (decay(tau * (1 + change)) - decay(tau))
    return frames + more * phase, wall, torch.maximum(lesion, here), near, slope, value, (times, tau * (1 + amount * change), factor, phase)


def middle_of(wall):
    """Rows and columns of the wall without its borders."""
    inner = -functional.max_pool2d(-wall[None, None], 3, 1, 1)[0, 0]
    return (inner if inner.sum() > 0 else wall).nonzero(as_tuple=True)


def with_lesions(case, random):
    """The same with two to nine round lesions of any size and relaxation time in the wall, but none like those of the test."""
    number = lambda low, high: low + (high - low) * float(torch.rand(1, generator=random))
    rows, columns = middle_of(case[1])
    for _ in range(2 + int(torch.randint(8, (1,), generator=random))):
        at = int(torch.randint(len(rows), (1,), generator=random))
        radius, change = TESTED_RADIUS[0], TESTED_CHANGE[0]
        while TESTED_RADIUS[0] <= radius <= TESTED_RADIUS[1] and TESTED_CHANGE[0] <= change <= TESTED_CHANGE[1]:
            radius = float(np.exp(number(np.log(0.9), np.log(2.8))))
            change = float(np.exp(number(np.log(0.06), np.log(0.3)))) * (1 if number(0, 1) < 0.5 else -1)
        case = round_lesion(case, rows[at] + number(-0.5, 0.5), columns[at] + number(-0.5, 0.5), radius, change)
    return case


def coils(n_y, n_x, random):
    """Sensitivities of loops around the chest, `[channel, y, x]`, in a few virtual channels, and their common brightness."""
    y, x = torch.meshgrid(centred(n_y) / n_y * 300, centred(n_x) / n_x * 360, indexing="ij")
    between = lambda low, high, *shape: low + (high - low) * torch.rand(*shape, generator=random)
    axes = between(0.95, 1.35, 2) * torch.tensor([190.0, 135.0])
    angles = (torch.arange(N_COILS) + between(0, 1, 1)) * 2 * np.pi / N_COILS
    size = between(55, 95, 1)
    maps = []
    for angle in angles:
        dx, dy = x - axes[0] * torch.cos(angle), y - axes[1] * torch.sin(angle)
        amount = size**3 / (dx.square() + dy.square() + size.square()) ** 1.5
        maps.append(torch.polar(amount, torch.atan2(dy, dx)))
    maps = torch.stack(maps)
    body = ((x / 170) ** 2 + (y / 125) ** 2 < 1).flatten()
    some = maps.flatten(1)[:, body]
    _, vectors = torch.linalg.eigh(some @ some.mH)
    maps = torch.einsum("cv,cyx->vyx", vectors[:, -N_VIRTUAL:].conj(), maps)
    brightness = maps.abs().square().sum(0).sqrt()
    return maps / brightness, brightness / brightness.mean()


@cache
def known_coils(n_y, n_x, which):
    return coils(n_y, n_x, torch.Generator().manual_seed(which))


def smooth(n_y, n_x, random, size, order=3):
    """A random smooth field about 0 of a typical size."""
    waves = torch.randn(order, order, generator=random)
    y, x = torch.linspace(0, np.pi, n_y), torch.linspace(0, np.pi, n_x)
    along = lambda axis: torch.cos(torch.arange(order)[:, None] * axis)
    return size / order * torch.einsum("ab,ay,bx->yx", waves, along(y), along(x))


def lines(n_frames, n_y, acceleration, n_calibration, random):
    """Lines of each frame, `[frame, line]`: every so many, others in each frame, and all in the middle."""
    sampled = torch.zeros(n_frames, n_y)
    first = int(torch.randint(acceleration, (1,), generator=random))
    for frame in range(n_frames):
        sampled[frame, (first + frame) % acceleration :: acceleration] = 1
    sampled[:, n_y // 2 - n_calibration // 2 : n_y // 2 + (n_calibration + 1) // 2] = 1
    return sampled


def modes_of(frames, n_calibration):
    """The strongest modes of the calibration lines, `[mode, frame]`, and their mean squares over the pixels."""
    n_y, n_x = frames.shape[1:]
    spectrum = torch.fft.fftshift(torch.fft.fft(frames, dim=1, norm="ortho"), 1)
    middle = spectrum[:, n_y // 2 - n_calibration // 2 : n_y // 2 + n_calibration // 2].flatten(1)
    values, vectors = torch.linalg.eigh((middle @ middle.mH).real.double())
    n_modes = min(N_MODES, len(frames))
    # Of either sign: their sum is positive, as in the server.
    vectors = vectors * torch.where(vectors.sum(0) < 0, -1.0, 1.0)
    return vectors.flip(1).T[:n_modes].float(), values.flip(0)[:n_modes].float() / (n_y * n_x)


def images_of(modes, frames):
    return torch.einsum("kf,fyx->kyx", modes.to(frames.dtype), frames)


def damping_of(energies, noise_sd):
    """What keeps each mode as small as it is, noise over signal where the body is. `noise_sd`: of either part of a sample."""
    return (BODY_SHARE * 2 * noise_sd**2 / energies.clamp(min=1e-30)).clamp(max=MOST_DAMPING)


def left_of(damping, share):
    """What is left of an image without data of its own that is damped so, roughly, and of its noise."""
    return share / (share + damping)


class Noisy:
    """Pieces of one series with noise instead of missing lines: what denoising is about, in a fraction of the time of a [`Scan`].

    `fields`: what [`noise_field`] gives, of which four fifths of the noise are taken, the rest is white.
    """

    def __init__(self, modes, case, n, size, random, fields=()):
        images, slope, energies, _ = modes
        _, wall, lesion, near, *_ = case
        n_modes, n_y, n_x = images.shape
        rows, columns = near.nonzero(as_tuple=True)
        pieces = []
        stack = torch.cat([torch.view_as_real(images).permute(0, 3, 1, 2).reshape(-1, n_y, n_x), slope, wall[None], lesion[None], near[None]])
        for _ in range(n):
            at = int(torch.randint(len(rows), (1,), generator=random))
            shift = torch.randint(-size // 3, size // 3 + 1, (2,), generator=random)
            top = int((rows[at] + shift[0] - size // 2).clamp(0, n_y - size))
            left = int((columns[at] + shift[1] - size // 2).clamp(0, n_x - size))
            piece = stack[:, top : top + size, left : left + size]
            turn = int(torch.randint(8, (1,), generator=random))
            piece = torch.rot90(piece, turn % 4, (1, 2))
            pieces.append(piece.flip(2) if turn > 3 else piece)
        pieces = torch.stack(pieces)
        parts = pieces[:, : 2 * n_modes].reshape(n, n_modes, 2, size, size).permute(0, 1, 3, 4, 2).contiguous()
        one = lambda low, high: low + (high - low) * torch.rand(n, 1, 1, 1, generator=random)
        field = lambda amount: torch.stack([smooth(size, size, random, amount) for _ in range(n)])[:, None]
        brightness = torch.exp(field(0.4))
        self.truth = torch.view_as_complex(parts) * torch.polar(brightness, field(1.0))
        signs = torch.sign(torch.randn(n_modes, 1, 1, generator=random))
        self.truth = self.truth * signs
        self.slope = pieces[:, 2 * n_modes : 3 * n_modes] / brightness * signs
        self.wall, self.lesion, self.near = pieces[:, -3], pieces[:, -2], pieces[:, -1]
        self.phase = torch.sgn(self.truth[:, :1] + 1e-20)
        signal = images.abs().square().sum(0).sqrt()[wall > 0].median() / np.sqrt(case[0].shape[0])
        # Noise of a mode at SNR 7 to 60 and a fifth to all of the lines.
        share = one(0.2, 1.0).view(n)
        sample_sd = 1.3 * signal * torch.exp(one(np.log(1 / 60.0), np.log(1 / 7.0))).view(n)
        self.sd = sample_sd * (2 / share).sqrt()
        left = torch.stack([left_of(damping_of(energies, sd), part) for sd, part in zip(sample_sd, share)])
        self.noise = self.sd[:, None] * left
        noise = torch.complex(torch.randn(self.truth.shape, generator=random), torch.randn(self.truth.shape, generator=random)) / np.sqrt(2)
        noise = noise * torch.exp(field(0.3))
        if len(fields) > 0:
            for index in (torch.rand(n, generator=random) < 0.8).nonzero()[:, 0]:
                noise[index] = piece_of(fields, n_modes, size, random)
        self.images = self.truth + self.noise[:, :, None, None] * one(0.4, 1.3) * noise
        self.size = torch.stack([sizes_of(images, *both) for both in zip(left, self.noise)])


def piece_of(fields, n_modes, size, random):
    field = fields[int(torch.randint(len(fields), (1,), generator=random))][:n_modes]
    top, left = (int(torch.randint(n - size + 1, (1,), generator=random)) for n in field.shape[1:])
    return field[:, top : top + size, left : left + size]


def sizes_of(modes, left, noise):
    """Of images `[mode, y, x]` without noise of which so much is left in the first images, with such noise: the median over what stands out of it."""
    amounts = modes.abs()
    tissue = amounts[0] * left[0] > TISSUE_SDS * noise[0]
    tissue = tissue if tissue.any() else torch.ones_like(tissue)
    return ((left * amounts[:, tissue].median(1).values).square() + noise**2).sqrt()


def turned(x):
    """`[batch, mode, y, x]` as `[batch, x, mode, y]`, or back by [`turned_back`]: the transform runs along the last axis."""
    return x.permute(0, 3, 1, 2).contiguous()


def turned_back(x):
    return x.permute(0, 2, 3, 1).contiguous()


class Scan:
    """Windows of one series: samples, what they are made by, and what is true of them.

    All tensors have the batch first; k-space is in the order of the transform. Columns are independent of each other, since a readout is
    sampled whole: a window of them is reconstructed exactly as in the whole image.
    """

    def __init__(self, case, snr, accelerations, columns, width, random, map_error=None):
        frames, wall, lesion, near, slope, *_ = case
        n_frames, n_y, n_x = frames.shape
        number = lambda most: int(torch.randint(most, (1,), generator=random))
        maps, brightness = known_coils(n_y, n_x, number(N_ARRAYS))
        if number(2):
            maps, brightness = maps.flip(2), brightness.flip(1)
        # Scanners even it out, more or less.
        brightness = brightness ** float(torch.rand(1, generator=random))
        frames = frames * torch.polar(brightness, smooth(n_y, n_x, random, 1.0))
        n_calibration = 2 * (8 + number(7))
        self.modes, energies = modes_of(frames, n_calibration)
        n_modes = len(self.modes)
        self.noise_sd = float(frames.abs().amax(0)[wall > 0].median()) / snr
        of_modes = images_of(self.modes, frames)
        window = lambda image: torch.stack([image[..., first : first + width] for first in columns])
        self.truth, self.wall, self.lesion = window(of_modes), window(wall), window(lesion)
        self.near = window(near)
        # Along the phase of the signal, as a fit sees it; what a change of each mode does to the time: `[batch, mode, y, x]`.
        brightest = frames.abs().amax((1, 2)).argmax()
        self.phase = window(torch.sgn(frames[brightest] + 1e-20))[:, None]
        self.slope = torch.einsum("kf,bfyx->bkyx", self.modes, window(slope / brightness))
        sampled = torch.stack([lines(n_frames, n_y, r, n_calibration, random) for r in accelerations])
        self.sampled = torch.fft.ifftshift(sampled, dim=2)
        self.share = sampled.mean((1, 2))
        self.coupling = torch.einsum("kf,bfy,lf->bkly", self.modes, self.sampled, self.modes)
        self.maps = turned(window(maps))
        self.conjugate = self.maps.conj().resolve_conj()
        seen = maps
        if map_error is None:
            map_error = MOST_MAP_ERROR * float(torch.rand(1, generator=random))
        if map_error > 0:
            wrong = lambda: smooth(n_y, n_x, random, map_error)
            seen = maps + torch.stack([torch.complex(wrong(), wrong()) for _ in range(len(maps))])
        seen, images = turned(window(seen)), turned(window(frames))
        spectra = torch.zeros(len(columns), width, N_VIRTUAL, n_modes, n_y, dtype=torch.complex64)
        self.energy = torch.zeros(len(columns))
        for frame in range(n_frames):
            samples = torch.fft.fft(seen * images[:, :, frame, None], norm="ortho")
            noise = torch.view_as_complex(torch.randn(*samples.shape, 2, generator=random))
            samples = (samples + self.noise_sd * noise) * self.sampled[:, frame, None, None]
            self.energy += samples.abs().square().sum((1, 2, 3))
            for mode in range(n_modes):
                spectra[:, :, :, mode] += self.modes[mode, frame] * samples
        self.right = (torch.fft.ifft(spectra, norm="ortho") * self.conjugate[:, :, :, None]).sum(2)
        self.n_samples = self.sampled.sum((1, 2)) * N_VIRTUAL * width
        # Noise of a pixel of a mode, as if noise spread evenly, also after damping; sizes of the modes.
        self.sd = self.noise_sd * (2 / self.share).sqrt()
        self.damping = damping_of(energies, self.noise_sd)
        left = left_of(self.damping, self.share[:, None])
        self.noise = self.sd[:, None] * left
        self.size = torch.stack([sizes_of(of_modes, *both) for both in zip(left, self.noise)])

    def normal(self, x):
        """AᴴA of the images of the modes, `[batch, x, mode, y]`."""
        spectrum = torch.fft.fft(self.maps[:, :, :, None] * x[:, :, None], norm="ortho")
        mixed = torch.empty_like(spectrum)
        for k in range(x.shape[2]):
            total = spectrum[:, :, :, 0] * self.coupling[:, None, None, k, 0]
            for l in range(1, x.shape[2]):
                total += spectrum[:, :, :, l] * self.coupling[:, None, None, k, l]
            mixed[:, :, :, k] = total
        return (torch.fft.ifft(mixed, norm="ortho") * self.conjugate[:, :, :, None]).sum(2)

    def misfit(self, x):
        """Distance of images `[batch, mode, y, x]` from the samples over that of noise alone, of each window."""
        x = turned(x)
        inner = lambda a, b: (a.conj() * b).real.sum((1, 2, 3))
        squares = inner(x, self.normal(x)) - 2 * inner(x, self.right) + self.energy
        return (squares.clamp(min=0) / (2 * self.noise_sd**2 * self.n_samples)).sqrt()


def conjugate_gradients(normal, shift, right, start, n):
    """Solves (AᴴA + shift) x = right, `[batch, x, mode, y]`; the shift is of each mode, `[batch or 1, 1, mode, 1]`."""
    inner = lambda a, b: (torch.view_as_real(a) * torch.view_as_real(b)).sum((1, 2, 3, 4)).view(-1, 1, 1, 1)
    x = start
    rest = right - normal(x) - shift * x
    way, squares = rest, inner(rest, rest)
    for _ in range(n):
        ahead = normal(way) + shift * way
        length = squares / inner(way, ahead).clamp(min=1e-30)
        x = x + length * way
        rest = rest - length * ahead
        new = inner(rest, rest)
        way = rest + new / squares.clamp(min=1e-30) * way
        squares = new
    return x


def damped(scan, right, n):
    """The solution of (AᴴA + damping) x = right, `[batch, mode, y, x]`."""
    with torch.no_grad():
        return turned_back(conjugate_gradients(scan.normal, scan.damping.view(1, 1, -1, 1), right, torch.zeros_like(right), n))


def noise_field(scan, n):
    """The noise of the first images of a scan with exact coil maps over what it is taken for, `[mode, y, x]`."""
    noise = scan.right - scan.normal(turned(scan.truth))
    return damped(scan, noise, n)[0] / scan.noise[0, :, None, None]


def agreement(denoised, trust, scan, n):
    """The solution of (AᴴA + damping + trust) x = Aᴴy + (damping + trust) · denoised."""
    shift, denoised = trust.view(-1, 1, 1, 1) + scan.damping.view(1, 1, -1, 1), turned(denoised)
    return turned_back(conjugate_gradients(scan.normal, shift, scan.right + shift * denoised, denoised, n))
