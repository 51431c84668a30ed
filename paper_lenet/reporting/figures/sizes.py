"""Fig. 6 redrawn: the error against the size of the training set."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from paper_lenet import paper
from paper_lenet.config.studies import Shown
from paper_lenet.reporting import statistics
from paper_lenet.reporting.figures.common import (
    HELD_OUT,
    PAPER,
    SIZE,
    TRAINING,
    Drawing,
    drawn,
    grid,
    on_paper_terms,
)
from paper_lenet.reporting.results import TableError, read_runs
from paper_lenet.reporting.tables.common import runs_of

# results/runs/<name>.csv of Fig. 6, in two series: as many passes as for the full set, and as many updates. All but the
# first may be missing.
SIZES, DISTORTED = "fig6", "distorted"
SERIES = {SIZES: 0, "fig5": 0, DISTORTED: 0, "fig6-updates": 1}
# Where the distorted patterns are drawn on the axis of training set sizes: not to scale.
DISTORTED_AT = 87_000


@drawn
def fig6(results: Path) -> tuple[str, Figure]:
    """Fig. 6 redrawn: error against training set size, our mean and 95 % t interval over seeds, the paper's points.

    Ours are those of runs/fig6.csv, and of fig5.csv (the full set), distorted.csv and fig6-updates.csv as far as they
    are there. With distortions our training error is that of the distorted patterns; the paper gives none.
    Raises TableError where nothing can be drawn, several configurations of one size, or other errors than the test
    error on MNIST.
    """
    points: list[_Point] = []
    for name, series in SERIES.items():
        if name != SIZES and not (results / "runs" / f"{name}.csv").exists():
            continue
        runs = read_runs(results, name)
        on_paper_terms(name, runs)
        for _, group in runs.groupby("fingerprint", sort=False):
            done = group[group["status"] == "ok"]
            if done.empty:
                raise TableError(f"{name}: {len(group)} of {len(group)} runs of one configuration diverged")
            place = DISTORTED_AT if name == DISTORTED else int(done["train_size"].iloc[0])
            if any((point.place, point.series) == (place, series) for point in points):
                raise TableError(f"{name}: several configurations of one size; Fig. 6 is drawn for one")
            points.append(_Point(place, series, done, len(group)))

    figure = Figure(figsize=(SIZE[0], SIZE[1] + 0.4), layout="constrained")
    _draw_fig6(figure, points)
    return "fig6", figure


@dataclass(frozen=True)
class _Point:
    """One configuration in Fig. 6: its place on the axis of sizes, which series it is of, its runs that ended well, and
    how many it has."""

    place: int
    series: int
    runs: pd.DataFrame
    total: int

    def seeds(self) -> str:
        return f"n = {len(self.runs)}" + (f" of {self.total}" if len(self.runs) < self.total else "")


def _draw_fig6(figure: Figure, ours: list[_Point]) -> None:
    axes = figure.add_subplot()
    paper_points = paper.fig6()
    # "60000+540000 distorted" is the only one that is no number
    places = pd.to_numeric(paper_points["training_set"], errors="coerce").fillna(DISTORTED_AT).astype(int)
    handles: list[Any] = []
    for column, label, of_paper, color, markers in (
        ("test_error_percent", "test", "test: paper", HELD_OUT, "^D"),
        ("train_error_percent", "training", "training, on the fly: paper", TRAINING, "os"),
    ):
        hollow = {"ms": 3.6, "ls": "none", **PAPER}
        handles += axes.plot(places - 1000, paper_points[column], markers[0], label=of_paper, **hollow)
        for series, name in enumerate(("ours", "ours,\nas many updates")):
            chosen = [point for point in ours if point.series == series]
            if not chosen:
                continue
            values = [[float(value) for value in point.runs[column]] for point in chosen]
            mean = [statistics.mean(group) for group in values]
            # one run has no interval
            half = np.nan_to_num([statistics.t_interval(group)[1] for group in values] - np.array(mean))
            x = [point.place + (3000 if series else 1000) for point in chosen]
            filled: dict[str, Any] = {
                "color": color,
                "ms": 2.6,
                "capsize": 2.2,
                "lw": 0.8,
                "capthick": 0.8,
                "fmt": markers[series],
            }
            told = f"{label}: {name}" + (f", {chosen[0].seeds()}" if series else "")
            handles.append(axes.errorbar(x, mean, half, label=told, **filled))
    names = {place: _size_name(text) for place, text in zip(places, paper_points["training_set"], strict=True)}
    for point in ours:
        if not point.series:
            before = names.get(point.place, f"{point.place:,}")
            names[point.place] = f"{before}{', ' if point.place == DISTORTED_AT else chr(10)}{point.seeds()}"
    axes.axvline((paper.TRAIN_SIZE + DISTORTED_AT) / 2, color="0.6", lw=0.6, ls=":")
    axes.set_xticks(list(names), list(names.values()))
    axes.set_xlim(8_000, DISTORTED_AT + 13_000)
    axes.set_yscale("log")
    axes.set_yticks([0.02, 0.05, 0.1, 0.2, 0.5, 1, 2], ["0.02", "0.05", "0.1", "0.2", "0.5", "1", "2"])
    axes.minorticks_off()
    axes.set_xlabel("training set size\n(ours: mean of n seeds and its 95 % interval)")
    axes.set_ylabel("error, %")
    grid(axes, "y")
    figure.legend(handles=handles, loc="outside upper center", ncols=2, borderaxespad=0)


def _size_name(text: str) -> str:
    """15000 -> 15,000, and the last one on two lines."""
    spaced = re.sub(r"\d+", lambda number: f"{int(number[0]):,}", str(text)).replace("+", " + ")
    return "\n".join(spaced.rsplit(" ", 1)) if " " in spaced else spaced


FIGURES = {
    "fig6": Drawing(
        "Error against the size of the training set: ours with intervals, and the paper's Fig. 6.",
        *(fig6, runs_of(SIZES)),
        shown=Shown("figures", 2),
    )
}
