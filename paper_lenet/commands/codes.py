"""F6 as printed and as we find it: paper-lenet codes [--runs outputs/NAME/FINGERPRINT] [--seeds N] [--publish].

The front of 1998 gets C5 and F6 that learn windows of Section VII-B by the headline's recipe, and is shown the images
of Figs. 13, 25 and 26. --runs: networks of ours that learned windows, as a control. -> codes.csv and its table.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from paper_lenet.commands.composition import compose
from paper_lenet.commands.places import add_place, place_of
from paper_lenet.config import Config, ConfigError
from paper_lenet.data import load
from paper_lenet.errors import PaperLenetError
from paper_lenet.files import Tensors, csv_text, read_tensors, write_atomic
from paper_lenet.network.lenet5 import LeNet5, build
from paper_lenet.recovery import recovered
from paper_lenet.recovery.codes import printed, read
from paper_lenet.recovery.fronts import of_1998
from paper_lenet.reporting.tables.build import build as build_tables
from paper_lenet.reporting.tables.build import write
from paper_lenet.reporting.tables.codes import COLUMNS, OURS, RECOVERED
from paper_lenet.runs.collect import Run
from paper_lenet.runs.environment import origin
from paper_lenet.runs.workers import processes

WINDOWS = ("experiment=lenet5", "windows=paper", "data.test_size=0")


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare F6 as printed with that of networks on the front of 1998.")
    parser.add_argument("--runs", type=Path, help="outputs/NAME/FINGERPRINT: networks of ours that learned windows")
    parser.add_argument("--seeds", type=int, default=10, help="networks on the front of 1998 (%(default)s)")
    add_place(parser)
    arguments = parser.parse_args()
    place = place_of(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"
    here, config = origin(), compose(list(WINDOWS))
    load(config.data)  # here, so that a download is made once
    rows = list(ours(arguments.runs)) if arguments.runs else []
    with processes() as pool:
        for seed, state in enumerate(pool.map(partial(upper_layers, config), range(arguments.seeds))):
            rows += rows_of(RECOVERED, seed, config, state)
            print(f"seed {seed}", flush=True)
    path = place.results / "codes.csv"
    write_atomic(path, csv_text(COLUMNS, ({**row, **here} for row in rows)))
    files = build_tables(place.results, ["codes"], place.documents)
    write(files)
    print("wrote " + ", ".join(map(str, [path, *files])))
    return 0


def upper_layers(config: Config, seed: int) -> Tensors:
    """All parameters of a network that learned windows above the front of 1998."""
    return of_1998(recovered.load(), config, load(config.data), seed).state


def ours(job: Path) -> Iterator[dict[str, Any]]:
    """The rows of finished runs. Raises PaperLenetError for a folder without any, ConfigError for other runs."""
    folders = sorted(job.glob("seed-*"))
    if not folders:
        raise PaperLenetError(f"{job}: no runs here")
    for folder in folders:
        config = Run(folder).config
        if config.is_modern() or not config.windows.variants:
            raise ConfigError(f"{folder}: not a run of LeNet-5 as in 1998 on windows")
        yield from rows_of(OURS, config.seeds[0], config, read_tensors(folder / "weights.safetensors")[1])


def rows_of(network: str, seed: int, config: Config, state: Tensors) -> Iterator[dict[str, Any]]:
    """A row for each image of which F6 is printed."""
    net = build(config.model, seed)
    assert isinstance(net, LeNet5)  # seen to before
    net.set_state(state)
    for shown in printed():
        answer, correlation = read(net, shown)
        yield {
            "network": network, "seed": seed, "figure": shown.figure, "of": shown.of, "place": shown.place,
            "printed": shown.answer(), "answer": answer, "correlation": correlation,
        }  # fmt: skip
