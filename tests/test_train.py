"""The entry point: every experiment runs, every mistake is one line, and what was trained before a failure is kept."""

from __future__ import annotations

import csv
import dataclasses
import json
import logging
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path
from typing import Any

import hydra
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import MissingConfigException
from omegaconf import OmegaConf
from synthetic_runs import ROOT, call

from paper_lenet import paper
from paper_lenet.commands import composition, sweeps
from paper_lenet.config import (
    Config,
    ConfigError,
    DataConfig,
    DistortConfig,
    EngineConfig,
    InitConfig,
    LossConfig,
    ModelConfig,
    OptimConfig,
)
from paper_lenet.config.rules import CHOICES as FIELD_CHOICES
from paper_lenet.config.rules import OWN
from paper_lenet.config.studies import studies
from paper_lenet.data import load
from paper_lenet.engines.reference import net
from paper_lenet.network.lenet5 import build
from paper_lenet.network.paper_net import PaperNet
from paper_lenet.runs import job, records, training, workers
from paper_lenet.runs.records import run_folder

CONF = ROOT / "conf"
RECIPES = [f"experiment={path.stem}" for path in sorted((CONF / "experiment").glob("*.yaml"))]
RECIPES += [f"study={path.stem}" for path in sorted((CONF / "study").glob("*.yaml"))]
# A moment, whatever else is asked for.
TINY = (
    *("data=digits", "data.train_size=10", "data.skip=0", "data.validation=0"),
    *("engine=reference", "optim.passes=1"),
)
FEW_SAMPLES = "optim.hessian_samples=3"


def in_threads(workers: int, _: object, initializer: Any, initargs: Any) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers, initializer=initializer, initargs=initargs)


