"""A small recogniser of strings as people build it since 2015, to stand beside the SDNN: convolutions, then an LSTM.

Convolutional layers bring a picture to one row of features every four columns, a bidirectional LSTM goes over the row,
and a linear layer gives the classes and the blank (Shi, Bai and Yao 2015, with far fewer maps).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from paper_lenet import paper
from paper_lenet.strings.digits import STEP, Strings
from paper_lenet.strings.lattices import Segmentations, rows

MAPS, UNITS = (16, 32, 48, 64), 64


class CRNN(nn.Module):
    """Pictures (N, 1, 32, W) -> weighted sums (N, classes + 1, W / 4), those of the blank last.

    seed: draws the initial weights.
    """

    def __init__(self, seed: int, classes: int = paper.CLASSES) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            layers: list[nn.Module] = []
            for below, maps, pooled in zip((1, *MAPS), MAPS, ((2, 2), (2, 2), (2, 1), (4, 1)), strict=False):
                layers += [
                    nn.Conv2d(below, maps, 3, padding=1, bias=False),
                    nn.BatchNorm2d(maps),
                    nn.ReLU(),
                    nn.MaxPool2d(pooled),
                ]
            self.maps = nn.Sequential(*layers)
            self.lstm = nn.LSTM(MAPS[-1], UNITS, batch_first=True, bidirectional=True)
            self.output = nn.Linear(2 * UNITS, classes + 1)

    def forward(self, images: Tensor, columns: Tensor | None = None) -> Tensor:
        """columns: (N,), how many of W each picture has of its own; the LSTM does not see what is right of them."""
        row = self.maps(images).squeeze(2).mT
        lengths = torch.full((len(images),), images.shape[3]) if columns is None else columns
        packed = pack_padded_sequence(row, lengths // STEP, batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=row.shape[1])
        sums: Tensor = self.output(states).mT
        return sums


def of_strings(net: CRNN, strings: Strings, chosen: NDArray[np.int64]) -> tuple[Tensor, Segmentations]:
    """Minus the logarithms of the probabilities (P, classes + 1) at all positions of the chosen strings, and the rows
    that they belong to."""
    images, _ = strings.batch(chosen)
    columns = torch.tensor([strings.pixels[k].shape[1] for k in chosen])
    found = -F.log_softmax(net(images, columns), 1).mT
    own = torch.arange(found.shape[1]) < (columns // STEP)[:, None]
    return found[own], rows((columns // STEP).tolist())
