"""The report page has all results and loads nothing; its JavaScript computes what PyTorch does."""

from __future__ import annotations

import base64
import csv
import json
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic_report import images, networks, outputs, tables, write_results
from synthetic_runs import ROOT, call, data

from paper_lenet import paper
from paper_lenet.config import ModelConfig
from paper_lenet.config.studies import Shown
from paper_lenet.data import DIRECTORY_VARIABLE
from paper_lenet.data.pictures import as_mnist, as_strip
from paper_lenet.files import RecordError, json_text, read_tensors, sealed, sha256, tensor_bytes
from paper_lenet.network.lenet5 import build
from paper_lenet.reporting.formats import Table
from paper_lenet.reporting.page import charts, words
from paper_lenet.reporting.page.build import jobs, page
from paper_lenet.reporting.page.live import Net, nets, replay_script, strings
from paper_lenet.reporting.results import TableError
from paper_lenet.reporting.tables import build as tables_build
from paper_lenet.reporting.tables import claims
from paper_lenet.reporting.tables.build import available, made

LENET = ROOT / "paper_lenet" / "reporting" / "page" / "lenet.js"


class Elements(HTMLParser):
    """Every element of a page: its tag and its attributes; and all text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.all: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.all.append((tag, {key: value or "" for key, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, attribute: str, *tags: str) -> list[str]:
        return [attrs[attribute] for tag, attrs in self.all if attribute in attrs and (not tags or tag in tags)]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    write_results(tmp_path / "results")
    return tmp_path / "results"


def test_everything_is_on_the_page(results: Path) -> None:
    elements = Elements(page(tables(), results, None, networks("1998")))
    ids = elements.values("id")
    assert {"table-claims", "table-other", "table-jobs", "figure-fig5-x", "figure-unheard-of"} <= set(ids)
    assert "By code & <i>." in elements.text and "<b>&" in elements.text and "net <1998>" in elements.text
    links = set(elements.values("href", "a"))
    assert {"../runs/fig5.csv", "../runs/distorted.csv", "../tables/other.csv", "../figures/fig5-x.svg"} <= links
    for text in ("How to cite", "What trained all this.", "not reproduced", "More results"):
        assert text in elements.text
    beside = [source for source in elements.values("src", "img") if not source.startswith("data:")]
    assert beside == ["../figures/fig5-x.svg", "../figures/unheard-of.png"]
    # 3 runs of 90 s are 4.5 minutes
    assert "fig534" in elements.text


def test_the_committed_results_make_a_page() -> None:
    results = ROOT / "results"
    elements = Elements(page(made(results, available(results)), results, None, nets()))
    for kind, suffix in (("table", "md"), ("figure", "png")):
        there = {f"{kind}-{path.stem}" for path in (results / f"{kind}s").glob(f"*.{suffix}")}
        assert there and there <= set(elements.values("id"))
    # what trained each of them is said
    assert all(command for command, *_ in jobs(results))
    assert {name for _, name, *_ in jobs(results)} == {path.stem for path in (results / "runs").glob("*.csv")}


def test_a_label_is_shown_as_it_is(results: Path) -> None:
    label = "a | b \\ `c` *d* _e_ <f> & $g$ é \N{GRINNING FACE}"
    hostile = Table("hostile", "c", ["", "|"], [[label, "1"]], ["By `x` & y."], "s")
    html = page([(hostile, Shown())], results, None, [])
    assert label in Elements(html).text
    assert "By <code>x</code> &amp; y." in html


def test_runs_without_a_time_are_named(results: Path) -> None:
    (results / "runs" / "mine.csv").write_text("fingerprint,seed\nabc,0\n", encoding="utf-8")
    with pytest.raises(TableError, match=r"mine\.csv: no column seconds or train_seconds"):
        page(tables(), results, None, [])


def test_nothing_is_loaded_and_every_part_has_a_name(results: Path) -> None:
    html = page(tables(), results, data(), networks("1998", "modern"))
    elements = Elements(html)
    for tag, attrs in elements.all:
        for attribute in ("src", "srcset", "data", "poster", "action"):
            # what is folded lies beside the page
            assert re.match(r"data:|\.\./figures/[\w.-]+$", attrs.get(attribute, "data:")), tag
        assert tag not in ("link", "iframe", "object", "base")
        assert tag != "img" or "alt" in attrs
        assert tag != "canvas" or "aria-label" in attrs or "aria-hidden" in attrs
    assert "@import" not in html and "url(" not in html and "fetch(" not in html
    ids = elements.values("id")
    assert [name for name, count in Counter(ids).items() if count > 1] == []
    named = [*elements.values("for"), *elements.values("aria-labelledby"), *(
        link.removeprefix("#") for link in elements.values("href", "a") if link.startswith("#"))]  # fmt: skip
    assert set(named) <= set(ids)
    assert [tag for tag, _ in elements.all].count("h1") == 1


def test_the_errors_of_the_paper(results: Path) -> None:
    elements = Elements(page(tables(), results, data(), []))
    assert "Test image 247: a 4; the paper's network took it for a 6." in elements.text
    assert "without distortions: wrong in 2 of 3 seeds, with answers 2 (1×), 6 (1×)." in elements.text
    assert elements.text.count("without distortions: right in all 3 seeds.") == 81
    assert "No trained network is at hand" in elements.text
    shown = [source for source in elements.values("src", "img") if source.startswith("data:image/png")]
    assert len(shown) == 82
    bare = Elements(page(tables(), results, None, networks("1998")))
    assert "MNIST is not at hand" in bare.text
    assert "Test image 247" in bare.text
    assert len(bare.values("data-image")) == 64


def test_rows_of_the_claims_are_linked_to_their_runs() -> None:
    for name, label, sources in (
        ("claims", "training error on the fly, pass 20, %", ["fig5"]),
        ("claims", "test error, 60,000 patterns, %, Eq. 8", ["eq8"]),
        ("claims", "training error on the fly, 15,000 patterns, %", ["fig6"]),
        ("claims", "test error, 15,000 patterns, %, as many updates", ["fig6-updates"]),
        ("claims", "gain from distortions, points", ["fig5", "distorted"]),
        ("quarter-claims", "test error with distortions, %, Eq. 9", ["quarter-eq9-distorted"]),
    ):
        assert claims.sources(name, label) == sources


def test_what_cannot_be_shown(results: Path) -> None:
    (net,) = networks("1998")
    other = Net(net.name, net.title, ModelConfig(batch_norm=True), net.ends, net.state)
    with pytest.raises(TableError, match="1998: a network with details"):
        page(tables(), results, None, [other])
    with pytest.raises(TableError, match="runs: no results to show"):
        page([], results, None, [])


def test_command(results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(results / "nothing"))
    monkeypatch.setattr(tables_build, "made", lambda *_: tables())
    assert call(monkeypatch, "report", "--results", results) == 0
    assert (results / "report" / "index.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "the page goes without its images" in capsys.readouterr().out
    monkeypatch.setattr(tables_build, "made", made)
    assert call(monkeypatch, "report", "--results", results / "tables") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("report: ") and "no results to show" in line


def test_networks_from_files(tmp_path: Path) -> None:
    (net,) = networks("average")
    about = {"model": {**vars(net.model), "init": vars(net.model.init)}, "seed": 0}
    values = np.linspace(*net.ends, 256, dtype=np.float32)
    assert nets(tmp_path) == []
    path = tmp_path / "lenet5-1998.safetensors"
    path.write_bytes(tensor_bytes(about, {**net.state, "input.values": values}))
    (tmp_path / "digests.json").write_text(
        json_text(sealed({"lenet5-1998": sha256(path.read_bytes())})), encoding="utf-8"
    )
    (found,) = nets(tmp_path)
    assert (found.title, found.model, found.ends) == ("LeNet-5, trained again", net.model, net.ends)
    assert found.for_page()["weights"] == net.for_page()["weights"]
    path.write_bytes(tensor_bytes({**about, "seed": 1}, {**net.state, "input.values": values}))
    with pytest.raises(RecordError, match="not the released file"):
        nets(tmp_path)


def node(program: str, *inputs: object) -> object:
    """What a program prints as JSON; it has LeNet and the inputs."""
    executable = shutil.which("node")
    if executable is None:
        pytest.skip("needs node")
    start = f"const LeNet = require({json.dumps(str(LENET))}), inputs = JSON.parse(require('fs').readFileSync(0));"
    text = f"{start}\nconsole.log(JSON.stringify((() => {{ {program} }})()));"
    done = subprocess.run(
        [executable, "-e", text], input=json.dumps(inputs), stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout)


def test_javascript_agrees_with_pytorch() -> None:
    shown, tried = images(), networks("1998", "modern", "average")
    program = """
        const [nets, images] = inputs;
        return nets.map(LeNet.load).map((net) => images.map((image) => {
          const output = LeNet.run(net, LeNet.frame(image)).output;
          return [Array.from(output), LeNet.softmax(output), LeNet.ranking(net, output)];
        }));
    """
    found = node(program, [net.for_page() for net in tried], shown.reshape(len(shown), -1).tolist())
    assert isinstance(found, list)
    for net, of_net in zip(tried, found, strict=True):
        expected = outputs(net, shown)
        given, probabilities, ranking = (np.array(part) for part in zip(*of_net, strict=True))
        np.testing.assert_allclose(given, expected, rtol=0, atol=1e-6)
        assert np.ptp(given, axis=0).min() > 1e-3  # the images matter
        best = expected.argmin(1) if net.model.output == "rbf" else expected.argmax(1)
        assert (ranking[:, 0] == best).all()
        powers = np.exp(expected - expected.max(1, keepdims=True))
        np.testing.assert_allclose(probabilities, powers / powers.sum(1, keepdims=True), atol=1e-9)


def test_javascript_moves_images() -> None:
    image = np.zeros((28, 28), int)
    image[4, 20] = 255
    moves = [{}, {"right": 3, "down": -2}, {"turn": 90}, {"right": 0.5}, {"scale": 2}, {"noise": 1}]
    program = "return inputs[1].map((move) => Array.from(LeNet.frame(inputs[0], move)));"
    frames = np.array(node(program, image.ravel().tolist(), moves)).reshape(-1, 32, 32)
    brightest = [tuple(int(i) for i in np.unravel_index(frame.argmax(), frame.shape)) for frame in frames[:3]]
    # the middle is 15.5; clockwise, from above on the right to below on the right
    assert brightest == [(6, 22), (4, 25), (22, 25)]
    np.testing.assert_allclose(frames[3][6, 21:25], [0, 127.5, 127.5, 0])
    assert frames[4].sum() == 0  # out of the frame
    np.testing.assert_allclose(frames[5], 255 - frames[0])
    square = np.zeros((28, 28), int)
    square[12:16, 11:15] = 100
    (grown,) = np.array(node(program, square.ravel().tolist(), [{"scale": 2}])).reshape(-1, 32, 32)
    assert grown.sum() == pytest.approx(4 * square.sum())
    some = np.array(node("return Array.from(LeNet.frame(inputs[0], {noise: 0.25}));", [0] * 784))
    assert 0.2 < (some == 255).mean() < 0.3


def test_javascript_makes_drawings_like_mnist() -> None:
    rng = np.random.default_rng(0)
    drawings = [np.zeros((60, 90), int) for _ in range(4)]
    drawings[0][5:55, 40:47] = 255
    drawings[1][10:30, 3:80] = rng.integers(0, 256, (20, 77))
    drawings[2][50:52, 88:90] = 200
    program = """
        return inputs[0].map((ink) => LeNet.fromDrawing(ink, 90, 60)).map((image) => image && Array.from(image));
    """
    *made, nothing = node(program, [drawing.ravel().tolist() for drawing in drawings])  # type: ignore[misc]
    assert nothing is None
    for image, (height, width) in zip(np.array(made).reshape(-1, 28, 28), [(20, 3), (5, 20), (20, 20)], strict=True):
        rows, columns = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
        assert (len(rows), len(columns)) == (height, width)
        assert image.max() == 255
        mass = image.sum()
        centre = (image.sum(1) @ np.arange(28)) / mass, (image.sum(0) @ np.arange(28)) / mass
        assert np.abs(np.array(centre) - paper.IMAGE_SIZE / 2).max() <= 0.5
    for image, drawing in zip(made, drawings, strict=False):
        np.testing.assert_array_equal(np.reshape(image, (28, 28)), as_mnist(drawing.astype(np.uint8)))


def test_javascript_reads_strings() -> None:
    """The strings that the paper prints, by both readers: F6, penalties and what is read are those of PyTorch."""
    shown = strings()
    program = """
        const { nets, examples } = inputs[0];
        return nets.map(({ net: about, model }) => {
          const net = LeNet.load(about);
          return examples.map(({ pixels }) => {
            const states = LeNet.run(net, LeNet.bytes(pixels));
            return [Array.from(states.f6), Array.from(states.output), LeNet.read(net, model).digits];
          });
        });
    """
    begin, end = "LeNet.strings = ", ";\n"
    script = shown.script()
    assert script.startswith(begin) and script.endswith(end)
    found = node(program, json.loads(script.removeprefix(begin).removesuffix(end)))
    assert isinstance(found, list)
    for reader, of_reader in zip(shown.readers.values(), found, strict=True):
        assert reader.model.longest and reader.model.apart  # what the page's character models have
        for strip, (f6, output, digits) in zip(shown.examples.values(), of_reader, strict=True):
            for given, right in zip((f6, output), reader.states(strip), strict=True):
                np.testing.assert_allclose(np.reshape(given, right.shape), right, rtol=1e-5, atol=1e-4)
            assert tuple(digits) == reader.read(strip).digits


def test_javascript_cuts_connections() -> None:
    """Without some pairs it computes what PyTorch does with their kernels zero."""
    (net,) = networks("1998")
    shown, cut = images(), [0, 7, 30]
    program = """
        const net = LeNet.load(inputs[0]);
        inputs[2].forEach((pair) => net.cut.add(pair));
        return inputs[1].map((image) => Array.from(LeNet.run(net, LeNet.frame(image)).output));
    """
    found = node(program, net.for_page(), [image.ravel().tolist() for image in shown], cut)
    kernels = net.state["c3.weight"].copy()
    kernels[cut] = 0
    without = replace(net, state={**net.state, "c3.weight": kernels})
    np.testing.assert_allclose(found, outputs(without, shown), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["1998", "modern"])
def test_javascript_knows_what_a_unit_adds_up(name: str) -> None:
    """The state of a unit of each layer is what its sum and its bias make."""
    (net,) = networks(name)
    program = """
        const net = LeNet.load(inputs[0]);
        net.cut.add(7);
        const states = LeNet.run(net, LeNet.frame(inputs[1]));
        const wide = { c1: 28, s2: 14, c3: 10, s4: 5, c5: 20, f6: 7 };
        const units = (layer) => [[0, 2, 3], [layer[0] === "s" ? 5 : 0, 4, 1]];
        return Object.entries(wide).map(([layer, columns]) => units(layer).map((unit) => {
          const { sum, bias } = LeNet.inside(net, layer, ...unit), [map, y, x] = unit;
          return [sum, bias, states[layer][(map * columns + y) * columns + x]];
        }));
    """
    for layer in np.array(node(program, net.for_page(), images(1)[0].ravel().tolist()), float):
        for total, bias, state in layer:
            if not np.isnan(total):
                a = total + bias
                assert state == pytest.approx(
                    1.7159 * np.tanh(2 * a / 3) if name == "1998" else max(0, a), rel=1e-6, abs=1e-9
                )
            else:
                assert name == "modern"  # the largest of four adds nothing up


def test_javascript_puts_digits_in_a_row() -> None:
    program = "return inputs[1].map((gap) => Array.from(LeNet.rowOf(inputs[0], gap)));"
    digits = np.zeros((2, 28, 28), int)
    digits[0, 4:24, 10:18], digits[1, 5:20, 3:9] = 200, 100
    apart, over = (np.reshape(row, (32, -1)) for row in node(program, digits.reshape(2, -1).tolist(), [4, -2]))  # type: ignore[attr-defined]
    for row, gap in ((apart, 4), (over, -2)):
        second = 14 + 8 + gap
        right = np.zeros_like(row)
        right[7:22, second : second + 6] = 100
        right[6:26, 14:22] = 200  # where they overlap the darker
        np.testing.assert_array_equal(row, right)


def test_the_charts_have_what_the_runs_have() -> None:
    results = ROOT / "results"
    moved, costs, rates = charts.moved(results), charts.costs(results), charts.rates(results)
    assert moved and costs and rates
    measured = pd.read_csv(results / "invariance.csv")
    of_ours = measured[(measured["kind"] == "noise") & (measured["classifier"] == "LeNet-5 of 1998")]
    told = dict(moved["noise"]["measured"])["LeNet-5 of 1998"]
    assert told == of_ours[["amount", "error_percent"]].to_numpy().tolist()
    runs = pd.read_csv(results / "runs" / "comparison.csv")
    lenet5 = next(each for each in costs if each["name"] == "lenet-5")
    assert len(costs) == 27 and lenet5["paper"]["error"] == 0.95
    own = runs[runs["classifier"] == "lenet-5"]
    assert lenet5["ours"]["error"] == pytest.approx(own["error_percent"].mean(), abs=5e-4)
    assert lenet5["ours"]["variables"] == pytest.approx(own["variables"].mean() / 1000, abs=5e-4)
    curves = pd.read_csv(results / "curves" / "lenet5.csv")
    printed, _, headline = rates["readings"]
    assert [each["diverged"] for each in printed["factors"]] == [0, 2, 2]
    assert [each["factor"] for each in headline["factors"]] == [0.5, 1]
    by_pass = curves.groupby("pass")["train_error_percent"].mean()
    np.testing.assert_allclose(headline["factors"][1]["errors"], by_pass, atol=6e-4)
    assert charts.moved(results / "none") is charts.costs(results / "none") is charts.rates(results / "none") is None


FIELD = r"(data|distort|loss|model|optim)\.[\w.]+"


def test_settings_are_told_in_words() -> None:
    """Every field and setting of the committed tables."""
    for path in (ROOT / "results" / "tables").glob("*.csv"):
        text = path.read_text(encoding="utf-8")
        columns = [name for name in next(csv.reader(text.splitlines())) if re.fullmatch(FIELD, name)]
        assert [name for name in columns if name not in words.FIELDS] == [], path.name
        assert "=" not in " ".join(words.told(found[0]) for found in words.SETTING.finditer(text)), path.name
    assert words.told("loss=eq8, optim.eta_factor=0.5") == "Eq. 8 as criterion, η × 0.5"


def test_javascript_makes_strips_of_drawings() -> None:
    rng = np.random.default_rng(0)
    drawing = np.zeros((50, 160), np.uint8)
    for left in (10, 60, 110):
        drawing[8:40, left : left + 25] = rng.integers(0, 256, (32, 25))
    program = "return Array.from(LeNet.stripOf(inputs[0], 160, 50));"
    made = np.reshape(node(program, drawing.ravel().tolist()), (32, -1))
    np.testing.assert_array_equal(made, as_strip(drawing))


def test_a_training_is_recorded(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From before the first pass on, and for the page in a file beside it."""
    small = ("data=digits", "data.train_size=60", "engine=reference", "optim.passes=2", "optim.hessian_samples=5")
    assert call(monkeypatch, "replay", "--results", results, *small) == 0
    about, found = read_tensors(results / "replay.safetensors")
    assert about["seed"] == 0 and found["c1.weight"].shape == (3, 6, 1, 5, 5)
    assert found["f6"].shape == (3, 10, 84) and found["test_error"].shape == (2,)
    net = build(ModelConfig(), 0)
    np.testing.assert_array_equal(found["c1.weight"][0], net.c1.weight.detach().numpy())
    assert np.abs(found["c1.weight"][1] - found["c1.weight"][0]).max() > 0
    script = replay_script(results / "replay.safetensors")
    told = json.loads(script.removeprefix("LeNet.replay = ").removesuffix(";\n"))
    codes = np.frombuffer(base64.b64decode(told["f6"]["values"]), np.float32).reshape(told["f6"]["shape"])
    np.testing.assert_array_equal(codes, found["f6"])
    assert 'id="replay"' in page(tables(), results, None, networks("1998"), None, True)
    assert call(monkeypatch, "replay", "--results", results, "model=mlp") == 1
    assert "only of LeNet-5 as in 1998" in capsys.readouterr().err
