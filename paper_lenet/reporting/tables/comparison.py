"""Tables of Figs. 9 to 12: each classifier's error, rejects, multiply-adds and memory, the paper's beside ours.

results/runs/comparison.csv has one row per classifier and seed (experiments/comparison.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

from paper_lenet import paper
from paper_lenet.classifiers.fitted import Classifier
from paper_lenet.classifiers.measures import ACCEPTED_ERROR, COLUMNS
from paper_lenet.classifiers.systems import all_classifiers
from paper_lenet.config.studies import Shown
from paper_lenet.reporting import statistics
from paper_lenet.reporting.formats import Table, n_of
from paper_lenet.reporting.results import TableError, numbers, read_results
from paper_lenet.reporting.tables.common import Generated, origin, percent, runs_of, statistics_cells

COMPARISON, CHOICE = "comparison", "comparison-choice"
REFERENCE = "lenet-5"
ERROR, REJECT, ADDS, MEMORY = (
    *("fig9_test_error_percent", "fig10_reject_percent_for_half_percent_error"),
    *("fig11_kilo_multiply_accumulates", "fig12_kilo_variables"),
)
NOT_PRINTED = dict.fromkeys((ERROR, REJECT, ADDS, MEMORY), math.nan)
# "The uncertainty in the quoted error rates is about 0.1%" (p. 12).
UNCERTAINTY = 0.1
# Close is a difference of at most this many points, or of this share of the paper's error, whichever is more.
CLOSE, CLOSE_SHARE = 0.3, 0.15
# The fewest runs that give an interval for one more; that of fewer is so wide that it holds anything.
ENOUGH = 5


@dataclass(frozen=True)
class Line:
    """One row: the classifier, the paper's numbers (NaN where it has none) and our runs, which may be none."""

    classifier: Classifier
    published: Mapping[Any, float]
    runs: pd.DataFrame

    def errors(self) -> list[float]:
        return numbers(self.runs, "error_percent")

    def is_published(self) -> bool:
        """Whether the paper has this classifier."""
        return not self.classifier.variant and not math.isnan(self.published[ERROR])

    def printed(self, column: str) -> str:
        """The paper's number; "-" of a variant, and where the paper has none."""
        value = self.published[column]
        return "-" if self.classifier.variant or math.isnan(value) else f"{value:g}"

    def size(self) -> int:
        return self.classifier.max_test_images or paper.TEST_SIZE


def comparison_runs(results: Path, name: str = COMPARISON) -> pd.DataFrame:
    """results/runs/<name>.csv. Raises TableError where it is not one, or not of MNIST."""
    path = results / "runs" / f"{name}.csv"
    runs = read_results(path, COLUMNS)
    if set(runs["dataset"]) != {"mnist"} or runs.duplicated(["fingerprint", "seed", "split"]).any():
        raise TableError(f"{path}: other images than MNIST's, or a run twice")
    return runs


def lines(results: Path) -> list[Line]:
    """One line per classifier and variant, in the order of `all_classifiers`; also of those without runs.

    Of a classifier that the paper does not have, only if it or a variant was run; nothing is published of it.
    """
    runs, every = comparison_runs(results), {each.key: each for each in all_classifiers()}
    if unknown := sorted(set(runs["classifier"]) - set(every)):
        raise TableError(f"{COMPARISON}: no such classifier: {', '.join(unknown)}")
    sizes = runs["classifier"].map({key: each.max_test_images for key, each in every.items()}).fillna(paper.TEST_SIZE)
    if not ((runs["split"] == "test") & (runs["test_size"] == sizes)).all():
        raise TableError(f"{COMPARISON}: not the {paper.TEST_SIZE} test images, all of it")
    published: dict[str, Mapping[Any, float]] = {every[key].name: NOT_PRINTED for key in runs["classifier"]}
    published |= {str(row.pop("classifier")): row for row in paper.fig9_to_12().to_dict("records")}
    found = []
    for key, classifier in every.items():
        of_classifier = runs[runs["classifier"] == key]
        if of_classifier["fingerprint"].nunique() > 1:
            raise TableError(f"{COMPARISON}: several settings of {key}")
        if classifier.name in published:
            found.append(Line(classifier, published[classifier.name], of_classifier))
    return found


def verdict(errors: list[float], theirs: float) -> str:
    """`reproduced`, `close` or `differs`, as `comparison` explains; `not run` of nothing."""
    if not errors:
        return "not run"
    low, high = uncertainty(errors)
    if low - UNCERTAINTY <= theirs <= high + UNCERTAINTY:
        return "reproduced"
    return "close" if within(errors, theirs) else "differs"


def within(errors: list[float], theirs: float) -> bool:
    """Whether our mean is close to the paper's error, whatever chance might give."""
    return abs(statistics.mean(errors) - theirs) <= max(CLOSE, CLOSE_SHARE * theirs)


