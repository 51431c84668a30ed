"""Figs. 9 to 12 redrawn, the paper's numbers beside ours; what rejecting gains; and Sec. III-E's estimates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from paper_lenet import paper
from paper_lenet.classifiers.invariance import COLUMNS as INVARIANCE_COLUMNS
from paper_lenet.classifiers.invariance import INVARIANCE
from paper_lenet.classifiers.measures import ACCEPTED_ERROR, curve
from paper_lenet.config.studies import Shown
from paper_lenet.reporting import statistics
from paper_lenet.reporting.figures.common import HELD_OUT, PAPER, SIZE, TRAINING, Drawing, drawn, grid
from paper_lenet.reporting.results import TableError, numbers, read_csv
from paper_lenet.reporting.tables.common import runs_of
from paper_lenet.reporting.tables.comparison import ADDS, COMPARISON, ERROR, MEMORY, REJECT, Line, lines

ROW_HEIGHT, AROUND = 0.17, 0.8
WIDE = 100  # a wider range of numbers has ticks at powers of ten only


@dataclass(frozen=True)
class Compared:
    """One figure: its caption, the paper's column, ours and its factor to the paper's unit, the axis."""

    caption: str
    published: str
    ours: str
    factor: float
    label: str
    digits: Callable[[float], str]


COMPARED = {
    "fig9": Compared("Test errors of the paper's classifiers, its numbers beside ours.", ERROR, "error_percent", 1.0,
                 "test error, %", lambda v: f"{v:.2f}".rstrip("0").rstrip(".")),
    "fig10": Compared("How much each must reject for 0.5 % error, the paper's numbers beside ours.", REJECT,
                  "reject_percent", 1.0, "rejected for 0.5 % error, %",
                  lambda v: f"{v:.1f}".removesuffix(".0")),
    "fig11": Compared("Multiply-adds of one recognition, the paper's numbers beside ours.", ADDS, "multiply_adds", 1e-3,
                  "multiply-adds a recognition, thousands", lambda v: f"{v:,.0f}"),
    "fig12": Compared("Variables that each must store, the paper's numbers beside ours.", MEMORY, "variables", 1e-3,
                  "variables stored, thousands", lambda v: f"{v:,.0f}"),
}  # fmt: skip


@drawn
def compared(results: Path, name: str) -> tuple[str, Figure]:
    """Figure 9, 10, 11 or 12 from results/runs/comparison.csv.

    Raises TableError where nothing can be drawn.
    """
    about = COMPARED[name]
    found = [line for line in lines(results) if not line.classifier.variant and len(line.runs)]
    # Fig. 10 has a part of the paper's; ours are drawn where there is one to stand beside, or never is one
    shown = [line for line in found if not pd.isna(line.published[about.published]) or not line.is_published()]
    if not shown:
        raise TableError(f"{name}: no classifier that it has was run")

    figure = Figure(figsize=(SIZE[0], AROUND + ROW_HEIGHT * len(shown)), layout="constrained")
    axes = figure.add_subplot()
    for place, line in enumerate(shown):
        _pair(axes, place, line, about)
    axes.set_yticks(range(len(shown)), [line.classifier.name for line in shown])
    axes.set_xscale("log")
    values = [line.published[about.published] for line in shown] + [
        statistics.mean(_ours(line, about)) for line in shown
    ]
    few = max(filter(pd.notna, values)) < WIDE * min(filter(pd.notna, values))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="x", labelsize=None if few else 5.5)
    grid(axes, "x")
    right = axes.twinx()
    right.set_yticks(range(len(shown)), [_numbers(line, about) for line in shown], fontsize=5.5)
    for each in (axes, right):
        each.set_ylim(len(shown) - 0.4, -0.6)
        each.tick_params(axis="y", length=0)
        each.spines[["left", "right", "top"]].set_visible(False)
    axes.margins(x=0.08)
    figure.supxlabel(about.label)
    named = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    figure.legend(named.values(), named.keys(), loc="outside upper center", ncols=2)
    return name, figure


def _ours(line: Line, about: Compared) -> list[float]:
    return [about.factor * value for value in numbers(line.runs, about.ours)]


def _numbers(line: Line, about: Compared) -> str:
    """The paper's number and our mean, as they stand on the right."""
    both = [line.published[about.published]] if line.is_published() else []
    return "; ".join(about.digits(value) for value in [*both, statistics.mean(_ours(line, about))])


def _pair(axes: Axes, place: int, line: Line, about: Compared) -> None:
    ours, theirs = _ours(line, about), line.published[about.published]
    mean, half = statistics.mean(ours), statistics.std(ours) if len(ours) > 1 else None
    if line.is_published():
        axes.plot([theirs, mean], [place, place], color="0.8", lw=1, zorder=1)
        axes.plot(theirs, place, "o", ms=4, label="paper (first number)", **PAPER)
    axes.errorbar(mean, place, xerr=half, fmt="o", color=TRAINING, ms=3, lw=0.8, label="ours, mean ± std")


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
        axes.plot(line.published[REJECT], ACCEPTED_ERROR, "o", ms=4, label="paper", **PAPER)
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


def in_order(table: pd.DataFrame) -> list[str]:
    """The classifiers of results/invariance.csv, LeNet-5 first and the nearest neighbours last."""
    return sorted(set(table["classifier"]), key=lambda name: (not name.startswith("LeNet"), name))


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
        for name, (color, style) in zip(in_order(table), LINES, strict=False):
            some = of_kind[of_kind["classifier"] == name].sort_values("amount")
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
        name: Drawing(about.caption, partial(compared, name=name), runs_of(COMPARISON), shown=Shown("classifiers", 1))
        for name, about in COMPARED.items()
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
