"""Viterbi and forward penalties of many strings at once: rows of positions composed with transducers.

What `graphs` does arc by arc is done here position by position, on arrays. It is the same where the first graph is
linear, with an arc a class between two positions (the SDNN output graph, Sec. VII-A), and the second takes one class at
each: a character model, or that composed with the labels that a string shall have. `graphs` is the specification.

    N strings, T positions, C classes, S nodes of a transducer, K arcs that enter a node at most
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from paper_lenet.strings.graphs import NULL, Graph, GraphError, logadd

# The penalty of what is not there. A path of it counts for nothing, and unlike infinity it leaves no NaN behind.
NEVER = 1e9


@dataclass(frozen=True)
class Lattice:
    """Transducers as arrays, one for each of N strings, or one for all of them (N = 1). Paths start at node 0.

    start, label: int64 (N, S, K), where the arcs that enter a node come from, and the class that each takes.
    penalty: (N, S, K), NEVER where there is no arc.  end: (N, S), 0 for a node where a path may end, else NEVER.
    outputs: what they hand on, by string, node and arc.
    """

    start: Tensor
    label: Tensor
    penalty: Tensor
    end: Tensor
    outputs: list[list[list[Any]]]


def lattice(transducers: Sequence[Graph], dtype: torch.dtype = torch.float32) -> Lattice:
    """The arrays of transducers whose labels are classes. Raises GraphError for an arc that takes none."""
    numbered = []
    for graph in transducers:
        if any(arc.label is NULL for arc in graph.arcs):
            raise GraphError("an arc without a label: positions and arcs cannot be walked in step")
        nodes = {n for arc in graph.arcs for n in (arc.start, arc.end)} | graph.ends
        numbered.append([graph.start, *sorted(nodes - {graph.start})])
    most = max((len(arcs) for graph in transducers for arcs in graph.entering.values()), default=1)
    shape = (len(transducers), max(map(len, numbered)), most)
    start, label = torch.zeros(shape, dtype=torch.int64), torch.zeros(shape, dtype=torch.int64)
    penalty, end = torch.full(shape, NEVER, dtype=dtype), torch.full(shape[:2], NEVER, dtype=dtype)
    outputs: list[list[list[Any]]] = []
    for k, (graph, order) in enumerate(zip(transducers, numbered, strict=True)):
        place = {n: at for at, n in enumerate(order)}
        outputs.append([[arc.output for arc in graph.entering.get(n, [])] for n in order])
        for at, n in enumerate(order):
            end[k, at] = 0 if n in graph.ends else NEVER
            for which, arc in enumerate(graph.entering.get(n, [])):
                start[k, at, which], label[k, at, which] = place[arc.start], arc.label
                penalty[k, at, which] = arc.penalty.detach()
    return Lattice(start, label, penalty, end, outputs)


def forward(positions: Tensor, lengths: Tensor, of: Lattice) -> Tensor:
    """The forward penalties (N,) of all paths.  # Eq. 13 and 14, Sec. VI-C

    positions: penalties (N, T, C).  lengths: (N,), how many positions of each count.
    Where there is no path it is about NEVER; `possible` tells.
    """
    f = _start(positions, of)
    for t in range(positions.shape[1]):
        through = _through(f, positions[:, t], of)
        f = torch.where((t < lengths)[:, None], logadd(through, 2), f)
    return logadd(f + of.end, 1)


def smallest(positions: Tensor, lengths: Tensor, of: Lattice) -> Tensor:
    """The Viterbi penalties (N,); arguments as of `forward`.  # Eq. 10, Sec. V-B"""
    v = _start(positions, of)
    for t in range(positions.shape[1]):
        v = torch.where((t < lengths)[:, None], _through(v, positions[:, t], of).amin(2), v)
    return (v + of.end).amin(1)


def viterbi(positions: Tensor, lengths: Tensor, of: Lattice) -> tuple[Tensor, list[list[tuple[int, Any]]]]:
    """The smallest penalties (N,), and of each best path the positions where something is handed on, with it.

    Arguments as of `forward`.  # Eq. 10, Sec. V-B
    """
    v = _start(positions, of)
    choices = []
    for t in range(positions.shape[1]):
        best, which = _through(v, positions[:, t], of).min(2)
        choices.append(which)
        v = torch.where((t < lengths)[:, None], best, v)
    penalty, last = (v + of.end).min(1)
    paths: list[list[tuple[int, Any]]] = []
    chosen = torch.stack(choices).tolist() if choices else []
    starts = of.start.tolist()
    for k, (node, length) in enumerate(zip(last.tolist(), lengths.tolist(), strict=True)):
        own = k if len(starts) > 1 else 0
        path = []
        for t in reversed(range(length)):
            which = chosen[t][k][node]
            handed_on = of.outputs[own][node][which] if which < len(of.outputs[own][node]) else NULL
            if handed_on is not NULL:
                path.append((t, handed_on))
            node = starts[own][node][which]
        paths.append(path[::-1])
    return penalty, paths


def possible(penalties: Tensor) -> Tensor:
    """Of which strings (N,) there is a path at all."""
    return penalties.detach() < NEVER / 2


def _start(positions: Tensor, of: Lattice) -> Tensor:
    """Penalties (N, S) before the first position: only node 0 is reached."""
    f = positions.new_full((len(positions), of.end.shape[1]), NEVER)
    f[:, 0] = 0
    return f


def _through(f: Tensor, position: Tensor, of: Lattice) -> Tensor:
    """Penalties (N, S, K) through each arc: f (N, S) where it comes from, its own, and that of its class (N, C)."""
    shape = (len(position), *of.start.shape[1:])
    before = f.gather(1, of.start.expand(shape).flatten(1)).view(shape)
    taken = position.gather(1, of.label.expand(shape).flatten(1)).view(shape)
    return (before + taken + of.penalty).clamp(max=NEVER)
