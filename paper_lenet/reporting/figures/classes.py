"""Confusion matrices, drawn from results/errors; the same numbers give the same bytes."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from paper_lenet import paper
from paper_lenet.config.studies import Shown
from paper_lenet.reporting.figures.common import SIZE, Drawing, drawn, literal
from paper_lenet.reporting.tables.classes import NETWORK, SCORES, confusions, scores
from paper_lenet.reporting.tables.common import runs_of
from paper_lenet.reporting.tables.tutorials import TUTORIALS

# Beside the matrix, in its columns: where the scores begin, and how far apart they are.
SCORES_AT, SCORES_STEP = paper.CLASSES + 0.35, 1.45


@drawn
def confusion(results: Path, name: str) -> tuple[str, Figure]:
    """What the networks of one name take for what: counts of test images, and precision, recall and F1 of each digit.

    All are means over seeds; the right answers stand in words only. Raises TableError.
    """
    matrices = list(confusions(results, name).values())
    mean = np.mean(matrices, axis=0)
    by_digit = 100 * np.mean([scores(matrix) for matrix in matrices], axis=0)
    digits = range(paper.CLASSES)
    errors = np.ma.masked_where(np.eye(paper.CLASSES, dtype=bool) | (mean == 0), mean)

    figure = Figure(figsize=(SIZE[0], 2.75), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(f"{literal(name)}: test images, mean of {len(matrices)} seeds", pad=11)
    largest = max(float(errors.max()), 1.0) if errors.count() else 1.0
    # at most half black, so that the counts can be read
    axes.imshow(errors, cmap="Greys", vmin=0, vmax=2 * largest, aspect="auto")
    for true in digits:
        for called in digits:
            value = float(mean[true, called])
            if value == 0:
                continue
            text = f"{value:.0f}" if true == called or value >= 9.95 else f"{value:.1f}"
            weight = "bold" if true == called else "normal"
            axes.text(called, true, text, ha="center", va="center", fontsize=5.5, weight=weight)
        for column, value in enumerate(by_digit[:, true]):
            x = SCORES_AT + SCORES_STEP * column
            axes.text(x, true, f"{value:.1f}", ha="center", va="center", fontsize=5.5)
    for column, score in enumerate(SCORES):
        place = SCORES_AT + SCORES_STEP * column, -0.6
        axes.text(*place, score, ha="center", va="bottom", fontsize=5.0)
    axes.axvline(paper.CLASSES - 0.5, color="black", lw=0.6)
    axes.set_xlim(-0.5, SCORES_AT + SCORES_STEP * (len(SCORES) - 0.5))
    axes.set_xticks([*digits, SCORES_AT + SCORES_STEP], [*map(str, digits), "%"])
    axes.set_yticks(digits)
    axes.set_xlabel("called")
    axes.set_ylabel("is")
    axes.tick_params(length=0)
    axes.spines[["top", "right"]].set_visible(True)
    return f"confusion-{name}", figure


FIGURES = {
    f"confusion-{name}": Drawing(
        "What the networks take for what: true label against answer, and precision, recall and F1 of each digit, means "
        "over seeds.",
        *(partial(confusion, name=name), runs_of(name)),
        shown=Shown("network", 6) if name == NETWORK else Shown("today", 7),
    )
    for name in (NETWORK, *TUTORIALS)
}
