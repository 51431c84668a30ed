"""Linear classifiers (p. 12): ten weighted sums of the pixels, or one for each pair of classes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize
from tqdm import tqdm

from paper_lenet import paper
from paper_lenet.classifiers.fitted import DESLANTED, REGULAR, Classifier, Fitted, Scores, Values, guesses, one_of_ten
from paper_lenet.data import Labels

# Of the largest eigenvalue: pixels that are never inked, or always together, get no weight of their own.
SMALLEST = 1e-10
ITERATIONS = 100
Matrix = NDArray[np.float64]


def linear(images: Values, labels: Labels, seed: int = 0, ridge: float = 0.0, squashed: bool = False) -> Fitted:
    """Ten weighted sums with a bias, trained to 1 for their class and -1 else by least squares; the largest wins.

    ridge: what is added to the mean square of each feature, a regularised pseudo-inverse (p. 13).
    squashed: the squares are those of the sums squashed by Eq. 6, not of the sums themselves.  # D17
    """
    x, wanted = _with_bias(images), one_of_ten(labels)
    weights = _squashed(x, wanted) if squashed else _solve(x.T @ x + ridge * len(x) * np.eye(x.shape[1]), x.T @ wanted)
    return Fitted(lambda test: np.asarray(_with_bias(test) @ weights, np.float32), weights.size - paper.CLASSES,
                  weights.size)  # fmt: skip


def pairwise(images: Values, labels: Labels, seed: int = 0, rule: str = "squashed") -> Fitted:
    """45 units i/x, trained as those of `linear` on the patterns of two classes to 1 for i and -1 for x.

    The score of class i is the sum of the outputs of all units i/x less that of all units y/i.
    rule: what an output is: the sum (`sum`), what Eq. 6 makes of it (`squashed`), or its sign (`vote`).
    """
    x = _with_bias(images)
    pairs = list(combinations(range(paper.CLASSES), 2))
    weights, credit = np.empty((x.shape[1], len(pairs))), np.zeros((len(pairs), paper.CLASSES))
    of_class = [x[labels == digit] for digit in range(paper.CLASSES)]
    grams, sums = [some.T @ some for some in of_class], [some.sum(0)[:, None] for some in of_class]
    for unit, (i, j) in enumerate(tqdm(pairs, desc="pairs", leave=False, disable=None)):
        credit[unit, i], credit[unit, j] = 1, -1
        if rule == "squashed":
            wanted = np.repeat([1.0, -1.0], [len(of_class[i]), len(of_class[j])])[:, None]
            weights[:, [unit]] = _squashed(np.concatenate([of_class[i], of_class[j]]), wanted)
        else:
            weights[:, [unit]] = _solve(grams[i] + grams[j], sums[i] - sums[j])
    outputs: dict[str, Callable[[Matrix], Matrix]] = {"sum": np.asarray, "squashed": _squash, "vote": np.sign}
    output = outputs[rule]

    def scores(test: Values) -> Scores:
        return np.asarray(output(_with_bias(test) @ weights) @ credit, np.float32)

    return Fitted(scores, len(pairs) * images.shape[1], weights.size)


def _squash(sums: NDArray[np.floating]) -> Matrix:
    return np.asarray(paper.A * np.tanh(paper.S * sums))  # Eq. 6, p. 8


def _squashed(x: Matrix, wanted: Matrix) -> Matrix:
    """The weights (features, units) with the least squares of squashed sums, after ITERATIONS of L-BFGS from 0."""
    # Features of one size: L-BFGS goes the same way in all directions at first.
    size = np.sqrt((x**2).mean(0))
    scale = np.divide(1.0, size, out=np.zeros_like(size), where=size > 0)
    features, shape = (x * scale).astype(np.float32), (x.shape[1], wanted.shape[1])

    def loss(vector: Matrix) -> tuple[float, Matrix]:
        outputs = _squash(features @ vector.reshape(shape).astype(np.float32))
        error = outputs - wanted
        slope = paper.S / paper.A * (paper.A**2 - outputs**2)
        gradient = features.T @ (error * slope).astype(np.float32)
        return float((error**2).sum()) / 2 / len(x), (gradient / len(x)).ravel().astype(np.float64)

    start = np.zeros(x.shape[1] * wanted.shape[1])
    found = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": ITERATIONS})
    return np.asarray(scale[:, None] * found.x.reshape(shape))


def _solve(gram: Matrix, right: Matrix) -> Matrix:
    """The smallest solution of the normal equations gram w = right, whose matrix may be singular."""
    values, vectors = linalg.eigh(gram)
    kept = values > SMALLEST * values[-1]
    basis = vectors[:, kept]
    right = basis.T @ right
    return np.asarray(basis @ (right.T / values[kept]).T)


def _with_bias(images: Values) -> Matrix:
    return np.hstack([images.astype(np.float64), np.ones((len(images), 1))])


CLASSIFIERS = [
    Classifier("linear", fit=linear, settings={"squashed": True}, candidates={"squashed": (False, True)}),
    Classifier("linear", "sums not squashed", fit=linear),
    *guesses("linear", REGULAR, linear, {"squashed": True}),
    Classifier("deslant linear", version="deslanted", fit=linear, settings={"squashed": True},
               candidates={"squashed": (False, True)}),
    Classifier("deslant linear", "sums not squashed", version="deslanted", fit=linear),
    *guesses("deslant linear", DESLANTED, linear, {"squashed": True}),
    Classifier("pairwise linear", fit=pairwise, settings={"rule": "squashed"}),
    Classifier("pairwise linear", "sums not squashed", fit=pairwise, settings={"rule": "sum"}),
    Classifier("pairwise linear", "by votes", "regular", pairwise, {"rule": "vote"}, is_guess=True),
    *guesses("pairwise linear", REGULAR, pairwise, {"rule": "squashed"}),
]  # fmt: skip
