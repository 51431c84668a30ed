"""Effective learning rates by layer and pass of LeNet-5 as in 1998 -> rates.csv, figures/rates.svg and .png.

paper-lenet rates [overrides ...] [--publish]: experiment=lenet5, or another, with these overrides is trained again, its
seeds side by side; nothing of it is recorded but the rates. On another data set the files are named after it:
rates-digits, those of another experiment quarter-rates.
"""

from __future__ import annotations

import argparse
import os
from functools import partial

from paper_lenet.commands.composition import compose
from paper_lenet.commands.places import add_place, place_of
from paper_lenet.config import ConfigError
from paper_lenet.data import load
from paper_lenet.files import csv_text, write_atomic
from paper_lenet.reporting.figures.common import write
from paper_lenet.reporting.figures.rates import rates
from paper_lenet.runs.environment import origin
from paper_lenet.runs.rates import COLUMNS, measure
from paper_lenet.runs.workers import cores, processes


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure effective rates by layer, of experiment=lenet5 unless told.")
    parser.add_argument("overrides", nargs="*", help="as for train, such as data=digits optim.passes=2")
    add_place(parser)
    arguments = parser.parse_args()
    results = place_of(arguments).results
    named = any(override.startswith("experiment=") for override in arguments.overrides)
    config = compose([*([] if named else ["experiment=lenet5"]), *arguments.overrides])
    if config.is_modern() or config.engine.name != "fused":
        raise ConfigError("rates are measured of the network and the training of 1998, with engine=fused")
    load(config.data)  # here, so that a download is made once
    os.environ["OMP_NUM_THREADS"] = "1"
    here = origin()
    workers = min(config.engine.workers or cores(), len(config.seeds))
    with processes(workers) as pool:
        by_seed = list(pool.map(partial(measure, config), config.seeds))
    name = "rates" if config.name == "lenet5" else f"{config.name}-rates"
    name += "" if config.data.name == "mnist" else f"-{config.data.name}"
    path = results / f"{name}.csv"
    write_atomic(path, csv_text(COLUMNS, ({**row, **here} for rows in by_seed for row in rows)))
    files = rates(results, name)
    write(files)
    print("wrote " + ", ".join(map(str, (path, *files))))
    return 0
