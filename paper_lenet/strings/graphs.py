"""Graphs whose arcs carry penalties, and what graph transformers do with them (Sections IV to VI and VIII).

This is the plain form: it reads like the paper, works on any graph, and has its derivatives from autograd, so that no
`bprop` is written out. `lattices.py` has the fast form of the cases that training needs.

    C      the penalty of a path, the sum of those of its arcs; smaller is better
    v      Viterbi penalty of a node, Eq. 10; C_vit that of a graph, C_cvit that of the paths with the desired labels
    f      forward penalty of a node, Eq. 13; C_forw and C_cforw likewise
"""

from __future__ import annotations

import graphlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor

from paper_lenet.errors import PaperLenetError

K = TypeVar("K")
V = TypeVar("V")
NULL = None  # the symbol that matches nothing: its arc is walked alone
NO_PENALTY = torch.zeros((), dtype=torch.float64)


class GraphError(PaperLenetError):
    """A graph that cannot be walked: empty, circular, or without a path from its start to an end."""


@dataclass(frozen=True)
class Arc:
    """From a node to a node.

    label: what composition compares; NULL for nothing.
    penalty: a scalar.
    output: what it hands on, and what is read along a path; its label, if nothing else is said.
    data: whatever else goes with it: an image, the arcs that it was made of.
    """

    start: int
    end: int
    label: Any
    penalty: Tensor = NO_PENALTY
    output: Any = ...
    data: Any = None

    def __post_init__(self) -> None:
        if self.output is ...:
            object.__setattr__(self, "output", self.label)


@dataclass(frozen=True)
class Graph:
    """Arcs between nodes. Paths begin at `start` and stop at any of `ends`."""

    arcs: tuple[Arc, ...]
    ends: frozenset[int]
    start: int = 0

    @cached_property
    def leaving(self) -> dict[int, list[Arc]]:
        """The arcs that leave a node."""
        return _grouped((arc.start, arc) for arc in self.arcs)

    @cached_property
    def entering(self) -> dict[int, list[Arc]]:
        """The arcs that enter a node."""
        return _grouped((arc.end, arc) for arc in self.arcs)

    @cached_property
    def order(self) -> list[int]:
        """All nodes, each after those that lead to it. Raises GraphError for a circle."""
        before: dict[int, list[int]] = {self.start: [], **{end: [] for end in sorted(self.ends)}}
        for arc in self.arcs:
            before.setdefault(arc.start, [])
            before.setdefault(arc.end, []).append(arc.start)
        try:
            return list(graphlib.TopologicalSorter(before).static_order())
        except graphlib.CycleError as error:
            raise GraphError(f"a graph with a circle, through the nodes {error.args[1]}") from None


def read(path: Iterable[Arc]) -> list[Any]:
    """What is handed on along a path, without NULL."""
    return [arc.output for arc in path if arc.output is not NULL]


def linear(labels: Sequence[Any]) -> Graph:
    """The graph of one path, which has these labels and no penalty."""
    arcs = tuple(Arc(k, k + 1, label) for k, label in enumerate(labels))
    return Graph(arcs, frozenset([len(arcs)]))


# --- the recognition transformer, Sec. V-B ---


def recognised(segmentation: Graph, recognise: Callable[[Any], Tensor], classes: Sequence[Any]) -> Graph:
    """The interpretation graph: in the place of each arc one a class.

    recognise: from an arc's `data` to the penalties of the classes (C,).  The penalty of an arc is the segmenter's and
    the recogniser's; its data are those of the arc that it stands for.
    """
    arcs = [
        Arc(arc.start, arc.end, label, arc.penalty + penalty, data=arc.data)
        for arc in segmentation.arcs
        for label, penalty in zip(classes, recognise(arc.data), strict=True)
    ]
    return Graph(tuple(arcs), segmentation.ends, segmentation.start)


# --- composition, Section VIII, Fig. 28 and 29 ---

Check = Callable[[Any, Any], bool]
Fprop = Callable[[Arc | None, Arc | None], Arc]
# A node of each graph, and whether the last step was one in the second graph alone.
Token = tuple[int, int, bool]


