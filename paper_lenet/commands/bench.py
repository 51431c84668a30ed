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

from paper_lenet import paper
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
    WindowsConfig,
)
from paper_lenet.data import Data, levels, subset
from paper_lenet.engines import Checkpoint, batched, fused, records, reference
from paper_lenet.files import write_atomic
from paper_lenet.learning.patterns import Patterns
from paper_lenet.network.lenet5 import LeNet5, build
from paper_lenet.network.paper_net import PaperNet
from paper_lenet.reporting.tables.build import splice
from paper_lenet.runs.environment import environment
from paper_lenet.runs.records import RunWriter
from paper_lenet.strings.characters import CharacterModel
from paper_lenet.strings.digits import LEVELS, STEP, draw
from paper_lenet.strings.graphs import compose, e_dforw
from paper_lenet.strings.reading import pieces_of, transducer
from paper_lenet.strings.sdnn import output_graph, penalties
from paper_lenet.strings.training import losses

ROUNDS = 7
# Of a string of four digits, and how many are timed at once.
POSITIONS, STRINGS = 20, 20
UPDATES = {"reference": 500, "fused": 20_000, "batched": 200, "tutorial": 3200, "batched, modern": 9600}


def made_up(patterns: int, held_out: int = 1) -> Data:
    """Random strokes in place of digits; the first of them are also the held-out images."""
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (patterns, 28, 28), dtype=np.uint8) * (draw.random((patterns, 28, 28)) < 0.2)
    labels = draw.integers(0, 10, patterns)
    return Data("made-up", "test", images, labels, images[:held_out], labels[:held_out])


