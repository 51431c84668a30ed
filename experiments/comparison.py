"""The classifiers of Figs. 9 to 12, fitted and measured one by one -> results/runs/comparison.csv.

python experiments/comparison.py [names ...] [--choose] [--again]: all of those that are not there yet, or the named
ones. Networks are trained first, by experiment=comparison (train.py); here their finished runs are measured.
--choose tries the candidates of what the paper does not give, on held-out training images
-> results/runs/comparison-choice.csv.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import hydra
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from experiments.train import CONF, FAILURES, one_line, to_config
from paper_lenet.baselines import Scores, Values
from paper_lenet.config import Config, ConfigError, DataConfig
from paper_lenet.data import Data, load
from paper_lenet.engines.plan import Patterns, all_patterns
from paper_lenet.engines.reference import inputs
from paper_lenet.files import RecordError, csv_text, read_tensors, write_atomic
from paper_lenet.measures import COLUMNS, Row, fingerprint, measured
from paper_lenet.models.lenet5 import build
from paper_lenet.records import finished, origin, run_folder
from paper_lenet.systems import SYSTEMS, System
from paper_lenet.tables import TableError, read_results

VALIDATION = 5000


@cache
def data_of(version: str, validation: int) -> Data:
    return load(DataConfig(version=version, validation=validation))


def main() -> int:
    parser = argparse.ArgumentParser(description="Fit and measure the classifiers of Figs. 9 to 12.")
    parser.add_argument("names", nargs="*", help="of classifiers, as in the table; default: all")
    parser.add_argument("--choose", action="store_true", help="try settings on held-out training images")
    parser.add_argument("--again", action="store_true", help="also what is there already")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--output", default="outputs", help="where the networks' runs are")
    arguments = parser.parse_args()
    path: Path = arguments.results / "runs" / ("comparison-choice.csv" if arguments.choose else "comparison.csv")
    try:
        unknown = set(arguments.names) - {system.key for system in SYSTEMS}
        if unknown:
            raise ConfigError(f"{', '.join(sorted(unknown))}: no such classifier; there are "
                              + "; ".join(system.key for system in SYSTEMS))  # fmt: skip
        torch.set_num_threads(1)
        before = read_results(path).to_dict("records") if path.exists() else []
        rows = [{str(key): value for key, value in row.items()} for row in before]
        for system in SYSTEMS:
            if arguments.names and system.key not in arguments.names:
                continue
            there = {(row["fingerprint"], int(row["seed"])) for row in rows if not arguments.again}
            for row in tried(system, there) if arguments.choose else fitted(system, there, arguments.output):
                rows = [r for r in rows if (r["fingerprint"], int(r["seed"])) != (row["fingerprint"], row["seed"])]
                rows.append({**row, **origin()})
                write_atomic(path, csv_text(COLUMNS, in_order(rows)))
                print(f"{row['classifier']} seed {row['seed']} {row['settings']}: {row['error_percent']:.2f} %, "
                      f"{row['train_seconds']:.0f} s", flush=True)  # fmt: skip
    except (*FAILURES, OSError, TableError) as error:
        print(f"comparison: {one_line(error)}", file=sys.stderr)
        return 1
    print(f"{path}: {len(rows)} rows")
    return 0


def in_order(rows: list[Row]) -> list[Row]:
    """By the order of SYSTEMS, so that the file does not depend on what came when."""
    order = {system.key: k for k, system in enumerate(SYSTEMS)}
    found = sorted(rows, key=lambda row: (order.get(row["classifier"], len(order)), str(row["settings"]), row["seed"]))
    return [{key: None if isinstance(v, float) and np.isnan(v) else v for key, v in row.items()} for row in found]


def described(system: System, settings: dict[str, Any]) -> Row:
    return {
        "classifier": system.key,
        "settings": " ".join(f"{name}={value}" for name, value in sorted(settings.items())),
        "dataset": "mnist",
        "fingerprint": fingerprint(system.key, settings),
    }


def fit(system: System, settings: dict[str, Any], seed: int, data: Data) -> Row:
    assert system.fit is not None
    began = time.perf_counter()
    made = system.fit(system.images(data.train_images), data.train_labels, seed, **settings)
    seconds = time.perf_counter() - began
    return {
        **described(system, settings),
        "split": data.split,
        "seed": seed,
        "train_size": len(data.train_labels),
        "multiply_adds": made.multiply_adds,
        "variables": made.variables,
        "train_seconds": seconds,
        **measured(made.scores, system.images(data.test_images), data.test_labels),
    }


def tried(system: System, there: set[tuple[str, int]]) -> Iterator[Row]:
    """A row for each combination of the candidates, on held-out images."""
    for settings in system.choices() if system.candidates else []:
        if (fingerprint(system.key, settings), 0) not in there:
            yield fit(system, settings, 0, data_of(system.version, VALIDATION))


def fitted(system: System, there: set[tuple[str, int]], output: str) -> Iterator[Row]:
    """A row for each seed."""
    if system.fit is not None:
        for seed in range(system.seeds):
            if (fingerprint(system.key, dict(system.settings)), seed) not in there:
                yield fit(system, dict(system.settings), seed, data_of(system.version, 0))
        return
    with hydra.initialize_config_dir(CONF, version_base="1.3"):
        overrides = ["experiment=comparison", f"change=comparison/{system.change}", f"output={output}"]
        config = to_config(hydra.compose("config", overrides))
    for seed in config.seeds:
        if (config.fingerprint(), seed) not in there:
            metrics = finished(config, seed)
            if metrics is None:
                raise RecordError(f"{run_folder(config, seed)}: not there; train.py experiment=comparison trains it")
            yield network(system, config, seed, metrics["seconds"])


def network(system: System, config: Config, seed: int, seconds: float) -> Row:
    """A trained network on the test images."""
    net = build(config.model, seed)
    _, state = read_tensors(run_folder(config, seed) / "weights.safetensors")
    net.set_state(state)
    net.eval()
    data = data_of(system.version, 0)
    _, held_out = all_patterns(config, data, seed)

    @torch.no_grad()
    def scores(images: Values) -> Scores:
        shown = Patterns(data.test_images[: len(images)], data.test_labels, np.zeros((0, 5)), held_out.values)
        parts = [net(inputs(shown, k, net)) for k in np.array_split(np.arange(len(images)), max(1, len(images) // 500))]
        return np.asarray(-torch.cat(parts))

    return {
        **described(system, {}),
        "fingerprint": config.fingerprint(),
        "split": data.split,
        "seed": seed,
        "train_size": len(data.train_labels),
        "multiply_adds": net.multiply_adds(),
        "variables": sum(net.parameters_by_layer().values()),
        "train_seconds": seconds,
        **measured(scores, system.images(data.test_images), data.test_labels),
    }


if __name__ == "__main__":
    sys.exit(main())
