"""The space displacement network: LeNet-5 over a whole string in one pass (Section VII)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from paper_lenet.strings.digits import Strings
from paper_lenet.strings.graphs import NULL, Arc, Graph, recognised
from paper_lenet.strings.lattices import Segmentations, rows


class Sigmoids(nn.Module):
    """A network of linear outputs with a sigmoid on each, and as penalties minus their logarithms.

    All penalties can be small at once, unlike those of probabilities that add up to 1: the paper says of such outputs
    that E_vit lets them collapse (Sec. VI-A).
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.output = net, nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        return -F.logsigmoid(self.net(images))


def penalties(net: nn.Module, images: Tensor) -> Tensor:
    """The penalties (N, T, C) of all classes at all positions, four columns apart, of images (N, 1, 32, 28 + 4 T).

    Nothing is computed twice: what neighbouring windows share, the layers share. Of a network whose output is linear
    they are minus the logarithms of its probabilities.
    """
    found: Tensor = net(images)
    found = found.reshape(*found.shape[:2], -1).mT
    return -F.log_softmax(found, 2) if isinstance(net.output, nn.Linear) else found


def of_strings(net: nn.Module, strings: Strings, chosen: NDArray[np.int64]) -> tuple[Tensor, Segmentations]:
    """The penalties (P, C) of all positions of the chosen strings, and the SDNN output graphs that they belong to."""
    images, lengths = strings.batch(chosen)
    found = penalties(net, images)
    own = lengths.new_tensor(range(found.shape[1])) < lengths[:, None]
    return found[own], rows(lengths.tolist())


def output_graph(position_penalties: Tensor) -> Graph:
    """The SDNN output graph of penalties (T, C): a node between positions, and from one to the next an arc a class."""
    count, classes = position_penalties.shape
    segmentation = Graph(tuple(Arc(t, t + 1, NULL, data=t) for t in range(count)), frozenset([count]))
    return recognised(segmentation, lambda t: position_penalties[t], range(classes))


def edits(read_: Sequence[Any], desired: Sequence[Any]) -> int:
    """The least number of characters to insert, delete or exchange (Levenshtein)."""
    row = list(range(len(desired) + 1))
    for k, one in enumerate(read_, 1):
        before, row[0] = row[0], k
        for j, other in enumerate(desired, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (one != other))
    return row[-1]
