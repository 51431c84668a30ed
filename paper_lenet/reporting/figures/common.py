"""Fig. 5 and 6 and other learning curves, drawn from results/; the same numbers give the same bytes.

The training error of all curves is measured on the fly: each pattern just before its update, as in the paper.
"""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.ticker import MultipleLocator

from paper_lenet import paper
from paper_lenet.files import write_atomic
from paper_lenet.reporting import statistics
from paper_lenet.reporting.formats import named
from paper_lenet.reporting.results import TableError, finished, read_curves, read_runs
from paper_lenet.reporting.tables.common import check_promise, configurations, of_fig5
from paper_lenet.reporting.tables.study import differing_fields, usual

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


# Okabe and Ito's blue and vermilion; line and marker tell them apart in grey.
TRAINING, HELD_OUT = "#0072B2", "#D55E00"

ERRORS = ["train_error_percent", "test_error_percent"]
# Panels in a row, of the curves of several configurations.
PANELS = 4

# results/runs/<name>.csv of Fig. 6; all but the first may be missing. Eq. 9 is drawn beside the full set.
SIZES, FULL, DISTORTED, EQ9 = "fig6", "fig5", "distorted", "eq9"
# Where the distorted patterns are drawn on the axis of training set sizes: not to scale.
DISTORTED_AT = 87_000


def fig5(results: Path, name: str) -> dict[Path, bytes]:
    """Fig. 5 redrawn: error against pass, our seeds' mean and range, and, on MNIST, the paper's points.

    Returns the bytes of figures/fig5-<name>.svg and .png; nothing is written. Runs that diverged are left out
    and counted in the title. Raises TableError where nothing can be drawn, or several configurations.
    """
    runs, done, title = one_configuration(results, name)
    curves = read_curves(results, name, runs)
    dataset = runs["dataset"].iloc[0]
    if dataset != "mnist":
        title += f"; data set {dataset}, not MNIST"

    def draw() -> Figure:
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.add_subplot(title=title)
        of_done = curves[curves["seed"].isin(done["seed"])]
        _draw_curves(axes, of_done, of_fig5(name, runs), runs["split"].iloc[0])
        _label_curves(axes, int(of_done["pass"].max()))
        axes.legend(fontsize=6.5, framealpha=1, edgecolor="none", borderaxespad=0)
        return figure

    return drawn(results, f"fig5-{name}", draw)


