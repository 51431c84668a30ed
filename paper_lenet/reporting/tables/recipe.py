"""Readings of the recipe by what the paper prints of training and, by Fig. 13, of weights; never by a test error.

Legend: D distance to the training curve of Fig. 5, R distance to the published effective rates, W distance to the sizes
of the weights that Fig. 13 gives back; all are root mean squares of logarithms of ratios: 0.1 is about 10 %.
experiments/recipe.md has the rules.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from paper_lenet import paper
from paper_lenet.config.schema import first_defaults
from paper_lenet.config.studies import Study
from paper_lenet.reporting import statistics
from paper_lenet.reporting.formats import Table, n_of
from paper_lenet.reporting.results import TableError, finished, read_csv, read_curves, read_runs
from paper_lenet.reporting.statistics import log_distance
from paper_lenet.reporting.tables.common import (
    differing_fields,
    diverged_note,
    number,
    provenance,
    rate,
    settings,
    usual,
)
from paper_lenet.reporting.tables.readings import rate_distance

Values = NDArray[np.float64]
PASSES = range(1, paper.PASSES + 1)
SHOWN_PASSES = (1, 2, 5, 10, 20)
DRAWS, READING_OFF = 1000, 0.03  # points of Fig. 5
RATES_FIT = 0.2  # of R without S2 and S4, by rule 6
FEW = 5  # below it nothing is said of one more run
OF_1998 = ("c1", "s2", "c3", "s4")
MATCHES = ("match_1998", "match_others", "match_1998_initial")
SIZES = [(layer, of) for layer in OF_1998 for of in ("size", "unlike")]


@dataclass
class Reading:
    """What is measured of one configuration.

    fields: in which it differs from the lead.  curves: (n, 20) training errors in %.  sizes: (n, 8), as SIZES.
    matches: (n, 3), as MATCHES, means over C1 to S4.  rates: smallest and largest of the first pass, over all
    parameters and without S2 and S4.  lost: runs that diverged.
    """

    fields: dict[str, str]
    curves: Values
    sizes: Values
    matches: Values
    rates: list[tuple[float, float]]
    lost: int

    def curve(self) -> Values:
        """The mean training error by pass; nan where all runs diverged."""
        return mean(self.curves)


def table(results: Path, study: Study) -> Table:
    """One row per reading: by D and, for networks that learned windows, by W."""
    name = study.name
    runs = read_runs(results, name)
    if (runs["split"] == "test").any():
        raise TableError(f"{name}: runs with test errors; the readings are compared without the test set")
    parameters, of_1998 = (read_csv(results / "parameters" / f"{of}.csv") for of in (name, "fig13"))
    windows = "windows.variants" in runs
    readings = read(runs, read_curves(results, name, runs), parameters)
    published = np.array([float(e) for e in paper.fig5()["train_error_percent"][: len(PASSES)]])
    printed = of_1998.set_index("layer").loc[list(OF_1998), ["size", "unlike"]].to_numpy(np.float64).ravel()
    make = by_weights if windows else by_curve
    header, the_paper, rows, notes = make(readings, printed if windows else published)
    caption = "Readings of the recipe on windows of Section VII-B, against the weights of Fig. 13."
    if not windows:
        caption = "Readings of the recipe against Fig. 5 and the published rates."
    notes = [*notes, "The test set was not looked at.", *diverged_note(runs), provenance(name, runs)]
    counts = [len(reading.curves) for reading in readings]
    intervals = "no intervals" if windows else "the interval of D is of draws, as below"
    return Table(name, caption, header, [the_paper, *rows], notes, f"Ours: means over {n_of(counts)}; {intervals}.")


def read(runs: pd.DataFrame, curves: pd.DataFrame, parameters: pd.DataFrame) -> list[Reading]:
    """All readings of a study, in the order of its runs. Raises TableError where parameters lack a run."""
    printed = runs[runs["optim.eta_factor"] == 1] if "optim.eta_factor" in runs else runs
    base, found = usual(runs, printed), []
    for fingerprint, group in runs.groupby("fingerprint", sort=False):
        of_reading = parameters[parameters["fingerprint"] == fingerprint].set_index(["seed", "layer"])
        done = [int(seed) for seed in finished(group)["seed"]]
        missing = [seed for seed in map(int, group["seed"]) if (seed, "c1") not in of_reading.index]
        if missing:
            raise TableError(f"parameters of {fingerprint} lack seed {missing[0]}")
        of_seed = curves[curves["fingerprint"] == fingerprint].groupby("seed")["train_error_percent"]
        errors = np.array([of_seed.get_group(seed).to_numpy(np.float64) for seed in done])
        sizes = np.array([[of_reading.loc[(seed, layer), of] for layer, of in SIZES] for seed in done], np.float64)
        errors, sizes = errors.reshape(len(done), len(PASSES)), sizes.reshape(len(done), len(SIZES))
        by_layer = [[[of_reading.loc[(seed, n), of] for of in MATCHES] for n in OF_1998] for seed in done]
        matches = np.array(by_layer, np.float64).reshape(len(done), len(OF_1998), len(MATCHES)).mean(1)
        factor = (
            float(group["optim.eta_factor"].iloc[0])
            if "optim.eta_factor" in group
            else first_defaults()["optim.eta_factor"]
        )
        rates = [first_rates(of_reading, factor, skip) for skip in ((), ("s2", "s4"))]
        fields = differing_fields(group, base)
        found.append(Reading(fields, errors, sizes, matches, rates, len(group) - len(done)))
    return found


def first_rates(parameters: pd.DataFrame, factor: float, skip: Sequence[str]) -> tuple[float, float]:
    """The smallest and the largest rate of the first pass at the printed eta, means over seeds, without some layers."""
    of_layers = parameters[~parameters.index.get_level_values("layer").isin(skip)]
    low = of_layers[["weight_rate_min", "bias_rate_min"]].min(axis=1).groupby("seed").min()
    high = of_layers[["weight_rate_max", "bias_rate_max"]].max(axis=1).groupby("seed").max()
    return float(low.mean()) / factor, float(high.mean()) / factor


def by_curve(readings: Sequence[Reading], published: Values) -> tuple[list[str], list[str], list[list[str]], list[str]]:
    """Header, the paper's row, the readings' by D, and notes."""
    header = [
        *("differs from the lead in", "n seeds", "D", "D, 95 %", "one run's D at most", "further than the nearest"),
        *("R", "R without S2, S4", "smallest rate without S2, S4", "largest rate"),
        *(f"training error, pass {pass_}, %" for pass_ in SHOWN_PASSES),
    ]
    points = [f"{published[p - 1]:.2f}" for p in SHOWN_PASSES]
    the_paper = ["the paper", "1", *"-----", "-", *map(rate, paper.RATE_RANGE), *points]
    draws = {id(reading): drawn(reading.curves, published) for reading in readings}
    in_order = sorted(readings, key=lambda reading: (reading.lost, log_distance(reading.curve(), published)))
    printed = [reading for reading in in_order if "optim.eta_factor" not in reading.fields]
    fit = [reading for reading in printed if rate_distance(*reading.rates[1]) <= RATES_FIT]
    nearest = (fit or printed)[0]
    rows = []
    for reading in in_order:
        low, high = np.quantile(draws[id(reading)], [0.025, 0.975])
        apart = np.quantile(draws[id(reading)] - draws[id(nearest)], 0.025) > 0
        all_rates, without = reading.rates
        rows.append([
            settings(reading.fields) or "the lead",
            str(len(reading.curves)),
            number(log_distance(reading.curve(), published)),
            f"{number(low)} to {number(high)}" if len(reading.curves) else "-",
            number(bound(reading.curves)),
            "-" if reading is nearest or not len(reading.curves) else "yes" if apart else "no",
            number(rate_distance(*all_rates)),
            number(rate_distance(*without)),
            *map(rate, without),
            *(number(float(reading.curve()[p - 1]), ".2f") for p in SHOWN_PASSES),
        ])  # fmt: skip
    notes = [
        "Training errors are measured on the fly, as in Fig. 5. D: root mean square over passes 1 to 20 of ln(ours / "
        "Fig. 5's); its interval is of 1,000 draws, of seeds and of errors of ±0.03 points in reading off Fig. 5, "
        "which both add to D. One run's D at most: the one-sided 95 % prediction interval for a run of the reading "
        "against the mean of the others. Further than the nearest: whether 95 % of the draws' differences from the "
        f"smallest D at the printed eta, of those with an R without S2 and S4 of at most {RATES_FIT}, are above 0.",
        "Rates are effective rates of the first pass at the printed eta. R: root mean square of ln(ours / published) "
        "over the two ends, 7e-5 and 0.016.",
    ]
    return header, the_paper, rows, notes


def by_weights(readings: Sequence[Reading], printed: Values) -> tuple[list[str], list[str], list[list[str]], list[str]]:
    """Header, the row of 1998, the readings' by W, and notes."""
    header = [
        *("differs from the lead in", "n seeds", "W", "std of one run's W", "one run's W at most"),
        *(f"{layer.upper()}, {of}" for layer, of in SIZES),
        *("maps match 1998's", "other seeds'", "1998's before training"),
        "training error on the fly, pass 20, %",
    ]
    the_paper = ["the network of Fig. 13", "1", "-", "-", "-", *(f"{value:.3f}" for value in printed), *"----"]
    rows = []
    for reading in sorted(readings, key=lambda reading: (reading.lost, log_distance(mean(reading.sizes), printed))):
        rows.append([
            settings(reading.fields) or "the lead",
            str(len(reading.sizes)),
            number(log_distance(mean(reading.sizes), printed)),
            number(statistics.std(from_others(reading.sizes)) if len(reading.sizes) > 2 else math.nan),
            number(bound(reading.sizes)),
            *(number(float(value)) for value in mean(reading.sizes)),
            *(number(float(value), ".2f") for value in mean(reading.matches)),
            number(float(reading.curve()[-1]), ".2f"),
        ])  # fmt: skip
    notes = [
        "Size: root mean square of a layer's kernels or coefficients. Unlike: standard deviation over the maps of a "
        "map's root mean square, divided by its mean. W: root mean square of ln(ours / 1998's) over the eight. One "
        "run's W: that of a run of the reading against the mean of the others, and the one-sided 95 % prediction "
        "interval for one more.",
        "Maps match: mean absolute correlation of the best assignment of a network's maps to another's, by their "
        "states for the images of Fig. 13, over C1 to S4: to those of the network of 1998, to those of the reading's "
        "other seeds, and, as what chance gives, of its initial weights to those of 1998.",
    ]
    return header, the_paper, rows, notes


