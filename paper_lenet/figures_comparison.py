"""Figs. 9 to 12 redrawn: the paper's bars and ours side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paper_lenet import evaluate
from paper_lenet.comparison import ADDS, ERROR, MEMORY, REJECT, Line, lines
from paper_lenet.figures import HELD_OUT, SIZE, STYLE, TRAINING, drawn
from paper_lenet.tables import TableError, numbers

ROW, AROUND = 0.2, 0.8
BAR = 0.38


@dataclass(frozen=True)
class Bars:
    """One figure: the paper's column, ours and its factor to the paper's unit, the axis."""

    published: str
    ours: str
    factor: float
    label: str
    log: bool
    digits: Callable[[float], str]


FIGURES = {
    "fig9": Bars(ERROR, "error_percent", 1.0, "test error, %", False, lambda v: f"{v:.2f}".rstrip("0").rstrip(".")),
    "fig10": Bars(REJECT, "reject_percent", 1.0, "rejected for 0.5 % error, %", False,
                  lambda v: f"{v:.1f}".removesuffix(".0")),
    "fig11": Bars(ADDS, "multiply_adds", 1e-3, "multiply-adds a recognition, thousands", True,
                  lambda v: f"{v:,.0f}"),
    "fig12": Bars(MEMORY, "variables", 1e-3, "variables stored, thousands", True, lambda v: f"{v:,.0f}"),
}  # fmt: skip


def bars(results: Path, name: str) -> dict[Path, bytes]:
    """Figure 9, 10, 11 or 12 from results/runs/comparison.csv.

    Returns the bytes of figures/<name>.svg and .png; nothing is written. Raises TableError where nothing can be drawn.
    """
    about = FIGURES[name]
    found = [line for line in lines(results) if not line.system.also and len(line.runs)]
    # Fig. 10 has a part of them; ours are drawn where there is a bar to stand beside
    shown = [line for line in found if not pd.isna(line.published[about.published])]
    if not shown:
        raise TableError(f"{name}: no classifier that it has was run")

    def draw() -> Figure:
        figure = Figure(figsize=(SIZE[0], AROUND + ROW * len(shown)), layout="constrained")
        axes = figure.add_subplot()
        for place, line in enumerate(shown):
            _pair(axes, place, line, about)
        axes.set_yticks(range(len(shown)), [line.system.name for line in shown])
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        if about.log:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
        axes.margins(x=0.12)
        figure.supxlabel(about.label, fontsize=STYLE["font.size"])
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles[:2], labels[:2], loc="outside upper center", ncols=2, frameon=False, fontsize=6.5)
        return figure

    return drawn(results, name, draw)


def _pair(axes: Axes, place: int, line: Line, about: Bars) -> None:
    ours = [about.factor * value for value in numbers(line.runs, about.ours)]
    theirs, mean = float(line.published[about.published]), evaluate.mean(ours)
    half = evaluate.std(ours) if len(ours) > 1 and not about.log else 0.0
    both = ((theirs, -BAR / 2, "0.72", "paper", 0.0), (mean, BAR / 2, TRAINING, "ours, mean ± std", half))
    for value, offset, color, label, error in both:
        axes.barh(place + offset, value, BAR, color=color, label=label, lw=0)
        if error:
            axes.errorbar(value, place + offset, xerr=error, color=HELD_OUT, lw=0.8)
        axes.annotate(f" {about.digits(value)}", (value + error, place + offset), va="center", fontsize=5.0)
