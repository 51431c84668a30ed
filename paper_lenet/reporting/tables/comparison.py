"""Tables of Figs. 9 to 12: each classifier's error, rejects, multiply-adds and memory, the paper's beside ours.

results/runs/comparison.csv has one row per classifier and seed (experiments/comparison.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
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
from paper_lenet.reporting.tables.common import (
    JUDGED,
    VERDICT_RULE,
    Generated,
    judged,
    number,
    origin,
    percent,
    runs_of,
    statistics_cells,
)

COMPARISON, CHOICE = "comparison", "comparison-choice"
VARIANTS, GUESSES = "comparison-variants", "comparison-guesses"
REFERENCE = "lenet-5"
ERROR, REJECT, ADDS, MEMORY = (
    *("fig9_test_error_percent", "fig10_reject_percent_for_half_percent_error"),
    *("fig11_kilo_multiply_accumulates", "fig12_kilo_variables"),
)
NOT_PRINTED = dict.fromkeys((ERROR, REJECT, ADDS, MEMORY), math.nan)


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

    def is_fixed(self) -> bool:
        """Whether nothing of it is left to chance, so that it is fitted once."""
        return not self.classifier.network and self.classifier.seeds == 1


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


def judgement(line: Line) -> list[str]:
    """The cells JUDGED of one line: of what chance has a part in, as everywhere; of the rest by the paper's own 0.1."""
    errors, theirs = line.errors(), line.published[ERROR]
    if math.isnan(theirs):
        return ["-"] * len(JUDGED)
    if not errors:
        return ["-", "-", "not run"]
    if not line.is_fixed():
        return judged(errors, theirs, len(errors))
    near = abs(round(errors[0] - theirs, 3)) <= statistics.MARGIN
    return ["-", "-", statistics.REPRODUCED if near else statistics.NOT_REPRODUCED]


def is_reproduced(line: Line) -> bool:
    """Whether its verdict is that, whatever the number of runs."""
    return judgement(line)[-1].startswith(statistics.REPRODUCED)


def comparison(results: Path) -> Table:
    """Fig. 9 and 10: errors and rejects, with a verdict, and the difference from LeNet-5."""
    found = [line for line in lines(results) if not line.classifier.variant]
    for line in found:
        wrong_images(line.runs)  # as many as are counted
    reference = next(line for line in found if line.classifier.key == REFERENCE)
    differences = [_from_reference(line, reference) for line in found]
    corrected = statistics.holm([p for *_, p in differences])
    header = ["", "paper, %", "test error, mean ± std, %", "n", *JUDGED, f"minus {REFERENCE}, points"]
    header += ["its 95 % interval", "p by Holm", "paper, % rejected", "% rejected, mean ± std"]
    rows = []
    for line, (difference, low, high, _), p in zip(found, differences, corrected, strict=True):
        interval = [f"{difference:+.2f}", f"{low:+.2f} to {high:+.2f}"] if math.isfinite(low) else ["-", "-"]
        rows.append([
            *_measured(line),
            *judgement(line),
            *(*interval, "-" if math.isnan(p) else f"{p:.2g}"),
            *(line.printed(REJECT), _rejected(line)),
        ])  # fmt: skip
    published = [line for line in found if line.is_published()]
    verdicts = [judgement(line)[-1] for line in published]
    notes = [
        f"{VERDICT_RULE} Of a classifier that leaves nothing to chance (n = 1): reproduced if its error is within "
        f"{statistics.MARGIN} points of the paper's, the uncertainty that the paper states (p. 12). "
        f"{sum(map(is_reproduced, published))} of {len(published)} are reproduced, "
        f"{sum(each.startswith(statistics.NOT_REPRODUCED) for each in verdicts)} are not, "
        f"{verdicts.count(statistics.NO_VERDICT)} have too few runs, {verdicts.count('not run')} were not run.",
        f"Differences from {REFERENCE} are paired by seed; those of a classifier that leaves nothing to chance are "
        "from each of its seeds. p is that of the two-sided paired t test, corrected for all rows of the table.",
        f"Rejected: the smallest share of the images that must be rejected, those whose two best scores differ least "
        f"first, for {ACCEPTED_ERROR:g} % of the rest to be wrong.",
        _source(comparison_runs(results)),
    ]
    counts_of = n_of([len(line.runs) for line in found if len(line.runs)])
    statistics_note = (
        f"Mean ± standard deviation over {counts_of}, one where nothing is left to chance; intervals are Student's t "
        "over seeds."
    )
    return Table(COMPARISON, "The classifiers of Figs. 9 and 10 on MNIST: the paper's numbers and ours.", header, rows,
                 notes, statistics_note)  # fmt: skip


def _measured(line: Line) -> list[str]:
    errors = line.errors()
    ours = statistics_cells(errors, len(errors), percent)[0] if errors else "-"
    return [line.classifier.key, line.printed(ERROR), ours, str(len(errors)) if errors else "-"]


def _rejected(line: Line) -> str:
    if line.runs.empty:
        return "-"
    return statistics_cells(numbers(line.runs, "reject_percent"), len(line.runs), lambda v: f"{v:.2f}")[0]


