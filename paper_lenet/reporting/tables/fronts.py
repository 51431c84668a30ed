"""Test error of new upper layers on frozen fronts: that of 1998, ours, and random ones."""

from __future__ import annotations

from pathlib import Path

from paper_lenet.config.studies import Shown
from paper_lenet.reporting import statistics
from paper_lenet.reporting.formats import Table, n_of
from paper_lenet.reporting.results import TableError, numbers, read_csv
from paper_lenet.reporting.tables.common import Generated, origin, percent
from paper_lenet.runs.environment import ORIGIN

COLUMNS = ("front", "method", "images", "seed", "test_errors", "test_size", "test_error_percent", *ORIGIN)
RECOVERED = "1998, recovered from Fig. 13"
OURS = "ours, as the headline's networks"
WINDOWS = "ours, trained on windows"
QUARTER = "ours, at a quarter of the rates"
RANDOM = "random, as before training"
METHODS = ("today's", "1998's")
IMAGES = ("plain", "distorted", "noisy")


def fronts(results: Path) -> Table:
    """A row for each kind of front and method, columns for each kind of training images; TableError where one has fewer
    than two heads."""
    made = read_csv(results / "fronts.csv", COLUMNS)
    trained = [kind for kind in IMAGES if (made["images"] == kind).any()]
    rows, counts = [], []
    for method in METHODS:
        of_method = made[made["method"] == method]
        for front in sorted(of_method["front"].unique(), key=_place):
            cells = []
            for images in trained:
                errors = numbers(
                    of_method[(of_method["front"] == front) & (of_method["images"] == images)], "test_error_percent"
                )
                if len(errors) == 1:
                    raise TableError(f"{results / 'fronts.csv'}: {front}: one head has no interval")
                if not errors:
                    cells += ["-", "-"]
                    continue
                low, high = statistics.t_interval(errors)
                counts.append(len(errors))
                cells.append(f"{percent(statistics.mean(errors))} ± {percent(statistics.std(errors))}")
                cells.append(f"{percent(low)} to {percent(high)}")
            rows.append([front, method, *cells])
    notes = [
        "C1 to S4 as they are; C5, F6 and the output trained on MNIST's training images, by today's recipe "
        "(paper_lenet/recovery/fronts.py) or as the headline's networks are. Distorted: at half of Fig. 7's strength. "
        "Noisy: each pixel inverted with probability 0.1. Of 1998 there is one front, whose heads differ by seed; of "
        "the others each seed has a front of its own.",
        f"{origin(made, 'fits')}; results/fronts.csv, by experiments/fronts.py.",
    ]
    caption = "What a front knows: test error with new upper layers."
    statistics_note = f"Mean ± standard deviation, Student's 95 % interval of the mean; {n_of(counts, 'heads')}."
    header = ["front", "recipe", *(f"{images}: {what}" for images in trained for what in ("test error, %", "interval"))]
    return Table("fronts", caption, header, rows, notes, statistics_note)


def _place(front: str) -> tuple[int, str]:
    """A key to sort fronts by: that of 1998, ours, random ones."""
    return next((k for k, kind in enumerate(("1998", "ours", "random")) if front.startswith(kind)), 3), front


TABLES = {"fronts": Generated(fronts, ("fronts.csv",), Shown("printed", 8, "docs/1998.md"))}