def curves(results: Path, name: str) -> dict[Path, bytes]:
    """Error against pass of every configuration of a name, each in a panel of its own, mean over seeds and range.

    Returns the bytes of figures/curves-<name>.svg and .png; nothing is written. Runs that diverged are left out and
    counted. Raises TableError where nothing can be drawn.
    """
    runs = read_runs(results, name)
    of_all = read_curves(results, name, runs)
    of_all = of_all.merge(finished(runs)[["fingerprint", "seed"]], on=["fingerprint", "seed"])
    if of_all.empty:
        raise TableError(f"{name}: {len(runs)} of {len(runs)} runs diverged, nothing to draw")
    groups = configurations(runs)
    columns = min(PANELS, len(groups))
    rows = -(-len(groups) // columns)
    # a curve that leaves the panel starts far above where all others end
    final = of_all.groupby("fingerprint")[ERRORS].last().max(axis=1)
    top = 4 * float(final.median()) or None

    def draw() -> Figure:
        titles = [_panel_title(group, runs) for _, group in groups]
        lines = 1 + max(title.count("\n") for title in titles)
        figure = Figure(figsize=(2 * SIZE[0], 0.6 + (1.1 + 0.1 * lines) * rows), layout="constrained")
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for axes, title, (fingerprint, group) in zip(panels, titles, groups, strict=False):
            of_one = of_all[of_all["fingerprint"] == fingerprint]
            _draw_curves(axes, of_one, False, group["split"].iloc[0])
            least = of_one.groupby("pass")[ERRORS].mean().min().min()
            if of_one.empty or (top and least > top):
                above = "all diverged" if of_one.empty else f"not below {least:.1f} %"
                axes.annotate(above, (0.5, 0.5), xycoords="axes fraction", ha="center", fontsize=6.0)
            axes.set_title(title, fontsize=6.0)
        for axes in panels[len(groups) :]:
            axes.set_axis_off()
        _label_curves(panels[0], int(of_all["pass"].max()))
        panels[0].set(xlabel="", ylabel="", ylim=(0, top))
        figure.supxlabel("pass through the training set", fontsize=STYLE["font.size"])
        figure.supylabel("error, %", fontsize=STYLE["font.size"])
        about = f"{name}; means of seeds, shaded: min to max"
        handles, labels = next(axes for axes in panels if axes.lines).get_legend_handles_labels()
        drawn_lines = {label.split(":")[0]: line for line, label in zip(handles, labels, strict=True) if ":" in label}
        figure.legend(
            drawn_lines.values(), drawn_lines, title=about, loc="outside upper center", ncols=2, frameon=False
        )
        return figure

    return drawn(results, f"curves-{name}", draw)


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


def fig6(results: Path) -> dict[Path, bytes]:
    """Fig. 6 redrawn: error against training set size, our mean and 95 % t interval over seeds, the paper's points.

    Ours are those of runs/fig6.csv, and of fig5.csv (the full set), distorted.csv and eq9.csv as far as they are
    there. With distortions our training error is that of the distorted patterns; the paper gives none.
    Returns the bytes of figures/fig6.svg and .png; nothing is written. Raises TableError where nothing can be
    drawn, several configurations of one size, or other errors than the test error on MNIST.
    """
    points: list[_Point] = []
    for name in (SIZES, FULL, DISTORTED, EQ9):
        if name != SIZES and not (results / "runs" / f"{name}.csv").exists():
            continue
        runs = read_runs(results, name)
        on_paper_terms(name, runs)
        for _, group in runs.groupby("fingerprint", sort=False):
            done = group[group["status"] == "ok"]
            if done.empty:
                raise TableError(f"{name}: {len(group)} of {len(group)} runs of one configuration diverged")
            place = DISTORTED_AT if name == DISTORTED else int(done["train_size"].iloc[0])
            if any((point.place, point.eq9) == (place, name == EQ9) for point in points):
                raise TableError(f"{name}: several configurations of one size; Fig. 6 is drawn for one")
            points.append(_Point(place, name == EQ9, done, len(group)))

    def draw() -> Figure:
        figure = Figure(figsize=(SIZE[0], SIZE[1] + 0.3), layout="constrained")
        _draw_fig6(figure, points)
        return figure

    return drawn(results, "fig6", draw)


@dataclass(frozen=True)
class _Point:
    """One configuration in Fig. 6: its place on the axis of sizes, its runs that ended well, and how many it has."""

    place: int
    eq9: bool
    runs: pd.DataFrame
    total: int

    def seeds(self) -> str:
        return f"n = {len(self.runs)}" + (f" of {self.total}" if len(self.runs) < self.total else "")


def one_configuration(results: Path, name: str) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """All runs of a name, those that ended well, and a title that counts them. TableError for other than one."""
    runs = read_runs(results, name)
    if runs["fingerprint"].nunique() > 1:
        raise TableError(f"{name}: several configurations; the figure is drawn for one")
    done = runs[runs["status"] == "ok"]
    if done.empty:
        raise TableError(f"{name}: {len(runs)} of {len(runs)} runs diverged, nothing to draw")
    title = f"{literal(name)}: {len(done)} seed" + ("s" if len(done) > 1 else "")
    if len(done) < len(runs):
        title += f" ({len(runs) - len(done)} more diverged)"
    return runs, done, title


def on_paper_terms(name: str, runs: pd.DataFrame) -> None:
    """Raises TableError unless the runs are tested on the paper's 10,000 images, and are what their name stands for."""
    whole = (runs["test_size"].dropna() == paper.TEST_SIZE).all()
    if set(runs["dataset"]) != {"mnist"} or set(runs["split"]) != {"test"} or not whole:
        raise TableError(f"{name}: not the test error on MNIST, which this figure is about")
    check_promise(name, runs)


def literal(text: str) -> str:
    """Text that a figure shows as it is: no mathematics between dollars, names of what the font has no glyphs for."""
    font = get_font(findfont("DejaVu Sans"))
    shown = (c if c.isspace() or font.get_char_index(ord(c)) else named(c) for c in text)
    return "".join(shown).replace("$", r"\$")


@contextmanager
def style() -> Iterator[None]:
    """Our settings of matplotlib and no others, whatever the user's are."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


def drawn(results: Path, stem: str, draw: Callable[[], Figure]) -> dict[Path, bytes]:
    """The bytes of figures/<stem>.svg and .png."""
    with style():
        figure = draw()
        return {results / "figures" / f"{stem}.{kind}": _bytes(figure, kind) for kind in ("svg", "png")}


def write(files: dict[Path, bytes]) -> None:
    """Write what a drawing function gave. Raises RecordError."""
    for path, content in files.items():
        write_atomic(path, content)


def _draw_curves(axes: Axes, curves: pd.DataFrame, with_paper: bool, held_out: str) -> None:
    """Training and held-out error of one configuration: mean, and the range of its seeds."""
    points = paper.fig5()
    for column, name, color, line, marker in (
        ("train_error_percent", "training, on the fly", TRAINING, "--", "o"),
        ("test_error_percent", held_out, HELD_OUT, "-", "^"),
    ):
        if with_paper:
            style: dict[str, Any] = {"color": color, "ms": 3.2, "mfc": "white", "mew": 0.8, "zorder": 3}
            axes.plot(points["pass"], points[column], marker, label=f"{name}: paper", **style)
        if curves[column].isna().all():  # a run that does not look at held-out images
            continue
        by_pass = curves.groupby("pass")[column]
        passes = by_pass.mean().index.to_numpy()
        axes.plot(passes, by_pass.mean(), line, color=color, lw=1.0, label=f"{name}: mean of seeds")
        low, high = by_pass.min(), by_pass.max()
        axes.fill_between(passes, low, high, color=color, alpha=0.25, lw=0, label="min to max of seeds")
    axes.grid(axis="y", color="0.9", lw=0.5)
    axes.set_axisbelow(True)


def _label_curves(axes: Axes, passes: int) -> None:
    axes.set_xlabel("pass through the training set")
    axes.set_ylabel("error, %")
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    if passes <= 25:
        axes.xaxis.set_major_locator(MultipleLocator(5 if passes > 6 else 1))


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
        hollow: dict[str, Any] = {"color": color, "ms": 3.6, "mfc": "white", "mew": 0.8, "ls": "none"}
        handles += axes.plot(places - 1000, paper_points[column], markers[0], label=of_paper, **hollow)
        for eq9 in (False, True):
            chosen = [point for point in ours if point.eq9 == eq9]
            if not chosen:
                continue
            values = [[float(value) for value in point.runs[column]] for point in chosen]
            mean = [statistics.mean(group) for group in values]
            # one run has no interval
            half = np.nan_to_num([statistics.t_interval(group)[1] for group in values] - np.array(mean))
            name = f"ours, Eq. 9, {chosen[0].seeds()}" if eq9 else "ours"
            x = [point.place + (3000 if eq9 else 1000) for point in chosen]
            filled: dict[str, Any] = {
                "color": color,
                "ms": 2.6,
                "capsize": 2.2,
                "lw": 0.8,
                "capthick": 0.8,
                "fmt": markers[eq9],
            }
            handles.append(axes.errorbar(x, mean, half, label=f"{label}: {name}", **filled))
    names = {place: _size_name(text) for place, text in zip(places, paper_points["training_set"], strict=True)}
    for point in ours:
        if not point.eq9:
            before = names.get(point.place, f"{point.place:,}")
            names[point.place] = f"{before}{', ' if point.place == DISTORTED_AT else chr(10)}{point.seeds()}"
    axes.axvline((paper.TRAIN_SIZE + DISTORTED_AT) / 2, color="0.6", lw=0.6, ls=":")
    axes.set_xticks(list(names), list(names.values()))
    axes.set_xlim(8_000, DISTORTED_AT + 13_000)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("training set size\n(ours: mean of n seeds and its 95 % interval)")
    axes.set_ylabel("error, %")
    axes.grid(axis="y", color="0.9", lw=0.5)
    axes.set_axisbelow(True)
    figure.legend(handles=handles, fontsize=6.5, loc="outside upper center", ncols=2, frameon=False, borderaxespad=0)


def _size_name(text: str) -> str:
    """15000 -> 15,000, and the last one on two lines."""
    spaced = re.sub(r"\d+", lambda number: f"{int(number[0]):,}", str(text)).replace("+", " + ")
    return "\n".join(spaced.rsplit(" ", 1)) if " " in spaced else spaced


def _bytes(figure: Figure, kind: str) -> bytes:
    out = io.BytesIO()
    # Neither a date nor matplotlib's version, so that the same numbers give the same file.
    figure.savefig(out, format=kind, dpi=300, metadata={"Date": None} if kind == "svg" else {"Software": None})
    return out.getvalue()
