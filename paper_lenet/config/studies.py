"""The studies: each file of conf/study is one, with its question, its configurations, and where its results are shown.

Training composes such a file like any other of conf/; its node `study` has the fields of `Study`. Tables, figures and
the page read that node alone.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from paper_lenet.config.rules import ConfigError

PACKAGE = Path(__file__).resolve().parents[1]
# In a checkout beside the package, in an installed wheel within it.
CONF = next((path for path in (PACKAGE / "conf", PACKAGE.parent / "conf") if path.is_dir()), PACKAGE / "conf")


@dataclass
class Published:
    """What the results stand beside: where it is printed, and its number, unless `paper/` has it."""

    source: str = ""
    value: float | None = None


@dataclass
class Shown:
    """Where the results stand: a section of the page, the place in it, and the document that has the table."""

    section: str = "more"
    place: int = 5
    document: str | None = None


@dataclass
class Study:
    """One study.

    name: of its file, its runs and its table.  question: what it asks, in one sentence.  title: of its row in a table
        with other studies.
    published: what its results stand beside.  time: how long it takes, as measured.
    target: the target of the Makefile that runs it with others; empty for none.
    chosen: what was chosen on images held out of the training set, a key or a choice, and the study that chose it.
    then: the commands that measure what it has trained.  gives: the other names in results/runs that they fill.
    guesses: guesses at what the paper did, by what is added to a label: overrides of the configurations `of` these
        labels, each of which is trained with them as well. A mapping gives each label its own value, and may stand for
        `of`.
    table: `kind`, a module of reporting/tables; `needs`, files that it reads beside those of the runs; and that
        module's options. Empty for one row per configuration.
    figure: the caption of the figure that is drawn of that table; empty for none.
    configurations: overrides by key, as in Hydra's `sweeper.params`: a text with commas is several values, a list is
        one value; a label is text. Each entry is all combinations of its values, and the study all of its entries.
    """

    name: str = ""
    question: str = ""
    title: str = ""
    published: Published = field(default_factory=Published)
    time: str = ""
    target: str = ""
    chosen: dict[str, str] = field(default_factory=dict)
    then: list[str] = field(default_factory=list)
    gives: list[str] = field(default_factory=list)
    guesses: dict[str, dict[str, Any]] = field(default_factory=dict)
    table: dict[str, Any] = field(default_factory=dict)
    figure: str = ""
    shown: Shown = field(default_factory=Shown)
    configurations: list[dict[str, Any]] = field(default_factory=list)

    def command(self) -> str:
        """What runs it from the root of the repository."""
        return f"make {self.target}" if self.target else f"python experiments/study.py {self.name}"


def with_guesses(configurations: list[Any], guesses: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The configurations of a study, and after them each guess with each of its labels. Raises ConfigError."""
    found, by_label = list(configurations), {each.get("label"): each for each in configurations}
    for guess, change in guesses.items():
        values = {key: value for key, value in change.items() if key != "of"}
        each_own = {key: value for key, value in values.items() if isinstance(value, Mapping)}
        labels = change.get("of") or list(dict.fromkeys(label for value in each_own.values() for label in value))
        for label in labels:
            lacking = [key for key, value in each_own.items() if label not in value]
            if label not in by_label or lacking:
                where = ".".join(["study.guesses", guess, *lacking[:1]])
                raise ConfigError(f"{where}: {label}: {'no value' if lacking else 'no configuration'} of this label")
            own = {key: value[label] if key in each_own else value for key, value in values.items()}
            found.append({**by_label[label], **own, "label": f"{label}, {guess}"})
    return found


def command_of(name: str) -> str:
    """What gives results/runs/<name>.csv, from the root of the repository; empty where nothing known does."""
    for study in studies().values():
        if name in (study.name, *study.gives):
            return study.command()
    if name == "lenet5":
        return "make reproduce"
    return f"python experiments/train.py experiment={name}" if (CONF / "experiment" / f"{name}.yaml").exists() else ""


@functools.cache
def studies() -> dict[str, Study]:
    """All studies by name, each after those that chose something for it. Raises ConfigError, which names the file."""
    found = {path.stem: _read(path) for path in sorted((CONF / "study").glob("*.yaml"))}
    for study in found.values():
        for key, name in study.chosen.items():
            if name not in found:
                raise ConfigError(f"conf/study/{study.name}.yaml: study.chosen.{key}={name}: no such study")
    try:
        return {name: found[name] for name in _ordered(found.values())}
    except CycleError as error:
        raise ConfigError(f"conf/study: chosen by each other: {', '.join(error.args[1])}") from error


def _ordered(found: Iterable[Study]) -> Iterable[str]:
    return TopologicalSorter({study.name: list(study.chosen.values()) for study in found}).static_order()


def _read(path: Path) -> Study:
    shown = f"conf/study/{path.name}"
    try:
        node = OmegaConf.select(OmegaConf.load(path), "study")
        study = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Study), node or {}, {"name": path.stem}))
    except (OmegaConfBaseException, yaml.YAMLError, OSError, ValueError) as error:
        raise ConfigError(f"{shown}: {str(error).strip().splitlines()[0]}") from error
    assert isinstance(study, Study)
    try:
        study.configurations = with_guesses(study.configurations, study.guesses)
    except ConfigError as error:
        raise ConfigError(f"{shown}: {error}") from error
    for key in ("question", "time"):
        if not getattr(study, key):
            raise ConfigError(f"{shown}: study.{key} is missing")
    return study
