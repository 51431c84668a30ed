"""Rates and sizes of the parameters of finished runs -> parameters/NAME.csv: paper-lenet parameters NAME [--publish].

Of all runs in outputs/NAME, by layer: the effective rates of the first pass, measured anew; the sizes of the weights at
the end; and how well the maps match those of 1998 and of the other seeds, by their states for the images of Fig. 13.
With fig13 for NAME: the sizes of the weights recovered from Fig. 13. Tables of readings need both.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from paper_lenet.commands.places import add_place, place_of
from paper_lenet.errors import PaperLenetError
from paper_lenet.files import csv_text, read_tensors, write_atomic
from paper_lenet.network.lenet5 import build
from paper_lenet.network.paper_net import PaperNet
from paper_lenet.recovery import recovered
from paper_lenet.recovery.matching import States, match, states_of
from paper_lenet.runs.collect import Run
from paper_lenet.runs.environment import origin
from paper_lenet.runs.parameters import COLUMNS, LAYERS, Row, measure, sizes, weights_of
from paper_lenet.runs.workers import processes

OF_1998 = recovered.FILE.stem


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the parameters of finished runs, by layer.")
    parser.add_argument("name", help=f"of runs in outputs/NAME; or {OF_1998}")
    add_place(parser)
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    here = origin()
    made = of_1998() if arguments.name == OF_1998 else of_runs(Path("outputs", arguments.name))
    rows = [{**row, **here} for row in made]
    path = place_of(arguments).results / "parameters" / f"{arguments.name}.csv"
    write_atomic(path, csv_text(COLUMNS, rows))
    print(f"wrote {path}")
    return 0


def of_1998() -> list[Row]:
    """The rows of the recovered layers."""
    weights = recovered.load()
    about = {"name": OF_1998, "fingerprint": "1998", "seed": 0}
    return [{**about, "layer": layer, **sizes(weights, layer)} for layer in LAYERS if weights_of(layer) in weights]


def of_runs(job: Path) -> list[Row]:
    """The rows of all runs of a job, two or more measured at once."""
    folders = sorted(path.parent for path in job.glob("*/seed-*/metrics.json"))
    if not folders:
        raise PaperLenetError(f"{job}: no finished runs here")
    with processes() as pool:
        found = list(pool.map(of_folder, folders))
    rows = []
    by_folder = dict(zip(folders, found, strict=True))
    for folder, (of_run, matched) in by_folder.items():
        others = [of for at, (_, of) in by_folder.items() if at.parent == folder.parent and at != folder]
        rows += [{**row, **matches(row["layer"], matched, others)} for row in of_run]
    return rows


@dataclass(frozen=True)
class Matched:
    """States of C1 to S4 for the images of Fig. 13: by 1998's network, and by a run's at its end and at its start."""

    of_1998: States
    end: States
    start: States


def of_folder(folder: Path) -> tuple[list[Row], Matched | None]:
    """The rows of the run in a folder, and its states; None for a run that broke off."""
    run = Run(folder)
    rows, path = measure(run.config, run.seed, folder), folder / "weights.safetensors"
    if not path.exists():
        return rows, None
    fig13, nets = recovered.load(), [build(run.config.model, run.seed) for _ in range(3)]
    of_1998, end, start = (net for net in nets if isinstance(net, PaperNet))
    recovered.put_into(of_1998, fig13)
    end.set_state(read_tensors(path)[1])
    return rows, Matched(*(states_of(net, fig13["images"]) for net in (of_1998, end, start)))


def matches(layer: str, of_run: Matched | None, others: Sequence[Matched | None]) -> Row:
    """The cells MATCHES of a row."""
    if of_run is None or layer not in of_run.end:
        return {}
    here = of_run.end[layer]
    with_others = [match(here, other.end[layer]) for other in others if other is not None]
    return {
        "match_1998": match(here, of_run.of_1998[layer]),
        "match_others": sum(with_others) / len(with_others) if with_others else None,
        "match_1998_initial": match(of_run.start[layer], of_run.of_1998[layer]),
    }