def _from_reference(line: Line, reference: Line) -> tuple[float, float, float, float]:
    """Mean difference from the reference in points, the ends of its interval, and p; nan where there is nothing."""
    ours, theirs = ({int(seed): error for seed, error in zip(each.runs["seed"], each.errors(), strict=True)}
                    for each in (line, reference))  # fmt: skip
    if line.is_fixed() and ours:
        ours = dict.fromkeys(theirs, ours[0])
    seeds = [seed for seed in theirs if seed in ours]
    if line is reference or len(seeds) < 2:
        return math.nan, math.nan, math.nan, math.nan
    return statistics.paired_t([ours[seed] for seed in seeds], [theirs[seed] for seed in seeds])


def variants(results: Path) -> Table:
    """The variants of the classifiers, and those that are guesses at what the paper did, with the verdict of each."""
    found = [line for line in lines(results) if line.classifier.variant and len(line.runs)]
    header = ["", "paper, %", "test error, mean ± std, %", "n", *JUDGED, "% rejected, mean ± std"]
    rows = []
    for line in found:
        key, _, ours, n = _measured(line)
        printed = f"{line.published[ERROR]:g}" if line.classifier.is_guess else "-"
        verdict = judgement(line) if line.classifier.is_guess else ["-"] * len(JUDGED)
        rows.append([key, printed, ours, n, *verdict, _rejected(line)])
    notes = [
        f"{VERDICT_RULE} Of what leaves nothing to chance (n = 1): reproduced within {statistics.MARGIN} points. "
        "Only guesses at what the paper did have one. They were made with the paper's numbers in sight, so that one "
        f"that comes near shows what may have been done, and reproduces nothing ({GUESSES}).",
        *_without_prefilter(lines(results)),
        _source(comparison_runs(results)),
    ]
    note = f"Mean ± standard deviation over {n_of([len(line.runs) for line in found])}; no intervals."
    caption = "Variants of the classifiers, and guesses at what was done in 1998."
    return Table(VARIANTS, caption, header, rows, notes, note)


def guesses(results: Path) -> Table:
    """Each guess at what the paper did, judged by all classifiers that it was tried on together."""
    found = [line for line in lines(results) if len(line.runs)]
    own = {line.classifier.name: line for line in found if not line.classifier.variant}
    by_guess: dict[str, list[tuple[Line, Line]]] = {}
    for line in found:
        if line.classifier.is_guess and line.classifier.name in own:
            by_guess.setdefault(line.classifier.variant, []).append((own[line.classifier.name], line))
    rows = []
    for guess, pairs in by_guess.items():
        means = [[statistics.mean(each.errors()) for each in pair] for pair in pairs]
        theirs = [line.published[ERROR] for line, _ in pairs]
        nearer = sum(abs(after - at) < abs(before - at) for (before, after), at in zip(means, theirs, strict=True))
        rows.append([
            *(guess, str(len(pairs)), str(nearer)),
            *(number(statistics.log_distance(list(column), theirs)) for column in zip(*means, strict=True)),
            *(str(sum(map(is_reproduced, column))) for column in zip(*pairs, strict=True)),
        ])  # fmt: skip
    header = ["guess", "classifiers", "nearer to the paper", "distance without", "distance with"]
    header += ["reproduced without", "reproduced with"]
    notes = [
        "A guess is one change for all classifiers that it could be about, and is judged by them together. Distance: "
        "the root mean square of ln(our mean error / the paper's error); 0.1 is about 10 %. Guesses were made with the "
        f"paper's numbers in sight. Their rows: {VARIANTS}.",
        _source(comparison_runs(results)),
    ]
    counts_of = n_of([len(line.runs) for pairs in by_guess.values() for pair in pairs for line in pair])
    caption = "Guesses at what was done in 1998, each judged by all classifiers that it was tried on."
    return Table(GUESSES, caption, header, rows, notes, f"Means over {counts_of}; no intervals.")


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
            rows.append([str(name), str(run["settings"]), f"{error:.2f}", "yes" if error == least else "-"])
    return Table(CHOICE, "Settings that the paper does not give, on images held out of the training set.",
                 ["", "settings", "validation error, %", "lowest"], rows, [_source(runs, CHOICE)],
                 f"n = 1 fit each, on {runs['test_size'].iloc[0]:,} images; no intervals.")  # fmt: skip


def _source(runs: pd.DataFrame, name: str = COMPARISON) -> str:
    return f"{origin(runs, 'fits')}; results/runs/{name}.csv, by experiments/tables.py."


def _thousands(values: pd.Series[float]) -> str:
    value = float(values.iloc[0]) / 1000
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


TABLES = {
    COMPARISON: Generated(comparison, runs_of(COMPARISON), Shown("classifiers", 1, "docs/classifiers.md")),
    GUESSES: Generated(guesses, runs_of(COMPARISON), Shown("classifiers", 2, "docs/classifiers.md")),
    VARIANTS: Generated(variants, runs_of(COMPARISON), Shown("classifiers", 3)),
    "comparison-costs": Generated(costs, runs_of(COMPARISON), Shown("classifiers", 4)),
    CHOICE: Generated(choice, runs_of(CHOICE), Shown("classifiers", 5)),
}