@pytest.fixture(autouse=True)
def in_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Seeds in threads, a working folder of one's own, and no trace of Hydra's logging."""
    monkeypatch.setattr(workers, "ProcessPoolExecutor", in_threads)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    handlers, level, threads = root.handlers[:], root.level, torch.get_num_threads()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    torch.set_num_threads(threads)
    GlobalHydra.instance().clear()


def composed(*overrides: str) -> Config:
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        return composition.to_config(hydra.compose("config", list(overrides)))


def metrics_of(config: Config, seed: int) -> dict[str, Any]:
    return json.loads((run_folder(config, seed) / "metrics.json").read_text(encoding="utf-8"))


# Configurations


def test_composed_default_is_the_schema_s() -> None:
    assert composed() == Config()


# What minibatches go with.
MINIBATCH: dict[str, Any] = {"batch": 64, "schedule": "onecycle", "order": "reshuffled"}
ALSO: dict[str, dict[str, Any]] = {
    "sgd": {**MINIBATCH, "rate": 0.05, "weight_decay": 5e-4},
    "adam": MINIBATCH,
    "adamw": {**MINIBATCH, "weight_decay": 0.01},
    "muon": {**MINIBATCH, "weight_decay": 0.01},
    "mlp": {"hidden": [300]},
    **{name: {"dir": "here"} for name in OWN},
}
PARTNERS = {
    "cross_entropy": ["model.output=linear"],
    "muon": ["engine=batched"],
    "lenet1": ["data.version=small"],
    **{name: ["data.dir=here"] for name in OWN},
}
GROUPS = ("data", "distort", "loss", "model", "optim")
CHOICES = [(p.parent.name, p.stem) for p in sorted(CONF.glob("*/*.yaml")) if p.parent.name in GROUPS]
CHOICES += [("engine", name) for name in FIELD_CHOICES["engine.name"]]


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_choice_differs_from_the_schema_by_its_name_alone(group: str, choice: str) -> None:
    """Their values stand in two places: a default that is changed in one only would never be used."""
    got = getattr(composed(f"{group}={choice}", *PARTNERS.get(choice, [])), group)
    default = getattr(Config(), group)
    if group == "distort":
        default = dataclasses.replace(default, variants={"none": 0, "paper": 9}[choice])
    else:
        default = dataclasses.replace(default, name=choice, **ALSO.get(choice, {}))
    assert got == default


def test_literal_reading() -> None:
    """The recipe as printed: ±2.4/F, Eq. 8, Eq. 7 without a factor, eta as it stands, a constant order."""
    config = composed("experiment=literal")
    assert (config.model.init.gain, config.model.init.exponent) == (2.4, 1.0)
    assert (config.model.pooling, config.model.rbf_factor, config.loss.name) == ("sum", 1.0, "eq8")
    assert [config.optim.eta_of(pass_) for pass_ in (1, 3, 6, 9, 13, 20)] == [5e-4, 2e-4, 1e-4, 5e-5, 1e-5, 1e-5]
    assert (config.optim.mu, config.optim.hessian_samples) == (0.02, 500)
    assert (config.optim.order, config.optim.passes, config.optim.cross_terms) == ("constant", 20, "dropped")
    assert (config.data.train_size, config.data.validation, config.distort.variants) == (None, 0, 0)


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipe_runs(recipe: str, tmp_path: Path) -> None:
    """The last of its jobs, trained for a moment on the embedded digits."""
    node = OmegaConf.select(OmegaConf.load(f"{CONF / recipe.replace('=', '/')}.yaml"), "study.configurations")
    configurations: Any = OmegaConf.to_container(node) if node else []
    parser = OverridesParser.create()
    last = sweeps.jobs(parser, configurations, None, parser.parse_overrides([recipe]))[-1]
    config = composed(*last, *TINY, f"output={tmp_path}")
    if config.optim.name == "sdlm":
        config = composed(*last, *TINY, FEW_SAMPLES, f"output={tmp_path}")
    few = dataclasses.replace(config.data, test_size=20 if config.data.test_size is None else config.data.test_size)
    training.train_seed(config, load(few), 0, lambda progress: None)
    metrics = metrics_of(config, 0)
    assert metrics["name"] == config.name
    assert (metrics["passes"], metrics["train_size"], metrics["diverged_at"]) == (1, 10, "")


@pytest.mark.parametrize("name", [path.stem for path in sorted((CONF / "study").glob("*.yaml"))])
def test_study_has_its_own_name(name: str) -> None:
    """Runs, tables and figures are found by it."""
    node = OmegaConf.load(CONF / "study" / f"{name}.yaml")
    assert OmegaConf.select(node, "name") == studies()[name].name == name


@pytest.mark.parametrize("name", [path.stem for path in sorted((CONF / "experiment").glob("*.yaml"))])
def test_experiment_says_what_it_is_for(name: str) -> None:
    lines = (CONF / "experiment" / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# @package _global_"
    assert lines[1].startswith(("# Claim: ", "# Question: "))
    for heading in ("# Command: ", "# Time: "):
        assert sum(line.startswith(heading) for line in lines) == 1
    (command,) = (line for line in lines if line.startswith("# Command: "))
    assert "make " in command or f"experiment={name}" in command


# Jobs


def test_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Each entry of its configurations is a job, or several, and each job a row of its own."""
    options = ("study=quarter-deviations", *TINY, FEW_SAMPLES, "data.test_size=10", "seeds=[0]")
    assert call(monkeypatch, "train", *options, f"output={tmp_path}") == 0
    assert capsys.readouterr().err == ""
    found = [OmegaConf.load(path) for path in tmp_path.glob("quarter-deviations/*/seed-0/config.yaml")]
    assert len(found) == len(studies()["quarter-deviations"].configurations)
    assert {config["model"]["init"]["gain"] for config in found} == {0.9, 1.1}
    assert [
        config["model"]["init"]["coefficient_value"] for config in found if config["model"]["pooling"] == "average"
    ] == [2.2]


