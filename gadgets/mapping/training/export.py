"""Packs the trained network: ONNX file, golden arrays, manifest with what was measured."""

from package import figures, head, pack

WORDS = {"bias": "T1: bias, %", "rms": "T1: root mean square error, %", "coverage": "T1: truth within one standard deviation, %"}


def write(model, example, found, minutes, options):
    rows = [(words, of_group[key], group) for group, of_group in found for key, words in WORDS.items()]
    names = (["signals", "times_s", "conditions"], ["estimates"])
    free = {name: {0: "n"} for name in (*names[0], *names[1])}
    pack(
        "t1_from_few_images", model, example, names, free, options.output,
        MANIFEST.replace("{figures}", figures(rows)).replace("{minutes}", f"{minutes:.1f}")
        .replace("{steps}", str(options.steps)).replace("{voxels}", str(options.voxels)),
    )


MANIFEST = head(
    "t1_from_few_images",
    "T1, as a full MOLLI gives it, of four or five images after one inversion, with its standard deviation. Trained on simulated signals only: "
    "not for diagnosis.",
    "gadgets/mapping/training/t1_from_few_images.py",
    "signals",
    "fit of three parameters",
    time_ms=2000,
    max_batch=1,
    tolerance="1e-3",
).replace("on signals of boreside simulate dataset", "on signals of Bloch's equations, gadgets/mapping/training/signals.py") + """\
[[input]]
name = "signals"
role = "features"
axes = ["batch", "channel"]
shape = ["n", 5]

[[input]]
name = "times_s"
role = "features"
axes = ["batch", "channel"]
shape = ["n", 5]
unit = "s"

[[input]]
name = "conditions"
role = "features"
axes = ["batch", "channel"]
shape = ["n", 6]

[[output]]
name = "estimates"
kind = "score"
axes = ["batch", "channel"]
shape = ["n", 2]
quantity = "logarithms of T1 in ms and of its relative standard deviation"
is_sent = false

[card]
trained_on = "{voxels} voxels by Bloch's equations (gadgets/mapping/training/signals.py): T1 120 to 2600 ms, T2 25 to 250 ms, balanced trains of 30 to 130 pulses of 20 to 70 degrees, \
transmit field 0.8 to 1.2, inversion factor 0.9 to 1, intervals 450 to 3200 ms with variability and missed R waves, noise up to 0.3 of the images' root mean square; {steps} steps in {minutes} minutes"
training_command = "python t1_from_few_images.py --steps {steps} --voxels {voxels}"
limits = [
    "One inversion, met in equilibrium, and four or five images after it, the first 80 to 400 ms after it, 450 to 3200 ms apart. Others go to the fit.",
    "It gives the T1 of a noise-free MOLLI 5(3)3 at 60 beats per minute of the same tissue, readout and inversion: 5 to 10 % below the true T1, as MOLLI is.",
    "Off-resonance, magnetisation transfer, slice profiles, motion between images and mixtures of tissues were not seen.",
    "T1 beyond 120 to 2600 ms was not seen, and estimates of noisy pixels are drawn towards the middle of it.",
]
{figures}"""
