"""How far the runs have come: paper-lenet summary [folder], of all jobs, of one, or of one configuration.

Run folders are only read, so that it may be called at any time, of a sweep that is running, too.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tabulate import tabulate

from paper_lenet.runs.summary import COLUMNS, count, read, table


def main() -> int:
    parser = argparse.ArgumentParser(description="Show how far the runs below a folder have come.")
    parser.add_argument("folder", type=Path, nargs="?", default=Path("outputs"), help="outputs, or outputs/<name>")
    arguments = parser.parse_args()
    runs = read(arguments.folder)
    print(tabulate(table(runs), COLUMNS, tablefmt="simple", disable_numparse=True))
    print(f"\n{count(runs)}")
    return 0
