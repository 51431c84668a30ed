"""What the network of 1998 printed as F6, beside what a network of ours with its front makes of the same images.

Fig. 13 has nine images; Figs. 25 and 26 have five strings, over each of which LeNet-5 stands at nine positions, four
columns apart. Of a string the middle 52 of 64 columns are printed; the others count as background.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from paper_lenet import paper
from paper_lenet.network.paper_net import PaperNet
from paper_lenet.paper.bitmaps import WITH_BLANK
from paper_lenet.recovery.display import BYTES
from paper_lenet.recovery.recovered import load

SIDE, APART, WIDTH = paper.INPUT_SIZE, 4, 64
ANSWERS = "0123456789_"  # the last one is the blank


@dataclass(frozen=True)
class Printed:
    """One image and what is printed of it.

    figure: 13, 25 or 26.  of: the digit that it shows, or the string.  place: which image, or which position.
    image: (32, 32), -0.1 to 1.175.  f6: (84,), states to a factor and an offset.
    """

    figure: int
    of: str
    place: int
    image: NDArray[np.float32]
    f6: NDArray[np.float64]

    def answer(self) -> str:
        """Whose code is nearest to the printed one, of which the range of greys is -1 to +1."""
        return ANSWERS[int(np.square(self.f6 - WITH_BLANK.numpy()).sum(1).argmin())]


def printed() -> Iterator[Printed]:
    """All images of which F6 is printed: the nine of Fig. 13, nine positions of each string of Figs. 25 and 26."""
    nine = paper.fig13()
    for place, image in enumerate(load()["images"]):
        yield Printed(13, str(nine["label"][place]), place, image.astype(np.float32), states(nine["f6"][place]))
    for string in printed_strings():
        for place, f6 in enumerate(string.f6):
            start = APART * place
            yield Printed(string.figure, string.of, place, string.picture[:, start : start + SIDE], f6)


def pictures() -> Iterator[tuple[int, str, NDArray[np.float32]]]:
    """The strings of Figs. 25 and 26: figure, digits, and the picture (32, 64), -0.1 to 1.175."""
    strings = paper.fig25_26()
    for k, (picture, of) in enumerate(
        zip([strings["fig25_input"], *strings["fig26_inputs"]], strings["answers"], strict=True)
    ):
        white = int(np.bincount(picture.ravel(), minlength=BYTES).argmax())
        wide = np.full((SIDE, WIDTH), paper.BACKGROUND, np.float32)
        edge = (WIDTH - picture.shape[1]) // 2
        ink = (white - np.minimum(picture, white).astype(np.float32)) / white
        wide[:, edge : edge + picture.shape[1]] += (paper.FOREGROUND - paper.BACKGROUND) * ink
        yield 26 if k else 25, str(of), wide


@dataclass(frozen=True)
class PrintedString:
    """A string of Figs. 25 and 26: figure, digits, picture (32, 64) of -0.1 to 1.175, and F6 (9, 84) as printed."""

    figure: int
    of: str
    picture: NDArray[np.float32]
    f6: NDArray[np.float64]

    def nearest(self) -> str:
        """Whose codes are nearest to the printed ones, from left to right."""
        distances = np.square(self.f6[:, None] - WITH_BLANK.numpy()).sum(2)
        return "".join(ANSWERS[c] for c in distances.argmin(1))


def printed_strings() -> Iterator[PrintedString]:
    """The five strings."""
    strings = paper.fig25_26()
    for (figure, of, picture), codes in zip(pictures(), [strings["fig25_f6"], *strings["fig26_f6"]], strict=True):
        yield PrintedString(figure, of, picture, np.stack([states(code) for code in codes]))


def strip_of(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A picture of -0.1 to 1.175 as bytes, ink 255 on 0."""
    grey = (picture - paper.BACKGROUND) / (paper.FOREGROUND - paper.BACKGROUND)
    return np.asarray(np.rint(255 * grey).astype(np.uint8))


def states(greys: NDArray[np.uint8]) -> NDArray[np.float64]:
    """F6 (84,) from printed greys (12, 7), black being +1 and white -1."""
    return np.asarray(1 - greys.ravel() / 127.5)


@torch.no_grad()
def read(net: PaperNet, shown: Printed) -> tuple[str, float]:
    """What a network answers to an image, and how its F6 is correlated with what is printed."""
    dtype = net.c1.weight.dtype
    found = net.features(torch.from_numpy(shown.image)[None, None].to(dtype))
    correlation = np.corrcoef(found["f6"][0].numpy(), shown.f6)[0, 1]
    return ANSWERS[int(found["output"][0].argmin())], float(correlation)
