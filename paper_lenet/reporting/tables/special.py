"""The tables that are more than a row a configuration of one file in results/runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from paper_lenet.reporting.formats import Table
from paper_lenet.reporting.tables.ablations import STUDIES, ablation
from paper_lenet.reporting.tables.claims import claims, overlap
from paper_lenet.reporting.tables.classes import classes
from paper_lenet.reporting.tables.comparison import choice, comparison, costs
from paper_lenet.reporting.tables.study import deviations, noise, readings
from paper_lenet.reporting.tables.tutorials import NAMES, by_class, tutorials


@dataclass(frozen=True)
class Special:
    """A table of its own: what makes it, the names in results/runs that it needs, and the document that shows it."""

    make: Callable[[Path], Table]
    sources: tuple[str, ...]
    document: str | None = None


SPECIAL = {
    "readings": Special(readings, ("readings",), "experiments/readings.md"),
    "claims": Special(claims, ("fig5",), "docs/results.md"),
    "overlap": Special(overlap, ("fig5",), "docs/results.md"),
    "deviations": Special(deviations, ("deviations", "fig5"), "DEVIATIONS.md"),
    "noise": Special(noise, ("noise", "fig5"), "docs/statistics.md"),
    **{name: Special(partial(ablation, name=name), (name,), "docs/ablations.md") for name in STUDIES},
    "tutorials": Special(tutorials, NAMES, "docs/ablations.md"),
    "tutorials-classes": Special(by_class, NAMES),
    "classes": Special(classes, ("fig5",)),
    "comparison": Special(comparison, ("comparison",), "docs/classifiers.md"),
    "comparison-costs": Special(costs, ("comparison",)),
    "comparison-choice": Special(choice, ("comparison-choice",)),
}
