"""Microseconds an update of each engine, one thread, in turn in one run: python experiments/bench.py.

The data are made up, since no time depends on them. A ratio of medians is what may be quoted; absolute times are those
of the machine named above them.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before anything starts threads

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from paper_lenet.config import Config, DistortConfig, EngineConfig, OptimConfig
from paper_lenet.data import Data, subset
from paper_lenet.engines import Train, fused, records, reference
from paper_lenet.records import RunWriter, environment
from paper_lenet.tables import splice

ROUNDS = 7
UPDATES = {"reference": 500, "fused": 20_000}


def made_up(patterns: int, held_out: int = 1) -> Data:
    """Random strokes in place of digits; the first of them are also the held-out images."""
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (patterns, 28, 28), dtype=np.uint8) * (draw.random((patterns, 28, 28)) < 0.2)
    labels = draw.integers(0, 10, patterns)
    return Data("made-up", "test", images, labels, images[:held_out], labels[:held_out])


def timed(train: Train, data: Data, precision: str, variants: int = 0) -> Callable[[], float]:
    """A function that trains one pass and gives its microseconds an update, the curvature included in its share.

    variants: distorted copies of each image.
    A pass of 60,000 has one estimate of the curvature from 500 patterns; so does each of ours in proportion.
    """
    patterns = len(data.train_labels)
    samples = max(1, round(patterns * 500 / 60_000))
    config = Config(
        distort=DistortConfig(variants=variants),
        optim=OptimConfig(passes=1, hessian_samples=samples),
        engine=EngineConfig(precision=precision),
    )

    def once() -> float:
        (record,) = records(train(config, data, 0, None))
        return 1e6 * record.seconds / patterns

    return once


def keeping() -> tuple[float, float]:
    """Of each pass of 60,000 updates the milliseconds that its records and checkpoint take, and their percentage."""
    data = made_up(60_000, 10_000)
    with tempfile.TemporaryDirectory(dir=".") as folder:
        config = Config(output=folder, optim=OptimConfig(passes=ROUNDS))
        milliseconds, shares = [], []
        with RunWriter(config, 0, data) as writer:
            writer.begin()
            for point in fused.train(config, data, 0):
                if point.record is not None:
                    began = time.perf_counter()
                    writer.add(point.record)
                    writer.checkpoint(point)
                    took = time.perf_counter() - began
                    milliseconds.append(1e3 * took)
                    shares.append(100 * took / (point.record.seconds + took))
    return statistics.median(milliseconds), statistics.median(shares)


def main() -> int:
    parser = argparse.ArgumentParser(description="Time the engines in turn.")
    parser.add_argument("--record", action="store_true", help="write what it prints into README.md, too")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = made_up(max(UPDATES.values()))
    parts = {name: subset(data, updates, 0) for name, updates in UPDATES.items()}
    engines = {
        "reference, float32": timed(reference.train, parts["reference"], "float32"),
        "fused, float32": timed(fused.train, parts["fused"], "float32"),
        "fused, float32, distorted": timed(fused.train, parts["fused"], "float32", 9),
        "fused, float64": timed(fused.train, parts["fused"], "float64"),
    }
    for once in engines.values():
        once()  # compiles, and warms the caches
    times: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(ROUNDS):
        for name, once in engines.items():
            times[name].append(once())

    here = environment()
    base = times["reference, float32"]
    lines = [f"{here['cpu']}, one thread; torch {here['torch']}, numba {here['numba']}; {ROUNDS} rounds in turn"]
    for name, values in times.items():
        ratio = statistics.median(b / v for b, v in zip(base, values, strict=True))
        lines.append(
            f"{name:25s} {statistics.median(values):8.1f} µs an update ({min(values):.1f} to {max(values):.1f}), "
            f"{ratio:.1f} times as fast as the reference"
        )
    pairs = zip(times["fused, float32, distorted"], times["fused, float32"], strict=True)
    lines.append(f"distorting on the fly adds {100 * (statistics.median(a / b for a, b in pairs) - 1):.1f} %")
    took, share = keeping()
    lines.append(f"records and checkpoint take {took:.1f} ms a pass, {share:.2f} % of a run of 60,000 updates a pass")
    text = "\n".join(lines)
    print(text)
    if arguments.record:
        splice(Path("README.md"), "bench", f"```\n{text}\n```")
    return 0


if __name__ == "__main__":
    sys.exit(main())