def timed(
    module: ModuleType, data: Data, precision: str, variants: int = 0, windows: bool = False
) -> Callable[[], float]:
    """A function that trains one pass and gives its microseconds an update, the curvature included in its share.

    variants: distorted copies of each image.  windows: whether they are windows of three characters.
    A pass of 60,000 has one estimate of the curvature from 500 patterns; so does each of ours in proportion.
    """
    config = Config(
        distort=DistortConfig(variants=variants),
        model=ModelConfig(blank=windows),
        windows=WindowsConfig(variants=int(windows)),
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


def reading(kind: str) -> Callable[[], float]:
    """A function that gives the microseconds in which a string of four digits is read, but for Viterbi's path.

    kind: `SDNN`, or windows that are moved over it, in `PyTorch` or compiled.
    """
    config = Config(model=ModelConfig(blank=True), windows=WindowsConfig(variants=1))
    net = build(config.model, 0)
    assert isinstance(net, PaperNet)
    random = np.random.default_rng(0)
    strip = random.integers(0, 256, (paper.INPUT_SIZE, paper.INPUT_SIZE + STEP * (POSITIONS - 1)), dtype=np.uint8)
    windows = np.stack([strip[:, STEP * t : STEP * t + paper.INPUT_SIZE] for t in range(POSITIONS)])
    patterns = Patterns(windows, np.zeros(POSITIONS, np.int64), np.zeros((0, 6)))
    compiled, everything = fused.FusedNet(net, config), np.arange(POSITIONS)
    wide, apart = (torch.from_numpy(levels(np.float32)[part]) for part in (strip[None, None], windows[:, None]))
    ways: dict[str, Callable[[], object]] = {
        "SDNN": lambda: penalties(net, wide),
        "PyTorch": lambda: net(apart),
        "compiled": lambda: compiled.outputs(patterns, everything),
    }

    def once() -> float:
        with torch.no_grad():
            began = time.perf_counter()
            for _ in range(STRINGS):
                ways[kind]()
        return 1e6 * (time.perf_counter() - began) / STRINGS

    return once


def learning(plain: bool) -> Callable[[], float]:
    """A function that gives the microseconds a string of an update by E_dforw, its graphs in the plain form or not."""
    data = made_up(100)
    strings = draw(data.train_images, data.train_labels, LEVELS["touching"], 2 if plain else STRINGS, 0)
    net, model = LeNet5(blank=True), CharacterModel()
    chosen = np.arange(len(strings))

    def once() -> float:
        began = time.perf_counter()
        of, pieces = pieces_of(net, strings, chosen, model)
        if plain:
            parts = torch.tensor_split(of, torch.from_numpy(pieces.first[1:-1]))
            found = [
                e_dforw(compose(output_graph(part), model.transducer()), labels)
                for part, labels in zip(parts, strings.labels, strict=True)
            ]
            loss = torch.stack(found)
        else:
            loss = losses("E_dforw", of, pieces, transducer(model), strings.labels)
        torch.autograd.backward(loss.sum())
        return 1e6 * (time.perf_counter() - began) / len(strings)

    return once


def wide_multiply_adds(positions: int) -> int:
    """Of LeNet-5 over a picture with so many positions: a layer's share grows with its columns."""
    net = LeNet5(blank=True)
    high, wide = paper.INPUT_SIZE, paper.INPUT_SIZE + STEP * (positions - 1)
    states = net.features(torch.zeros(1, 1, high, wide))
    at = {name: states[name][0, 0].numel() for name in ("c1", "s2", "c3", "s4")}
    layers = net.c1.weight.numel() * at["c1"] + net.c3.weight.numel() * at["c3"]
    pooling = len(net.s2.bias) * at["s2"] + len(net.s4.bias) * at["s4"]
    assert net.f6 is not None
    dense = net.c5.weight.numel() + net.f6.weight.numel() + net.output.centres.numel()
    return layers + pooling + positions * dense


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
    # Of each group what is timed, and what the others are compared with: the first, and its name.
    groups = {
        "an update": ("reference", {
            "reference, float32": timed(reference, parts["reference"], "float32"),
            "fused, float32": timed(fused, parts["fused"], "float32"),
            "fused, float32, distorted": timed(fused, parts["fused"], "float32", 9),
            "fused, float32, windows": timed(fused, parts["fused"], "float32", windows=True),
            "fused, float64": timed(fused, parts["fused"], "float64"),
            "batched, 16 networks": lambda: sixteen(parts["batched"]),
        }),
        "an image": ("usual loop", {
            "today's network, usual loop": tutorial(parts["tutorial"]),
            "today's network, fused": modern(fused, parts["fused"]),
            "today's network, batched": modern(batched, parts["batched, modern"]),
        }),
        "a string read": ("windows one by one", {
            "windows, PyTorch": reading("PyTorch"),
            "windows, fused": reading("compiled"),
            "SDNN, PyTorch": reading("SDNN"),
        }),
        "a string learned": ("plain form", {
            "graphs, plain form": learning(True),
            "graphs, compiled": learning(False),
        }),
    }  # fmt: skip
    if torch.cuda.is_available():
        groups["an update"][1]["16 networks on the GPU"] = lambda: sixteen(parts["batched, modern"], "cuda")
        groups["an image"][1]["today's network, on the GPU"] = modern(batched, parts["batched, modern"], "cuda")
    here = environment()
    device = f"{here['cpu']}, one thread" + (f", and {here['gpu']}" if here["gpu"] else "")
    lines = [f"{device}; torch {here['torch']}, numba {here['numba']}; {ROUNDS} rounds in turn"]
    for unit, (first, ways) in groups.items():
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
                f"{name:27s} {statistics.median(values):7.1f} µs {unit} ({min(values):.1f} to {max(values):.1f}), "
                f"{ratio:.1f} times as fast as the {first}"
            )
        if unit == "an update":
            for name, way in (("distorted", "distorting"), ("windows", "making windows")):
                pairs = zip(times[f"fused, float32, {name}"], times["fused, float32"], strict=True)
                lines.append(f"{way} on the fly adds {100 * (statistics.median(a / b for a, b in pairs) - 1):.1f} %")
    one, all_ = (LeNet5(blank=True).multiply_adds(), wide_multiply_adds(POSITIONS))
    lines.append(
        f"an SDNN needs {all_ / one:.1f} times the multiply-adds of one window, {POSITIONS} windows {POSITIONS}"
    )
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
