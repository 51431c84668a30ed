"""Runs with chosen error counts, written the way a real run writes them, without training anything."""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from paper_lenet.commands import entry
from paper_lenet.config import Config, DataConfig, OptimConfig
from paper_lenet.data import Data, load
from paper_lenet.engines import PassRecord
from paper_lenet.files import csv_text, json_text, read_sealed, sealed, sha256, write_atomic
from paper_lenet.runs import job
from paper_lenet.runs.collect import RUN_COLUMNS
from paper_lenet.runs.records import RunWriter, write_job
from paper_lenet.runs.training import train_group

ROOT = Path(__file__).resolve().parents[1]


def data(name: str = "mnist", size: int = 10_000) -> Data:
    images = np.zeros((size, 28, 28), np.uint8)
    labels = np.arange(size, dtype=np.int64) % 10
    return Data(name, "test", images, labels, images, labels)


def config(
    output: Path, seeds: list[int], *, dataset: str = "mnist", eta_factor: float = 1.0, passes: int = 2, **other: Any
) -> Config:
    data, optim = DataConfig(name=dataset), OptimConfig(passes=passes, eta_factor=eta_factor)
    return Config(seeds=seeds, output=str(output), data=data, optim=optim, **other)


def record(
    seed: int, pass_: int, held_out: Data, test_errors: int, train_errors: int = 210, on_all: int | None = None
) -> PassRecord:
    """A pass over 60,000 patterns; the first `test_errors` held-out images are one label off.

    on_all: the errors of the final network on the training set, for the last pass.
    """
    predictions = held_out.test_labels.copy()
    predictions[:test_errors] = (predictions[:test_errors] + 1) % 10
    state = {
        "c1.weight": np.full((6, 1, 5, 5), seed, np.float32),
        "c1.bias": np.arange(6.0, dtype=np.float32),
    }
    return PassRecord(
        seed,
        pass_,
        1e-4,
        7e-5,
        0.016,
        0.5,
        train_errors,
        60_000,
        predictions,
        test_errors,
        3.0,
        state,
        on_all,
    )


def begun(job: Config, seed: int, held_out: Data | None = None) -> RunWriter:
    """A writer that lets go of its folder at once, so that a test can do without closing it."""
    writer = RunWriter(job, seed, held_out or data(job.data.name))
    writer.begin()
    writer.close()
    return writer


def write_runs(job: Config, errors: list[int], held_out: Data | None = None) -> None:
    """One finished run a seed, with these many wrong held-out images after the last pass."""
    held_out = held_out or data(job.data.name)
    write_job(job)
    for seed, wrong in zip(job.seeds, errors, strict=True):
        with RunWriter(job, seed, held_out) as writer:
            writer.begin()
            for pass_ in range(1, job.optim.passes):
                writer.add(record(seed, pass_, held_out, 2 * wrong, 3000))
            writer.add(record(seed, job.optim.passes, held_out, wrong, on_all=150))
            writer.finish()


# A row of results/runs of a whole run on MNIST.
ROW = {
    **{"dataset": "mnist", "split": "test", "engine": "fused", "precision": "float32", "passes": 20, "status": "ok"},
    **{"train_error_percent": 0.35, "test_size": 10_000, "train_size": 60_000, "seconds": 40.0, "dirty": False},
    **{"rate_min_pass1": 7e-5 / 4, "rate_max_pass1": 0.016 / 4, "commit": "c0ffee" * 6 + "c0de", "cpu": "a cpu"},
    **{"torch": "2", "numba": "0", "date": "2026-01-01T00:00:00+00:00"},
}


def write_rows(results: Path, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """results/runs/<name>.csv and results/env/<name>.json; what a row does not say is that of a whole run on MNIST."""
    whole = []
    for row in rows:
        row = {**ROW, "name": name, **row}
        percent = row.get("test_error_percent")
        errors = None if percent is None else round(percent * row["test_size"] / 100)
        whole.append({"test_errors": errors, **row})
    varied = sorted({key for row in whole for key in row} - set(RUN_COLUMNS))
    write_atomic(results / "runs" / f"{name}.csv", csv_text((*RUN_COLUMNS, *varied), whole))
    write_atomic(results / "env" / f"{name}.json", json_text([{"runs": len(rows)}]))


def reseal(folder: Path, **changes: object) -> None:
    """Make the run's metrics, with these changes, agree with its files again, as a foreign program could."""
    path = folder / "metrics.json"
    metrics = read_sealed(path) | changes
    for name in metrics["files"]:
        metrics["files"][name] = sha256((folder / name).read_bytes())
    path.write_text(json.dumps(sealed(metrics)), encoding="utf-8")


def clean_tree(monkeypatch: pytest.MonkeyPatch, dirty: bool = False, commit: str = "c0ffee" * 6 + "c0de") -> None:
    """Let runs record this state of the code, whatever the state of the working tree is."""
    monkeypatch.setattr("paper_lenet.runs.environment.code_state", lambda root: (commit, dirty))


def call(monkeypatch: pytest.MonkeyPatch, script: str, *arguments: object) -> int:
    """Exit code of experiments/<script>.py, run in this process, where it imports what a test may have changed."""
    monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
    monkeypatch.syspath_prepend(ROOT / "experiments")
    for name in entry.commands():
        monkeypatch.delitem(sys.modules, f"paper_lenet.commands.{name}", raising=False)
    with pytest.raises(SystemExit) as exit_:
        runpy.run_path(str(ROOT / "experiments" / f"{script}.py"), run_name="__main__")
    return int(exit_.value.code or 0)


def train_here(monkeypatch: pytest.MonkeyPatch, *overrides: object) -> int:
    """Exit code of experiments/train.py whose seeds are trained in this process: to start another takes seconds."""

    def here(config: Config, groups: list[list[int]], *_: object) -> Iterator[tuple[int, Exception | None]]:
        data = load(config.data)
        for group in groups:
            failed = train_group(config, data, group, lambda progress: None, lambda: False)
            yield from ((seed, failed.get(seed)) for seed in group)

    with monkeypatch.context() as patched:
        patched.setattr(job, "train_all", here)
        return call(monkeypatch, "train", *overrides)
