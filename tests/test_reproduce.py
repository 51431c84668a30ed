"""What `make reproduce` trains, and where its results go: never over the committed ones by accident."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from synthetic_runs import ROOT

from paper_lenet.commands import composition, entry, reproduce, study
from paper_lenet.config import Config
from paper_lenet.config.studies import studies
from paper_lenet.data import DIRECTORY_VARIABLE, DataUnavailable
from paper_lenet.reporting.figures import build as figures
from paper_lenet.reporting.page.build import SECTIONS
from paper_lenet.reporting.tables import build as tables

OWN = ["--results", "outputs/results"]


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that are run; none of them is."""
    commands: list[list[str]] = []
    monkeypatch.setattr(reproduce, "step", lambda *command: commands.append(list(command)))
    monkeypatch.setattr(reproduce, "load", lambda config: None)
    return commands


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["reproduce", *arguments])
    return entry.run("reproduce")


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
    assert capsys.readouterr().err == "reproduce: no MNIST\n" and not steps
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
    assert line.startswith("reproduce: nowhere/MNIST/raw/") and "missing" in line


@pytest.mark.parametrize("override", ["experiment=modern", "+experiment=modern", "hydra/launcher=joblib", "bogus=1"])
def test_overrides_that_are_refused(
    override: str, monkeypatch: pytest.MonkeyPatch, steps: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, override) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert override.strip("+=1") in line and not steps


@pytest.fixture
def study_steps(steps: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that `study` would run; no data are looked for."""
    monkeypatch.setattr(study, "step", lambda *command: steps.append(list(command)))
    monkeypatch.setattr(composition, "_check_data", lambda jobs: None)
    return steps


def run_study(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["study", *arguments])
    return entry.run("study")


def test_study(
    monkeypatch: pytest.MonkeyPatch, study_steps: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_study(monkeypatch, "noise", "optim.passes=1", "--results", "nowhere") == 0
    where = ["--results", "nowhere"]
    assert study_steps == [["train", "study=noise", "optim.passes=1"], ["collect", "outputs/noise", *where],
                           ["tables", *where], ["figures", *where]]  # fmt: skip
    assert "needs nowhere/runs/noise.csv" in capsys.readouterr().out
    study_steps.clear()
    assert run_study(monkeypatch, "noise", "engine.workers=1", "--publish") == 0
    assert study_steps[-2:] == [["tables", "--publish"], ["figures", "--publish"]]


def test_studies_of_a_target(monkeypatch: pytest.MonkeyPatch, study_steps: list[list[str]]) -> None:
    """What chooses something comes first, and what measures the networks after they are trained."""
    monkeypatch.setattr(study, "check_sweep", lambda overrides, _: [(Config(name=overrides[0].split("=")[1]), "")])
    assert run_study(monkeypatch, "comparison", "ablation-best") == 0
    trained = [step[1].removeprefix("study=") for step in study_steps if step[0] == "train"]
    assert set(trained) == {
        "choice-comparison",
        "choice-printed",
        "comparison-nets",
        "ablation-best",
    }
    assert trained.index("choice-comparison") < trained.index("comparison-nets")
    at = study_steps.index(["collect", "outputs/comparison-nets", "--results", "outputs/results"])
    assert [step[0] for step in study_steps[at + 1 : at + 4]] == ["comparison", "comparison", "invariance"]
    assert study_steps[at + 1][1] == "--choose"


def test_mistakes_of_studies(
    monkeypatch: pytest.MonkeyPatch, study_steps: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    mistakes = {
        "ablation-lader": "ablation-lader: no such study or target; did you mean ablation-ladder",
        "noise optim.passes=1 --publish": "optim.passes=1: only a study as it is can be published",
        "noise optim.passes=0": "optim.passes=0: must be at least 1",
        "noise study.time=1": "study.time=1: stands in the study's own file alone",
    }
    for arguments, message in mistakes.items():
        assert run_study(monkeypatch, *arguments.split()) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("study: ") and message in line
    assert not study_steps


def test_studies_name_targets_and_sections_that_there_are() -> None:
    there = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {study.target for study in studies().values()} - {""} <= there
    shown = [study.shown for study in studies().values()]
    shown += [each.shown for found in (tables.generated(), figures.generated()) for each in found.values()]
    assert {each.section for each in shown} <= {section.key for section in SECTIONS}


def test_all_studies_are_listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_study(monkeypatch) == 0
    listed = capsys.readouterr().out
    for path in (ROOT / "conf" / "study").glob("*.yaml"):
        assert f"{path.stem}: " in listed
    assert "make ablations" in listed and "python experiments/study.py noise" in listed


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
        writing = r"experiments/\w+\.py|pytest tests/faults"
        return [line for line in done.stdout.splitlines() if re.search(writing, line)]

    for target in ("readings", "figures-3b", "tutorials", "ablations", "comparison", "test-faults", "bench"):
        assert lines(target) and not any("--publish" in line for line in lines(target))
        assert all("--publish" in line for line in lines(target, "PUBLISH=1"))
    assert not any("--publish" in line for line in lines("reproduce", "PUBLISH=1"))
    assert all("--publish" in line for target in ("tables", "figures", "report") for line in lines(target))
    assert all("--check" in line for line in lines("check"))
