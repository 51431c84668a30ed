"""Tables of the paper's Figures 5, 6 and 8 and of its distortions: the published numbers beside ours.

Each file in results/runs is one column or a few rows; those that are not there yet are left out, but for Fig. 5's.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from paper_lenet import paper
from paper_lenet.config.studies import Shown
from paper_lenet.reporting import statistics
from paper_lenet.reporting.formats import Table, n_of
from paper_lenet.reporting.results import TableError, finished, numbers, read_curves, read_errors, read_runs
from paper_lenet.reporting.tables.common import (
    JUDGED,
    PROMISES,
    VERDICT_RULE,
    Generated,
    check_promise,
    diverged_note,
    judged,
    percent,
    provenance,
    runs_of,
    statistics_cells,
)


class Names(NamedTuple):
    """The names in results/runs of the runs of Fig. 5, of Fig. 6's smaller training sets and of the distortions; empty
    for none."""

    plain: str = ""
    sizes: str = ""
    distorted: str = ""


# What each table is made of, by what the labels of its rows end with.
CLAIMS = {
    "claims": {
        "": Names("fig5", "fig6", "distorted"),
        ", as many updates": Names(sizes="fig6-updates"),
        ", Eq. 8": Names("eq8"),
    },
    "quarter-claims": {
        "": Names("quarter-fig5", "quarter-fig6", "quarter-distorted"),
        ", Eq. 9": Names("quarter-eq9", distorted="quarter-eq9-distorted"),
    },
}
# The columns of the overlap, in this order.
SYSTEMS = {
    "fig5": "without distortions",
    "distorted": "with distortions",
    "quarter-fig5": "a quarter of the rates",
    "quarter-distorted": "with distortions, a quarter of the rates",
}
TRAIN, TEST = "train_error_percent", "test_error_percent"


def published_test(results: Path, name: str, any_passes: bool = False) -> pd.DataFrame:
    """results/runs/<name>.csv; TableError unless it has whole runs of MNIST and errors on all of its test images.

    They must be what their name stands for, if it is one of PROMISES. any_passes: also of other than the paper's
    number of passes, as where the name stands for other numbers.
    """
    runs = read_runs(results, name)
    any_passes |= name in PROMISES and PROMISES[name].updates
    done = finished(runs)
    whole = (done["test_size"] == paper.TEST_SIZE) & (done["split"] == "test") & (done["dataset"] == "mnist")
    if not (whole & (any_passes | (done["passes"] == paper.PASSES))).all():
        passes = "" if any_passes else f"{paper.PASSES} passes and "
        raise TableError(f"{name}: not {passes}the {paper.TEST_SIZE} test images of MNIST, all of it")
    check_promise(name, runs)
    return runs


def claims(results: Path, name: str) -> Table:
    """The paper's claims about LeNet-5, Fig. 5 and 6 and the distortions, one row per number. name: of CLAIMS."""
    criteria = CLAIMS[name]
    header = ["", "paper", "ours, mean ± std", "95 % interval of the mean", "n seeds", *JUDGED]
    sizes = paper.fig6().set_index("training_set")
    used = {
        each: published_test(results, each)
        for names in criteria.values()
        for each in names
        if each == criteria[""].plain or (results / "runs" / f"{each}.csv").exists()
    }
    by_size = {(each, size): group for each, runs in used.items() for size, group in _by_size(each, runs).items()}
    rows: list[list[str]] = []

    def row(label: str, of: str, size: int, column: str, paper_value: float) -> None:
        """One row for each criterion that was run."""
        for suffix, names in criteria.items():
            runs = by_size.get((getattr(names, of), size))
            if runs is None:
                continue
            values = numbers(finished(runs), column)
            cells = [*statistics_cells(values, len(runs), percent), str(len(values))]
            rows.append([label + suffix, f"{paper_value:g}", *cells, *judged(values, paper_value, len(runs))])

    whole = paper.TRAIN_SIZE
    row(f"training error on the fly, pass {paper.PASSES}, %", "plain", whole, TRAIN, paper.TRAIN_ERROR_PERCENT)
    for suffix, names in criteria.items():
        if names.plain in used:
            rows.append(_curve_row(results, names.plain, used[names.plain], suffix))
    row(f"test error, {whole:,} patterns, %", "plain", whole, TEST, paper.TEST_ERROR_PERCENT)
    for size in (30_000, 15_000):
        for label, column in (("training error on the fly", TRAIN), ("test error", TEST)):
            row(f"{label}, {size:,} patterns, %", "sizes", size, column, numbers(sizes.loc[[str(size)]], column)[0])
    row("test error with distortions, %", "distorted", whole, TEST, paper.TEST_ERROR_DISTORTED_PERCENT)
    seeds = n_of([int(cells[header.index("n seeds")]) for cells in rows])
    statistics_note = f"Mean ± standard deviation over {seeds}; intervals are Student's t over seeds."
    notes = [
        VERDICT_RULE,
        "The curve's row is the difference, ours minus Fig. 5's points, at the pass from 2 on where the mean differs "
        "most; its verdict counts the passes whose point lies within the prediction interval of that pass.",
    ]
    for suffix, (plain, _, distorted) in criteria.items():
        if plain in used and distorted in used:
            cells, note = _gain_row(used[plain], used[distorted], suffix)
            rows.append(cells)
            notes.append(note)
    notes += [f"{each}: {note}" for each, runs in used.items() for note in diverged_note(runs)]
    notes.append(provenance(name, pd.concat(used.values()), list(used)))
    caption = "LeNet-5 on MNIST: the paper's numbers and ours"
    caption += ", at a quarter of the printed rates." if name == "quarter-claims" else "."
    return Table(name, caption, header, rows, notes, statistics_note)


