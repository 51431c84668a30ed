"""Figures of the ablations and of the tutorials, drawn from results/; the same numbers give the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MultipleLocator, NullLocator

from paper_lenet.config.studies import Shown, Study
from paper_lenet.reporting import statistics
from paper_lenet.reporting.figures.common import HELD_OUT, SIZE, TRAINING, Drawing, drawn, grid, literal
from paper_lenet.reporting.results import TableError, errors_by_seed, finished, read_curves
from paper_lenet.reporting.tables.ablations import Row, compare, options_of
from paper_lenet.reporting.tables.claims import published_test
from paper_lenet.reporting.tables.classes import tested
from paper_lenet.reporting.tables.common import runs_of
from paper_lenet.reporting.tables.tutorials import TUTORIALS

# Inches a row takes, and what is around the rows.
ROW_HEIGHT, AROUND = 0.185, 0.75
# Two seeds' interval is so wide that nothing else of the figure could be seen; the table has it.
LEAST = 3
LINES = ("-", "--", ":")
MARKERS = ("o", "^", "s")


@drawn
def figure(results: Path, study: Study) -> tuple[str, Figure]:
    """One study: the differences from its base with their 95 % intervals, or, where rows have an order, the errors.

    Raises TableError where nothing can be drawn.
    """
    name, options = study.name, options_of(study)
    rows = compare(study, published_test(results, name, options.any_passes))
    in_order = bool(options.against)
    if not any(len(errors_by_seed(row.runs)) for row in rows):
        raise TableError(f"{name}: all runs diverged, nothing to draw")

    shown = rows if in_order else rows[1:]
    drawing = Figure(figsize=(SIZE[0], AROUND + ROW_HEIGHT * len(shown)), layout="constrained")
    axes = drawing.add_subplot()
    (_draw_errors if in_order else _draw_differences)(axes, shown)
    base, more = options.base, "; bars: single seeds" if in_order else ""
    what = "test error, %" if in_order else f"test error minus that of {base}, points"
    seeds = max(len(row.runs) for row in rows)
    # below the figure, not the axes, whose place the labels of the rows take
    how = f"mean of {seeds} seeds, 95 % interval of {LEAST} or more{more}"
    drawing.supxlabel(f"{what}\n({how})")
    return name, drawing


def _draw_differences(axes: Axes, rows: list[Row]) -> None:
    for place, row in enumerate(rows):
        each = row.from_base
        if each is None:
            axes.annotate(" not compared", (0, place), va="center", fontsize=6.5)
            continue
        # hollow where 0 lies within the interval
        enough = len(row.runs) >= LEAST
        clear = enough and not each.low <= 0 <= each.high
        half = each.high - each.difference if enough else 0.0
        color = TRAINING if each.difference < 0 else HELD_OUT
        style: dict[str, Any] = {
            "ms": 3.6,
            "capsize": 2.0,
            "lw": 0.9,
            "capthick": 0.9,
            "mfc": color if clear else "white",
        }
        axes.errorbar(each.difference, place, xerr=half, fmt="o" if each.difference < 0 else "s", color=color, **style)
    axes.axvline(0, color="0.4", lw=0.7, zorder=0)
    _rows(axes, [_with_count(row) for row in rows])


def _draw_errors(axes: Axes, rows: list[Row]) -> None:
    for place, row in enumerate(rows):
        values = list(errors_by_seed(row.runs).values())
        if not values:
            axes.annotate("all diverged", (0.02, place), xycoords=("axes fraction", "data"), va="center", fontsize=6.5)
            continue
        mean = statistics.mean(values)
        half = statistics.t_interval(values)[1] - mean if len(values) >= LEAST else 0.0
        axes.plot(values, [place] * len(values), "|", color="0.55", ms=4, mew=0.6, zorder=1)
        style: dict[str, Any] = {"ms": 3.6, "capsize": 2.0, "lw": 0.9, "capthick": 0.9}
        axes.errorbar(mean, place, xerr=half, fmt="o", color=TRAINING, **style)
    _rows(axes, [_with_count(row) for row in rows])


def _rows(axes: Axes, labels: list[str]) -> None:
    axes.set_yticks(range(len(labels)), [literal(label) for label in labels])
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    grid(axes, "x")


def _with_count(row: Row) -> str:
    ended = len(finished(row.runs))
    return row.label + (f" ({len(row.runs) - ended} diverged)" if ended < len(row.runs) else "")


@drawn
def curves(results: Path) -> tuple[str, Figure]:
    """The three tutorials: training error on the fly and test error by epoch, mean over seeds and range.

    Raises TableError.
    """
    found = {}
    for name in TUTORIALS:
        runs = tested(results, name)
        done = finished(runs)
        if done.empty:
            raise TableError(f"{name}: all runs diverged, nothing to draw")
        of_name = read_curves(results, name, runs)
        found[name] = of_name[of_name["seed"].isin(done["seed"])]

    figure = Figure(figsize=(SIZE[0], SIZE[1] + 0.5), layout="constrained")
    axes = figure.add_subplot()
    for name, line, marker in zip(TUTORIALS, LINES, MARKERS, strict=True):
        for column, what, color in (
            ("train_error_percent", "training", TRAINING),
            ("test_error_percent", "test", HELD_OUT),
        ):
            by_epoch = found[name].groupby("pass")[column]
            epochs, mean = by_epoch.mean().index.to_numpy(), by_epoch.mean().to_numpy()
            label = f"{name[-2:].upper()} {what}"
            hollow = "white" if column == "train_error_percent" else color
            style: dict[str, Any] = {"ms": 3.2, "mew": 0.8, "mfc": hollow, "lw": 1.0}
            axes.plot(epochs, mean, line, marker=marker, color=color, label=label, **style)
            axes.fill_between(epochs, by_epoch.min(), by_epoch.max(), color=color, alpha=0.15, lw=0)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("epoch (means of seeds; shaded: min to max)")
    axes.set_ylabel("error, % (training: on the fly)")
    axes.xaxis.set_major_locator(MultipleLocator(1))
    grid(axes, "y")
    figure.legend(loc="outside upper center", ncols=3, handlelength=3.2)
    return "tutorials", figure


FIGURES = {
    "tutorials": Drawing(
        "Error against epoch of the three tutorials.", curves, runs_of(*TUTORIALS), shown=Shown("today", 6)
    ),
}
