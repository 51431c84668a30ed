"""Strings of digits, read by networks that learned windows: paper-lenet strings NAME [--publish].

Space displacement networks (Section VII): those of all runs in outputs/NAME, and as many with the front of 1998, whose
upper layers learn windows as the runs did. The character model is the one of MODELS that reads strings of hold-out
images best; then the test strings of each level and the five strings of Figs. 25 and 26 are read. -> strings.csv,
strings-printed.csv and their tables; rows that are there are not made again.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from paper_lenet.commands.places import add_place, place_of
from paper_lenet.config import Config, ConfigError
from paper_lenet.data import load
from paper_lenet.errors import PaperLenetError
from paper_lenet.files import add_rows, read_rows, read_tensors, tensor_bytes, write_atomic
from paper_lenet.network.lenet5 import LeNet5, build
from paper_lenet.recovery import recovered
from paper_lenet.recovery.codes import pictures
from paper_lenet.recovery.fronts import of_1998
from paper_lenet.reporting.tables.build import build as build_tables
from paper_lenet.reporting.tables.build import write
from paper_lenet.reporting.tables.strings import COLUMNS, FRONT, KEY, PRINTED, PRINTED_COLUMNS, SDNN
from paper_lenet.runs.collect import Run
from paper_lenet.runs.environment import origin
from paper_lenet.runs.workers import cores
from paper_lenet.strings.characters import CharacterModel
from paper_lenet.strings.digits import LEVELS, of_split
from paper_lenet.strings.sdnn import all_penalties, edits, penalties, read

# Positions are four columns apart, so that 3 are a narrow digit's width, and 5 more than a digit's.
MODELS = [CharacterModel(longest, apart) for longest in (2, 3, 4, 5) for apart in (0, 1, 2)]
Row = dict[str, Any]


@dataclass(frozen=True)
class Network:
    """What reads: a run's network, or upper layers on the front of 1998, made where they are not there yet."""

    system: str
    config: Config
    seed: int
    weights: Path

    def load(self) -> LeNet5:
        if not self.weights.exists():
            state = of_1998(recovered.load(), self.config, load(self.config.data), self.seed).state
            write_atomic(self.weights, tensor_bytes({"front": recovered.SOURCE}, state))
        net = build(self.config.model, self.seed)
        assert isinstance(net, LeNet5)  # seen to by `networks`
        net.set_state(read_tensors(self.weights)[1])
        return net.eval()


