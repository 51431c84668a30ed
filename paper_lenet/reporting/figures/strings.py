"""Strings of digits: how one is read, Figs. 25 and 26 beside ours, and how much is read where little may be wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from paper_lenet import paper
from paper_lenet.config.studies import Shown
from paper_lenet.data import Data
from paper_lenet.recovery.codes import ANSWERS, printed_strings, strip_of
from paper_lenet.reporting.figures.common import COLOURS, SIZE, Drawing, drawn, framed, grid
from paper_lenet.reporting.results import read_csv
from paper_lenet.reporting.tables.strings import (
    CHARACTERS,
    CRNN_TODAY,
    CTC,
    DISCRIMINATIVE,
    HOS,
    MEASURES,
    REJECTION_COLUMNS,
    SDNN,
    WRONG,
)
from paper_lenet.strings.digits import STEP
from paper_lenet.strings.reader import Reader, load_reader
from paper_lenet.strings.spotting import spots

CODE = (12, 7)
PAGE, TRIALS = (128, 256), 200  # pixels; places that are tried one after the other
GAP = 2  # pixels of the codes' own between two of them
SHOWN = ((SDNN, CHARACTERS), (SDNN, DISCRIMINATIVE), (HOS, DISCRIMINATIVE), (CRNN_TODAY, CTC))


@drawn
def fig25_26(results: Path) -> tuple[str, Figure]:
    """The paper's strings, what F6 makes of each at nine positions, and what is read: printed, and by our readers.

    F6 is that of the network that learned windows. By whole strings it learns what tells codes apart, and no longer
    looks like them.
    """
    windows, whole, strings = load_reader("windows-1998"), load_reader("strings-1998"), list(printed_strings())
    figure = Figure(figsize=(2 * SIZE[0], 0.86 * len(strings) + 0.25))
    figure.text(0.42, 0.995, "as printed", ha="center", va="top")
    figure.text(0.81, 0.995, "ours", ha="center", va="top")
    edges = {"left": 0.01, "right": 0.995, "top": 0.95, "bottom": 0.04, "hspace": 0.35, "wspace": 0.06}
    grid_ = figure.add_gridspec(len(strings), 3, width_ratios=(1.1, 2, 2), **edges)
    for k, string in enumerate(strings):
        strip = strip_of(string.picture)
        f6, penalties = windows.states(strip)
        picture = figure.add_subplot(grid_[k, 0])
        framed(picture, strip, 0, 255)
        picture.set_xlabel(f"Fig. {string.figure}: {string.of}", labelpad=2)
        alone, after = ("".join(map(str, reader.read(strip).digits)) for reader in (windows, whole))
        _codes(figure.add_subplot(grid_[k, 1]), string.f6, string.nearest(), string.of)
        answers = f"{alone}; after whole strings {after}"
        _codes(figure.add_subplot(grid_[k, 2]), f6, _nearest(penalties), answers)
    return "fig25-26", figure


def reading(reader: Reader, strip: NDArray[np.uint8], kind: str) -> bytes:
    """A figure's bytes: how a strip is read. The picture, and below it the penalty of each class at each position."""

    @drawn
    def one(folder: Path) -> tuple[str, Figure]:
        _, penalties = reader.states(strip)
        answer = reader.read(strip)
        figure = Figure(figsize=(max(3.2, 0.028 * strip.shape[1] + 0.4), 2.8), layout="constrained")
        picture, graph = figure.subplots(2, 1, height_ratios=(1, 1.3), sharex=True)
        framed(picture, strip, 0, 255)
        picture.set_aspect("auto")
        first = paper.INPUT_SIZE / 2
        spread = (first - STEP / 2, first + STEP * (len(penalties) - 0.5), len(ANSWERS) - 0.5, -0.5)
        less = penalties - penalties.min(1, keepdims=True)
        graph.imshow(less.T, cmap="Greys_r", vmin=0, vmax=np.median(less), extent=spread, aspect="auto")
        graph.set_yticks(range(len(ANSWERS)), list(ANSWERS))
        for digit, place in zip(answer.digits, answer.places, strict=True):
            graph.plot(first + STEP * place, digit, "o", mfc="none", color=COLOURS[1])
            picture.text(first + STEP * place, -1, str(digit), ha="center", va="bottom", color=COLOURS[1])
        read_ = "".join(map(str, answer.digits)) or "no digits"
        graph.set_xlabel(f"{read_}; penalty {answer.penalty:.1f}, probability {answer.probability:.3f}")
        return "reading", figure

    return one(Path())[Path("figures", f"reading.{kind}")]