def verdicts(found: list[Line]) -> list[str]:
    """Of each line: of a classifier its verdict, or `explained` where a guess at what the paper did is not off.

    Of a guess `fits` or `does not fit`; of other variants `-`.
    """
    own = [verdict(line.errors(), line.published[ERROR]) for line in found]
    guessed = {line.classifier.name for line, of in zip(found, own, strict=True)
               if line.classifier.is_guess and of in ("reproduced", "close")}  # fmt: skip
    result = []
    for line, of in zip(found, own, strict=True):
        if line.classifier.is_guess:
            result.append({"reproduced": "fits", "close": "fits", "differs": "does not fit"}.get(of, of))
        elif not line.is_published():
            result.append("-")
        else:
            result.append("explained" if of == "differs" and line.classifier.name in guessed else of)
    return result


def uncertainty(errors: list[float]) -> tuple[float, float]:
    """From the least to the most that one further run, or another test set of this size, might give."""
    mean = statistics.mean(errors)
    of_set = [100 * end for end in statistics.wilson(round(mean / 100 * paper.TEST_SIZE), paper.TEST_SIZE)]
    if len(errors) < ENOUGH:
        return of_set[0], of_set[1]
    of_runs = statistics.prediction_interval(errors)
    return min(of_set[0], of_runs[0]), max(of_set[1], of_runs[1])


def comparison(results: Path) -> Table:
    """Fig. 9 and 10: errors and rejects, with a verdict and McNemar's test against LeNet-5."""
    header = ["", "paper, %", "test error, mean ± std, %", "95 % interval of the test set", "n", "verdict"]
    header += [f"p against {REFERENCE}", "paper, % rejected", "% rejected, mean ± std"]
    rows, found = [], lines(results)
    reference, given = next(line for line in found if line.classifier.key == REFERENCE), verdicts(found)
    for line, of_line in zip(found, given, strict=True):
        errors = line.errors()
        rejects = statistics_cells(numbers(line.runs, "reject_percent"), len(line.runs), lambda v: f"{v:.2f}")[0]
        rows.append([
            line.classifier.key,
            line.printed(ERROR),
            statistics_cells(errors, len(errors), percent)[0] if errors else "-",
            _wilson(errors, line.size()),
            str(len(errors)) if errors else "-",
            of_line,
            _mcnemar(line, reference),
            line.printed(REJECT),
            rejects if errors else "-",
        ])  # fmt: skip
    counts = [of_line for line, of_line in zip(found, given, strict=True) if line.is_published()]
    near = sum(within(line.errors(), line.published[ERROR]) for line in found
               if line.is_published() and line.errors())  # fmt: skip
    notes = [
        "Verdict: reproduced, if the paper's error, give or take the 0.1 points that it states, lies within what one "
        f"more run of ours (95 % prediction interval, from {ENOUGH} seeds on) or another test set of this size "
        "(Wilson's interval) might give; "
        f"close, if our mean is within {CLOSE} points or {100 * CLOSE_SHARE:.0f} % of the paper's error; else differs, "
        "or explained, if a guess at what the paper did, in one of the rows below it, fits: is reproduced or close. "
        f"{counts.count('reproduced')} are reproduced, {counts.count('close')} close, {counts.count('explained')} "
        f"explained, {counts.count('differs')} differ, {counts.count('not run')} of {len(counts)} were not run. "
        f"Within {CLOSE} points or {100 * CLOSE_SHARE:.0f} % of the paper's error are {near}, whatever their verdict.",
        f"p: McNemar's exact test on the images that one of the two gets wrong, the median over pairs of seeds with "
        f"{REFERENCE}; not corrected for their number.",
        f"Rejected: the smallest share of the images that must be rejected, those whose two best scores differ least "
        f"first, for {ACCEPTED_ERROR:g} % of the rest to be wrong.",
        *_without_prefilter(found),
        _source(comparison_runs(results)),
    ]
    counts_of = n_of([len(line.runs) for line in found if len(line.runs)])
    statistics_note = (
        f"Mean ± standard deviation over {counts_of}, one where nothing is left to chance; intervals are Wilson's for "
        f"{paper.TEST_SIZE:,} images at our mean."
    )
    return Table(COMPARISON, "The classifiers of Figs. 9 and 10 on MNIST: the paper's numbers and ours.", header, rows,
                 notes, statistics_note)  # fmt: skip


def _without_prefilter(found: list[Line]) -> list[str]:
    """How many images a variant that was shown few gets wrong, and how many of the same the classifier itself."""
    by_key, said = {line.classifier.key: line for line in found}, []
    for key, line in by_key.items():
        main, size = by_key.get(line.classifier.name, line), line.classifier.max_test_images
        if size and len(line.runs) and len(main.runs):
            own, all_ = (next(iter(wrong_images(each.runs).values()))[:size] for each in (line, main))
            said.append(f"{key}: {own.sum()} of {size} are wrong, of the same images by `{main.classifier.key}` "
                        f"{all_.sum()}; {(own & all_).sum()} are wrong by both.")  # fmt: skip
    return said


