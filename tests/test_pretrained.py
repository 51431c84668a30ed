"""Weights to take away: the same network comes back; no picked or doubtful run gets out, no changed file in."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from synthetic_runs import ROOT, call, clean_tree, record, reseal

import paper_lenet
from paper_lenet.config import Config, DataConfig, InitConfig, LossConfig, ModelConfig, OptimConfig
from paper_lenet.data import Data, normalise, values_of
from paper_lenet.errors import PaperLenetError
from paper_lenet.files import RecordError, read_sealed, read_tensors, sealed, sha256, tensor_bytes
from paper_lenet.learning.patterns import Patterns
from paper_lenet.network import pretrained
from paper_lenet.network.lenet5 import build
from paper_lenet.network.modern import ModernNet
from paper_lenet.network.pretrained import FRONT, RELEASED, load_file, load_pretrained
from paper_lenet.release.cards import release
from paper_lenet.runs.collect import CollectError, collect
from paper_lenet.runs.records import RunWriter, run_folder, write_job
from paper_lenet.runs.trained import load_network

IMAGES = np.random.default_rng(0).integers(0, 256, (60, 28, 28), np.uint8)
DATA = Data("mnist", "test", IMAGES, np.arange(60) % 10, IMAGES, np.arange(60) % 10)
OF_1998 = Config()
MODERN = Config(
    name="modern",
    data=DataConfig(input="standard"),
    model=ModelConfig(
        activation="relu", pooling="max_pool", table="full", output="linear", init=InitConfig(scheme="kaiming")
    ),
    loss=LossConfig(name="cross_entropy"),
    optim=OptimConfig(name="adamw", batch=64, schedule="cosine"),
)


def expected_output(job: Config, seed: int = 0, images: np.ndarray = IMAGES) -> torch.Tensor:
    """What the network with a seed's initial weights gives, by the engines' own way of preparing images."""
    net = build(job.model, seed)
    values = values_of(job.data.input, DATA)[0]
    grey = Patterns(images, np.zeros(len(images)), np.zeros((0, 6)), values).grey(np.arange(len(images)), 32, "float32")
    with torch.no_grad():
        output: torch.Tensor = net(torch.from_numpy(grey)[:, None])
    return output


def finished_run(output: Path, job: Config, seeds: tuple[int, ...] = (0, 1), data: Data = DATA) -> Path:
    """The folder of the first seed; each seed "learned" its initial weights."""
    job = replace(job, output=str(output), seeds=list(seeds))
    write_job(job)
    for seed in seeds:
        net = build(job.model, seed)
        given = expected_output(job, seed)
        predictions = (given.argmax(1) if isinstance(net, ModernNet) else given.argmin(1)).numpy()
        errors = int((predictions != data.test_labels).sum())
        state = {name: values.detach().numpy() for name, values in net.named_parameters()}
        with RunWriter(job, seed, data) as writer:
            writer.begin()
            writer.add(replace(record(seed, 1, data, 0), predictions=predictions, test_errors=errors, state=state))
            writer.finish()
    return run_folder(job, seeds[0])


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Committed code, DATA as MNIST, and an empty folder of released networks."""
    clean_tree(monkeypatch)
    monkeypatch.setattr("paper_lenet.release.cards.load", lambda config: DATA)
    monkeypatch.setattr(pretrained, "WEIGHTS", tmp_path / "weights")
    return tmp_path


def released(place: Path, name: str = "lenet5-1998", job: Config = OF_1998) -> Path:
    folder = finished_run(place / "outputs", job)
    return release(folder, name, place / "weights", place / "results", job)[0]


