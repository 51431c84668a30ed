"""What networks take for what, digit by digit, from the wrong images of results/errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_fscore_support

from paper_lenet import paper
from paper_lenet.config.studies import Shown
from paper_lenet.reporting import statistics
from paper_lenet.reporting.formats import Table, n_of
from paper_lenet.reporting.results import TableError, finished, read_errors, read_runs
from paper_lenet.reporting.tables.common import Generated, check_promise, diverged_note, provenance, runs_of

SCORES = ("precision", "recall", "F1")
WHAT_SCORES_ARE = (
    "Precision: of the images that the network calls a digit, how many are one; recall: of the images of a digit, how "
    "many it calls one; F1: the harmonic mean of the two."
)
# The network of 1998, as it was trained for Fig. 5.
NETWORK = "fig5"


def classes(results: Path) -> Table:
    """Precision, recall and F1 of each digit in the network of 1998, over seeds."""
    found = [100 * scores(matrix) for matrix in confusions(results, NETWORK).values()]
    every = np.stack([np.column_stack([of_seed, of_seed.mean(axis=1)]) for of_seed in found])
    labels = [*map(str, range(paper.CLASSES)), "mean of the digits"]
    rows = [
        [label, *(_mean_and_std(every[:, score, k]) for score in range(len(SCORES)))] for k, label in enumerate(labels)
    ]
    runs = tested(results, NETWORK)
    notes = [WHAT_SCORES_ARE, *diverged_note(runs), provenance("classes", runs, [NETWORK])]
    statistics_note = f"Mean ± standard deviation over {n_of([len(found)])}; no intervals."
    header = ["digit", *(f"{score}, %" for score in SCORES)]
    return Table("classes", "LeNet-5 on MNIST's test images, digit by digit.", header, rows, notes, statistics_note)


def _mean_and_std(values: NDArray[np.floating]) -> str:
    each = [float(value) for value in values]
    return f"{statistics.mean(each):.2f}" + (f" ± {statistics.std(each):.2f}" if len(each) > 1 else "")


def tested(results: Path, name: str) -> pd.DataFrame:
    """results/runs/<name>.csv, one configuration; TableError unless they are tested on MNIST's 10,000 test images."""
    runs = read_runs(results, name)
    if runs["fingerprint"].nunique() > 1:
        raise TableError(f"{name}: several configurations; digit by digit is for one")
    done = finished(runs)
    whole = (done["test_size"] == paper.TEST_SIZE) & (done["split"] == "test") & (done["dataset"] == "mnist")
    if not whole.all():
        raise TableError(f"{name}: not the {paper.TEST_SIZE} test images of MNIST")
    check_promise(name, runs)
    return runs


def confusions(results: Path, name: str) -> dict[int, NDArray[np.int64]]:
    """By seed, how many test images of each digit (row) are called each digit (column)."""
    runs = tested(results, name)
    done = finished(runs)
    if done.empty:
        raise TableError(f"{name}: no run that did not diverge")
    errors = read_errors(results, name, runs)
    labels = errors[["true_label", "predicted_label"]]
    if not labels.isin(range(paper.CLASSES)).all(axis=None):
        raise TableError(f"{results / 'errors' / name}.csv: labels that are no digits")
    found = {}
    for seed in map(int, done["seed"]):
        of_seed = labels[errors["seed"] == seed].astype(int)
        matrix = np.zeros((paper.CLASSES, paper.CLASSES), np.int64)
        np.add.at(matrix, (of_seed["true_label"].to_numpy(), of_seed["predicted_label"].to_numpy()), 1)
        right = np.array(paper.MNIST_TEST_LABELS) - matrix.sum(axis=1)
        if (right < 0).any():
            raise TableError(f"{name}: seed {seed} has more errors of a digit than MNIST has test images of it")
        found[seed] = matrix + np.diag(right)
    return found


def scores(matrix: NDArray[np.int64]) -> NDArray[np.floating]:
    """Precision, recall and F1 (rows) of each class (columns)."""
    true, called = np.indices(matrix.shape).reshape(2, -1)
    scores = precision_recall_fscore_support(true, called, sample_weight=matrix.ravel(), zero_division=0.0)
    return np.array(scores[:3])


TABLES = {"classes": Generated(classes, runs_of(NETWORK), Shown("network"))}
