"""Local learning (p. 14; Bottou and Vapnik, 1992): a linear classifier trained anew for each pattern that is shown."""

from __future__ import annotations

import numpy as np
from sklearn.neighbors import NearestNeighbors
from tqdm import tqdm

from paper_lenet import paper
from paper_lenet.classifiers.fitted import Classifier, Fitted, Scores, Values, one_of_ten
from paper_lenet.data import Labels


def local(images: Values, labels: Labels, seed: int, k: int, ridge: float) -> Fitted:
    """Ten weighted sums with a bias, fitted by least squares to the k nearest training images of each that is shown.

    images: (N, features), such as the states of a layer of a network.
    ridge: what is added to the mean square of each feature; it pulls the sums towards their mean over the neighbours.
    """
    wanted = one_of_ten(labels)
    neighbours = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(images)
    features = images.shape[1]

    def scores(test: Values) -> Scores:
        found = np.empty((len(test), paper.CLASSES))
        indices = neighbours.kneighbors(test, return_distance=False)
        for n, chosen in enumerate(tqdm(indices, desc="local learning", leave=False, disable=None)):
            x, t = images[chosen].astype(np.float64), wanted[chosen]
            middle, mean = x.mean(0), t.mean(0)
            x = x - middle
            gram = x.T @ x + k * ridge * np.eye(features)
            found[n] = mean + (test[n] - middle) @ np.linalg.solve(gram, x.T @ (t - mean))
        return found.astype(np.float32)

    # To each training image, then the normal equations of the nearest ones and their elimination.
    equations = k * features * (features + paper.CLASSES) + features**3 // 3
    return Fitted(scores, images.size + equations, images.size)


CLASSIFIERS = [
    Classifier("lenet-4 / local", fit=local, network="lenet-4", layer="c5", settings={"k": 200, "ridge": 0.1},
               candidates={"k": (50, 200, 800), "ridge": (0.01, 0.1, 1.0)}),
]  # fmt: skip
