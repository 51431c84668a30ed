"""Heuristic over-segmentation: cuts, pieces, and what is read of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from paper_lenet.commands.composition import compose
from paper_lenet.engines.fused import FusedNet
from paper_lenet.learning.patterns import Patterns
from paper_lenet.network.lenet5 import build
from paper_lenet.network.mlp import MLP
from paper_lenet.network.modern import ModernNet
from paper_lenet.network.paper_net import PaperNet
from paper_lenet.strings.graphs import read, viterbi
from paper_lenet.strings.hos import interpretation_graph, segmentations
from paper_lenet.strings.hos import penalties as penalties_of
from paper_lenet.strings.reading import answers, transducer
from paper_lenet.strings.segmentation import cuts, pieces


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


def test_pieces_of_a_picture_are_read_in_order() -> None:
    """Penalties that say which piece is which: the bars are read one after the other."""
    cut = pieces(TWO_BARS)
    penalties = torch.full((len(cut), 10), 9.0)
    for k, piece in enumerate(cut):
        if piece.end == piece.start + 1:
            penalties[k, piece.start + 1] = 0
    (answer,) = answers(penalties, segmentations([cut]), transducer(None))
    assert answer.digits == (1, 2) and [cut[k].start for k in answer.places] == [0, 1] and answer.penalty == 0
    assert read(viterbi(interpretation_graph(cut, penalties))[1]) == [1, 2]


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("overrides", [[], ["windows=paper"], ["experiment=modern"]])
def test_compiled_outputs_are_those_of_the_network(overrides: list[str], precision: str) -> None:
    """Penalties, or weighted sums, of pieces; of more than are laid out at once."""
    config = compose([*overrides, f"engine.precision={precision}"])
    net = build(config.model, 0)
    assert isinstance(net, PaperNet | ModernNet)
    cut = pieces(TWO_BARS) * 400
    compiled = penalties_of(FusedNet(net, config), cut)
    with torch.no_grad():
        expected = penalties_of(net, cut)
    assert len(cut) > 1000 and torch.allclose(compiled.float(), expected, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(expected[0], expected[1], rtol=1e-4, atol=1e-4)


def test_outputs_of_other_networks_are_refused() -> None:
    config = compose(["model=mlp", "model.hidden=[20]"])
    net = build(config.model, 0)
    assert isinstance(net, MLP)
    patterns = Patterns(np.zeros((2, 28, 28), np.uint8), np.zeros(2, np.int64), np.zeros((0, 6)))
    with pytest.raises(ValueError, match=r"^outputs are given of convolutional networks only"):
        FusedNet(net, config).outputs(patterns, np.arange(2))