def sources(name: str, label: str) -> list[str]:
    """The names in results/runs that a row of a table of CLAIMS comes from. label: the row's first cell."""
    names = next(names for suffix, names in reversed(CLAIMS[name].items()) if label.endswith(suffix))
    if label.startswith("gain"):
        return [names.plain, names.distorted]
    if "with distortions" in label:
        return [names.distorted]
    return [names.sizes if "patterns" in label and f"{paper.TRAIN_SIZE:,}" not in label else names.plain]


def overlap(results: Path) -> Table:
    """Whose errors the 82 of Fig. 8 are: how many of them our runs make, and how many would be expected."""
    theirs = set(paper.fig8()["mnist_test_index"])
    names = [name for name in SYSTEMS if name == "fig5" or (results / "runs" / f"{name}.csv").exists()]
    runs = {name: published_test(results, name) for name in names}
    columns, lists = [], []
    for name in names:
        wrong = _wrong_images(results, name, runs[name])
        if not wrong:
            raise TableError(f"{name}: no run that did not diverge")
        sizes = [float(len(images)) for images in wrong]
        shared = [float(len(images & theirs)) for images in wrong]
        always, ever = set.intersection(*wrong) & theirs, set.union(*wrong)
        columns.append(
            [
                str(len(wrong)),
                *(_mean_and_std(sizes), _mean_and_std(shared)),
                f"{len(theirs) * statistics.mean(sizes) / paper.TEST_SIZE:.2f}",
                _between_seeds(wrong, len(theirs)),
                *(str(len(always)), str(len(theirs - ever))),
            ]
        )
        indices = ", ".join(map(str, sorted(always))) or "none"
        lists.append(f"Of Fig. 8's, wrong in every seed, {SYSTEMS[name]} (index from 0): {indices}.")
    labels = [
        *("n seeds", "errors of a seed", f"of these, among the {len(theirs)} of Fig. 8"),
        *("expected by chance", "expected by equal difficulty"),
        *(f"of the {len(theirs)}, wrong in every seed", f"of the {len(theirs)}, wrong in no seed"),
    ]
    rows = [[label, *cells] for label, *cells in zip(labels, *columns, strict=True)]
    notes = [
        f"Fig. 8's {len(theirs)} errors are those of the paper's network trained with distortions. By chance: "
        f"{len(theirs)} times the mean error rate. By equal difficulty: how many of {len(theirs)} errors of one of our "
        "seeds another one makes, too, the mean over pairs.",
        *lists,
        *(f"{name}: {note}" for name in names for note in diverged_note(runs[name])),
        provenance("overlap", pd.concat(runs.values()), names),
    ]
    header = ["", *(SYSTEMS[name] for name in names)]
    statistics_note = f"Mean ± standard deviation over {n_of([int(column[0]) for column in columns])}; no intervals."
    return Table("overlap", "Our errors and those of Fig. 8.", header, rows, notes, statistics_note)


