"""What `make reproduce` trains, and where its results go: never over the committed ones by accident."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from synthetic_runs import ROOT

from paper_lenet.commands import noise, reproduce
from paper_lenet.data import DIRECTORY_VARIABLE, DataUnavailable

OWN = ["--results", "outputs/results"]


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that are run; none of them is."""
    commands: list[list[str]] = []
    for module in (reproduce, noise):
        monkeypatch.setattr(module, "step", lambda *command: commands.append(list(command)))
    monkeypatch.setattr(reproduce, "load", lambda config: None)
    return commands


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["reproduce", *arguments])
    return reproduce.main()


def test_a_quick_look_goes_to_ones_own_results(monkeypatch: pytest.MonkeyPatch, steps: list[list[str]]) -> None:
    assert run(monkeypatch, "optim.passes=1", "output=mine", "name=quick") == 0
    train, collect, tables, figures = steps
    assert train == ["train", "experiment=lenet5", "optim.passes=1", "output=mine", "name=quick"]
    assert collect[:3] == ["collect", "mine/quick", "--fingerprint"] and collect[4:] == ["--partial", *OWN]
    assert [tables, figures] == [["tables", "quick", *OWN], ["figures", "quick", *OWN]]


def test_only_the_experiment_itself_is_published(
    monkeypatch: pytest.MonkeyPatch, steps: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    for override in ("optim.passes=1", "name=mine", "seeds=[0]"):
        assert run(monkeypatch, override, "--publish") == 1
        assert "without overrides" in capsys.readouterr().err and not steps
    assert run(monkeypatch, "--publish", "engine.workers=1") == 0
    assert [command[-1] for command in steps[1:]] == ["--publish"] * 3


def test_the_small_digits_only_where_no_place_was_named(
    monkeypatch: pytest.MonkeyPatch, steps: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    def unavailable(config: object) -> None:
        if getattr(config, "name", "") == "mnist":
            raise DataUnavailable("no MNIST")

    load = reproduce.__dict__["load"]
    monkeypatch.setattr(reproduce, "load", unavailable)
    assert run(monkeypatch, "--publish") == 1
    assert capsys.readouterr().err == "error: no MNIST\n" and not steps
    assert run(monkeypatch, "optim.passes=1") == 0
    assert "Its numbers are NOT MNIST's" in capsys.readouterr().err
    assert steps[0] == ["train", "experiment=lenet5", "optim.passes=1", "data=digits"]
    assert steps[2][:2] == ["tables", "lenet5-digits"]
    steps.clear()
    monkeypatch.setattr(reproduce, "load", load)
    assert run(monkeypatch, "data=digits") == 0
    assert steps[2][:2] == ["tables", "lenet5-digits"]


@pytest.mark.parametrize("by_variable", [True, False])
def test_a_named_place_without_mnist(
    by_variable: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reproduce, "step", lambda *command: pytest.fail("nothing should be run"))
    monkeypatch.delenv(DIRECTORY_VARIABLE, raising=False)
    if by_variable:
        monkeypatch.setenv(DIRECTORY_VARIABLE, "nowhere")
    assert run(monkeypatch, *([] if by_variable else ["data.dir=nowhere"])) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: nowhere/MNIST/raw/") and "missing" in line


@pytest.mark.parametrize("override", ["experiment=modern", "+experiment=modern", "hydra/launcher=joblib", "bogus=1"])
def test_overrides_that_are_refused(
    override: str, monkeypatch: pytest.MonkeyPatch, steps: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, override) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert override.strip("+=1") in line and not steps


def test_noise(monkeypatch: pytest.MonkeyPatch, steps: list[list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["noise", "optim.passes=1", "--results", "nowhere"])
    assert noise.main() == 0
    assert steps == [["train", "experiment=noise", "optim.passes=1"],
                     ["collect", "outputs/noise", "--results", "nowhere"]]  # fmt: skip
    assert "needs nowhere/runs/noise.csv" in capsys.readouterr().out
    steps.clear()
    monkeypatch.setattr(sys, "argv", ["noise", "--publish"])
    assert noise.main() == 0
    assert steps[-1] == ["tables", "noise", "--publish"]


def test_one_place_says_where_results_are() -> None:
    """release.py reads the committed ones: its weights are committed, too; a GPU's have a folder of their own."""
    scripts = sorted((Path(reproduce.__file__).parent).glob("*.py"))
    naming = {
        script.stem for script in scripts if re.search(r'"(outputs/)?results["/]', script.read_text(encoding="utf-8"))
    }
    assert naming == {"places", "gpu", "release"}


def test_make_publishes_only_when_told() -> None:
    def lines(target: str, *options: str) -> list[str]:
        command = ["make", "-n", target, *options]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        writing = r"experiments/(?!train)\w+\.py|pytest tests/faults"
        return [line for line in done.stdout.splitlines() if re.search(writing, line)]

    for target in ("readings", "figures-3b", "tutorials", "ablations", "comparison", "test-faults", "bench"):
        assert lines(target) and not any("--publish" in line for line in lines(target))
        assert all("--publish" in line for line in lines(target, "PUBLISH=1"))
    assert not any("--publish" in line for line in lines("reproduce", "PUBLISH=1"))
    assert all("--publish" in line for target in ("tables", "figures", "report") for line in lines(target))
    assert all("--check" in line for line in lines("check"))
