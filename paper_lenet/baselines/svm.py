"""Support vector machines with polynomial kernels (p. 14)."""

from __future__ import annotations

import numpy as np
from sklearn.svm import SVC

from paper_lenet import paper
from paper_lenet.baselines import Fitted, Scores, Values
from paper_lenet.data import Labels

CACHE_MB = 1500


def polynomial(images: Values, labels: Labels, seed: int, degree: int, cost: float) -> Fitted:
    """Ten machines, each of one class against the others, with the kernel (x y + 1)^degree.

    Images have their mean taken off and are set to length 1 first.
    cost: of a training pattern on the wrong side of the margin.
    """
    x = _of_length_one(images)
    machines = []
    for digit in range(paper.CLASSES):
        machine = SVC(C=cost, kernel="poly", degree=degree, gamma=1.0, coef0=1.0, cache_size=CACHE_MB)
        machines.append(machine.fit(x, labels == digit))
    # A vector that several machines have is stored, and compared with, once.
    vectors = set().union(*(machine.support_.tolist() for machine in machines))
    coefficients = sum(len(machine.support_) for machine in machines)

    def scores(test: Values) -> Scores:
        y = _of_length_one(test)
        return np.stack([machine.decision_function(y) for machine in machines], 1).astype(np.float32)

    costs = len(vectors) * images.shape[1] + coefficients
    return Fitted(scores, costs, costs + len(machines))


def _of_length_one(images: Values) -> Values:
    centred = images - images.mean(1, keepdims=True)
    return np.asarray(centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12), np.float32)
