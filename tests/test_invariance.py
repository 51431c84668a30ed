"""Scaled, shifted, turned and noisy images, and the command that measures errors on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from paper_lenet.classifiers.invariance import AMOUNTS, changed, padded
from paper_lenet.commands import entry
from paper_lenet.data import Data
from paper_lenet.reporting.figures.comparison import invariances
from paper_lenet.reporting.results import TableError


@pytest.fixture
def images() -> np.ndarray:
    draw = np.random.default_rng(0)
    small = draw.integers(0, 256, (3, 28, 28)).astype(np.uint8)
    return padded(small)


def test_nothing_changes(images: np.ndarray) -> None:
    for kind, none in (("scale", 1), ("shift", 0), ("rotation", 0), ("noise", 0)):
        assert np.array_equal(changed(images, kind, none), images)


def test_changes(images: np.ndarray) -> None:
    """Down is down, counter-clockwise is counter-clockwise, twice the size is four times the ink."""
    assert np.array_equal(changed(images, "shift", 3)[:, 3:], images[:, :-3])
    assert not changed(images, "shift", 3)[:, :3].any()
    assert np.array_equal(changed(images, "rotation", 90), np.rot90(images, axes=(1, 2)))
    dot = np.zeros((1, 32, 32), np.uint8)
    dot[0, 14:18, 14:18] = 200
    twice = changed(dot, "scale", 2)
    assert twice.sum() == pytest.approx(4 * dot.sum(), rel=0.15) and np.array_equal(twice, twice[:, ::-1, ::-1])
    inverted = changed(images, "noise", 0.1) != images
    assert inverted.mean() == pytest.approx(0.1, abs=0.02)
    with pytest.raises(ValueError, match="mirror"):
        changed(images, "mirror", 1)


def test_command(
    images: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows are added to those that are there; errors on other than the whole test set are not drawn."""
    import paper_lenet.commands.invariance as command

    plain = images[:, 2:-2, 2:-2]
    labels = np.array([1, 2, 3])
    monkeypatch.setattr(command, "load", lambda config: Data("mnist", "test", plain, labels, plain, labels))
    monkeypatch.setattr("sys.argv", ["invariance", "--results", str(tmp_path)])
    monkeypatch.setattr(command, "classifiers", lambda data: {"ones": lambda some: np.ones(len(some), np.int64)})
    assert entry.run("invariance") == 0
    path = tmp_path / "invariance.csv"
    whole = path.read_text(encoding="utf-8")
    assert len(whole.splitlines()) == 1 + sum(map(len, AMOUNTS.values())) and ",ones,mnist,2,3,66.6" in whole
    path.write_text("".join(whole.splitlines(keepends=True)[:5]), encoding="utf-8")
    capsys.readouterr()
    assert entry.run("invariance") == 0
    assert path.read_text(encoding="utf-8").splitlines()[:5] == whole.splitlines()[:5]
    assert "scale 0.4" not in capsys.readouterr().out
    with pytest.raises(TableError, match="10000 test images"):
        invariances(tmp_path)
    path.write_text(whole.replace(",2,3,66.6", ",2,10000,66.6"), encoding="utf-8")
    assert {file.name for file in invariances(tmp_path)} == {"invariance.svg", "invariance.png"}
    for damaged in ("a,b\n1,2\n", whole.replace("scale,0.4", "scale,small", 1)):
        path.write_text(damaged, encoding="utf-8")
        capsys.readouterr()
        assert entry.run("invariance") == 1
        err = capsys.readouterr().err
        assert err.startswith(f"invariance: {path}: cannot be read: ") and err.count("\n") == 1
        assert path.read_text(encoding="utf-8") == damaged
