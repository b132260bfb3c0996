"""Compares `diffusion_denoising` with DIPY's Patch2Self and MP-PCA on the hearts that training tests with.

    python compare_patch2self.py --boreside boreside --data DATA

Python as for training, with `dipy` and `scikit-learn`. Each method gets all images of all averages, as in the chain; what
comes out is averaged and fitted, and compared with the fit to images without noise.
"""

import argparse
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from dipy.denoise.localpca import mppca
from dipy.denoise.patch2self import patch2self
from hearts import TEST, Hearts
from measure import Case, by_network, summary

SHOWN = ["FA bias", "MD bias %", "HA error", "e2 error", "SSIM", "lesion contrast"]


def magnitudes(clean, sd, n_averages):
    """Magnitudes of each average: `[average, image, y, x]`."""
    shape = (n_averages, *clean.shape)
    return torch.hypot(clean + sd * torch.randn(shape), sd * torch.randn(shape))


def by_dipy(images, denoise):
    """A denoiser of DIPY's on a slice. images: `[average, image, y, x]`; returns the same."""
    volumes = images.flatten(0, 1).permute(1, 2, 0)[:, :, None].double().numpy()
    return torch.from_numpy(np.ascontiguousarray(denoise(volumes)[:, :, 0])).permute(2, 0, 1).reshape(images.shape).float()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boreside", default="boreside")
    parser.add_argument("--data", required=True, help="folder of the hearts; they are made where it lacks them")
    parser.add_argument("--model", default=str(Path(__file__).resolve().parents[1] / "models" / "diffusion_denoising.onnx"))
    parser.add_argument("--snr", type=float, default=10)
    parser.add_argument("--averages", type=int, default=4)
    parser.add_argument("--cases", type=int, default=40)
    options = parser.parse_args()
    hearts = Hearts(options.boreside, options.data, *TEST[0])
    session = onnxruntime.InferenceSession(options.model)
    network = lambda values, noise: torch.from_numpy(session.run(None, {"values": values.numpy(), "noise": noise.numpy()})[0])
    b_values = np.tile(1e3 * hearts.b.numpy(), options.averages)
    dipy = {
        # Negative values are clipped: shifting all of them, DIPY's default, would change diffusivities.
        "Patch2Self": lambda data: patch2self(data, b_values, shift_intensity=False, clip_negative_vals=True),
        "MP-PCA": lambda data: mppca(data, patch_radius=np.array([2, 2, 0]), suppress_warning=True),
    }
    torch.manual_seed(7)
    found = {name: [] for name in ("plain, twice the averages", "plain", *dipy, "network")}
    for number in range(options.cases):
        case = Case(hearts, number)
        sd = case.signal / options.snr
        twice = magnitudes(hearts.images[number], sd, 2 * options.averages)
        images = twice[: options.averages]
        # Of the whole slice: the more pixels the methods see the better for them.
        whole = {"plain, twice the averages": twice, "plain": images}
        whole |= {name: by_dipy(images, denoise) for name, denoise in dipy.items()}
        for name, denoised in whole.items():
            mean = denoised.mean(0)[:, case.part[0], case.part[1]]
            found[name].append(case.errors(case.fit(mean), mean))
        mean = images.mean(0)[None, :, case.part[0], case.part[1]]
        noise = torch.full_like(mean[:, :1], sd)
        found["network"].append(case.errors(*by_network(network, case, hearts.design, mean, noise, options.averages)))
    print(f"SNR {options.snr:g}, {options.averages} averages, {options.cases} hearts")
    for name, figures in summary(found).items():
        print(f"{name:26s}" + "  ".join(f"{key} {figures[key]:.3f}" for key in SHOWN))


if __name__ == "__main__":
    main()
