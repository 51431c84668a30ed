"""The space displacement network: LeNet-5 over a whole string in one pass, and what is read there (Section VII)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from paper_lenet.network.paper_net import PaperNet
from paper_lenet.strings.characters import CharacterModel
from paper_lenet.strings.graphs import NULL, Arc, Graph, recognised
from paper_lenet.strings.lattices import lattice, viterbi


def penalties(net: PaperNet, images: Tensor) -> Tensor:
    """The penalties (N, T, C) of all classes at all positions, four columns apart, of images (N, 1, 32, 28 + 4 T).

    Nothing is computed twice: what neighbouring windows share, the layers share.
    """
    found: Tensor = net(images)
    return found.reshape(len(images), len(net.output.centres), -1).mT


def output_graph(position_penalties: Tensor) -> Graph:
    """The SDNN output graph of penalties (T, C): a node between positions, and from one to the next an arc a class."""
    count, classes = position_penalties.shape
    segmentation = Graph(tuple(Arc(t, t + 1, NULL, data=t) for t in range(count)), frozenset([count]))
    return recognised(segmentation, lambda t: position_penalties[t], range(classes))


@torch.no_grad()
def read(
    net: PaperNet, images: Tensor, lengths: Tensor, model: CharacterModel
) -> tuple[Tensor, list[list[tuple[int, Any]]]]:
    """The penalties (N,) of what is read in images (N, 1, 32, W), and the digits, each with the position where it is
    first seen. lengths: (N,), how many positions of each picture count."""
    found = penalties(net, images)
    return viterbi(found, lengths, lattice([model.transducer()], found.dtype))


def edits(read_: Sequence[Any], desired: Sequence[Any]) -> int:
    """The least number of characters to insert, delete or exchange (Levenshtein)."""
    row = list(range(len(desired) + 1))
    for k, one in enumerate(read_, 1):
        before, row[0] = row[0], k
        for j, other in enumerate(desired, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (one != other))
    return row[-1]
