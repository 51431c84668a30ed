"""What the figures have in common: their style, and what they may be drawn of.

The same numbers give the same bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, Literal, ParamSpec

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from numpy.typing import NDArray

from paper_lenet import paper
from paper_lenet.config.studies import Shown
from paper_lenet.files import write_atomic
from paper_lenet.reporting.formats import named
from paper_lenet.reporting.results import TableError, read_runs
from paper_lenet.reporting.tables.common import check_promise

P = ParamSpec("P")
# One column of a two-column page, in inches.
SIZE = (3.5, 2.8)
STYLE: dict[Any, Any] = {
    "font.size": 7.5,
    "axes.titlesize": 7.5,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.labelsize": 7.5,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "svg.hashsalt": "paper_lenet",
}
# Okabe and Ito's blue and vermilion, and two more that stand out from white as well, by 3:1 and more; line and marker
# tell them apart in grey. The paper's own numbers are black and hollow.
COLOURS = ("#0072B2", "#D55E00", "#007A5A", "#B35A8C")
TRAINING, HELD_OUT = COLOURS[:2]
PAPER: dict[str, Any] = {"color": "black", "mfc": "none", "mew": 0.8}
OTHERS = "0.55"  # bars beside the one that matters
# Neither a date nor matplotlib's version, so that the same numbers give the same file.
METADATA: dict[str, dict[str, Any]] = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}
# A name that matplotlib gives to a part of an SVG: what kind it is, and a hash.
HASHED = re.compile(rb'(?<=["#])([A-Za-z])[0-9a-f]{10}(?=[")])')


@dataclass(frozen=True)
class Drawing:
    """A figure: what gives the bytes of its files, and what stands beneath it.

    draw: from the folder of results and from what it wants.  needs: the files in that folder without which there is no
    figure.  wants: `data`, MNIST, and `network`, a trained LeNet-5.  shown: where it stands.
    A module of this folder names its own in `FIGURES`, by the name of their files.
    """

    caption: str
    draw: Callable[..., dict[Path, bytes]]
    needs: tuple[str, ...] = ()
    wants: tuple[str, ...] = ()
    shown: Shown = field(default_factory=Shown)


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


def grid(axes: Axes, axis: Literal["both", "x", "y"]) -> None:
    """Light lines behind what is drawn."""
    axes.grid(axis=axis, color="0.9", lw=0.5)
    axes.set_axisbelow(True)


def framed(axes: Axes, values: NDArray[np.generic], lowest: float, highest: float, colours: str = "Greys") -> None:
    """An image in a thin frame, pixel by pixel; colours: a map of matplotlib's, `Greys` is black at the highest."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set(visible=True, color="0.6", linewidth=0.4)
    axes.imshow(values, cmap=colours, vmin=lowest, vmax=highest, interpolation="none")


def drawn(
    draw: Callable[Concatenate[Path, P], tuple[str, Figure]],
) -> Callable[Concatenate[Path, P], dict[Path, bytes]]:
    """What gives the bytes of figures/<stem>.svg and .png in the folder of results, and writes nothing.

    draw: gives stem and figure, from that folder and what else it needs.
    """

    @wraps(draw)
    def files(results: Path, /, *args: P.args, **kwargs: P.kwargs) -> dict[Path, bytes]:
        with mpl.rc_context():
            # our settings and no others, whatever the user's are
            mpl.rcdefaults()
            mpl.rcParams.update(STYLE)
            stem, figure = draw(results, *args, **kwargs)
            return {results / "figures" / f"{stem}.{kind}": _bytes(figure, kind) for kind in ("svg", "png")}

    return files


def write(files: dict[Path, bytes]) -> None:
    """Write what a drawing function gave. Raises RecordError."""
    for path, content in files.items():
        write_atomic(path, content)


def _bytes(figure: Figure, kind: str) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format=kind, dpi=300, metadata=METADATA[kind])
    return _renumbered(out.getvalue()) if kind == "svg" else out.getvalue()


def _renumbered(svg: bytes) -> bytes:
    """An SVG whose names are numbered as they come.

    Matplotlib's are hashes of numbers whose last digit differs from processor to processor, unlike all that is printed.
    """
    numbers: dict[bytes, int] = {}
    return HASHED.sub(lambda name: b"%c%d" % (name[1], numbers.setdefault(name[0], len(numbers))), svg)
