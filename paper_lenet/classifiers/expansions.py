"""Linear classifiers on features that are fixed beforehand (p. 12-13): products of principal components, and RBFs."""

from __future__ import annotations

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics.pairwise import euclidean_distances

from paper_lenet import paper
from paper_lenet.classifiers.fitted import REGULAR, Classifier, Fitted, Values, guesses
from paper_lenet.classifiers.linear import linear
from paper_lenet.data import Labels

COMPONENTS = 40
CENTRES_A_CLASS = 100


def quadratic(images: Values, labels: Labels, seed: int = 0, squashed: bool = False) -> Fitted:
    """40 principal components, and a linear classifier on the 820 products of any two of them (p. 12-13).

    squashed: as `linear`.
    """
    components = PCA(COMPONENTS, svd_solver="covariance_eigh").fit(images)
    first, second = np.triu_indices(COMPONENTS)

    def products(some: Values) -> Values:
        projected = components.transform(some)
        return np.asarray(projected[:, first] * projected[:, second], np.float32)

    last = linear(products(images), labels, squashed=squashed)
    projection, mean = COMPONENTS * images.shape[1], images.shape[1]
    multiply_adds = projection + len(first) + last.multiply_adds
    return Fitted(lambda test: last.scores(products(test)), multiply_adds, projection + mean + last.variables)


def rbf(images: Values, labels: Labels, seed: int, width: float, ridge: float) -> Fitted:
    """1,000 Gaussian units, 100 a class placed by K-means, and a linear classifier on them (p. 13).

    width: of the Gaussians, times the mean distance of a centre to the nearest other one of its class.
    ridge: as `linear`.
    """
    groups = [
        KMeans(CENTRES_A_CLASS, n_init=1, random_state=seed).fit(images[labels == k]).cluster_centers_
        for k in range(paper.CLASSES)
    ]
    spread = [np.sort(euclidean_distances(centres), axis=1)[:, 1].mean() for centres in groups]
    centres, sigma = np.concatenate(groups), width * float(np.mean(spread))

    def units(some: Values) -> Values:
        # In double precision, by a product of matrices.
        squares = euclidean_distances(some.astype(np.float64), centres.astype(np.float64), squared=True)
        return np.asarray(np.exp(-squares / (2 * sigma**2)), np.float32)

    last = linear(units(images), labels, ridge=ridge)
    multiply_adds, variables = centres.size + last.multiply_adds, centres.size + 1 + last.variables
    return Fitted(lambda test: last.scores(units(test)), multiply_adds, variables)


CLASSIFIERS = [
    Classifier("40 pca + quadratic", fit=quadratic, settings={"squashed": True},
               candidates={"squashed": (False, True)}),
    Classifier("40 pca + quadratic", "sums not squashed", fit=quadratic),
    *guesses("40 pca + quadratic", REGULAR, quadratic, {"squashed": True}),
    Classifier("1000 rbf + linear", fit=rbf, settings={"width": 1.0, "ridge": 1e-8},
               candidates={"width": (0.5, 1.0, 2.0, 4.0), "ridge": (1e-8, 1e-6, 1e-4)}, seeds=10),
    *guesses("1000 rbf + linear", REGULAR, rbf, {"width": 1.0, "ridge": 1e-8}, seeds=10),
]  # fmt: skip
