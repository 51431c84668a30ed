"""Strings of digits, read by networks that learned windows: paper-lenet strings NAME [--publish].

Space displacement networks (Section VII): those of the runs in outputs/NAME that learned windows; as many with the
front of 1998, whose upper layers learn windows as the runs did. Runs that learned single digits read the pieces of
heuristic over-segmentation (Section V). The first of either go on learning, from whole strings, by each of the four
losses (Section VI). Chosen on strings of hold-out images: the character model, of MODELS; for each loss one of its own,
and the rate, of SDNN_TRIES and HOS_TRIES. The test strings of each level and the five strings of Figs. 25 and 26 are
read. -> strings.csv, strings-printed.csv and their tables. What is there is not made again.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from paper_lenet import paper
from paper_lenet.commands.places import add_place, place_of
from paper_lenet.config import Config, ConfigError
from paper_lenet.data import load
from paper_lenet.errors import PaperLenetError
from paper_lenet.files import Tensors, add_rows, read_rows, read_tensors, sha256, tensor_bytes, write_atomic
from paper_lenet.network.lenet5 import LeNet5, build
from paper_lenet.paper.bitmaps import WITH_BLANK
from paper_lenet.recovery import recovered
from paper_lenet.recovery.codes import ANSWERS, pictures
from paper_lenet.recovery.fronts import of_1998
from paper_lenet.reporting.tables.build import build as build_tables
from paper_lenet.reporting.tables.build import write
from paper_lenet.reporting.tables.strings import (
    CHARACTERS,
    CODES_LEARN,
    COLUMNS,
    FRONT,
    HOS,
    KEY,
    PRINTED,
    PRINTED_COLUMNS,
    SDNN,
)
from paper_lenet.runs.collect import Run
from paper_lenet.runs.environment import origin
from paper_lenet.runs.workers import cores
from paper_lenet.strings import hos
from paper_lenet.strings.characters import CharacterModel
from paper_lenet.strings.digits import LEVELS, of_split
from paper_lenet.strings.sdnn import all_penalties, edits, penalties, read
from paper_lenet.strings.training import LOSSES, Recipe, train

CENTRES = "output.centres"
# Positions are four columns apart, so that 3 are a narrow digit's width, and 5 a wide one's.
MODELS = [CharacterModel(longest, apart) for longest in (1, 2, 3, 4) for apart in (0, 1, 2, 3)]
RATES = (1e-3, 3e-3, 1e-2)
SDNN_TRIES = [Recipe(loss, CharacterModel(3, apart), rate) for loss in LOSSES for apart in (0, 1, 2) for rate in RATES]
# Noise leaves so many cuts that little is learned of them, slowly.
HOS_TRIES = [
    Recipe(loss, None, rate, passes=2, strings=3000, levels=("easy", "touching", "overlapping"))
    for loss in LOSSES
    for rate in RATES
]
# How many of the runs learn whole strings: to choose a rate, and to be tested.
TO_CHOOSE, TO_TEST = 2, 5
Row = dict[str, Any]
Models = Sequence[CharacterModel | None]  # None: there are no positions to be taken together


@dataclass(frozen=True)
class Network:
    """What reads: a run's network, or upper layers on the front of 1998, or one of these trained on whole strings.

    start: SDNN, FRONT or HOS.  folder: of the run, in which the weights of what is made here are kept.
    further: how it learned whole strings.
    """

    start: str
    config: Config
    seed: int
    folder: Path
    further: Recipe | None = None

    @property
    def system(self) -> str:
        """What the tables call it."""
        codes_learn = self.further is not None and self.further.centres
        return CODES_LEARN[self.start] if codes_learn else self.start

    def load(self) -> LeNet5:
        """The network, trained where it is not there yet."""
        net = build(self.config.model, self.seed)
        assert isinstance(net, LeNet5)  # seen to by `networks`
        if self.start != FRONT and self.further is None:
            net.set_state(read_tensors(self.folder / "weights.safetensors")[1])
            return net.eval()
        # a run that was trained anew has other weights, and what is made of them is made anew
        run = sha256((self.folder / "weights.safetensors").read_bytes())
        about = {"start": self.start, "further": str(self.further), "run": run}
        named = sha256(str(about).encode())[:12]
        path = self.folder / f"strings-{named}.safetensors"
        if not path.exists():
            write_atomic(path, tensor_bytes(about, self._trained()))
        tensors = read_tensors(path)[1]
        with torch.no_grad():
            net.output.centres.copy_(torch.from_numpy(tensors.pop(CENTRES)))
        net.set_state(tensors)
        return net.eval()

    def _trained(self) -> Tensors:
        data = load(self.config.data)
        if self.further is None:
            state = of_1998(recovered.load(), self.config, data, self.seed).state
            return {**state, CENTRES: WITH_BLANK.numpy()}
        net = replace(self, further=None).load()
        for _, impossible in train(net, data.train_images, data.train_labels, self.further, self.seed):
            for labels in impossible:
                print(f"left out, since no path fits: {labels}", flush=True)
        tensors = {name: w.detach().numpy() for name, w in net.state().items()}
        return {**tensors, CENTRES: net.output.centres.detach().numpy()}


def main() -> int:
    parser = argparse.ArgumentParser(description="Read strings of digits with networks that learned windows.")
    parser.add_argument("name", help="of runs in outputs/NAME")
    add_place(parser)
    arguments = parser.parse_args()
    place = place_of(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"
    path, printed, here = place.results / "strings.csv", place.results / "strings-printed.csv", origin()
    nets = list(networks(Path("outputs", arguments.name)))
    sdnn, over_segmented = ([net for net in nets if net.start == start] for start in (SDNN, HOS))
    if not sdnn:
        raise PaperLenetError(f"{Path('outputs', arguments.name)}: no runs that learned windows (windows=paper)")
    load(nets[0].config.data)  # here, so that a download is made once
    with ProcessPoolExecutor(cores(), multiprocessing.get_context("spawn")) as pool:

        def each(task: Any, of: Iterable[Any], path: Path, columns: tuple[str, ...], key: tuple[str, ...]) -> None:
            running = [pool.submit(task, *one) for one in of]
            for done in as_completed(running):
                rows = done.result()
                add_rows(path, columns, key, ({**row, **here} for row in rows))
                print(", ".join(str(rows[0][name]) for name in key[:5]), flush=True)

        def measure(of: Iterable[tuple[Network, Models]], split: str) -> list[dict[str, str]]:
            each(measured, missing(of, split, path), path, COLUMNS, KEY)
            return read_rows(path, COLUMNS)

        def test(pairs: Sequence[tuple[Network, CharacterModel | None]]) -> None:
            measure([(net, [model]) for net, model in pairs], "test")
            each(of_the_paper, pairs, printed, PRINTED_COLUMNS, PRINTED)

        model, _ = chosen(measure([(net, MODELS) for net in sdnn], "validation"), CHARACTERS, SDNN)
        print(f"the character model that reads strings of hold-out images best: {model}")
        test([(net, None if net.start == HOS else model) for net in nets])
        for own, tries in ((sdnn, SDNN_TRIES), (over_segmented, HOS_TRIES)):
            firsts = [(replace(net, further=how), [how.model]) for net in own[:TO_CHOOSE] for how in tries]
            tried = measure(firsts, "validation")
            for loss in reversed(LOSSES if own else ()):  # the most telling one first
                of_loss, rate = chosen(tried, loss, own[0].system)
                how = next(how for how in tries if (how.loss, how.model, how.rate) == (loss, of_loss, rate))
                print(f"{own[0].system}: {how}")
                hows = [replace(how, centres=learn) for learn in (False, True)]
                test([(replace(net, further=how), of_loss) for net in own[:TO_TEST] for how in hows])
    files = build_tables(
        place.results, ["strings", "strings-whole", "strings-training", "strings-printed"], place.documents
    )
    write(files)
    print("wrote " + ", ".join(map(str, [path, printed, *files])))
    return 0


def networks(job: Path) -> Iterator[Network]:
    """What the runs of a job read with: HOS; or, on windows, SDNN, and as many with the front of 1998.

    Raises PaperLenetError, ConfigError.
    """
    folders = sorted(path.parent for path in job.glob("*/seed-*/metrics.json"))
    if not folders:
        raise PaperLenetError(f"{job}: no finished runs here")
    for folder in folders:
        run = Run(folder)
        if run.config.is_modern() or run.config.model.name != "lenet5":
            raise ConfigError(f"{folder}: not a run of LeNet-5 as in 1998")
        if not run.config.data.validation:
            raise ConfigError(
                f"{folder}: data.validation=0, so that no images are left to choose the character model on"
            )
        for system in (SDNN, FRONT) if run.config.windows.variants else (HOS,):
            yield Network(system, run.config, run.seed, folder)


Job = tuple[Network, str, Models, list[str]]


def missing(nets: Iterable[tuple[Network, Models]], split: str, path: Path) -> Iterator[Job]:
    """The arguments of `measured` for which there are no rows."""
    there = {tuple(row[name] for name in KEY) for row in read_rows(path, COLUMNS)}
    for net, models in nets:
        levels = [
            level
            for level in LEVELS
            if any(tuple(map(str, about(net, level, split, model).values())) not in there for model in models)
        ]
        if levels:
            yield net, split, models, levels


def about(net: Network, level: str, split: str, model: CharacterModel | None) -> Row:
    """The cells KEY of a row."""
    how = net.further
    longest, apart = (model.longest, model.apart) if model else ("", "")
    return {
        "system": net.system, "training": how.loss if how else CHARACTERS, "level": level, "split": split,
        "seed": net.seed, "rate": how.rate if how else "", "longest": longest, "apart": apart,
    }  # fmt: skip


def measured(net: Network, split: str, models: Models, levels: list[str]) -> list[Row]:
    """A row for each level and character model: how many strings and characters are read wrong."""
    torch.set_num_threads(1)
    held_out = replace(net.config.data, test_size=None)
    data = load(held_out if split == "validation" else replace(held_out, validation=0))
    network, rows = net.load(), []
    apart = float(torch.pdist(network.output.centres).min())
    for level in levels:
        strings = of_split(data.test_images, data.test_labels, level, split)
        found = [] if net.start == HOS else all_penalties(network, strings)
        for model in models:
            if model is None:
                answers = [hos.read_picture(network, picture)[1] for picture in strings.pixels]
            else:
                answers = [[c for _, c in path] for path in read(found, model)]
            wrong = [edits(answer, desired) for answer, desired in zip(answers, strings.labels, strict=True)]
            counts = {"strings": len(wrong), "wrong_strings": sum(map(bool, wrong))}
            counts |= {"characters": sum(map(len, strings.labels)), "wrong_characters": sum(wrong)}
            rows.append({**about(net, level, split, model), **counts, "closest_codes": round(apart, 4)})
    return rows


def chosen(rows: Iterable[Mapping[str, str]], training: str, system: str) -> tuple[CharacterModel | None, float | None]:
    """The character model and the rate with the fewest wrong characters on strings of hold-out images, all levels and
    runs of a system counted alike."""
    wrong: Counter[tuple[CharacterModel | None, float | None]] = Counter()
    for row in rows:
        if (row["split"], row["system"], row["training"]) == ("validation", system, training):
            model = CharacterModel(int(row["longest"]), int(row["apart"])) if row["longest"] else None
            wrong[model, float(row["rate"]) if row["rate"] else None] += int(row["wrong_characters"])
    return min(wrong, key=lambda each: wrong[each])


def of_the_paper(net: Network, model: CharacterModel | None) -> list[Row]:
    """A row for each string of Figs. 25 and 26: what is read, and for an SDNN the nearest codes at nine positions."""
    torch.set_num_threads(1)
    rows, network = [], net.load()
    for figure, of, picture in pictures():
        cells = about(net, "", "", model)
        positions = ""
        if model is None:
            grey = (picture - paper.BACKGROUND) / (paper.FOREGROUND - paper.BACKGROUND)
            answer = hos.read_picture(network, np.rint(255 * grey).astype(np.uint8))[1]
        else:
            with torch.no_grad():
                (found,) = penalties(network, torch.from_numpy(picture)[None, None])
            positions = "".join(ANSWERS[c] for c in found.argmin(1))
            answer = [c for _, c in read([found], model)[0]]
        told = {"figure": figure, "of": of, "positions": positions, "read": "".join(map(str, answer))}
        rows.append({name: value for name, value in {**cells, **told}.items() if name in PRINTED_COLUMNS})
    return rows
