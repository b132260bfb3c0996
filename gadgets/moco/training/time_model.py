"""Time of the model in ONNX Runtime: python time_model.py [--frames 11] [--threads 2]"""

import argparse
import time
from pathlib import Path

import numpy as np
import onnxruntime

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", default=Path(__file__).parent.parent / "models" / "motion_of_series.onnx")
parser.add_argument("--frames", type=int, default=11)
parser.add_argument("--size", type=int, nargs=2, default=(160, 192), help="y x")
parser.add_argument("--threads", type=int, default=2)
options = parser.parse_args()

settings = onnxruntime.SessionOptions()
settings.intra_op_num_threads = options.threads
session = onnxruntime.InferenceSession(options.model, settings, providers=["CPUExecutionProvider"])
random = np.random.default_rng(0)
frames = random.random((options.frames, 1, *options.size), np.float32)
inputs = {"frames": frames, "reference": frames[-1:], "times_ms": np.linspace(100, 4000, options.frames, dtype=np.float32)}
wall, cpu = [], []
for _ in range(25):
    start, start_cpu = time.perf_counter(), time.process_time()
    session.run(None, inputs)
    wall.append(time.perf_counter() - start)
    cpu.append(time.process_time() - start_cpu)
print(
    f"{options.frames} frames of {options.size[1]} x {options.size[0]}, {options.threads} threads: "
    f"least {1000 * min(wall):.0f} ms, median {1000 * np.median(wall):.0f} ms; processor time {1000 * min(cpu):.0f} ms"
)