@pytest.mark.parametrize("job", [OF_1998, MODERN], ids=["1998", "modern"])
def test_the_network_of_any_run(place: Path, job: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any seed, and of uncommitted code; where its input needs no images, also without them."""
    monkeypatch.setattr("paper_lenet.runs.trained.load", lambda config: DATA)
    monkeypatch.setattr("paper_lenet.runs.environment.code_state", lambda root: ("c0ffee" * 6 + "c0ff", True))
    folder = finished_run(place / "outputs", replace(job, name="mine")).with_name("seed-1")
    net = load_network(str(folder))
    with torch.no_grad():
        torch.testing.assert_close(net(torch.from_numpy(IMAGES)), expected_output(job, 1), rtol=0, atol=0)
    assert (net.about["name"], net.training) == ("mine", False)
    (folder / "metrics.json").unlink()
    with pytest.raises(CollectError, match="seed-1"):
        load_network(str(folder))


@pytest.mark.parametrize(("name", "job"), [("lenet5-1998", OF_1998), ("lenet5-modern", MODERN)])
def test_the_same_network_comes_back(place: Path, name: str, job: Config) -> None:
    path = released(place, name, job)
    before = path.read_bytes()
    assert len(before) < 260_000
    net = paper_lenet.load_pretrained(name)
    assert not net.training
    with torch.no_grad():
        torch.testing.assert_close(net(torch.from_numpy(IMAGES)), expected_output(job), rtol=0, atol=0)
    assert net.about["commit"].startswith("c0ffee")
    assert ModelConfig(**{**net.about["model"], "init": InitConfig(**net.about["model"]["init"])}) == job.model
    released(place, name, job)
    assert path.read_bytes() == before


def test_input_is_that_of_the_paper(place: Path) -> None:
    released(place)
    net = load_pretrained("lenet5-1998")
    with torch.no_grad():
        expected = build(ModelConfig(), 0)(torch.from_numpy(normalise(IMAGES)))
        torch.testing.assert_close(net(torch.from_numpy(IMAGES)), expected, rtol=0, atol=0)
    for wrong in (torch.zeros(1, 28, 28), torch.zeros(1, 32, 32, dtype=torch.uint8)):
        with pytest.raises(ValueError, match=r"not torch\.uint8"):
            net(wrong)


def test_answers(place: Path) -> None:
    released(place)
    released(place, "lenet5-modern", MODERN)
    for name, job, best in (("lenet5-1998", OF_1998, torch.argmin), ("lenet5-modern", MODERN, torch.argmax)):
        net, output = load_pretrained(name), expected_output(job)
        if name == "lenet5-modern":
            output = output.softmax(1)
        for answer, row in zip(net.answers(IMAGES), output, strict=True):
            assert answer.label == int(best(row))
            assert answer.score == pytest.approx(float(row[answer.label]))
            assert answer.margin == pytest.approx(abs(float(row[answer.label] - row[answer.runner_up])))
            others = [k for k in range(10) if k not in (answer.label, answer.runner_up)]
            assert all(abs(float(row[answer.label] - row[k])) >= answer.margin - 1e-6 for k in others)
        assert net.score_name == ("probability" if name == "lenet5-modern" else "penalty")


def test_card(place: Path) -> None:
    finished_run(place / "outputs", OF_1998)
    collect(place / "outputs" / "lenet5", place / "results")
    text = released(place).with_suffix(".md").read_text(encoding="utf-8")
    errors = (expected_output(OF_1998).argmin(1).numpy() != DATA.test_labels).sum()
    for part in (
        *("# lenet5-1998\n", "60,000 trainable parameters", "experiment=lenet5`", "| seed | 0, the first of its job;"),
        *(f"{errors} of 60 images", f"PyTorch: {errors} of 60 |", "mean ± std of 2 seeds (results/runs/lenet5.csv)"),
        *("c0ffeec0ffee", "torch " + torch.__version__, "no class for what is no digit", "MIT", "10.1109/5.726791"),
        *("eta_factor: 1.0", "rbf_factor: 0.5"),
    ):
        assert part in text
    for private in (str(place), "outputs", "dir:", "workers"):
        assert private not in text


def test_refused_runs(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = place / "outputs"
    good = finished_run(outputs, OF_1998)

    def refused(folder: Path, message: str, job: Config | None = OF_1998) -> None:
        with pytest.raises(PaperLenetError, match=message) as error:
            release(folder, "lenet5-1998", place / "weights", place / "results", job)
        assert "\n" not in str(error.value) and str(place) in str(error.value)
        assert not (place / "weights").exists()

    refused(good.with_name("seed-1"), "the first seed is 0: a network must not be picked")
    refused(good.with_name("seed-1"), "the first seed is 0", None)
    refused(good, "lenet5-1998 is of lenet5 .*, not of lenet5 ", replace(OF_1998, model=ModelConfig(rbf_factor=2)))
    refused(good, "lenet5-1998 is of fig5", replace(OF_1998, name="fig5"))
    refused(place, "metrics.json: cannot be read")

    collect(outputs / "lenet5", place / "results")
    shutil.rmtree(outputs)
    refused(finished_run(outputs, OF_1998, (1,)), "the first seed is 0", None)  # seed 0 was looked at and left out

    digits = replace(DATA, name="digits")
    refused(finished_run(outputs, replace(OF_1998, data=DataConfig(name="digits")), data=digits), "digits, not MNIST")
    held_out = replace(DATA, split="validation")
    job = replace(OF_1998, data=DataConfig(validation=60))
    refused(finished_run(outputs, job, data=held_out), "split validation", None)

    good = finished_run(outputs, OF_1998)
    reseal(good, status="diverged")
    refused(good, "its status is diverged")
    clean_tree(monkeypatch, dirty=True)
    refused(finished_run(outputs, OF_1998), "uncommitted changes")
    clean_tree(monkeypatch)

    good = finished_run(outputs, OF_1998)
    weights = good / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    refused(good, r"weights\.safetensors: changed since its run ended")
    shutil.copy(good.with_name("seed-1") / "weights.safetensors", weights)
    reseal(good)
    refused(good, "of another run: .*, seed 1")
    about, _ = read_tensors(weights)
    _, other = read_tensors(weights)
    weights.write_bytes(tensor_bytes({**about, "seed": 0}, other))
    reseal(good)
    refused(good, "its weights do not give the errors that it recorded")


def test_changed_files_are_refused(place: Path) -> None:
    path = released(place)
    other = released(place, "lenet5-modern", MODERN)
    content = path.read_bytes()

    def refused(change: Callable[[], object], message: str, name: str = "lenet5-1998") -> None:
        change()
        with pytest.raises((RecordError, ValueError), match=message) as error:
            load_pretrained(name)
        assert "\n" not in str(error.value)
        path.write_bytes(content)

    refused(lambda: path.write_bytes(content[:-1] + b"\0"), r"1998\.safetensors: damaged, or not the released file")
    refused(lambda: shutil.copy(other, path), r"1998\.safetensors: damaged, or not the released file")
    refused(path.unlink, r"1998\.safetensors: cannot be read: No such file")
    refused(lambda: None, "lenet: no such network; there are lenet5-1998, lenet5-modern, front-1998$", "lenet")
    digests = path.with_name(pretrained.DIGESTS)
    sealed_list = digests.read_text(encoding="utf-8")
    refused(
        lambda: digests.write_text(sealed_list.replace(sha256(content), "0" * 64), encoding="utf-8"),
        r"digests\.json: damaged",
    )
    refused(digests.unlink, "lenet5-1998: not released yet")
    digests.write_text(sealed_list, encoding="utf-8")
    load_pretrained("lenet5-1998")


def test_foreign_files_are_refused(place: Path) -> None:
    path = released(place)
    about, tensors = read_tensors(path)
    small = {**tensors, "c1.bias": tensors["c1.bias"][:3]}
    for content, message in (
        (b"", "cannot be read"),
        (tensor_bytes({"step": 3}, tensors), "released: 'model'"),
        (tensor_bytes(about, {**tensors, "x": tensors["c1.bias"]}), "x: missing, or not a parameter"),
        (tensor_bytes(about, small), r"c1\.bias: not \(6,\) finite numbers"),
        (tensor_bytes(about, {**tensors, "c1.bias": tensors["c1.bias"] * np.nan}), r"c1\.bias: not \(6,\) finite"),
        (tensor_bytes({**about, "model": {**about["model"], "output": "linear"}}, tensors), r"output\.bias"),
        (tensor_bytes({**about, "model": {**about["model"], "geometry": "resized"}}, tensors), "geometry=resized"),
        (tensor_bytes({**about, "model": {**about["model"], "blank": True}}, tensors), "single characters"),
        (tensor_bytes({**about, "model": {**about["model"], "depth": 7}}, tensors), "depth"),
    ):
        path.write_bytes(content)
        with pytest.raises(RecordError, match=message) as error:
            load_file(path)
        assert "\n" not in str(error.value) and str(path) in str(error.value)


def test_command(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    folder = finished_run(place / "outputs", OF_1998)
    there = ("--into", place / "weights", "--results", place / "results")
    assert call(monkeypatch, "release", folder, "lenet5-1998", *there) == 0
    assert load_pretrained("lenet5-1998").about["seed"] == 0
    for arguments, message in (
        ((folder, "mine"), "mine: not one of lenet5-1998, lenet5-modern; --into FOLDER takes any name"),
        ((folder, "../mine", *there), "a name has letters"),
        ((folder, "lenet5-modern", *there), "lenet5-modern is of modern"),
        ((place / "nowhere", "lenet5-1998", *there), "nowhere"),
    ):
        capsys.readouterr()
        assert call(monkeypatch, "release", *arguments) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("release: ") and message in line
    assert call(monkeypatch, "release", folder, "mine", *there) == 0
    assert set(read_sealed(place / "weights" / pretrained.DIGESTS)) == {"lenet5-1998", "mine"}
    (code,) = re.findall(r"^```python\n(.*?)^```$", (place / "weights" / "mine.md").read_text("utf-8"), re.M | re.S)
    scope = {"images": torch.zeros(3, 28, 28, dtype=torch.uint8)}
    monkeypatch.chdir(place / "weights")
    exec(code, scope)
    assert 'load_file(Path("mine.safetensors"))' in code and scope["output"].shape == (3, 10)


def test_hub(place: Path) -> None:
    released(place)
    released(place, "lenet5-modern", MODERN)
    for entry, job in (("lenet5_1998", OF_1998), ("lenet5_modern", MODERN)):
        net = torch.hub.load(str(ROOT), entry, source="local")
        with torch.no_grad():
            torch.testing.assert_close(net(torch.from_numpy(IMAGES)), expected_output(job), rtol=0, atol=0)
        torch.manual_seed(1)
        fresh = torch.hub.load(str(ROOT), entry, source="local", pretrained=False)
        assert fresh.training
        assert not torch.equal(fresh.network.c1.weight, net.network.c1.weight)
    shown = {name for name, value in runpy.run_path(str(ROOT / "hubconf.py")).items() if callable(value)}
    assert {name for name in shown if not name.startswith("_")} == {"lenet5_1998", "lenet5_modern"}


def test_import_stays_cheap() -> None:
    code = "import sys, paper_lenet; sys.exit(any(m in sys.modules for m in ('torch', 'numpy', 'pandas')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
    with pytest.raises(AttributeError, match="load_nothing"):
        _ = paper_lenet.load_nothing


def test_what_is_released_here_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The committed files, as many as there are."""
    folder = ROOT / "paper_lenet" / "weights"
    monkeypatch.setattr(pretrained, "WEIGHTS", folder)
    for name, digest in pretrained.digests(folder).items():
        assert name in (*RELEASED, FRONT)
        assert load_pretrained(name).about["name"] == name
        assert f"SHA-256 {digest}" in (folder / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_onnx(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    released(place)
    output = place / "net.onnx"
    assert call(monkeypatch, "export_onnx", "lenet5-1998", "--output", output) == 0
    session = onnxruntime.InferenceSession(output.read_bytes())
    (found,) = session.run(["penalties"], {"images": IMAGES[:3]})
    np.testing.assert_allclose(found, expected_output(OF_1998)[:3].numpy(), rtol=1e-4)
    assert str(ROOT).encode() not in output.read_bytes()

    output.unlink()
    right = onnxruntime.InferenceSession.run
    monkeypatch.setattr(onnxruntime.InferenceSession, "run", lambda *given: [right(*given)[0] * 1.001])
    assert call(monkeypatch, "export_onnx", "lenet5-1998", "--output", output) == 1
    assert "ONNX Runtime differs from PyTorch" in capsys.readouterr().err
    assert not output.exists()


def test_onnx_without_its_packages(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    released(place)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    for name, message in (
        ("lenet5-1998", "pip install onnx "),
        ("lenet", "there are lenet5-1998"),
    ):
        assert call(monkeypatch, "export_onnx", name, "--output", place / "net.onnx") == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("export: ") and message in line
    assert not (place / "net.onnx").exists()


def test_releases_keep_each_others_digests(place: Path) -> None:
    path = released(place)
    released(place, "lenet5-modern", MODERN)
    entries = json.loads(path.with_name(pretrained.DIGESTS).read_text(encoding="utf-8"))
    assert sealed({k: v for k, v in entries.items() if k != "sha256"}) == entries
    assert set(entries) == {"lenet5-1998", "lenet5-modern", "sha256"}
