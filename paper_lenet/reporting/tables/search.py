"""The finals of a search of settings on hold-out images (paper-lenet search)."""

from __future__ import annotations

from pathlib import Path

from paper_lenet.config.studies import Shown
from paper_lenet.reporting import statistics
from paper_lenet.reporting.formats import Table, n_of
from paper_lenet.reporting.results import TableError, numbers, read_csv
from paper_lenet.reporting.tables.common import Generated, origin, percent
from paper_lenet.runs.environment import ORIGIN

KEY = ("search", "part", "trial", "seed")
COLUMNS = (*KEY, "passes", "state", "validation_error_percent", "seconds", "settings", "errors", *ORIGIN)
TRIALS, FINALS = "trials", "finals"
SHOWN = 6  # trials of a search whose finals have not been run
COMPLETE, PRUNED, DIVERGED = "complete", "pruned", "diverged"


def search(results: Path) -> Table:
    """A row for each finalist, the best one of each search first, or for the best trials of a search that goes on.

    Raises TableError where a finalist has fewer than two seeds.
    """
    path = results / "search.csv"
    made = read_csv(path, COLUMNS)
    rows, counts, told = [], [], []
    for name, of_search in made.groupby("search", sort=True):
        trials, finals = (of_search[of_search["part"] == part] for part in (TRIALS, FINALS))
        states = trials["state"].value_counts()
        told.append(f"{name}: {len(trials)} trials, " + ", ".join(f"{states[s]} {s}" for s in sorted(states.index)))
        lines = []
        for trial, group in finals.groupby("trial"):
            errors = numbers(group, "validation_error_percent")
            if len(errors) < 2:
                raise TableError(f"{path}: {name}, trial {trial}: one seed has no interval")
            first = float(trials[trials["trial"] == trial]["validation_error_percent"].iloc[0])
            low, high = statistics.t_interval(errors)
            counts.append(len(errors))
            mean = statistics.mean(errors)
            cells = [f"{name} {trial}", percent(first), f"{percent(mean)} ± {percent(statistics.std(errors))}"]
            lines.append(
                (
                    (round(mean, 6), int(str(trial))),
                    [*cells, f"{percent(low)} to {percent(high)}", str(group["settings"].iloc[0])],
                )
            )
        rows += [cells for _, cells in sorted(lines)]
        if not lines:
            best = trials[trials["state"] == COMPLETE].sort_values(["validation_error_percent", "trial"]).head(SHOWN)
            rows += [
                [f"{name} {trial}", percent(float(error)), "-", "-", str(settings)]
                for trial, error, settings in zip(
                    best["trial"], best["validation_error_percent"], best["settings"], strict=True
                )
            ]
            told[-1] += ", finals not run yet"
    notes = [
        "Errors on 10,000 images held out of the training set (validation), not test errors; of a trial that of its "
        "one seed, which is too low for those that were picked by it. In the finals each of the best is trained anew, "
        "longer and on other seeds; the first row of a search is its choice, of equal ones the earlier trial.",
        f"{'; '.join(told)}. {origin(made, 'runs')}; results/search.csv, by experiments/search.py.",
    ]
    note = f"Mean ± standard deviation, Student's 95 % interval of the mean; {n_of(counts or [1], 'seeds')}."
    header = ["trial", "error of the trial, %", "error in the finals, %", "95 % interval", "settings"]
    return Table("search", "Recipes searched on hold-out images: the finals.", header, rows, notes, note)


TABLES = {"search": Generated(search, ("search.csv",), Shown("today", 6, "docs/ablations.md"))}
