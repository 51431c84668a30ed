"""Three public tutorials that call their networks LeNet-5, trained again: what they report beside ours, and by class.

Each reports one run on MNIST's test images.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_fscore_support

from paper_lenet import evaluate, paper
from paper_lenet.tables import (
    Table,
    TableError,
    diverged_note,
    finished,
    intervals_note,
    numbers,
    percent,
    provenance,
    read_results,
    read_runs,
    statistics_cells,
    verdict_cell,
)


@dataclass(frozen=True)
class Tutorial:
    """A tutorial: what it trains, in short, where it stands, and the test accuracy in % that it reports, if any."""

    what: str
    source: str
    accuracy: float | None


TUTORIALS = {
    "tutorial-t1": Tutorial(
        "T1, PyTorch: batch normalisation, ReLU, max pooling; 10 epochs",
        'V. Bhargava, "LeNet-5", blog, 8 May 2022',
        98.97,
    ),
    "tutorial-t2": Tutorial(
        "T2, Keras: tanh, average pooling; 5 epochs",
        '"Understanding and Implementing LeNet-5 CNN Architecture", article, 2020',
        98.59,
    ),
    "tutorial-t3": Tutorial(
        "T3, Keras: ReLU, max pooling; 54,000 images, 10 epochs",
        'S. Ali, "LeNet-5 - A complete guide", 29 Apr 2024',
        None,
    ),
}
NAMES = tuple(TUTORIALS)
SCORES = ("precision", "recall", "F1")


def tutorials(results: Path) -> Table:
    """The accuracy that each tutorial reports beside that of our runs of it."""
    used = {name: tested(results, name) for name in TUTORIALS}
    header = ["", "reported accuracy, %", "ours, mean ± std", "95 % interval of the mean"]
    header += ["95 % interval of one run", "n seeds", "verdict"]
    rows = []
    for name, tutorial in TUTORIALS.items():
        values = [100 - error for error in numbers(finished(used[name]), "test_error_percent")]
        low, high = evaluate.prediction_interval(values)
        reported = tutorial.accuracy
        rows.append(
            [
                *(tutorial.what, "not given" if reported is None else f"{reported:g}"),
                *statistics_cells(values, len(used[name]), percent),
                f"{percent(low)} to {percent(high)}" if len(values) > 1 else "-",
                str(len(values)),
                "-" if reported is None else verdict_cell(values, reported, len(used[name])),
            ]
        )
    runs = pd.concat(used.values())
    notes = [
        "Accuracy on the 10,000 test images after the last epoch. " + intervals_note(None),
        "Verdict: reproduced if the reported accuracy lies within the 95 % prediction interval for one run.",
        "Sources: " + "; ".join(f"{name[-2:].upper()}: {each.source}" for name, each in TUTORIALS.items()) + ".",
        *diverged_note(runs),
        provenance("tutorials", runs, NAMES),
    ]
    return Table("tutorials", "Three tutorials, as they report themselves and as we find them.", header, rows, notes)


def by_class(results: Path) -> Table:
    """Precision, recall and F1 of each digit in each tutorial, means over seeds."""
    used = {name: tested(results, name) for name in TUTORIALS}
    scores = {name: np.mean([_scores(m) for m in confusions(results, name).values()], axis=0) for name in TUTORIALS}
    header = ["digit", *(f"{name[-2:].upper()} {score}, %" for name in TUTORIALS for score in SCORES)]
    rows = []
    for digit in range(paper.CLASSES):
        rows.append([str(digit), *(f"{100 * value:.2f}" for name in TUTORIALS for value in scores[name][:, digit])])
    mean = (f"{100 * value:.2f}" for name in TUTORIALS for value in scores[name].mean(axis=1))
    rows.append(["mean of the digits", *mean])
    runs = pd.concat(used.values())
    notes = [
        "Means over seeds: of the images that the network calls a digit, how many are one (precision); of the images "
        "of a digit, how many it calls one (recall); and the harmonic mean of the two (F1).",
        *diverged_note(runs),
        provenance("tutorials-classes", runs, NAMES),
    ]
    return Table("tutorials-classes", "The three tutorials digit by digit.", header, rows, notes)


def tested(results: Path, name: str) -> pd.DataFrame:
    """The runs of one configuration; TableError unless they are tested on MNIST's 10,000 test images."""
    runs = read_runs(results, name)
    if runs["fingerprint"].nunique() > 1:
        raise TableError(f"{name}: several configurations; a tutorial is one")
    done = finished(runs)
    whole = (done["test_size"] == paper.TEST_SIZE) & (done["split"] == "test") & (done["dataset"] == "mnist")
    if not whole.all():
        raise TableError(f"{name}: not the {paper.TEST_SIZE} test images of MNIST")
    return runs


def confusions(results: Path, name: str) -> dict[int, NDArray[np.int64]]:
    """By seed, how many test images of each digit (row) are called each digit (column)."""
    done = finished(tested(results, name))
    if done.empty:
        raise TableError(f"{name}: no run that did not diverge")
    errors = read_results(results / "errors" / f"{name}.csv")
    found = {}
    for seed in map(int, done["seed"]):
        of_seed = errors[errors["seed"] == seed]
        matrix = np.zeros((paper.CLASSES, paper.CLASSES), np.int64)
        np.add.at(matrix, (of_seed["true_label"].to_numpy(), of_seed["predicted_label"].to_numpy()), 1)
        right = np.array(paper.MNIST_TEST_LABELS) - matrix.sum(axis=1)
        if (right < 0).any():
            raise TableError(f"{name}: seed {seed} has more errors of a digit than MNIST has test images of it")
        found[seed] = matrix + np.diag(right)
    return found


def _scores(matrix: NDArray[np.int64]) -> NDArray[np.floating]:
    """Precision, recall and F1 (rows) of each class (columns)."""
    true, called = np.indices(matrix.shape).reshape(2, -1)
    scores = precision_recall_fscore_support(true, called, sample_weight=matrix.ravel(), zero_division=0.0)
    return np.array(scores[:3])
