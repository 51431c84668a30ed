"""What the columns of all tables are made of: what a cell may be, files, and statistics over seeds and images."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

ROOT = Path(__file__).resolve().parents[2]
PAPER = ROOT / "paper_lenet" / "paper"
Floats = NDArray[np.float64]

# What the paper states: errors (p. 10 to 12), rates of the first pass (p. 10), amounts that are read (Section X).
TEST_ERROR, DISTORTED_ERROR, TRAIN_ERROR = 0.95, 0.8, 0.35
RATES = (7e-5, 0.016)
AMOUNTS_READ = 82
# Of MNIST: test images of each digit.
DIGITS = np.array([980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009])
TEST_SIZE, TRAIN_SIZE, PASSES = 10_000, 60_000, 20
TEST, TRAIN = "test_error_percent", "train_error_percent"
EQUAL = "equal within 0.1 points"

NUMBER = r"[-+]?[\d,]*\.?\d+(?:e[-+]?\d+)?"


# What a cell must be: text, a number as it is printed, several of them, none, or one of these.


@dataclass(frozen=True)
class Key:
    """A label by which a row is found; all rows of a table have them in the same columns."""

    text: str


@dataclass(frozen=True)
class Digits:
    """A number printed with so many significant digits, zeros at the end left out."""

    value: float
    digits: int


@dataclass(frozen=True)
class Near:
    """A number that was drawn: how far the printed one may be off."""

    value: float
    slack: float


@dataclass(frozen=True)
class OneOf:
    """Texts of which any will do."""

    texts: tuple[str, ...]


@dataclass(frozen=True)
class Skip:
    """A cell that is not recomputed, and why."""

    why: str


Row = dict[str, Any]


@dataclass
class Table:
    """A table as it is committed; of columns with one name the second is called name#2."""

    name: str
    header: list[str]
    rows: list[list[str]]
    csv: list[list[str]]

    def column(self, name: str) -> list[str]:
        """The cells of a column."""
        return [row[self.header.index(name)] for row in self.rows]


# Reading


@cache
def read(path: Path, header: int | None = 0) -> pd.DataFrame:
    """A CSV file, all of it as text."""
    return pd.read_csv(path, dtype=str, keep_default_na=False, header=header)


def numbers(column: pd.Series[Any]) -> Floats:
    """A column as floats; nan of empty cells."""
    return pd.to_numeric(column.replace("", np.nan)).to_numpy(np.float64)


