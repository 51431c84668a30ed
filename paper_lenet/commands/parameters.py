"""Rates and sizes of the parameters of finished runs -> parameters/NAME.csv: paper-lenet parameters NAME [--publish].

Of all runs in outputs/NAME: effective rates of the first pass by layer, measured anew, and sizes of the weights at the
end. With fig13 for NAME: sizes of the weights recovered from Fig. 13. Both are what tables of readings need.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from paper_lenet.commands.places import add_place, place_of
from paper_lenet.errors import PaperLenetError
from paper_lenet.files import csv_text, write_atomic
from paper_lenet.recovery import recovered
from paper_lenet.runs.collect import Run
from paper_lenet.runs.environment import origin
from paper_lenet.runs.parameters import COLUMNS, LAYERS, Row, measure, sizes, weights_of
from paper_lenet.runs.workers import cores

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
    with ProcessPoolExecutor(cores(), multiprocessing.get_context("spawn")) as pool:
        return [row for rows in pool.map(of_folder, folders) for row in rows]


def of_folder(folder: Path) -> list[Row]:
    """The rows of the run in a folder."""
    run = Run(folder)
    return measure(run.config, run.seed, folder)