def mean(values: Values) -> Values:
    """Over the first axis; nan of nothing."""
    return values.mean(0) if len(values) else np.full(values.shape[1:], math.nan)


def drawn(curves: Values, published: Values) -> Values:
    """D of DRAWS sets of seeds drawn with replacement, each against Fig. 5 with other errors of reading off.

    Every reading with as many seeds has the same draws.
    """
    if not len(curves):
        return np.full(DRAWS, math.nan)
    random = np.random.default_rng(0)
    seeds = random.integers(0, len(curves), (DRAWS, len(curves)))
    off = random.uniform(-READING_OFF, READING_OFF, (DRAWS, len(published)))
    return np.array([log_distance(curves[of].mean(0), published + by) for of, by in zip(seeds, off, strict=True)])


def bound(values: Values) -> float:
    """The upper end of the one-sided 95 % prediction interval for the distance of one run to the mean of the others.

    values: (n, numbers); nan for few.
    """
    if len(values) < FEW:
        return math.nan
    return statistics.prediction_interval(from_others(values), level=0.9)[1]


def from_others(values: Values) -> list[float]:
    """The distance of each run to the mean of the others. values: (n, numbers), n at least 2."""
    return [log_distance(values[k], np.delete(values, k, 0).mean(0)) for k in range(len(values))]
