"""The tables and figures of Figs. 9 to 12, from made-up rows; and the command that makes rows."""

from __future__ import annotations

import math
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from synthetic_runs import ROOT

from paper_lenet import paper
from paper_lenet.classifiers.fitted import Classifier
from paper_lenet.classifiers.measures import COLUMNS
from paper_lenet.classifiers.systems import all_classifiers
from paper_lenet.commands import entry
from paper_lenet.files import csv_text
from paper_lenet.reporting.figures import common
from paper_lenet.reporting.figures.comparison import COMPARED, compared, rejects
from paper_lenet.reporting.results import TableError
from paper_lenet.reporting.tables import comparison as comparison_module
from paper_lenet.reporting.tables.comparison import (
    ERROR,
    Line,
    choice,
    comparison,
    comparison_runs,
    costs,
    guesses,
    judgement,
    lines,
    variants,
)
from paper_lenet.runs.environment import ORIGIN

HERE: dict[str, Any] = {key: "x" for key in ORIGIN} | {"commit": "c0ffee" * 6, "dirty": False, "date": "2026-11-22T00"}


def row(classifier: str, seed: int, wrong: list[int], **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "classifier": classifier, "dataset": "mnist", "split": "test", "fingerprint": f"of {classifier}", "seed": seed,
        "train_size": 60_000, "test_size": 10_000, "errors": len(wrong), "error_percent": len(wrong) / 100,
        "reject_percent": 2.5, "multiply_adds": 7840, "variables": 7850, "train_seconds": 3.0, "microseconds": 12.0,
        "wrong": " ".join(map(str, wrong)), "rejected_before": " ".join(map(str, wrong)),
    }  # fmt: skip
    return {**found, **HERE, **more}


def results_of(tmp_path: Path, rows: list[dict[str, Any]], name: str = "comparison") -> Path:
    (tmp_path / "runs").mkdir(exist_ok=True)
    (tmp_path / "runs" / f"{name}.csv").write_text(csv_text(COLUMNS, rows), encoding="utf-8")
    return tmp_path


@pytest.fixture
def results(tmp_path: Path) -> Path:
    nets = [row("lenet-5", seed, list(range(seed, seed + 95))) for seed in range(3)]
    linear = [row("linear", 0, list(range(1190)), settings="squashed=True")]
    other = [row("linear, sums not squashed", 0, list(range(1400)))]
    return results_of(tmp_path, nets + linear + other)


def test_table(results: Path) -> None:
    table = comparison(results)
    rows = {cells[0]: dict(zip(table.header, cells, strict=True)) for cells in table.rows}
    assert list(rows) == list(paper.fig9_to_12()["classifier"])
    linear = rows["linear"]
    assert (linear["paper, %"], linear["test error, mean ± std, %"], linear["n"]) == ("12", "11.900", "1")
    assert linear["verdict"] == "reproduced" and linear["z"] == "-"
    assert rows["lenet-5"]["test error, mean ± std, %"] == "0.950 ± 0.000"
    assert (rows["lenet-5"]["verdict"], rows["lenet-5"]["p by Holm"]) == ("no verdict", "-")
    assert rows["lenet-4"]["verdict"] == "not run"
    assert "1 of 27 are reproduced, 0 are not, 1 have too few runs, 25 were not run." in table.notes[0]
    assert table.markdown() and table.latex() and table.csv()


def test_differences_are_paired_by_seed(tmp_path: Path) -> None:
    """Of what leaves nothing to chance, with each seed of LeNet-5; p is corrected for all rows."""
    nets = [row("lenet-5", seed, list(range(90 + 2 * seed))) for seed in range(3)]
    other = [row("lenet-4", seed, list(range(74 + 4 * seed))) for seed in (2, 1)]
    table = comparison(results_of(tmp_path, [*nets, *other, row("linear", 0, list(range(1192)))]))
    rows = {cells[0]: dict(zip(table.header, cells, strict=True)) for cells in table.rows}
    # -0.12 and -0.14; 12.706 times 0.01. 11.92 less 0.90, 0.92 and 0.94; 4.303 times 0.02 / sqrt(3).
    shown = ("minus lenet-5, points", "its 95 % interval")
    assert [rows["lenet-4"][column] for column in shown] == ["-0.13", "-0.26 to -0.00"]
    assert [rows["linear"][column] for column in shown] == ["+11.00", "+10.95 to +11.05"]
    p = {name: float(rows[name]["p by Holm"]) for name in ("lenet-4", "linear")}
    assert p["lenet-4"] == pytest.approx(2 / math.pi * math.atan(0.01 / 0.13), rel=0.02)  # one degree of freedom
    assert p["linear"] < 1e-5