def test_sweep_of_an_experiment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the command line to the records: two jobs of two seeds; the wrong indices are the errors counted."""
    options = (
        "-m",
        "experiment=smoke",
        *TINY,
        FEW_SAMPLES,
        "data.test_size=50",
        "seeds=[3,4]",
        "model.pooling=sum,average",
    )
    assert call(monkeypatch, "train", *options, f"output={tmp_path}") == 0
    out, err = capsys.readouterr()
    assert err == ""
    folders = sorted((tmp_path / "smoke").iterdir())
    assert len(folders) == 2
    for folder in folders:
        assert json.loads((folder / "job.json").read_text(encoding="utf-8"))["seeds"] == [3, 4]
        for seed in (3, 4):
            metrics = json.loads((folder / f"seed-{seed}" / "metrics.json").read_text(encoding="utf-8"))
            assert (metrics["dataset"], metrics["test_size"], metrics["seed"]) == ("digits", 50, seed)
            with (folder / f"seed-{seed}" / "errors.csv").open(encoding="utf-8") as file:
                assert len(list(csv.DictReader(file))) == metrics["test_errors"]
            assert out.count(f"smoke seed {seed} pass 1/1: training ") == 2
    assert not (tmp_path / "outputs").exists()


def test_interrupted_sweep_has_recorded_what_was_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(config: Config) -> None:
        raise training.Interrupted("smoke: 2 of 2 seeds are unfinished")

    monkeypatch.setattr(job, "run", interrupt)
    options = ("-m", "experiment=smoke", *TINY, "seeds=[3,4]", "model.pooling=sum,average", f"output={tmp_path}")
    assert call(monkeypatch, "train", *options) == 75
    planned = [records.read_job(folder) for folder in (tmp_path / "smoke").iterdir()]
    assert [each.seeds for each in planned] == [[3, 4]] * 2
    assert sorted("model.pooling=average" in each.words() for each in planned) == [False, True]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_as_a_job_ends_stops_the_sweep(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All seeds of that job have ended, so that it has nothing to say of it."""
    trained: list[Config] = []

    def last_seeds_end(config: Config, groups: list[list[int]], *_: object) -> Iterator[tuple[int, None]]:
        trained.append(config)
        os.kill(os.getpid(), number)
        yield from ((seed, None) for group in groups for seed in group)

    monkeypatch.setattr(job, "train_all", last_seeds_end)
    options = ("-m", "experiment=smoke", *TINY, "model.pooling=sum,average", f"output={tmp_path}")
    assert call(monkeypatch, "train", *options) == 75
    assert len(trained) == 1
    assert [line.partition(":")[0] for line in capsys.readouterr().err.splitlines()] == ["interrupted"]


def test_engine_by_its_name() -> None:
    for name in FIELD_CHOICES["engine.name"]:
        assert training.engine(Config(engine=EngineConfig(name))).__name__ == f"paper_lenet.engines.{name}"


def test_seed_that_diverges_leaves_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a sweep, whose next job goes on."""

    def partly_poisoned(config: ModelConfig, seed: int) -> PaperNet:
        model = build(config, seed)
        if seed == 1 and config.pooling == "sum":
            with torch.no_grad():
                model.s4.bias[5] = math.nan
        return model

    monkeypatch.setattr(net, "build", partly_poisoned)
    options = ("experiment=smoke", *TINY, FEW_SAMPLES, "seeds=[0,1,2]", f"output={tmp_path}")
    assert call(monkeypatch, "train", "-m", *options, "model.pooling=sum,average") == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "1 of 3 seeds failed: seed 1: a penalty is not finite in pass 1, update 1" in lines[0]
    assert "model.pooling=sum" in lines[0]
    config = composed(*options, "model.pooling=sum")
    failed = metrics_of(config, 1)
    assert (failed["status"], failed["diverged_at"], failed["passes"]) == ("diverged", "pass 1 update 1", 0)
    assert failed["test_error_percent"] is None
    assert not (run_folder(config, 1) / "weights.safetensors").exists()
    other = composed(*options, "model.pooling=average")
    for sound, seed in ((config, 0), (config, 2), (other, 0), (other, 1), (other, 2)):
        assert (metrics_of(sound, seed)["passes"], metrics_of(sound, seed)["diverged_at"]) == (1, "")
        assert (run_folder(sound, seed) / "weights.safetensors").exists()


def test_guessing_is_said_while_training_and_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With bounds so low that ten patterns are a whole training, and any error is that of guessing."""
    for module in (records, job):
        monkeypatch.setattr(module, "GUESSING_PERCENT", 0.0)
    monkeypatch.setattr(paper, "TRAIN_SIZE", 10)
    assert call(monkeypatch, "train", "experiment=smoke", *TINY, "seeds=[0]", f"output={tmp_path}") == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("smoke seed 0 pass 1/1: training " in line and ", still guessing, " in line for line in lines)
    assert any("smoke seed 0: diverged: it ended at guessing, " in line for line in lines)


