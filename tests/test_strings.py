"""Strings: the fast form of graphs against the plain one, pictures of digits, the replicated network, what is read."""

from __future__ import annotations

import dataclasses
import functools
import importlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from synthetic_runs import call, clean_tree

from paper_lenet.commands import entry
from paper_lenet.data import mnist_at_hand
from paper_lenet.files import read_rows
from paper_lenet.network.lenet5 import LeNet5
from paper_lenet.reporting.tables.strings import COLUMNS, PRINTED_COLUMNS
from paper_lenet.strings import digits, hos, lattices, training
from paper_lenet.strings.characters import CharacterModel
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
    linear,
    read,
    viterbi,
)
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


# --- the command ---


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Runs that learned windows, and the front of 1998: every level, both splits, the paper's strings; once each."""
    clean_tree(monkeypatch)
    monkeypatch.chdir(tmp_path)
    few = ["data=digits", "data.train_size=30", "data.test_size=40", "optim.passes=1", "optim.hessian_samples=5"]
    held_out, learned = "data.validation=40", "windows=paper"
    for name, more in (
        ("a", [held_out, learned, "seeds=[0,1]"]),
        ("a", [held_out, "seeds=[0,1]"]),
        ("b", [held_out, "change=relu", "seeds=[0]"]),
        ("c", [learned, "seeds=[0]"]),
        ("d", [held_out, "seeds=[0]"]),
    ):
        assert call(monkeypatch, "train", *few, *more, f"name={name}") == 0
    capsys.readouterr()
    command = importlib.import_module("paper_lenet.commands.strings")
    monkeypatch.setattr(command, "ProcessPoolExecutor", lambda *_: ThreadPoolExecutor(1))
    monkeypatch.setattr(command, "MODELS", MODELS[4:6])
    short = functools.partial(training.Recipe, passes=1, strings=8, batch=4)
    for tries, of in (("SDNN_TRIES", MODELS[7]), ("HOS_TRIES", None)):
        monkeypatch.setattr(
            command, tries, [short(loss, of, rate) for loss in training.LOSSES for rate in (1e-4, 1e-3)]
        )
    monkeypatch.setattr(digits, "COUNTS", {"test": 6, "validation": 4})

    def read_with(name: str) -> int:
        monkeypatch.setattr("sys.argv", ["strings", name, "--results", "r"])
        return entry.run("strings")

    assert read_with("a") == 0
    rows = read_rows(Path("r/strings.csv"), COLUMNS)
    # Of each level: two runs with either front, two models and the one chosen; four losses with two rates each, and
    # with the one chosen, codes that stay and codes that learn; the same of two runs on single digits.
    assert len(rows) == len(LEVELS) * 2 * (3 + 1 + 4 * (2 + 2) + 1 + 4 * (2 + 2))
    assert {row["strings"] for row in rows if row["split"] == "test"} == {"6"}
    of_losses = {row["training"] for row in rows if (row["longest"], row["apart"]) == ("3", "1")}
    assert of_losses == {*training.LOSSES}
    printed_rows = read_rows(Path("r/strings-printed.csv"), PRINTED_COLUMNS)
    assert [row["of"] for row in printed_rows[:5]] == ["2345", "540", "1114", "678", "3514"]
    assert all(len(row["positions"]) == 9 * ("HOS" not in row["system"]) for row in printed_rows)
    assert len(printed_rows) == 5 * 2 * (2 + 4 * 2 + 1 + 4 * 2)
    assert "| SDNN, front of 1998 | characters | 2 | " in Path("r/tables/strings.md").read_text(encoding="utf-8")
    assert "| SDNN, codes learn | E_dvit | " in Path("r/tables/strings-training.md").read_text(encoding="utf-8")
    assert "| Fig. 25: 2345 | " in Path("r/tables/strings-printed.md").read_text(encoding="utf-8")
    capsys.readouterr()
    assert read_with("a") == 0
    assert "validation" not in capsys.readouterr().out
    for name, message in (
        ("none", "outputs/none: no finished runs here"),
        ("b", "not a run of LeNet-5 as in 1998"),
        ("d", "no runs that learned windows"),
        ("c", "data.validation=0, so that no images are left to choose the character model on"),
    ):
        assert read_with(name) == 1
        error = capsys.readouterr().err
        assert error.startswith("strings: outputs/") and message in error and error.count("\n") == 1


# --- training on whole strings ---


@pytest.mark.parametrize("name", training.LOSSES)
def test_losses_of_strings(name: str) -> None:
    """Those of `graphs`, Eq. 11, 12 and 17, and their derivatives by the penalties."""
    of_graphs = {"E_vit": e_vit, "E_dvit": e_dvit, "E_forw": e_forw, "E_dforw": e_dforw}
    model, lengths, labels = CharacterModel(2, 1), torch.tensor([5, 3]), [[1, 0], [2]]
    found = random_penalties(2, 5, 4)
    transducer = model.transducer(3)
    desired = lattice([compose(transducer, linear(of)) for of in labels], torch.float64)
    fast = training.losses(name, found, lengths, desired, lattice([transducer], torch.float64))
    (slope,) = torch.autograd.grad(fast.sum(), found)
    for k, of in enumerate(labels):
        plain = of_graphs[name](compose(output_graph(found[k, : lengths[k]]), transducer), of)
        assert plain.item() == pytest.approx(fast[k].item(), abs=1e-12)
        (slow,) = torch.autograd.grad(plain, found)
        assert torch.allclose(slow[k], slope[k], atol=1e-12)


@pytest.mark.parametrize("name", training.LOSSES)
def test_losses_of_pieces(name: str) -> None:
    """Those of `graphs` on the interpretation graph of pieces."""
    of_graphs = {"E_vit": e_vit, "E_dvit": e_dvit, "E_forw": e_forw, "E_dforw": e_dforw}
    images, labels = made()
    cut = [hos.segmented(picture) for picture in draw(images, labels, LEVELS["touching"], 3, seed=1).pixels]
    # as many labels as there are pieces, and one fewer
    wanted = [[k % 3 for k in range(string.nodes() - 1 - (at > 0))] for at, string in enumerate(cut)]
    penalties_ = [torch.rand(len(of.pieces), 3, dtype=torch.float64) for of in cut]
    fast = training.losses_of_pieces(name, penalties_, cut, wanted)
    for found, string, of, these in zip(fast, cut, penalties_, wanted, strict=True):
        assert of_graphs[name](string.graph(of), these).item() == pytest.approx(found.item(), abs=1e-12)


@pytest.mark.parametrize("centres", [False, True])
@pytest.mark.parametrize("model", [CharacterModel(4, 0), None])
def test_training_on_strings(model: CharacterModel | None, centres: bool) -> None:
    """The loss falls; the bitmaps stay unless they may learn; what no path fits is left out and told."""
    images, labels = made()
    images[::2, 6:22, 8:20] //= 4
    labels = np.arange(20) % 2
    net = LeNet5(generator=torch.Generator().manual_seed(0), blank=True, rbf_factor=0.5)
    codes = net.output.centres.clone()
    recipe = training.Recipe("E_dforw", model, 1e-3, centres, passes=3, strings=40, batch=10)
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
