"""Heuristic over-segmentation: cuts, pieces, and what is computed of them against graphs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from paper_lenet.strings import hos
from paper_lenet.strings.graphs import e_dforw, e_dvit, e_forw, e_vit, forward, logadd, read, viterbi
from paper_lenet.strings.hos import Segmented, segmented
from paper_lenet.strings.lattices import NEVER
from paper_lenet.strings.segmentation import Piece, cuts, pieces


def drawing(*rows: str) -> np.ndarray:
    """32 rows, the drawing in the middle; # is ink."""
    picture = np.zeros((32, len(rows[0])), np.uint8)
    picture[10 : 10 + len(rows)] = [[255 * (mark == "#") for mark in row] for row in rows]
    return picture


TWO_BARS = drawing(*["..####......####.."] * 6)
# The line from above between the two slides under the upper one's roof; no straight line parts them.
HOOKS = drawing(
    "..#########.......",
    "..#...............",
    "..#...............",
    "..#..#########....",
    "..#..#............",
    "..####............",
)
LEANING = drawing(
    "......####....####",
    ".....####....####.",
    "....####....####..",
    "...####....####...",
    "..####....####....",
)
BRIDGE = drawing("..####......####..", "..####......####..", "..##############..", "..####......####..")


def parts(picture: np.ndarray) -> list[int]:
    """How much ink is between neighbouring cuts."""
    column = np.arange(picture.shape[1])
    return [
        int(((picture > 0) & (column >= a[:, None]) & (column < b[:, None])).sum())
        for a, b in itertools.pairwise(cuts(picture))
    ]


def test_separate_characters_are_parted_where_nothing_is() -> None:
    assert parts(TWO_BARS) == [24, 24]
    assert all(part > 0 for part in parts(LEANING)) and 20 in np.cumsum(parts(LEANING))


def test_a_bridge_is_cut_through() -> None:
    """A line that is caught goes straight through the ink."""
    assert sum(parts(BRIDGE)) == (BRIDGE > 0).sum()
    assert any(abs(total - (BRIDGE > 0).sum() / 2) <= 4 for total in np.cumsum(parts(BRIDGE)))


@pytest.mark.parametrize("picture", [TWO_BARS, HOOKS, LEANING, BRIDGE, np.zeros((32, 40), np.uint8)])
def test_every_path_holds_all_of_the_ink_once(picture: np.ndarray) -> None:
    paths = cuts(picture)
    assert (paths[0] == 0).all() and (paths[-1] == picture.shape[1]).all()
    assert all((a <= b).all() for a, b in itertools.pairwise(paths))
    found = pieces(picture)
    assert {(k, k + 1) for k in range(len(paths) - 1)} <= {(piece.start, piece.end) for piece in found}
    assert sum(int((piece.window > 0).sum()) for piece in found if piece.end == piece.start + 1) == (picture > 0).sum()


def test_a_piece_stands_in_the_middle_of_its_window_at_the_height_that_it_has() -> None:
    first, *_, last = pieces(TWO_BARS)
    for piece in (first, last):
        rows, columns = np.nonzero(piece.window)
        assert (rows.min(), rows.max()) == (10, 15)
        assert (columns.min(), columns.max()) == (14, 17)


# --- penalties of paths ---


def string(nodes: int, seed: int) -> tuple[Segmented, torch.Tensor]:
    window = np.zeros((32, 32), np.uint8)
    spans = [(a, b) for a in range(nodes) for b in range(a + 1, min(a + 3, nodes - 1) + 1)]
    made = Segmented([Piece(a, b, window) for a, b in spans])
    draw = torch.Generator().manual_seed(seed)
    return made, (3 * torch.rand(len(spans), 4, generator=draw, dtype=torch.float64)).requires_grad_()


@pytest.mark.parametrize("labels", [[1, 2], [3, 3, 0], [2, 1, 0, 1]])
def test_against_graphs(labels: list[int]) -> None:
    """Viterbi and forward, of all paths and of those with the labels; derivatives; the answer."""
    made, penalties = string(5, seed=len(labels))
    graph = made.graph(penalties)
    for add, all_paths, with_labels in ((hos.smallest, viterbi(graph)[0], e_vit), (logadd, forward(graph), e_forw)):
        pairs = [
            (hos.every(made, penalties, add), all_paths),
            (hos.desired(made, penalties, labels, add), with_labels(graph, labels)),
        ]
        for fast, plain in pairs:
            assert fast.item() == pytest.approx(plain.item(), abs=1e-12)
            (a,), (b,) = (torch.autograd.grad(each, penalties, retain_graph=True) for each in (fast, plain))
            assert torch.allclose(a, b, atol=1e-12)
    for add, loss in ((hos.smallest, e_dvit), (logadd, e_dforw)):
        fast = hos.desired(made, penalties, labels, add) - hos.every(made, penalties, add)
        assert fast.item() == pytest.approx(loss(graph, labels).item(), abs=1e-12)
    penalty, digits, where = hos.read(made, penalties.detach())
    best, path = viterbi(graph)
    assert penalty == pytest.approx(best.item()) and digits == read(path)
    assert [(piece.start, piece.end) for piece in where] == [(arc.start, arc.end) for arc in path]


def test_more_labels_than_pieces_is_impossible() -> None:
    made, penalties = string(3, seed=0)
    found = hos.desired(made, penalties, [0, 1, 2], logadd)
    assert found.item() > NEVER / 2
    (slope,) = torch.autograd.grad(found, penalties)
    assert slope.isfinite().all()


def test_pieces_of_a_picture_are_read_in_order() -> None:
    """Penalties that say which piece is which: the bars are read one after the other."""
    made = segmented(TWO_BARS)
    penalties = torch.full((len(made.pieces), 4), 9.0)
    for k, piece in enumerate(made.pieces):
        if piece.end == piece.start + 1:
            penalties[k, piece.start + 1] = 0
    assert hos.read(made, penalties)[1] == [1, 2]
