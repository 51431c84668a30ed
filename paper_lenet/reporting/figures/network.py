"""Pictures of the network itself: Fig. 2 with its states, the codes of Fig. 3, Table I, and what training made of it.

Grey is a state or a weight, the larger the darker; ink is dark, as in the paper.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from paper_lenet import paper
from paper_lenet.config import InitConfig, ModelConfig
from paper_lenet.config.studies import Shown
from paper_lenet.data import Data, normalise
from paper_lenet.files import RecordError, read_tensors
from paper_lenet.network.lenet5 import build
from paper_lenet.network.paper_net import PaperNet
from paper_lenet.paper import bitmaps
from paper_lenet.paper.connections import TABLE_I
from paper_lenet.reporting.figures.common import HELD_OUT, OTHERS, SIZE, TRAINING, Drawing, drawn

# The test image of Fig. 2, from 0: a 2.
FIG2_IMAGE = 1
# Fig. 3 has eight rows of twelve characters, from the space on.
FIG3_COLUMNS = 12
# Of the picture that a link shows, in inches: 1200 x 630 pixels.
PREVIEW = (4.0, 2.1)
# In Fig. 2, inches between maps and between layers, and how many maps stand in a row.
GAP, BETWEEN = 0.03, 0.09
IN_A_ROW = {"input": 5, "c1": 6, "s2": 6, "c3": 8, "s4": 8, "c5": 1}


def trained(weights: Path) -> PaperNet:
    """The network of 1998 with the weights of a run's weights.safetensors. Raises RecordError for another network's."""
    _, tensors = read_tensors(weights)
    net = build(ModelConfig(), 0)
    assert isinstance(net, PaperNet)
    expected = {name: tuple(p.shape) for name, p in net.named_parameters()}
    if {name: values.shape for name, values in tensors.items()} != expected:
        raise RecordError(f"{weights}: not the weights of the LeNet-5 of 1998")
    net.set_state(tensors)
    return net


@drawn
def fig2(results: Path, net: PaperNet, data: Data) -> tuple[str, Figure]:
    """Fig. 2 with the states of every layer for one test image; F6 as the bitmap that it is compared with."""
    image = torch.from_numpy(normalise(data.test_images[FIG2_IMAGE : FIG2_IMAGE + 1])).double()
    # in double precision, since how sums of single precision are rounded differs from processor to processor
    with torch.no_grad():
        states = {name: state[0].numpy() for name, state in copy.deepcopy(net).double().features(image).items()}
    label = int(data.test_labels[FIG2_IMAGE])
    # C5 has one state a map: all 120 as one picture
    shown = {**{name: states[name] for name in ("input", "c1", "s2", "c3", "s4")}, "c5": states["c5"].reshape(1, 4, 30)}

    left, bottom = 0.72, 1.3
    room = SIZE[0] - left - 0.05
    spans = {name: (room - GAP * (IN_A_ROW[name] - 1)) / IN_A_ROW[name] for name in shown}
    heights = {name: spans[name] * maps.shape[1] / maps.shape[2] for name, maps in shown.items()}
    lines = {name: -(-len(maps) // IN_A_ROW[name]) for name, maps in shown.items()}
    tall = {name: lines[name] * (heights[name] + GAP) - GAP for name in shown}
    total = bottom + sum(tall.values()) + BETWEEN * len(shown) + 0.03
    figure = Figure(figsize=(SIZE[0], total))
    top = total - 0.05
    for name, maps in shown.items():
        ends = (paper.BACKGROUND, paper.FOREGROUND) if name == "input" else (-paper.A, paper.A)
        for k, one in enumerate(maps):
            down, across = divmod(k, IN_A_ROW[name])
            y = top - heights[name] - down * (heights[name] + GAP)
            _grey(_axes(figure, left + across * (spans[name] + GAP), y, spans[name], heights[name]), one, ends)
        count, side = len(states[name]), states[name].shape[-1]
        size = {"input": f"{side}×{side}", "c5": f"{count}"}.get(name, f"{count}@{side}×{side}")
        text = f"{name if name == 'input' else name.upper()}\n{size}"
        place = left - 0.07, top - tall[name] / 2
        figure.text(*place, text, transform=figure.dpi_scale_trans, ha="right", va="center")
        top -= tall[name] + BETWEEN
    _last_layers(figure, states["f6"], states["output"], label, left, room)
    return "fig2", figure


def _last_layers(
    figure: Figure, f6: NDArray[np.floating], penalties: NDArray[np.floating], label: int, left: float, room: float
) -> None:
    """F6, the code nearest to it, and the ten penalties, of which the smallest wins."""
    height, bottom = 0.84, 0.28
    across = height * paper.BITMAP_WIDTH / paper.BITMAP_HEIGHT
    answer = int(penalties.argmin())
    shape = (paper.BITMAP_HEIGHT, paper.BITMAP_WIDTH)
    for k, (values, text) in enumerate(((f6, "F6\n84"), (bitmaps.DIGITS[answer].numpy(), f"code\nof {answer}"))):
        axes = _axes(figure, left + k * (across + 0.12), bottom, across, height)
        _grey(axes, values.reshape(shape), (-paper.A, paper.A))
        x, y = left + k * (across + 0.12) + across / 2, bottom - 0.03
        figure.text(x, y, text, transform=figure.dpi_scale_trans, ha="center", va="top")
    begin = left + 2 * across + 0.62
    axes = _axes(figure, begin, bottom, left + room - begin, height)
    axes.bar(range(paper.CLASSES), penalties, color=["0.25" if k == answer else OTHERS for k in range(paper.CLASSES)])
    axes.set_xticks(range(paper.CLASSES))
    axes.tick_params(length=0, pad=1.5)
    axes.set_ylabel("penalty", labelpad=1)
    place = (answer, penalties[answer] + 2)
    axes.annotate(f"{penalties[answer]:.2g}", place, ha="center", va="bottom", fontsize=6.0, rotation=90)
    axes.set_title(f"output: a {label} is called {answer}", pad=2)


@drawn
def fig3(results: Path) -> tuple[str, Figure]:
    """Fig. 3 redrawn, the codes of all 96 characters; framed are the ten digits, the centres of our output units."""
    tall, wide = paper.BITMAP_HEIGHT, paper.BITMAP_WIDTH
    down, across = tall + 3, wide + 4
    rows = -(-len(bitmaps.CODES) // FIG3_COLUMNS)
    wall = np.full((rows * down + 1, FIG3_COLUMNS * across + 1), np.nan)
    frames = []
    for k, (character, code) in enumerate(bitmaps.CODES.items()):
        y, x = down * (k // FIG3_COLUMNS) + 2, across * (k % FIG3_COLUMNS) + 2
        wall[y : y + tall, x : x + wide] = code.reshape(tall, wide)
        if character.isdigit():
            frames.append((x - 1.5, y - 1.5))

    figure = Figure(figsize=(SIZE[0], SIZE[0] * wall.shape[0] / wall.shape[1]))
    axes = figure.add_axes((0, 0, 1, 1))
    # -1 is a light grey, so that a code's own background can be told from the page
    _grey(axes, wall, (-1.2, 1.0))
    axes.set_axis_off()
    for corner in frames:
        axes.add_patch(Rectangle(corner, wide + 2, tall + 2, fill=False, ec=HELD_OUT, lw=0.9))
    return "fig3", figure


@drawn
def preview(results: Path, net: PaperNet, data: Data) -> tuple[str, Figure]:
    """What a link to the report page shows: for the first test image of each digit, F6 above the code it snaps onto."""
    places = [int(np.flatnonzero(data.test_labels == digit)[0]) for digit in range(paper.CLASSES)]
    images = torch.from_numpy(normalise(data.test_images[places])).double()
    with torch.no_grad():
        f6 = copy.deepcopy(net).double().features(images)["f6"].numpy()
    figure = Figure(figsize=PREVIEW)
    figure.text(0.03, 0.87, "LeNet-5 of 1998, trained again", fontsize=13, weight="bold", va="center")
    rows = (
        ("a test\nimage", data.test_images[places], (0, 255)),
        ("what F6\nmakes of it", f6, (-1, 1)),
        ("the code\nof 1998", bitmaps.DIGITS.numpy(), (-1, 1)),
    )
    left, tall, gap, top = 0.95, 0.47, 0.08, 1.66
    step = (PREVIEW[0] - left - 0.1) / paper.CLASSES
    for row, (name, pictures, ends) in enumerate(rows):
        bottom = top - (row + 1) * tall - row * gap
        figure.text(0.12, bottom + tall / 2, name, transform=figure.dpi_scale_trans, va="center", fontsize=6.5)
        wide = tall if row == 0 else tall * paper.BITMAP_WIDTH / paper.BITMAP_HEIGHT
        for digit, picture in enumerate(pictures):
            shape = picture.shape if row == 0 else (paper.BITMAP_HEIGHT, paper.BITMAP_WIDTH)
            axes = _axes(figure, left + digit * step + (step - min(wide, step)) / 2, bottom, min(wide, step), tall)
            _grey(axes, picture.reshape(shape), ends)
    return "preview", figure


@drawn
def table1(results: Path) -> tuple[str, Figure]:
    """Table I as a grid: which maps of S2 feed which of C3, with how many each has."""
    table = TABLE_I.numpy()

    # Placed in inches: a layout that fits axes to the page first and makes squares of their cells later clips both.
    left, right, bottom, top = 0.42, 0.05, 0.52, 0.22
    across = SIZE[0] - left - right
    tall = across * table.shape[0] / table.shape[1]
    figure = Figure(figsize=(SIZE[0], bottom + tall + top))
    axes = _axes(figure, left, bottom, across, tall)
    axes.imshow(table, cmap="Greys", vmin=0, vmax=1.6, aspect="auto")
    axes.set_xticks(range(table.shape[1]), [f"{k}\n{n}" for k, n in enumerate(table.sum(axis=0))])
    axes.set_yticks(range(table.shape[0]))
    axes.set_xticks(np.arange(table.shape[1] + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(table.shape[0] + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", lw=1.2)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("map of C3, and how many maps feed it")
    axes.set_ylabel("map of S2")
    axes.set_title(f"Table I: {table.sum()} of {table.size} pairs are connected")
    return "table1", figure


@drawn
def kernels(results: Path, net: PaperNet) -> tuple[str, Figure]:
    """After training: C1's six kernels, and the coefficients and biases of S2 and S4."""
    weights = net.c1.weight.detach().numpy()[:, 0]
    largest = float(np.abs(weights).max())

    figure = Figure(figsize=(SIZE[0], 3.5), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=[0.9, 2.4])
    upper, lower = parts
    axes_of_maps = upper.subplots(1, len(weights))
    for k, (axes, kernel) in enumerate(zip(axes_of_maps, weights, strict=True)):
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(True)
        shown = axes.imshow(kernel, cmap="Greys", vmin=-largest, vmax=largest)
        axes.set_title(f"C1, {k}", pad=2)
    bar = upper.colorbar(shown, ax=axes_of_maps, fraction=0.025, pad=0.02, shrink=0.7)
    bar.set_ticks([-largest, 0, largest], labels=[f"{-largest:.1f}", "0", f"{largest:.1f}"])
    above, below = lower.subplots(2, 1)
    for name, layer, axes in (("S2", net.s2, above), ("S4", net.s4, below)):
        _coefficients(axes, layer.coefficient.detach().numpy(), layer.bias.detach().numpy())
        axes.set_ylabel(name)
    above.legend(ncols=3, loc="lower left", bbox_to_anchor=(-0.12, 0.98), columnspacing=1.2, handletextpad=0.3)
    below.set_xlabel("map")
    return "kernels", figure


