"""Viterbi and forward penalties of many strings at once: segmentation graphs composed with a transducer, compiled.

What `graphs` does arc by arc is done here on arrays, for the case that reading and training need: the pieces of a
string, each with a penalty a class (positions of the SDNN, or what lies between two cuts), composed with a transducer
from classes to characters and, in training, with the characters that the string shall have. None of the three
compositions is built; tokens walk through all graphs together (Section VIII). `graphs` is the specification.

    N strings, P pieces of all strings together, C classes; f forward, b backward penalties
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from paper_lenet.strings.graphs import NULL, Graph, GraphError

Indices = NDArray[np.int64]
# The penalty of what is not there. A path of it counts for nothing, and unlike infinity it leaves no NaN behind.
NEVER = 1e9
_HALF = NEVER / 2
_NOTHING = -1  # what an arc hands on that hands on NULL


@dataclass(frozen=True)
class Segmentations:
    """The segmentation graphs of N strings. Nodes are numbered from 0 in each, and paths lead from 0 to the last one.

    start, end: (P,), the nodes of each piece, start < end; in a string the pieces' starts do not fall.
    first: (N + 1,), where the pieces of each string begin, and P.
    """

    start: Indices
    end: Indices
    first: Indices

    def __len__(self) -> int:
        return len(self.first) - 1


def rows(lengths: Sequence[int]) -> Segmentations:
    """Of strings with so many positions, one after the other: the SDNN's (Sec. VII-A)."""
    start = np.concatenate([np.arange(length) for length in lengths] or [np.zeros(0, np.int64)])
    return Segmentations(start, start + 1, np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]))


class Arcs(NamedTuple):
    """The arcs (K,) of a graph between nodes (S,), of which 0 is the first, as compiled code reads them.

    label: the class that an arc takes.  output: the number of the symbol that it hands on, or -1.
    final: bool (S,), where a path may end.
    """

    start: Indices
    end: Indices
    label: Indices
    output: Indices
    penalty: NDArray[np.float64]
    final: NDArray[np.bool_]


@dataclass(frozen=True)
class Transducer:
    """A graph whose labels are classes, as arrays.  symbols: what its arcs hand on, by number."""

    arcs: Arcs
    symbols: tuple[Any, ...]

    @classmethod
    def of(cls, graph: Graph) -> Transducer:
        """Raises GraphError for an arc that takes no class."""
        if any(arc.label is NULL for arc in graph.arcs):
            raise GraphError("an arc without a label: pieces and arcs cannot be walked in step")
        nodes = {n for arc in graph.arcs for n in (arc.start, arc.end)} | graph.ends
        order = [graph.start, *sorted(nodes - {graph.start})]
        number = {n: k for k, n in enumerate(order)}
        symbols = tuple(dict.fromkeys(arc.output for arc in graph.arcs if arc.output is not NULL))
        handed_on = {NULL: _NOTHING, **{symbol: k for k, symbol in enumerate(symbols)}}
        arcs = [(number[a.start], number[a.end], a.label, handed_on[a.output]) for a in graph.arcs]
        start, end, label, output = np.array(arcs, np.int64).reshape(-1, 4).T.copy()
        penalty = np.array([float(arc.penalty) for arc in graph.arcs])
        return cls(Arcs(start, end, label, output, penalty, np.array([n in graph.ends for n in order])), symbols)

    def numbers(self, labels: Sequence[Any]) -> Indices:
        """The numbers of symbols. Raises GraphError for one that no arc hands on."""
        number = {symbol: k for k, symbol in enumerate(self.symbols)}
        for label in labels:
            if label not in number:
                raise GraphError(f"{label}: a label that the model lacks; it has {' '.join(map(str, self.symbols))}")
        return np.array([number[label] for label in labels], np.int64)


def penalties(
    of: Tensor, pieces: Segmentations, model: Transducer, all_paths: bool, labels: Sequence[Sequence[Any]] | None = None
) -> Tensor:
    """The penalties (N,) of all paths together (Eq. 13), or else of the best one (Eq. 10); derivatives by autograd.

    of: (P, C), the penalties of the classes of each piece.  labels: what each string shall be read as; None for all
    that the model allows.  Where there is no path the result is about NEVER, without slopes; `possible` tells.
    Raises GraphError for a class or a label that is not there, and for a string without pieces.
    """
    _check(of, pieces, model)
    found: Tensor = _Penalties.apply(of, pieces, model, all_paths, labels)
    return found


