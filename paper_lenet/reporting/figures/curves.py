"""Fig. 5 redrawn, and the learning curves of any results.

The training error of all curves is measured on the fly: each pattern just before its update, as in the paper.
"""

from __future__ import annotations

import textwrap
from functools import partial
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MultipleLocator, NullFormatter

from paper_lenet import paper
from paper_lenet.config.studies import Shown
from paper_lenet.reporting.figures.common import (
    HELD_OUT,
    PAPER,
    SIZE,
    TRAINING,
    Drawing,
    drawn,
    grid,
    literal,
    one_configuration,
)
from paper_lenet.reporting.results import TableError, finished, read_curves, read_runs
from paper_lenet.reporting.tables.common import configurations, differing_fields, of_fig5, runs_of, usual

ERRORS = ["train_error_percent", "test_error_percent"]
# Panels in a row, of the curves of several configurations.
PANELS = 4


@drawn
def fig5(results: Path, name: str) -> tuple[str, Figure]:
    """Fig. 5 redrawn: error against pass, our seeds' mean and range, and, on MNIST, the paper's points.

    Runs that diverged are left out and counted in the title. Raises TableError where nothing can be drawn, or several
    configurations.
    """
    runs, done, title = one_configuration(results, name)
    curves = read_curves(results, name, runs)
    dataset = runs["dataset"].iloc[0]
    if dataset != "mnist":
        title += f"; data set {dataset}, not MNIST"

    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.add_subplot(title=title)
    of_done = curves[curves["seed"].isin(done["seed"])]
    _draw_curves(axes, of_done, of_fig5(name, runs), runs["split"].iloc[0])
    _label_curves(axes, int(of_done["pass"].max()))
    axes.legend(frameon=True, framealpha=1, edgecolor="none", borderaxespad=0)
    return f"fig5-{name}", figure


@drawn
def curves(results: Path, name: str) -> tuple[str, Figure]:
    """Error against pass of every configuration of a name, each in a panel of its own, mean over seeds and range.

    Runs that diverged are left out and counted. Raises TableError where nothing can be drawn.
    """
    runs = read_runs(results, name)
    of_all = read_curves(results, name, runs)
    of_all = of_all.merge(finished(runs)[["fingerprint", "seed"]], on=["fingerprint", "seed"])
    if of_all.empty:
        raise TableError(f"{name}: {len(runs)} of {len(runs)} runs diverged, nothing to draw")
    groups = configurations(runs)
    columns = min(PANELS, len(groups))
    rows = -(-len(groups) // columns)

    titles = [_panel_title(group, runs) for _, group in groups]
    lines = 1 + max(title.count("\n") for title in titles)
    figure = Figure(figsize=(2 * SIZE[0], 0.6 + (1.1 + 0.1 * lines) * rows), layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, title, (fingerprint, group) in zip(panels, titles, groups, strict=False):
        of_one = of_all[of_all["fingerprint"] == fingerprint]
        _draw_curves(axes, of_one, False, group["split"].iloc[0])
        if of_one.empty:
            axes.annotate("all diverged", (0.5, 0.5), xycoords="axes fraction", ha="center", fontsize=6.0)
        axes.set_title(title, fontsize=6.0)
    for axes in panels[len(groups) :]:
        axes.set_axis_off()
    _label_curves(panels[0], int(of_all["pass"].max()))
    panels[0].set(xlabel="", ylabel="")
    figure.supxlabel("pass through the training set")
    figure.supylabel("error, %")
    about = f"{name}; means of seeds, shaded: min to max"
    handles, labels = next(axes for axes in panels if axes.lines).get_legend_handles_labels()
    drawn_lines = {label.split(":")[0]: line for line, label in zip(handles, labels, strict=True) if ":" in label}
    figure.legend(
        drawn_lines.values(), drawn_lines, title=about, loc="outside upper center", ncols=2, fontsize="medium"
    )
    return f"curves-{name}", figure


def _panel_title(runs: pd.DataFrame, of_all: pd.DataFrame) -> str:
    """What tells a configuration from the others, and how many of its runs are drawn."""
    own = runs["label"].iloc[0] if "label" in runs else None
    label = own if isinstance(own, str) and own else ""
    alike = (of_all[of_all["label"] == label] if label else of_all).drop(columns="label", errors="ignore")
    base = usual(alike)
    # of one or two fields all values are told, of more only what is unusual
    settings = {column: str(runs[column].iloc[0]) for column in base}
    if len(base) > 2:
        settings = differing_fields(runs, base)
    short = {key if key.endswith(".name") else key.rpartition(".")[2]: text for key, text in settings.items()}
    fields = [f"{key}={value}" for key, value in short.items()]
    text = ", ".join([label, *fields] if label else fields) or "base"
    done = len(finished(runs))
    counted = f"n = {done}" if done == len(runs) else f"n = {done} of {len(runs)}"
    counted = counted.replace(" ", "\N{NO-BREAK SPACE}")
    return "\n".join(textwrap.wrap(literal(f"{text}; {counted}"), 36))


def _draw_curves(axes: Axes, curves: pd.DataFrame, with_paper: bool, held_out: str) -> None:
    """Training and held-out error of one configuration: mean, and the range of its seeds."""
    points = paper.fig5()
    for column, name, color, line, marker in (
        ("train_error_percent", "training, on the fly", TRAINING, "--", "o"),
        ("test_error_percent", held_out, HELD_OUT, "-", "^"),
    ):
        if with_paper:
            axes.plot(points["pass"], points[column], marker, ms=3.2, zorder=3, label=f"{name}: paper", **PAPER)
        if curves[column].isna().all():  # a run that does not look at held-out images
            continue
        by_pass = curves.groupby("pass")[column]
        passes = by_pass.mean().index.to_numpy()
        axes.plot(passes, by_pass.mean(), line, color=color, lw=1.0, label=f"{name}: mean of seeds")
        low, high = by_pass.min(), by_pass.max()
        axes.fill_between(passes, low, high, color=color, alpha=0.25, lw=0, label="min to max of seeds")
    grid(axes, "y")


def _label_curves(axes: Axes, passes: int) -> None:
    axes.set_xlabel("pass through the training set")
    axes.set_ylabel("error, %")
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlim(left=0)
    if passes <= 25:
        axes.xaxis.set_major_locator(MultipleLocator(5 if passes > 6 else 1))


_FIG5 = (
    "Error against pass through the training set, training and test: mean and range of our seeds, and the points of "
    "the paper's Fig. 5."
)
FIGURES = {
    "fig5-lenet5": Drawing(_FIG5, partial(fig5, name="lenet5"), runs_of("lenet5"), shown=Shown("headline")),
    "fig5-fig5": Drawing(_FIG5, partial(fig5, name="fig5"), runs_of("fig5"), shown=Shown("figures", 1)),
    "fig5-quarter-fig5": Drawing(
        _FIG5, partial(fig5, name="quarter-fig5"), runs_of("quarter-fig5"), shown=Shown("quarter", 2)
    ),
}
