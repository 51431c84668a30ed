"""What Figs. 9 to 12 plot of a classifier, from its scores on the held-out images and from a clock."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paper_lenet.classifiers.fitted import Scores
from paper_lenet.data import Labels
from paper_lenet.runs.environment import ORIGIN

# Fig. 10: the error, in per cent, that is allowed on the patterns that are not rejected.
ACCEPTED_ERROR = 0.5
# How many images are timed, the first ones.
TIMED = 200
COLUMNS = (
    *("classifier", "settings", "dataset", "split", "fingerprint", "seed", "train_size", "test_size"),
    *("errors", "error_percent", "reject_percent", "multiply_adds", "variables", "train_seconds", "microseconds"),
    *("wrong", "rejected_before", *ORIGIN),
)
Row = dict[str, Any]


def fingerprint(name: str, settings: Mapping[str, Any]) -> str:
    """Twelve hexadecimal digits for a classifier and its settings."""
    return hashlib.sha256(json.dumps([name, dict(settings)], sort_keys=True).encode()).hexdigest()[:12]


def measured(scores: Callable[[Any], Scores], images: NDArray[Any], labels: Labels) -> Row:
    """What a classifier makes of images of known labels.

    errors, error_percent, reject_percent, microseconds; wrong, the images that it gets wrong; and rejected_before, how
    many images are rejected before each of these, which makes the whole curve of Fig. 10 (`curve`).
    """
    found = scores(images)
    wrong = found.argmax(1) != labels
    began = time.perf_counter()
    scores(images[:TIMED])
    seconds = time.perf_counter() - began
    return {
        "test_size": len(labels),
        "errors": int(wrong.sum()),
        "error_percent": 100 * float(wrong.mean()),
        "reject_percent": reject_percent(found, wrong),
        "microseconds": 1e6 * seconds / min(TIMED, len(images)),
        "wrong": " ".join(map(str, np.flatnonzero(wrong))),
        "rejected_before": " ".join(map(str, ranks(found)[wrong])),
    }


def ranks(scores: Scores) -> NDArray[np.int64]:
    """(N,) how many patterns are rejected before each.

    scores: (N, 10), the largest wins. Rejected first are those whose two largest scores differ least (p. 15); of equal
    ones the first.
    """
    two = np.partition(scores.astype(np.float64), -2, 1)[:, -2:]
    return np.argsort(np.argsort(two[:, 1] - two[:, 0], kind="stable"))


def curve(rejected_before: NDArray[np.int64], size: int) -> NDArray[np.float64]:
    """(size,) the error, in per cent of those that are left, when 0, 1, ... size - 1 of `size` patterns are rejected.

    rejected_before: of the wrong ones, how many patterns are rejected before each.
    """
    still = np.bincount(rejected_before, minlength=size)[::-1].cumsum()[::-1]
    return np.asarray(100 * still / np.arange(size, 0, -1))


def reject_percent(scores: Scores, wrong: NDArray[np.bool_]) -> float:
    """The smallest share of the patterns, in per cent, that must be rejected for ACCEPTED_ERROR on the rest."""
    enough = curve(ranks(scores)[wrong], len(wrong)) <= ACCEPTED_ERROR
    return 100 * float(np.argmax(enough)) / len(wrong) if enough.any() else 100.0
