"""Three public tutorials that call their networks LeNet-5, trained again: what they report beside ours, and by class.

Each reports one run on MNIST's test images.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from paper_lenet import paper
from paper_lenet.config.studies import Shown, studies
from paper_lenet.reporting import statistics
from paper_lenet.reporting.formats import Table, n_of
from paper_lenet.reporting.results import finished, numbers
from paper_lenet.reporting.tables.classes import SCORES, WHAT_SCORES_ARE, confusions, scores, tested
from paper_lenet.reporting.tables.common import (
    JUDGED,
    VERDICT_RULE,
    Generated,
    diverged_note,
    intervals_note,
    judged,
    percent,
    provenance,
    runs_of,
    statistics_cells,
)

# Their studies, in order.
TUTORIALS = {name: study for name, study in sorted(studies().items()) if study.target == "tutorials"}


def tutorials(results: Path) -> Table:
    """The accuracy that each tutorial reports beside that of our runs of it."""
    used = {name: tested(results, name) for name in TUTORIALS}
    header = ["", "reported accuracy, %", "ours, mean ± std", "95 % interval of the mean"]
    header += ["95 % interval of one run", "n seeds", *JUDGED]
    rows = []
    for name, tutorial in TUTORIALS.items():
        values = [100 - error for error in numbers(finished(used[name]), "test_error_percent")]
        low, high = statistics.prediction_interval(values)
        reported = tutorial.published.value
        rows.append(
            [
                *(tutorial.title, "not given" if reported is None else f"{reported:g}"),
                *statistics_cells(values, len(used[name]), percent),
                f"{percent(low)} to {percent(high)}" if len(values) > 1 else "-",
                str(len(values)),
                *(["-"] * len(JUDGED) if reported is None else judged(values, reported, len(used[name]))),
            ]
        )
    runs = pd.concat(used.values())
    notes = [
        "Accuracy on the 10,000 test images after the last epoch.",
        VERDICT_RULE,
        "Sources: "
        + "; ".join(f"{name[-2:].upper()}: {each.published.source}" for name, each in TUTORIALS.items())
        + ".",
        *diverged_note(runs),
        provenance("tutorials", runs, list(TUTORIALS)),
    ]
    caption = "Three tutorials, as they report themselves and as we find them."
    statistics_note = intervals_note([len(finished(of_one)) for of_one in used.values()])
    return Table("tutorials", caption, header, rows, notes, statistics_note)


def by_class(results: Path) -> Table:
    """Precision, recall and F1 of each digit in each tutorial, means over seeds."""
    used = {name: tested(results, name) for name in TUTORIALS}
    found = {name: [scores(m) for m in confusions(results, name).values()] for name in TUTORIALS}
    mean = {name: np.mean(of_name, axis=0) for name, of_name in found.items()}
    header = ["digit", *(f"{name[-2:].upper()} {score}, %" for name in TUTORIALS for score in SCORES)]
    rows = []
    for digit in range(paper.CLASSES):
        rows.append([str(digit), *(f"{100 * value:.2f}" for name in TUTORIALS for value in mean[name][:, digit])])
    of_all = (f"{100 * value:.2f}" for name in TUTORIALS for value in mean[name].mean(axis=1))
    rows.append(["mean of the digits", *of_all])
    runs = pd.concat(used.values())
    notes = [
        WHAT_SCORES_ARE,
        *diverged_note(runs),
        provenance("tutorials-classes", runs, list(TUTORIALS)),
    ]
    statistics_note = f"Means over {n_of([len(of_name) for of_name in found.values()])}; no intervals."
    return Table("tutorials-classes", "The three tutorials digit by digit.", header, rows, notes, statistics_note)


TABLES = {
    "tutorials": Generated(tutorials, runs_of(*TUTORIALS), Shown("today", 6, "docs/ablations.md")),
    "tutorials-classes": Generated(by_class, runs_of(*TUTORIALS), Shown("today", 7)),
}
