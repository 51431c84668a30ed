"""Fig. 5 to 8 redrawn: the same bytes for the same numbers, and the paper's points only where they belong."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from synthetic_runs import ROOT, begun, call, clean_tree, config, data, write_rows, write_runs

from paper_lenet import paper
from paper_lenet.config import ModelConfig
from paper_lenet.data import DIRECTORY_VARIABLE
from paper_lenet.engines import NonFiniteError
from paper_lenet.files import RecordError, tensor_bytes
from paper_lenet.network.lenet5 import LeNet5
from paper_lenet.reporting.figures import common
from paper_lenet.reporting.figures.common import literal
from paper_lenet.reporting.figures.curves import curves, fig5
from paper_lenet.reporting.figures.images import fig7, fig8, ranked
from paper_lenet.reporting.figures.network import fig2, fig3, kernels, table1, trained
from paper_lenet.reporting.figures.sizes import fig6
from paper_lenet.reporting.results import TableError
from paper_lenet.runs.collect import collect
from paper_lenet.runs.records import write_job


@pytest.fixture(autouse=True)
def committed(monkeypatch: pytest.MonkeyPatch) -> None:
    clean_tree(monkeypatch)
    # Text as text, so that a test can read it in the SVG.
    monkeypatch.setitem(common.STYLE, "svg.fonttype", "none")


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
    begun(job, 1).diverged(NonFiniteError(1, 1, 9))
    assert "1 seed (1 more diverged)" in drawn(tmp_path)["fig5-lenet5.svg"].decode()


def test_nothing_to_draw(tmp_path: Path) -> None:
    job = config(tmp_path / "outputs", [1])
    write_job(job)
    begun(job, 1).diverged(NonFiniteError(1, 1, 9))
    with pytest.raises(TableError, match="1 of 1 runs diverged"):
        drawn(tmp_path)


def test_several_configurations(tmp_path: Path) -> None:
    for factor in (0.25, 1.0):
        write_runs(config(tmp_path / "outputs", [0], eta_factor=factor), [95])
    with pytest.raises(TableError, match="several configurations"):
        drawn(tmp_path)


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    results = tmp_path / "results"
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path / "nothing"))
    monkeypatch.setattr("paper_lenet.network.pretrained.digests", lambda folder: {})
    assert call(monkeypatch, "figures", "--results", results) == 1
    assert "no results to draw" in capsys.readouterr().err
    write_runs(config(tmp_path / "outputs", [0]), [90])
    collect(tmp_path / "outputs" / "lenet5", results)
    assert call(monkeypatch, "figures", "--results", results) == 0
    drawn_files = {path.name for path in (results / "figures").iterdir()}
    assert drawn_files == {f"{stem}.{kind}" for stem in ("fig3", "fig5-lenet5", "table1") for kind in ("png", "svg")}
    out = capsys.readouterr().out.splitlines()
    assert out[3:] == [line for line in out if line.startswith("skipped, ")]
    skipped = {why: names.split(", ") for why, _, names in (line.partition(": ") for line in out[3:])}
    assert skipped["skipped, there is no trained network (--weights takes a run's)"] == ["preview", "fig2", "kernels"]
    assert skipped["skipped, MNIST is not at hand"] == ["fig7"]
    assert {"fig6", "rates", "ablation-ladder", "fig8-fig5"} < set(
        skipped[f"skipped, {results} has no results for them"]
    )
    assert call(monkeypatch, "figures", "--results", results, "--check") == 0
    figure = results / "figures" / "table1.svg"
    figure.write_text(figure.read_text(encoding="utf-8").replace("Table I", "Table 2"), encoding="utf-8")
    (results / "figures" / "fig3.png").unlink()
    capsys.readouterr()
    assert call(monkeypatch, "figures", "--results", results, "--check") == 1
    expected = f"figures: not what the results give: {results / 'figures' / 'fig3.png'}, {figure}\n"
    assert capsys.readouterr().err == expected
    assert not (results / "figures" / "fig3.png").exists()


@pytest.mark.slow
def test_committed_figures(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """They are what the results give, and no text of them is cut off."""
    monkeypatch.undo()  # the style of the committed ones
    monkeypatch.chdir(ROOT)
    cut = []
    draw = common._bytes

    def checked(figure: Figure, kind: str) -> bytes:
        content = draw(figure, kind)
        legends = [*figure.legends, *(each for axes in figure.axes if (each := axes.get_legend()))]
        for legend in legends:  # its frame may be wider than what is in it
            legend.set_in_layout(False)
        box = figure.get_tightbbox(FigureCanvasAgg(figure).get_renderer())
        for legend in legends:
            legend.set_in_layout(True)
        across, tall = figure.get_size_inches()
        if min(box.x0, box.y0, across - box.x1, tall - box.y1) < -0.01:
            cut.append((kind, box, [axes.get_title() for axes in figure.axes]))
        return content

    monkeypatch.setattr(common, "_bytes", checked)
    assert call(monkeypatch, "figures", "--check") == 0, capsys.readouterr().err
    assert cut == []


def test_a_panel_a_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for factor, errors in ((0.25, [90, 100]), (1.0, [95, 95])):
        write_runs(config(tmp_path / "outputs", [0, 1], eta_factor=factor), errors)
    job = config(tmp_path / "outputs", [0], eta_factor=4.0)
    write_job(job)
    begun(job, 0).diverged(NonFiniteError(0, 1, 9))
    results = tmp_path / "results"
    collect(tmp_path / "outputs" / "lenet5", results)
    assert call(monkeypatch, "figures", "lenet5", "--results", results) == 0
    svg = (results / "figures" / "curves-lenet5.svg").read_text(encoding="utf-8")
    space = "\N{NO-BREAK SPACE}"
    for text in ("eta_factor=0.25; n = 2", "eta_factor=1.0; n = 2", "eta_factor=4.0; n = 0 of 1"):
        assert text.replace("; n", ";#n").replace(" ", space).replace("#", " ") in svg
    assert "all diverged" in svg and ": paper" not in svg
    assert {path: path.read_bytes() for path in curves(results, "lenet5")} == curves(results, "lenet5")


def test_a_label_is_drawn_as_it_is(tmp_path: Path) -> None:
    label = "$a$ | _b_ & \\ <c> η é"
    for factor in (0.25, 1.0):
        write_runs(replace(config(tmp_path / "outputs", [0, 1], eta_factor=factor), label=label), [90, 100])
    collect(tmp_path / "outputs" / "lenet5", tmp_path / "results")
    svg = curves(tmp_path / "results", "lenet5")[tmp_path / "results" / "figures" / "curves-lenet5.svg"].decode()
    assert html.escape(label, quote=False) in svg.replace("\n", " ")
    assert literal("10 $, \U000f0000") == "10 \\$, [u+f0000]"


def test_only_trainings_of_1998_have_points_of_the_paper(tmp_path: Path) -> None:
    write_runs(config(tmp_path / "outputs", [0, 1], model=ModelConfig(activation="relu")), [90, 100])
    collect(tmp_path / "outputs" / "lenet5", tmp_path)
    svg = fig5(tmp_path, "lenet5")[tmp_path / "figures" / "fig5-lenet5.svg"].decode()
    assert ": paper" not in svg and "test: mean of seeds" in svg


def trained_net(tmp_path: Path, size: int = 6) -> Path:
    state = {name: p.detach().numpy() for name, p in LeNet5().named_parameters()}
    state["c1.bias"] = state["c1.bias"][:size]
    path = tmp_path / "weights.safetensors"
    path.write_bytes(tensor_bytes({"seed": 0}, state))
    return path


def test_the_network(tmp_path: Path) -> None:
    images = data()
    images.test_images[1, 10:18, 12:16] = 255
    net = trained(trained_net(tmp_path))
    files = {**fig2(tmp_path, net, images), **kernels(tmp_path, net), **fig3(tmp_path), **table1(tmp_path)}
    assert len(files) == 8
    svg = {path.stem: content.decode() for path, content in files.items() if path.suffix == ".svg"}
    assert "6@28×28" in svg["fig2"] and "16@5×5" in svg["fig2"] and "a 1 is called" in svg["fig2"]
    assert svg["fig2"].count("<image") == 1 + 6 + 6 + 16 + 16 + 1 + 2
    assert svg["kernels"].count("<image") == 6 + 1 and "coefficient at first, 0.25" in svg["kernels"]
    assert "60 of 96 pairs are connected" in svg["table1"]
    assert kernels(tmp_path, net).items() <= files.items()


def test_weights_of_another_network(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="not the weights of the LeNet-5 of 1998"):
        trained(trained_net(tmp_path, size=5))


def test_points_of_the_paper_end_where_its_text_says() -> None:
    points = paper.fig5()
    assert points["test_error_percent"].iloc[-1] == pytest.approx(paper.TEST_ERROR_PERCENT, abs=0.03)
    assert points["train_error_percent"].iloc[18] == pytest.approx(paper.TRAIN_ERROR_PERCENT, abs=0.03)


def write_sizes(results: Path, name: str, sizes: dict[int, list[float]], **columns: object) -> None:
    """results/runs/<name>.csv with a configuration a size and these test errors in %, a seed each."""
    rows = [
        {
            **{"train_size": size, "seed": seed, "fingerprint": f"{name}{size}", "test_error_percent": error},
            **{"train_error_percent": error / 4},
            **columns,
        }
        for size, errors in sizes.items()
        for seed, error in enumerate(errors)
    ]
    write_rows(results, name, rows)


def test_fig6(tmp_path: Path) -> None:
    eq9: dict[str, object] = {"loss.name": "eq9"}
    write_sizes(tmp_path, "fig6", {15_000: [1.6, 1.8, 1.7], 30_000: [1.2, 1.1]}, **eq9)
    svg = fig6(tmp_path)[tmp_path / "figures" / "fig6.svg"].decode()
    for text in ("15,000", "n = 3", "30,000", "n = 2", "60,000 + 540,000", "test: paper", "training: ours"):
        assert f">{text}<" in svg
    assert "updates" not in svg and "n = 4" not in svg
    write_sizes(tmp_path, "fig5", {60_000: [1.0, 0.9, 1.1, 1.0]}, **eq9)
    write_sizes(tmp_path, "distorted", {60_000: [0.8, 0.7]}, **eq9, **{"distort.variants": 9})
    longer: dict[str, object] = {**eq9, "data.train_size": 15_000, "optim.passes": 80, "passes": 80}
    write_sizes(tmp_path, "fig6-updates", {15_000: [1.5]}, **longer)
    first = fig6(tmp_path)
    assert fig6(tmp_path) == first
    svg = first[tmp_path / "figures" / "fig6.svg"].decode()
    for text in ("n = 4", "distorted, n = 2", "as many updates, n = 1"):
        assert f">{text}<" in svg


def test_fig6_refuses_what_it_cannot_show(tmp_path: Path) -> None:
    write_sizes(tmp_path, "fig6", {15_000: [1.6, 1.8]}, split="validation")
    with pytest.raises(TableError, match="not the test error"):
        fig6(tmp_path)
    eq9: dict[str, object] = {"loss.name": "eq9"}
    write_sizes(tmp_path, "fig6", {15_000: [1.6, 1.8]}, **eq9, status="diverged")
    with pytest.raises(TableError, match="2 of 2 runs of one configuration diverged"):
        fig6(tmp_path)
    write_sizes(tmp_path, "fig6", {15_000: [1.6, 1.8], 60_000: [1.0]}, **eq9)
    write_sizes(tmp_path, "fig5", {60_000: [1.0]}, **eq9)
    with pytest.raises(TableError, match="several configurations of one size"):
        fig6(tmp_path)
    write_sizes(tmp_path, "fig6", {15_000: [1.6, 1.8]}, **eq9)
    write_sizes(tmp_path, "distorted", {60_000: [0.8, 0.7]}, **eq9)
    with pytest.raises(TableError, match=r"distorted: distort\.variants=0, but that name stands for distorted images"):
        fig6(tmp_path)


def test_fig7(tmp_path: Path) -> None:
    images = data()
    images.train_images[:] = np.random.default_rng(0).integers(0, 256, images.train_images.shape, dtype=np.uint8)
    files = fig7(tmp_path, images)
    assert {path.name for path in files} == {"fig7.svg", "fig7.png"}
    assert "ours, random maps at strength 1" in files[tmp_path / "figures" / "fig7.svg"].decode()
    assert fig7(tmp_path, images) == files


def test_fig8(tmp_path: Path) -> None:
    write_runs(config(tmp_path / "outputs", [0, 1, 2]), [90, 40, 60])
    results = tmp_path / "results"
    collect(tmp_path / "outputs" / "lenet5", results)
    files = fig8(results, data(), "lenet5")
    svg = files[results / "figures" / "fig8-lenet5.svg"].decode()
    assert "lenet5: 3 seeds. 90 test images are wrong at least once, of 10,000; here the 82 most often wrong." in svg
    # the first 40 images by all three, the next 20 by two, and of the last 30 what there is room for
    assert [svg.count(f">{share} %<") for share in (100, 67, 33)] == [40, 20, 22]
    assert svg.count(">0→1<") == 9
    assert f"Framed: the {(paper.fig8()['mnist_test_index'] < 82).sum()} among" in svg
    assert fig8(results, data(), "lenet5") == files
    other = data()
    other.test_labels[0] = 5
    with pytest.raises(TableError, match="other labels"):
        fig8(results, other, "lenet5")


def test_most_frequent_wrong_answer() -> None:
    rows = [(0, 7, 1, 2), (0, 3, 4, 9), (1, 3, 4, 9), (2, 3, 4, 6), (3, 3, 4, 5), (0, 5, 8, 3), (1, 5, 8, 2)]
    table = ranked(pd.DataFrame(rows, columns=["seed", "index", "true_label", "predicted_label"]))
    assert table.index.tolist() == [3, 5, 7]
    assert table[["seeds", "true_label", "answer"]].to_numpy().tolist() == [[4, 4, 9], [2, 8, 2], [1, 1, 2]]


def test_colours_stand_out_from_white() -> None:
    """By 3:1, as WCAG 2 asks of graphics, and no figure has colours of its own."""
    for colour in (*common.COLOURS, common.OTHERS):
        linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in to_rgb(colour)]
        luminance = float(np.dot([0.2126, 0.7152, 0.0722], linear))
        assert 1.05 / (luminance + 0.05) >= 3, colour
    folder = ROOT / "paper_lenet" / "reporting" / "figures"
    own = [path.name for path in folder.glob("*.py") if re.search(r'"#\w{6}"', path.read_text(encoding="utf-8"))]
    assert own == ["common.py"]
