"""Run folders -> results: paper-lenet collect outputs/lenet5 [--publish [--allow-dirty]]."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from paper_lenet.commands.places import add_place, place_of
from paper_lenet.runs.collect import collect


def main() -> int:
    parser = argparse.ArgumentParser(description="Check the runs of one job name and write them into results.")
    parser.add_argument("folder", type=Path, help="outputs/<name>")
    add_place(parser)
    parser.add_argument(
        "--allow-dirty", action="store_true", help="publish also runs of code with changes or of no known commit"
    )
    parser.add_argument("--partial", action="store_true", help="also where planned runs have not ended")
    parser.add_argument("--fingerprint", help="only this configuration, where the folder holds several")
    arguments = parser.parse_args()
    place = place_of(arguments)
    written, unfinished = collect(
        arguments.folder,
        place.results,
        # the code of one's own results is one's own business: their rows and tables say so
        allow_dirty=arguments.allow_dirty or not place.published,
        fingerprint=arguments.fingerprint,
        partial=arguments.partial,
    )
    if unfinished:
        print(f"collect: left out, not finished: {', '.join(unfinished)}", file=sys.stderr)
    print("wrote " + ", ".join(map(str, written)))
    return 0
