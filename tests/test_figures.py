"""Fig. 5 redrawn: the same bytes for the same numbers, and the paper's points only where they belong."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import pytest
from synthetic_runs import call, clean_tree, config, data, write_runs

from paper_lenet import figures, paper
from paper_lenet.collect import collect
from paper_lenet.engines import NonFiniteError
from paper_lenet.figures import fig5
from paper_lenet.records import RunWriter, write_job
from paper_lenet.tables import TableError


@pytest.fixture(autouse=True)
def committed(monkeypatch: pytest.MonkeyPatch) -> None:
    clean_tree(monkeypatch)
    # Text as text, so that a test can read it in the SVG.
    monkeypatch.setitem(figures.STYLE, "svg.fonttype", "none")


def drawn(tmp_path: Path, name: str = "lenet5") -> dict[str, bytes]:
    collect(tmp_path / "outputs" / "lenet5", tmp_path / "results")
    return {path.name: content for path, content in fig5(tmp_path / "results", name).items()}


def test_bytes_do_not_change(tmp_path: Path) -> None:
    write_runs(config(tmp_path / "outputs", [0, 1]), [90, 100])
    before = mpl.rcParams["font.size"]
    first = drawn(tmp_path)
    with mpl.rc_context({"font.size": 20, "lines.linewidth": 9}):
        assert drawn(tmp_path) == first
    assert mpl.rcParams["font.size"] == before
    assert first["fig5-lenet5.png"].startswith(b"\x89PNG")
    svg = first["fig5-lenet5.svg"].decode()
    assert "<dc:date>" not in svg
    assert "lenet5: 2 seeds" in svg and "test: paper" in svg


def test_other_data_have_no_points_of_the_paper(tmp_path: Path) -> None:
    write_runs(config(tmp_path / "outputs", [0], dataset="digits"), [5], data("digits", 297))
    svg = drawn(tmp_path, "lenet5-digits")["fig5-lenet5-digits.svg"].decode()
    assert "data set digits, not MNIST" in svg
    assert ": paper" not in svg


def test_diverged_runs(tmp_path: Path) -> None:
    write_runs(config(tmp_path / "outputs", [0]), [90])
    job = config(tmp_path / "outputs", [1])
    write_job(job)
    RunWriter(job, 1, "mnist", "test").diverged(NonFiniteError(1, 1, 9))
    assert "1 seed (1 more diverged)" in drawn(tmp_path)["fig5-lenet5.svg"].decode()


def test_nothing_to_draw(tmp_path: Path) -> None:
    job = config(tmp_path / "outputs", [1])
    write_job(job)
    RunWriter(job, 1, "mnist", "test").diverged(NonFiniteError(1, 1, 9))
    with pytest.raises(TableError, match="1 of 1 runs diverged"):
        drawn(tmp_path)


def test_several_configurations(tmp_path: Path) -> None:
    for factor in (0.25, 1.0):
        write_runs(config(tmp_path / "outputs", [0], eta_factor=factor), [95])
    with pytest.raises(TableError, match="several configurations"):
        drawn(tmp_path)


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    results = tmp_path / "results"
    assert call(monkeypatch, "figures", "--results", results) == 1
    assert "cannot be read" in capsys.readouterr().err
    write_runs(config(tmp_path / "outputs", [0]), [90])
    collect(tmp_path / "outputs" / "lenet5", results)
    assert call(monkeypatch, "figures", "--results", results) == 0
    assert {path.name for path in (results / "figures").iterdir()} == {"fig5-lenet5.png", "fig5-lenet5.svg"}


def test_points_of_the_paper_end_where_its_text_says() -> None:
    points = paper.fig5()
    assert points["test_error_percent"].iloc[-1] == pytest.approx(paper.TEST_ERROR_PERCENT, abs=0.03)
    assert points["train_error_percent"].iloc[18] == pytest.approx(paper.TRAIN_ERROR_PERCENT, abs=0.03)