def test_fewer_images(tmp_path: Path) -> None:
    """What was shown the first 500 images says what the main row has wrong of them."""
    main, few = "16x16 tangent distance", "16x16 tangent distance, no prefilter, 500 images"
    rows = [row(main, 0, [3, 70, 499, 500, 800]), row(few, 0, [3, 71], test_size=500, error_percent=0.4)]
    table = variants(results_of(tmp_path, [row("lenet-5", 0, [1]), *rows]))
    ((_, printed, error, *_),) = table.rows
    assert (printed, error) == ("-", "0.400")
    assert f"{few}: 2 of 500 are wrong, of the same images by `{main}` 3; 1 are wrong by both." in table.notes
    with pytest.raises(TableError, match="test images"):
        comparison(results_of(tmp_path, [row("lenet-5", 0, [1]), rows[0] | {"test_size": 500}]))


def test_costs(results: Path) -> None:
    table = costs(results)
    assert [cells[0] for cells in table.rows] == ["linear", "linear, sums not squashed", "lenet-5"]
    assert table.rows[0][1:5] == ["4", "7.8", "4", "7.8"]
    assert table.rows[1][1] == "-"


@pytest.mark.parametrize(
    ("name", "errors", "theirs", "expected"),
    [
        ("linear", [], 1.0, "not run"),
        ("linear", [1.0], 1.1, "reproduced"),
        ("linear", [1.0], 1.11, "not reproduced"),
        ("linear", [12.0], 11.8, "not reproduced"),
        ("lenet-4", [1.0, 1.4, 0.6, 1.2, 0.8], 1.9, "reproduced (n < 10)"),
        ("lenet-4", [1.0, 1.4, 0.6, 1.2, 0.8], 2.0, "not reproduced (n < 10)"),
        ("lenet-4", [1.0, 1.4, 0.6, 1.2], 1.0, "no verdict"),
        ("lenet-4", [1.0, 1.4, 0.6, 1.2, 0.8] * 2, 1.7, "reproduced"),
    ],
)
def test_verdict(name: str, errors: list[float], theirs: float, expected: str) -> None:
    (classifier,) = (each for each in all_classifiers() if each.key == name)
    line = Line(classifier, {ERROR: theirs}, pd.DataFrame({"error_percent": errors}))
    assert judgement(line)[-1] == expected


def test_guesses_are_judged_by_all_that_they_are_about(tmp_path: Path) -> None:
    """Black and white brings the neighbours to the paper's 5 %, and takes the linear classifier from its 12 %."""
    wrong = {"knn euclidean": 283, "knn euclidean, black and white": 499}
    wrong |= {"knn euclidean, black and white, box in the middle": 700}
    wrong |= {"linear": 1200, "linear, black and white": 1300, "linear, sums not squashed": 1400}
    results = results_of(tmp_path, [row("lenet-5", 0, [1]), *(row(key, 0, list(range(n))) for key, n in wrong.items())])
    rows = {cells[0]: cells[1:] for cells in guesses(results).rows}
    without = math.sqrt(math.log(2.83 / 5) ** 2 / 2)
    with_ = math.sqrt((math.log(4.99 / 5) ** 2 + math.log(13 / 12) ** 2) / 2)
    assert rows["black and white"] == ["2", "1", f"{without:.3f}", f"{with_:.3f}", "1", "1"]
    assert rows["black and white, box in the middle"] == ["1", "1", "0.569", "0.336", "0", "0"]
    verdicts = {cells[0]: (cells[1], cells[-2]) for cells in variants(results).rows}
    assert verdicts["linear, sums not squashed"] == ("-", "-")
    assert verdicts["linear, black and white"] == ("12", "not reproduced")


