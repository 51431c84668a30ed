"""What rounding alone changes in the final error, beside what the seed changes."""

from __future__ import annotations

import itertools
from pathlib import Path

import pandas as pd

from paper_lenet.config.studies import Study
from paper_lenet.reporting import statistics
from paper_lenet.reporting.formats import Table, n_of
from paper_lenet.reporting.results import RUN, finished, numbers, read_errors, read_runs
from paper_lenet.reporting.tables.common import check_promise, diverged_note, percent, provenance, statistics_cells


def table(results: Path, study: Study) -> Table:
    """How far apart trainings end that differ in the order of summation alone, beside those that differ by seed."""
    names = study.name, str(study.table["beside"])
    runs, other_seeds = (read_runs(results, name) for name in names)
    check_promise(names[0], runs)
    check_promise(names[1], other_seeds)
    groups = [
        (f"order of summation, seed {seed}", names[0], group) for seed, group in runs.groupby("seed", sort=True)
    ] + [("seed", names[1], other_seeds)]
    wrong_images = {name: read_errors(results, name, of) for name, of in zip(names, (runs, other_seeds), strict=True)}
    header = ["what differs", "n runs", "test error, %", "training error on the fly, %", "images, wrong in one of two"]
    header += ["spread, of that of the seeds", "its 95 % interval"]
    by_seeds = numbers(finished(other_seeds), "test_error_percent")
    rows = []
    for label, source, group in groups:
        done = finished(group)
        errors = dict(list(wrong_images[source].groupby(RUN)["index"]))
        wrong = [set(errors.get(key, ())) for key in done[RUN].itertuples(index=False, name=None)]
        apart = [float(len(a ^ b)) for a, b in itertools.combinations(wrong, 2)]
        test, _ = statistics_cells(numbers(done, "test_error_percent"), len(group), percent)
        train, _ = statistics_cells(numbers(done, "train_error_percent"), len(group), percent)
        ratio, low, high = statistics.spread_ratio(numbers(done, "test_error_percent"), by_seeds)
        spread = ["-", "-"] if source == names[1] else [f"{ratio:.2f}", f"{low:.2f} to {high:.2f}"]
        rows.append([label, str(len(done)), test, train, f"{statistics.mean(apart):.1f}", *spread])
    notes = [
        "Another order of summation is another order of C5's units: the same network, "
        "trained the same way in exact arithmetic.",
        "Images: a mean over pairs of runs, test images that one of the two gets wrong and the other right. Spread: "
        "the standard deviation of the test error divided by that of the last row.",
        *diverged_note(pd.concat([runs, other_seeds])),
        provenance(study.name, pd.concat([runs, other_seeds]), names),
    ]
    runs_of_rows = n_of([int(row[1]) for row in rows], "runs")
    statistics_note = f"Mean ± standard deviation over {runs_of_rows}; the interval of a ratio of spreads is that of F."
    caption = "What rounding alone changes, and what the seed changes."
    return Table(study.name, caption, header, rows, notes, statistics_note)
