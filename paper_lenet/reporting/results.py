"""What reads the files of results/, whole rows only; nothing here trains or types a number."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from paper_lenet.errors import PaperLenetError
from paper_lenet.files import RecordError, one_line, read_table
from paper_lenet.runs.collect import LATER_COLUMNS, RUN_COLUMNS
from paper_lenet.runs.records import ERROR_COLUMNS, PASS_COLUMNS


class TableError(PaperLenetError):
    """Results that cannot become a table, or a file that cannot take one; the message is one line."""


# Cells that every row of results/runs has, and those that it has if its run did not diverge.
IN_EVERY_RUN = (
    *("name", "dataset", "split", "fingerprint", "seed", "engine", "precision", "passes", "status"),
    *("commit", "dirty", "cpu", "torch", "numba", "date"),
)
IN_FINISHED_RUNS = ("train_error_percent", "test_size", "train_size", "seconds")
NUMBERS = (
    *("seed", "passes", "train_error_percent", "test_error_percent", "test_errors", "test_size", "train_size"),
    *("training_set_error_percent", "rate_min_pass1", "rate_max_pass1", "seconds", "microseconds_per_update"),
)
RUN = ["fingerprint", "seed"]


def read_results(path: Path, columns: Sequence[str] = ()) -> pd.DataFrame:
    """A CSV file of results, whole rows only. Raises TableError if it cannot be read, was cut off, or has no rows."""
    frame = read_csv(path)
    if frame.empty or "fingerprint" not in frame:
        raise TableError(f"{path}: no results in it")
    _need_columns(path, frame, columns)
    return frame


def read_runs(results: Path, name: str) -> pd.DataFrame:
    """results/runs/<name>.csv, with all of its columns, each row checked, as many as results/env counts.

    Raises TableError, which names file and row.
    """
    path = results / "runs" / f"{name}.csv"
    runs = read_results(path, [column for column in RUN_COLUMNS if column not in LATER_COLUMNS])
    _need_numbers(path, runs, NUMBERS)
    for column in IN_EVERY_RUN:
        _need(path, runs, runs[column].notna(), f"no {column}")
    _need(path, runs, runs["status"].isin(["ok", "diverged"]), "status is neither ok nor diverged")
    _need(path, runs, runs["dirty"].astype(str).isin(["True", "False"]), "dirty is neither True nor False")
    ended = runs["status"] == "ok"
    for column in IN_FINISHED_RUNS:
        _need(path, runs, ~ended | runs[column].notna(), f"no {column}")
    for column in ("test_error_percent", "test_errors"):
        _need(path, runs, ~(ended & (runs["test_size"] > 0)) | runs[column].notna(), f"no {column}")
    _need(path, runs, ~runs.duplicated(RUN), "a run that an earlier row has")
    counted = _runs_counted(results / "env" / f"{name}.json")
    if counted != len(runs):
        raise TableError(f"{path}: {len(runs)} rows, but env/{name}.json counts {counted} runs")
    return runs


def read_curves(results: Path, name: str, runs: pd.DataFrame) -> pd.DataFrame:
    """results/curves/<name>.csv, a row for each pass of each of the runs. Raises TableError, which names file and row.

    runs: all of results/runs/<name>.csv, those that diverged among them.
    """
    path = results / "curves" / f"{name}.csv"
    curves = read_results(path, (*RUN, *PASS_COLUMNS))
    _need_numbers(path, curves, ("seed", *PASS_COLUMNS))
    for column in (*RUN, "pass", "train_error_percent"):
        _need(path, curves, curves[column].notna(), f"no {column}")
    passes: dict[Any, list[int]] = {run: sorted(of_run) for run, of_run in curves.groupby(RUN)["pass"]}
    for fingerprint, seed, expected in runs[[*RUN, "passes"]].itertuples(index=False):
        found = passes.pop((fingerprint, seed), [])
        if found != list(range(1, int(expected) + 1)):
            raise TableError(f"{path}: {fingerprint} seed {seed}: {len(found)} passes, in runs/{name}.csv {expected}")
    _refuse_others(path, name, passes)
    return curves


def read_errors(results: Path, name: str, runs: pd.DataFrame) -> pd.DataFrame:
    """The wrong images of the runs that did not diverge, from results/errors/<name>.csv, all of each run's.

    runs: all of results/runs/<name>.csv, those that diverged among them. Raises TableError, which names file and row,
    also where a run has not as many wrong images as its row of results/runs counts.
    """
    path = results / "errors" / f"{name}.csv"
    errors = read_csv(path, (*RUN, *ERROR_COLUMNS))
    _need_numbers(path, errors, ("seed", *ERROR_COLUMNS))
    for column in (*RUN, *ERROR_COLUMNS):
        _need(path, errors, errors[column].notna(), f"no {column}")
    _need(path, errors, ~errors.duplicated([*RUN, "index"]), "an image that an earlier row has")
    listed: dict[Any, int] = {run: len(of_run) for run, of_run in errors.groupby(RUN)}
    for fingerprint, seed, expected in runs[[*RUN, "test_errors"]].fillna(0).itertuples(index=False):
        found = listed.pop((fingerprint, seed), 0)
        if found != expected:
            raise TableError(f"{path}: {fingerprint} seed {seed}: {found} errors, in runs/{name}.csv {expected:.0f}")
    _refuse_others(path, name, listed)
    return errors.merge(finished(runs)[RUN], on=RUN)


def read_csv(path: Path, columns: Sequence[str] = ()) -> pd.DataFrame:
    """A CSV file with these columns that ends with its last row, all as long as its header; it may have none.

    Raises TableError.
    """
    # Hexadecimal digits may look like a number, even like 12e456789012; what is read in a string may begin with 0.
    text = {
        "fingerprint": str,
        "commit": str,
        "weights": str,
        "diverged_at": str,
        "label": str,
        "of": str,
        "read": str,
        "positions": str,
    }
    try:
        read_table(path)
        # an empty cell is missing, a label "None" is not
        frame = pd.read_csv(path, dtype=text, keep_default_na=False, na_values=[""])
    except RecordError as error:
        raise TableError(str(error)) from error
    except (OSError, ValueError) as error:
        raise TableError(f"{path}: cannot be read: {one_line(error)}") from error
    _need_columns(path, frame, columns)
    return frame


def _need_columns(path: Path, frame: pd.DataFrame, columns: Sequence[str]) -> None:
    missing = [column for column in columns if column not in frame]
    if missing:
        raise TableError(f"{path}: no column {', '.join(missing)}")


def _need_numbers(path: Path, frame: pd.DataFrame, columns: Sequence[str]) -> None:
    for column in columns:
        values = pd.to_numeric(frame[column], errors="coerce")
        _need(path, frame, values.notna() | frame[column].isna(), f"{column} is not a number")


def _need(path: Path, frame: pd.DataFrame, holds: pd.Series[bool], otherwise: str) -> None:
    """Raises TableError that names the first row, counted from 1, for which something does not hold."""
    wrong = [number for number, of_row in enumerate(holds, 1) if not of_row]
    if wrong:
        row = frame.iloc[wrong[0] - 1]
        whose = f" ({row['fingerprint']} seed {row['seed']})" if row[RUN].notna().all() else ""
        raise TableError(f"{path}: row {wrong[0]}{whose}: {otherwise}")


def _refuse_others(path: Path, name: str, left: Mapping[Any, object]) -> None:
    for fingerprint, seed in left:
        raise TableError(f"{path}: {fingerprint} seed {seed}: not in runs/{name}.csv")


def _runs_counted(path: Path) -> int:
    """How many runs a file of results/env counts. Raises TableError."""
    try:
        return sum(int(environment["runs"]) for environment in json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise TableError(f"{path}: cannot be read: {one_line(error)}") from error


def finished(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs that did not diverge."""
    return runs[runs["status"] == "ok"]


def numbers(runs: pd.DataFrame, column: str) -> list[float]:
    """A column as floats."""
    return [float(value) for value in runs[column]]


def errors_by_seed(runs: pd.DataFrame) -> dict[int, float]:
    """The error on held-out images of each run that did not diverge."""
    done = finished(runs)
    return dict(zip(map(int, done["seed"]), numbers(done, "test_error_percent"), strict=True))