def costs(results: Path) -> Table:
    """Fig. 11 and 12: multiply-adds and memory, counted; and what the paper could not compare, time."""
    header = ["", "paper, thousand multiply-adds", "ours, thousand", "paper, thousand variables", "ours, thousand "]
    header += ["microseconds a recognition", "seconds of training"]
    rows = []
    for line in lines(results):
        if line.runs.empty:
            continue
        rows.append([
            line.classifier.key,
            line.printed(ADDS),
            _thousands(line.runs["multiply_adds"]),
            line.printed(MEMORY),
            _thousands(line.runs["variables"]),
            f"{line.runs['microseconds'].median():.3g}",
            f"{line.runs['train_seconds'].median():.3g}",
        ])  # fmt: skip
    runs = comparison_runs(results)
    counts_of = n_of(list(runs.groupby("classifier").size()))
    notes = [
        "Multiply-adds of one recognition and variables to be stored are counted from what was fitted, not typed.",
        f"Times are medians on one thread of {', '.join(sorted(runs['cpu'].unique()))}, recognitions in batches: an "
        "indication. Networks are timed by the reference, not by the fused engine that trained them. Of the paper's "
        "times only LeNet-5's is stated: 2 to 3 days of training on one 200 MHz R10000 processor.",
        _source(runs),
    ]
    return Table("comparison-costs", "What the classifiers of Figs. 11 and 12 cost: the paper's numbers and ours.",
                 header, rows, notes, f"Counted, or medians of times, over {counts_of}; no intervals.")  # fmt: skip


def choice(results: Path) -> Table:
    """What was tried for what the paper does not give, on held-out training images."""
    runs = comparison_runs(results, CHOICE)
    if set(runs["split"]) != {"validation"}:
        raise TableError(f"{CHOICE}: errors on other than held-out training images")
    rows = []
    for name, of_classifier in runs.groupby("classifier", sort=False):
        least = of_classifier["error_percent"].min()
        for _, run in of_classifier.iterrows():
            error = float(run["error_percent"])
            rows.append([str(name), str(run["settings"]), f"{error:.2f}", "lowest" if error == least else "-"])
    return Table(CHOICE, "Settings that the paper does not give, on images held out of the training set.",
                 ["", "settings", "validation error, %", ""], rows, [_source(runs, CHOICE)],
                 f"n = 1 fit each, on {runs['test_size'].iloc[0]:,} images; no intervals.")  # fmt: skip


def _source(runs: pd.DataFrame, name: str = COMPARISON) -> str:
    return f"{origin(runs, 'fits')}; results/runs/{name}.csv, by experiments/tables.py."


def _thousands(values: pd.Series[float]) -> str:
    value = float(values.iloc[0]) / 1000
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def _wilson(errors: list[float], size: int) -> str:
    if not errors:
        return "-"
    wrong = round(statistics.mean(errors) / 100 * size)
    return "{:.2f} to {:.2f}".format(*(100 * end for end in statistics.wilson(wrong, size)))


def wrong_images(runs: pd.DataFrame) -> dict[int, np.ndarray]:
    """(10000,) which test images each seed gets wrong."""
    found = {}
    for _, run in runs.iterrows():
        wrong = np.zeros(paper.TEST_SIZE, bool)
        wrong[[int(index) for index in str(run["wrong"]).split()]] = True
        if wrong.sum() != run["errors"]:
            raise TableError(f"{COMPARISON}: {run['classifier']} seed {run['seed']}: {run['errors']} errors, of which "
                             f"{wrong.sum()} are listed")  # fmt: skip
        found[int(run["seed"])] = wrong
    return found


def _mcnemar(line: Line, reference: Line) -> str:
    if line.runs.empty or line is reference or reference.runs.empty or line.classifier.max_test_images:
        return "-"
    ours, theirs = wrong_images(line.runs), wrong_images(reference.runs)
    pairs = [(a, b) for i, a in ours.items() for j, b in theirs.items() if len(ours) == 1 or i == j]
    if not pairs:
        return "-"
    p = median(statistics.mcnemar_p(a, b) for a, b in pairs)
    return f"{p:.2g}" if p > 0 else "< 1e-300"  # less than a float holds


TABLES = {
    COMPARISON: Generated(comparison, runs_of(COMPARISON), Shown("classifiers", 1, "docs/classifiers.md")),
    "comparison-costs": Generated(costs, runs_of(COMPARISON), Shown("classifiers", 2)),
    CHOICE: Generated(choice, runs_of(CHOICE), Shown("classifiers", 3)),
}