class _Penalties(torch.autograd.Function):
    """Slopes are by the forward-backward recursion: of each arc the share of paths that take it (Eq. 15 and 16)."""

    @staticmethod
    def forward(ctx: Any, of: Tensor, pieces: Segmentations, model: Transducer, all_paths: bool, labels: Any) -> Tensor:
        p = of.detach().double().numpy()
        wanted = [model.numbers(each) for each in labels] if labels is not None else [np.zeros(0, np.int64)]
        ends = np.cumsum([0, *map(len, wanted)])
        if labels is None:
            ends = np.zeros(len(pieces) + 1, np.int64)
        values, slopes = np.empty(len(pieces)), np.zeros_like(p)
        _of_strings(
            p, pieces.start, pieces.end, pieces.first, model.arcs, np.concatenate(wanted), ends, labels is None,
            all_paths, values, slopes,
        )  # fmt: skip
        ctx.save_for_backward(torch.from_numpy(slopes).to(of.dtype))
        ctx.counts = torch.from_numpy(np.diff(pieces.first))
        return torch.from_numpy(values).to(of.dtype)

    @staticmethod
    def backward(ctx: Any, *above: Tensor) -> tuple[Tensor, None, None, None, None]:
        (slopes,) = ctx.saved_tensors
        return slopes * above[0].repeat_interleave(ctx.counts)[:, None], None, None, None, None


def viterbi(
    of: Tensor, pieces: Segmentations, model: Transducer
) -> tuple[NDArray[np.float64], list[list[tuple[int, Any]]]]:
    """The smallest penalties (N,), and of each best path the pieces at which something is handed on, with it.

    Pieces are numbered from 0 in each string. Arguments, and what is raised, as of `penalties`.  # Eq. 10, Sec. V-B
    """
    _check(of, pieces, model)
    p, values, paths = of.detach().double().numpy(), np.empty(len(pieces)), []
    for k in range(len(pieces)):
        part = slice(pieces.first[k], pieces.first[k + 1])
        values[k], taken, arcs = _best(p[part], pieces.start[part], pieces.end[part], model.arcs)
        handed_on = zip(taken.tolist(), model.arcs.output[arcs].tolist(), strict=True)
        paths.append([(piece, model.symbols[out]) for piece, out in handed_on if out != _NOTHING])
    return values, paths


def possible(found: Tensor) -> Tensor:
    """Of which strings (N,) there is a path at all."""
    return found.detach() < _HALF


def _check(of: Tensor, pieces: Segmentations, model: Transducer) -> None:
    if len(model.arcs.label) and model.arcs.label.max() >= of.shape[1]:
        raise GraphError(f"class {model.arcs.label.max()}: the penalties are those of {of.shape[1]} classes, from 0")
    if (np.diff(pieces.first) < 1).any():
        raise GraphError("an empty graph: a string without pieces")


@njit(cache=True, error_model="numpy")
def _add(x, y):  # type: ignore[no-untyped-def]
    """logadd of two.  # Eq. 14, Sec. VI-C"""
    if x >= _HALF:
        return y
    if y >= _HALF:
        return x
    return min(x, y) - math.log1p(math.exp(-abs(x - y)))


@njit(cache=True, error_model="numpy")
def _next(place, output, labels, free):  # type: ignore[no-untyped-def]
    """How many labels are read after an arc, of which `place` were read before it; -1 if it may not be taken."""
    if free or output < 0:
        return place
    if place < len(labels) and labels[place] == output:
        return place + 1
    return -1


@njit(cache=True, error_model="numpy")
def _walk(p, start, end, arcs, labels, free, all_paths, f, last):  # type: ignore[no-untyped-def]
    """f (nodes, S, labels + 1) of every token, from the first on; last: the piece and arc of its best way there."""
    f[:] = NEVER
    f[0, 0, 0] = 0.0
    for k in range(len(start)):
        for a in range(len(arcs.start)):
            more = p[k, arcs.label[a]] + arcs.penalty[a]
            for place in range(f.shape[2]):
                x = f[start[k], arcs.start[a], place]
                to = _next(place, arcs.output[a], labels, free)
                if x >= _HALF or to < 0:
                    continue
                x += more
                if all_paths:
                    f[end[k], arcs.end[a], to] = _add(f[end[k], arcs.end[a], to], x)
                elif x < f[end[k], arcs.end[a], to]:
                    f[end[k], arcs.end[a], to] = x
                    last[end[k], arcs.end[a], to] = k * len(arcs.start) + a


