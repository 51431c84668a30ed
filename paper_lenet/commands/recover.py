"""The network of 1998 from Fig. 13: paper-lenet recover [--coverage] [--publish].

C1 to S4 are fitted to the states that the paper prints -> recovery.csv (quality by map), recovery-checks.csv (what the
states say of the paper's statements, and of Fig. 25), fig13.safetensors, the tables. --coverage does the same with a
network of ours, printed alike: recovery-coverage.csv says how often its true weights lie in the intervals.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from paper_lenet import paper
from paper_lenet.commands.places import add_place, place_of
from paper_lenet.files import csv_text, write_atomic
from paper_lenet.network.pretrained import load_pretrained
from paper_lenet.recovery import check, recovered
from paper_lenet.recovery.fit import Fit, recover
from paper_lenet.recovery.front import LAYERS, from_tensors, maps_of
from paper_lenet.reporting.tables.build import build, write
from paper_lenet.reporting.tables.recovery import CHECKS, COVERAGE, MAPS, TABLES, rows_of_checks
from paper_lenet.runs.environment import ORIGIN, origin

# Whose states are printed like Fig. 13's: the network of ours that was trained most like it.
KNOWN = "lenet5-1998"


def main() -> int:
    parser = argparse.ArgumentParser(description="Recover C1 to S4 of the network of 1998 from Fig. 13's states.")
    add_place(parser)
    parser.add_argument("--coverage", action="store_true", help="also with a network of ours, whose weights are known")
    arguments = parser.parse_args()
    place = place_of(arguments)
    torch.set_num_threads(1)
    printed, here = paper.fig13(), origin()
    fit = recover(printed)
    print(f"{fit.steps} steps; {compared(fit)}", flush=True)
    files: dict[Path, str] = {}

    def keep(name: str, columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> None:
        files[place.results / name] = csv_text([*columns, *ORIGIN], ({**row, **here} for row in rows))

    keep("recovery.csv", MAPS, quality(fit))
    keep("recovery-checks.csv", CHECKS, rows_of_checks(fit, paper.fig25_26()))
    if arguments.coverage:
        truth = from_tensors({name: v.detach().numpy() for name, v in load_pretrained(KNOWN).network.state().items()})
        again = check.coverage(recover(check.printed_like(fit, truth, printed)), truth)
        rows = ({"layer": name, "parameters": count, "inside": part} for name, (count, part) in again.items())
        keep("recovery-coverage.csv", COVERAGE, rows)
    weights = recovered.FILE if place.published else place.results / recovered.FILE.name
    content = recovered.file_of(fit, here)
    write_atomic(weights, content)
    files[weights.with_suffix(".md")] = recovered.card(fit, content, here)
    write(files)
    names = [name for name, table in TABLES.items() if all((place.results / need).exists() for need in table.needs)]
    tables = build(place.results, names, place.documents)
    write(tables)
    print("wrote " + ", ".join(map(str, [weights, *files, *tables])))
    return 0


def quality(fit: Fit) -> Iterable[dict[str, Any]]:
    """A row for each map."""
    for layer in LAYERS:
        for key in maps_of(layer):
            closed = int((fit.low[key] + fit.high[key]).isfinite().sum())
            row: dict[str, Any] = {
                "layer": layer,
                "map": key[1],
                "states": fit.low[key].numel(),
                "not_saturated": closed,
            }
            row |= {"rms_greys": fit.error(key), "rounding_greys": fit.rounding(key)}
            yield row | {"r_squared": fit.r_squared(key), "inside": fit.inside(key)}


def compared(fit: Fit) -> str:
    """How far the parameters are from the committed ones."""
    if not recovered.FILE.exists():
        return "nothing is committed to compare with"
    apart = (from_tensors(recovered.load()) - fit.theta).abs()
    part = float((apart / fit.errors).max())
    return f"at most {float(apart.max()):.0e} from the committed parameters, or {part:.0e} of a standard error"
