"""Statistics over seeds and over test images; scipy's, under the names that the tables use.

Intervals over seeds say how runs differ from each other; Wilson's says how much one test set can tell.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

Interval = tuple[float, float]


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean; nan of nothing."""
    return math.fsum(values) / len(values) if values else math.nan


def std(values: Sequence[float]) -> float:
    """Standard deviation of a sample (n - 1 in the denominator); nan for fewer than two values."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


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


def paired_difference(a: Sequence[float], b: Sequence[float], level: float = 0.95) -> tuple[float, float, float]:
    """Mean of a - b, paired by seed, and the ends of its t interval. ValueError for unequal lengths."""
    differences = [x - y for x, y in zip(a, b, strict=True)]
    return (mean(differences), *t_interval(differences, level))


def paired_t_p(a: Sequence[float], b: Sequence[float]) -> float:
    """Two-sided p of Student's paired test of a mean difference of 0; nan for fewer than two pairs.

    Where all differences are the same it is 1 if they are 0, else 0. ValueError for unequal lengths.
    """
    differences = [x - y for x, y in zip(a, b, strict=True)]
    if len(differences) < 2:
        return math.nan
    if std(differences) == 0:
        return 0.0 if differences[0] else 1.0
    t = mean(differences) / (std(differences) / math.sqrt(len(differences)))
    return float(2 * stats.t.sf(abs(t), len(differences) - 1))


def holm(ps: Sequence[float]) -> list[float]:
    """Each p of a family corrected by Holm's step-down method; nan stays nan and is none of the family.

    The smallest of m is multiplied by m, the next by m - 1 and so on; none gets smaller than one before, or above 1.
    """
    order = sorted((k for k, p in enumerate(ps) if not math.isnan(p)), key=lambda k: ps[k])
    corrected, largest = [math.nan] * len(ps), 0.0
    for rank, k in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * ps[k]))
        corrected[k] = largest
    return corrected


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
    only_a, only_b = int(np.sum(a & ~b)), int(np.sum(b & ~a))
    if only_a + only_b == 0:
        return 1.0
    return float(stats.binomtest(min(only_a, only_b), only_a + only_b).pvalue)


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