def same(handed_on: Any, label: Any) -> bool:
    """Whether arcs match: what the first hands on is the label of the second."""
    return bool(handed_on == label)


def joined(first: Arc | None, second: Arc | None) -> Arc:
    """The arc that two matching arcs become, or one of them alone; its nodes are filled in by composition."""
    label = NULL if first is None else first.label
    output = NULL if second is None else second.output
    penalty = sum((arc.penalty for arc in (first, second) if arc is not None), NO_PENALTY)
    return Arc(0, 0, label, penalty, output, data=(first, second))


def compose(first: Graph, second: Graph, check: Check = same, fprop: Fprop = joined) -> Graph:
    """The graph of all pairs of a path of the first and a path of the second that match, arc by arc.

    A token stands on a node of each graph. It walks two arcs at once if `check` finds that what the first hands on
    matches the label of the second. An arc that hands on NULL, or has it for a label, is walked alone. Of the ways to
    interleave such steps one is allowed, the first graph's before the second's, for each would count as a path of its
    own. One graph may be circular. The result has no dead ends, and is empty if nothing matches.
    """
    steps: dict[Token, list[tuple[Token, Arc]]] = {}
    start = (first.start, second.start, False)
    waiting = [start]
    while waiting:
        token = waiting.pop()
        if token not in steps:
            steps[token] = list(_steps(first, second, token, check, fprop))
            waiting.extend(to for to, _ in steps[token])
    ends = {token for token in steps if token[0] in first.ends and token[1] in second.ends}
    alive = _leading_to(ends, steps)
    numbers = {token: k for k, token in enumerate([start, *(token for token in steps if token in alive - {start})])}
    arcs = [
        Arc(numbers[token], numbers[to], arc.label, arc.penalty, arc.output, arc.data)
        for token in numbers
        for to, arc in steps[token]
        if to in alive
    ]
    return Graph(tuple(arcs), frozenset(numbers[token] for token in ends))


def selected(interpretation: Graph, labels: Sequence[Any]) -> Graph:
    """The path selector, Sec. VI-A: the paths with the desired labels. Raises GraphError if there are none."""
    paths = compose(interpretation, linear(labels))
    if not paths.ends:
        raise GraphError(f"no path has the labels {' '.join(map(str, labels))}")
    return paths


def _steps(first: Graph, second: Graph, token: Token, check: Check, fprop: Fprop) -> Iterator[tuple[Token, Arc]]:
    """Where a token can go, and the arc that this becomes."""
    one, two, second_alone = token
    arcs, others = first.leaving.get(one, []), second.leaving.get(two, [])
    for arc in arcs:
        if arc.output is NULL:
            if not second_alone:
                yield (arc.end, two, False), fprop(arc, None)
            continue
        for other in others:
            if other.label is not NULL and check(arc.output, other.label):
                yield (arc.end, other.end, False), fprop(arc, other)
    for other in others:
        if other.label is NULL:
            yield (one, other.end, True), fprop(None, other)


def _leading_to(ends: set[Token], steps: dict[Token, list[tuple[Token, Arc]]]) -> set[Token]:
    """The tokens from which an end can be reached."""
    backwards = _grouped((to, token) for token, reached in steps.items() for to, _ in reached)
    alive, waiting = set(ends), list(ends)
    while waiting:
        for token in backwards.get(waiting.pop(), []):
            if token not in alive:
                alive.add(token)
                waiting.append(token)
    return alive


# --- the Viterbi and the forward penalty ---


def viterbi(graph: Graph) -> tuple[Tensor, list[Arc]]:
    """The smallest penalty of a path, and that path.  # Eq. 10, Sec. V-B

    Raises GraphError if no path leads from the start to an end.
    """
    v: dict[int, Tensor] = {graph.start: NO_PENALTY}
    last: dict[int, Arc] = {}
    for n in graph.order:
        reached = [arc for arc in graph.entering.get(n, []) if arc.start in v]
        if reached:
            through = torch.stack([arc.penalty + v[arc.start] for arc in reached])
            best = int(through.argmin())
            v[n], last[n] = through[best], reached[best]
    n = min(_reached(graph, v), key=lambda end: v[end].item())
    penalty, path = v[n], []
    while n != graph.start:
        path.append(last[n])
        n = last[n].start
    return penalty, path[::-1]


