"""Runs with chosen error counts, written the way a real run writes them, without training anything."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from paper_lenet.config import Config, DataConfig, OptimConfig
from paper_lenet.data import Data
from paper_lenet.engines import PassRecord
from paper_lenet.files import read_sealed, sealed, sha256
from paper_lenet.records import RunWriter, write_job

ROOT = Path(__file__).resolve().parents[1]


def data(name: str = "mnist", size: int = 10_000) -> Data:
    images = np.zeros((size, 28, 28), np.uint8)
    labels = np.arange(size, dtype=np.int64) % 10
    return Data(name, "test", images, labels, images, labels)


def config(output: Path, seeds: list[int], *, dataset: str = "mnist", eta_factor: float = 0.25) -> Config:
    return Config(
        seeds=seeds,
        output=str(output),
        data=DataConfig(name=dataset),
        optim=OptimConfig(passes=2, eta_factor=eta_factor),
    )


def record(seed: int, pass_: int, held_out: Data, test_errors: int, train_errors: int = 210) -> PassRecord:
    """A pass over 60,000 patterns; the first `test_errors` held-out images are one label off."""
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
        150 if pass_ == 2 else None,
    )


def begun(job: Config, seed: int, held_out: Data | None = None) -> RunWriter:
    """A writer that lets go of its folder at once, so that a test can do without closing it."""
    writer = RunWriter(job, seed, held_out or data(job.data.name))
    writer.begin()
    writer.close()
    return writer


def write_runs(job: Config, errors: list[int], held_out: Data | None = None) -> None:
    """One finished run of two passes a seed, with these many wrong held-out images after the last pass."""
    held_out = held_out or data(job.data.name)
    write_job(job)
    for seed, wrong in zip(job.seeds, errors, strict=True):
        with RunWriter(job, seed, held_out) as writer:
            writer.begin()
            writer.add(record(seed, 1, held_out, 2 * wrong, 3000))
            writer.add(record(seed, 2, held_out, wrong))
            writer.finish()


def reseal(folder: Path, **changes: object) -> None:
    """Make the run's metrics, with these changes, agree with its files again, as a foreign program could."""
    path = folder / "metrics.json"
    metrics = read_sealed(path) | changes
    for name in metrics["files"]:
        metrics["files"][name] = sha256((folder / name).read_bytes())
    path.write_text(json.dumps(sealed(metrics)))


def clean_tree(monkeypatch: pytest.MonkeyPatch, dirty: bool = False) -> None:
    """Let runs record this state of the code, whatever the state of the working tree is."""
    monkeypatch.setattr("paper_lenet.records._code_state", lambda root: ("c0ffee" * 6 + "c0de", dirty))


def call(monkeypatch: pytest.MonkeyPatch, script: str, *arguments: object) -> int:
    """Exit code of experiments/<script>.py, run in this process."""
    monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
    with pytest.raises(SystemExit) as exit_:
        runpy.run_path(str(ROOT / "experiments" / f"{script}.py"), run_name="__main__")
    return int(exit_.value.code or 0)
