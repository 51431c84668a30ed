"""How many strings of digits are read wrong, by level, and what is read in the strings of Figs. 25 and 26."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from paper_lenet.config.studies import Shown
from paper_lenet.reporting import statistics
from paper_lenet.reporting.formats import Table, n_of
from paper_lenet.reporting.results import TableError, read_csv
from paper_lenet.reporting.tables.common import Generated, origin, percent
from paper_lenet.runs.environment import ORIGIN

KEY = ("system", "level", "split", "seed", "longest", "apart")
COLUMNS = (*KEY, "strings", "wrong_strings", "characters", "wrong_characters", *ORIGIN)
PRINTED = ("system", "seed", "figure", "of")
PRINTED_COLUMNS = (*PRINTED, "positions", "read", "longest", "apart", *ORIGIN)
SDNN = "SDNN"
FRONT = "SDNN, front of 1998"
DOCUMENT = "docs/strings.md"


def strings(results: Path) -> Table:
    """A row for each system and level; TableError where one has fewer than two networks."""
    made = read_csv(results / "strings.csv", COLUMNS)
    tested = made[made["split"] == "test"]
    rows, counts = [], []
    for (system, level), group in tested.groupby(["system", "level"], sort=False):
        if len(group) < 2:
            raise TableError(f"{results / 'strings.csv'}: {system}, {level}: one network has no interval")
        cells = [str(system), str(level)]
        for of in ("strings", "characters"):
            errors = [100 * float(error) for error in group[f"wrong_{of}"].astype(int) / group[of].astype(int)]
            low, high = statistics.t_interval(errors)
            cells.append(f"{percent(statistics.mean(errors))} ± {percent(statistics.std(errors))}")
            cells.append(f"{percent(low)} to {percent(high)}")
        counts.append(len(group))
        rows.append(cells)
    rows.sort(key=lambda cells: cells[0])
    (longest,), (apart,) = tested["longest"].unique(), tested["apart"].unique()
    notes = [
        "Wrong characters: how many must be inserted, deleted or exchanged, of all that are there. Each level has "
        f"{tested['strings'].iloc[0]:,} strings of 1 to 8 digits, made of test images (paper_lenet/strings/digits.py).",
        f"The character model was chosen on strings of hold-out images: a character is seen at {longest} neighbouring "
        f"positions at most, with {apart} or more blanks before the next.",
        f"{origin(made, 'runs')}; results/strings.csv, by experiments/strings.py.",
    ]
    header = ["system", "strings of the level", "wrong strings, %", "wrong strings: interval"]
    header += ["wrong characters, %", "wrong characters: interval"]
    note = f"Mean ± standard deviation, Student's 95 % interval of the mean; {n_of(counts, 'networks')}."
    return Table("strings", "How many strings of digits are read wrong.", header, rows, notes, note)


def printed(results: Path) -> Table:
    """A row for each string of Figs. 25 and 26, columns for each system."""
    made = read_csv(results / "strings-printed.csv", PRINTED_COLUMNS).astype({"of": str, "read": str, "positions": str})
    systems = sorted(made["system"].unique())
    rows = []
    for (figure, of), group in made.groupby(["figure", "of"], sort=False):
        cells = [f"Fig. {figure}: {of}"]
        for system in systems:
            own = group[group["system"] == system]
            right = int((own["read"] == of).sum())
            cells += [f"{right} of {len(own)}", _most_common(own["read"]), " ".join(_most_common(own["positions"]))]
        rows.append(cells)
    header = ["string", *(f"{system}: {what}" for system in systems for what in ("right", "reads", "positions"))]
    notes = [
        "Right: how many of the networks read the string. Reads, positions: the most common answer and the most "
        "common row of nearest codes at nine positions; _ is the blank.",
        f"{origin(made, 'runs')}; results/strings-printed.csv, by experiments/strings.py.",
    ]
    counts = [made[made["system"] == system]["seed"].nunique() for system in systems]
    note = f"Counts over {n_of(counts, 'networks')}; no intervals."
    return Table("strings-printed", "What is read in the strings of Figs. 25 and 26.", header, rows, notes, note)


def _most_common(answers: pd.Series[str]) -> str:
    return str(answers.value_counts().index[0])


TABLES = {
    "strings": Generated(strings, ("strings.csv",), Shown("strings", 1, DOCUMENT)),
    "strings-printed": Generated(printed, ("strings-printed.csv",), Shown("strings", 2, DOCUMENT)),
}