def test_seeds_in_processes_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """With a rate that is too large in the third pass: the first two are kept, and the failure comes out whole."""
    monkeypatch.setattr(workers, "ProcessPoolExecutor", ProcessPoolExecutor)
    tiny = [option for option in TINY if option != "optim.passes=1"]
    options = ("experiment=smoke", *tiny, FEW_SAMPLES, "optim.passes=3", "optim.eta=[1e-4,1e-4,1e38]", "seeds=[5]")
    assert call(monkeypatch, "train", *options, f"output={tmp_path}") == 1
    out, err = capfd.readouterr()
    assert err.startswith("error: 1 of 1 seeds failed: seed 5: a penalty is not finite in pass 3, update 2")
    assert err.count("\n") == 1
    assert "smoke seed 5 pass 2/3: training " in out
    (path,) = tmp_path.glob("smoke/*/seed-5/metrics.json")
    metrics = json.loads(path.read_text(encoding="utf-8"))
    assert (metrics["status"], metrics["diverged_at"], metrics["passes"]) == ("diverged", "pass 3 update 2", 2)
    with (path.parent / "passes.csv").open(encoding="utf-8") as file:
        assert [row["pass"] for row in csv.DictReader(file)] == ["1", "2"]


def test_worker_killed_before_it_is_given_all_seeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Pool(ThreadPoolExecutor):
        def __init__(self, workers: int, _: object, initializer: Any, initargs: Any) -> None:
            super().__init__(workers, initializer=initializer, initargs=initargs)
            self.given = 0

        def submit(self, *arguments: Any) -> Any:  # type: ignore[override]
            self.given += 1
            if self.given > 1:
                wait([self.first])  # killed when it has done what it had been given
                raise BrokenProcessPool("a child process terminated abruptly")
            self.first = super().submit(*arguments)
            return self.first

    monkeypatch.setattr(workers, "ProcessPoolExecutor", Pool)
    options = ("experiment=smoke", *TINY, FEW_SAMPLES, "seeds=[0,1,2]", "engine.workers=1")
    assert call(monkeypatch, "train", *options, f"output={tmp_path}") == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert err.startswith("error: 2 of 3 seeds failed: ") and err.count("a worker process was killed") == 2
    assert len(list(tmp_path.glob("smoke/*/seed-0/metrics.json"))) == 1


def interrupted_in_a_library(result: object = None) -> object:
    """As of a library that makes an error of its own of an interrupt; or loses it, where there is a result."""
    with suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
        pytest.fail("no interrupt")
    if result is None:
        raise RuntimeError("two lines\nof a library")
    return result


