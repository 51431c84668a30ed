"""How many places something new takes: docs/extending.md followed to the letter in a copy, which then trains it."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from synthetic_runs import ROOT

from paper_lenet import activations

FUNCTIONS = "ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"
COPIED = ("conf", "docs", "experiments", "hydra_plugins", "paper_lenet", "tests")


def blocks(section: str) -> list[str]:
    """The blocks of a section of docs/extending.md."""
    text = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    (body,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    found: list[str] = re.findall(r"^```\w+\n(.*?)^```$", body, re.DOTALL | re.MULTILINE)
    return found


def follow(block: str, copy: Path) -> None:
    """Do in a copy of the repository what a block says: a new file, or lines after one that is there."""
    first, _, rest = block.partition("\n")
    path = copy / first.split()[-1]
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_text(rest, encoding="utf-8")
        return
    anchor, _, added = rest.partition("\n")
    text = path.read_text(encoding="utf-8")
    assert text.count(f"{anchor}\n") == 1, f"{path}: not one line {anchor}"
    path.write_text(text.replace(f"{anchor}\n", f"{anchor}\n{added}"), encoding="utf-8")


def python(copy: Path, *arguments: str) -> str:
    """What a command prints that is run in the copy."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=copy, env=os.environ | {"PYTHONPATH": f"{copy}:{copy}/tests"},
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return done.stdout


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in COPIED:
        shutil.copytree(ROOT / name, tmp_path / name)
    return tmp_path


