"""Support vector machines with polynomial kernels (p. 14): plain, with virtual support vectors, and with a reduced set.

All have ten machines, each of one class against the others, with the kernel (x y + 1)^degree; images have their mean
taken off and are set to length 1 first. cost: of a training pattern on the wrong side of the margin.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize
from sklearn.svm import SVC
from tqdm import tqdm

from paper_lenet import paper
from paper_lenet.classifiers.fitted import Classifier, Fitted, Scores, Values
from paper_lenet.data import Labels

# Patterns that a machine is first trained on, and that are added at most before it is trained again.
FIRST, ADDED = 3000, 5000
# How far inside the margin a pattern may be that the machine was not trained on: scikit-learn's own tolerance.
TOLERANCE = 1e-3
CHUNK = 4000  # patterns at once
CACHE_MB = 1500
# 830 vectors, for the 650 thousand multiply-adds of Fig. 11.  # D18
REDUCED = 83
# Of the kernel of a pattern with itself: keeps vectors that come together from having large opposite weights.
RIDGE = 1e-6
STEPS = 300


@dataclass(frozen=True, eq=False)
class Machine:
    """One class against the others: sum of weights (n,) times the kernel with vectors (n, features), plus a bias."""

    vectors: Values
    weights: NDArray[np.float32]
    bias: float
    degree: int

    def sums(self, x: Values) -> NDArray[np.float32]:
        """(N,) of patterns as `of_length_one` gives them: above 0 for the class."""
        parts = [kernel(x[k : k + CHUNK], self.vectors, self.degree) @ self.weights for k in range(0, len(x), CHUNK)]
        return np.concatenate(parts) + np.float32(self.bias)


def polynomial(images: Values, labels: Labels, seed: int, degree: int, cost: float) -> Fitted:
    """Ten machines trained on all images (Cortes and Vapnik, 1995)."""
    x = of_length_one(images)
    return _fitted(trained(x, labels == digit, degree, cost) for digit in _counted("support vectors"))


def virtual(images: Values, labels: Labels, seed: int, degree: int, cost: float) -> Fitted:
    """Each machine trained again on its support vectors and these shifted by one pixel in four directions.

    images: (N, pixels) of square ones. Schoelkopf, Burges and Vapnik (1996).
    """
    return _fitted(_virtual(images, labels == digit, degree, cost) for digit in _counted("virtual support vectors"))


def reduced(images: Values, labels: Labels, seed: int, degree: int, cost: float, vectors: int = REDUCED) -> Fitted:
    """The machines of `virtual`, each replaced by one of a few vectors that are no patterns (Burges and Schoelkopf).

    vectors: of each machine. They are first the support vectors that take most off what is left of the machine's
    normal, then moved until its distance to theirs is least.
    """

    def few(digit: int) -> tuple[list[tuple[int, int]], Machine]:
        _, machine = _virtual(images, labels == digit, degree, cost)
        return [(digit, k) for k in range(vectors)], fewer(machine, vectors)

    return _fitted(few(digit) for digit in _counted("reduced set"))


def of_length_one(images: Values) -> Values:
    """(N, features) with each pattern's mean taken off and its length 1."""
    centred = images - images.mean(1, keepdims=True)
    return np.asarray(centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12), np.float32)


def kernel(x: Values, y: Values, degree: int) -> NDArray[np.float32]:
    """(N, M) of patterns (N, features) and (M, features)."""
    return power(x @ y.T + 1, degree)


def power(base: NDArray[np.float32], degree: int) -> NDArray[np.float32]:
    """base ** degree for 1 and more by repeated squaring, which takes a tenth of NumPy's time."""
    result = base if degree % 2 else None
    while degree := degree // 2:
        base = base * base
        if degree % 2:
            result = base if result is None else result * base
    return np.asarray(result)


def trained(x: Values, positive: NDArray[np.bool_], degree: int, cost: float) -> tuple[NDArray[np.int64], Machine]:
    """The machine of all patterns x, and which of them are its support vectors.

    Trained on few patterns, then on its support vectors and the worst of those that it leaves inside the margin, until
    there are none. What is left out would have weight 0: the result is that of all patterns at once.
    """
    chosen = np.unique(np.linspace(0, len(x) - 1, FIRST).astype(np.int64))
    chosen = np.union1d(chosen, [np.argmax(positive), np.argmin(positive)])  # at least one of each
    while True:
        gram = kernel(x[chosen], x[chosen], degree).astype(np.float64)
        found = SVC(C=cost, kernel="precomputed", tol=TOLERANCE, cache_size=CACHE_MB).fit(gram, positive[chosen])
        support = chosen[found.support_]
        machine = Machine(x[support], found.dual_coef_[0].astype(np.float32), float(found.intercept_[0]), degree)
        margin = np.where(positive, 1, -1) * machine.sums(x)
        margin[chosen] = np.inf
        inside = np.flatnonzero(margin < 1 - TOLERANCE)
        if not len(inside):
            return support, machine
        worst = inside[np.argsort(margin[inside], kind="stable")[:ADDED]]
        chosen = np.union1d(support, worst)


