"""Amounts of cheques, read with and without their grammar, beside what the paper reports of its cheques."""

from __future__ import annotations

from pathlib import Path

from paper_lenet.config.studies import Shown
from paper_lenet.reporting import statistics
from paper_lenet.reporting.formats import Table, n_of
from paper_lenet.reporting.results import TableError, read_csv
from paper_lenet.reporting.tables.common import Generated, origin, percent
from paper_lenet.reporting.tables.strings import DOCUMENT, WRONG
from paper_lenet.runs.environment import ORIGIN

KEY = ("split", "seed", "run", "rate", "grammar")
COLUMNS = (*KEY, "strings", "right", *(f"read_at_{wrong:g}" for wrong in WRONG), *ORIGIN)
NO_GRAMMAR, GRAMMAR = "none", "amounts"
SHOWN = (0.5, 1, 2)
PAPER = "82"  # % read, 1 % wrong, 17 % rejected (Section X)


def table(results: Path) -> Table:
    """A row for each grammar, and the paper's. Raises TableError where there are fewer than two networks."""
    made = read_csv(results / "amounts.csv", COLUMNS).fillna({"grammar": NO_GRAMMAR})
    made = made[made["split"] == "test"]
    rows, counts = [], []
    for grammar in (NO_GRAMMAR, GRAMMAR):
        own = made[made["grammar"] == grammar]
        if len(own) < 2:
            raise TableError(f"{results / 'amounts.csv'}: grammar {grammar}: one network has no interval")
        right = (100 * own["right"].astype(int) / own["strings"].astype(int)).tolist()
        cells = [grammar]
        for values in (right, *(own[f"read_at_{wrong:g}"].astype(float).tolist() for wrong in SHOWN)):
            low, high = statistics.t_interval(values)
            cells += [f"{percent(statistics.mean(values))} ± {percent(statistics.std(values))}"]
            cells += [f"{percent(low)} to {percent(high)}"]
        rows.append(cells)
        counts.append(len(own))
    rows.append(["the paper's, real cheques", "-", "-", "-", "-", PAPER, "-", "-", "-"])
    count = int(made["strings"].iloc[0])
    header = ["grammar", "read, %", "interval"]
    header += [name for wrong in SHOWN for name in (f"read at {wrong:g} % wrong, %", f"interval at {wrong:g}")]
    notes = [
        f"Of {count:,} amounts of test images and rendered symbols. Read: without rejecting any; or where the least "
        "probable answers are rejected until at most so many of all are read wrong. The paper's numbers are of real "
        "cheques, with a segmenter and a field locator (Section X), so that they cannot be held against these.",
        f"{origin(made, 'fits')}; results/amounts.csv, by experiments/amounts.py.",
    ]
    note = f"Mean ± standard deviation, Student's 95 % interval of the mean; {n_of(counts, 'networks')}."
    return Table("amounts", "How many amounts are read, without and with their grammar.", header, rows, notes, note)


TABLES = {"amounts": Generated(table, ("amounts.csv",), Shown("strings", 9, DOCUMENT))}