def main() -> int:
    parser = argparse.ArgumentParser(description="Read strings of digits with networks that learned windows.")
    parser.add_argument("name", help="of runs in outputs/NAME")
    add_place(parser)
    arguments = parser.parse_args()
    place = place_of(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"
    path, printed, here = place.results / "strings.csv", place.results / "strings-printed.csv", origin()
    nets = list(networks(Path("outputs", arguments.name)))
    load(nets[0].config.data)  # here, so that a download is made once
    with ProcessPoolExecutor(cores(), multiprocessing.get_context("spawn")) as pool:

        def each(task: Any, of: Iterable[Any], path: Path, columns: tuple[str, ...], key: tuple[str, ...]) -> None:
            running = {pool.submit(task, *one): one for one in of}
            for done in as_completed(running):
                rows = done.result()
                add_rows(path, columns, key, ({**row, **here} for row in rows))
                print(", ".join(str(rows[0][name]) for name in key[:4]), flush=True)

        jobs = [(net, level, "validation", MODELS) for net in nets for level in LEVELS]
        each(measured, missing(jobs, path), path, COLUMNS, KEY)
        model = chosen(read_rows(path, COLUMNS))
        print(f"the character model that reads strings of hold-out images best: {model}")
        jobs = [(net, level, "test", [model]) for net in nets for level in LEVELS]
        each(measured, missing(jobs, path), path, COLUMNS, KEY)
        each(of_the_paper, [(net, model) for net in nets], printed, PRINTED_COLUMNS, PRINTED)
    files = build_tables(place.results, ["strings", "strings-printed"], place.documents)
    write(files)
    print("wrote " + ", ".join(map(str, [path, printed, *files])))
    return 0


def networks(job: Path) -> Iterator[Network]:
    """The networks of the runs of a job, and as many with the front of 1998. Raises PaperLenetError, ConfigError."""
    folders = sorted(path.parent for path in job.glob("*/seed-*/metrics.json"))
    if not folders:
        raise PaperLenetError(f"{job}: no finished runs here")
    for folder in folders:
        run = Run(folder)
        if run.config.is_modern() or run.config.model.name != "lenet5" or not run.config.windows.variants:
            raise ConfigError(f"{folder}: not a run of LeNet-5 as in 1998 on windows")
        if not run.config.data.validation:
            raise ConfigError(
                f"{folder}: data.validation=0, so that no images are left to choose the character model on"
            )
        yield Network(SDNN, run.config, run.seed, folder / "weights.safetensors")
        yield Network(FRONT, run.config, run.seed, folder / "front-of-1998.safetensors")


Job = tuple[Network, str, str, list[CharacterModel]]


def missing(jobs: Iterable[Job], path: Path) -> Iterator[Job]:
    """The jobs without the rows that are there."""
    there = {tuple(row[name] for name in KEY) for row in read_rows(path, COLUMNS)}
    for net, level, split, models in jobs:
        left = [model for model in models if tuple(map(str, about(net, level, split, model).values())) not in there]
        if left:
            yield net, level, split, left


def about(net: Network, level: str, split: str, model: CharacterModel) -> Row:
    """The cells KEY of a row."""
    how = {"longest": model.longest, "apart": model.apart}
    return {"system": net.system, "level": level, "split": split, "seed": net.seed, **how}


def measured(net: Network, level: str, split: str, models: list[CharacterModel]) -> list[Row]:
    """A row for each character model: how many strings and characters are read wrong."""
    torch.set_num_threads(1)
    held_out = net.config.data
    data = load(held_out if split == "validation" else replace(held_out, validation=0))
    strings = of_split(data.test_images, data.test_labels, level, split)
    found = all_penalties(net.load(), strings)
    rows = []
    for model in models:
        wrong = [
            edits([c for _, c in path], desired)
            for path, desired in zip(read(found, model), strings.labels, strict=True)
        ]
        counts = {"strings": len(wrong), "wrong_strings": sum(map(bool, wrong))}
        counts |= {"characters": sum(map(len, strings.labels)), "wrong_characters": sum(wrong)}
        rows.append({**about(net, level, split, model), **counts})
    return rows


def chosen(rows: Iterable[Mapping[str, str]]) -> CharacterModel:
    """The model with the fewest wrong characters on strings of hold-out images, all levels and runs counted alike."""
    wrong: dict[CharacterModel, int] = defaultdict(int)
    for row in rows:
        if row["split"] == "validation" and row["system"] == SDNN:
            wrong[CharacterModel(int(row["longest"]), int(row["apart"]))] += int(row["wrong_characters"])
    return min(wrong, key=lambda model: wrong[model])


def of_the_paper(net: Network, model: CharacterModel) -> list[Row]:
    """A row for each string of Figs. 25 and 26: what is read, at nine positions and by the character model."""
    torch.set_num_threads(1)
    rows, network = [], net.load()
    for figure, of, picture in pictures():
        with torch.no_grad():
            (found,) = penalties(network, torch.from_numpy(picture)[None, None])
        ((path),) = read([found], model)
        positions = "".join("0123456789_"[c] for c in found.argmin(1))
        rows.append(
            {"system": net.system, "seed": net.seed, "figure": figure, "of": of, "positions": positions,
             "read": "".join(str(c) for _, c in path), "longest": model.longest, "apart": model.apart}
        )  # fmt: skip
    return rows
