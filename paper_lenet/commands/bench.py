"""Microseconds an update of each engine, one thread, in turn in one run: paper-lenet bench [--publish].

The data are made up, since no time depends on them. A ratio of medians is what may be quoted; absolute times are those
of the machine named above them. They go to outputs/results/bench.txt, with --publish into docs/speed.md.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before anything starts threads

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from types import ModuleType

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from paper_lenet.commands.places import add_place, place_of
from paper_lenet.config import (
    Config,
    DataConfig,
    DistortConfig,
    EngineConfig,
    InitConfig,
    LossConfig,
    ModelConfig,
    OptimConfig,
)
from paper_lenet.data import Data, subset
from paper_lenet.engines import Checkpoint, batched, fused, records, reference
from paper_lenet.files import write_atomic
from paper_lenet.reporting.tables.build import splice
from paper_lenet.runs.environment import environment
from paper_lenet.runs.records import RunWriter

ROUNDS = 7
UPDATES = {"reference": 500, "fused": 20_000, "batched": 200, "tutorial": 3200, "batched, modern": 9600}


def made_up(patterns: int, held_out: int = 1) -> Data:
    """Random strokes in place of digits; the first of them are also the held-out images."""
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (patterns, 28, 28), dtype=np.uint8) * (draw.random((patterns, 28, 28)) < 0.2)
    labels = draw.integers(0, 10, patterns)
    return Data("made-up", "test", images, labels, images[:held_out], labels[:held_out])


def timed(module: ModuleType, data: Data, precision: str, variants: int = 0) -> Callable[[], float]:
    """A function that trains one pass and gives its microseconds an update, the curvature included in its share.

    variants: distorted copies of each image.
    A pass of 60,000 has one estimate of the curvature from 500 patterns; so does each of ours in proportion.
    """
    config = Config(
        distort=DistortConfig(variants=variants),
        optim=OptimConfig(passes=1, hessian_samples=_samples(data)),
        engine=EngineConfig(precision=precision),
    )

    def once() -> float:
        (record,) = records(module.train(config, data, 0, None))
        return 1e6 * record.seconds / record.train_size

    return once


def _samples(data: Data) -> int:
    return max(1, round(len(data.train_labels) * 500 / 60_000))


def sixteen(data: Data, device: str = "cpu") -> float:
    """Microseconds an update of the batched engine that trains sixteen networks of 1998 together, one pattern each."""
    engine = EngineConfig("batched", device=device)
    config = Config(optim=OptimConfig(passes=1, hessian_samples=_samples(data)), engine=engine)
    last = list(batched.train_many(config, data, range(16), [None] * 16))[-1]
    assert all(isinstance(point, Checkpoint) and point.record is not None for point in last)
    return (
        1e6 * sum(p.record.seconds / p.record.train_size for p in last if isinstance(p, Checkpoint) and p.record) / 16
    )


def modern(module: ModuleType, data: Data, device: str = "cpu") -> Callable[[], float]:
    """A function that trains today's network for a pass, batches of 64, and gives its microseconds an image."""
    config = Config(
        data=DataConfig(input="standard"),
        model=ModelConfig(activation="relu", pooling="max_pool", table="full", output="linear",
                          init=InitConfig(scheme="torch")),
        loss=LossConfig("cross_entropy"),
        optim=OptimConfig(name="adam", passes=1, batch=64, schedule="constant", order="reshuffled"),
        engine=EngineConfig(module.__name__.rpartition(".")[2], device=device),
    )  # fmt: skip

    def once() -> float:
        (record,) = records(module.train(config, data, 0, None))
        return 1e6 * record.seconds / record.train_size

    return once


class TutorialImages(Dataset[tuple[torch.Tensor, int]]):
    """Images one by one, each made a tensor and normalised on its own, as torchvision's data sets do it."""

    def __init__(self, data: Data) -> None:
        self.data = data
        steps = [v2.Pad(2), v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.1307], [0.3081])]
        self.transform = v2.Compose(steps)

    def __len__(self) -> int:
        return len(self.data.train_labels)

    def __getitem__(self, k: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.data.train_images[k])), int(self.data.train_labels[k])


def tutorial(data: Data) -> Callable[[], float]:
    """The usual loop for the same network: a DataLoader, transforms an image at a time, autograd, Adam."""
    loader = DataLoader(TutorialImages(data), 64, shuffle=True)

    def once() -> float:
        net = nn.Sequential(
            nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
        )  # fmt: skip
        optimiser, criterion = torch.optim.Adam(net.parameters(), lr=1e-3), nn.CrossEntropyLoss()
        began = time.perf_counter()
        for images, labels in loader:
            optimiser.zero_grad()
            loss = criterion(net(images), labels)
            loss.backward()
            optimiser.step()
            loss.item()
        return 1e6 * (time.perf_counter() - began) / len(data.train_labels)

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
    add_place(parser)
    place = place_of(parser.parse_args())
    torch.set_num_threads(1)
    data = made_up(max(UPDATES.values()))
    parts = {name: subset(data, updates, 0) for name, updates in UPDATES.items()}
    # Of each group the first is what the others are compared with.
    groups = {
        "update": {
            "reference, float32": timed(reference, parts["reference"], "float32"),
            "fused, float32": timed(fused, parts["fused"], "float32"),
            "fused, float32, distorted": timed(fused, parts["fused"], "float32", 9),
            "fused, float64": timed(fused, parts["fused"], "float64"),
            "batched, 16 networks": lambda: sixteen(parts["batched"]),
        },
        "image": {
            "today's network, usual loop": tutorial(parts["tutorial"]),
            "today's network, fused": modern(fused, parts["fused"]),
            "today's network, batched": modern(batched, parts["batched, modern"]),
        },
    }
    if torch.cuda.is_available():
        groups["update"]["16 networks on the GPU"] = lambda: sixteen(parts["batched, modern"], "cuda")
        groups["image"]["today's network, on the GPU"] = modern(batched, parts["batched, modern"], "cuda")
    here = environment()
    device = f"{here['cpu']}, one thread" + (f", and {here['gpu']}" if here["gpu"] else "")
    lines = [f"{device}; torch {here['torch']}, numba {here['numba']}; {ROUNDS} rounds in turn"]
    for unit, ways in groups.items():
        for once in ways.values():
            once()  # compiles, and warms the caches
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, once in ways.items():
                times[name].append(once())
        base, *_ = times.values()
        for name, values in times.items():
            ratio = statistics.median(b / v for b, v in zip(base, values, strict=True))
            lines.append(
                f"{name:27s} {statistics.median(values):7.1f} µs an {unit} ({min(values):.1f} to {max(values):.1f}), "
                f"{ratio:.1f} times as fast as the {'reference' if unit == 'update' else 'usual loop'}"
            )
        if unit == "update":
            pairs = zip(times["fused, float32, distorted"], times["fused, float32"], strict=True)
            lines.append(f"distorting on the fly adds {100 * (statistics.median(a / b for a, b in pairs) - 1):.1f} %")
    took, share = keeping()
    lines.append(f"records and checkpoint take {took:.1f} ms a pass, {share:.2f} % of a run of 60,000 updates a pass")
    if not torch.cuda.is_available():
        lines.append("no GPU here: nothing of it was measured")
    text = "\n".join(lines)
    print(text)
    if place.documents is not None:
        splice(place.documents / "docs" / "speed.md", "bench", f"```\n{text}\n```")
    else:
        write_atomic(place.results / "bench.txt", text + "\n")
    return 0
