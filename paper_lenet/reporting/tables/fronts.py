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
    """A row for each kind of front, method and training images; TableError where one has fewer than two heads."""
    made = read_csv(results / "fronts.csv", COLUMNS)
    of_kind = {kind: sorted(f for f in made["front"].unique() if f.startswith(kind)) for kind in ("ours", "random")}
    rows, counts = [], []
    for method in METHODS:
        for images in IMAGES:
            for front in (RECOVERED, *of_kind["ours"], *of_kind["random"]):
                of = (made["front"] == front) & (made["method"] == method) & (made["images"] == images)
                errors = numbers(made[of], "test_error_percent")
                if not errors:
                    continue
                if len(errors) < 2:
                    raise TableError(f"{results / 'fronts.csv'}: {front}: one head has no interval")
                low, high = statistics.t_interval(errors)
                counts.append(len(errors))
                mean_and_std = f"{percent(statistics.mean(errors))} ± {percent(statistics.std(errors))}"
                interval = f"{percent(low)} to {percent(high)}"
                rows.append([front, method, images, str(len(errors)), mean_and_std, interval])
    notes = [
        "C1 to S4 as they are; C5, F6 and the output trained on MNIST's training images, by today's recipe "
        "(paper_lenet/recovery/fronts.py) or as the headline's networks are. Distorted: at half of Fig. 7's strength. "
        "Noisy: each pixel inverted with probability 0.1. Of 1998 there is one front, whose heads differ by seed; of "
        "the others each seed has a front of its own.",
        f"{origin(made, 'fits')}; results/fronts.csv, by experiments/fronts.py.",
    ]
    caption = "What a front knows: test error with new upper layers."
    statistics_note = f"Mean ± standard deviation, Student's 95 % interval of the mean; {n_of(counts, 'heads')}."
    header = ["front", "recipe", "training images", "n", "test error, %", "95 % interval of the mean"]
    return Table("fronts", caption, header, rows, notes, statistics_note)


TABLES = {"fronts": Generated(fronts, ("fronts.csv",), Shown("network", 8, "docs/1998.md"))}