def rows(path: Path, start: str) -> set[str]:
    """The names in front of the rows of a dictionary or an object that begins with a line."""
    (found,) = re.findall(
        rf"^ *{re.escape(start)}\n(.*?)^ *\}}", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    return set(re.findall(r'(?m)^ +"?(\w+)"?: ', found))


def without_a_form(root: Path) -> list[str]:
    """The activations that the compiled engine or the page neither has nor says that it lacks, a line each."""
    package = root / "paper_lenet"
    fused = tomllib.loads((package / "engines" / "fused" / "engine.toml").read_text(encoding="utf-8"))
    (lacks,) = re.findall(
        r"^LACKS = (.*)$", (package / "reporting/page/live.py").read_text(encoding="utf-8"), re.MULTILINE
    )
    forms = {
        "compiled form in engines/fused/activations.py": (
            rows(package / "engines/fused/activations.py", "ACTIVATIONS: dict[str, Activation] = {"),
            fused.get("lacks", {}).get("model", {}).get("activation", []),
        ),
        "form in reporting/page/lenet.js": (
            rows(package / "reporting/page/lenet.js", "const SQUASH = {"), ast.literal_eval(lacks)
        ),
    }  # fmt: skip
    there = rows(package / "activations.py", FUNCTIONS)
    return [
        f"activation {name}: no {form}"
        for form, (has, lacking) in forms.items()
        for name in sorted(there)
        if (name in has) == (name in lacking)
    ]


def test_every_activation_has_its_forms() -> None:
    """A compiled one and one of the page, or the engine or the page says that it lacks it."""
    assert "\n".join(without_a_form(ROOT)) == ""
    assert rows(Path(activations.__file__), FUNCTIONS) == set(activations.ACTIVATIONS)


ACTIVATION = """
import numpy as np, torch
from paper_lenet.config import Config, EngineConfig, LossConfig, ModelConfig, OptimConfig
from paper_lenet.engines import batched, records, reference
from paper_lenet.engines.batched.net import BatchedNet
from paper_lenet.learning.sdlm import diagonal_hessian
from paper_lenet.network.lenet5 import build
from paper_lenet.network.losses import eq8
from test_engines import difference, made_data

def made(engine):
    optim = OptimConfig(passes=1, hessian_samples=2, cross_terms="dropped", eta_factor=0.25)
    model, loss = ModelConfig(activation="softsign", rbf_factor=1.0), LossConfig("eq8")
    return Config(model=model, loss=loss, optim=optim, engine=EngineConfig(engine, "float64"))

data = made_data(2, 5)
right, got = (next(records(engine.train(made(name), data, 0)))
              for name, engine in (("reference", reference), ("batched", batched)))
assert difference(got.state, right.state) < 1e-11

# Appendix C by hand: f'(a) = (1 - |x|)^2, squared on the way down (Eq. 27), times the squared states (Eq. 25)
model, draw = build(made("batched").model, 0).double(), torch.Generator().manual_seed(1)
images, labels = torch.rand(3, 1, 32, 32, dtype=torch.float64, generator=draw), torch.tensor([3, 1, 4])
states = model.features(images)
slope = (1 - states["f6"].abs()) ** 2
a = (states["f6"] / (1 - states["f6"].abs())).detach()
leaf = a.clone().requires_grad_()
assert torch.allclose(torch.autograd.grad((leaf / (1 + leaf.abs())).sum(), leaf)[0], slope)
by_hand = torch.einsum("ni,nj->ij", slope**2 * 2, states["c5"].flatten(1) ** 2) / 3
h = diagonal_hessian(model, images, labels, eq8)
assert torch.allclose(h["f6.weight"], by_hand)
net = BatchedNet([model], made("batched"), [0])
of_batched = net.curvature(images.permute(1, 2, 3, 0)[None])
assert torch.allclose(of_batched[net.names.index("f6.weight")][0] / 3, by_hand)
assert torch.allclose(of_batched[0][0] / 3, h["c1.weight"])
_, _, gradients = net.gradient(images.permute(1, 2, 3, 0)[None], labels[None])
assert torch.allclose(gradients[0][0], torch.autograd.grad(eq8(model(images), labels), model.c1.weight)[0])
print("all agree")
"""


def test_an_activation_is_one_row(copy: Path) -> None:
    """With it the reference and the batched engine train; a test names the two that have forms of their own."""
    row, compiled_form, drawn_form = blocks("An activation")
    follow(row, copy)
    assert python(copy, "-c", ACTIVATION) == "all agree\n"
    missing = [
        "activation softsign: no compiled form in engines/fused/activations.py",
        "activation softsign: no form in reporting/page/lenet.js",
    ]
    assert without_a_form(copy) == missing
    follow(compiled_form, copy)
    assert without_a_form(copy) == missing[1:]
    follow(drawn_form, copy)
    assert without_a_form(copy) == []


ENGINE = """
import options
from paper_lenet.commands.composition import compose
from paper_lenet.config import Config, ConfigError, EngineConfig, ModelConfig
from paper_lenet.engines import records
from paper_lenet.runs import training
import test_architecture
from test_engines import made_data

config = compose(["engine=slow", "data=digits", "optim.passes=1", "optim.hessian_samples=2"])
assert config.engine == EngineConfig("slow")
(record,) = records(training.engine(config).train(config, made_data(2, 5), 0))
assert record.train_size == 2
assert set(options.values_of("engine.name")) == {"fused", "batched", "slow"}
try:
    Config(model=ModelConfig(dropout=0.5), engine=EngineConfig("slow"))
except ConfigError as error:
    print(error)
test_architecture.test_picture_has_every_room()
test_architecture.test_imports_go_downwards()
"""


def test_an_engine_is_one_folder(copy: Path) -> None:
    for block in blocks("An engine"):
        follow(block, copy)
    assert python(copy, "-c", ENGINE) == (
        "model.dropout=0.5 with engine.name=slow: engine=reference or engine=batched or engine=fused has it\n"
    )


# Run before the test of the recipe, in the same process: importing the package takes most of the time.
LISTED = """
import sys
import pytest
from paper_lenet.classifiers.systems import all_classifiers
print([each.key for each in all_classifiers()][-2:])
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-o", "addopts=", *sys.argv[1:]]))
"""


def test_a_classifier_is_one_file(copy: Path) -> None:
    """And its test: it is listed after the paper's, fitted, and what it costs is counted."""
    for block in blocks("A classifier"):
        follow(block, copy)
    told = python(copy, "-c", LISTED, "tests/test_means.py")
    assert told.startswith("['nearest mean', 'nearest mean, deslanted']\n") and "1 passed" in told


STUDY = """
from pathlib import Path
from synthetic_runs import write_rows
from paper_lenet.commands import composition
from paper_lenet.commands.study import selected
from paper_lenet.config.rules import dotted
from paper_lenet.config.schema import defaults
from paper_lenet.config.studies import command_of
from paper_lenet.reporting.figures.build import Hand, drawings
from paper_lenet.reporting.tables.build import available, made

name, results = "ablation-momentum", Path("made")
composition._check_data = lambda jobs: None
configs = [config for config, _ in composition.check_sweep([f"study={name}"], False)]
varied = {key for config in configs for key, value in dotted(config.to_dict()).items() if value != defaults()[key]}
rows = [
    {key: value for key, value in dotted(config.to_dict()).items() if key in varied}
    | {"fingerprint": config.fingerprint(), "seed": seed, "test_error_percent": error}
    for config, error in zip(configs, (1.0, 1.5, 2.5), strict=True) for seed in config.seeds
]
write_rows(results, name, rows)
((table, shown),) = made(results, available(results))
print([(row[0], row[table.header.index("minus SGD with momentum, points")]) for row in table.rows])
print(shown.section, command_of(name), name in [study.name for study in selected(["ablations"])])
drawn = [path.name for files in drawings(results, Hand(None, None)) if not isinstance(files, str) for path in files]
print(*(file for file in drawn if file.startswith(name)))
"""


def test_a_study_is_one_file(copy: Path) -> None:
    """Of an ablation: its jobs, its table, its figure, its section of the page and what runs it."""
    (file,) = blocks("A study")
    follow(file, copy)
    assert python(copy, "-c", STUDY).splitlines() == [
        "[('SGD with momentum', '-'), ('half the momentum', '+0.500'), ('no momentum', '+1.500')]",
        "today make ablations True",
        "ablation-momentum.svg ablation-momentum.png",
    ]


TABLE = """
from pathlib import Path
from paper_lenet.reporting.tables.build import available, build, differing, made, write

results = Path("results")
assert "extremes" in available(results)
((table, shown),) = made(results, ["extremes"])
files = build(results, ["extremes"], Path())
write(files)
print(shown.section, sorted(path.name for path in files), differing(build(results, ["extremes"], Path())))
print(table.markdown())
"""


def test_a_table_is_one_file(copy: Path) -> None:
    """It is made of the committed results, shown, and held against them."""
    (file,) = blocks("A table")
    follow(file, copy)
    shutil.copytree(ROOT / "results", copy / "results")
    told = python(copy, "-c", TABLE)
    assert told.startswith("network ['extremes.csv', 'extremes.md', 'extremes.tex'] []\n**The range of seeds.**")
    assert "| lowest | 0." in told
