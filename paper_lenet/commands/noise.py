"""What rounding alone changes in the final error, beside what the seed changes: tables/noise.md.

paper-lenet noise [overrides ...] [--publish]. The same seeds are trained with C5's units in ten orders: the
same network, whose sums are rounded otherwise. What the seed changes is that of the runs named fig5, if they are there.
"""

from __future__ import annotations

import sys

from paper_lenet.commands.composition import FAILURES, one_line
from paper_lenet.commands.reproduce import arguments_of, composed, options, refuse_to_publish, step
from paper_lenet.reporting.tables.special import SPECIAL
from paper_lenet.runs.records import job_folder

NAME = "noise"


def main() -> int:
    overrides, place = arguments_of("Measure what rounding alone changes in the final error.")
    try:
        config = composed(NAME, overrides)
        refuse_to_publish(place, NAME, config)
    except FAILURES as error:
        print(f"{NAME}: {one_line(error)}", file=sys.stderr)
        return 1
    step("train", f"experiment={NAME}", *overrides)
    step("collect", str(job_folder(config).parent), *options(place))
    missing = [source for source in SPECIAL[NAME].sources if not (place.results / "runs" / f"{source}.csv").exists()]
    if missing:
        print(f"{NAME}: no table, which needs {place.results / 'runs' / missing[0]}.csv as well (make figures-3b)")
    else:
        step("tables", NAME, *options(place))
    return 0
