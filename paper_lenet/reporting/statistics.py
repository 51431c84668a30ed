"""Statistics over seeds: SciPy's and statsmodels', under the names that the tables use, and the rule of verdicts."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from statsmodels.stats.multitest import multipletests

Interval = tuple[float, float]
# The fewest runs of which a verdict is given, and of which it is given without a reserve.
FEWEST, ENOUGH = 5, 10
# In points: "The uncertainty in the quoted error rates is about 0.1%" (p. 12).
MARGIN = 0.1
REPRODUCED, NOT_REPRODUCED, NO_VERDICT = "reproduced", "not reproduced", "no verdict"
# The most pairs whose signs are all flipped: 2^20 sums.
EXACT = 20


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


def correlation(a: Sequence[float], b: Sequence[float]) -> float:
    """Pearson's correlation; nan where it has none."""
    return float(np.corrcoef(a, b)[0, 1]) if len(a) > 1 and std(a) and std(b) else math.nan


def spread_ratio(a: Sequence[float], b: Sequence[float], level: float = 0.95) -> tuple[float, float, float]:
    """The standard deviation of a divided by that of b, and the ends of its interval by F; nan where one has none."""
    if min(len(a), len(b)) < 2 or not std(b):
        return math.nan, math.nan, math.nan
    ratio, ends = std(a) / std(b), ((1 + level) / 2, (1 - level) / 2)
    low, high = (ratio / math.sqrt(stats.f.ppf(end, len(a) - 1, len(b) - 1)) for end in ends)
    return ratio, float(low), float(high)


def welch(a: Sequence[float], b: Sequence[float], level: float = 0.95) -> tuple[float, float, float, float]:
    """Welch's test of two independent samples: the difference of the means, the ends of its interval, p of 0.

    nan but for the difference where one has fewer than two values, or neither varies.
    """
    difference = mean(a) - mean(b)
    if min(len(a), len(b)) < 2 or not (std(a) or std(b)):
        return difference, math.nan, math.nan, math.nan
    test = stats.ttest_ind(a, b, equal_var=False)
    interval = test.confidence_interval(level)
    return difference, float(interval.low), float(interval.high), float(test.pvalue)


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

    Exact up to EXACT pairs, beyond from 99,999 draws with a fixed seed; nan for fewer than two pairs. With n
    pairs no p is below 2 / 2**n. ValueError for unequal lengths.
    """
    if len(a) != len(b):
        raise ValueError(f"{len(a)} values cannot be paired with {len(b)}")
    if len(a) < 2:
        return math.nan
    differences = np.subtract(a, b)
    if len(a) > EXACT:
        test = stats.permutation_test(
            (differences,),
            lambda flipped, axis: np.mean(flipped, axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=99_999,
            batch=10_000,
            random_state=0,
        )
        return float(test.pvalue)
    sums = np.zeros(1)
    for difference in differences:
        sums = np.concatenate([sums + difference, sums - difference])
    # sums that are equal but for rounding count as equal
    return float(np.mean(np.abs(sums) >= abs(differences.sum()) - 1e-9 * np.abs(differences).sum()))


def verdict(values: Sequence[float], paper_value: float) -> str:
    """Whether a published number is one that our runs give.

    The rule: `reproduced` if the paper's value lies within the 95 % prediction interval for one further run
    of ours, ends included, since the paper reports one run; else `not reproduced`. The fewer the runs, the wider
    the interval: of fewer than ENOUGH the verdict says so, and of fewer than FEWEST there is none.
    """
    if len(values) < FEWEST:
        return NO_VERDICT
    low, high = prediction_interval(values)
    found = REPRODUCED if low <= paper_value <= high else NOT_REPRODUCED
    return found if len(values) >= ENOUGH else f"{found} (n < {ENOUGH})"


def z(values: Sequence[float], paper_value: float) -> float:
    """How far the paper's value lies above our mean, in standard deviations of one further run.

    nan for fewer than two values, and where all are equal.
    """
    spread = std(values) * math.sqrt(1 + 1 / len(values)) if len(values) > 1 else 0.0
    return (paper_value - mean(values)) / spread if spread else math.nan


def equal_within(values: Sequence[float], paper_value: float, margin: float = MARGIN) -> str:
    """Whether our mean is less than `margin` from the paper's value: `yes`, `no`, or `open`.

    By two one-sided t tests at 5 %: yes if the 90 % interval of our mean lies within the margin, no if it lies outside;
    few runs leave it open. `-` for fewer than FEWEST.
    """
    if len(values) < FEWEST:
        return "-"
    low, high = (end - paper_value for end in t_interval(values, 0.9))
    if -margin < low and high < margin:
        return "yes"
    return "no" if high < -margin or margin < low else "open"
