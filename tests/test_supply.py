"""What the code imports is declared, what is declared is locked with digests, and a wheel has all that it needs."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from synthetic_runs import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Installed by who exports to ONNX only, so not locked.
NOT_LOCKED = {"browser", "heic", "onnx", "search", "tensorboard", "transducers"}
OURS = (
    {"paper_lenet", "experiments", "tests", "_start"}
    | {path.stem for folder in ("tests", "results") for path in (ROOT / folder).rglob("*.py")}
    | {path.parent.name for path in (ROOT / "tests").rglob("*.py")}
)


def canonical(requirement: str) -> str:
    """The name of the distribution of a requirement, as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", requirement)[0]).lower()


def imported(path: Path) -> set[str]:
    """The top-level modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(str(node.module))
    return {name.partition(".")[0] for name in found} - sys.stdlib_module_names - OURS


# What may be imported where: the requirements and those of these extras.
EXTRAS = {
    "paper_lenet": (),
    "paper_lenet/commands/export.py": ("onnx",),
    "paper_lenet/commands/search.py": ("search",),
    "paper_lenet/data/pictures.py": ("heic",),
    "experiments": (),
    "tests": ("browser", "dev", "transducers"),
}


@pytest.mark.parametrize("place", EXTRAS)
def test_imports_are_declared(place: str) -> None:
    optional = PROJECT["optional-dependencies"]
    requirements = PROJECT["dependencies"] + [r for extra in EXTRAS[place] for r in optional[extra]]
    declared = {canonical(requirement) for requirement in requirements}
    provided_by = packages_distributions()
    paths = [path for path in (ROOT / place, *(ROOT / place).rglob("*.py")) if path.suffix == ".py"]
    assert paths
    apart = {ROOT / other for other in EXTRAS} - {ROOT / place}
    modules = {(path, name) for path in paths if path not in apart for name in imported(path)}
    undeclared = [
        f"{path.relative_to(ROOT)}: {name}"
        for path, name in sorted(modules)
        # what is not installed here must be declared under its own name
        if declared.isdisjoint(map(canonical, provided_by.get(name, (name,))))
    ]
    assert undeclared == []


def test_lock_has_every_requirement_with_digests() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    entries = [entry for entry in re.split(r"\n(?=\S)", text.replace("\\\n", " ")) if "==" in entry.partition("#")[0]]
    locked = {canonical(entry): entry for entry in entries}
    for entry in entries:
        assert "--hash=sha256:" in entry, entry.splitlines()[0]
    optional = PROJECT["optional-dependencies"]
    groups = [PROJECT["dependencies"], *(optional[extra] for extra in optional.keys() - NOT_LOCKED)]
    missing = {canonical(requirement) for group in groups for requirement in group} - set(locked)
    assert missing == set()
    assert "http" not in text


# As the script that pip makes of [project.scripts].
CONSOLE = """
import sys
from importlib.metadata import entry_points
(command,) = entry_points(group="console_scripts", name="paper-lenet")
sys.argv[0] = "paper-lenet"
sys.exit(command.load()())
"""


@pytest.mark.slow
def test_wheel_in_an_empty_folder(tmp_path: Path) -> None:
    """Built without the network, it trains, collects, makes tables and reads digits far from the repository."""
    source, installed, here = tmp_path / "source", tmp_path / "installed", tmp_path / "here"
    here.mkdir()
    for folder in ("paper_lenet", "conf", "hydra_plugins"):
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy2(ROOT / name, source / name)
    build = "from setuptools import build_meta; build_meta.build_wheel('wheel')"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    (wheel,) = (source / "wheel").glob("*.whl")
    zipfile.ZipFile(wheel).extractall(installed)
    shutil.rmtree(source)
    # no file is left out that git has; a compiled program is no file of the wheel
    listed = subprocess.run(["git", "ls-files", "paper_lenet", "conf"], cwd=ROOT, capture_output=True, text=True).stdout
    there = {path.relative_to(installed).as_posix() for path in installed.rglob("*") if path.is_file()}
    assert {re.sub("^conf/", "paper_lenet/conf/", name) for name in listed.split()} <= there
    assert not any(name.endswith((".pyc", ".nbi", ".nbc")) for name in there)
    Image.fromarray(np.pad(np.full((20, 4), 255, np.uint8), ((4, 4), (12, 12)))).save(here / "one.png")

    def paper_lenet(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-P", "-c", CONSOLE, *arguments]
        env = os.environ | {"PYTHONPATH": str(installed)}
        return subprocess.run(command, cwd=here, env=env, capture_output=True, text=True, timeout=300)

    small = ("experiment=smoke", "data=digits", "data.train_size=100", "engine=reference", "seeds=[0]")
    for arguments, said in (
        (("train", *small), "smoke seed 0 pass 2/2"),
        (("collect", "outputs/smoke"), "wrote outputs/results/runs/smoke-digits.csv"),
        (("tables", "smoke-digits"), "Commit unknown (no git repository)"),
        (("predict", "one.png"), "one.png: 1, "),
        (("reproduce", "optim.passes=1", *small[1:]), "fig5-lenet5-digits.svg"),
    ):
        done = paper_lenet(*arguments)
        assert done.returncode == 0 and said in done.stdout, done.stderr
    for arguments, said in (
        (
            ("train", "experiment=nope"),
            "error: experiment=nope: no such choice; there are lenet5, literal, modern, quarter, smoke\n",
        ),
        (("train", "loss=nope"), "error: loss=nope: no such choice; there are cross_entropy, eq8, eq9\n"),
        (("nope",), "paper-lenet: nope: no such command; paper-lenet --help lists them\n"),
        (("gpu",), "gpu: needs the repository, whose tests it runs\n"),
    ):
        assert paper_lenet(*arguments).stderr == said
