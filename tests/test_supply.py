"""What the code imports is declared, and what is declared is locked with digests."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from synthetic_runs import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Installed by who exports to ONNX only, so not locked.
NOT_LOCKED = {"onnx", "tensorboard"}
OURS = {"paper_lenet", "experiments", "tests"} | {path.stem for path in (ROOT / "tests").rglob("*.py")}


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
EXTRAS = {"paper_lenet": (), "paper_lenet/commands/export.py": ("onnx",), "experiments": (), "tests": ("dev",)}


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
