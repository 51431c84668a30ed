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


def wilson(percent: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval, %, where that percentage of n images is wrong, to the next whole image."""
    z2, p = stats.norm.isf(0.025) ** 2, round(percent / 100 * n) / n
    middle, half = p + z2 / (2 * n), math.sqrt(z2 * (p * (1 - p) / n + z2 / (4 * n * n)))
    return 100 * (middle - half) / (1 + z2 / n), 100 * (middle + half) / (1 + z2 / n)


def verdict(values: Sequence[float] | Floats, theirs: float, runs: int) -> str:
    """Whether the paper's value lies within the 95 % prediction interval for one more run."""
    if len(values) == 0:
        return "not reproduced"
    lost = f" ({runs - len(values)} diverged)" if runs > len(values) else ""
    if len(values) == 1:
        return "undecided" + lost
    low, high = t_interval(values, further=True)
    return ("reproduced" if low <= theirs <= high else "not reproduced") + lost


def sign_flips(differences: Sequence[float]) -> Any:
    """Two-sided p of the permutation test by all flips of signs; near to it where the table's are drawn."""
    if len(differences) < 2:
        return None
    sums = np.array([differences[0]])
    for difference in differences[1:]:
        sums = np.concatenate([sums + difference, sums - difference])
    total = abs(math.fsum(differences))
    p = float(np.mean(np.abs(sums) >= total * (1 - 1e-12) - 1e-12))
    if len(differences) <= 16:
        return Digits(p, 2)
    draws = 99_999  # the p of more than 16 pairs is drawn: two tails, each with one added to count and draws
    return Near(p, 8 * math.sqrt(p / 2 / draws) + 2 / draws)


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
