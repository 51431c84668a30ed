"""What the front of 1998 knows: paper-lenet fronts --runs outputs/NAME/FINGERPRINT [--seeds N] [--publish].

Frozen fronts (C1 to S4) get new upper layers, all by one recipe (recovery/fronts.py), and are tested on MNIST: the
front recovered from Fig. 13 with one head per seed; as controls the front of each run in the folder, and one with the
initial weights of each seed. -> fronts.csv and its table; rows that are there are not made again. The runs are those of
paper-lenet train experiment=lenet5 name=fronts 'seeds=[0,1,2,3,4,5,6,7,8,9]'.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch

from paper_lenet.commands.composition import compose
from paper_lenet.commands.places import add_place, place_of
from paper_lenet.config import DataConfig, ModelConfig
from paper_lenet.data import load
from paper_lenet.errors import PaperLenetError
from paper_lenet.files import add_rows, read_rows, read_tensors
from paper_lenet.network.lenet5 import LeNet5, build
from paper_lenet.recovery import recovered
from paper_lenet.recovery.fronts import errors
from paper_lenet.reporting.tables.build import build as build_tables
from paper_lenet.reporting.tables.build import write
from paper_lenet.reporting.tables.fronts import COLUMNS, OURS, RANDOM, RECOVERED
from paper_lenet.runs.environment import origin

# What the controls were trained by; whatever a run's name, its fingerprint tells.
EXPERIMENT = "lenet5"


def main() -> int:
    parser = argparse.ArgumentParser(description="Train upper layers on frozen fronts, that of 1998 and controls.")
    parser.add_argument("--runs", type=Path, help="outputs/<name>/<fingerprint>: runs of experiment=lenet5")
    parser.add_argument("--seeds", type=int, default=10, help="heads on the front of 1998; random fronts (%(default)s)")
    add_place(parser)
    arguments = parser.parse_args()
    place = place_of(arguments)
    path = place.results / "fronts.csv"
    torch.set_num_threads(1)
    data, here = load(DataConfig()), origin()
    there = {(row["front"], row["seed"]) for row in read_rows(path, COLUMNS, {"seed": int})}
    for front, seed, net in fronts(arguments.runs, arguments.seeds):
        if (front, str(seed)) in there:
            continue
        wrong, size = errors(net, data, seed), len(data.test_labels)
        row = {"front": front, "seed": seed, "test_errors": wrong, "test_size": size}
        add_rows(path, COLUMNS, ("front", "seed"), [{**row, "test_error_percent": 100 * wrong / size, **here}])
        print(f"{front}, seed {seed}: {100 * wrong / size:.2f} %", flush=True)
    files = build_tables(place.results, ["fronts"], place.documents)
    write(files)
    print("wrote " + ", ".join(map(str, [path, *files])))
    return 0


def fronts(runs: Path | None, seeds: int) -> Iterator[tuple[str, int, LeNet5]]:
    """What a front is called, the seed of its head, and a network with it."""
    for seed in range(seeds):
        net = LeNet5()
        recovered.put_into(net, recovered.load())
        yield RECOVERED, seed, net
        random = build(ModelConfig(), seed)
        assert isinstance(random, LeNet5)
        yield RANDOM, seed, random
    folders = sorted(runs.glob("seed-*")) if runs else []
    if runs and not folders:
        raise PaperLenetError(f"{runs}: no runs here")
    method = compose([f"experiment={EXPERIMENT}"]).fingerprint()
    for folder in folders:
        about, state = read_tensors(folder / "weights.safetensors")
        if about["fingerprint"] != method:
            raise PaperLenetError(f"{folder}: not a run of experiment={EXPERIMENT}")
        net = LeNet5()
        recovered.put_into(net, state)
        yield OURS, int(folder.name.removeprefix("seed-")), net
