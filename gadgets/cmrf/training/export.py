"""Packs the trained network: ONNX file, golden arrays, manifest with what was measured."""

from package import figures, head, pack


def write(model, example, found, step, minutes, options):
    rows = []
    for name, snr, figures_of, n in found:
        group = f"{name}, " + ("no noise" if snr == float("inf") else f"SNR {snr:g}") + f", {n} courses"
        for key, words in WORDS.items():
            for quantity, value in zip(("T1", "T2"), figures_of[key]):
                rows.append((f"{quantity}: {words}", value, group))
    names = (["windows", "between_s", "conditions"], ["estimates"])
    free = {name: {0: "n"} for name in (*names[0], *names[1])}
    pack(
        "fingerprint_t1_t2", model, example, names, free, options.output,
        MANIFEST.replace("{figures}", figures(rows)).replace("{minutes}", f"{minutes:.1f}")
        .replace("{steps}", str(step)).replace("{cases}", str(options.cases)),
    )


WORDS = {"nrmse": "root mean square error, %", "bias": "bias, %", "coverage": "truth within one standard deviation, %"}

MANIFEST = head(
    "fingerprint_t1_t2",
    "T1 and T2 of the voxels of a cardiac fingerprint of fifteen beats, for any rhythm. Trained on simulated signals only: "
    "not for diagnosis.",
    "gadgets/cmrf/training/fingerprint_t1_t2.py",
    "signals",
    "match with the dictionary of the rhythm",
    time_ms=5000,
    max_batch=1,
    tolerance="1e-3",
) + """\
[[input]]
name = "windows"
role = "features"
axes = ["batch", "channel"]
shape = ["n", 45]

[[input]]
name = "between_s"
role = "features"
axes = ["batch", "channel"]
shape = ["n", 14]
unit = "s"

[[input]]
name = "conditions"
role = "features"
axes = ["batch", "channel"]
shape = ["n", 2]

[[output]]
name = "estimates"
kind = "score"
axes = ["batch", "channel"]
shape = ["n", 4]
quantity = "logarithms of T1 and T2 in ms, and of their relative standard deviations"
is_sent = false

[card]
trained_on = "{cases} simulated signals, 128 to a rhythm, whose eight modes hold them (boreside simulate dataset cmrf: 40 to 120 beats \
per minute, variability up to 15 %, early beats, missed R waves), with noise from none to a tenth of the signal; {steps} steps in {minutes} minutes"
training_command = "python fingerprint_t1_t2.py --boreside boreside --data DATA --minutes {minutes}"
limits = [
    "One pulse table: fifteen beats of 47 echoes, 5.1 ms apart, T2 preparations of 30, 50 and 100 ms. Others go to the dictionary.",
    "Mixtures of two tissues in a voxel, flow, motion and transmit fields other than 1 were not seen.",
    "T1 from 100 to 3000 ms and T2 from 5 to 500 ms.",
]
{figures}"""
