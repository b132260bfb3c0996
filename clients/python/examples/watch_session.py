"""Watches a server until a session has ended, and prints each map's values.

    python watch_session.py [--address HOST:PORT] [--session N] [--save FOLDER]

Prints a line for each image, with unit, mean and standard deviation of the valid pixels of maps
within the middle of the image, verdict, and how long it took.
"""

import argparse
from pathlib import Path

import numpy as np

from boreside import Client, ImageWithValues, Resumed
from boreside.v1 import images_pb2, sessions_pb2

OVER = (sessions_pb2.SESSION_STATE_ENDED, sessions_pb2.SESSION_STATE_FAILED)


def describe(image: ImageWithValues) -> str:
    facts, values = image.facts, image.values
    height, width = values.shape[-2:]
    middle = np.abs(values[..., height // 4 : -height // 4, width // 4 : -width // 4])
    if facts.zero_is_invalid:
        middle = middle[middle != 0]
    mean, sd = (float(middle.mean()), float(middle.std())) if middle.size else (0.0, 0.0)
    unit = f" {facts.unit}" if facts.unit else ""
    text = f"session {facts.session}: {facts.title}, slice {facts.counters.slice}: "
    text += f"{mean:.1f} ± {sd:.1f}{unit} (n = {middle.size})"
    text += f", {facts.latency.since_last_readout_ms:.0f} ms after the last readout"
    if facts.HasField("verdict"):
        name = images_pb2.Verdict.Decision.Name(facts.verdict.decision)
        text += f", {name.removeprefix('DECISION_').lower()} {facts.verdict.reason}".rstrip()
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--address", default="127.0.0.1:9080")
    parser.add_argument("--session", type=int, default=0, help="only this one [default: the next]")
    parser.add_argument("--save", type=Path, help="folder that maps are saved in, as .npy")
    options = parser.parse_args()
    with Client(options.address) as client:
        print(f"Boreside {client.server().version} at {options.address}", flush=True)
        for happening in client.watch(session=options.session):
            match happening:
                case ImageWithValues(facts, values):
                    print(describe(happening), flush=True)
                    if options.save and facts.kind == images_pb2.IMAGE_KIND_MAP:
                        np.save(options.save / f"{facts.quantity}_{facts.id}.npy", values)
                case Resumed(is_whole):
                    print("connected again" if is_whole else "the server was restarted")
                case sessions_pb2.Session() as session if session.state in OVER:
                    print(f"session {session.id} has ended: {session.end_reason}", flush=True)
                    return


if __name__ == "__main__":
    main()
