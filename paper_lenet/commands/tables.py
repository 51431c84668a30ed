"""Runs -> tables: paper-lenet tables [names ...] [--publish | --check].

One's own, in outputs/results, are shown as well. --publish writes results/tables and the documents with tables,
--check compares these with what results/runs gives.
"""

from __future__ import annotations

import argparse

from paper_lenet.commands.places import add_place, place_of
from paper_lenet.reporting.results import TableError
from paper_lenet.reporting.tables.build import available, build, differing, write


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the tables of the named results, or of all, and show them.")
    parser.add_argument("names", nargs="*", help="names in runs/ without .csv, or claims, overlap")
    add_place(parser)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a committed file differs")
    arguments = parser.parse_args()
    place = place_of(arguments)
    names = arguments.names or available(place.results)
    if not names:
        raise TableError(f"{place.results / 'runs'}: no results to make tables of")
    files = build(place.results, names, place.documents)
    wrong = differing(files) if arguments.check else []
    if wrong:
        raise TableError(f"not what the results give: {', '.join(map(str, wrong))}")
    if not arguments.check:
        write(files)
    if arguments.check:
        print(f"{len(files)} files agree with the results")
        return 0
    if place.published:
        print(f"{len(files)} files written")
    else:
        print("\n".join(text for path, text in files.items() if path.suffix == ".md"))
        print("wrote " + ", ".join(map(str, files)))
    return 0
