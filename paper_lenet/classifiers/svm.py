"""Support vector machines with polynomial kernels (p. 14): plain, with virtual support vectors, and with a reduced set.

All have ten machines, each of one class against the others, with the kernel (x y + 1)^degree; images have their mean
taken off and are set to length 1 first. cost: of a training pattern on the wrong side of the margin.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, product
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import optimize
from tqdm import tqdm

from paper_lenet import paper
from paper_lenet.classifiers.fitted import DESLANTED, REGULAR, Classifier, Fitted, Scores, Values, guesses
from paper_lenet.data import Labels

# Patterns that a machine is first trained on, and that are added at most before it is trained again.
FIRST, ADDED = 3000, 5000
# How far inside the margin a pattern may be that the machine was not trained on; LIBSVM's tolerance, and its least
# curvature of a step.
TOLERANCE, FLAT = 1e-3, 1e-12
CHUNK = 1000  # patterns at once: kernels of as many with as many stay in the cache
# 830 vectors, for the 650 thousand multiply-adds of Fig. 11.  # D18
REDUCED = 83
# Of the kernel of a pattern with itself: keeps vectors that come together from having large opposite weights.
RIDGE = 1e-6
STEPS = 300
Matrix = NDArray[np.float64]


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
    return _fitted(trained(of_length_one(images), _one_a_class(labels), degree, cost))


def virtual(images: Values, labels: Labels, seed: int, degree: int, cost: float) -> Fitted:
    """Each machine trained again on its support vectors and these shifted by one pixel in four directions.

    images: (N, pixels) of square ones. Schoelkopf, Burges and Vapnik (1996).
    """
    return _fitted(_virtual(images, labels, degree, cost))


def reduced(images: Values, labels: Labels, seed: int, degree: int, cost: float, vectors: int = REDUCED) -> Fitted:
    """The machines of `virtual`, each replaced by one of a few vectors that are no patterns (Burges and Schoelkopf).

    vectors: of each machine. They are first the support vectors that take most off what is left of the machine's
    normal, then moved until its distance to theirs is least.
    """
    machines = enumerate(machine for _, machine in _virtual(images, labels, degree, cost))
    return _fitted(([(digit, k) for k in range(vectors)], fewer(machine, vectors)) for digit, machine in machines)


def of_length_one(images: Values) -> Values:
    """(N, features) with each pattern's mean taken off and its length 1."""
    centred = images - images.mean(1, keepdims=True)
    return np.asarray(centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12), np.float32)


def kernel(x: Values, y: Values, degree: int) -> NDArray[np.float32]:
    """(N, M) of patterns (N, features) and (M, features)."""
    made = np.empty((len(x), len(y)), np.float32)
    for n, m in product(range(0, len(x), CHUNK), range(0, len(y), CHUNK)):
        made[n : n + CHUNK, m : m + CHUNK] = power(x[n : n + CHUNK] @ y[m : m + CHUNK].T + 1, degree)
    return made


def power(base: NDArray[np.float32], degree: int) -> NDArray[np.float32]:
    """base ** degree for 1 and more by repeated squaring, which takes a tenth of NumPy's time."""
    result = base if degree % 2 else None
    while degree := degree // 2:
        base = base * base
        if degree % 2:
            result = base if result is None else result * base
    return np.asarray(result)


def trained(
    x: Values, positive: NDArray[np.bool_], degree: int, cost: float
) -> list[tuple[NDArray[np.int64], Machine]]:
    """Machines of all patterns x (N, features), one per row of positive (machines, N), and their support vectors.

    Each is trained on few patterns, then on its support vectors and the worst of those that it leaves inside the
    margin, until there are none. What is left out would have weight 0: the result is that of all patterns at once.

    Kernels of all patterns with a support vector are made once, for all machines and rounds, and kept: at 60,000
    patterns 2.4 GB for 10,000 vectors. At most, the process then has 3.8 GB for `svm poly 4` and 6.4 GB for
    `dist v-svm poly 9`.
    """
    signs = np.where(positive, 1.0, -1.0)
    first = np.unique(np.linspace(0, x.shape[0] - 1, FIRST).astype(np.int64))
    chosen = [np.union1d(first, [row.argmax(), row.argmin()]) for row in signs]  # at least one of each
    weights, biases = np.zeros(signs.shape), np.zeros(len(signs))
    known = np.zeros(len(x), np.bool_)
    kept: list[tuple[NDArray[np.int64], Values]] = []  # indices (n,), kernels (n, N)

    def gram(some: NDArray[np.int64]) -> Values:
        """The kernels of some patterns with one another."""
        made = np.empty((len(some), len(some)), np.float32)
        place = np.full(len(x), -1)
        place[some] = np.arange(len(some))
        for vectors, kernels in kept:
            here = np.flatnonzero(place[vectors] >= 0)
            made[place[vectors[here]]] = kernels[np.ix_(here, some)]
        rest = np.flatnonzero(~known[some])
        made[rest] = kernel(x[some[rest]], x[some], degree)
        return made

    active = list(range(len(signs)))
    while active:
        for m in tqdm(active, desc="support vectors", unit="machine", leave=False, disable=None):
            beta = weights[m, chosen[m]]
            biases[m] = solved(gram(chosen[m]), signs[m, chosen[m]], cost, beta)
            weights[m, chosen[m]] = beta
        new = np.flatnonzero(weights.any(0) & ~known)
        known[new] = True
        kept.append((new, kernel(x[new], x, degree)))
        sums = sum(weights[active][:, vectors].astype(np.float32) @ kernels for vectors, kernels in kept)
        for m, row in zip(list(active), np.asarray(sums), strict=True):
            margin = signs[m] * (row + biases[m])
            margin[chosen[m]] = np.inf
            inside = np.flatnonzero(margin < 1 - TOLERANCE)
            if len(inside):
                worst = inside[np.argsort(margin[inside], kind="stable")[:ADDED]]
                chosen[m] = np.union1d(np.flatnonzero(weights[m]), worst)
            else:
                active.remove(m)
    supports = [np.flatnonzero(row) for row in weights]
    return [
        (support, Machine(x[support], row[support].astype(np.float32), float(bias), degree))
        for support, row, bias in zip(supports, weights, biases, strict=True)
    ]