def _coefficients(axes: Axes, coefficients: NDArray[np.floating], biases: NDArray[np.floating]) -> None:
    maps = np.arange(len(biases))
    at_first = InitConfig().coefficient_value
    axes.axhline(0, color="0.6", lw=0.6)
    axes.axhline(at_first, color=TRAINING, lw=0.8, ls="--", label=f"coefficient at first, {at_first:g}")
    style: dict[str, Any] = {"ls": "none", "ms": 3.6, "mew": 0.9}
    axes.plot(maps, coefficients, "o", color=TRAINING, label="coefficient", **style)
    axes.plot(maps, biases, "^", color=HELD_OUT, mfc="white", label="bias", **style)
    axes.set_xticks(maps)
    axes.set_xlim(-0.5, len(biases) - 0.5)
    axes.margins(y=0.12)


def _axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes in a rectangle of the figure, in inches."""
    across, tall = figure.get_size_inches()
    return figure.add_axes((left / across, bottom / tall, width / across, height / tall))


def _grey(axes: Axes, values: NDArray[np.floating], ends: tuple[float, float]) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set(visible=True, color="0.6", linewidth=0.4)
    axes.imshow(values, cmap="Greys", vmin=ends[0], vmax=ends[1], interpolation="none", aspect="auto")


FIGURES = {
    "preview": Drawing(
        "F6 for the first test image of each digit, and the codes of Fig. 3.",
        preview,
        wants=("network", "data"),
        shown=Shown("network", 7),
    ),
    "fig2": Drawing(
        "The states of every layer of a trained LeNet-5 for one test image, as in Fig. 2.",
        fig2,
        wants=("network", "data"),
        shown=Shown("network", 1),
    ),
    "fig3": Drawing("The codes of Fig. 3; framed are the ten digits.", fig3, shown=Shown("network", 2)),
    "table1": Drawing("Table I: which maps of S2 feed which of C3.", table1, shown=Shown("network", 3)),
    "kernels": Drawing(
        "C1's kernels, and the coefficients and biases of S2 and S4, after training.",
        kernels,
        wants=("network",),
        shown=Shown("network", 4),
    ),
}
