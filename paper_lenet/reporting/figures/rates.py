"""The effective learning rates by layer, drawn from results/rates.csv; the same numbers give the same bytes."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MultipleLocator, NullLocator

from paper_lenet import paper
from paper_lenet.config.studies import Shown
from paper_lenet.reporting.figures.common import SIZE, TRAINING, Drawing, drawn, grid, literal
from paper_lenet.reporting.results import TableError, read_csv
from paper_lenet.runs.rates import COLUMNS, LAYERS, RATES


@drawn
def rates(results: Path, name: str = "rates") -> tuple[str, Figure]:
    """Effective rates by layer against pass, mean over seeds, and the paper's range of the first pass.

    Raises TableError.
    """
    path = results / f"{name}.csv"
    table = read_csv(path, COLUMNS)
    if table.empty:
        raise TableError(f"{path}: no rows")
    if table["fingerprint"].nunique() > 1 or set(table["layer"]) != set(LAYERS):
        raise TableError(f"{path}: not the layers {', '.join(LAYERS)} of one configuration")
    seeds = table["seed"].nunique()
    title = f"{literal(table['name'].iloc[0])}: mean of {seeds} seed{'s' if seeds > 1 else ''}"
    if table["dataset"].iloc[0] != "mnist":
        title += f"; data set {table['dataset'].iloc[0]}, not MNIST"

    made = Figure(figsize=(SIZE[0], 3.9), layout="constrained")
    panels = made.subplots(3, 2, sharex=True, sharey=True).ravel()
    for axes, layer in zip(panels, LAYERS, strict=True):
        mean = table[table["layer"] == layer].groupby("pass")[list(RATES)].mean()
        axes.fill_between(mean.index, mean["min"], mean["max"], color=TRAINING, alpha=0.25, lw=0, label="min to max")
        axes.plot(mean.index, mean["median"], color=TRAINING, lw=1.1, label="median")
        for rate in paper.RATE_RANGE:
            axes.axhline(rate, color="black", lw=0.8, ls="--", label="paper, first pass: min and max")
        axes.set_title(layer.upper(), pad=3)
        axes.set_yscale("log")
        grid(axes, "y")
    axes.yaxis.set_major_locator(LogLocator(base=10))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xlim(left=0)
    if table["pass"].max() <= 25:
        axes.xaxis.set_major_locator(MultipleLocator(5 if table["pass"].max() > 6 else 1))
    made.supxlabel("pass through the training set")
    made.supylabel("effective rate of a layer's parameters")
    handles, labels = panels[0].get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    made.legend(once.values(), once, title=title, loc="outside upper center", ncols=3, fontsize=6.0)
    return name, made


FIGURES = {
    name: Drawing(
        "Effective learning rates by layer and pass, and the range that the paper gives for the first.",
        *(partial(rates, name=name), (f"{name}.csv",)),
        shown=Shown(section, 5),
    )
    for name, section in (("rates", "network"), ("quarter-rates", "quarter"))
}
