"""Nearest neighbours by Euclidean distance (p. 13): each training image is stored and compared with."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from paper_lenet.classifiers.fitted import DESLANTED, REGULAR, Classifier, Fitted, Scores, Values, guesses, vote
from paper_lenet.data import Labels

CHUNK = 100  # images at once
K = 5  # voters; best on hold-out images, of regular images and of the states of LeNet-4


def euclidean(images: Values, labels: Labels, seed: int, k: int) -> Fitted:
    """The class that most of the k nearest training images have; of equals the one that has the nearest."""

    def scores(test: Values) -> Scores:
        distances, indices = closest(test, images, k)
        return vote(labels[indices], distances)

    return Fitted(scores, images.size, images.size)


def closest(x: Values, images: Values, k: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Distances of each of x (N, features) to the k nearest images (M, features), and their indices; both (N, k).

    The nearest comes first, of equally near ones that of the smaller index. Squares are computed in single precision
    by a product of matrices, and again exactly of all that rounding could have taken from, or put among, the k.
    """
    norms = np.einsum("mf,mf->m", images, images, dtype=np.float64)
    single, largest = norms.astype(np.float32), np.sqrt(norms.max())
    distances, indices = np.empty((len(x), k)), np.empty((len(x), k), np.int64)
    for start in range(0, len(x), CHUNK):
        part = np.ascontiguousarray(x[start : start + CHUNK])
        # |y|^2 - 2 x y is off by at most half of this: that much for each of the terms that are added up.
        lengths = np.linalg.norm(part, axis=1) + largest
        off = np.finfo(np.float32).eps * (x.shape[1] + 4) * lengths.astype(np.float64) ** 2
        rough = part @ images.T
        rough *= -2
        rough += single
        here = slice(start, start + len(part))
        _closest(part, images, rough, off, distances[here], indices[here])
    return np.sqrt(distances), indices


@njit(cache=True)
def _closest(x, images, rough, off, distances, indices):  # type: ignore[no-untyped-def]
    """Squares and indices (N, k) of the nearest images, by rough squares (N, M) that are not off by more than off / 2.

    The rough ones may all lack the same number.
    """
    k = distances.shape[1]
    least = np.empty(k, rough.dtype)
    for n in range(len(x)):
        least[:] = np.inf
        for m in range(len(images)):
            if rough[n, m] < least[k - 1]:
                place = k - 1
                while place > 0 and least[place - 1] > rough[n, m]:
                    least[place] = least[place - 1]
                    place -= 1
                least[place] = rough[n, m]
        limit = least[k - 1] + off[n]
        distances[n] = np.inf
        for m in range(len(images)):
            if rough[n, m] <= limit:
                square = 0.0
                for f in range(x.shape[1]):
                    square += (np.float64(x[n, f]) - np.float64(images[m, f])) ** 2
                if square < distances[n, k - 1]:
                    place = k - 1
                    while place > 0 and distances[n, place - 1] > square:
                        distances[n, place], indices[n, place] = distances[n, place - 1], indices[n, place - 1]
                        place -= 1
                    distances[n, place], indices[n, place] = square, m


CLASSIFIERS = [
    Classifier("knn euclidean", fit=euclidean, settings={"k": K}, candidates={"k": (1, 3, 5, 7)}),
    *guesses("knn euclidean", REGULAR, euclidean, {"k": K}),
    Classifier("knn euclidean", "black and white, box in the middle", "boxed-binary", euclidean, {"k": K},
               is_guess=True),
    Classifier("deslant knn euclidean", version="deslanted", fit=euclidean, settings={"k": K}),
    *guesses("deslant knn euclidean", DESLANTED, euclidean, {"k": K}),
    Classifier("lenet-4 / k-nn", fit=euclidean, settings={"k": K}, candidates={"k": (1, 3, 5, 7)}, network="lenet-4",
               layer="c5"),
    Classifier("lenet-4 / k-nn", "on the states of S4", fit=euclidean, settings={"k": K}, is_guess=True,
               network="lenet-4", layer="s4"),
]  # fmt: skip
