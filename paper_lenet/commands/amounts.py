"""Amounts of cheques, read with and without their grammar: paper-lenet amounts NAME [--publish].

The first of the runs in outputs/NAME that learned windows get the codes of five symbols and learn amounts as whole
strings, by E_dforw and AdamW. The rate is chosen on amounts of hold-out images. Amounts of test images are read, by the
character model alone and by that composed with the grammar (Section X). -> amounts.csv and its table. What is there is
not made again.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from paper_lenet.commands.places import add_place, place_of
from paper_lenet.commands.strings import TO_CHOOSE, TO_TEST, Network, networks
from paper_lenet.data import load
from paper_lenet.errors import PaperLenetError
from paper_lenet.files import add_rows, read_rows
from paper_lenet.network.lenet5 import LeNet5
from paper_lenet.reporting.tables.amounts import COLUMNS, GRAMMAR, KEY, NO_GRAMMAR
from paper_lenet.reporting.tables.build import build as build_tables
from paper_lenet.reporting.tables.build import write
from paper_lenet.reporting.tables.strings import SDNN, WRONG
from paper_lenet.runs.environment import origin
from paper_lenet.runs.workers import processes
from paper_lenet.strings import amounts
from paper_lenet.strings.characters import CharacterModel
from paper_lenet.strings.graphs import compose
from paper_lenet.strings.lattices import Transducer
from paper_lenet.strings.reading import Answer, all_pieces, answers
from paper_lenet.strings.rejection import read_at
from paper_lenet.strings.training import Recipe, train

# Symbols are new to the network, so that it takes longer than strings of digits do.
TRIES = [Recipe("E_dforw", CharacterModel(3, 1), rate, passes=6) for rate in (3e-3, 1e-2, 3e-2)]
COUNTS = {"test": 2000, "validation": 500}
SEEDS = {"test": 3000, "validation": 4000}
Row = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(description="Read amounts with networks that learned windows.")
    parser.add_argument("name", help="of runs in outputs/NAME")
    add_place(parser)
    arguments = parser.parse_args()
    place = place_of(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"
    nets = [net for net in networks(Path("outputs", arguments.name)) if net.start == SDNN]
    if not nets:
        raise PaperLenetError(f"{Path('outputs', arguments.name)}: no runs that learned windows (windows=paper)")
    load(nets[0].config.data)  # here, so that a download is made once
    path, here = place.results / "amounts.csv", origin()
    with processes() as pool:

        def measure(jobs: Sequence[tuple[Network, Recipe]], split: str) -> list[dict[str, str]]:
            running = [pool.submit(measured, *job, split) for job in missing(jobs, split, path)]
            with tqdm(total=len(running), desc=f"amounts, {split}", disable=None if running else True) as bar:
                for done in as_completed(running):
                    add_rows(path, COLUMNS, KEY, ({**row, **here} for row in done.result()))
                    bar.update()
            return read_rows(path, COLUMNS)

        how = best(measure([(net, how) for net in nets[: TO_CHOOSE[SDNN]] for how in TRIES], "validation"))
        print(f"amounts of hold-out images are read best after {how}")
        measure([(net, how) for net in nets[:TO_TEST]], "test")
    files = build_tables(place.results, ["amounts"], place.documents)
    write(files)
    print("wrote " + ", ".join(map(str, [path, *files])))
    return 0


def missing(jobs: Sequence[tuple[Network, Recipe]], split: str, path: Path) -> Iterator[tuple[Network, Recipe]]:
    """Those for which there are no rows."""
    there = {tuple(row[name] for name in KEY) for row in read_rows(path, COLUMNS)}
    for net, how in jobs:
        if tuple(map(str, about(net, how, split, GRAMMAR).values())) not in there:
            yield net, how


def about(net: Network, how: Recipe, split: str, grammar: str) -> Row:
    """The cells KEY of a row."""
    return {"split": split, "seed": net.seed, "run": net.fingerprint, "rate": how.rate, "grammar": grammar}


def best(rows: Sequence[dict[str, str]]) -> Recipe:
    """The recipe after which most amounts of hold-out images are read without the grammar."""
    right: Counter[float] = Counter()
    for row in rows:
        if (row["split"], row["grammar"]) == ("validation", NO_GRAMMAR):
            right[float(row["rate"])] += int(row["right"])
    ((rate, _),) = right.most_common(1)
    return next(how for how in TRIES if how.rate == rate)


def measured(net: Network, how: Recipe, split: str) -> list[Row]:
    """A row without and one with the grammar: how many amounts are read, without rejecting any and with rejections."""
    torch.set_num_threads(1)
    network, data = net.load(), load(net.config.data)
    assert isinstance(network, LeNet5) and how.model is not None
    amounts.with_symbols(network)
    graph = how.model.transducer(len(amounts.CHARACTERS))
    characters = Transducer.of(graph)
    for _, impossible in train(network, data.train_images, data.train_labels, how, net.seed, amounts.mixed, characters):
        for labels in impossible:
            print(f"left out, since no path fits: {''.join(amounts.CHARACTERS[c] for c in labels)}", flush=True)
    of_split = load(replace(net.config.data, test_size=None, validation=net.config.data.validation * (split != "test")))
    strings = amounts.draw(of_split.test_images, of_split.test_labels, COUNTS[split], SEEDS[split])
    models = {NO_GRAMMAR: characters, GRAMMAR: Transducer.of(compose(graph, amounts.grammar()))}
    found: dict[str, dict[int, Answer]] = {name: {} for name in models}
    for some, of, pieces in all_pieces(network.eval(), strings, how.model):
        for name, model in models.items():
            found[name] |= zip(some.tolist(), answers(of, pieces, model), strict=True)
    rows = []
    for name, read in found.items():
        right = np.array([read[k].digits == desired for k, desired in enumerate(strings.labels)])
        shares = read_at(np.array([read[k].probability for k in range(len(right))]), right, WRONG)
        reads = {f"read_at_{wrong:g}": share for wrong, share in zip(WRONG, shares, strict=True)}
        rows.append({**about(net, how, split, name), "strings": len(right), "right": int(right.sum()), **reads})
    return rows
