"""Graphs and composition: the paper's worked examples, brute force, an existing transducer library, and CTC."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from paper_lenet.strings.graphs import (
    NULL,
    Arc,
    Graph,
    GraphError,
    beam,
    compose,
    e_dforw,
    e_dvit,
    e_forw,
    e_vit,
    forward,
    linear,
    logadd,
    read,
    recognised,
    selected,
    viterbi,
)


def penalty(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64, requires_grad=True)


def graph(*arcs: tuple[int, int, object, float], ends: tuple[int, ...] = (2,)) -> Graph:
    return Graph(tuple(Arc(start, end, label, penalty(value)) for start, end, label, value in arcs), frozenset(ends))


def derivative(arc: Arc) -> float:
    return 0.0 if arc.penalty.grad is None else float(arc.penalty.grad)


def paths(of: Graph) -> Iterator[list[Arc]]:
    """All paths, by brute force."""

    def further(node: int, so_far: list[Arc]) -> Iterator[list[Arc]]:
        if node in of.ends:
            yield so_far
        for arc in of.arcs:
            if arc.start == node:
                yield from further(arc.end, [*so_far, arc])

    return further(of.start, [])


def total(path: list[Arc]) -> float:
    return sum(arc.penalty.item() for arc in path)


def test_fig20() -> None:
    """Discriminative Viterbi training with 34 desired: penalties and the derivatives +1, -1 and 0, Fig. 20."""
    interpretation = graph(
        *((0, 1, "3", 0.1), (0, 1, "4", 2.4), (1, 3, "3", 3.4), (1, 3, "4", 0.6), (1, 2, "4", 0.4), (1, 2, "1", 2.3)),
        *((2, 3, "1", 0.1), (2, 3, "4", 1.3)),
        ends=(3,),
    )
    assert e_vit(interpretation, "34").item() == pytest.approx(0.7)
    penalty, path = viterbi(interpretation)
    assert penalty.item() == pytest.approx(0.6) and read(path) == ["3", "4", "1"]
    loss = e_dvit(interpretation, "34")
    torch.autograd.backward(loss)
    assert loss.item() == pytest.approx(0.1)
    assert [derivative(arc) for arc in interpretation.arcs] == [0, 0, 0, 1, -1, 0, -1, 0]


def test_fig28() -> None:
    """A recognition graph and a dictionary: the words of it that can be read, with their penalties."""
    recognition = graph(
        *((0, 1, "c", 0.4), (0, 1, "x", 1.0), (1, 2, "a", 0.2), (1, 2, "u", 0.8), (1, 2, "o", 1.0)),
        *((2, 3, "t", 0.8), (2, 3, "p", 0.2), (2, 3, "d", 1.8)),
        ends=(3,),
    )
    words = ("cut", "cap", "cat", "bar", "barn", "ox")
    arcs = []
    for k, word in enumerate(words):
        nodes = [0, *(100 * (k + 1) + place for place in range(len(word) - 1)), 1]
        arcs += [
            (start, end, letter, 0.0) for letter, (start, end) in zip(word, itertools.pairwise(nodes), strict=True)
        ]
    found = compose(recognition, graph(*arcs, ends=(1,)))
    read_words = {"".join(read(path)): round(total(path), 9) for path in paths(found)}
    assert read_words == {"cut": 2.0, "cap": 0.8, "cat": 1.4}
    # without dead ends: nothing of "x" and "bar", and the letters that words share are only once in the graph
    assert {arc.label for arc in found.arcs} == set("cutap")
    best = viterbi(found)
    assert "".join(read(best[1])) == "cap" and best[0].item() == pytest.approx(0.8)


# --- random graphs ---


def random_graph(seed: int, nodes: int = 6, nulls: bool = True, transduces: bool = False) -> Graph:
    """An acyclic graph with labels a to c; of two ends one is an inner node."""
    draw = np.random.default_rng(seed)
    symbols = [*"abc", NULL] if nulls else [*"abc"]
    arcs = [
        Arc(
            *(start, end, symbols[draw.integers(len(symbols))], penalty(float(draw.normal()))),
            output=symbols[draw.integers(len(symbols))] if transduces else ...,
        )
        for start, end in itertools.combinations(range(nodes), 2)
        for _ in range(draw.integers(0, 3))
    ]
    return Graph(tuple(arcs), frozenset([nodes - 1, nodes - 2]))


@pytest.mark.parametrize("seed", range(6))
def test_viterbi_and_forward_against_brute_force(seed: int) -> None:
    """Penalties and derivatives: 1 on the best path; of the forward penalty, the share of the paths that use an arc."""
    random = random_graph(seed)
    every = [(total(path), path) for path in paths(random)]
    smallest, best = min(every, key=lambda each: each[0])
    found, path = viterbi(random)
    assert path == best and found.item() == pytest.approx(smallest)
    torch.autograd.backward(found)
    assert all(derivative(arc) == (arc in best) for arc in random.arcs)
    for arc in random.arcs:
        arc.penalty.grad = None
    whole = forward(random)
    assert whole.item() == pytest.approx(-np.logaddexp.reduce([-each for each, _ in every]))
    torch.autograd.backward(whole)
    for arc in random.arcs:
        share = sum(np.exp(whole.item() - each) for each, path in every if arc in path)
        assert derivative(arc) == pytest.approx(share)


@pytest.mark.parametrize("seed", range(6))
def test_composition_against_brute_force(seed: int) -> None:
    """A path of the composition for each pair of paths that match, and only one, with both penalties."""
    first, second = random_graph(seed, 5, transduces=True), random_graph(seed + 100, 5, transduces=True)
    pairs = []
    for one, two in itertools.product(paths(first), paths(second)):
        if read(one) == [arc.label for arc in two if arc.label is not NULL]:
            labels = tuple(arc.label for arc in one if arc.label is not NULL)
            pairs.append((labels, tuple(read(two)), round(total(one) + total(two), 9)))
    found = []
    for path in paths(compose(first, second)):
        labels = tuple(arc.label for arc in path if arc.label is not NULL)
        found.append((labels, tuple(read(path)), round(total(path), 9)))
    assert sorted(found) == sorted(pairs)
    assert pairs


@pytest.mark.parametrize("seed", range(4))
def test_beam_search(seed: int) -> None:
    """Wide enough it finds what Viterbi finds in the whole composition; narrower, nothing better."""
    first, second = random_graph(seed, 6), random_graph(seed + 100, 6)
    smallest, path = viterbi(compose(first, second))
    penalty, found = beam(first, second, 100)
    assert penalty == pytest.approx(smallest.item()) and read(found) == read(path)
    for width in (1, 2, 4):
        try:
            assert beam(first, second, width)[0] >= penalty - 1e-9
        except GraphError as error:  # narrow beams may lose all
            assert str(error) == f"no path among the {width} best of each node reaches an end"


@pytest.mark.parametrize("arc_type", ["standard", "log64"])
@pytest.mark.parametrize("seed", range(4))
def test_against_openfst(seed: int, arc_type: str) -> None:
    """Composition and shortest distance, in the tropical semiring (Viterbi) and the log semiring (forward)."""
    fst = pytest.importorskip("pynini", reason="pip install -e '.[transducers]'")

    def theirs(of: Graph) -> object:
        made = fst.Fst(arc_type)
        symbols: dict[object, int] = {NULL: 0, "a": 1, "b": 2, "c": 3}
        made.add_states(1 + max(max(arc.end for arc in of.arcs), *of.ends))
        made.set_start(of.start)
        for end in of.ends:
            made.set_final(end)
        for arc in of.arcs:
            weight = fst.Weight(made.weight_type(), arc.penalty.item())
            made.add_arc(arc.start, fst.Arc(symbols[arc.label], symbols[arc.output], weight, arc.end))
        return made.arcsort("olabel")

    first, second = random_graph(seed, 7, transduces=True), random_graph(seed + 100, 7, transduces=True)
    composed = fst.compose(theirs(first), theirs(second).arcsort("ilabel"))  # type: ignore[attr-defined]
    distance = float(str(fst.shortestdistance(composed, reverse=True, delta=1e-12)[composed.start()]))
    ours = compose(first, second)
    found = viterbi(ours)[0] if arc_type == "standard" else forward(ours)
    # penalties are read as text, and in single precision in the tropical semiring
    assert found.item() == pytest.approx(distance, abs=2e-5)
    assert len(list(paths(ours))) == round(np.exp(-forward(without_penalties(ours)).item()))


def without_penalties(of: Graph) -> Graph:
    return Graph(tuple(Arc(arc.start, arc.end, arc.label) for arc in of.arcs), of.ends)


# --- strings of positions ---


def positions(penalties: Tensor) -> Graph:
    """The SDNN output graph of penalties (T, C): at each position an arc a class."""
    segmentation = Graph(tuple(Arc(t, t + 1, NULL, data=t) for t in range(len(penalties))), frozenset([len(penalties)]))
    return recognised(segmentation, lambda t: penalties[t], range(penalties.shape[1]))


def collapse(classes: int) -> Graph:
    """The transducer of CTC: a class may be repeated, and the last one, the blank, says nothing."""
    blank = classes - 1
    arcs = []
    for state in range(classes):
        arcs += [
            Arc(state, label, label, output=NULL if label in (blank, state) else label) for label in range(classes)
        ]
    return Graph(tuple(arcs), frozenset(range(classes)), start=blank)


@pytest.mark.parametrize("labels", [[0], [0, 1, 0], [1, 1], [2, 1, 1, 0]])
def test_discriminative_forward_is_ctc(labels: list[int]) -> None:
    """On penalties that are minus logarithms of probabilities E_dforw is what is now called the CTC loss."""
    draw = torch.Generator().manual_seed(len(labels))
    scores = torch.randn(7, 4, generator=draw, dtype=torch.float64).log_softmax(1).requires_grad_()
    interpretation = compose(positions(-scores), collapse(4))
    ours = e_dforw(interpretation, labels)
    theirs = torch.nn.functional.ctc_loss(
        scores[:, None],
        torch.tensor([labels]),
        torch.tensor([7]),
        torch.tensor([len(labels)]),
        blank=3,
        reduction="sum",
    )
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-6)
    (mine,) = torch.autograd.grad(ours, scores)
    assert e_forw(interpretation, labels).item() == pytest.approx(ours.item()), "all paths together have a penalty of 0"
    # PyTorch's derivatives go by the sums that softmax was made of, so that a constant is added in each position.
    (its,) = torch.autograd.grad(theirs, scores)
    assert torch.allclose(mine - mine.mean(1, keepdim=True), its - its.mean(1, keepdim=True), atol=1e-6)


def test_losses_are_ordered() -> None:
    """A sum of paths is no worse than the best of them; the discriminative losses cannot be negative."""
    draw = torch.Generator().manual_seed(0)
    interpretation = compose(positions(torch.rand(5, 4, generator=draw, dtype=torch.float64)), collapse(4))
    for labels in ([0], [1, 2], [2, 0, 2]):
        assert e_forw(interpretation, labels) <= e_vit(interpretation, labels)
        assert e_dvit(interpretation, labels) >= 0 and e_dforw(interpretation, labels) > 0
    best = read(viterbi(interpretation)[1])
    assert e_dvit(interpretation, best).item() == 0 and e_dforw(interpretation, best).item() > 0


def test_logadd_does_not_underflow() -> None:
    """Eq. 14 with the smallest penalty taken out."""
    large = torch.tensor([2000.0, 2000.0, 3000.0], dtype=torch.float64)
    assert logadd(large).item() == pytest.approx(2000 - np.log(2))


def test_what_cannot_be_walked() -> None:
    empty = Graph((), frozenset([1]))
    for walk in (viterbi, forward):
        with pytest.raises(GraphError, match=r"^an empty graph$"):
            walk(empty)
        with pytest.raises(GraphError, match=r"^a graph without a path from its start to an end$"):
            walk(graph((1, 2, "a", 0.0)))
        with pytest.raises(GraphError, match=r"^a graph with a circle, through the nodes \[1, 2, 1\]$"):
            walk(graph((0, 1, "a", 0.0), (1, 2, "a", 0.0), (2, 1, "a", 0.0)))
    with pytest.raises(GraphError, match=r"^no path has the labels a b$"):
        selected(graph((0, 2, "a", 0.0)), "ab")
    assert viterbi(linear("ab"))[1] == list(linear("ab").arcs)
    assert not compose(linear("ab"), linear("ac")).ends
