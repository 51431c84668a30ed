"""What each detail of 1998, or of today, changes in the test error, beside a base.

One row per configuration; they are told apart by their labels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pandas as pd

from paper_lenet.config.studies import Study
from paper_lenet.network.lenet5 import build
from paper_lenet.reporting import statistics
from paper_lenet.reporting.formats import Table, lowest, n_of
from paper_lenet.reporting.results import TableError, errors_by_seed, finished, numbers
from paper_lenet.reporting.tables.claims import published_test
from paper_lenet.reporting.tables.common import diverged_note, number, percent, provenance, statistics_cells, trained

PREVIOUS = "previous"


@dataclass(frozen=True)
class Options:
    """How the configurations of a study are compared: its `table`.

    base: the label of the one that all are compared with.  caption: of the table.
    step: what a row is compared with besides, in words; empty for nothing.  against: the label of that by the row's, or
        `previous` for the row before; with it rows are in the order of their labels, not of their differences.
    any_passes: configurations may be trained for longer than the paper's passes; a column tells for how long.
    """

    base: str
    caption: str
    step: str = ""
    against: str | Mapping[str, str] = field(default_factory=dict)
    any_passes: bool = False

    def earlier(self, labels: list[str]) -> Mapping[str, str]:
        """What each label is compared with besides, where there is something; labels: all of them, in order."""
        return dict(pairwise(labels[::-1])) if isinstance(self.against, str) else self.against


def options_of(study: Study) -> Options:
    """Raises TableError for one that is missing, and for one that there is not."""
    given = {key: value for key, value in study.table.items() if key != "kind"}
    try:
        options = Options(**given)
    except TypeError as error:
        raise TableError(f"conf/study/{study.name}.yaml: study.table: {error}") from error
    if isinstance(options.against, str) and options.against != PREVIOUS:
        raise TableError(f"conf/study/{study.name}.yaml: study.table.against={options.against}: must be {PREVIOUS}")
    return options


@dataclass(frozen=True)
class Comparison:
    """One configuration minus another: difference of the means in points, its interval, and p, by Welch."""

    difference: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Row:
    """One configuration: its label, all of its runs, and what it is compared with; None where there is nothing."""

    label: str
    runs: pd.DataFrame
    from_base: Comparison | None
    from_earlier: Comparison | None


def compare(study: Study, runs: pd.DataFrame) -> list[Row]:
    """The configurations of one study in the order of its table, the base first but where the order is that of labels.

    Raises TableError for configurations that share a label.
    """
    name, options = study.name, options_of(study)
    if "label" not in runs or runs["label"].isna().any():
        raise TableError(f"{name}: runs without a label")
    groups = {str(label): group for label, group in runs.groupby("label")}
    if any(group["fingerprint"].nunique() > 1 for group in groups.values()):
        raise TableError(f"{name}: several configurations of one label")
    if options.base not in groups:
        raise TableError(f"{name}: no runs of {options.base!r}, with which the others are compared")
    labels = sorted(groups, key=_place)
    earlier = options.earlier(labels)

    def against(label: str, other: str | None) -> Comparison | None:
        if other is None or other == label:
            return None
        if other not in groups:
            raise TableError(f"{name}: no runs of {other!r}, with which {label!r} is compared")
        return _compared(groups[label], groups[other])

    rows = [
        Row(label, groups[label], against(label, options.base), against(label, earlier.get(label))) for label in labels
    ]
    if options.against:
        return rows
    return sorted(rows, key=lambda row: (row.label != options.base, *_size(row)))


def _place(label: str) -> tuple[float, str]:
    number = label.split()[0]
    return (float(number) if number.isdigit() else math.inf), label


def _size(row: Row) -> tuple[float, str]:
    return row.from_base.difference if row.from_base else math.inf, row.label


def _compared(runs: pd.DataFrame, others: pd.DataFrame) -> Comparison | None:
    """None where a run of either diverged: those that are left are no sample of all."""
    if not (runs["status"].eq("ok").all() and others["status"].eq("ok").all()):
        return None
    return Comparison(*statistics.welch(numbers(runs, "test_error_percent"), numbers(others, "test_error_percent")))


def table(results: Path, study: Study) -> Table:
    """The table of one study: size, time and test error of each configuration, and its differences from others."""
    name, options = study.name, options_of(study)
    runs = published_test(results, name, options.any_passes)
    rows = compare(study, runs)
    header = ["", "parameters", "multiply-adds", *(["passes"] if options.any_passes else []), "seconds a run"]
    header += ["test error, %", "n seeds"]
    comparisons = [[row.from_base for row in rows]]
    header += [f"minus {options.base.removeprefix('0 ')}, points", "its 95 % interval", "p", "p by Holm"]
    if options.step:
        comparisons.append([row.from_earlier for row in rows])
        header += [f"minus {options.step}, points", "95 % interval of that", "p of that", "p of that by Holm"]
    corrected = [statistics.holm([each.p if each else math.nan for each in family]) for family in comparisons]
    cells = []
    for k, row in enumerate(rows):
        done = finished(row.runs)
        parameters, multiply_adds = costs(name, row.runs)
        errors = numbers(done, "test_error_percent")
        line = [
            *(row.label, f"{parameters:,}", f"{multiply_adds:,}"),
            *([f"{row.runs['passes'].max():.0f}"] if options.any_passes else []),
            f"{done['seconds'].median():.0f}" if len(done) else "-",
            statistics_cells(errors, len(row.runs), percent)[0],
            f"{len(done)} of {len(row.runs)}",
        ]
        for family, by_holm in zip(comparisons, corrected, strict=True):
            line += _cells(family[k], by_holm[k])
        cells.append(line)
    notes = [
        "Differences are those of two means of independent runs, interval and p by Welch; p by Holm is corrected for "
        "all p of its column. Pairing by seed is not used: with their bases the errors of the seeds correlate at "
        f"{number(_correlation(rows, options.base), '.2f')} in the mean. Where a run of either diverged, nothing is "
        "compared.",
        "Multiply-adds are multiplications with a weight or a centre for one image. Seconds are the median over seeds "
        f"of a run's training on one core of {', '.join(sorted(map(str, runs['cpu'].unique())))}: an indication.",
        *diverged_note(runs),
        provenance(name, runs),
    ]
    statistics_note = (
        f"Mean ± standard deviation over {n_of([len(finished(row.runs)) for row in rows])}; intervals are Welch's."
    )
    whole = [numbers(row.runs, "test_error_percent") if row.runs["status"].eq("ok").all() else [] for row in rows]
    best = lowest([statistics.mean(errors) for errors in whole], header.index("test error, %"))
    return Table(name, options.caption, header, cells, notes, statistics_note, best)


def _correlation(rows: list[Row], base: str) -> float:
    """The mean over rows of the correlation with the base over the seeds of which both ended; nan of none."""
    errors = {row.label: errors_by_seed(row.runs) for row in rows}
    theirs = errors.pop(base)
    found = []
    for own in errors.values():
        seeds = [seed for seed in own if seed in theirs]
        found.append(statistics.correlation([own[seed] for seed in seeds], [theirs[seed] for seed in seeds]))
    return statistics.mean([each for each in found if math.isfinite(each)])


def _cells(each: Comparison | None, by_holm: float) -> list[str]:
    if each is None:
        return ["-"] * 4
    interval = f"{each.low:+.3f} to {each.high:+.3f}" if math.isfinite(each.low) else "-"
    return [f"{round(each.difference, 3) + 0.0:+.3f}", interval, *(_p(p) for p in (each.p, by_holm))]


def _p(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2g}"


def costs(name: str, runs: pd.DataFrame) -> tuple[int, int]:
    """Trainable parameters of one configuration, and its multiplications with a weight or a centre for one image."""
    model = build(trained(name, runs).model, 0)
    return sum(model.parameters_by_layer().values()), model.multiply_adds()
