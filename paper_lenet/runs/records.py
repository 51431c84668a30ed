"""What a run writes: its own folder <output>/<name>/<fingerprint>/seed-<k>/, each file atomically.

metrics.json comes last: a folder without it is a run that did not end. It has the digests of the other files and its
own, so that nothing of a finished run changes unnoticed.
"""

from __future__ import annotations

import json
import math
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from paper_lenet import paper
from paper_lenet.config import OWN, Config, not_method
from paper_lenet.config.rules import dotted
from paper_lenet.data import Data
from paper_lenet.engines import Checkpoint, NonFiniteError, PassRecord
from paper_lenet.files import (
    RecordError,
    csv_text,
    digest_of,
    held,
    json_text,
    one_line,
    read_sealed,
    remove,
    remove_leftovers,
    sealed,
    sha256,
    tensor_bytes,
    write_atomic,
)
from paper_lenet.runs import checkpoints
from paper_lenet.runs.environment import environment, now

PASS_COLUMNS = (
    *("pass", "eta", "rate_min", "rate_max"),
    *("train_loss", "train_error_percent", "test_error_percent", "seconds"),
)
ERROR_COLUMNS = ("index", "true_label", "predicted_label")
# A network that gives all images one digit, or any, is wrong for 88.7 to 90.2 % of MNIST; one that learns is below.
GUESSING_PERCENT = 85.0


def job_folder(config: Config) -> Path:
    """The folder of all seeds of one configuration: <output>/<name>/<fingerprint>."""
    return Path(config.output) / config.name / config.fingerprint()


def run_folder(config: Config, seed: int) -> Path:
    """The folder of one run: <output>/<name>/<fingerprint>/seed-<k>."""
    return job_folder(config) / f"seed-{seed}"


@dataclass(frozen=True)
class Job:
    """What is to be run of one configuration, as its job.json has it.

    seeds: of all jobs of it.  differs: by dotted name, the fields of the method and the label that are not at their
    default, lists as JSON; None in a file of an earlier version.
    """

    seeds: list[int]
    differs: dict[str, Any] | None

    def words(self) -> str:
        """What to call the configuration: its label, or else how it differs from the defaults; nothing if unknown."""
        if self.differs is None:
            return ""
        fields = ", ".join(f"{key}={value}" for key, value in self.differs.items())
        return str(self.differs.get("label", fields or "all at the defaults"))


def write_job(config: Config) -> None:
    """List the job's seeds in its job.json, added to those that earlier jobs listed, and how its configuration differs
    from the defaults. Raises RecordError."""
    path = job_folder(config) / "job.json"
    # Nobody holds it for longer than it takes to write a line, so that only a machine that stands still is waited for.
    with held(path.parent, patience=60.0):
        remove_leftovers(path.parent)
        earlier = read_job(path.parent).seeds if path.exists() else []
        usual, fields = flat(Config().to_dict()), flat(config.to_dict())
        differs = {
            key: fields[key] for key in usual if key not in not_method(config.data.name) and fields[key] != usual[key]
        }
        about = {"name": config.name, "seeds": sorted({*earlier, *config.seeds}), "differs": differs}
        write_atomic(path, json_text(sealed(about)))


def flat(tree: dict[str, Any]) -> dict[str, Any]:
    """A nested dictionary with dotted keys, such as data.name, as results/runs has it: lists are JSON."""
    return {key: json.dumps(value) if isinstance(value, list) else value for key, value in dotted(tree).items()}


def read_job(folder: Path) -> Job:
    """What the jobs of a configuration have listed in the folder's job.json. Raises RecordError."""
    path = folder / "job.json"
    try:
        about = read_sealed(path)
        return Job([int(seed) for seed in about["seeds"]], dict(about["differs"]) if "differs" in about else None)
    except (LookupError, TypeError, ValueError) as error:
        raise RecordError(f"{path}: cannot be read: {one_line(error)}") from error


def finished(config: Config, seed: int) -> dict[str, Any] | None:
    """The metrics of a run that has ended, None for one that has not. Raises RecordError if they are damaged."""
    path = run_folder(config, seed) / "metrics.json"
    if not path.exists():
        return None
    metrics = read_sealed(path)
    if (metrics.get("fingerprint"), metrics.get("seed")) != (config.fingerprint(), seed):
        raise RecordError(
            f"{path}: of another run: fingerprint {metrics.get('fingerprint')}, seed {metrics.get('seed')}"
        )
    missing = [key for key in ("diverged_at", "commit", "date") if not isinstance(metrics.get(key), str)]
    if missing:
        raise RecordError(f"{path}: cannot be read: no {', '.join(missing)}")
    return metrics