@njit(cache=True, error_model="numpy")
def _back(p, start, end, arcs, labels, free, f, b, value, slopes):  # type: ignore[no-untyped-def]
    """b of every token, back from the ends that are set in it; slopes: of each arc the share of paths through it."""
    for k in range(len(start) - 1, -1, -1):
        for a in range(len(arcs.start)):
            more = p[k, arcs.label[a]] + arcs.penalty[a]
            for place in range(f.shape[2]):
                to = _next(place, arcs.output[a], labels, free)
                if to < 0 or f[start[k], arcs.start[a], place] >= _HALF or b[end[k], arcs.end[a], to] >= _HALF:
                    continue
                x = more + b[end[k], arcs.end[a], to]
                b[start[k], arcs.start[a], place] = _add(b[start[k], arcs.start[a], place], x)
                slopes[k, arcs.label[a]] += math.exp(value - x - f[start[k], arcs.start[a], place])


@njit(cache=True, error_model="numpy")
def _arrive(f, final, all_paths):  # type: ignore[no-untyped-def]
    """The penalty at the last node with all labels read, and the state where the best path ends."""
    node, place, value, best = f.shape[0] - 1, f.shape[2] - 1, NEVER, 0
    for state in range(len(final)):
        if final[state]:
            x = f[node, state, place]
            if x < f[node, best, place] or not final[best]:
                best = state
            value = _add(value, x) if all_paths else min(value, x)
    return value, best


@njit(cache=True, error_model="numpy")
def _of_strings(p, start, end, first, arcs, labels, ends, free, all_paths, values, slopes):  # type: ignore[no-untyped-def]  # fmt: skip
    """`penalties` of each string, and their slopes by the penalties of its pieces."""
    for n in range(len(values)):
        part = slice(first[n], first[n + 1])
        own, from_, to = p[part], start[part], end[part]
        wanted = labels[ends[n] : ends[n + 1]]
        shape = (to.max() + 1, len(arcs.final), len(wanted) + 1)
        f, last = np.empty(shape), np.full(shape, -1)
        _walk(own, from_, to, arcs, wanted, free, all_paths, f, last)
        values[n], state = _arrive(f, arcs.final, all_paths)
        if values[n] >= _HALF:
            continue
        if all_paths:
            b = np.full(shape, NEVER)
            for end_state in range(len(arcs.final)):
                if arcs.final[end_state]:
                    b[-1, end_state, -1] = 0.0
            _back(own, from_, to, arcs, wanted, free, f, b, values[n], slopes[part])
        else:
            node, place = shape[0] - 1, len(wanted)
            while node > 0:
                k, a = divmod(last[node, state, place], len(arcs.start))
                slopes[first[n] + k, arcs.label[a]] += 1.0
                if not free and arcs.output[a] >= 0:
                    place -= 1
                node, state = from_[k], arcs.start[a]


@njit(cache=True, error_model="numpy")
def _best(p, start, end, arcs):  # type: ignore[no-untyped-def]
    """The penalty of the best path of one string, and its pieces and arcs from the first to the last."""
    shape = (end.max() + 1, len(arcs.final), 1)
    f, last = np.empty(shape), np.full(shape, -1)
    _walk(p, start, end, arcs, np.zeros(0, np.int64), True, False, f, last)
    value, state = _arrive(f, arcs.final, False)
    pieces, taken, node = [0 for _ in range(0)], [0 for _ in range(0)], shape[0] - 1
    while node > 0 and value < _HALF:
        k, a = divmod(last[node, state, 0], len(arcs.start))
        pieces.append(k)
        taken.append(a)
        node, state = start[k], arcs.start[a]
    return value, np.array(pieces[::-1], dtype=np.int64), np.array(taken[::-1], dtype=np.int64)
