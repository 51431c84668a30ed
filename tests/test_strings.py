"""Strings: the fast form of graphs against the plain one, pictures of digits, the replicated network, what is read."""

from __future__ import annotations

import dataclasses
import importlib
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from synthetic_runs import clean_tree, train_here
from torch.nn import functional as F

from paper_lenet.commands import entry
from paper_lenet.config import ModelConfig
from paper_lenet.data import mnist_at_hand
from paper_lenet.files import read_rows
from paper_lenet.network.lenet5 import LeNet5, build
from paper_lenet.reporting.tables.strings import COLUMNS, CRNN_TODAY, HOS, PRINTED_COLUMNS, REJECTION_COLUMNS, SIGMOIDS
from paper_lenet.strings import digits, lattices, training
from paper_lenet.strings.characters import CharacterModel, one_each
from paper_lenet.strings.digits import HEIGHT, LEVELS, LONGEST, draw
from paper_lenet.strings.graphs import (
    NULL,
    Arc,
    Graph,
    GraphError,
    compose,
    e_dforw,
    e_dvit,
    e_forw,
    e_vit,
    forward,
    read,
    recognised,
    viterbi,
)
from paper_lenet.strings.lattices import Segmentations, Transducer, possible
from paper_lenet.strings.rejection import read_at
from paper_lenet.strings.sdnn import edits, penalties

MODELS = [CharacterModel(longest, apart) for longest in (1, 2, 3) for apart in (0, 1, 2)]


def random_penalties(count: int, positions: int, classes: int) -> torch.Tensor:
    draw = torch.Generator().manual_seed(positions)
    return (3 * torch.rand(count, positions, classes, generator=draw, dtype=torch.float64)).requires_grad_()


def cut_in_many_ways() -> Segmentations:
    """Three segmentation graphs: a row, one with pieces that skip nodes, and a single piece."""
    graphs = [[(0, 1), (1, 2), (2, 3), (3, 4)], [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)], [(0, 1)]]
    start, end = np.array([piece for of in graphs for piece in of]).T
    return Segmentations(start.copy(), end.copy(), np.array([0, 4, 10, 11]))


def plain(pieces: Segmentations, k: int, of: torch.Tensor) -> Graph:
    """The interpretation graph of one of the strings, of penalties (P, C) of its own pieces."""
    part = slice(pieces.first[k], pieces.first[k + 1])
    arcs = zip(pieces.start[part].tolist(), pieces.end[part].tolist(), strict=True)
    segmentation = Graph(
        tuple(Arc(*nodes, NULL, data=at) for at, nodes in enumerate(arcs)), frozenset([int(pieces.end[part].max())])
    )
    return recognised(segmentation, lambda at: of[at], range(of.shape[1]))


OF_GRAPHS = {"E_vit": e_vit, "E_dvit": e_dvit, "E_forw": e_forw, "E_dforw": e_dforw}


@pytest.mark.parametrize(
    "model", [*(model.transducer(3) for model in MODELS), CharacterModel(None, 0).transducer(3), one_each(3)]
)
def test_the_fast_form_is_the_plain_one(model: Graph) -> None:
    """All losses, their derivatives, the penalties of Viterbi and its path, in double precision."""
    pieces, desired = cut_in_many_ways(), [[0, 2], [1], [2]]
    found, fast = random_penalties(1, 11, 4)[0].detach().requires_grad_(), Transducer.of(model)
    best, paths = lattices.viterbi(found, pieces, fast)
    for name, of_graph in OF_GRAPHS.items():
        losses = training.losses(name, found, pieces, fast, desired)
        fits = possible(losses)
        (slopes,) = torch.autograd.grad(losses[fits].sum(), found)
        for k, labels in enumerate(desired):
            part = slice(pieces.first[k], pieces.first[k + 1])
            own = found[part].detach().requires_grad_()
            interpretation = compose(plain(pieces, k, own), model)
            penalty, path = viterbi(interpretation)
            assert penalty.item() == pytest.approx(best[k], abs=1e-12)
            assert [label for _, label in paths[k]] == read(path)
            if fits[k]:
                loss = of_graph(interpretation, labels)
                assert loss.item() == pytest.approx(losses[k].item(), abs=1e-12)
                (slow,) = torch.autograd.grad(loss, own)
                assert torch.allclose(slow, slopes[part], atol=1e-12)
            else:
                with pytest.raises(GraphError, match=r"^no path has the labels"):
                    of_graph(interpretation, labels)
                assert not slopes[part].any()


