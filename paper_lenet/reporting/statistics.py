"""Statistics over seeds and over test images: SciPy's and statsmodels', under the names that the tables use.

Intervals over seeds say how runs differ from each other; Wilson's says how much one test set can tell.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

Interval = tuple[float, float]


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean; nan of nothing."""
    return math.fsum(values) / len(values) if values else math.nan


def std(values: Sequence[float]) -> float:
    """Standard deviation of a sample (n - 1 in the denominator); nan for fewer than two values."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def log_distance(ours: ArrayLike, others: ArrayLike) -> float:
    """Root mean square of ln(ours / others): 0.1 is about 10 %. nan where one is missing, inf where ours is 0."""
    with np.errstate(divide="ignore"):
        return float(np.sqrt(np.mean(np.square(np.log(np.asarray(ours, float) / np.asarray(others, float))))))


def t_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Student's interval of the mean, same unit as the values; (nan, nan) for fewer than two values."""
    return _around_mean(values, level, 1 / len(values) if values else math.nan)


def prediction_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Student's interval for one further value of the same kind; (nan, nan) for fewer than two values."""
    return _around_mean(values, level, 1 + 1 / len(values) if values else math.nan)


def _around_mean(values: Sequence[float], level: float, variance_factor: float) -> Interval:
    if len(values) < 2:
        return math.nan, math.nan
    quantile = float(stats.t.ppf((1 + level) / 2, len(values) - 1))
    half = quantile * std(values) * math.sqrt(variance_factor)
    return mean(values) - half, mean(values) + half


def wilson(errors: int, n: int, level: float = 0.95) -> Interval:
    """Wilson's interval of an error rate, as fractions, after `errors` of `n` patterns were wrong."""
    interval = stats.binomtest(errors, n).proportion_ci(level, "wilson")
    return float(interval.low), float(interval.high)


def paired_t(a: Sequence[float], b: Sequence[float], level: float = 0.95) -> tuple[float, float, float, float]:
    """Student's paired test: mean of a - b, the ends of its interval, and the two-sided p of a mean of 0.

    Interval and p are nan for fewer than two pairs. Where all differences are the same, so are the ends, and p is 1 if
    they are 0, else 0. ValueError for unequal lengths.
    """
    differences = [x - y for x, y in zip(a, b, strict=True)]
    difference = mean(differences)
    if len(differences) < 2:
        return difference, math.nan, math.nan, math.nan
    if std(differences) == 0:
        return difference, difference, difference, 0.0 if difference else 1.0
    test = stats.ttest_rel(a, b)
    interval = test.confidence_interval(level)
    return difference, float(interval.low), float(interval.high), float(test.pvalue)


def holm(ps: Sequence[float]) -> list[float]:
    """Each p of a family corrected by Holm's step-down method; nan stays nan and is none of the family."""
    corrected = np.array(ps, dtype=float)
    family = ~np.isnan(corrected)
    corrected[family] = multipletests(corrected[family], method="holm")[1]
    return [float(p) for p in corrected]


def permutation_p(a: Sequence[float], b: Sequence[float]) -> float:
    """Two-sided p of the paired permutation test on the mean of a - b: it flips the differences' signs.

    Exact up to 16 pairs, beyond from 99,999 draws with a fixed seed; nan for fewer than two pairs. With n
    pairs no p is below 2 / 2**n. ValueError for unequal lengths.
    """
    if len(a) != len(b):
        raise ValueError(f"{len(a)} values cannot be paired with {len(b)}")
    if len(a) < 2:
        return math.nan
    test = stats.permutation_test(
        (np.subtract(a, b),),
        lambda differences, axis: np.mean(differences, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=99_999,
        batch=10_000,
        random_state=0,
    )
    return float(test.pvalue)


def mcnemar_p(wrong_a: ArrayLike, wrong_b: ArrayLike) -> float:
    """Two-sided p of the exact McNemar test of two systems on the same images; 1 where they never differ.

    wrong_a, wrong_b: (images,) true where the system is wrong. ValueError for unequal shapes.
    """
    a, b = np.asarray(wrong_a, dtype=bool), np.asarray(wrong_b, dtype=bool)
    if a.shape != b.shape:
        raise ValueError(f"shapes {a.shape} and {b.shape} differ: not the same images")
    table = [[np.sum(~a & ~b), np.sum(~a & b)], [np.sum(a & ~b), np.sum(a & b)]]
    return float(mcnemar(table, exact=True).pvalue)


def verdict(values: Sequence[float], paper_value: float) -> str:
    """Whether a published number is one that our runs give.

    The rule: 'reproduced' if the paper's value lies within the 95 % prediction interval for one further run
    of ours, ends included, since the paper reports one run; else 'not reproduced'. 'undecided' for fewer than
    two runs, which have no such interval.
    """
    if len(values) < 2:
        return "undecided"
    low, high = prediction_interval(values)
    return "reproduced" if low <= paper_value <= high else "not reproduced"
