"""What the front of 1998 knows: paper-lenet fronts [--runs outputs/NAME/FINGERPRINT ...] [--seeds N] [--publish].

Frozen fronts (C1 to S4) get new upper layers (recovery/fronts.py) and are tested on MNIST: the front recovered from
Fig. 13; as controls the fronts of finished runs of LeNet-5, and initial weights, one for each seed. Each of METHODS is
tried with training images of each of IMAGES. -> fronts.csv and its table; rows that are there are not made again.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path

from paper_lenet.commands.composition import compose
from paper_lenet.commands.places import add_place, place_of
from paper_lenet.config import NOT_METHOD, Config, ConfigError, DataConfig
from paper_lenet.data import load
from paper_lenet.errors import PaperLenetError
from paper_lenet.files import Tensors, add_rows, read_rows, read_tensors
from paper_lenet.network.lenet5 import build
from paper_lenet.recovery import recovered
from paper_lenet.recovery.fronts import of_1998, of_today
from paper_lenet.reporting.tables.build import build as build_tables
from paper_lenet.reporting.tables.build import write
from paper_lenet.reporting.tables.fronts import (
    COLUMNS,
    IMAGES,
    METHODS,
    OURS,
    QUARTER,
    RANDOM,
    RECOVERED,
    WINDOWS,
)
from paper_lenet.runs.collect import Run
from paper_lenet.runs.environment import origin
from paper_lenet.runs.records import flat
from paper_lenet.runs.workers import processes

EXPERIMENT = "experiment=lenet5"
KEY = ("front", "method", "images", "seed")
# How networks of ours are trained whose fronts have a name.
NAMED = {OURS: (EXPERIMENT,), WINDOWS: ("windows=paper",), QUARTER: ("experiment=quarter",)}
# What of a run's configuration says nothing about its front, or is said by another key.
NOT_TOLD = (*NOT_METHOD, "label", "data.test_size", "model.blank")
# What makes the training images; characters whose neighbours are beyond the window are isolated.
OVERRIDES = {
    "plain": [],
    "distorted": ["distort=paper", "distort.strength=0.5"],
    "noisy": ["windows=paper", "windows.gap=[28,28]", "windows.blank=0"],
}


@dataclass(frozen=True)
class Task:
    """Upper layers to train: by which method, of METHODS, on which front and images, of IMAGES, with which seed."""

    front: str
    method: str
    images: str
    seed: int
    tensors: Tensors

    def key(self) -> dict[str, object]:
        return {"front": self.front, "method": self.method, "images": self.images, "seed": self.seed}


def main() -> int:
    parser = argparse.ArgumentParser(description="Train upper layers on frozen fronts, that of 1998 and controls.")
    parser.add_argument("--runs", type=Path, nargs="*", default=[], help="outputs/NAME/FINGERPRINT: fronts of ours")
    parser.add_argument("--seeds", type=int, default=10, help="heads on the front of 1998; random fronts (%(default)s)")
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=METHODS, help="%(default)s")
    parser.add_argument("--images", nargs="*", choices=IMAGES, default=IMAGES, help="%(default)s")
    add_place(parser)
    arguments = parser.parse_args()
    place = place_of(arguments)
    path = place.results / "fronts.csv"
    os.environ["OMP_NUM_THREADS"] = "1"
    size, here = len(load(DataConfig()).test_labels), origin()
    there = [tuple(row[name] for name in KEY) for row in read_rows(path, COLUMNS, {"seed": int})]
    tasks = [
        Task(front, method, images, seed, tensors)
        for method in arguments.methods
        for images in arguments.images
        for front, seed, tensors in fronts(arguments.runs, arguments.seeds)
    ]
    tasks = [task for task in tasks if tuple(map(str, task.key().values())) not in there]
    with processes() as pool:
        running = {pool.submit(wrong, task): task for task in tasks}
        for done in as_completed(running):
            key, errors = running[done].key(), done.result()
            row = {**key, "test_errors": errors, "test_size": size, "test_error_percent": 100 * errors / size, **here}
            add_rows(path, COLUMNS, KEY, [row])
            print(f"{', '.join(map(str, key.values()))}: {100 * errors / size:.2f} %", flush=True)
    files = build_tables(place.results, ["fronts"], place.documents)
    write(files)
    print("wrote " + ", ".join(map(str, [path, *files])))
    return 0


def wrong(task: Task) -> int:
    """How many test images are wrong with the upper layers of a task."""
    config = compose([EXPERIMENT, *OVERRIDES[task.images]])
    data = load(config.data)
    if task.method == "today's":
        return of_today(task.tensors, config, data, task.seed)
    return of_1998(task.tensors, config, data, task.seed).test_errors


def fronts(runs: list[Path], seeds: int) -> Iterator[tuple[str, int, Tensors]]:
    """What a front is called, the seed of the upper layers, and its parameters. Raises PaperLenetError."""
    usual = compose([EXPERIMENT])
    for seed in range(seeds):
        yield RECOVERED, seed, recovered.load()
        yield RANDOM, seed, {name: w.detach().numpy() for name, w in build(usual.model, seed).state().items()}
    for job in runs:
        folders = sorted(job.glob("seed-*"))
        if not folders:
            raise PaperLenetError(f"{job}: no runs here")
        for folder in folders:
            config = Run(folder).config
            yield called(config, folder), config.seeds[0], read_tensors(folder / "weights.safetensors")[1]


def called(config: Config, folder: Path) -> str:
    """What fronts of a configuration are called: by how it differs from the one of NAMED that is nearest.

    Raises ConfigError.
    """
    if config.is_modern() or config.model.name != "lenet5":
        raise ConfigError(f"{folder}: not a run of LeNet-5 as in 1998")
    fields = flat(config.to_dict())
    names: list[list[str]] = []
    for name, overrides in NAMED.items():
        others = flat(compose(list(overrides)).to_dict())
        changed = [key for key in fields if key not in NOT_TOLD and fields[key] != others[key]]
        names.append([name, *(f"{key}={fields[key]}" for key in changed)])
    shortest = min(names, key=len)
    return ", ".join(shortest)
