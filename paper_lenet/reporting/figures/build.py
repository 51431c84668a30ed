"""All figures that results/ gives."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path

from paper_lenet.config.studies import studies
from paper_lenet.data import Data
from paper_lenet.network.paper_net import PaperNet
from paper_lenet.reporting import figures
from paper_lenet.reporting.figures.common import Drawing
from paper_lenet.reporting.results import TableError
from paper_lenet.reporting.tables.common import runs_of

ABSENT = {"data": "MNIST is not at hand", "network": "there is no trained network (--weights takes a run's)"}


@dataclass(frozen=True)
class Hand:
    """What figures may be drawn of, besides results/; None where it is not at hand."""

    data: Data | None
    network: PaperNet | None


def generated() -> dict[str, Drawing]:
    """All figures by name: those of this folder's modules, and of each study that has one, of its table's kind.

    Raises ConfigError for a wrong study, TableError for one of whose kind there is no figure.
    """
    found: dict[str, Drawing] = {}
    kinds = [module.name for module in pkgutil.iter_modules(figures.__path__)]
    for kind in kinds:
        found |= getattr(import_module(f"{figures.__name__}.{kind}"), "FIGURES", {})
    for name, study in studies().items():
        if study.figure:
            kind = str(study.table.get("kind"))
            draw = getattr(import_module(f"{figures.__name__}.{kind}"), "figure", None) if kind in kinds else None
            if draw is None:
                raise TableError(f"conf/study/{name}.yaml: study.figure: no figure of study.table.kind={kind}")
            found[name] = Drawing(study.figure, partial(draw, study=study), runs_of(name), shown=study.shown)
    return found


def drawings(results: Path, hand: Hand) -> Iterator[dict[Path, bytes] | str]:
    """The files of one figure after another, of all that can be drawn; last, texts say which cannot, and why.

    Raises TableError.
    """
    skipped: dict[str, list[str]] = {}
    for name, drawing in generated().items():
        missing = [ABSENT[want] for want in drawing.wants if getattr(hand, want) is None]
        if not all((results / need).exists() for need in drawing.needs):
            missing.insert(0, f"{results} has no results for them")
        if missing:
            skipped.setdefault(missing[0], []).append(name)
        else:
            yield drawing.draw(results, *(getattr(hand, want) for want in drawing.wants))
    yield from (f"skipped, {why}: {', '.join(names)}" for why, names in skipped.items())