def tidy(folder: Path) -> None:
    """Remove what a process left in a run's folder that was killed when the run had just ended."""
    # Nothing depends on it, so that a folder that is read-only or still held stays as it is.
    with suppress(RecordError):
        if any(folder.glob(".*")) or (folder / checkpoints.FILE).exists():
            with held(folder):
                _clear(folder)


def _clear(folder: Path) -> None:
    remove_leftovers(folder)
    remove(folder / checkpoints.FILE)


# Another state of the code or of its libraries may compute something else: such a checkpoint is not gone on with.
SAME_TO_RESUME = ("commit", "dirty", "python", "numpy", "torch", "numba")


class RunWriter:
    """Records one run of one seed; the caller begins, adds each pass and then calls `finish` or `diverged`, once.

    config: the job's configuration; the run's own lists its seed alone.
    data: what is trained on and what the errors are measured on.
    It holds the run's folder until it is closed, so that no other process writes there.
    All methods raise RecordError when a file cannot be written; what was written before stays.
    """

    def __init__(self, config: Config, seed: int, data: Data) -> None:
        self.config, self.seed, self.data = config, seed, data
        self.folder = run_folder(config, seed)
        self._passes: list[dict[str, Any]] = []
        self._errors: list[dict[str, Any]] = []
        self._last: PassRecord | None = None
        self._train_size: int | None = None
        self._digests: dict[str, str] = {}
        self._begun = False
        self._environment = environment()
        self._held = ExitStack()
        self._held.enter_context(held(self.folder))

    def _write(self, name: str, content: bytes | str) -> None:
        content = content.encode() if isinstance(content, str) else content
        self._digests[name] = sha256(content)
        write_atomic(self.folder / name, content)

    def close(self) -> None:
        self._held.close()

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def tidy(self) -> None:
        """As the function `tidy`, for who holds the folder."""
        _clear(self.folder)

    def begin(self) -> tuple[Checkpoint | None, str]:
        """Where to go on, None for the start; and what a reader of the log should know of it, or nothing.

        Removes what cannot be gone on with, and all that is there unless the configuration has `resume`. A second call
        goes on from what was written since the first, whatever the configuration says.
        """
        remove_leftovers(self.folder)
        point, remark = None, ""
        self._passes, self._errors, self._last, self._train_size = [], [], None, None
        if self._begun or (self.config.resume and not self.config.force):
            try:
                point, remark = self._resume()
            except RecordError as error:
                remark = f"{error}; the run starts anew"
        self._begun = True
        if point is None:
            for stale in ("metrics.json", checkpoints.FILE, "passes.csv", "errors.csv", "weights.safetensors"):
                remove(self.folder / stale)
        if self.config.data.name in OWN:
            self._hold_images()
        resolved = replace(self.config, seeds=[self.seed], resume=True, force=False)
        self._write("config.yaml", OmegaConf.to_yaml(OmegaConf.create(resolved.to_dict())))
        self._write("environment.json", json_text(self._environment))
        return point, remark

    def _hold_images(self) -> None:
        """Raises RecordError where the images are not those of the first run of this configuration."""
        path = self.folder.parent / "images.json"
        with held(self.folder.parent, patience=60.0):
            if not path.exists():
                write_atomic(path, json_text(sealed({"dataset": self.data.name})))
        before = read_sealed(path).get("dataset")
        if before != self.data.name:
            raise RecordError(
                f"data.dir={self.config.data.dir}: other images than before, {before} then and {self.data.name} now; "
                "another name=... keeps them apart"
            )

    def _resume(self) -> tuple[Checkpoint | None, str]:
        found = checkpoints.read(self.folder)
        if found is None:
            return None, ""
        run, rows, point = found
        path = self.folder / checkpoints.FILE
        if (run.get("fingerprint"), run.get("seed")) != (self.config.fingerprint(), self.seed):
            raise RecordError(f"{path}: of another run: fingerprint {run.get('fingerprint')}, seed {run.get('seed')}")
        done = point.pass_ if point.record else point.pass_ - 1
        if [(*row, row.get("pass")) for row in rows] != [(*PASS_COLUMNS, pass_ + 1) for pass_ in range(done)]:
            raise RecordError(f"{path}: not a checkpoint: its rows are not of {done} passes")
        before = run.get("environment", {})
        for key in SAME_TO_RESUME:
            if before.get(key) != self._environment[key]:
                raise RecordError(f"{path}: made with {key} {before.get(key)}, here is {self._environment[key]}")
        for key in ("cpu", "gpu", "platform"):
            machines = str(before.get(key)).split(" + ")
            if str(self._environment[key]) not in machines:
                self._environment[key] = " + ".join([*machines, str(self._environment[key])])
            else:
                self._environment[key] = before.get(key)
        self._passes, self._train_size = rows, run.get("train_size")
        if point.record is not None:
            self._remember(point.record)
        where = f"pass {point.pass_}" if point.record else f"update {point.update} of pass {point.pass_}"
        return point, f"goes on after {where}"

    def checkpoint(self, point: Checkpoint) -> None:
        """Keep the point, so that a later process can go on from it."""
        about = {"fingerprint": self.config.fingerprint(), "seed": self.seed, "environment": self._environment}
        about |= {"train_size": self._train_size}
        checkpoints.write(self.folder, about, self._passes, point)

    def _remember(self, record: PassRecord) -> None:
        self._last, self._train_size = record, record.train_size
        true = self.data.test_labels
        self._errors = [
            {"index": int(i), "true_label": int(true[i]), "predicted_label": int(record.predictions[i])}
            for i in np.flatnonzero(record.predictions != true)
        ]

    def add(self, record: PassRecord) -> None:
        """Append the pass to passes.csv; record.predictions are as many as the held-out images."""
        test_size = len(self.data.test_labels)
        self._passes.append(
            {
                "pass": record.pass_,
                "eta": float(record.eta),
                "rate_min": float(record.rate_min),
                "rate_max": float(record.rate_max),
                "train_loss": float(record.train_loss),
                "train_error_percent": 100 * record.train_errors / record.train_size,
                "test_error_percent": 100 * record.test_errors / test_size if test_size else None,
                "seconds": float(record.seconds),
            }
        )
        self._remember(record)
        self._write("passes.csv", csv_text(PASS_COLUMNS, self._passes))

    def finish(self) -> str:
        """Write the final network's errors and weights, then the metrics. Raises ValueError without a pass.

        A run has diverged if its loss is not finite, or if the final network is at guessing on its own training set
        although it has had at least as many patterns as a pass of the paper. Returns that in words, or nothing.
        """
        if self._last is None:
            raise ValueError("a run without a pass cannot be finished")
        final = self._last
        about = {"name": self.config.name, "fingerprint": self.config.fingerprint(), "seed": self.seed}
        about |= {"passes": final.pass_, "dataset": self.data.name}
        self._write("weights.safetensors", tensor_bytes(about, final.state))
        last = self._passes[-1]
        on_all = None if final.training_set_errors is None else 100 * final.training_set_errors / final.train_size
        not_finite = [row["pass"] for row in self._passes if not math.isfinite(row["train_loss"])]
        at_guessing = on_all is not None and on_all >= GUESSING_PERCENT
        at_guessing = at_guessing and len(self._passes) * final.train_size >= paper.TRAIN_SIZE
        self._write_metrics(
            {
                "status": "diverged" if not_finite or at_guessing else "ok",
                "diverged_at": f"pass {not_finite[0]}" if not_finite else "",
                "train_error_percent": last["train_error_percent"],
                "test_error_percent": last["test_error_percent"],
                "test_errors": final.test_errors,
                "training_set_error_percent": on_all,
                "weights": digest_of(final.state),
            }
        )
        if not_finite:
            return f"diverged: its loss is not finite in pass {not_finite[0]}"
        return f"diverged: it ended at guessing, {on_all:.2f} % of its training set wrong" if at_guessing else ""

    def diverged(self, error: NonFiniteError) -> None:
        """Write the metrics of a run that could not go on: no final network, so no error and no weights."""
        self._errors = []
        at = f"pass {error.pass_} update {error.update}"
        self._write_metrics({"status": "diverged", "diverged_at": at})

    def _write_metrics(self, outcome: dict[str, Any]) -> None:
        # once more, for a run that was killed between its last checkpoint and this file
        self._write("passes.csv", csv_text(PASS_COLUMNS, self._passes))
        self._write("errors.csv", csv_text(ERROR_COLUMNS, self._errors))
        first = self._passes[0] if self._passes else {}
        seconds = sum(row["seconds"] for row in self._passes)
        updates = len(self._passes) * (self._train_size or 0)
        environment = self._environment
        metrics = {
            "name": self.config.name,
            "dataset": self.data.name,
            "split": self.data.split,
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
            "test_size": len(self.data.test_labels) if self._passes else None,
            "train_size": self._train_size,
            "training_set_error_percent": outcome.get("training_set_error_percent"),
            "rate_min_pass1": _finite(first.get("rate_min")),
            "rate_max_pass1": _finite(first.get("rate_max")),
            "seconds": seconds,
            "microseconds_per_update": 1e6 * seconds / updates if updates else None,
            "weights": outcome.get("weights", ""),
            "commit": environment["commit"],
            "dirty": environment["dirty"],
            "cpu": environment["cpu"],
            "torch": environment["torch"],
            "numba": environment["numba"],
            "date": now(),
            "files": dict(sorted(self._digests.items())),
        }
        write_atomic(self.folder / "metrics.json", json_text(sealed(metrics)))
        remove(self.folder / checkpoints.FILE)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
