"""How far the runs below a folder have come, read from their folders without holding, changing or opening more than
their small files."""

from __future__ import annotations

import csv
import io
import os
import platform
import re
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from paper_lenet.config import NOT_METHOD, Config
from paper_lenet.errors import PaperLenetError
from paper_lenet.files import RecordError, one_line, read_sealed
from paper_lenet.runs.records import GUESSING_PERCENT, PASS_COLUMNS, flat, read_job

HOLDER = re.compile(r"process (\d+) on (\S+) since")
COLUMNS = (
    *("job", "configuration", "seed", "passes", "training error, %", "held-out error, %"),
    *("seconds a pass", "time to go", "state"),
)


@dataclass
class Run:
    """One run as its folder shows it, <output>/<job>/<fingerprint>/seed-<k>.

    settings: the fields of its configuration, with dotted names; empty where neither a run nor job.json tells them.
    passes: finished ones.  of: how many there are to be, 0 if unknown.  train_error, held_out_error: of the last
    finished pass, in %, None without.  seconds: mean over its passes, of training alone.
    state: `finished`, `diverged`, `running`, `stopped`, `not begun` or `damaged`.  detail: where it diverged, who runs
    it, or what is damaged.  since_pass: seconds since the last pass was over, by the clock of the file system.
    """

    folder: Path
    seed: int
    settings: Mapping[str, Any]
    of: int
    passes: int = 0
    train_error: float | None = None
    held_out_error: float | None = None
    seconds: float | None = None
    state: str = "not begun"
    detail: str = ""
    since_pass: float = 0.0

    @property
    def job(self) -> str:
        return self.folder.parents[1].name

    @property
    def fingerprint(self) -> str:
        return self.folder.parent.name


def read(folder: Path) -> list[Run]:
    """All runs below a folder: that of all jobs, of one job, of one configuration, or of one run.

    Sorted by job, configuration and seed; runs that a job has listed and not begun are among them. Raises
    PaperLenetError if there are none.
    """
    try:
        found = {path.parent for pattern in ("", "*/", "*/*/") for path in folder.glob(f"{pattern}seed-*")}
        found |= {path.parent for pattern in ("", "*/", "*/*/") for path in folder.glob(f"{pattern}job.json")}
    except OSError as error:
        raise PaperLenetError(f"{folder}: cannot be read: {error.strerror}") from error
    if not found and folder.name.startswith("seed-") and (folder / "config.yaml").exists():
        found = {folder.parent}
    runs = [run for place in sorted(found) for run in _runs_of(place.resolve())]
    if folder.name.startswith("seed-"):
        runs = [run for run in runs if f"seed-{run.seed}" == folder.name]
    if not runs:
        raise PaperLenetError(f"{folder}: no runs here")
    return runs


def _runs_of(job: Path) -> list[Run]:
    """The runs of one configuration by seed."""
    numbers = (path.name.removeprefix("seed-") for path in job.glob("seed-*"))
    seeds = {int(number) for number in numbers if number.isdecimal()}
    planned: dict[str, Any] = {}
    with suppress(RecordError):  # which `collect` refuses; the folders tell all the same
        listed = read_job(job)
        seeds |= set(listed.seeds)
        planned = {} if listed.differs is None else flat(Config().to_dict()) | listed.differs
    # one configuration, so that any run's will do
    settings = next(filter(None, (_settings(job / f"seed-{seed}" / "config.yaml") for seed in seeds)), planned)
    passes = settings.get("optim.passes")
    return [
        _looked_at(Run(job / f"seed-{seed}", seed, settings, passes if isinstance(passes, int) else 0))
        for seed in sorted(seeds)
    ]


def _settings(path: Path) -> dict[str, Any]:
    """The fields of a run's config.yaml with dotted names; empty where it cannot be read. Nothing is interpolated."""
    try:
        tree = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except Exception:  # YAML's or OmegaConf's: `collect` says what is wrong
        return {}
    return flat({str(key): value for key, value in tree.items()}) if isinstance(tree, dict) else {}


def _looked_at(run: Run) -> Run:
    """The run with what its folder tells."""
    if not run.folder.is_dir():
        return run
    try:
        path = run.folder / "passes.csv"
        rows = read_passes(path)
        if rows:
            train, held_out = (rows[-1][key] for key in ("train_error_percent", "test_error_percent"))
            run.train_error, run.held_out_error = (float(error) if error else None for error in (train, held_out))
            run.seconds = statistics.fmean([float(row["seconds"]) for row in rows])
            run.passes, run.since_pass = len(rows), max(0.0, time.time() - path.stat().st_mtime)
        holder = _holder(run.folder / ".lock")
        # after the lock, which a run lets go of when its metrics are written
        metrics = run.folder / "metrics.json"
        if metrics.exists():
            ended = read_sealed(metrics)
            run.state = "finished" if ended.get("status") == "ok" else "diverged"
            guessing = run.state == "diverged" and (ended.get("training_set_error_percent") or 0) >= GUESSING_PERCENT
            run.detail = str(ended.get("diverged_at") or ("ended at guessing" if guessing else ""))
        else:
            run.state, run.detail = ("stopped", "") if holder is None else ("running", holder)
    except (OSError, RecordError) as error:
        run.state, run.detail = "damaged", str(error).removeprefix(f"{run.folder}/")
    return run


