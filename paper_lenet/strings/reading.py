"""Strings read by any of the systems: what their pieces may be, which path is best, how probable it is."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from paper_lenet.engines.fused import FusedNet
from paper_lenet.strings import crnn, hos, sdnn
from paper_lenet.strings.characters import CharacterModel, one_each
from paper_lenet.strings.crnn import CRNN
from paper_lenet.strings.digits import Strings
from paper_lenet.strings.graphs import GraphError
from paper_lenet.strings.lattices import Segmentations, Transducer, penalties, possible, viterbi

AT_ONCE = 50


@dataclass(frozen=True)
class Answer:
    """What is read in a string: digits (or other characters), and at which pieces (or positions) they are first seen.

    penalty: that of the best path (Eq. 10).  probability: exp(-E_dforw) with the answer as desired labels (Sec. X-C).
    """

    digits: tuple[int, ...]
    places: tuple[int, ...]
    penalty: float
    probability: float


def pieces_of(
    net: nn.Module | FusedNet, strings: Strings, chosen: NDArray[np.int64], model: CharacterModel | None
) -> tuple[Tensor, Segmentations]:
    """The penalties (P, C) of all pieces of the chosen strings, and their segmentation graphs.

    model: None for pieces between cuts, which a compiled network may read; else these are positions of the network.
    """
    if model is None or isinstance(net, FusedNet):
        return hos.of_strings(net, strings, chosen)
    if isinstance(net, CRNN):
        return crnn.of_strings(net, strings, chosen)
    return sdnn.of_strings(net, strings, chosen)


@functools.cache
def transducer(model: CharacterModel | None) -> Transducer:
    """What takes pieces to characters."""
    return Transducer.of(one_each() if model is None else model.transducer())


def answers(of: Tensor, pieces: Segmentations, model: Transducer) -> list[Answer]:
    """What is read in strings whose pieces have penalties (P, C).

    Raises GraphError for a string that the model cannot read as anything.
    """
    best, paths = viterbi(of, pieces, model)
    read = [tuple(c for _, c in path) for path in paths]
    every, own = (penalties(of, pieces, model, True, labels).double() for labels in (None, read))
    if not bool(possible(every).all()):
        raise GraphError("a string without a path from its start to an end")
    return [
        Answer(digits, tuple(place for place, _ in path), penalty, probability)
        for digits, path, penalty, probability in zip(
            read, paths, best.tolist(), torch.exp(every - own).tolist(), strict=True
        )
    ]


@torch.no_grad()
def read(net: nn.Module | FusedNet, strings: Strings, model: CharacterModel | None) -> list[Answer]:
    """The answers to all strings, in their order."""
    found: dict[int, Answer] = {}
    for chosen, of, pieces in all_pieces(net, strings, model):
        found |= zip(chosen.tolist(), answers(of, pieces, transducer(model)), strict=True)
    return [found[k] for k in range(len(strings))]


@torch.no_grad()
def all_pieces(
    net: nn.Module | FusedNet, strings: Strings, model: CharacterModel | None
) -> Iterator[tuple[NDArray[np.int64], Tensor, Segmentations]]:
    """Which strings, and `pieces_of` them; pictures of like width come together."""
    order = np.argsort([picture.shape[1] for picture in strings.pixels], kind="stable")
    for start in range(0, len(order), AT_ONCE):
        chosen = order[start : start + AT_ONCE]
        yield chosen, *pieces_of(net, strings, chosen, model)
