"""The table of one file in results/runs.

One configuration: the paper's numbers beside ours; several: one row per configuration.
"""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from paper_lenet import paper
from paper_lenet.reporting import statistics
from paper_lenet.reporting.formats import Table, lowest
from paper_lenet.reporting.results import finished, numbers
from paper_lenet.reporting.tables.common import (
    JUDGED,
    VERDICT_RULE,
    comparable,
    configurations,
    diverged_note,
    intervals_note,
    joined,
    judged,
    of_fig5,
    percent,
    provenance,
    rate,
    setting,
    statistics_cells,
    trained,
    varied_columns,
)

# Columns of results/runs that depend on the number of passes.
FINAL = ("train_error_percent", "test_error_percent")


def headline(name: str, runs: pd.DataFrame) -> Table:
    """The paper's numbers beside those of one configuration, or ours alone on other data."""
    error, done = _error_name(runs), finished(runs)
    quantities: list[tuple[str, str, float, Callable[[float], str]]] = [
        (f"{error}, %", "test_error_percent", paper.TEST_ERROR_PERCENT, percent),
        (
            "training error on the fly, last pass, %",
            "train_error_percent",
            paper.TRAIN_ERROR_PERCENT,
            percent,
        ),
        ("smallest effective rate, first pass", "rate_min_pass1", paper.RATE_RANGE[0], rate),
        ("largest effective rate, first pass", "rate_max_pass1", paper.RATE_RANGE[1], rate),
    ]
    with_paper = of_fig5(name, runs)
    whole = with_paper and trained(name, runs).optim.passes == paper.PASSES
    if "optim.name" in runs:
        quantities = quantities[:2]  # its rate is not one per parameter
    rows = []
    for label, column, paper_value, text in quantities:
        values = numbers(done, column)
        ours = [*statistics_cells(values, len(runs), text), str(len(values))]
        if with_paper and (whole or column not in FINAL):
            rows.append([label, f"{paper_value:g}", *ours, *judged(values, paper_value, len(runs), column in FINAL)])
        elif with_paper:
            rows.append([label, "-", *ours, *["-"] * len(JUDGED)])
        else:
            rows.append([label, *ours])
    header = ["", "ours, mean ± std", "95 % interval of the mean", "n seeds"]
    notes = [*diverged_note(runs), provenance(name, runs)]
    if with_paper:
        header = ["", "paper", *header[1:], *JUDGED]
        notes.insert(0, VERDICT_RULE)
        if not whole:
            notes.insert(1, f"The paper's errors are those after {paper.PASSES} passes.")
    return Table(name, _caption(name, runs), header, rows, notes, intervals_note([len(done)]))


def sweep(name: str, runs: pd.DataFrame) -> Table:
    """One row per configuration, told apart by the fields that differ between them."""
    varied = varied_columns(runs)
    error = _error_name(runs)
    header = [*varied, f"{error}, %", "95 % interval of the mean", "training error on the fly, %", "n seeds"]
    rows, counts = [], []
    means: dict[str, list[float]] = {"test_error_percent": [], "train_error_percent": []}
    for _, group in configurations(runs):
        done = finished(group)
        counts.append(len(done))
        for column, of_column in means.items():
            # A mean over those that did not diverge is not the best of anything.
            of_column.append(statistics.mean(numbers(group, column) if len(done) == len(group) else []))
        test, interval = statistics_cells(numbers(done, "test_error_percent"), len(group), percent)
        train, _ = statistics_cells(numbers(done, "train_error_percent"), len(group), percent)
        fields = [setting(group[column].iloc[0]) for column in varied]
        rows.append([*fields, test, interval, train, f"{len(done)} of {len(group)}"])
    notes = [*diverged_note(runs), provenance(name, runs)]
    first = len(varied)
    best = lowest(means["test_error_percent"], first) | lowest(means["train_error_percent"], first + 2)
    return Table(name, _caption(name, runs), header, rows, notes, intervals_note(counts), best)


def _error_name(runs: pd.DataFrame) -> str:
    return " and ".join(sorted(runs["split"].unique())) + " error"


def _caption(name: str, runs: pd.DataFrame) -> str:
    (dataset,) = runs["dataset"].unique()
    how_long = _how_long(runs)
    if dataset != "mnist":
        about = f"{name}: the data set {dataset}, not MNIST; these numbers say nothing about the paper's"
    elif (runs["split"] == "validation").all():
        held_out = joined(runs["test_size"].dropna().astype(int).astype(str))
        about = (
            f"{name} on MNIST: errors on {held_out} images held out of the training set (validation), not test errors"
        )
    elif not comparable(runs):
        about = f"{name}: MNIST, but not the paper's 60,000 training and 10,000 test images"
    else:
        return f"{name} on MNIST: {how_long}." if how_long else f"{name} on MNIST."
    return f"{about}. {how_long}." if how_long else f"{about}."


def _how_long(runs: pd.DataFrame) -> str:
    """Training images and passes of the runs, several of each joined by "or"; what no run tells is left out."""
    sizes, passes = runs["train_size"].dropna().astype(int), finished(runs)["passes"]
    told = [("training images", [f"{size:,}" for size in sorted(sizes.unique())])]
    told.append(("pass" if set(passes) == {1} else "passes", [str(number) for number in sorted(passes.unique())]))
    return ", ".join(f"{' or '.join(values)} {what}" for what, values in told if values)