def _holder(lock: Path) -> str | None:
    """Who holds a run's folder, empty if that is not said; None for nobody. The lock itself is not touched."""
    try:
        text = lock.read_text(encoding="utf-8")
    except OSError:
        return None
    found = HOLDER.match(text)
    if found is None:  # it was made this moment, or the disk is full
        return ""
    return f"process {found[1]} on {found[2]}" if _holds(int(found[1]), found[2], lock) else None


def _holds(process: int, host: str, lock: Path) -> bool:
    """Whether that process has the file open. Of another machine's that cannot be known: what it wrote is believed."""
    if host != platform.node() or os.name == "nt":  # where to ask for a process is to interrupt it
        return True
    opened = Path(f"/proc/{process}/fd")
    if not Path("/proc/self/fd").exists():
        try:
            os.kill(process, 0)
        except OSError as error:
            return isinstance(error, PermissionError)
        return True
    try:
        return any(_target(link) == str(lock) for link in opened.iterdir())
    except PermissionError:  # another user's
        return True
    except OSError:
        return False


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except OSError:  # closed meanwhile
        return ""


def read_passes(path: Path) -> list[dict[str, str]]:
    """The rows of a run's passes.csv, with its columns as text; none if it is not there. Raises RecordError."""
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
    except FileNotFoundError:
        return []
    except (OSError, ValueError, csv.Error) as error:
        raise RecordError(f"{path}: cannot be read: {one_line(error)}") from error
    try:
        for row in rows:
            for column in PASS_COLUMNS:
                float(row[column] or 0)
    except (ValueError, LookupError, TypeError):
        raise RecordError(f"{path}: not a table of numbers with the columns {', '.join(PASS_COLUMNS)}") from None
    return rows


def time_to_go(run: Run, together: int) -> float | None:
    """Seconds until a running run ends; together: how many its process trains at a time. None where it is unknown."""
    if run.state != "running" or not run.seconds or not run.of:
        return None
    return max(0.0, (run.of - run.passes) * run.seconds * together - run.since_pass)


def table(runs: Iterable[Run]) -> list[list[str]]:
    """A row a run, its cells as COLUMNS has them."""
    runs = list(runs)
    together = Counter(run.detail for run in runs if run.state == "running")
    told = _configurations(runs)
    rows = []
    for run in runs:
        left = time_to_go(run, together[run.detail])
        rows.append(
            [
                *(run.job, told[run.job, run.fingerprint], str(run.seed), f"{run.passes} of {run.of or '?'}"),
                *("-" if error is None else f"{error:.2f}" for error in (run.train_error, run.held_out_error)),
                "-" if run.seconds is None else f"{run.seconds:.1f}",
                "-" if left is None else f"{left / 60:.0f} min" if left >= 90 else f"{left:.0f} s",
                f"{run.state}: {run.detail}" if run.detail else run.state,
            ]
        )
    return rows


def _configurations(runs: Iterable[Run]) -> dict[tuple[str, str], str]:
    """What to call each configuration: its label, or the fields that are not the same in all of its job's."""
    usual = flat(Config().to_dict())
    jobs: dict[str, dict[str, Mapping[str, Any]]] = {}
    for run in runs:
        jobs.setdefault(run.job, {})[run.fingerprint] = run.settings
    told = {}
    for job, of_job in jobs.items():
        keys = sorted({key for settings in of_job.values() for key in settings} - {*NOT_METHOD, "label"})
        values = {key: {str(settings.get(key, usual.get(key))) for settings in of_job.values()} for key in keys}
        varied = [key for key in keys if len(values[key]) > 1]
        for fingerprint, settings in of_job.items():
            fields = ", ".join(f"{key}={settings[key]}" for key in varied if key in settings)
            told[job, fingerprint] = str(settings.get("label") or fields or fingerprint)
    return told


def count(runs: Iterable[Run]) -> str:
    """How many runs there are of each state, in one line."""
    states = Counter(run.state for run in runs)
    order = ("finished", "running", "stopped", "not begun", "diverged", "damaged")
    return ", ".join(f"{states[state]} {state}" for state in order if states[state])