@drawn
def rejection(results: Path) -> tuple[str, Figure]:
    """Strings read against strings read wrong, as the least sure are rejected, by either measure of sureness."""
    made = read_csv(results / "strings-rejection.csv", REJECTION_COLUMNS)
    levels = list(dict.fromkeys(made["level"]))
    figure = Figure(figsize=(2 * SIZE[0], 0.8 * SIZE[1]), layout="constrained")
    for axes, level in zip(np.atleast_1d(figure.subplots(1, len(levels), sharey=True)), levels, strict=True):
        for (system, training), colour in zip(SHOWN, COLOURS, strict=True):
            own = made[(made["system"] == system) & (made["training"] == training) & (made["level"] == level)]
            if own.empty:
                continue
            for by, style in zip(MEASURES, (":", "-"), strict=True):
                shares = _means(own[own["by"] == by])
                label = f"{system}, {training}" if by == MEASURES[1] else None
                axes.plot(WRONG, shares, style, color=colour, lw=1, label=label)
        axes.set(title=level, xscale="log", xlabel="wrong, %", ylim=(0, 100))
        grid(axes, "both")
    figure.axes[0].set_ylabel("read right, %")
    figure.axes[-1].legend(loc="upper left")
    return "strings-rejection", figure


@drawn
def spotting(results: Path, data: Data) -> tuple[str, Figure]:
    """Test images scattered over a page, and the digits that the network finds on it."""
    reader, random = load_reader("windows-1998"), np.random.default_rng(0)
    page, placed = np.zeros(PAGE, np.uint8), list[tuple[int, int]]()
    side = data.test_images.shape[1]
    for _ in range(TRIALS):
        y, x = (int(random.integers(0, extent - side + 1)) for extent in PAGE)
        if all(max(abs(y - other), abs(x - another)) >= side - 4 for other, another in placed):
            here = page[y : y + side, x : x + side]
            np.maximum(here, data.test_images[len(placed)], out=here)
            placed.append((y, x))
    figure = Figure(figsize=(2 * SIZE[0], 2 * SIZE[0] * PAGE[0] / PAGE[1]))
    axes = figure.add_axes((0, 0, 1, 1))
    framed(axes, page, 0, 2 * 255)
    for spot in spots(reader.network, page):
        axes.text(spot.column, spot.row, str(spot.digit), color=COLOURS[1], ha="center", va="center", fontsize=11)
    return "spotting", figure


def _means(rows: pd.DataFrame) -> list[float]:
    return [float(rows[f"read_at_{wrong:g}"].astype(float).mean()) for wrong in WRONG]


def _nearest(penalties: NDArray[np.floating]) -> str:
    """The class of the smallest penalty at each position."""
    return "".join(ANSWERS[c] for c in penalties.argmin(1))


def _codes(axes: Axes, f6: NDArray[np.floating], nearest: str, answer: str) -> None:
    """States (T, 84) as bitmaps in a row, +1 black, each with whose code is nearest, and the answer below."""
    high, wide = CODE
    row = np.full((high, len(f6) * (wide + GAP) - GAP), np.nan)
    for k, code in enumerate(f6):
        row[:, k * (wide + GAP) : k * (wide + GAP) + wide] = code.reshape(CODE)
        axes.text(k * (wide + GAP) + wide / 2 - 0.5, high + 0.2, nearest[k], ha="center", va="top")
    framed(axes, row, -1, 1)
    axes.spines[:].set_visible(False)
    axes.set_xlabel(answer, labelpad=11)


FIGURES = {
    "fig25-26": Drawing(
        "The strings of Figs. 25 and 26: F6 at nine positions, whose code is nearest to it, and what is read; as "
        "printed, and by our network of the first seed that learned windows, and after it learned whole strings.",
        fig25_26,
        needs=("strings-printed.csv",),
        shown=Shown("strings", 7),
    ),
    "spotting": Drawing(
        "A demonstration: test images on a page, and the digits that a network that learned windows finds there, "
        "moved over it in both directions. What stands above and below a digit it was never shown.",
        spotting,
        needs=("strings-printed.csv",),
        wants=("data",),
        shown=Shown("strings", 10),
    ),
    "strings-rejection": Drawing(
        "Strings that are read right, where so many are read wrong and the least sure of the rest are rejected: by the "
        "probability of the answer (lines) or by the penalty of Viterbi's path (dots). Means of 3 to 10 networks.",
        rejection,
        needs=("strings-rejection.csv",),
        shown=Shown("strings", 8),
    ),
}
