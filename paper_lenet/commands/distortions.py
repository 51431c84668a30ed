"""Our distortions beside the paper's Fig. 7: paper-lenet distortions [--publish].

The maps that were fitted to Fig. 7 are found again in images of MNIST that we distort -> distortions.csv, its table.
"""

from __future__ import annotations

import argparse

from paper_lenet import paper
from paper_lenet.commands.places import add_place, place_of
from paper_lenet.data import mnist_at_hand
from paper_lenet.files import csv_text, write_atomic
from paper_lenet.reporting.results import TableError
from paper_lenet.reporting.tables.build import build, write
from paper_lenet.reporting.tables.distortions import FITTED, PLACE, refit
from paper_lenet.runs.environment import ORIGIN, origin


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare our distortions with the maps fitted to the paper's Fig. 7.")
    add_place(parser)
    place = place_of(parser.parse_args())
    path, fitted = place.results / "distortions.csv", paper.fig7()
    data = mnist_at_hand()
    if data is None:
        raise TableError(f"{path}: is made only where MNIST is at hand")
    refitted = refit(data.train_images[fitted["mnist_train_index"].to_numpy()], fitted)
    here = origin()
    rows = ({str(key): value for key, value in row.items()} | here for row in refitted.to_dict("records"))
    write_atomic(path, csv_text([*PLACE, *FITTED, *ORIGIN], rows))
    files = build(place.results, ["distortions"], place.documents)
    write(files)
    if not place.published:
        print(next(text for file, text in files.items() if file.suffix == ".md"))
    print("wrote " + ", ".join(map(str, [path, *files])))
    return 0
