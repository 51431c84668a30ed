"""Nearest neighbours by Euclidean distance (p. 13): each training image is stored and compared with."""

from __future__ import annotations

from sklearn.neighbors import KNeighborsClassifier

from paper_lenet.classifiers.fitted import Classifier, Fitted, Scores, Values, vote
from paper_lenet.data import Labels


def euclidean(images: Values, labels: Labels, seed: int, k: int) -> Fitted:
    """The class that most of the k nearest training images have; of equals the one that has the nearest."""
    neighbours = KNeighborsClassifier(k, algorithm="brute").fit(images, labels)

    def scores(test: Values) -> Scores:
        distances, indices = neighbours.kneighbors(test)
        return vote(labels[indices], distances)

    return Fitted(scores, images.size, images.size)


CLASSIFIERS = [
    Classifier("knn euclidean", fit=euclidean, settings={"k": 3}, candidates={"k": (1, 3, 5, 7)}),
    Classifier("knn euclidean", "black and white", "binary", euclidean, {"k": 3}, is_guess=True),
    Classifier("knn euclidean", "black and white, box in the middle", "boxed-binary", euclidean, {"k": 3},
               is_guess=True),
    Classifier("deslant knn euclidean", version="deslanted", fit=euclidean, settings={"k": 3}),
    Classifier("deslant knn euclidean", "black and white", "deslanted-binary", euclidean, {"k": 3}, is_guess=True),
    Classifier("lenet-4 / k-nn", fit=euclidean, settings={"k": 3}, candidates={"k": (1, 3, 5, 7)}, network="lenet-4",
               layer="c5"),
    Classifier("lenet-4 / k-nn", "on the states of S4", fit=euclidean, settings={"k": 3}, is_guess=True,
               network="lenet-4", layer="s4"),
]  # fmt: skip
