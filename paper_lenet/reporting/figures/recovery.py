"""The network of 1998 beside itself and beside ours: printed and recovered states, and kernels of C1."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.optimize import linear_sum_assignment

from paper_lenet import paper
from paper_lenet.config.studies import Shown
from paper_lenet.network.paper_net import PaperNet
from paper_lenet.recovery.fit import to_grey
from paper_lenet.recovery.front import LAYERS, MAPS, from_tensors, states
from paper_lenet.recovery.recovered import load
from paper_lenet.reporting.figures.common import SIZE, Drawing, drawn, framed

# Of the nine images of Fig. 13.
IMAGE = 5
ACROSS = 8
# Rows of maps of each layer, and their height on the page.
ROWS = {"c1": 1, "s2": 1, "c3": 2, "s4": 2}
HEIGHTS = {"c1": 1.2, "s2": 1.0, "c3": 0.9, "s4": 0.8}


@drawn
def fig13(results: Path) -> tuple[str, Figure]:
    """The states of one image of Fig. 13: as printed, and as the recovered parameters give them."""
    printed, tensors = paper.fig13(), load()
    images = torch.from_numpy(tensors["images"].astype(np.float64))[IMAGE : IMAGE + 1]
    x = states(from_tensors(tensors), images).x
    r = torch.tensor(float(tensors["display"][0]))
    ours = {n: np.stack([to_grey(x[n, k][0], r).numpy() for k in range(MAPS[n])]) for n in LAYERS}
    theirs = {n: printed[n][IMAGE] for n in LAYERS}

    heights = [HEIGHTS[n] for n in LAYERS for _ in range(ROWS[n])]
    figure = Figure(figsize=(2 * SIZE[0], 0.44 * sum(heights) + 0.25))
    for side, (title, shown) in enumerate((("as Fig. 13 prints them", theirs), ("by the recovered parameters", ours))):
        left = 0.045 + side * 0.5
        figure.text(left + 0.22, 0.985, title, ha="center", va="top")
        edges = {"left": left, "right": left + 0.44, "bottom": 0.01, "top": 0.93}
        grid = figure.add_gridspec(len(heights), ACROSS, height_ratios=heights, hspace=0.12, wspace=0.08, **edges)
        row = 0
        for layer in LAYERS:
            for k, values in enumerate(shown[layer]):
                axes = figure.add_subplot(grid[row + k // ACROSS, k % ACROSS])
                framed(axes, values, 0, 255, "gray")
                if k == 0:
                    axes.set_ylabel(layer.upper(), rotation=0, ha="right", va="center")
            row += ROWS[layer]
    return "fig13", figure


@drawn
def kernels_1998(results: Path, net: PaperNet) -> tuple[str, Figure]:
    """C1's kernels of 1998, and below each the one of ours that it is matched with, by correlation."""
    theirs = load()["c1.weight"][:, 0].astype(float)
    ours = net.c1.weight.detach().numpy()[:, 0].astype(float)
    correlation = np.corrcoef(theirs.reshape(6, -1), ours.reshape(6, -1))[:6, 6:]
    _, matched = linear_sum_assignment(-correlation)

    figure = Figure(figsize=(SIZE[0], 1.55), layout="constrained")
    for row, (name, kernels) in enumerate((("1998", theirs), ("ours", ours[matched]))):
        for k, kernel in enumerate(kernels):
            largest = float(np.abs(kernel).max())
            axes = figure.add_subplot(2, 6, 6 * row + k + 1)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(True)
            axes.imshow(kernel, cmap="Greys", vmin=-largest, vmax=largest)
            if row:
                axes.set_xlabel(f"{correlation[k, matched[k]]:.2f}", labelpad=2)
            if k == 0:
                axes.set_ylabel(name)
    return "kernels-1998", figure


FIGURES = {
    "fig13": Drawing(
        "The states of a network of 1998 for one image of Fig. 13: as printed, and by the parameters found in them.",
        fig13,
        needs=("recovery.csv",),
        shown=Shown("printed", 6),
    ),
    "kernels-1998": Drawing(
        "C1's kernels of 1998, and below each the one of ours that it is matched with; numbers are their correlations, "
        "and each has greys of its own.",
        kernels_1998,
        needs=("recovery.csv",),
        wants=("network",),
        shown=Shown("printed", 7),
    ),
}
