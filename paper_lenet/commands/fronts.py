"""What the front of 1998 knows: paper-lenet fronts [--runs outputs/NAME/FINGERPRINT ...] [--seeds N] [--publish].

paper-lenet fronts --release writes the network of the first seed by 1998's recipe -> paper_lenet/weights/front-1998.*

Frozen fronts (C1 to S4) get new upper layers (recovery/fronts.py) and are tested on MNIST: the front recovered from
Fig. 13; as controls the fronts of finished runs of LeNet-5, and initial weights, one for each seed. Each of METHODS is
tried with training images of each of IMAGES. -> fronts.csv and its table; rows that are there are not made again.
"""

from __future__ import annotations

import argparse
import functools
import os
from collections.abc import Iterator
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from paper_lenet.commands.composition import compose
from paper_lenet.commands.places import PUBLISHED, add_place, place_of
from paper_lenet.config import NOT_METHOD, Config, ConfigError, DataConfig
from paper_lenet.data import load, values_of
from paper_lenet.errors import PaperLenetError
from paper_lenet.files import (
    Tensors,
    add_rows,
    held,
    json_text,
    read_rows,
    read_tensors,
    sealed,
    sha256,
    tensor_bytes,
    write_atomic,
)
from paper_lenet.network.lenet5 import build
from paper_lenet.network.pretrained import DIGESTS, FRONT, VALUES, WEIGHTS, digests, load_pretrained
from paper_lenet.recovery import recovered
from paper_lenet.recovery.fronts import of_1998, of_today
from paper_lenet.reporting import statistics
from paper_lenet.reporting.tables.build import build as build_tables
from paper_lenet.reporting.tables.build import write
from paper_lenet.reporting.tables.common import percent
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
METHOD_OF_1998 = METHODS[1]
# Errors by which another processor may end.
NEAR = 15
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
    parser.add_argument("--release", action="store_true", help="write the network on the front of 1998, and its card")
    add_place(parser)
    arguments = parser.parse_args()
    if arguments.release:
        print("wrote " + ", ".join(map(str, release(PUBLISHED / "fronts.csv"))))
        return 0
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
    config = composed(EXPERIMENT, *OVERRIDES[task.images])
    data = load(config.data)
    if task.method == "today's":
        return of_today(task.tensors, config, data, task.seed)
    return of_1998(task.tensors, config, data, task.seed).test_errors


def release(rows: Path) -> list[Path]:
    """Write FRONT.safetensors, its card and digests.json; rows: the file that has the error of each head.

    Raises PaperLenetError where the code has changes that are not committed, and where the network does not end as the
    row of its seed says, but for what rounding changes.
    """
    here = origin()
    task = Task(RECOVERED, METHOD_OF_1998, IMAGES[0], 0, recovered.load())
    of_all = {
        int(row["seed"]): row
        for row in read_rows(rows, COLUMNS, {"seed": int})
        if (row["front"], row["method"], row["images"]) == (task.front, task.method, task.images)
    }
    if here["dirty"] or task.seed not in of_all:
        why = "the code has uncommitted changes" if here["dirty"] else f"{rows} lacks it"
        raise PaperLenetError(f"{FRONT}: cannot be released: {why}")
    recorded = int(of_all[task.seed]["test_errors"])
    config = composed(EXPERIMENT)
    ended = of_1998(task.tensors, config, load(config.data), task.seed)
    if abs(ended.test_errors - recorded) > NEAR:
        raise PaperLenetError(f"{FRONT}: {ended.test_errors} errors, {recorded} in {rows}")
    about = {
        **{"name": FRONT, "fingerprint": config.fingerprint(), "seed": task.seed, "commit": here["commit"]},
        **{"model": asdict(config.model), "input": config.data.input},
    }
    values = values_of(config.data.input, None)[0].astype(np.float32)
    content = tensor_bytes(about, {**ended.state, VALUES: values})
    errors = [float(row["test_error_percent"]) for row in of_all.values()]
    paths = [WEIGHTS / f"{FRONT}.safetensors", WEIGHTS / f"{FRONT}.md", WEIGHTS / DIGESTS]
    card = CARD.format(
        name=FRONT, seed=task.seed, wrong=ended.test_errors, size=len(ended.predictions), n=len(errors), **here,
        mean=percent(statistics.mean(errors)), std=percent(statistics.std(errors)), bytes=len(content),
        sha256=sha256(content),
    )  # fmt: skip
    with held(WEIGHTS):
        write_atomic(paths[0], content)
        write_atomic(paths[1], card)
        write_atomic(paths[2], json_text(sealed(dict(sorted({**digests(WEIGHTS), FRONT: sha256(content)}.items())))))
    load_pretrained(FRONT)
    return paths


CARD = """\
# {name}

Written by `experiments/fronts.py --release`. C1, S2, C3 and S4 are those of a network of 1998: they are recovered from
the states that Fig. 13 prints (docs/1998.md). C5 and F6 were trained on them here, by the recipe of the paper; the
outputs are the bitmaps of Fig. 3.

| | |
| --- | --- |
| network | LeNet-5, 60,000 parameters, 1,716 of them recovered |
| trained on | MNIST's training images, C5 and F6 only |
| seed | {seed}, the first; not picked by its result |
| test error of this seed | {wrong} of {size:,} images |
| test error of all seeds | {mean} ± {std} %, mean ± std of {n} heads (results/fronts.csv) |
| code | commit {commit} |
| made with | torch {torch}, numba {numba}; {cpu}, {date:.10} |
| file | {bytes:,} bytes, SHA-256 {sha256} |

```python
import paper_lenet

output = paper_lenet.load_pretrained("{name}")(images)
```

In: bytes (N, 28, 28), torch.uint8, 0 for the background and 255 for full ink, a digit in MNIST's size and place. Out:
ten penalties (Eq. 7), of which the smallest wins.

## Limits

- One digit an image; letters and blots are read as digits. It is for study: not for documents, cheques or anything else
  whose misreading would do harm.

The file is under the MIT licence, as the code. No image is in it. Please cite the article and this software
(CITATION.cff).
"""


@functools.cache
def composed(*overrides: str) -> Config:
    """The configuration of these overrides, which takes a quarter of a second once. Raises ConfigError."""
    return compose(list(overrides))


def fronts(runs: list[Path], seeds: int) -> Iterator[tuple[str, int, Tensors]]:
    """What a front is called, the seed of the upper layers, and its parameters. Raises PaperLenetError."""
    usual = composed(EXPERIMENT)
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
        others = flat(composed(*overrides).to_dict())
        changed = [key for key in fields if key not in NOT_TOLD and fields[key] != others[key]]
        names.append([name, *(f"{key}={fields[key]}" for key in changed)])
    shortest = min(names, key=len)
    return ", ".join(shortest)
