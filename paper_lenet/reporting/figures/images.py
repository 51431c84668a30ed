"""Fig. 7 and 8, walls of small images; they need MNIST. Ink is drawn black, as in the paper."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from paper_lenet import paper
from paper_lenet.config import DistortConfig
from paper_lenet.config.studies import Shown
from paper_lenet.data import Data, levels, normalise
from paper_lenet.data.distortions import draw, warp
from paper_lenet.reporting.figures.common import HELD_OUT, Drawing, drawn, on_paper_terms, one_configuration
from paper_lenet.reporting.results import TableError, read_errors
from paper_lenet.reporting.tables.common import runs_of
from paper_lenet.reporting.tables.distortions import inverse_maps

# Two columns of a page: 700 pixels of images at 100 to the inch, so that at 300 dpi each is 3 by 3 dots.
WIDTH = 700
PER_INCH = 100
# The seed of Fig. 7's random maps.
FIG7_SEED = 0
# What lies between the images of Fig. 7, as a grey value between background and foreground.
BETWEEN = 0.15

Wall = NDArray[np.float64]


@drawn
def fig7(results: Path, data: Data) -> tuple[str, Figure]:
    """Fig. 7 redrawn: its ten digits, its hundred distortions by our generator, and a hundred of our own.

    The paper's are the fitted maps without yx; ours are drawn at strength 1 from the configured ranges.
    """
    fitted = paper.fig7().sort_values(["digit", "column"])
    images = data.train_images[fitted["mnist_train_index"].to_numpy()]
    side = paper.INPUT_SIZE
    paper_panel = warp(images, inverse_maps(fitted), side, levels(np.float64))
    own_panel = warp(images, draw(DistortConfig(), len(images), FIG7_SEED), side, levels(np.float64))
    rows = paper.CLASSES
    originals = normalise(images[:: len(images) // rows], np.float64)
    step, gap = side + 1, 5
    wall = np.full((rows * step - 1, WIDTH), BETWEEN)
    left, titles = 0, []
    for name, panel in (
        ("digit", originals),
        ("the paper's Fig. 7, redrawn from the fitted maps", paper_panel),
        ("ours, random maps at strength 1", own_panel),
    ):
        columns = len(panel) // rows
        titles.append((left, name))
        for k, image in enumerate(panel.reshape(-1, side, side)):
            top, start = step * (k // columns), left + step * (k % columns)
            wall[top : top + side, start : start + side] = image
        left += columns * step - 1
        wall[:, left : left + gap] = paper.BACKGROUND
        left += gap

    figure, axes = _wall(wall, 16)
    for x, name in titles:
        axes.text(x, -3, name, va="bottom")
    return "fig7", figure


@drawn
def fig8(results: Path, data: Data, name: str) -> tuple[str, Figure]:
    """Fig. 8 redrawn: the test images that our seeds most often get wrong, as many as the paper has errors.

    Under each: true label, most frequent wrong answer (the smaller digit of two), and the share of seeds that get
    the image wrong, whatever they answer; framed are those that the paper's network gets wrong too. Raises
    TableError where nothing can be drawn, several configurations, or other errors than those on MNIST's test set.
    """
    runs, done, title = one_configuration(results, name)
    on_paper_terms(name, runs)
    errors = read_errors(results, name, runs)
    if (data.test_labels[errors["index"].to_numpy()] != errors["true_label"]).any():
        raise TableError(f"{results / 'errors' / name}.csv: other labels than those of MNIST's test set")
    theirs = set(paper.fig8()["mnist_test_index"])
    most_wrong = ranked(errors)
    shown = most_wrong.head(len(theirs))
    common = len(theirs & set(shown.index))
    title += (
        f". {len(most_wrong)} test images are wrong at least once, of {len(data.test_images):,}; here the {len(shown)} "
        "most often wrong.\nTrue label → most frequent answer, and the share of seeds that are wrong. "
        f"Framed: the {common} among the paper's {len(theirs)}."
    )
    size, columns, text = paper.IMAGE_SIZE, 14, 24
    pitch = WIDTH // columns
    margin = (pitch - size) // 2
    rows = -(-len(shown) // columns)
    wall = np.full((rows * (size + text), WIDTH), paper.BACKGROUND)
    places = [(pitch * (k % columns) + margin, (size + text) * (k // columns)) for k in range(len(shown))]
    for (x, y), image in zip(places, levels(np.float64)[data.test_images[shown.index.to_numpy()]], strict=True):
        wall[y : y + size, x : x + size] = image

    figure, axes = _wall(wall, 36)
    axes.text(margin - 2, -6, title, va="bottom")
    for (x, y), (index, row) in zip(places, shown.iterrows(), strict=True):
        share = f"{100 * row['seeds'] / len(done):.0f} %"
        label = f"{row['true_label']}→{row['answer']}\n{share}"
        axes.text(x + size / 2 - 0.5, y + size + 2, label, ha="center", va="top", fontsize=6, linespacing=1.0)
        if index in theirs:
            corner, length = (x - 1.5, y - 1.5), size + 2
            axes.add_patch(Rectangle(corner, length, length, fill=False, ec=HELD_OUT, lw=1.2, clip_on=False))
    return f"fig8-{name}", figure


def ranked(errors: pd.DataFrame) -> pd.DataFrame:
    """The images of a file of results/errors by how many seeds get them wrong, then by index, which is the index.

    Columns seeds (how many), true_label, answer (the most frequent wrong one; of equals the smallest).
    """
    by_image = errors.groupby("index")
    table = pd.DataFrame(
        {
            "seeds": by_image["seed"].nunique(),
            "true_label": by_image["true_label"].first(),
            "answer": by_image["predicted_label"].agg(lambda answers: answers.mode().iloc[0]),
        }
    )
    return table.sort_values("seeds", ascending=False, kind="stable")


def _wall(wall: Wall, above: int) -> tuple[Figure, Axes]:
    """A figure of one image whose pixels are squares of whole dots, with a margin above in pixels of the image."""
    height, width = wall.shape
    total = height + above
    figure = Figure(figsize=(width / PER_INCH, total / PER_INCH))
    axes = figure.add_axes((0, 0, 1, height / total))
    axes.set_axis_off()
    axes.imshow(wall, cmap="gray_r", vmin=paper.BACKGROUND, vmax=paper.FOREGROUND, interpolation="none", aspect="auto")
    return figure, axes


_FIG8 = "The test images that our seeds most often get wrong, as in Fig. 8; framed are those among the paper's."
FIGURES = {
    "fig7": Drawing(
        "Distorted digits: the paper's Fig. 7 redrawn from fitted maps, and random ones of our own generator.",
        fig7,
        wants=("data",),
        shown=Shown("figures", 3),
    ),
    **{
        f"fig8-{name}": Drawing(_FIG8, partial(fig8, name=name), runs_of(name), ("data",), Shown("figures", 4))
        for name in ("fig5", "distorted")
    },
}
