"""Tables of the study of the paper's open points: the readings compared, and what each deviation changes.

The readings are compared by what the paper publishes about training, never by a test error.

Legend: D distance to the training curve of Fig. 5, R distance to the published effective rates, both as root mean
squares of logarithms of ratios: 0.1 is about 10 %.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

import pandas as pd

from paper_lenet import paper
from paper_lenet.config import Config
from paper_lenet.reporting import statistics
from paper_lenet.reporting.formats import Table, lowest, n_of
from paper_lenet.reporting.results import (
    RUN,
    TableError,
    errors_by_seed,
    finished,
    numbers,
    read_curves,
    read_errors,
    read_runs,
)
from paper_lenet.reporting.tables.claims import published_test
from paper_lenet.reporting.tables.common import (
    TAGS,
    check_promise,
    diverged_note,
    percent,
    provenance,
    rate,
    statistics_cells,
    varied_columns,
)

PASSES = range(1, paper.PASSES + 1)
SHOWN_PASSES = (1, 2, 5, 10, 20)
# Deviations that have runs of their own: tags and change.
OWN_RUNS = {
    "eq9": (["D6", "D7"], "loss.name=eq9, its j and rate chosen on a validation split"),
    "distorted": (["D12"], "distortions, their strength chosen on a validation split"),
}


def curve_distance(ours: Mapping[int, float], paper_curve: Mapping[int, float]) -> float:
    """D: root mean square over the passes of `paper_curve` of ln(ours / paper's), errors in % by pass.

    nan where ours lacks a pass, inf where ours is 0.
    """
    logarithms = [
        math.log(ours.get(pass_, math.nan) / error) if ours.get(pass_) != 0 else -math.inf
        for pass_, error in paper_curve.items()
    ]
    return _root_mean_square(logarithms)


def rate_distance(smallest: float, largest: float) -> float:
    """R: root mean square of ln(rate / published) over the two published effective rates of the first pass."""
    ratios = zip((smallest, largest), paper.RATE_RANGE, strict=True)
    return _root_mean_square([math.log(ours / published) for ours, published in ratios])


def readings(results: Path) -> Table:
    """A row a reading of the recipe, by its distance D; those with a diverged run come last."""
    name = "readings"
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
            *(_settings(changed) or "base", str(len(done)), _number(distance), _number(largest, "+.3f")),
            *(_number(errors[p], ".2f") for p in SHOWN_PASSES),
            *(rate(value) if math.isfinite(value) else "-" for value in rates),
            *(_number(rate_distance(*rates)), f"{len(group) - len(done)} of {len(group)}"),
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


def deviations(results: Path) -> Table:
    """A row a deviation: the test error with it minus that of the frozen reading, paired by seed."""
    name, frozen_name = "deviations", "fig5"
    runs, frozen = published_test(results, name), published_test(results, frozen_name)
    if frozen["fingerprint"].nunique() > 1:
        raise TableError(f"{frozen_name}: several configurations; the frozen reading is one")
    reference = errors_by_seed(frozen)
    header = [
        *("tag", "change", "test error, %", "difference, points", "95 % interval of the difference"),
        *("n pairs", "permutation p", "diverged"),
    ]
    base = usual(runs)
    groups = []
    for _, group in runs.groupby("fingerprint", sort=False):
        fields = differing_fields(group, base)
        tags = sorted({TAGS.get(field, "-") for field in fields}, key=_tag_number)
        groups.append((tags, _settings(fields), group))
    used = {name: runs, frozen_name: frozen}
    for other, (tags, change) in OWN_RUNS.items():
        if (results / "runs" / f"{other}.csv").exists():
            used[other] = published_test(results, other)
            groups.append((tags, change, used[other]))
    rows, counts, differences = [], [], []
    for tags, change, group in sorted(groups, key=lambda each: ([_tag_number(tag) for tag in each[0]], each[1])):
        errors = errors_by_seed(group)
        paired = [seed for seed in errors if seed in reference]
        changed, unchanged = [errors[seed] for seed in paired], [reference[seed] for seed in paired]
        difference, low, high, _ = statistics.paired_t(changed, unchanged)
        counts.append(len(errors))
        differences.append(difference if len(errors) == len(group) else math.nan)
        rows.append(
            [
                *(", ".join(tags), change),
                statistics_cells(list(errors.values()), len(group), percent)[0],
                *(_number(difference, "+.3f"), f"{low:+.3f} to {high:+.3f}" if len(paired) > 1 else "-"),
                *(str(len(paired)), _number(statistics.permutation_p(changed, unchanged), ".2g")),
                f"{len(group) - len(errors)} of {len(group)}",
            ]
        )
    notes = [
        "Difference: test error with the change minus that of the frozen reading, paired by seed; p is that of the "
        "two-sided paired permutation test. All else is as in the frozen reading.",
        *diverged_note(pd.concat([group for _, _, group in groups])),
        provenance(name, pd.concat(used.values()), list(used)),
    ]
    statistics_note = (
        f"Mean ± standard deviation over {n_of(counts)}; the interval of the difference is Student's t over pairs of "
        "seeds."
    )
    best = lowest(differences, header.index("difference, points"))
    return Table(name, "What each deviation changes in the test error.", header, rows, notes, statistics_note, best)


def usual(runs: pd.DataFrame) -> dict[str, str]:
    """The most common value of each varied field over configurations; of equally common ones that of Config().

    That is the reading from which a study departs, one point at a time, and stays so when defaults change.
    """
    configurations = runs.drop_duplicates("fingerprint")
    values = {}
    for column in varied_columns(runs):
        counts = configurations[column].map(_text).value_counts()
        common = sorted(counts.index[counts == counts.max()])
        default = _default(column)
        values[column] = default if default in common else common[0]
    return values


def differing_fields(group: pd.DataFrame, base: Mapping[str, str]) -> dict[str, str]:
    """The fields of one configuration that differ from `base`; with a change to Eq. 9 also j, which only it reads."""
    fields = {column: _text(group[column].iloc[0]) for column in base}
    with_j = fields.get("loss.name") == "eq9" != base.get("loss.name")
    return {key: text for key, text in fields.items() if text != base[key] or (key == "loss.j" and with_j)}


def _default(field: str) -> str:
    try:
        return _text(attrgetter(field)(Config()))
    except AttributeError:
        return ""


def _text(value: Any) -> str:
    """A field's value as results/runs has it, whether it was read as an integer or as a float."""
    if isinstance(value, list):
        return json.dumps(value)
    if value is None or value != value:
        return "null"
    return f"{value:.8g}" if isinstance(value, float) else str(value)


def _settings(fields: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in fields.items())


def noise(results: Path) -> Table:
    """How far apart trainings end that differ in the order of summation alone, beside those that differ by seed."""
    runs, other_seeds = read_runs(results, "noise"), read_runs(results, "fig5")
    check_promise("noise", runs)
    check_promise("fig5", other_seeds)
    groups = [
        (f"order of summation, seed {seed}", "noise", group) for seed, group in runs.groupby("seed", sort=True)
    ] + [("seed", "fig5", other_seeds)]
    wrong_images = {"noise": read_errors(results, "noise", runs), "fig5": read_errors(results, "fig5", other_seeds)}
    header = ["what differs", "n runs", "test error, %", "training error on the fly, %", "images, wrong in one of two"]
    rows = []
    for label, source, group in groups:
        done = finished(group)
        errors = dict(list(wrong_images[source].groupby(RUN)["index"]))
        wrong = [set(errors.get(key, ())) for key in done[RUN].itertuples(index=False, name=None)]
        apart = [float(len(a ^ b)) for a, b in itertools.combinations(wrong, 2)]
        test, _ = statistics_cells(numbers(done, "test_error_percent"), len(group), percent)
        train, _ = statistics_cells(numbers(done, "train_error_percent"), len(group), percent)
        rows.append([label, str(len(done)), test, train, f"{statistics.mean(apart):.1f}"])
    notes = [
        "Another order of summation is another order of C5's units: the same network, "
        "trained the same way in exact arithmetic.",
        "The last column is a mean over pairs of runs: test images that one of the two gets wrong and the other right.",
        *diverged_note(pd.concat([runs, other_seeds])),
        provenance("noise", pd.concat([runs, other_seeds]), ("noise", "fig5")),
    ]
    runs_of_rows = n_of([int(row[1]) for row in rows], "runs")
    statistics_note = f"Mean ± standard deviation over {runs_of_rows}; no intervals."
    caption = "What rounding alone changes, and what the seed changes."
    return Table("noise", caption, header, rows, notes, statistics_note)


def _curve(rows: pd.DataFrame) -> dict[int, float]:
    """Training error in % by pass, of one curve."""
    return {int(pass_): float(error) for pass_, error in zip(rows["pass"], rows["train_error_percent"], strict=True)}


def _spread_notes(
    by_seed: Mapping[int, Mapping[int, float]], shared: set[int], published: Mapping[int, float]
) -> list[str]:
    """How far D goes apart from seed to seed, and what it is over the seeds that every reading has."""
    notes = []
    if by_seed:
        single = (f"{_number(curve_distance(curve, published))} ({seed})" for seed, curve in by_seed.items())
        notes.append(f"D of single seeds of the base reading: {', '.join(single)}.")
    few = [curve for seed, curve in by_seed.items() if seed in shared]
    if 1 < len(few) < len(by_seed):
        distance = _number(curve_distance(_mean_curve(few), published))
        notes.append(f"D of the base reading over the {len(few)} seeds that every reading has: {distance}.")
    return notes


def _mean_curve(curves: Sequence[Mapping[int, float]]) -> dict[int, float]:
    return {pass_: statistics.mean([curve.get(pass_, math.nan) for curve in curves]) for pass_ in PASSES}


def _printed_rate(group: pd.DataFrame, column: str) -> float:
    """Mean over seeds of an effective rate of the first pass, at the printed eta; nan if no run finished that pass."""
    factor = group.get("optim.eta_factor", pd.Series(Config().optim.eta_factor, index=group.index))
    return statistics.mean([float(value) for value in (group[column] / factor).dropna()])


def _root_mean_square(values: Sequence[float]) -> float:
    return math.sqrt(statistics.mean([value**2 for value in values]))


def _number(value: float, format_: str = ".3f") -> str:
    return format(value, format_) if math.isfinite(value) else "-"


def _tag_number(tag: str) -> int:
    return int(tag[1:] or 1000)