def test_with_probabilities_and_any_number_of_positions_it_is_ctc() -> None:
    """PyTorch's, and its derivatives, to 1e-6 and better."""
    lengths, desired = [9, 7, 5], [[1, 1, 2], [0, 2], [2]]
    sums = torch.randn(3, 9, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    probabilities = F.log_softmax(sums, 2)
    theirs = F.ctc_loss(
        probabilities.mT.permute(2, 0, 1), torch.tensor([label for of in desired for label in of]),
        torch.tensor(lengths), torch.tensor([3, 2, 1]), blank=3, reduction="none",
    )  # fmt: skip
    of = torch.cat([-probabilities[k, :length] for k, length in enumerate(lengths)])
    model = Transducer.of(CharacterModel(None, 0).transducer(3))
    ours = training.losses("E_dforw", of, lattices.rows(lengths), model, desired)
    assert torch.allclose(ours, theirs, atol=1e-9)
    for one, other in zip(
        torch.autograd.grad(ours.sum(), sums, retain_graph=True), torch.autograd.grad(theirs.sum(), sums), strict=True
    ):
        assert torch.allclose(one, other, atol=1e-9)


def test_what_cannot_be_read_is_told_and_harms_nobody() -> None:
    """Two characters do not fit on one position."""
    found, model = random_penalties(1, 2, 4)[0].detach().requires_grad_(), Transducer.of(CharacterModel().transducer(3))
    pieces = lattices.rows([1, 1])
    total = lattices.penalties(found, pieces, model, True, [[0, 1], [2]])
    assert possible(total).tolist() == [False, True]
    (slope,) = torch.autograd.grad(total[possible(total)].sum(), found)
    assert slope.isfinite().all() and slope[0].abs().sum() == 0 and slope[1].sum() == 1
    with pytest.raises(GraphError, match=r"^an arc without a label"):
        Transducer.of(Graph((Arc(0, 1, NULL),), frozenset([1])))
    for call_, message in (
        (
            lambda: lattices.penalties(found, pieces, model, True, [[7], [2]]),
            "7: a label that the model lacks; it has 0 1 2",
        ),
        (
            lambda: lattices.penalties(found, lattices.rows([2, 0]), model, True),
            "an empty graph: a string without pieces",
        ),
        (
            lambda: lattices.viterbi(found[:, :3], pieces, model),
            "class 3: the penalties are those of 3 classes, from 0",
        ),
    ):
        with pytest.raises(GraphError, match=f"^{re.escape(message)}$"):
            call_()


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
    assert {len(of) for of in strings.labels} == set(range(1, LONGEST + 1))
    for picture, of in zip(strings.pixels, strings.labels, strict=True):
        assert picture.shape[0] == HEIGHT and picture.shape[1] % 4 == 0 and picture.dtype == np.uint8
        blocks = np.diff((picture > 0).any(0).astype(int), prepend=0) == 1
        assert name != "easy" or blocks.sum() == len(of)
    x, positions = strings.batch(np.arange(30))
    assert x.shape[3] == 28 + 4 * int(positions.max()) and x.min() >= -0.1001
    narrow = int(positions.argmin())
    assert (x[narrow, 0, :, 28 + 4 * int(positions[narrow]) :] == x.min()).all()


# The first digits of SHA-256 of all 2,000 strings of each level that is tested on: whoever measures has the same.
DIGESTS = {
    "easy": "344ea0172622bb11",
    "touching": "607439d325dd9097",
    "overlapping": "27403a3921d3629a",
    "noisy": "ac62a78793c5ad16",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LEVELS)
def test_the_strings_that_are_tested_on(name: str) -> None:
    data = mnist_at_hand()
    if data is None:
        pytest.skip("needs MNIST")
    strings = digits.of_split(data.test_images, data.test_labels, name, "test")
    assert len(strings) == 2000 and strings.digest().startswith(DIGESTS[name])


def test_easy_digits_are_those_of_the_images() -> None:
    """At size 1, and where MNIST has them: the first box is the image's, pixel for pixel."""
    images, labels = made()
    strings = draw(images, labels, LEVELS["easy"], 5, seed=0)
    for picture in strings.pixels:
        first = picture[8:24, 14:26]
        assert any(np.array_equal(first, image[6:22, 8:20]) for image in images)


@pytest.mark.parametrize(
    "model",
    [
        ModelConfig(blank=True),
        ModelConfig(blank=True, activation="relu", pooling="max_pool", table="full", output="linear"),
        ModelConfig(blank=True, activation="tanh", pooling="average", output="rbf"),
    ],
)
def test_nothing_is_computed_twice_and_nothing_differently(model: ModelConfig) -> None:
    """The replicated network gives what the network gives of each window; of today's, as probabilities."""
    net = build(model, 0).double()
    draw = torch.Generator().manual_seed(1)
    wide = torch.rand(2, 1, 32, 64, generator=draw, dtype=torch.float64)
    found = penalties(net, wide)
    assert found.shape == (2, 9, 11) and penalties(net, wide[..., :32]).shape == (2, 1, 11)
    windows = torch.stack([net(wide[..., 4 * t : 4 * t + 32]) for t in range(9)], 1)
    if model.output == "linear":
        windows = -F.log_softmax(windows, 2)
    assert torch.allclose(found, windows, atol=1e-12)


def test_edits() -> None:
    assert [edits(*each) for each in (("", ""), ("12", "12"), ("132", "12"), ("12", "3124"), ("55", "77"))] == [
        0,
        0,
        1,
        2,
        2,
    ]


# --- the command ---


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Runs that learned windows, and the front of 1998: every level, both splits, the paper's strings; once each."""
    clean_tree(monkeypatch)
    monkeypatch.chdir(tmp_path)
    few = ["data=digits", "data.train_size=30", "data.test_size=40", "optim.passes=1"]
    of_1998 = [*few, "optim.hessian_samples=5"]
    held_out, learned = "data.validation=40", "windows=paper"
    for name, more in (
        ("a", [*of_1998, held_out, learned, "seeds=[0,1]"]),
        ("a", [*of_1998, held_out, "seeds=[0,1]"]),
        ("m", [*few, "experiment=modern", "data.input=paper", held_out, learned, "seeds=[0,1]"]),
        ("b", [*of_1998, held_out, "change=relu", "seeds=[0]"]),
        ("c", [*of_1998, learned, "seeds=[0]"]),
        ("d", [*of_1998, held_out, "seeds=[0]"]),
        ("e", [*few, "experiment=modern", "data.input=paper", held_out, "seeds=[0]"]),
    ):
        assert train_here(monkeypatch, *more, f"name={name}") == 0
    capsys.readouterr()
    command = importlib.import_module("paper_lenet.commands.strings")
    monkeypatch.setattr(command, "processes", lambda: ThreadPoolExecutor(1))
    monkeypatch.setattr(command, "MODELS", MODELS[4:6])
    monkeypatch.setattr(command, "APART", MODELS[7:9])
    short = {
        start: [
            dataclasses.replace(how, passes=1, strings=8, batch=4)
            for how in recipes
            if how.rate in (3e-3, 1e-2, 1e-4) or start == SIGMOIDS
        ]
        for start, recipes in command.LEARNING.items()
    }
    monkeypatch.setattr(command, "LEARNING", short)
    monkeypatch.setattr(digits, "COUNTS", {"test": 6, "validation": 4})

    def read_with(*names: str) -> int:
        monkeypatch.setattr("sys.argv", ["strings", *names, "--results", "r"])
        return entry.run("strings")

    assert read_with("a", "m") == 0
    rows = read_rows(Path("r/strings.csv"), COLUMNS)
    # Of each level and of two runs: two models of the SDNN and of today's, and the one chosen, with either front; four
    # losses with two rates each and one more model, SDLM with one, and with the one chosen, codes that stay and, but by
    # SDLM, codes that learn; HOS, and four losses, with codes that stay and that learn; today's by three losses with
    # two rates each; CTC of CRNNs; four losses with sigmoids.
    # One network only tries the rates of HOS, CRNNs and sigmoids.
    sdnn = 2 + 1 + 1 + 4 * (2 + 1 + 2) + (1 + 1 + 1)
    of_two, of_one = sdnn + 1 + 4 * 2 + 2 + 1 + 3 * (2 + 1) + 1 + 4, 4 * 2 + 2 + 4
    assert len(rows) == len(LEVELS) * (2 * of_two + of_one)
    assert {row["strings"] for row in rows if row["split"] == "test"} == {"6"}
    tested = [row for row in rows if row["split"] == "test"]
    rejections = read_rows(Path("r/strings-rejection.csv"), REJECTION_COLUMNS)
    assert len(rejections) == 2 * len(tested) and {row["by"] for row in rejections} == {"penalty", "probability"}
    printed_rows = read_rows(Path("r/strings-printed.csv"), PRINTED_COLUMNS)
    assert [row["of"] for row in printed_rows[:5]] == ["2345", "540", "1114", "678", "3514"]
    assert all(
        len(row["positions"]) == 9 * (not row["system"].startswith((HOS, SIGMOIDS, CRNN_TODAY))) for row in printed_rows
    )
    assert len(printed_rows) == 5 * len(tested) // len(LEVELS)
    for table, row in (
        ("strings", "SDNN, front of 1998 | characters | 2 | "),
        ("strings", "CRNN | CTC | any | 0 | "),
        ("strings-training", "SDNN, codes learn | E_dvit | "),
        ("strings-training", "SDNN | E_dforw, SDLM | 0.0001 | "),
        ("strings-training", "HOS, codes learn | E_forw | "),
        ("strings-training", "LeNet of today | E_dvit | "),
        ("strings-training", "LeNet of today, sigmoids | E_vit | "),
        ("strings-against", "SDNN, E_dforw | HOS, E_dforw | "),
        ("strings-rejection", "HOS | E_vit | "),
        ("strings-printed", "Fig. 25: 2345 | "),
    ):
        assert f"| {row}" in Path(f"r/tables/{table}.md").read_text(encoding="utf-8")
    capsys.readouterr()
    assert read_with("a", "m") == 0
    assert "networks" not in capsys.readouterr().out
    for name, message in (
        ("none", "outputs/none: no finished runs here"),
        ("b", "neither a run of LeNet-5 as in 1998 nor one of today's, on its input"),
        ("e", "a run of today's that did not learn windows"),
        ("d", "no runs that learned windows"),
        ("c", "data.validation=0, so that no images are left to choose the character model on"),
    ):
        assert read_with(name) == 1
        error = capsys.readouterr().err
        assert error.startswith("strings: outputs/") and message in error and error.count("\n") == 1


def test_how_much_is_read_where_little_may_be_wrong() -> None:
    sure, right = np.array([0.9, 0.8, 0.8, 0.5, 0.1]), np.array([True, True, False, True, False])
    assert read_at(sure, right, (0, 19.9, 20, 40)) == [20.0, 20.0, 60.0, 60.0]
    assert read_at(sure, ~right, (0, 20, 100)) == [0.0, 0.0, 40.0]


# --- training on whole strings ---


@pytest.mark.parametrize("centres", [False, True])
@pytest.mark.parametrize("model", [CharacterModel(4, 0), None])
def test_training_on_strings(model: CharacterModel | None, centres: bool) -> None:
    """The loss falls; the bitmaps stay unless they may learn; what no path fits is left out and told."""
    images, labels = made()
    images[::2, 6:22, 8:20] //= 4
    labels = np.arange(20) % 2
    net = LeNet5(generator=torch.Generator().manual_seed(0), blank=True, rbf_factor=0.5)
    codes = net.output.centres.clone()
    recipe = training.Recipe("E_dforw", model, 1e-3, centres=centres, passes=3, strings=40, batch=10)
    passes = list(training.train(net, images, labels, recipe, seed=0))
    means = [mean for mean, _ in passes]
    assert means[2] < means[0] and np.isfinite(means).all()
    assert torch.equal(net.output.centres, codes) != centres
    assert passes[0][1] == [] or model is None
    # with so many blanks between them, no two digits fit
    apart = dataclasses.replace(recipe, model=CharacterModel(1, 30))
    (_, impossible), *_ = training.train(net, images, labels, apart, seed=0)
    assert impossible and all(len(of) > 1 for of in impossible)
    assert all(p.isfinite().all() for p in net.parameters())


def test_strings_of_like_width_come_together() -> None:
    images, labels = made()
    strings = training.mixed(images, labels, training.Recipe("E_vit", None, 0.0, strings=200), seed=0)
    chosen = list(training.batches(strings, 20, np.random.default_rng(0)))
    assert sorted(np.concatenate(chosen)) == list(range(200))
    spread = [np.ptp([strings.pixels[k].shape[1] for k in batch]) for batch in chosen]
    assert np.median(spread) < 40 < np.ptp([picture.shape[1] for picture in strings.pixels])
