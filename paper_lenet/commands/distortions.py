"""Our distortions beside the paper's Fig. 7: paper-lenet distortions [--publish | --check].

With MNIST at hand the fitted maps are found again in our images -> distortions.csv; without it, and for --check, that
file is taken as it is. Then distortions.csv -> tables/distortions.{md,tex,csv}. --check is of the committed ones.
"""

from __future__ import annotations

import argparse
import sys

import pandas as pd

from paper_lenet import paper
from paper_lenet.commands.places import add_place, place_of
from paper_lenet.config import DistortConfig
from paper_lenet.data import DataError
from paper_lenet.files import RecordError, csv_text, write_atomic
from paper_lenet.reporting.results import TableError
from paper_lenet.reporting.tables.build import differing, write
from paper_lenet.reporting.tables.distortions import FITTED, PLACE, mnist_at_hand, refit, table
from paper_lenet.runs.records import ORIGIN, origin


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare our distortions with the maps fitted to the paper's Fig. 7.")
    add_place(parser)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file differs")
    arguments = parser.parse_args()
    place = place_of(arguments)
    again, tables = place.results / "distortions.csv", place.results / "tables"
    fitted = paper.fig7()
    try:
        data = None if arguments.check else mnist_at_hand()
        if data is not None:
            refitted = refit(data.train_images[fitted["mnist_train_index"].to_numpy()], fitted)
            here = origin()
            rows = ({str(key): value for key, value in row.items()} | here for row in refitted.to_dict("records"))
            write_atomic(again, csv_text([*PLACE, *FITTED, *ORIGIN], rows))
            print(f"wrote {again}")
        elif not again.exists():
            raise TableError(f"{again}: missing, and made only where MNIST is at hand")
        refitted = pd.read_csv(again)
        missing = [column for column in (*PLACE, *FITTED, *ORIGIN) if column not in refitted]
        if missing:
            raise TableError(f"{again}: no column {', '.join(missing)}")
        made = table(fitted, refitted, DistortConfig())
        texts = {"md": made.markdown(), "tex": made.latex(), "csv": made.csv()}
        files = {tables / f"distortions.{suffix}": text for suffix, text in texts.items()}
        wrong = differing(files) if arguments.check else []
        if wrong:
            raise TableError(f"not what the results give: {', '.join(map(str, wrong))}")
        if not arguments.check:
            write(files)
    except (DataError, OSError, RecordError, TableError, ValueError) as error:
        print(f"distortions: {error}", file=sys.stderr)
        return 1
    if arguments.check:
        print(f"{len(files)} files agree with the results")
        return 0
    if not place.published:
        print(made.markdown())
    print("wrote " + ", ".join(map(str, files)))
    return 0