def forward(graph: Graph) -> Tensor:
    """-log of the sum, over all paths, of exp(-penalty).  # Eq. 13, Sec. VI-C

    Autograd's derivatives of it are those of Eq. 15 and 16. Raises GraphError if no path leads to an end.
    """
    f: dict[int, Tensor] = {graph.start: NO_PENALTY}
    for n in graph.order:
        reached = [arc.penalty + f[arc.start] for arc in graph.entering.get(n, []) if arc.start in f]
        if reached:
            f[n] = logadd(torch.stack(reached))
    return logadd(torch.stack([f[end] for end in _reached(graph, f)]))


def logadd(penalties: Tensor, dim: int = 0) -> Tensor:
    """-log(sum of exp(-penalty)); the smallest is taken out, so that nothing underflows.  # Eq. 14, Sec. VI-C"""
    return -torch.logsumexp(-penalties, dim)


def beam(
    first: Graph, second: Graph, width: int, check: Check = same, fprop: Fprop = joined
) -> tuple[float, list[Arc]]:
    """What `viterbi` gives of the composition, which is not built: a token goes on from a node of the first graph only
    if it is among the `width` best there.

    So the best path may be missed. The second graph may not have a circle of arcs whose labels are NULL. Raises
    GraphError if no token reaches an end.
    """
    best: dict[int, dict[Token, tuple[float, list[Arc]]]] = defaultdict(dict)
    best[first.start][first.start, second.start, False] = 0.0, []
    for n in first.order:
        here, waiting = best[n], list(best[n])
        while waiting:  # the second graph's steps alone, which stay at n
            token = waiting.pop()
            for to, arc in _steps(first, second, token, check, fprop):
                if to[0] == n and _better(here, to, here[token], arc):
                    waiting.append(to)
        for token in sorted(here, key=lambda each: here[each][0])[:width]:
            for to, arc in _steps(first, second, token, check, fprop):
                if to[0] != n:
                    _better(best[to[0]], to, here[token], arc)
    done = [found for n in first.ends for token, found in best[n].items() if token[1] in second.ends]
    if not done:
        raise GraphError(f"no path among the {width} best of each node reaches an end")
    return min(done, key=lambda found: found[0])


def _better(known: dict[Token, tuple[float, list[Arc]]], to: Token, so_far: tuple[float, list[Arc]], arc: Arc) -> bool:
    """Whether a step gives a token its smallest penalty yet, which is then noted."""
    penalty = so_far[0] + arc.penalty.item()
    if to in known and known[to][0] <= penalty:
        return False
    known[to] = penalty, [*so_far[1], arc]
    return True


def _reached(graph: Graph, values: dict[int, Tensor]) -> list[int]:
    ends = [end for end in sorted(graph.ends) if end in values]
    if not ends:
        raise GraphError("an empty graph" if not graph.arcs else "a graph without a path from its start to an end")
    return ends


def _grouped(pairs: Iterable[tuple[K, V]]) -> dict[K, list[V]]:
    groups: dict[K, list[V]] = defaultdict(list)
    for key, value in pairs:
        groups[key].append(value)
    return groups


# --- the losses of Sections V and VI, from an interpretation graph and the desired labels ---


def e_vit(interpretation: Graph, labels: Sequence[Any]) -> Tensor:
    """The penalty of the best path with the desired labels.  # Eq. 11, Sec. VI-A"""
    return viterbi(selected(interpretation, labels))[0]


def e_dvit(interpretation: Graph, labels: Sequence[Any]) -> Tensor:
    """How much worse that is than the best path of all.  # Eq. 12, Sec. VI-B"""
    return e_vit(interpretation, labels) - viterbi(interpretation)[0]


def e_forw(interpretation: Graph, labels: Sequence[Any]) -> Tensor:
    """The forward penalty of the paths with the desired labels."""
    return forward(selected(interpretation, labels))


def e_dforw(interpretation: Graph, labels: Sequence[Any]) -> Tensor:
    """Minus the log probability of the desired labels.  # Eq. 17, Sec. VI-D"""
    return e_forw(interpretation, labels) - forward(interpretation)