def finished(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs that did not diverge."""
    return runs[runs["status"] == "ok"]


def by_seed(rows: pd.DataFrame, column: str = TEST) -> dict[str, float]:
    """A number of each seed."""
    return dict(zip(rows["seed"], numbers(rows[column]).tolist(), strict=True))


def configurations(runs: pd.DataFrame) -> list[pd.DataFrame]:
    """The runs of each configuration."""
    return [group for _, group in runs.groupby("fingerprint", sort=False)]


def wrong_images(results: Path, name: str, runs: pd.DataFrame) -> list[set[str]]:
    """The test images that each of these runs gets wrong."""
    errors = read(results / "errors" / f"{name}.csv")
    of_run: dict[Any, set[str]] = {key: set(of["index"]) for key, of in errors.groupby(["fingerprint", "seed"])}
    return [of_run.get(key, set()) for key in runs[["fingerprint", "seed"]].itertuples(index=False, name=None)]


def curves_of(results: Path, name: str, runs: pd.DataFrame) -> Floats:
    """(n, passes) training errors of these runs, %."""
    curves = read(results / "curves" / f"{name}.csv")
    of_run: dict[Any, Floats] = {key: numbers(of[TRAIN]) for key, of in curves.groupby(["fingerprint", "seed"])}
    keys = runs[["fingerprint", "seed"]].itertuples(index=False, name=None)
    return np.array([of_run[key][:PASSES] for key in keys]).reshape(len(runs), PASSES)


def fig5() -> Floats:
    """The training errors of Fig. 5, %."""
    return numbers(read(PAPER / "fig5_learning_curve.csv")[TRAIN])[:PASSES]


def canonical(text: str) -> str:
    """A label in which numbers, also those of a list, are written one way."""
    if text.startswith("["):
        items = re.findall(rf"({NUMBER})(?: ×(\d+))?", text)
        return str([float(number) for number, times in items for _ in range(int(times or 1))])
    return f"{float(text.replace(',', '')):.8g}" if re.fullmatch(NUMBER, text) else text


# Statistics


def spread(values: Sequence[float] | Floats, runs: int = 0, digits: int = 0) -> Any:
    """Mean and sample standard deviation of values; of one the value; of none how many runs diverged."""
    if len(values) == 0:
        return f"{runs} of {runs} diverged"
    if len(values) == 1:
        return float(values[0])
    found = float(np.mean(values)), float(np.std(values, ddof=1))
    return tuple(Digits(value, digits) for value in found) if digits else found


def t_interval(values: Sequence[float] | Floats, digits: int = 0, further: bool = False, level: float = 0.95) -> Any:
    """Student's interval of the mean, or of one further value; None of fewer than two."""
    n = len(values)
    if n < 2:
        return None
    scale = float(np.std(values, ddof=1)) * math.sqrt(1 / n + further)
    half = float(stats.t.isf((1 - level) / 2, n - 1)) * scale
    ends = float(np.mean(values)) - half, float(np.mean(values)) + half
    return tuple(Digits(end, digits) for end in ends) if digits else ends


def judged(values: Sequence[float] | Floats, theirs: float, runs: int = 0, points: bool = True) -> Row:
    """The paper's value in standard deviations of one more run, whether our mean is within 0.1 of it, and a verdict.

    By the 95 % prediction interval; below 10 runs it says so, below 5 there is none. Equality is by two one-sided t
    tests at 5 %, which is what the 90 % interval of the mean says.
    """
    n = len(values)
    if n == 0:
        return {"z": None, EQUAL: None, "verdict": "not reproduced"}
    mean, further = float(np.mean(values)), float(np.std(values, ddof=1)) * math.sqrt(1 + 1 / n) if n > 1 else 0.0
    verdict, equal = "no verdict", None
    if n >= 5:
        low, high = t_interval(values, further=True)
        verdict = ("reproduced" if low <= theirs <= high else "not reproduced") + (" (n < 10)" if n < 10 else "")
        standard_error = further / math.sqrt(n + 1) or math.ulp(0.0)  # where all are equal
        above, below = (stats.t.sf((0.1 + sign * (theirs - mean)) / standard_error, n - 1) for sign in (1, -1))
        equal = "yes" if max(above, below) < 0.05 else "no" if max(above, below) > 0.95 else "open"
    lost = f" ({runs - n} diverged)" if runs > n else ""
    z = (theirs - mean) / further if further else None
    return {"z": z, EQUAL: equal if points else None, "verdict": verdict + lost}


def sign_flips(differences: Sequence[float]) -> Any:
    """Two-sided p of the permutation test by all flips of signs."""
    if len(differences) < 2:
        return None
    sums = np.array([differences[0]])
    for difference in differences[1:]:
        sums = np.concatenate([sums + difference, sums - difference])
    total = abs(math.fsum(differences))
    p = float(np.mean(np.abs(sums) >= total * (1 - 1e-12) - 1e-12))
    return Digits(p, 2)


def holm(ps: Sequence[float]) -> list[float]:
    """Each p corrected by Holm's method; nan takes no part."""
    family = sorted((p, k) for k, p in enumerate(ps) if not math.isnan(p))
    corrected, largest = [math.nan] * len(ps), 0.0
    for rank, (p, k) in enumerate(family):
        largest = max(largest, min(1.0, (len(family) - rank) * p))
        corrected[k] = largest
    return corrected


def log_rms(ours: Floats, theirs: Floats) -> float:
    """Root mean square of ln(ours / theirs)."""
    return float(np.sqrt(np.mean(np.log(ours / theirs) ** 2)))


def paired(a: dict[str, float], b: dict[str, float]) -> list[float]:
    """a minus b for each seed that both have."""
    return [a[seed] - b[seed] for seed in a if seed in b]
