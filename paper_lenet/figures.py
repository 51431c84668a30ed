"""Figures drawn from results/curves/*.csv; the same numbers give the same bytes.

The training error of all curves is measured on the fly: each pattern just before its update, as in the paper.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from paper_lenet import paper
from paper_lenet.records import write_atomic
from paper_lenet.tables import TableError, read_results

# One column of a two-column page, in inches.
SIZE = (3.5, 2.8)
STYLE: dict[Any, Any] = {
    "font.size": 7.5,
    "axes.titlesize": 7.5,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "paper_lenet",
}


def fig5(results: Path, name: str) -> dict[Path, bytes]:
    """Fig. 5 redrawn: error against pass, our seeds' mean and range, and, on MNIST, the paper's points.

    Returns the bytes of figures/fig5-<name>.svg and .png; nothing is written. Runs that diverged are left out
    and counted in the title. Raises TableError where nothing can be drawn, or several configurations.
    """
    runs = read_results(results / "runs" / f"{name}.csv")
    if runs["fingerprint"].nunique() > 1:
        raise TableError(f"{name}: several configurations; Fig. 5 is drawn for one")
    done = runs.loc[runs["status"] == "ok", "seed"]
    if done.empty:
        raise TableError(f"{name}: {len(runs)} of {len(runs)} runs diverged, nothing to draw")
    curves = read_results(results / "curves" / f"{name}.csv")
    title = f"{name}: {len(done)} seed" + ("s" if len(done) > 1 else "")
    if len(done) < len(runs):
        title += f" ({len(runs) - len(done)} more diverged)"
    dataset = runs["dataset"].iloc[0]
    if dataset != "mnist":
        title += f"; data set {dataset}, not MNIST"
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.add_subplot(title=title)
        _draw_fig5(axes, curves[curves["seed"].isin(done)], dataset == "mnist", runs["split"].iloc[0])
        return {results / "figures" / f"fig5-{name}.{kind}": _bytes(figure, kind) for kind in ("svg", "png")}


def write(files: dict[Path, bytes]) -> None:
    """Write what a drawing function gave. Raises RecordError."""
    for path, content in files.items():
        write_atomic(path, content)


def _draw_fig5(axes: Axes, curves: pd.DataFrame, with_paper: bool, held_out: str) -> None:
    points = paper.fig5()
    # Okabe and Ito's blue and vermilion; line and marker tell them apart in grey.
    for column, name, color, line, marker in (
        ("train_error_percent", "training, on the fly", "#0072B2", "--", "o"),
        ("test_error_percent", held_out, "#D55E00", "-", "^"),
    ):
        if with_paper:
            style: dict[str, Any] = {"color": color, "ms": 3.2, "mfc": "white", "mew": 0.8, "zorder": 3}
            axes.plot(points["pass"], points[column], marker, label=f"{name}: paper", **style)
        by_pass = curves.groupby("pass")[column]
        passes = by_pass.mean().index.to_numpy()
        axes.plot(passes, by_pass.mean(), line, color=color, lw=1.0, label=f"{name}: mean of seeds")
        low, high = by_pass.min(), by_pass.max()
        axes.fill_between(passes, low, high, color=color, alpha=0.25, lw=0, label="min to max of seeds")
    axes.set_xlabel("pass through the training set")
    axes.set_ylabel("error, %")
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    if curves["pass"].max() <= 25:
        axes.xaxis.set_major_locator(MultipleLocator(5 if curves["pass"].max() > 6 else 1))
    axes.grid(axis="y", color="0.9", lw=0.5)
    axes.set_axisbelow(True)
    axes.legend(fontsize=6.5, framealpha=1, edgecolor="none", borderaxespad=0)


def _bytes(figure: Figure, kind: str) -> bytes:
    out = io.BytesIO()
    # Neither a date nor matplotlib's version, so that the same numbers give the same file.
    figure.savefig(out, format=kind, dpi=300, metadata={"Date": None} if kind == "svg" else {"Software": None})
    return out.getvalue()
