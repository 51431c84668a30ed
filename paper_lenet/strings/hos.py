"""Heuristic over-segmentation: each piece between two cuts is read alone, and the best path through them is the answer
(Section V).

The interpretation graph has an arc a class for each piece; every path holds every piece once. `graphs` is the
specification of what is computed here; here it is the penalties (P, C) of a string's P pieces, and numbers of nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from paper_lenet.data import levels
from paper_lenet.network.paper_net import PaperNet
from paper_lenet.strings.graphs import NULL, Arc, Graph, recognised
from paper_lenet.strings.lattices import NEVER
from paper_lenet.strings.segmentation import Piece, pieces


@dataclass(frozen=True)
class Segmented:
    """The segmentation graph of a string: its pieces, in an order in which those that end at a node come before those
    that start there."""

    pieces: list[Piece]

    def nodes(self) -> int:
        return max(piece.end for piece in self.pieces) + 1

    def windows(self) -> Tensor:
        """All pieces as the network sees them (P, 1, 32, 32)."""
        bytes_: NDArray[np.uint8] = np.stack([piece.window for piece in self.pieces])
        return torch.from_numpy(levels(np.float32)[bytes_])[:, None]

    def graph(self, penalties: Tensor) -> Graph:
        """The interpretation graph of penalties (P, C)."""
        arcs = tuple(Arc(piece.start, piece.end, NULL, data=k) for k, piece in enumerate(self.pieces))
        segmentation = Graph(arcs, frozenset([self.nodes() - 1]))
        return recognised(segmentation, lambda k: penalties[k], range(penalties.shape[1]))


def segmented(picture: NDArray[np.uint8]) -> Segmented:
    """The segmentation graph of a picture, bytes (32, W)."""
    return Segmented(sorted(pieces(picture), key=lambda piece: (piece.start, piece.end)))


def penalties(net: PaperNet, strings: Sequence[Segmented]) -> list[Tensor]:
    """The penalties (P, C) of all pieces of each string."""
    found = net(torch.cat([string.windows() for string in strings]))
    return list(found.split([len(string.pieces) for string in strings]))


Sum = Callable[[Tensor, int], Tensor]


def smallest(through: Tensor, dim: int) -> Tensor:
    """Viterbi's choice, where `logadd` is the forward sum.  # Eq. 10, Sec. V-B"""
    return through.amin(dim)


def every(string: Segmented, of: Tensor, add: Sum) -> Tensor:
    """The penalty of all paths, by Viterbi or forward; of: penalties (P, C) of the pieces."""
    of_piece = add(of, 1)
    v: list[Tensor] = [of.new_zeros(())]
    for node in range(1, string.nodes()):
        into = [k for k, piece in enumerate(string.pieces) if piece.end == node]
        v.append(add(torch.stack([v[string.pieces[k].start] + of_piece[k] for k in into]), 0))
    return v[-1]


def desired(string: Segmented, of: Tensor, labels: Sequence[int], add: Sum) -> Tensor:
    """The penalty of the paths with the desired labels; about NEVER if there are none."""
    count = len(labels)
    wanted = of[:, list(labels)]
    none = of.new_full((1,), NEVER)
    v = [torch.cat([of.new_zeros(1), none.expand(count)])]  # of each node, after 0 to `count` labels
    for node in range(1, string.nodes()):
        into = [k for k, piece in enumerate(string.pieces) if piece.end == node]
        through = torch.stack([torch.cat([none, v[string.pieces[k].start][:-1] + wanted[k]]) for k in into])
        v.append(add(through.clamp(max=NEVER), 0))
    return v[-1][count]


def read(string: Segmented, of: Tensor) -> tuple[float, list[int], list[Piece]]:
    """The smallest penalty, the digits of that path, and their pieces."""
    best, classes = of.min(1)
    best_of, class_of = best.tolist(), classes.tolist()
    v = [0.0] + [NEVER] * (string.nodes() - 1)
    last: list[int] = [-1] * string.nodes()
    for k, piece in enumerate(string.pieces):
        if (through := v[piece.start] + best_of[k]) < v[piece.end]:
            v[piece.end], last[piece.end] = through, k
    path, node = [], string.nodes() - 1
    while node:
        path.append(last[node])
        node = string.pieces[last[node]].start
    path.reverse()
    return v[-1], [class_of[k] for k in path], [string.pieces[k] for k in path]


@torch.no_grad()
def read_picture(net: PaperNet, picture: NDArray[np.uint8]) -> tuple[float, list[int], list[Piece]]:
    """The same of a picture, bytes (32, W)."""
    string = segmented(picture)
    return read(string, penalties(net, [string])[0])
