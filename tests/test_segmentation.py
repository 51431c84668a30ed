"""Heuristic over-segmentation: cuts, pieces, and what is read of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from paper_lenet.config import Config, InitConfig, ModelConfig
from paper_lenet.engines.fused import FusedNet
from paper_lenet.network.lenet5 import build
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


def test_a_compiled_network_reads_pieces_as_the_network_does() -> None:
    config = Config(model=ModelConfig(init=InitConfig(gain=1.1)))
    net = build(config.model, 0)
    assert isinstance(net, PaperNet)
    cut = pieces(TWO_BARS)
    compiled = penalties_of(FusedNet(net, config), cut)
    assert torch.allclose(compiled, penalties_of(net, cut), rtol=1e-5)
