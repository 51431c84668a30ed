"""What the charts of the report page are drawn of, from results/; a function returns None where that is not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from paper_lenet import paper
from paper_lenet.classifiers.invariance import COLUMNS, INVARIANCE
from paper_lenet.reporting import statistics
from paper_lenet.reporting.figures.comparison import ESTIMATES, in_order
from paper_lenet.reporting.results import finished, numbers, read_csv, read_curves, read_runs
from paper_lenet.reporting.tables.common import differing_fields, usual
from paper_lenet.reporting.tables.comparison import ADDS, COMPARISON, ERROR, MEMORY, REJECT, judgement, lines

READINGS, HEADLINE, HALVED = "readings", "lenet5", "deviations"
FACTOR = "optim.eta_factor"
# What multiplies the printed rates is varied for these readings: their other settings in the study of readings.
AS_CHOSEN: dict[str, str] = {}
AS_PRINTED = {"model.init.gain": "2.4", "model.init.exponent": "1"}


def moved(results: Path) -> dict[str, Any] | None:
    """Test errors (per cent) on images that are changed, by kind of change and classifier; the paper's estimates."""
    path = results / f"{INVARIANCE}.csv"
    if not path.exists():
        return None
    table = read_csv(path, COLUMNS)
    kinds: dict[str, Any] = {}
    for kind, estimate in ESTIMATES.items():
        of_kind = table[table["kind"] == kind]
        measured = [
            (name, some[["amount", "error_percent"]].to_numpy().tolist())
            for name, some in of_kind.groupby("classifier", sort=False)
        ]
        kinds[kind] = {"measured": measured, "estimate": estimate}
    return {"classifiers": in_order(table), **kinds}


def costs(results: Path) -> list[dict[str, Any]] | None:
    """Each classifier of Fig. 9 that was run: error and rejects (per cent), multiply-adds and variables (thousands)."""
    if not (results / "runs" / f"{COMPARISON}.csv").exists():
        return None
    found = []
    for line in lines(results):
        if not line.is_published() or line.runs.empty:
            continue
        columns = {"error": (ERROR, "error_percent", 1.0), "rejects": (REJECT, "reject_percent", 1.0)}
        columns |= {"adds": (ADDS, "multiply_adds", 1e-3), "variables": (MEMORY, "variables", 1e-3)}
        ours = {key: factor * statistics.mean(numbers(line.runs, own)) for key, (_, own, factor) in columns.items()}
        theirs = {key: float(line.published[published]) for key, (published, _, _) in columns.items()}
        found.append({
            "name": line.classifier.name, "verdict": judgement(line)[-1], "paper": _without_nan(theirs),
            "ours": _without_nan(ours),
        })  # fmt: skip
    return found


def rates(results: Path) -> dict[str, Any] | None:
    """Training errors on the fly (per cent) by pass: of Fig. 5, and ours at several multiples of the printed rates."""
    if any(not (results / "runs" / f"{name}.csv").exists() for name in (READINGS, HEADLINE, HALVED)):
        return None
    names = {
        "as printed: Eq. 8, initial weights within ±2.4 / F": _by_factor(results, READINGS, AS_PRINTED),
        "the same within ±1.1 / √F": _by_factor(results, READINGS, AS_CHOSEN),
        "as in the headline: ±2.4 / √F, Eq. 9, half of Eq. 7": [
            *_by_factor(results, HALVED, {}, own=True), *_by_factor(results, HEADLINE, {}),
        ],
    }  # fmt: skip
    published = paper.fig5().sort_values("pass")
    published = published[published["pass"] <= paper.PASSES]
    return {
        "paper": published["train_error_percent"].tolist(),
        "readings": [{"name": name, "factors": factors} for name, factors in names.items() if factors],
    }


def _by_factor(results: Path, name: str, settings: dict[str, str], own: bool = False) -> list[dict[str, Any]]:
    """A study's runs that differ from its usual ones in these settings and perhaps the rates, by increasing rates.

    own: only those that have other rates than usual.
    """
    runs = read_runs(results, name)
    curves, base, found = read_curves(results, name, runs), usual(runs), []
    for fingerprint, group in runs.groupby("fingerprint", sort=False):
        differs = differing_fields(group, base)
        if {key: value for key, value in differs.items() if key != FACTOR} != settings or (own and not differs):
            continue
        of_group = curves[curves["fingerprint"] == fingerprint]
        ended = finished(group)
        wide = of_group.pivot(index="pass", columns="seed", values="train_error_percent")
        errors = wide.dropna().mean(axis=1).to_numpy(np.float64)[: paper.PASSES]
        factor = float(group.get(FACTOR, pd.Series([1.0])).iloc[0])
        found.append({
            "factor": factor, "errors": np.round(errors, 3).tolist(), "seeds": len(group),
            "diverged": len(group) - len(ended),
        })  # fmt: skip
    return sorted(found, key=lambda each: each["factor"])


def _without_nan(values: dict[str, float]) -> dict[str, float]:
    return {key: round(value, 3) for key, value in values.items() if value == value}
