"""All figures that results/ gives."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from paper_lenet.data import Data
from paper_lenet.network.paper_net import PaperNet
from paper_lenet.reporting import figures
from paper_lenet.reporting.figures.common import Drawing

ABSENT = {"data": "MNIST is not at hand", "network": "there is no trained network (--weights takes a run's)"}


@dataclass(frozen=True)
class Hand:
    """What figures may be drawn of, besides results/; None where it is not at hand."""

    data: Data | None
    network: PaperNet | None


def generated() -> dict[str, Drawing]:
    """All figures of this folder's modules, by name. Raises ConfigError for a wrong study."""
    found: dict[str, Drawing] = {}
    for module in pkgutil.iter_modules(figures.__path__):
        found |= getattr(import_module(f"{figures.__name__}.{module.name}"), "FIGURES", {})
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
