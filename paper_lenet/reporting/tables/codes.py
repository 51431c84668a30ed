"""What the networks read in the images of Figs. 13, 25 and 26, and how their F6 resembles the printed one."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from paper_lenet.config.studies import Shown
from paper_lenet.reporting import statistics
from paper_lenet.reporting.formats import Table, n_of
from paper_lenet.reporting.results import TableError, numbers, read_csv
from paper_lenet.reporting.tables.common import Generated, origin
from paper_lenet.runs.environment import ORIGIN

COLUMNS = ("network", "seed", "figure", "of", "place", "printed", "answer", "correlation", *ORIGIN)
RECOVERED = "the front of 1998, upper layers trained here"
OURS = "ours from C1 on"


def codes(results: Path) -> Table:
    """A row for each image of Fig. 13 and each string; raises TableError without networks on the front of 1998."""
    made = read_csv(results / "codes.csv", COLUMNS).astype({name: str for name in ("of", "printed", "answer")})
    networks = [name for name in (RECOVERED, OURS) if (made["network"] == name).any()]
    if RECOVERED not in networks:
        raise TableError(f"{results / 'codes.csv'}: no network on the front of 1998")
    nine, strings = made[made["figure"] == 13], made[made["figure"] != 13]
    groups = [(f"Fig. 13, {k}: {group['of'].iloc[0]}", group) for k, (_, group) in enumerate(nine.groupby("place"), 1)]
    groups += [
        (f"Fig. {figure}: {string}", group) for (figure, string), group in strings.groupby(["figure", "of"], sort=False)
    ]
    header = [
        "shown",
        "F6 as printed",
        *(f"{name}: {what}" for name in networks for what in ("reads", "as printed, %", "r")),
    ]
    rows = []
    for title, group in groups:
        cells = [title, _most_common(group, "printed")]
        for name in networks:
            of = group[group["network"] == name]
            agree = 100 * float((of["answer"] == of["printed"]).mean())
            by_seed = [statistics.mean(numbers(each, "correlation")) for _, each in of.groupby("seed")]
            spread = f" ± {statistics.std(by_seed):.2f}" if len(by_seed) > 1 else ""
            cells += [_most_common(of, "answer"), f"{agree:.0f}", f"{statistics.mean(by_seed):.2f}{spread}"]
        rows.append(cells)
    notes = [
        "Of a string LeNet-5 sees nine windows, four columns apart; what it reads is the nearest code at each, and _ "
        "is the blank. Reads: the most common answer of the networks. As printed: share of networks and places whose "
        "answer is that of the printed F6. r: correlation of F6's 84 states with the printed ones.",
        "All learned windows of Section VII-B, by the headline's recipe.",
        f"{origin(made, 'fits')}; results/codes.csv, by experiments/codes.py.",
    ]
    counts = [made[made["network"] == name]["seed"].nunique() for name in networks]
    caption = "What the images of Figs. 13, 25 and 26 read, and F6 beside the printed one."
    note = f"Mean ± standard deviation over {n_of(counts, 'networks')}; no intervals."
    return Table("codes", caption, header, rows, notes, note)


def _most_common(rows: pd.DataFrame, column: str) -> str:
    """The most common answer at each place, in order; of equally common ones the first."""
    return "".join(str(each[column].mode().iloc[0]) for _, each in rows.groupby("place"))


TABLES = {"codes": Generated(codes, ("codes.csv",), Shown("printed", 9))}
