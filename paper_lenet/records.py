"""What a run writes: its own folder <output>/<name>/<fingerprint>/seed-<k>/, each file atomically.

metrics.json comes last: a folder without it is a run that did not end.
"""

from __future__ import annotations

import csv
import fcntl
import io
import json
import math
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf
from safetensors.numpy import save

from paper_lenet.config import Config
from paper_lenet.data import Data
from paper_lenet.engines import NonFiniteError, PassRecord

PASS_COLUMNS = (
    *("pass", "eta", "rate_min", "rate_max"),
    *("train_loss", "train_error_percent", "test_error_percent", "seconds"),
)
ERROR_COLUMNS = ("index", "true_label", "predicted_label")
# On the fly, over the last pass. A net that guesses is wrong nine times in ten; one that learns is far below.
DIVERGED_PERCENT = 50.0
CODE = ("paper_lenet", "experiments", "conf", "pyproject.toml", "requirements.lock")


class RecordError(OSError):
    """A file that cannot be written or read; the message is one line that names it."""


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write a file so that a reader sees the old content or the new, never a part. Raises RecordError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise RecordError(f"{path}: cannot be written: {error.strerror or error}") from error


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """CSV in a fixed format: floats with 8 significant digits, None and missing keys empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        values = (row.get(column) for column in columns)
        writer.writerow([f"{value:.8g}" if isinstance(value, float) else value for value in values])
    return out.getvalue()


def json_text(value: object) -> str:
    """Indented JSON with a newline at its end; a float that is not finite raises ValueError."""
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def job_folder(config: Config) -> Path:
    """The folder of all seeds of one configuration: <output>/<name>/<fingerprint>."""
    return Path(config.output) / config.name / config.fingerprint()


def run_folder(config: Config, seed: int) -> Path:
    """The folder of one run: <output>/<name>/<fingerprint>/seed-<k>."""
    return job_folder(config) / f"seed-{seed}"


def write_job(config: Config) -> None:
    """List the job's seeds in its job.json, added to those that earlier jobs listed. Raises RecordError."""
    path = job_folder(config) / "job.json"
    lock = path.with_name(".job.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with lock.open("a") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            earlier = json.loads(path.read_text())["seeds"] if path.exists() else []
            seeds = sorted({*earlier, *config.seeds})
            write_atomic(path, json_text({"name": config.name, "seeds": seeds}))
    except RecordError:
        raise
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise RecordError(f"{path}: cannot be updated: {error}") from error


def environment() -> dict[str, Any]:
    """Versions, machine and state of the code: what is written to environment.json.

    Keys python, numpy, torch, numba, platform, cpu (model), gpu (name or None), threads (of torch), commit,
    dirty. Without a repository around the package the commit is 'unknown' and dirty is true.
    """
    commit, dirty = _code_state(Path(__file__).resolve().parents[1])
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__,
        "numba": version("numba"),
        "platform": f"{platform.system()} {platform.machine()} {' '.join(platform.libc_ver())}".strip(),
        "cpu": _cpu_model(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "threads": torch.get_num_threads(),
        "commit": commit,
        "dirty": dirty,
    }


def _code_state(root: Path) -> tuple[str, bool]:
    """Commit of the repository at `root`, and whether its code differs from that commit."""

    def git(*arguments: str) -> str:
        # No optional locks: seeds that start together would meet at the lock of git's index.
        command = ["git", "--no-optional-locks", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        # A package installed somewhere below another project must not be given that project's commit.
        if not Path(git("rev-parse", "--show-toplevel")).samefile(root):
            return "unknown", True
        return git("rev-parse", "--verify", "HEAD"), bool(git("status", "--porcelain", "--", *CODE))
    except (OSError, subprocess.CalledProcessError):
        return "unknown", True


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


class RunWriter:
    """Records one run of one seed; the caller adds each pass and then calls `finish` or `diverged`, once.

    config: the job's configuration; the run's own lists its seed alone.
    data_name, split: the data set trained on, and what the errors are measured on (Data.name, Data.split).
    All methods raise RecordError when a file cannot be written; what was written before stays.
    """

    def __init__(self, config: Config, seed: int, data_name: str, split: str) -> None:
        self.config, self.seed, self.data_name, self.split = config, seed, data_name, split
        self.folder = run_folder(config, seed)
        self._passes: list[dict[str, Any]] = []
        self._errors: list[dict[str, Any]] = []
        self._last: PassRecord | None = None
        self._test_size: int | None = None
        self._updates = 0
        self._environment = environment()
        for stale in ("metrics.json", "passes.csv", "errors.csv", "weights.safetensors"):
            try:
                (self.folder / stale).unlink(missing_ok=True)
            except OSError as error:
                raise RecordError(f"{self.folder / stale}: cannot be removed: {error.strerror}") from error
        resolved = OmegaConf.create(replace(config, seeds=[seed]).to_dict())
        write_atomic(self.folder / "config.yaml", OmegaConf.to_yaml(resolved))
        write_atomic(self.folder / "environment.json", json_text(self._environment))

    def add(self, record: PassRecord, data: Data) -> None:
        """Append the pass to passes.csv; data.test_labels (as long as record.predictions) tell the errors."""
        self._last, self._test_size = record, len(data.test_labels)
        self._updates += record.train_size
        self._passes.append(
            {
                "pass": record.pass_,
                "eta": float(record.eta),
                "rate_min": float(record.rate_min),
                "rate_max": float(record.rate_max),
                "train_loss": float(record.train_loss),
                "train_error_percent": 100 * record.train_errors / record.train_size,
                "test_error_percent": 100 * record.test_errors / self._test_size if self._test_size else None,
                "seconds": float(record.seconds),
            }
        )
        wrong = np.flatnonzero(record.predictions != data.test_labels)
        self._errors = [
            {
                "index": int(i),
                "true_label": int(data.test_labels[i]),
                "predicted_label": int(record.predictions[i]),
            }
            for i in wrong
        ]
        write_atomic(self.folder / "passes.csv", csv_text(PASS_COLUMNS, self._passes))

    def finish(self, training_set_error_percent: float | None = None) -> None:
        """Write the final network's errors and weights, then the metrics.

        training_set_error_percent: of the final weights on the whole training set; None if not measured.
        Raises ValueError without a pass.
        """
        if self._last is None:
            raise ValueError("a run without a pass cannot be finished")
        about = {"name": self.config.name, "fingerprint": self.config.fingerprint(), "seed": self.seed}
        # One key: safetensors writes several in an order that changes from process to process.
        metadata = {"run": json.dumps({**about, "passes": self._last.pass_, "dataset": self.data_name})}
        write_atomic(self.folder / "weights.safetensors", save(_contiguous(self._last.state), metadata))
        last = self._passes[-1]
        hopeless = last["train_error_percent"] >= DIVERGED_PERCENT or not math.isfinite(last["train_loss"])
        self._write_metrics(
            {
                "status": "diverged" if hopeless else "ok",
                "train_error_percent": last["train_error_percent"],
                "test_error_percent": last["test_error_percent"],
                "test_errors": self._last.test_errors,
                "training_set_error_percent": training_set_error_percent,
            }
        )

    def diverged(self, error: NonFiniteError) -> None:
        """Write the metrics of a run that could not go on: no final network, so no error and no weights."""
        self._errors = []
        at = f"pass {error.pass_} update {error.update}"
        self._write_metrics({"status": "diverged", "diverged_at": at})

    def _write_metrics(self, outcome: dict[str, Any]) -> None:
        write_atomic(self.folder / "errors.csv", csv_text(ERROR_COLUMNS, self._errors))
        first = self._passes[0] if self._passes else {}
        seconds = sum(row["seconds"] for row in self._passes)
        environment = self._environment
        metrics = {
            "name": self.config.name,
            "dataset": self.data_name,
            "split": self.split,
            "fingerprint": self.config.fingerprint(),
            "seed": self.seed,
            "engine": self.config.engine.name,
            "precision": self.config.engine.precision,
            "passes": len(self._passes),
            "status": outcome["status"],
            "diverged_at": outcome.get("diverged_at", ""),
            "train_error_percent": outcome.get("train_error_percent"),
            "test_error_percent": outcome.get("test_error_percent"),
            "test_errors": outcome.get("test_errors"),
            "test_size": self._test_size,
            "train_size": self._last.train_size if self._last else None,
            "training_set_error_percent": outcome.get("training_set_error_percent"),
            "rate_min_pass1": _finite(first.get("rate_min")),
            "rate_max_pass1": _finite(first.get("rate_max")),
            "seconds": seconds,
            "microseconds_per_update": 1e6 * seconds / self._updates if self._updates else None,
            "commit": environment["commit"],
            "dirty": environment["dirty"],
            "cpu": environment["cpu"],
            "torch": environment["torch"],
            "numba": environment["numba"],
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        write_atomic(self.folder / "metrics.json", json_text(metrics))


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _contiguous(state: Mapping[str, Any]) -> dict[str, Any]:
    return {name: np.ascontiguousarray(values) for name, values in state.items()}
