"""Heuristic over-segmentation: each piece between two cuts is read alone, and the best path through them is the answer
(Section V)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from paper_lenet.data import levels
from paper_lenet.engines.fused import FusedNet
from paper_lenet.learning.patterns import Patterns
from paper_lenet.strings.digits import Strings
from paper_lenet.strings.graphs import NULL, Arc, Graph, recognised
from paper_lenet.strings.lattices import Segmentations
from paper_lenet.strings.segmentation import Piece

AT_ONCE = 64  # windows, so that their states stay near the processor


def penalties(net: nn.Module | FusedNet, of: list[Piece]) -> Tensor:
    """The penalties (P, C) of all classes for each piece; a compiled network's have no derivatives."""
    windows: NDArray[np.uint8] = np.stack([piece.window for piece in of])
    if isinstance(net, FusedNet):
        patterns = Patterns(windows, np.zeros(len(of), np.int64), np.zeros((0, 6)))
        return torch.from_numpy(net.outputs(patterns, np.arange(len(of))))
    grey = torch.from_numpy(levels(np.float32)[windows])[:, None]
    return torch.cat([net(part) for part in torch.split(grey, AT_ONCE)])


def segmentations(cut: list[list[Piece]]) -> Segmentations:
    """The segmentation graphs of the pieces of each string, as `segmentation.pieces` gives them."""
    nodes = np.array([(piece.start, piece.end) for of in cut for piece in of], np.int64).reshape(-1, 2)
    return Segmentations(nodes[:, 0].copy(), nodes[:, 1].copy(), np.cumsum([0, *map(len, cut)]))


def of_strings(net: nn.Module | FusedNet, strings: Strings, chosen: NDArray[np.int64]) -> tuple[Tensor, Segmentations]:
    """The penalties (P, C) of all pieces of the chosen strings, and the segmentation graphs that they belong to."""
    cut = [strings.pieces(k) for k in chosen.tolist()]
    return penalties(net, [piece for of in cut for piece in of]), segmentations(cut)


def interpretation_graph(of: list[Piece], found: Tensor) -> Graph:
    """The interpretation graph of a string's pieces and their penalties (P, C)."""
    arcs = tuple(Arc(piece.start, piece.end, NULL, data=k) for k, piece in enumerate(of))
    segmentation = Graph(arcs, frozenset([max(piece.end for piece in of)]))
    return recognised(segmentation, lambda k: found[k], range(found.shape[1]))