def test_classifier_that_the_paper_has_not(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has rows with nothing published, and a bar of its own in each figure."""
    more = [*all_classifiers(), Classifier("forest"), Classifier("never run")]
    monkeypatch.setattr(comparison_module, "all_classifiers", lambda: more)
    monkeypatch.setitem(common.STYLE, "svg.fonttype", "none")
    rows = [row("lenet-5", 0, list(range(95))), row("forest", 0, list(range(300)))]
    made = comparison(results_of(results, rows))
    cells = dict(zip(made.header, made.rows[-1], strict=True))
    assert (cells[""], cells["paper, %"], cells["test error, mean ± std, %"], cells["verdict"]) == (
        "forest", "-", "3.000", "-",
    )  # fmt: skip
    assert "26 were not run" in made.notes[0]
    assert costs(results).rows[-1][:5] == ["forest", "-", "7.8", "-", "7.8"]
    for name in COMPARED:
        svg = compared(results, name)[results / "figures" / f"{name}.svg"].decode()
        assert ">forest<" in svg and "never run" not in svg and "nan" not in svg, name


@pytest.mark.parametrize("name", COMPARED)
def test_figures(results: Path, name: str) -> None:
    if name == "fig10":
        with pytest.raises(TableError, match="fig10"):  # neither classifier is in it
            compared(results, name)
        return
    files = compared(results, name)
    assert {path.name for path in files} == {f"{name}.svg", f"{name}.png"}
    assert files == compared(results, name)


def test_rejects(results: Path, tmp_path: Path) -> None:
    with pytest.raises(TableError, match="rejects"):
        rejects(results)
    files = rejects(results_of(tmp_path, [row("lenet-5", 0, [1]), row("lenet-4", 0, list(range(110)))]))
    assert {path.name for path in files} == {"rejects.svg", "rejects.png"}
    assert b"lenet-4" in files[tmp_path / "figures" / "rejects.svg"]


@pytest.mark.parametrize(
    ("wrong", "culprit"),
    [
        ({"classifier": "lenet-6"}, "lenet-6"),
        ({"errors": 94}, "lenet-5 seed 0: 94 errors"),
        ({"split": "validation"}, "10000 test images"),
        ({"dataset": "digits"}, "other images"),
        ({"seed": 1}, "a run twice"),
    ],
)
def test_refused(tmp_path: Path, wrong: dict[str, Any], culprit: str) -> None:
    nets = [row("lenet-5", seed, list(range(95))) for seed in range(2)]
    nets[0] |= wrong
    with pytest.raises(TableError, match=culprit):
        comparison(results_of(tmp_path, [*nets, row("linear", 0, [1])]))


def test_choice(tmp_path: Path) -> None:
    rows = [row("linear", 0, [1] * n, split="validation", test_size=5000, settings=f"ridge={n}") for n in (3, 2)]
    for k, each in enumerate(rows):
        each["fingerprint"] = f"f{k}"
    table = choice(results_of(tmp_path, rows, "comparison-choice"))
    assert [cells[1:] for cells in table.rows] == [["ridge=3", "0.03", "-"], ["ridge=2", "0.02", "yes"]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The command comparison with a few made-up images in MNIST's place."""
    import paper_lenet.commands.comparison as command
    from paper_lenet.data import Data

    draw = np.random.default_rng(0)
    images, labels = draw.integers(0, 256, (300, 28, 28), np.uint8), draw.integers(0, 10, 300)
    monkeypatch.setattr(command, "data_of", lambda version, validation: Data("mnist", "test", images, labels, images,
                                                                             labels))  # fmt: skip
    return command


def test_command(
    command: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows are added one by one, and not made again."""
    options = ("--results", str(tmp_path), "--workers", "1", "linear, sums not squashed", "knn euclidean")
    monkeypatch.setattr("sys.argv", ["comparison", *options])
    assert entry.run("comparison") == 0
    assert "knn euclidean seed 0 k=5" in capsys.readouterr().out
    path = tmp_path / "runs" / "comparison.csv"
    before = path.read_bytes()
    assert len(before.splitlines()) == 3
    assert entry.run("comparison") == 0
    assert path.read_bytes() == before and "seed" not in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["comparison", "--results", str(tmp_path), "lenet 5"])
    assert entry.run("comparison") == 1
    assert capsys.readouterr().err.startswith("comparison: lenet 5: no such classifier; there are linear; ")


def test_networks_need_their_runs(
    command: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--results", str(tmp_path), "--output", str(tmp_path), "--workers", "1")
    monkeypatch.setattr("sys.argv", ["comparison", "lenet-4", *options])
    assert entry.run("comparison") == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "seed-0: not there; paper-lenet train study=comparison-nets trains it" in err


def test_committed_rows() -> None:
    """All of the paper's classifiers have a line; what was to be chosen is what did best on held-out images."""
    found = lines(ROOT / "results")
    assert sum(line.is_published() for line in found) == 27
    tried = comparison_runs(ROOT / "results", "comparison-choice")
    assert set(tried["split"]) == {"validation"}
    checked = []
    for line in found:
        if line.classifier.candidates and len(line.runs):
            of_classifier = tried[tried["classifier"] == line.classifier.key]
            assert len(of_classifier) == len(line.classifier.choices()), line.classifier.key
            best = of_classifier.loc[of_classifier["error_percent"].idxmin(), "settings"]
            assert set(line.runs["settings"]) == {best}, line.classifier.key
            checked.append(line.classifier.key)
    assert "linear" in checked
