"""Statistics against numbers worked out by hand or taken from printed tables."""

from __future__ import annotations

import math

import pytest

from paper_lenet.reporting import statistics

FIVE = [0.8, 0.9, 1.0, 1.1, 1.2]  # mean 1, variance 0.1 / 4
T4 = 2.776445  # 97.5 % quantile of Student's t with 4 degrees of freedom, from a printed table


def test_mean_and_standard_deviation() -> None:
    assert statistics.mean(FIVE) == pytest.approx(1.0)
    assert statistics.std(FIVE) == pytest.approx(math.sqrt(0.025))


def test_intervals_over_seeds() -> None:
    half = T4 * math.sqrt(0.025 / 5)
    assert statistics.t_interval(FIVE) == pytest.approx((1 - half, 1 + half), rel=1e-6)
    half = T4 * math.sqrt(0.025 * 1.2)
    assert statistics.prediction_interval(FIVE) == pytest.approx((1 - half, 1 + half), rel=1e-6)
    narrower = statistics.t_interval(FIVE, level=0.9)
    assert narrower[1] - 1 == pytest.approx(2.131847 * math.sqrt(0.005), rel=1e-6)


@pytest.mark.parametrize("values", [[], [0.95]])
def test_too_few_values_have_no_interval(values: list[float]) -> None:
    assert math.isnan(statistics.std(values))
    assert all(map(math.isnan, statistics.t_interval(values) + statistics.prediction_interval(values)))
    assert math.isnan(statistics.z(values, 0.95)) and statistics.equal_within(values, 0.95) == "-"
    assert math.isnan(statistics.permutation_p(values, values))


def test_paired_t() -> None:
    # Differences 1, 2, 3: mean 2, standard deviation 1, t quantile 4.302653 with 2 degrees of freedom;
    # t = 2 / (1 / sqrt(3)) = sqrt(12), and p = 1 - t / sqrt(t² + 2).
    half, p = 4.302653 / math.sqrt(3), 1 - math.sqrt(12 / 14)
    assert statistics.paired_t([2, 4, 6], [1, 2, 3]) == pytest.approx((2, 2 - half, 2 + half, p), rel=1e-6)
    assert statistics.paired_t([1, 2, 3], [2, 4, 6]) == pytest.approx((-2, -2 - half, -2 + half, p), rel=1e-6)
    with pytest.raises(ValueError, match="shorter"):
        statistics.paired_t([1, 2], [1])


def test_paired_t_without_spread() -> None:
    assert statistics.paired_t([1, 1], [1, 1]) == (0, 0, 0, 1)
    assert statistics.paired_t([2, 2], [1, 1]) == (1, 1, 1, 0)
    difference, *others = statistics.paired_t([1], [2])
    assert difference == -1
    assert all(map(math.isnan, others))


def test_welch() -> None:
    # 1 of variance 1 / 3 less 3 of variance 0: two degrees of freedom; and equal variances: four.
    assert statistics.welch([2, 3, 4], [1, 1, 1]) == pytest.approx((2, 2 - 2.484, 2 + 2.484, 0.0742), rel=1e-3)
    assert statistics.welch([2, 3, 4], [1, 2, 3])[3] == pytest.approx(0.2879, rel=1e-3)
    assert all(map(math.isnan, statistics.welch([1], [2, 3])[1:] + statistics.welch([1, 1], [2, 2])[1:]))


def test_ratio_of_spreads() -> None:
    # sqrt(1 / 4); the 97.5 % quantile of F with 2 and 2 degrees of freedom is 39.
    ratio, low, high = statistics.spread_ratio([1, 2, 3], [2, 4, 6])
    assert (ratio, low, high) == pytest.approx((0.5, 0.5 / math.sqrt(39), 0.5 * math.sqrt(39)))
    assert all(map(math.isnan, statistics.spread_ratio([1, 2], [1, 1])))


def test_correlation() -> None:
    assert statistics.correlation([1, 2, 3], [6, 4, 2]) == pytest.approx(-1)
    assert math.isnan(statistics.correlation([1, 2], [1, 1]))


def test_permutation() -> None:
    # All five differences of one sign: 2 of the 32 assignments of signs are as extreme.
    assert statistics.permutation_p([2, 3, 4, 5, 6], [1, 1, 1, 1, 1]) == pytest.approx(2 / 32)
    # Differences 1, 1, -1: as extreme are all but none, as |sum| is 1 or 3 for each of the 8 assignments.
    assert statistics.permutation_p([1, 1, 0], [0, 0, 1]) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="cannot be paired"):
        statistics.permutation_p([1, 2], [1])


def test_permutation_of_many_pairs_is_exact() -> None:
    """Twenty differences of one sign: 2 of the 2^20 assignments are as extreme, which no sample of them would show."""
    assert statistics.permutation_p([0.1 * k for k in range(1, 21)], [0.0] * 20) == 2 / 2**20
    assert statistics.permutation_p([0.1] * 20, [0.0] * 20) == 2 / 2**20
    assert statistics.permutation_p([0.1] * 25, [0.0] * 25) == pytest.approx(2e-5)  # the least of 99,999 draws


def test_verdict() -> None:
    half = T4 * math.sqrt(0.025 * 1.2)
    few = " (n < 10)"
    assert statistics.verdict(FIVE, 1 + 0.999 * half) == "reproduced" + few
    assert statistics.verdict(FIVE, 1 + 1.001 * half) == "not reproduced" + few
    assert statistics.verdict(FIVE, 1 - 1.001 * half) == "not reproduced" + few
    assert statistics.verdict(FIVE[:4], 1) == "no verdict"
    assert statistics.verdict([*FIVE, *FIVE], 1.2) == "reproduced"
    assert statistics.z(FIVE, 1 - half) == pytest.approx(-T4)


def test_equal_within_a_margin() -> None:
    """By the 90 % interval of the mean, whose half-width is 2.131847 standard errors for five values."""
    values = [1 + (value - 1) / 10 for value in FIVE]
    half = 2.131847 * math.sqrt(0.00025 / 5)
    assert statistics.equal_within(values, 1 + 0.1 - 1.01 * half) == "yes"
    assert statistics.equal_within(values, 1 + 0.1 - 0.99 * half) == "open"
    assert statistics.equal_within(values, 1 - 0.1 - 0.99 * half) == "open"
    assert statistics.equal_within(values, 1 - 0.1 - 1.01 * half) == "no"
    assert statistics.equal_within(values, 1.0, margin=0.9 * half) == "open"


def test_holm() -> None:
    # 0.01 * 4, then 0.02 * 3 and 0.03 * 2, of which neither is below the one before, then 0.04 * 1, raised to 0.06.
    assert statistics.holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert statistics.holm([0.4, math.nan, 0.6]) == pytest.approx([0.8, math.nan, 0.8], nan_ok=True)
    assert statistics.holm([0.6, 0.7]) == [1.0, 1.0]
    assert statistics.holm([]) == []
