"""What every classifier is, before and after it has learned, and what several families share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paper_lenet import paper
from paper_lenet.data import Images, Labels

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


@dataclass(frozen=True)
class Classifier:
    """One classifier, or a variant of one.

    name: as in `paper/fig9_to_12_classifiers.csv`, where the paper has it.
    variant: how it differs from the classifier of that name; empty for that one. A variant has a row of its own.
    version: of the images, as DataConfig.version.
    fit: (images, labels, seed, **settings) -> Fitted; None where networks alone are the classifier.
    settings: what the paper gives, or what was chosen on 10,000 images held out of the training set.
    candidates: the values that were tried for each setting that was chosen.
    is_guess: whether the variant is a guess at what the paper did, put to the test.
    network: label in conf/study/comparison-nets.yaml of the network that it is or that `fit` builds on; or empty.
    layer: of that network: `fit` is given its states, and replaces all layers above it (D21).
    boosted: whether two more of that network are trained on what the first gets wrong.
    seeds: how many times it is fitted; once where nothing is left to chance.
    as_rows: whether each image is one row of features, (N, pixels), and not (N, side, side).
    max_test_images: how many test images it is shown, the first ones, where all would take too long.
    """

    name: str
    variant: str = ""
    version: str = "regular"
    fit: Callable[..., Fitted] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    candidates: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    is_guess: bool = False
    network: str = ""
    layer: str = ""
    boosted: bool = False
    seeds: int = 1
    as_rows: bool = True
    max_test_images: int | None = None

    @property
    def key(self) -> str:
        """What distinguishes it from all others: "name" or "name, variant"."""
        return f"{self.name}, {self.variant}" if self.variant else self.name

    def images(self, images: Images) -> Values:
        """What `fit` and its scores take, from bytes of its version (N, side, side)."""
        values = (images / np.float32(255)).astype(np.float32)
        return values.reshape(len(values), -1) if self.as_rows else values

    def choices(self) -> list[dict[str, Any]]:
        """Every combination of the candidates, with the settings that are given."""
        names = list(self.candidates)
        return [{**self.settings, **dict(zip(names, each, strict=True))} for each in product(*self.candidates.values())]


# Guesses at what the images were, by the version that the paper names: what the guess is called, and its version.
REGULAR = {"black and white": "binary"}
SMALL = {"black and white": "small-binary"}
DESLANTED = {
    **{"black and white": "deslanted-binary", "ink in the middle again": "deslanted-boxed"},
    "fitted into the box again": "deslanted-normalised",
}


def guesses(
    name: str, versions: Mapping[str, str], fit: Callable[..., Fitted], settings: Mapping[str, Any], **more: Any
) -> list[Classifier]:
    """A classifier on the images of each of these versions, as guesses at what the paper did; more: of its fields."""
    return [
        Classifier(name, variant, version, fit, settings, is_guess=True, **more)
        for variant, version in versions.items()
    ]


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