def _virtual(
    images: Values, positive: NDArray[np.bool_], degree: int, cost: float
) -> tuple[list[tuple[int, int]], Machine]:
    """A machine of `virtual`, and which image it has in which place for each of its vectors."""
    support, _ = trained(of_length_one(images), positive, degree, cost)
    places = moved(images[support])
    shown = of_length_one(np.concatenate(places))
    chosen, machine = trained(shown, np.tile(positive[support], len(places)), degree, cost)
    place, image = np.divmod(chosen, len(support))
    return list(zip(support[image].tolist(), place.tolist(), strict=True)), machine


def moved(images: Values) -> list[Values]:
    """Square images (N, pixels) as they are, and by one pixel up, down, left and right, background moving in."""
    side = round(images.shape[1] ** 0.5)
    padded = np.pad(images.reshape(-1, side, side), ((0, 0), (1, 1), (1, 1)))
    offsets = ((1, 1), (2, 1), (0, 1), (1, 2), (1, 0))
    return [padded[:, y : y + side, x : x + side].reshape(images.shape) for y, x in offsets]


def fewer(machine: Machine, vectors: int) -> Machine:
    """The machine with this number of vectors whose normal is nearest to the machine's in the space of the kernel.

    Its bias makes the sums of the two alike on average over the machine's vectors.
    """
    x, a, degree = machine.vectors, machine.weights.astype(np.float64), machine.degree
    with_all = kernel(x, x, degree).astype(np.float64)
    wanted = with_all @ a  # the normal's product with each vector
    length = np.sqrt(with_all.diagonal())

    def damped(gram: NDArray[np.float64]) -> NDArray[np.float64]:
        return gram + RIDGE * 2.0**degree * np.eye(len(gram))

    first: list[int] = []
    left = wanted
    for _ in range(min(vectors, len(x))):
        score = np.abs(left) / length
        score[first] = -1
        first.append(int(score.argmax()))
        weights = np.linalg.solve(damped(with_all[np.ix_(first, first)]), wanted[first])
        left = wanted - with_all[:, first] @ weights
    shape = (len(first), x.shape[1])

    def distance(vector: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """The squared distance but for the machine's own square, with the best weights; its slope by the vectors."""
        z = vector.reshape(shape).astype(np.float32)
        to_x, to_z = z @ x.T + 1, z @ z.T + 1
        right = power(to_x, degree).astype(np.float64) @ a
        own = damped(power(to_z, degree).astype(np.float64))
        weights = np.linalg.solve(own, right)
        of_z = (power(to_z, degree - 1) * weights.astype(np.float32)) @ z
        of_x = (power(to_x, degree - 1) * machine.weights) @ x
        slope = 2 * degree * weights[:, None] * (of_z - of_x)
        return float(weights @ own @ weights - 2 * weights @ right), slope.ravel().astype(np.float64)

    found = optimize.minimize(distance, x[first].ravel().astype(np.float64), jac=True, method="L-BFGS-B",
                              options={"maxiter": STEPS})  # fmt: skip
    z = found.x.reshape(shape).astype(np.float32)
    to_x = kernel(z, x, degree).astype(np.float64)
    weights = np.linalg.solve(damped(kernel(z, z, degree).astype(np.float64)), to_x @ a)
    bias = machine.bias + float(np.mean(wanted - weights @ to_x))
    return Machine(z, weights.astype(np.float32), bias, degree)


def _counted(what: str) -> Iterator[int]:
    """The classes one by one, with a bar and the time to go on a terminal."""
    yield from tqdm(range(paper.CLASSES), desc=what, unit="class", leave=False, disable=None)


def _fitted(found: Iterable[tuple[Iterable[Any], Machine]]) -> Fitted:
    """found: per class which vectors it has, and its machine; what several have is stored, and compared with, once."""
    named, machines = zip(*found, strict=True)
    vectors = len(set(chain(*named)))

    def scores(test: Values) -> Scores:
        x = of_length_one(test)
        return np.stack([machine.sums(x) for machine in machines], 1)

    costs = vectors * machines[0].vectors.shape[1] + sum(len(machine.weights) for machine in machines)
    return Fitted(scores, costs, costs + len(machines))


CLASSIFIERS = [
    Classifier("svm poly 4", version="deslanted", fit=polynomial, settings={"degree": 4, "cost": 1.0},
               candidates={"cost": (1.0, 10.0, 100.0)}),
    Classifier("rs-svm poly 5", fit=reduced, settings={"degree": 5, "cost": 1.0}),
    Classifier("dist v-svm poly 9", fit=virtual, settings={"degree": 9, "cost": 1.0}),
]  # fmt: skip
