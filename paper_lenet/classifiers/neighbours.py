"""Nearest neighbours by Euclidean distance (p. 13): each training image is stored and compared with."""

from __future__ import annotations

from sklearn.neighbors import KNeighborsClassifier

from paper_lenet.classifiers.fitted import Fitted, Scores, Values, vote
from paper_lenet.data import Labels


def euclidean(images: Values, labels: Labels, seed: int, k: int) -> Fitted:
    """The class that most of the k nearest training images have; of equals the one that has the nearest."""
    neighbours = KNeighborsClassifier(k, algorithm="brute").fit(images, labels)

    def scores(test: Values) -> Scores:
        distances, indices = neighbours.kneighbors(test)
        return vote(labels[indices], distances)

    return Fitted(scores, images.size, images.size)
