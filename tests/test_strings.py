"""Strings: the fast form of graphs against the plain one, pictures of digits, the replicated network, what is read."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from paper_lenet.network.lenet5 import LeNet5
from paper_lenet.strings import lattices
from paper_lenet.strings.characters import CharacterModel
from paper_lenet.strings.digits import HEIGHT, LEVELS, LONGEST, draw
from paper_lenet.strings.graphs import NULL, Arc, Graph, GraphError, compose, e_dforw, forward, linear, read, viterbi
from paper_lenet.strings.lattices import lattice, possible
from paper_lenet.strings.sdnn import edits, output_graph, penalties

MODELS = [CharacterModel(longest, apart) for longest in (1, 2, 3) for apart in (0, 1, 2)]


def random_penalties(count: int, positions: int, classes: int) -> torch.Tensor:
    draw = torch.Generator().manual_seed(positions)
    return (3 * torch.rand(count, positions, classes, generator=draw, dtype=torch.float64)).requires_grad_()


@pytest.mark.parametrize("model", MODELS)
def test_the_fast_form_is_the_plain_one(model: CharacterModel) -> None:
    """Viterbi, forward and discriminative forward penalties, their derivatives and paths, in double precision."""
    classes, lengths, desired = 3, torch.tensor([6, 4, 1]), [[0, 2], [1], [2]]
    found = random_penalties(3, 6, classes + 1)
    transducer = model.transducer(classes)
    every = lattice([transducer], torch.float64)
    selected = lattice([compose(transducer, linear(labels)) for labels in desired], torch.float64)
    best, paths = lattices.viterbi(found, lengths, every)
    discriminative = lattices.forward(found, lengths, selected) - lattices.forward(found, lengths, every)
    assert possible(discriminative).all()
    (fast,) = torch.autograd.grad(discriminative.sum(), found, retain_graph=True)
    (fast_best,) = torch.autograd.grad(best.sum(), found, retain_graph=True)
    for k, labels in enumerate(desired):
        interpretation = compose(output_graph(found[k, : lengths[k]]), transducer)
        plain, path = viterbi(interpretation)
        assert plain.item() == pytest.approx(best[k].item(), abs=1e-12)
        assert [label for _, label in paths[k]] == read(path)
        assert [t for t, _ in paths[k]] == [t for t, arc in enumerate(path) if arc.output is not NULL]
        loss = e_dforw(interpretation, labels)
        assert loss.item() == pytest.approx(discriminative[k].item(), abs=1e-12)
        for ours, theirs in ((loss, fast), (plain, fast_best)):
            (slow,) = torch.autograd.grad(ours, found, retain_graph=True)
            assert torch.allclose(slow[k], theirs[k], atol=1e-12)


def test_an_impossible_string_is_told_and_harms_nobody() -> None:
    """Two characters do not fit on one position."""
    found, transducer = random_penalties(2, 1, 4), CharacterModel().transducer(3)
    of = lattice([compose(transducer, linear(labels)) for labels in ([0, 1], [2])], torch.float64)
    total = lattices.forward(found, torch.tensor([1, 1]), of)
    assert possible(total).tolist() == [False, True]
    (slope,) = torch.autograd.grad(total[possible(total)].sum(), found)
    assert slope.isfinite().all() and slope[0].abs().sum() == 0 and slope[1].sum() == 1
    with pytest.raises(GraphError, match=r"^an arc without a label"):
        lattice([Graph((Arc(0, 1, NULL),), frozenset([1]))])


@pytest.mark.parametrize("model", MODELS)
def test_character_models(model: CharacterModel) -> None:
    """What rows of classes are read as; 9 is the blank."""
    cases = {  # row: what is read if characters are one, two or three positions long at most, and so many blanks apart
        (1,): ([1], 1, 0),
        (9, 1, 9, 1): ([1, 1], 1, 1),
        (1, 9, 9, 2): ([1, 2], 1, 2),
        (1, 1, 9, 2, 2, 2): ([1, 2], 3, 1),
        (1, 1, 2): ([1, 2], 2, 0),
        (9, 9): ([], 1, 0),
    }
    for row, (read_, longest, apart) in cases.items():
        chain = Graph(tuple(Arc(t, t + 1, c) for t, c in enumerate(row)), frozenset([len(row)]))
        found = compose(chain, model.transducer(9))
        assert bool(found.ends) == (model.longest >= longest and (model.apart <= apart or len(read_) < 2))
        if found.ends:
            # one path, so that nothing counts twice
            assert read(viterbi(found)[1]) == read_ and abs(forward(found).item()) < 1e-12


# --- pictures ---


def made() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    images = np.zeros((20, 28, 28), np.uint8)
    images[:, 6:22, 8:20] = random.integers(1, 256, (20, 16, 12))
    return images, random.integers(0, 10, 20)


@pytest.mark.parametrize("name", LEVELS)
def test_strings_of_digits(name: str) -> None:
    images, labels = made()
    strings, again = (draw(images, labels, LEVELS[name], 30, seed=3) for _ in range(2))
    assert strings.digest() == again.digest() != draw(images, labels, LEVELS[name], 30, seed=4).digest()
    assert {len(digits) for digits in strings.labels} == set(range(1, LONGEST + 1))
    for picture, digits in zip(strings.pixels, strings.labels, strict=True):
        assert picture.shape[0] == HEIGHT and picture.shape[1] % 4 == 0 and picture.dtype == np.uint8
        blocks = np.diff((picture > 0).any(0).astype(int), prepend=0) == 1
        assert name != "easy" or blocks.sum() == len(digits)
    x, positions = strings.batch(np.arange(30))
    assert x.shape[3] == 28 + 4 * int(positions.max()) and x.min() >= -0.1001
    narrow = int(positions.argmin())
    assert (x[narrow, 0, :, 28 + 4 * int(positions[narrow]) :] == x.min()).all()


def test_easy_digits_are_those_of_the_images() -> None:
    """At size 1, and where MNIST has them: the first box is the image's, pixel for pixel."""
    images, labels = made()
    strings = draw(images, labels, LEVELS["easy"], 5, seed=0)
    for picture in strings.pixels:
        first = picture[8:24, 14:26]
        assert any(np.array_equal(first, image[6:22, 8:20]) for image in images)


def test_nothing_is_computed_twice_and_nothing_differently() -> None:
    """The replicated network gives what the network gives of each window."""
    net = LeNet5(generator=torch.Generator().manual_seed(0), blank=True).double()
    draw = torch.Generator().manual_seed(1)
    wide = torch.rand(2, 1, 32, 64, generator=draw, dtype=torch.float64)
    found = penalties(net, wide)
    assert found.shape == (2, 9, 11) and penalties(net, wide[..., :32]).shape == (2, 1, 11)
    windows = torch.stack([net(wide[..., 4 * t : 4 * t + 32]) for t in range(9)], 1)
    assert torch.allclose(found, windows, atol=1e-12)


def test_edits() -> None:
    assert [edits(*each) for each in (("", ""), ("12", "12"), ("132", "12"), ("12", "3124"), ("55", "77"))] == [
        0,
        0,
        1,
        2,
        2,
    ]
