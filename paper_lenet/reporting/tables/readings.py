"""The readings of the recipe, compared by what the paper publishes about training, never by a test error.

Legend: D distance to the training curve of Fig. 5, R distance to the published effective rates, both as root mean
squares of logarithms of ratios: 0.1 is about 10 %.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from paper_lenet import paper
from paper_lenet.config.schema import first_defaults
from paper_lenet.config.studies import Study
from paper_lenet.reporting import statistics
from paper_lenet.reporting.formats import Table, lowest, n_of
from paper_lenet.reporting.results import TableError, finished, read_curves, read_runs
from paper_lenet.reporting.tables.common import (
    differing_fields,
    diverged_note,
    number,
    provenance,
    rate,
    settings,
    usual,
)

PASSES = range(1, paper.PASSES + 1)
SHOWN_PASSES = (1, 2, 5, 10, 20)


def table(results: Path, study: Study) -> Table:
    """One row per reading of the recipe, by its distance D; those with a diverged run come last."""
    name = study.name
    runs = read_runs(results, name)
    curves = read_curves(results, name, runs)
    if (runs["split"] == "test").any():
        raise TableError(f"{name}: runs with test errors; the readings are compared without the test set")
    published = {pass_: error for pass_, error in _curve(paper.fig5()).items() if pass_ in PASSES}
    header = [
        *("differs from the base reading in", "n seeds", "D", "largest difference from pass 2 on, points"),
        *(f"training error, pass {pass_}, %" for pass_ in SHOWN_PASSES),
        *("smallest rate", "largest rate", "R", "diverged"),
    ]
    rows, counts = [], []
    base, base_notes = usual(runs), list[str]()
    shared = set.intersection(*(set(map(int, group["seed"])) for _, group in runs.groupby("fingerprint")))
    for fingerprint, group in runs.groupby("fingerprint", sort=False):
        done = finished(group)
        of_group = curves[(curves["fingerprint"] == fingerprint) & curves["seed"].isin(done["seed"])]
        by_seed = {seed: _curve(of_group[of_group["seed"] == seed]) for seed in map(int, done["seed"])}
        errors = _mean_curve(list(by_seed.values()))
        distance = curve_distance(errors, published)
        largest = max((errors[p] - published[p] for p in PASSES[1:]), key=abs)
        rates = [_printed_rate(group, column) for column in ("rate_min_pass1", "rate_max_pass1")]
        changed = differing_fields(group, base)
        cells = [
            *(settings(changed) or "base", str(len(done)), number(distance), number(largest, "+.3f")),
            *(number(errors[p], ".2f") for p in SHOWN_PASSES),
            *(rate(value) if math.isfinite(value) else "-" for value in rates),
            *(number(rate_distance(*rates)), f"{len(group) - len(done)} of {len(group)}"),
        ]
        order = (len(done) < len(group), distance if math.isfinite(distance) else math.inf, cells[0])
        rows.append((order, cells))
        counts.append(len(done))
        if not changed:
            base_notes = _spread_notes(by_seed, shared, published)
    points = [f"{published[p]:.2f}" for p in SHOWN_PASSES]
    the_paper = ["the paper", "1", "-", "-", *points, *map(rate, paper.RATE_RANGE), "-", "-"]
    notes = [
        "Training errors are measured on the fly, as in Fig. 5. D is the root mean square "
        "over passes 1 to 20 of ln(ours / Fig. 5's); rows are in its order, those with a diverged run last. The "
        "largest difference is ours minus Fig. 5's.",
        "Rates are effective rates of the first pass at the printed eta: those of the runs divided by "
        "optim.eta_factor. R is the root mean square of ln(ours / published) over the two.",
        *base_notes,
        "The test set was not looked at.",
        *diverged_note(runs),
        provenance(name, runs),
    ]
    in_order = sorted(rows, key=lambda row: row[0])
    best = lowest(
        [math.nan, *(math.nan if lost else distance for (lost, distance, _), _ in in_order)], header.index("D")
    )
    caption = "Readings of the recipe against Fig. 5 and the published rates."
    statistics_note = f"Ours: means over {n_of(counts)}; no intervals."
    return Table(name, caption, header, [the_paper, *(cells for _, cells in in_order)], notes, statistics_note, best)


def _curve(rows: pd.DataFrame) -> dict[int, float]:
    """Training error in % by pass, of one curve."""
    return {int(pass_): float(error) for pass_, error in zip(rows["pass"], rows["train_error_percent"], strict=True)}


def _spread_notes(
    by_seed: Mapping[int, Mapping[int, float]], shared: set[int], published: Mapping[int, float]
) -> list[str]:
    """How far D goes apart from seed to seed, and what it is over the seeds that every reading has."""
    notes = []
    if by_seed:
        single = (f"{number(curve_distance(curve, published))} ({seed})" for seed, curve in by_seed.items())
        notes.append(f"D of single seeds of the base reading: {', '.join(single)}.")
    few = [curve for seed, curve in by_seed.items() if seed in shared]
    if 1 < len(few) < len(by_seed):
        distance = number(curve_distance(_mean_curve(few), published))
        notes.append(f"D of the base reading over the {len(few)} seeds that every reading has: {distance}.")
    return notes


def _mean_curve(curves: Sequence[Mapping[int, float]]) -> dict[int, float]:
    return {pass_: statistics.mean([curve.get(pass_, math.nan) for curve in curves]) for pass_ in PASSES}


def curve_distance(ours: Mapping[int, float], paper_curve: Mapping[int, float]) -> float:
    """D: root mean square over the passes of `paper_curve` of ln(ours / paper's), errors in % by pass.

    nan where ours lacks a pass, inf where ours is 0.
    """
    return statistics.log_distance([ours.get(pass_, math.nan) for pass_ in paper_curve], list(paper_curve.values()))


def rate_distance(smallest: float, largest: float) -> float:
    """R: root mean square of ln(rate / published) over the two published effective rates of the first pass."""
    return statistics.log_distance((smallest, largest), paper.RATE_RANGE)


def _printed_rate(group: pd.DataFrame, column: str) -> float:
    """Mean over seeds of an effective rate of the first pass, at the printed eta; nan if no run finished that pass."""
    factor = group.get("optim.eta_factor", pd.Series(first_defaults()["optim.eta_factor"], index=group.index))
    return statistics.mean([float(value) for value in (group[column] / factor).dropna()])