def solved(gram: Values, signs: Matrix, cost: float, beta: Matrix) -> float:
    """The bias of the machine of patterns with these kernels (N, N) and classes (N,), 1 or -1.

    beta: (N,) weights times signs, to start from; those of the machine are put in their place.
    """
    slopes = (gram @ beta.astype(np.float32)).astype(np.float64) - signs
    low, high = cost * np.minimum(signs, 0), cost * np.maximum(signs, 0)
    least, most = ascend(gram, low, high, beta, slopes, TOLERANCE)
    free = (low < beta) & (beta < high)
    return -float(slopes[free].mean() if free.any() else (least + most) / 2)


@njit
def ascend(gram, low, high, beta, slopes, tolerance):  # type: ignore[no-untyped-def]
    """Sequential minimal optimisation as in LIBSVM (Fan, Chen and Lin, 2005): two weights at a time, their sum fixed.

    Least is beta K beta / 2 - beta signs for beta between low and high; slopes: K beta - signs. beta and slopes are
    changed in place, until the slopes at which one may still be raised and another lowered differ by the tolerance;
    these two are returned.
    """
    diagonal = np.diag(gram)
    while True:
        up, least = 0, np.inf
        for n in range(len(beta)):
            if beta[n] < high[n] and slopes[n] < least:
                up, least = n, slopes[n]
        down, most, gain = 0, -np.inf, 0.0
        of_up = gram[up]
        for n in range(len(beta)):
            if beta[n] > low[n]:
                most = max(most, slopes[n])
                gap, curvature = slopes[n] - least, max(of_up[up] + diagonal[n] - 2 * of_up[n], FLAT)
                if gap > 0 and gap * gap > gain * curvature:  # what is gained with this one, were there no limits
                    down, gain = n, gap * gap / curvature
        if most - least < tolerance:
            return least, most
        of_down = gram[down]
        step = (slopes[down] - least) / max(of_up[up] + of_down[down] - 2 * of_up[down], FLAT)
        room_up, room_down = high[up] - beta[up], beta[down] - low[down]
        step = min(step, room_up, room_down)
        beta[up] = high[up] if step == room_up else beta[up] + step  # at a limit exactly, where it ends there
        beta[down] = low[down] if step == room_down else beta[down] - step
        for n in range(len(beta)):
            slopes[n] += step * (of_up[n] - of_down[n])


def _virtual(
    images: Values, labels: Labels, degree: int, cost: float
) -> Iterator[tuple[list[tuple[int, int]], Machine]]:
    """The machines of `virtual`, and which image each has in which place for each of its vectors."""
    positive = _one_a_class(labels)
    first = trained(of_length_one(images), positive, degree, cost)
    for (support, _), own in zip(tqdm(first, desc="virtual", unit="class", leave=False, disable=None), positive,
                                 strict=True):  # fmt: skip
        places = moved(images[support])
        shown = of_length_one(np.concatenate(places))
        ((chosen, machine),) = trained(shown, np.tile(own[support], (1, len(places))), degree, cost)
        place, image = np.divmod(chosen, len(support))
        yield list(zip(support[image].tolist(), place.tolist(), strict=True)), machine


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


def _one_a_class(labels: Labels) -> NDArray[np.bool_]:
    """(10, N): the patterns that are for each machine; all others are against it."""
    return np.asarray(labels == np.arange(paper.CLASSES)[:, None])


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
    *guesses("svm poly 4", DESLANTED, polynomial, {"degree": 4, "cost": 1.0}),
    Classifier("rs-svm poly 5", fit=reduced, settings={"degree": 5, "cost": 1.0}),
    *guesses("rs-svm poly 5", REGULAR, reduced, {"degree": 5, "cost": 1.0}),
    Classifier("dist v-svm poly 9", fit=virtual, settings={"degree": 9, "cost": 1.0}),
    *guesses("dist v-svm poly 9", REGULAR, virtual, {"degree": 9, "cost": 1.0}),
]  # fmt: skip
