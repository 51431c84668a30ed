"""What every classifier is once it has learned, and what several families share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paper_lenet import paper
from paper_lenet.data import Labels

Values = NDArray[np.float32]
Scores = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Fitted:
    """A classifier that has learned, and what it costs.

    scores: of images as they were learned from (those of a network: bytes), (N, 10), the largest wins; Fig. 10 rejects
        by the difference of the two largest (p. 15).
    multiply_adds: of one recognition, Fig. 11.
    variables: numbers that must be stored to recognise, Fig. 12.
    """

    scores: Callable[[Any], Scores]
    multiply_adds: int
    variables: int


def one_of_ten(labels: Labels) -> NDArray[np.float64]:
    """(N, 10) targets: 1 for the class, -1 for the others."""
    return np.where(labels[:, None] == np.arange(paper.CLASSES), 1.0, -1.0)


def vote(voters: Labels, distances: NDArray[np.floating]) -> Scores:
    """(N, 10) scores by nearest neighbours.  voters, distances: (N, k), the nearest first.

    A class's score is its number of votes and, less than one vote, how near its nearest voter is.
    """
    scores = np.zeros((len(voters), paper.CLASSES))
    rows = np.arange(len(voters))
    for neighbour in reversed(range(voters.shape[1])):  # the nearest comes last and stays
        whole = np.floor(scores[rows, voters[:, neighbour]])
        scores[rows, voters[:, neighbour]] = whole + 1 + 1 / (2 + distances[:, neighbour])
    return scores.astype(np.float32)


def nearest(voters: Labels, distances: NDArray[np.floating]) -> Scores:
    """(N, 10) scores by the nearest one: less the distance to the nearest of each class.

    voters, distances: (N, k), in any order. A class that none of them has is as far as the farthest.
    """
    least = np.repeat(distances.max(1)[:, None], paper.CLASSES, 1)
    np.minimum.at(least, (np.arange(len(voters))[:, None], voters), distances)
    return -least.astype(np.float32)