@pytest.mark.parametrize("lost", [False, True], ids=["error", "lost"])
@pytest.mark.parametrize("where", ["compose", "load"])
def test_interrupt_that_a_library_swallows(
    where: str, lost: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """While the configuration is composed, and in a job before its workers start."""
    module: Any = {"compose": hydra, "load": job}[where]
    original = getattr(module, where)
    monkeypatch.setattr(
        module, where, lambda *args, **more: interrupted_in_a_library(original(*args, **more) if lost else None)
    )
    options = ("experiment=smoke", *TINY, f"output={tmp_path}")
    for arguments in (options, ("-m", *options, "model.pooling=sum,average")):
        assert call(monkeypatch, "train", *arguments) == 75
        lines = capfd.readouterr().err.splitlines()
        assert len(lines) == 1
        assert lines[0].startswith("interrupted: ") and "the same command goes on" in lines[0]
        assert not list(tmp_path.rglob("metrics.json"))
    monkeypatch.undo()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# Mistakes

OUT_OF_RANGE = {
    "data.name": (DataConfig, "cifar"),
    "data.train_size": (DataConfig, 0),
    "data.validation": (DataConfig, -1),
    "data.test_size": (DataConfig, -1),
    "data.skip": (DataConfig, -1),
    "data.input": (DataConfig, "grey"),
    "distort.variants": (DistortConfig, -1),
    "distort.strength": (DistortConfig, math.nan),
    "distort.squeeze": (DistortConfig, [1.1, 0.9]),
    "distort.shear": (DistortConfig, math.inf),
    "model.name": (ModelConfig, "lenet6"),
    "model.pooling": (ModelConfig, "max"),
    "model.rbf_factor": (ModelConfig, 0.0),
    "model.init.gain": (InitConfig, math.inf),
    "model.init.exponent": (InitConfig, math.nan),
    "model.init.bias": (InitConfig, "one"),
    "model.init.coefficient": (InitConfig, "zero"),
    "model.init.coefficient_value": (InitConfig, math.nan),
    "loss.name": (LossConfig, "eq10"),
    "loss.j": (LossConfig, 0.0),
    "loss.curvature": (LossConfig, "none"),
    "optim.passes": (OptimConfig, 0),
    "optim.eta": (OptimConfig, [1e-4, 0.0]),
    "optim.eta_factor": (OptimConfig, -1.0),
    "optim.mu": (OptimConfig, math.nan),
    "optim.hessian_samples": (OptimConfig, 0),
    "optim.order": (OptimConfig, "sorted"),
    "optim.cross_terms": (OptimConfig, "some"),
    "engine.name": (EngineConfig, "slow"),
    "engine.precision": (EngineConfig, "float16"),
    "engine.summation": (EngineConfig, -1),
    "engine.workers": (EngineConfig, -1),
    "name": (Config, "a/b"),
    "seeds": (Config, [3, 3]),
}


@pytest.mark.parametrize("key", OUT_OF_RANGE)
def test_value_out_of_range_names_its_key(key: str) -> None:
    section, value = OUT_OF_RANGE[key]
    with pytest.raises(ConfigError) as error:
        section(**{key.rsplit(".", 1)[-1]: value})
    assert str(error.value).startswith(f"{key}=")
    assert "\n" not in str(error.value)


MISTAKES = {
    "optim.pases=3": "pases",
    "optin.passes=3": "optin",
    "+optim.foo=1": "optim.foo",
    "++model.init.foo=1": "model.init.foo",
    "~optim.mu": "optim.mu",
    "optim.passes=many": "optim.passes",
    "optim.passes=0": "optim.passes",
    "optim.eta=[1e-4,null]": "optim.eta",
    "optim.mu=???": "mu",
    "model.init={gain:0}": "model.init.gain",
    "seeds=7": "seeds=[7]",
    "seeds=0,1": "seeds=[0,1]",
    "seeds=range(0,3)": "seeds=[0,1,2]",
    "optim.mu=0.1,0.2": "add -m",
    "hydra/launcher=joblib": "add -m",
    "change=relu change=max_pool": "change is given twice: change=relu and change=max_pool; change=[relu,max_pool] ",
    "optim.mu=0.1 optim.mu=0.2": "optim.mu is given twice: optim.mu=0.1 and optim.mu=0.2",
    "optim.etta=1": "optim.etta: no such key; did you mean optim.eta",
    "+optim.etta=1": "optim.etta: no such key; did you mean optim.eta",
    "passes=3": "passes: no such key; did you mean optim.passes?",
    "modle=lenet4": "modle: no such key; did you mean model?",
    "model=lenet6": "model=lenet6: no such choice; there are lenet1, lenet4, lenet5, mlp",
    "engine=fussed": "engine=fussed: no such choice; there are batched, fused, reference",
    "engin=fused": "engin: no such key; did you mean engine?",
    "change=rleu": "change=rleu: no such choice; did you mean relu?",
    "change=[relu,max_pol]": "change=max_pol: no such choice; did you mean max_pool",
    "study=fig55": "study=fig55: no such choice; did you mean fig5?",
    "study=ablation-lader": "study=ablation-lader: no such choice; did you mean ablation-ladder",
    "study=quarter-eq9-choice loss.j=0": "loss.j=0",
    "study=noise study.time=3": "study.time=3: stands in the study's own file alone",
    "seeds=[0": "seeds",
    "optim.passes": "optim.passes",
    "loss=eq10": "loss=eq10",
    "experiment=nothing": "experiment=nothing",
    "data.train_size=1501": "data.train_size",
    "data=mnist data.dir=/no/such/folder": "/no/such/folder",
    "output=/dev/null/here": "/dev/null",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_is_one_line(
    mistake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(job, "train_all", lambda *_: pytest.fail("trains"))
    given = [o for o in ("data=digits", "output=out") if f"{o.partition('=')[0]}=" not in mistake]
    assert call(monkeypatch, "train", *given, *mistake.split()) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ") and MISTAKES[mistake] in lines[0]
    assert not list(tmp_path.rglob("metrics.json"))


SWEEPS = {
    "optim.passes=1,0": "optim.passes=0",
    "optim.passes=1,2 +foo=1": "foo",
    "optim.passes=range(0,2)": "optim.passes",
    "loss=eq8,eq10": "loss=eq10",
    "experiment=smoke,nothing": "experiment=nothing",
    "seeds=0,1": "seeds=[0,1]",
    "optim.batch=1,1": "optim.batch=1 twice: two jobs of one sweep",
    "engine.workers=1,2": "engine.workers=1 and data=digits output=out engine.workers=2: two jobs of one sweep",
    "seeds=[0,1],[1]": "two jobs of one sweep would train the same run",
    "study=fig5,readings": "study=readings data=digits output=out: has a sweep or launcher of its own",
    "optim.mu=interval(0,1)": "optim.mu=interval(0,1): not values",
    "change=glob(*no-such*)": "a sweep of no jobs",
    "change=glob(*relu*) change=tanh": "change is given twice",
    "hydra/launcher=basic,joblib": "no sweep goes over settings of Hydra",
    "hydra/launcher=submitit_slurm": "there is no Slurm here (no sbatch on PATH)",
    "seeds=[0],[1,1]": "seeds",
    "study=quarter-eq9-choice loss.j=1,0": "loss.j",
}


@pytest.mark.parametrize("sweep", SWEEPS)
def test_mistake_in_a_sweep_starts_no_job(
    sweep: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(job, "run", lambda config: pytest.fail("a job was started"))
    monkeypatch.setattr(shutil, "which", lambda name: None)  # no Slurm
    assert call(monkeypatch, "train", "-m", "data=digits", "output=out", *sweep.split()) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ") and SWEEPS[sweep] in lines[0]
    assert not any(tmp_path.iterdir())


FILES = {
    "name: x\noptim: {passes: 3\n": "line 4: not YAML: expected ',' or '}'",
    "name: x\nname: y\n": "line 3: not YAML: found duplicate key name",
    "optim:\n  pases: 3\n": "optim.pases: no such key; did you mean optim.passes",
    "optin:\n  passes: 3\n": "optin: no such key; did you mean optim?",
    "optim:\n  passes: many\n": "optim.passes: Value 'many'",
    "optim:\n  passes: 0\n": "optim.passes=0: must be at least 1",
    "- a\n- b\n": "Cannot merge",
    "name: caf\xe9\n": "'utf-8' codec can't decode",
    "defaults:\n  - /experiment/modren\n": "experiment=modren: no such choice; there are lenet5, literal, ",
    "defaults:\n  - override /model: lenet6\n": "model=lenet6: no such choice; there are lenet1, ",
}


@pytest.fixture
def own_conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of conf/ that the entry points read."""
    conf = tmp_path / "repository" / "conf"
    shutil.copytree(CONF, conf)
    monkeypatch.setattr(composition, "CONF", str(conf))
    return conf


@pytest.mark.parametrize("group", ["experiment", "study", "change"])
@pytest.mark.parametrize("text", FILES)
def test_mistake_in_a_file_names_it(
    text: str, group: str, own_conf: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (own_conf / group / "wrong.yaml").write_bytes(f"# @package _global_\n{text}".encode("latin-1"))
    assert call(monkeypatch, "train", f"{group}=wrong") == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"error: conf/{group}/wrong.yaml") and FILES[text] in lines[0]


def test_experiment_without_its_first_line(
    own_conf: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (own_conf / "experiment" / "wrong.yaml").write_text("name: x\n", encoding="utf-8")
    assert call(monkeypatch, "train", "experiment=wrong") == 1
    line = "error: conf/experiment/wrong.yaml: its first line must be # @package _global_\n"
    assert capsys.readouterr().err == line


def test_launcher_of_one_experiment_among_several(own_conf: Path) -> None:
    text = "# @package _global_\ndefaults:\n  - override /hydra/launcher: joblib\n  - _self_\nname: own\n"
    (own_conf / "experiment" / "own.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"^data=digits experiment=own: has a sweep or launcher of its own"):
        composition.check_sweep(["data=digits", "experiment=literal,own"], True)
    assert [job_of for _, job_of in composition.check_sweep(["data=digits", "experiment=own"], True)] == [
        "data=digits experiment=own"
    ]


def test_launcher_that_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def without(*_: object, **__: object) -> None:
        raise MissingConfigException("In 'hydra/config': Could not find", "hydra/launcher/joblib", ["basic"])

    monkeypatch.setattr(hydra, "compose", without)
    assert call(monkeypatch, "train", "-m", "hydra/launcher=joblib", "optim.mu=0.1,0.2") == 1
    assert capsys.readouterr().err == (
        "error: hydra/launcher=joblib: is not installed; pip install hydra-joblib-launcher installs it\n"
    )
    assert not any(tmp_path.iterdir())


def test_several_changes_make_one() -> None:
    config = composition.compose(["change=[relu,max_pool]"])
    assert (config.model.activation, config.model.pooling) == ("relu", "max_pool")


def test_glob_goes_over_the_files_of_a_group() -> None:
    jobs = composition.check_sweep(["data=digits", "change=glob([*relu*,m*])"], True)
    assert [(job_of, config.model.activation, config.model.pooling) for config, job_of in jobs] == [
        ("data=digits change=max_pool", "scaled_tanh", "max_pool"),
        ("data=digits change=relu", "relu", "sum"),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_no_two_jobs_of_a_recipe_are_the_same(recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(composition, "_check_data", lambda jobs: None)
    composition.check_sweep([recipe], False)


def test_mistake_on_a_command_line(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "experiments" / "train.py"), "-m", "optim.passes=1,2", "optim.pases=3"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("error: ") and "pases" in done.stderr
    assert not any(tmp_path.iterdir())


def test_processes_end_with_a_command_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "command.py"
    script.write_text(
        "import os, time\n"
        "from paper_lenet.runs.workers import processes\n"
        "if __name__ == '__main__':\n"
        "    with processes(1) as pool:\n"
        "        print(pool.submit(os.getpid).result(), flush=True)\n"
        "        pool.submit(time.sleep, 600).result()\n",
        encoding="utf-8",
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment) as command:
        assert command.stdout is not None
        worker = int(command.stdout.readline())
        command.kill()
    ends = time.monotonic() + 20
    while time.monotonic() < ends and Path(f"/proc/{worker}").exists():
        time.sleep(0.05)
    assert not Path(f"/proc/{worker}").exists()


def test_on_a_system_without_posix_signals(tmp_path: Path) -> None:
    """As Windows is: no SIGUSR1 and 2, no masks, no affinity; two workers train."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal\n"
        "del signal.SIGUSR1, signal.SIGUSR2, signal.pthread_sigmask, os.sched_getaffinity, os.sysconf\n",
        encoding="utf-8",
    )
    small = ("data=digits", "data.train_size=50", "data.test_size=10", "optim.passes=1", "optim.hessian_samples=5")
    done = subprocess.run(
        [sys.executable, "-m", "paper_lenet", "train", "engine=reference", "seeds=[0,1]", f"output={tmp_path}", *small],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("lenet5/*/seed-*/metrics.json"))) == 2
