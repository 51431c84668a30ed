"""The space displacement network: LeNet-5 over a whole string in one pass, and what is read there (Section VII)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from paper_lenet.network.paper_net import PaperNet
from paper_lenet.strings.characters import CharacterModel
from paper_lenet.strings.digits import Strings
from paper_lenet.strings.graphs import NULL, Arc, Graph, recognised
from paper_lenet.strings.lattices import lattice, viterbi

AT_ONCE = 100


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
def all_penalties(net: PaperNet, strings: Strings) -> list[Tensor]:
    """The penalties (T, C) of each string, pictures of like width together."""
    order = np.argsort([picture.shape[1] for picture in strings.pixels], kind="stable")
    found: dict[int, Tensor] = {}
    for start in range(0, len(order), AT_ONCE):
        chosen = order[start : start + AT_ONCE]
        images, lengths = strings.batch(chosen)
        for k, length, of_string in zip(chosen, lengths, penalties(net, images), strict=True):
            found[int(k)] = of_string[:length]
    return [found[k] for k in range(len(strings))]


def read(position_penalties: Sequence[Tensor], model: CharacterModel) -> list[list[tuple[int, Any]]]:
    """The characters of strings whose penalties (T, C) are given, each with the position where it is first seen."""
    of = lattice([model.transducer()], position_penalties[0].dtype)
    lengths = torch.tensor([len(each) for each in position_penalties])
    return viterbi(pad_sequence(list(position_penalties), batch_first=True), lengths, of)[1]


def edits(read_: Sequence[Any], desired: Sequence[Any]) -> int:
    """The least number of characters to insert, delete or exchange (Levenshtein)."""
    row = list(range(len(desired) + 1))
    for k, one in enumerate(read_, 1):
        before, row[0] = row[0], k
        for j, other in enumerate(desired, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (one != other))
    return row[-1]
