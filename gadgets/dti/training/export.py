"""Packs the trained network: ONNX file, golden arrays, manifest with what was measured."""

import torch
from hearts import batch
from measure import evaluate, show
from package import figures, head, pack

WORDS = {
    "FA bias": "mean FA less the true one", "MD bias %": "mean MD over the true one, less 1, %", "HA error": "error of the helix angle, mean, deg",
    "e1 error": "error of e1, mean, deg", "e2 error": "error of e2, mean, deg", "SSIM": "structural similarity of the images in the wall",
    "SSIM around": "structural similarity of the images, of all that lies 32 pixels around the heart's centre",
    "lesion contrast": "contrast of lesions in MD over the true one",
}
RUNS = [(10, 8, "plain"), (10, 4, "plain"), (10, 4, "network"), (10, 1, "network"), (10, 2, "network"), (10, 8, "network")]
RUNS += [(snr, 4, which) for snr in (5, 20, 30) for which in ("plain", "network")]


def write(model, test, kept, options):
    rows, done = [], {}
    for snr, n_averages, which in RUNS:
        if (snr, n_averages) not in done:
            done[snr, n_averages] = evaluate(model, test, snr, n_averages)
        found = done[snr, n_averages][which]
        group = f"SNR {snr}, {n_averages} averages" + (", without the network" if which == "plain" else "")
        show(group, found)
        rows += [(words, found[key], group) for key, words in WORDS.items()]
    torch.manual_seed(3)
    piece = batch(test, 1, 32)
    free = {name: {2: "y", 3: "x"} for name in ("values", "noise", "denoised")}
    pack(
        "diffusion_denoising", model, [piece.values.contiguous(), piece.noise.contiguous()], (["values", "noise"], ["denoised"]), free, options.output,
        MANIFEST.replace("{figures}", figures(rows)).replace("{training}", kept["training"]).replace("{command}", kept["command"]),
    )


MANIFEST = head(
    "diffusion_denoising",
    "Takes noise out of the diffusion tensor of the heart and the signal without weighting, from any number of averages (breath-holds) whose "
    "noise is known. Trained on simulated hearts only: not for diagnosis.",
    "gadgets/dti/training/denoise_diffusion.py",
    "hearts",
    "MP-PCA of the images",
    time_ms=2000,
    max_batch=1,
    tolerance="1e-3",
    version="0.2.0",
) + """\
[[input]]
name = "values"
role = "features"
axes = ["batch", "channel", "y", "x"]
shape = [1, 7, "height", "width"]
multiple_of = 2

[[input]]
name = "noise"
role = "features"
axes = ["batch", "channel", "y", "x"]
shape = [1, 2, "height", "width"]
multiple_of = 2

[[output]]
name = "denoised"
kind = "image"
axes = ["batch", "channel", "y", "x"]
shape = [1, 7, "height", "width"]
quantity = "elements xx, xy, xz, yy, yz, zz of the tensor in µm²/ms, and the signal without weighting over the images' scale"
is_sent = false

[card]
trained_on = "680 simulated hearts at the end of systole (boreside simulate dataset dti: spin echoes, 6, 12 and 20 directions, b 350 to 600 s/mm²), \
noise drawn anew for each step: SNR 4 to 35, 1 to 8 averages of magnitudes, amplified up to twice in places, images shifted by hundredths of a pixel; \
{training}"
training_command = "python denoise_diffusion.py --boreside boreside --data DATA {command}"
limits = [
    "Simulated hearts have walls whose fibres turn smoothly from inside to outside, with lesions: real hearts were not seen.",
    "It gives images that a tensor predicts: what deviates from one (kurtosis, perfusion at low b-values) is gone.",
    "Pixels of about 2.8 mm. b-values or numbers of directions that make the tensor's noise larger than 1.5 µm²/ms were not seen.",
    "It means something in the wall; elsewhere the signal is only kept near to what it was.",
]
{figures}"""
