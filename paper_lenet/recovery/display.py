"""How Fig. 13 prints a state: as a byte of a palette, which stands for one or more neighbours of 64 grey levels.

Each of its nine images has a palette of its own. What was known of a state is therefore an interval, which this module
finds; `fit` says where in it the state was.

Legend: b grey before rounding, 0 (black, the largest state) to 255 (white, the smallest); level 0 to 63, 255/63 apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from paper_lenet.errors import PaperLenetError

LEVELS = 64
STEP = 255 / (LEVELS - 1)
BYTES = 256


class RecoveryError(PaperLenetError):
    """Printed states from which no network can be recovered; the message is one line."""


@dataclass(frozen=True)
class Palette:
    """The interval of b that each printed byte stands for: low, high (256,), nan for bytes that are not printed."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def intervals(self, printed: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
        """Low and high end of what was printed, each of its shape. The first and the last level have no outer end."""
        return torch.from_numpy(self.low[printed]), torch.from_numpy(self.high[printed])

    def middles(self) -> NDArray[np.float64]:
        """The grey in the middle of each byte's interval, (256,); an interval without an outer end ends at 0 or 255."""
        return np.asarray(np.maximum(self.low, 0) + np.minimum(self.high, 255)) / 2


def first_guess(printed: NDArray[np.uint8]) -> Palette:
    """The palette of one image if each byte were its grey: intervals end halfway between neighbouring bytes."""
    values = np.unique(printed)
    middles = (values[1:].astype(float) + values[:-1]) / 2
    low, high = np.full(BYTES, np.nan), np.full(BYTES, np.nan)
    low[values], high[values] = [-np.inf, *middles], [*middles, np.inf]
    return Palette(low, high)


def read_off(printed: NDArray[np.uint8], predicted: NDArray[np.float64]) -> Palette:
    """The palette of one image from the greys b that a fit predicts, both (n,).

    Of all ways to cut the levels into runs, one for each byte in rising order, it is the one under which most states
    are printed as they were predicted: a shortest path. Raises RecoveryError for more bytes than levels.
    """
    values, which = np.unique(printed, return_inverse=True)
    if len(values) > LEVELS:
        raise RecoveryError(f"{len(values)} greys in one image, more than the {LEVELS} levels of a display")
    level = np.clip(np.rint(predicted / STEP), 0, LEVELS - 1).astype(int)
    agree = np.zeros((LEVELS, len(values)), int)
    np.add.at(agree, (level, which), 1)
    best = np.full((LEVELS, len(values)), -np.inf)
    best[0, 0] = agree[0, 0]
    for k in range(1, LEVELS):
        before = np.maximum(best[k - 1], [-np.inf, *best[k - 1, :-1]])
        best[k] = before + agree[k]
    byte = len(values) - 1
    low, high = np.full(BYTES, np.nan), np.full(BYTES, np.nan)
    high[values[byte]] = np.inf
    for k in range(LEVELS - 1, 0, -1):
        if byte and best[k - 1, byte - 1] >= best[k - 1, byte]:
            low[values[byte]] = high[values[byte - 1]] = (k - 0.5) * STEP
            byte -= 1
    low[values[0]] = -np.inf
    return Palette(low, high)


def printed_as(b: NDArray[np.float64], palette: Palette) -> NDArray[np.uint8]:
    """The bytes that a palette prints for greys, which may lie beyond 0 and 255."""
    values = np.flatnonzero(~np.isnan(palette.low))
    order = values[np.argsort(palette.low[values])]
    return order[np.searchsorted(palette.low[order][1:], b, side="right")].astype(np.uint8)