def _by_size(name: str, runs: pd.DataFrame) -> dict[int, pd.DataFrame]:
    """The runs of each training size, diverged ones among them. TableError for several configurations of one size."""
    groups: dict[int, pd.DataFrame] = {}
    for _, group in runs.groupby("fingerprint", sort=False):
        # A run that diverged in its first pass has no train_size.
        sizes = group["train_size"].dropna()
        size = int(sizes.iloc[0]) if len(sizes) else 0
        if size in groups:
            raise TableError(f"{name}: several configurations of one training size; a claim is about one")
        groups[size] = group
    return groups


def _curve_row(results: Path, name: str, runs: pd.DataFrame, suffix: str) -> list[str]:
    """How far our training curve is from Fig. 5's where the mean over seeds is farthest, from pass 2 on."""
    curves = read_curves(results, name, runs)
    curves = curves[curves["seed"].isin(finished(runs)["seed"])]
    published = paper.fig5().set_index("pass")[TRAIN]
    passes = range(2, paper.PASSES + 1)
    differences = {p: [error - published[p] for error in numbers(curves[curves["pass"] == p], TRAIN)] for p in passes}
    farthest = max(passes, key=lambda p: abs(statistics.mean(differences[p])))
    reproduced = sum(statistics.verdict(differences[p], 0).startswith(statistics.REPRODUCED) for p in passes)
    values = differences[farthest]
    label = f"training curve, farthest from Fig. 5 at pass {farthest}, points"
    cells = [*statistics_cells(values, len(runs), percent), str(len(values)), *judged(values, 0, len(runs))[:-1]]
    return [label + suffix, "0", *cells, f"reproduced at {reproduced} of {len(passes)} passes"]


def _gain_row(plain: pd.DataFrame, distorted: pd.DataFrame, suffix: str) -> tuple[list[str], str]:
    """What distortions gain, paired by seed, and a note with its p."""
    without, with_ = (finished(runs).set_index("seed")[TEST] for runs in (plain, distorted))
    seeds = [seed for seed in without.index if seed in with_.index]
    a, b = [float(without[seed]) for seed in seeds], [float(with_[seed]) for seed in seeds]
    gains = [x - y for x, y in zip(a, b, strict=True)]
    published = round(paper.TEST_ERROR_PERCENT - paper.TEST_ERROR_DISTORTED_PERCENT, 2)
    cells = [*statistics_cells(gains, len(distorted), percent), str(len(gains)), *judged(gains, published, len(gains))]
    row = [f"gain from distortions, points{suffix}", f"{published:g}", *cells]
    p = statistics.permutation_p(a, b)
    note = (
        f"The gain{suffix} is paired by seed; p = {p:.2g} in the two-sided paired permutation test of no gain, for "
        f"{len(gains)} pairs."
    )
    return row, note


def _wrong_images(results: Path, name: str, runs: pd.DataFrame) -> list[set[int]]:
    """The test images that each run got wrong, one set per run that did not diverge."""
    if runs["fingerprint"].nunique() > 1:
        raise TableError(f"{name}: several configurations; the overlap is that of one")
    errors = read_errors(results, name, runs)
    return [set(errors.loc[errors["seed"] == seed, "index"]) for seed in finished(runs)["seed"]]


def _between_seeds(wrong: Sequence[set[int]], scale: int) -> str:
    """Of `scale` errors of one run, how many another makes, too: mean over ordered pairs."""
    shares = [len(a & b) / len(b) for a, b in permutations(wrong, 2) if b]
    return f"{scale * statistics.mean(shares):.1f}" if shares else "-"


def _mean_and_std(values: list[float]) -> str:
    return statistics_cells(values, len(values), lambda value: f"{value:.1f}")[0]


TABLES = {
    "claims": Generated(partial(claims, name="claims"), runs_of("fig5"), Shown("headline", 1, "docs/results.md")),
    "quarter-claims": Generated(
        partial(claims, name="quarter-claims"), runs_of("quarter-fig5"), Shown("quarter", 1, "docs/results.md")
    ),
    "overlap": Generated(overlap, runs_of("fig5"), Shown("figures", 9, "docs/results.md")),
}
