"""Digits found on a page by the network that is moved over it in both directions (Section VII): a demonstration.

Where a window has no digit in its middle the blank's code is nearest. The network has learned what stands to the left
and right of a digit; what stands above and below it was never shown.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from paper_lenet import paper
from paper_lenet.data import levels
from paper_lenet.data.windows import BLANK
from paper_lenet.network.paper_net import PaperNet
from paper_lenet.strings.digits import STEP


@dataclass(frozen=True)
class Spot:
    """A digit, the pixel in its middle, and its penalty there, which is below the blank's."""

    row: int
    column: int
    digit: int
    penalty: float


@torch.no_grad()
def spots(net: PaperNet, page: NDArray[np.uint8], apart: int = 3) -> list[Spot]:
    """Digits on a page, bytes (32 + 4 k, 32 + 4 l) with ink 255 on 0, the surest first.

    apart: positions of the network, in either direction, within which the surest digit only is taken.
    """
    found = net(torch.from_numpy(levels(np.float32)[page])[None, None])[0].numpy()
    digits, least = found[:BLANK].argmin(0), found[:BLANK].min(0)
    free, taken, middle = least < found[BLANK], [], paper.INPUT_SIZE // 2
    while free.any():
        y, x = (int(place) for place in np.unravel_index(np.where(free, least, np.inf).argmin(), free.shape))
        taken.append(Spot(STEP * y + middle, STEP * x + middle, int(digits[y, x]), float(least[y, x])))
        free[max(0, y - apart) : y + apart + 1, max(0, x - apart) : x + apart + 1] = False
    return taken
