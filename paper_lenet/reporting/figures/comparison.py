"""Figs. 9 to 12 redrawn, the paper's bars and ours side by side; what rejecting gains; and Sec. III-E's estimates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paper_lenet import paper
from paper_lenet.classifiers.invariance import COLUMNS as INVARIANCE_COLUMNS
from paper_lenet.classifiers.invariance import INVARIANCE
from paper_lenet.classifiers.measures import ACCEPTED_ERROR, curve
from paper_lenet.config.studies import Shown
from paper_lenet.reporting import statistics
from paper_lenet.reporting.figures.common import HELD_OUT, SIZE, TRAINING, Drawing, drawn, grid
from paper_lenet.reporting.results import TableError, numbers, read_csv
from paper_lenet.reporting.tables.common import runs_of
from paper_lenet.reporting.tables.comparison import ADDS, COMPARISON, ERROR, MEMORY, REJECT, Line, lines

ROW_HEIGHT, AROUND = 0.2, 0.8
BAR = 0.38


@dataclass(frozen=True)
class Bars:
    """One figure: its caption, the paper's column, ours and its factor to the paper's unit, the axis."""

    caption: str
    published: str
    ours: str
    factor: float
    label: str
    log: bool
    digits: Callable[[float], str]


BARS = {
    "fig9": Bars("Test errors of the paper's classifiers, its numbers beside ours.", ERROR, "error_percent", 1.0,
                 "test error, %", False, lambda v: f"{v:.2f}".rstrip("0").rstrip(".")),
    "fig10": Bars("How much each must reject for 0.5 % error, the paper's numbers beside ours.", REJECT,
                  "reject_percent", 1.0, "rejected for 0.5 % error, %", False,
                  lambda v: f"{v:.1f}".removesuffix(".0")),
    "fig11": Bars("Multiply-adds of one recognition, the paper's numbers beside ours.", ADDS, "multiply_adds", 1e-3,
                  "multiply-adds a recognition, thousands", True, lambda v: f"{v:,.0f}"),
    "fig12": Bars("Variables that each must store, the paper's numbers beside ours.", MEMORY, "variables", 1e-3,
                  "variables stored, thousands", True, lambda v: f"{v:,.0f}"),
}  # fmt: skip


@drawn
def bars(results: Path, name: str) -> tuple[str, Figure]:
    """Figure 9, 10, 11 or 12 from results/runs/comparison.csv.

    Raises TableError where nothing can be drawn.
    """
    about = BARS[name]
    found = [line for line in lines(results) if not line.classifier.variant and len(line.runs)]
    # Fig. 10 has a part of the paper's; ours are drawn where there is a bar to stand beside, or never is one
    shown = [line for line in found if not pd.isna(line.published[about.published]) or not line.is_published()]
    if not shown:
        raise TableError(f"{name}: no classifier that it has was run")

    figure = Figure(figsize=(SIZE[0], AROUND + ROW_HEIGHT * len(shown)), layout="constrained")
    axes = figure.add_subplot()
    for place, line in enumerate(shown):
        _pair(axes, place, line, about)
    axes.set_yticks(range(len(shown)), [line.classifier.name for line in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    if about.log:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
        axes.tick_params(axis="x", labelsize=5.5)
    axes.margins(x=0.12)
    figure.supxlabel(about.label)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles[:2], labels[:2], loc="outside upper center", ncols=2)
    return name, figure


def _pair(axes: Axes, place: int, line: Line, about: Bars) -> None:
    ours = [about.factor * value for value in numbers(line.runs, about.ours)]
    theirs, mean = line.published[about.published], statistics.mean(ours)
    half = statistics.std(ours) if len(ours) > 1 and not about.log else 0.0
    name = "ours" if about.log else "ours, mean ± std"
    both = ((theirs, -BAR / 2, "0.72", "paper", 0.0), (mean, BAR / 2, TRAINING, name, half))
    for value, offset, color, label, error in both if line.is_published() else both[1:]:
        axes.barh(place + offset, value, BAR, color=color, label=label, lw=0)
        if error:
            axes.errorbar(value, place + offset, xerr=error, color=HELD_OUT, lw=0.8)
        axes.annotate(f" {about.digits(value)}", (value + error, place + offset), va="center", fontsize=5.0)


# As far as curves of error against rejects go, per cent.
REJECTED = 15.0
PANELS = 3


@drawn
def rejects(results: Path) -> tuple[str, Figure]:
    """Error on what is left against the share that is rejected, of the classifiers of Fig. 10, and the paper's point.

    Raises TableError where there is no curve.
    """
    found = [line for line in lines(results) if not line.classifier.variant and not pd.isna(line.published[REJECT])]
    found = [line for line in found if len(line.runs) and not line.runs["rejected_before"].isna().any()]
    if not found:
        raise TableError("rejects: no classifier of Fig. 10 was run")

    rows = -(-len(found) // PANELS)
    figure = Figure(figsize=(2 * SIZE[0], 0.4 + 1.25 * rows), layout="constrained")
    panels = figure.subplots(rows, PANELS, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, line in zip(panels, found, strict=False):
        for number, (_, run) in enumerate(line.runs.iterrows()):
            ranks = np.array(str(run["rejected_before"]).split(), np.int64)
            left = curve(ranks, paper.TEST_SIZE)[: round(REJECTED / 100 * paper.TEST_SIZE)]
            share = 100 * np.arange(len(left)) / paper.TEST_SIZE
            axes.plot(share, left, color=TRAINING, lw=0.8, label="ours, a line a seed" if not number else "")
        axes.plot(line.published[REJECT], ACCEPTED_ERROR, "o", color=HELD_OUT, ms=4, mfc="white", label="paper")
        axes.set_title(line.classifier.name, pad=3)
        grid(axes, "both")
    for axes in panels[len(found) :]:
        axes.set_visible(False)
    panels[0].set_xlim(0, REJECTED)
    panels[0].set_ylim(0, 2)
    figure.supxlabel("rejected, %")
    figure.supylabel("error on the rest, %")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2)
    return "rejects", figure


# What the paper estimates that LeNet-5 copes with (Sec. III-E): a factor of 2 from the smallest to the largest, about
# half the height of a digit, which is 20 pixels, 30 degrees either way, and Fig. 13's inverted pixels.
ESTIMATES = {"scale": (0.5**0.5, 2**0.5), "shift": (-10, 10), "rotation": (-30, 30), "noise": (0, 0.1)}
LABELS = {"scale": "factor of size", "shift": "shift down, pixels", "rotation": "rotation, degrees",
          "noise": "share of inverted pixels"}  # fmt: skip
LINES = ((TRAINING, "-"), (HELD_OUT, "-"), ("0.35", "--"))


@drawn
def invariances(results: Path) -> tuple[str, Figure]:
    """Test error against how much the images are changed, and the paper's estimates, from results/invariance.csv.

    Raises TableError.
    """
    path = results / f"{INVARIANCE}.csv"
    table = read_csv(path, INVARIANCE_COLUMNS)
    if table.empty or set(table["dataset"]) != {"mnist"} or set(table["test_size"]) != {paper.TEST_SIZE}:
        raise TableError(f"{path}: not of MNIST's {paper.TEST_SIZE} test images")

    figure = Figure(figsize=(2 * SIZE[0], 3.9), layout="constrained")
    panels = figure.subplots(2, 2, sharey=True).ravel()
    for axes, (kind, label) in zip(panels, LABELS.items(), strict=True):
        axes.axvspan(*ESTIMATES[kind], color="0.93", lw=0, label="the paper's estimate")
        of_kind = table[table["kind"] == kind]
        for (name, some), (color, style) in zip(of_kind.groupby("classifier", sort=False), LINES, strict=False):
            some = some.sort_values("amount")
            axes.plot(some["amount"], some["error_percent"], style, color=color, lw=1, marker=".", ms=3, label=name)
        axes.set_yscale("log")
        axes.set_xlabel(label)
        grid(axes, "y")
    panels[0].yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    figure.supylabel("test error, %")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4)
    return INVARIANCE, figure


FIGURES = {
    **{
        name: Drawing(about.caption, partial(bars, name=name), runs_of(COMPARISON), shown=Shown("classifiers", 1))
        for name, about in BARS.items()
    },
    "rejects": Drawing(
        "Error on what is left against the share that is rejected, and the paper's point of each classifier.",
        *(rejects, runs_of(COMPARISON)),
        shown=Shown("classifiers", 2),
    ),
    "invariance": Drawing(
        "Test error on images that are scaled, shifted, turned or noisy, and the paper's estimates.",
        *(invariances, (f"{INVARIANCE}.csv",)),
        shown=Shown("classifiers", 3),
    ),
}
