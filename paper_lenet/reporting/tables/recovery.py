"""What Fig. 13 gives away: how well its states are explained, and what they say of the paper's statements."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from paper_lenet.config.studies import Shown
from paper_lenet.paper.connections import TABLE_I
from paper_lenet.recovery import statements
from paper_lenet.recovery.fit import Fit
from paper_lenet.reporting.formats import Table
from paper_lenet.reporting.results import read_csv
from paper_lenet.reporting.tables.common import Generated, origin
from paper_lenet.runs.environment import ORIGIN

# The columns of the files, before those of ORIGIN.
MAPS = ("layer", "map", "states", "not_saturated", "r_squared", "rms_greys", "rounding_greys", "inside")
CHECKS = ("about", "case", "layer", "map", "value")
COVERAGE = ("layer", "parameters", "inside")
LAYERS = ("c1", "s2", "c3", "s4")
DOCUMENT = "docs/1998.md"


def rows_of_checks(fit: Fit, strings: dict[str, NDArray[np.uint8]]) -> Iterator[dict[str, Any]]:
    """The rows of recovery-checks.csv."""
    for form, layer, error in statements.subsampling(fit):
        yield {"about": "subsampling", "case": form, "layer": layer, "value": error}
    for form, layer, error in statements.squashing(fit):
        yield {"about": "squashing", "case": form, "layer": layer, "value": error}
    for i, k, size, p in statements.free_table(fit):
        whether = "in Table I" if TABLE_I[i, k] else "not in Table I"
        yield {"about": "kernel", "case": f"{whether}: S2 {i}", "layer": "c3", "map": k, "value": size}
        yield {"about": "p of no kernel", "case": f"{whether}: S2 {i}", "layer": "c3", "map": k, "value": p}
    for (layer, k), error, spread in statements.fig25(fit, strings):
        yield {"about": "Fig. 25, error", "case": "", "layer": layer, "map": k, "value": error}
        yield {"about": "Fig. 25, spread", "case": "", "layer": layer, "map": k, "value": spread}


def recovered(results: Path) -> Table:
    """R^2 of each map of Fig. 13, and the error with which the same parameters predict Fig. 25."""
    maps = read_csv(results / "recovery.csv", (*MAPS, *ORIGIN))
    checks = read_csv(results / "recovery-checks.csv", (*CHECKS, *ORIGIN))
    held_out = checks[checks["about"] == "Fig. 25, error"]
    header = ["map", *(f"{layer.upper()}, R²" for layer in LAYERS), "C1 of Fig. 25", "C3 of Fig. 25"]
    rows = []
    for k in sorted(set(maps["map"])):
        cells = [_cell(maps, layer, k, "r_squared", 4) for layer in LAYERS]
        rows.append([str(k), *cells, *(_cell(held_out, layer, k, "value", 1) for layer in ("c1", "c3"))])
    inside = 100 * float(np.average(maps["inside"], weights=maps["states"]))
    error, rounding = (
        np.sqrt(np.average(maps[column] ** 2, weights=maps["not_saturated"]))
        for column in ("rms_greys", "rounding_greys")
    )
    spread = checks[checks["about"] == "Fig. 25, spread"]["value"]
    notes = [
        f"R²: of the printed greys of states that are not saturated. {inside:.1f} % of all {maps['states'].sum():,} "
        f"states lie in the interval that is printed of them; the root mean square error is {error:.2f} greys of 255, "
        f"where rounding to evenly filled intervals would leave {rounding:.2f}.",
        "Fig. 25: root mean square error, in greys, of states that the fit never saw, where all of what a unit sees is "
        f"printed; their standard deviation is {spread.min():.0f} to {spread.max():.0f}.",
        f"{origin(maps, 'fits')}; results/recovery.csv and results/recovery-checks.csv, by experiments/recover.py.",
    ]
    caption = "How well the recovered parameters explain the states that Fig. 13 prints, and predict Fig. 25's."
    return Table("recovered", caption, header, rows, notes, "n = 1 network, fitted once; no intervals.")


def statements_table(results: Path) -> Table:
    """The root mean square error of S2, S4 and C1 under the paper's form and under others; Table I in a note."""
    checks = read_csv(results / "recovery-checks.csv", (*CHECKS, *ORIGIN))
    coverage = read_csv(results / "recovery-coverage.csv", (*COVERAGE, *ORIGIN))
    rows = []
    for about, title in (("subsampling", "subsampling"), ("squashing", "squashing")):
        of_kind = checks[checks["about"] == about]
        for case in of_kind["case"].unique():
            errors = of_kind[of_kind["case"] == case].set_index("layer")["value"]
            rows.append([title, str(case), *(f"{errors[n]:.1f}" if n in errors else "" for n in ("c1", "s2", "s4"))])
    sizes, ps = (checks[checks["about"] == about].reset_index() for about in ("kernel", "p of no kernel"))
    listed = sizes["case"].str.startswith("in ")
    inside, outside = ((sizes["value"][which], ps["value"][which]) for which in (listed, ~listed))
    covered = ", ".join(
        f"{layer if layer == 'all' else layer.upper()} {100 * part:.0f} % of {count:,}"
        for layer, count, part in zip(coverage["layer"], coverage["parameters"], coverage["inside"], strict=True)
    )
    notes = [
        f"Table I: with all 96 kernels free, the {len(inside[0])} of the table have root mean squares from "
        f"{inside[0].min():.2f} and p of at most {inside[1].max():.0e} (Wald, of no kernel); of the {len(outside[0])} "
        f"others the smallest p is {outside[1].min():.2f}, or {min(1.0, len(outside[1]) * outside[1].min()):.1f} as "
        "the smallest of so many (Bonferroni): none is called for.",
        "Not to be told from these states: S, which scales with the kernels; A, with the display; the ends of the "
        "input's range, with C1's kernels and biases. S4's sums are small, so that its squashing shows little.",
        f"Coverage: of a network of ours, printed like Fig. 13, 95 % intervals hold the true parameter for {covered}.",
        f"{origin(pd.concat([checks, coverage]), 'fits')}; results/recovery-checks.csv and "
        "results/recovery-coverage.csv, by experiments/recover.py.",
    ]
    caption = "Errors of the printed states, in greys, under the paper's statements and under others."
    header = ["of", "form", "C1", "S2", "S4"]
    return Table(
        "recovered-statements",
        caption,
        header,
        rows,
        notes,
        "n = 1 network, each form fitted anew map by map; no intervals.",
    )


def _cell(frame: pd.DataFrame, layer: str, k: int, column: str, decimals: int) -> str:
    values = frame[(frame["layer"] == layer) & (frame["map"] == k)][column]
    return f"{float(values.iloc[0]):.{decimals}f}" if len(values) else ""


TABLES = {
    "recovered": Generated(recovered, ("recovery.csv", "recovery-checks.csv"), Shown("printed", 6, DOCUMENT)),
    "recovered-statements": Generated(
        statements_table, ("recovery-checks.csv", "recovery-coverage.csv"), Shown("printed", 7, DOCUMENT)
    ),
}
