"""Nearest neighbours by tangent distance (p. 13; Simard, LeCun and Denker, 1993).

An image moves, grows, turns, is drawn out along its axes or its diagonals and gets thicker, each a little: to first
order it then lies in the plane through it that its seven tangent vectors span. The distance of two images is that of
their planes: both may be transformed.

Legend: x columns and y rows from the image's middle, f the smoothed image, f_x and f_y its slopes.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from tqdm import tqdm

from paper_lenet.classifiers.fitted import SMALL, Classifier, Fitted, Scores, Values, guesses, nearest, vote
from paper_lenet.data import Labels

TANGENTS = 7
# Nearest images by Euclidean distance among which the nearest by tangent distance are looked for.  # D20
PREFILTERED = 200
# Share of a tangent vector's own square that damps how far it is followed, so that no two of them cancel out.
DAMPING = 1e-3
CHUNK = 100  # images at once


def tangents(images: Values, smoothing: float) -> NDArray[np.float32]:
    """(N, 7, pixels) orthonormal bases of the tangent planes of images (N, side, side).

    smoothing: standard deviation of a Gaussian, in pixels, that makes an image of pixels one with slopes.
    """
    f = gaussian_filter1d(gaussian_filter1d(images, smoothing, axis=1), smoothing, axis=2)
    f_y, f_x = np.gradient(f, axis=(1, 2))
    middle = (images.shape[1] - 1) / 2
    y, x = np.mgrid[: images.shape[1], : images.shape[2]] - middle
    vectors = np.stack([
        f_x,  # moved sideways
        f_y,  # and up
        x * f_x + y * f_y,  # scaled
        y * f_x - x * f_y,  # turned
        x * f_x - y * f_y,  # drawn out along the axes: the first hyperbolic one
        y * f_x + x * f_y,  # and along the diagonals: the second
        f_x**2 + f_y**2,  # thickened
    ], 1).reshape(len(images), TANGENTS, -1)  # fmt: skip
    norms = np.linalg.norm(vectors, axis=2, keepdims=True)
    q, _ = np.linalg.qr(np.swapaxes(vectors / np.maximum(norms, 1e-12), 1, 2))
    return np.ascontiguousarray(np.swapaxes(q, 1, 2), np.float32)


@njit(error_model="numpy", fastmath=True, parallel=True)
def distances(test, test_planes, train, train_planes, candidates, damping, out):  # type: ignore[no-untyped-def]
    """Squared two-sided tangent distance of each test image to each of its candidates, to out (N, candidates).

    test, train: (N, pixels).  *_planes: (N, 7, pixels), orthonormal.  candidates: (N, k) indices of training images.

    Of the difference d the part inside both planes is taken off: with B the vectors P and Q of both and b = B d it is
    b (B B' + damping)^-1 b. In this P P' and Q Q' are 1, and only C = P Q' has to be computed: the vectors of P are
    eliminated, and for Q there remains (s - C' C / s)^-1, s = 1 + damping, by a Cholesky decomposition.
    """
    s = 1.0 + damping
    for n in prange(len(test)):
        c, gram, b = np.empty((7, 7), np.float64), np.empty((7, 7), np.float64), np.empty((2, 7), np.float64)
        difference = np.empty(test.shape[1], np.float32)
        for m in range(candidates.shape[1]):
            image, planes = train[candidates[n, m]], train_planes[candidates[n, m]]
            square = np.float32(0)
            for k in range(len(difference)):
                difference[k] = test[n, k] - image[k]
                square += difference[k] * difference[k]
            for i in range(7):
                p, q = test_planes[n, i], planes[i]
                of_p, of_q = np.float32(0), np.float32(0)
                for k in range(len(difference)):
                    of_p += p[k] * difference[k]
                    of_q += q[k] * difference[k]
                b[0, i], b[1, i] = of_p, of_q
                for j in range(7):
                    q = planes[j]
                    product = np.float32(0)
                    for k in range(len(difference)):
                        product += p[k] * q[k]
                    c[i, j] = product
            total = np.float64(square)
            for i in range(7):
                total -= b[0, i] * b[0, i] / s
                for k in range(7):
                    b[1, i] -= c[k, i] * b[0, k] / s
                for j in range(i + 1):
                    value = s if i == j else 0.0
                    for k in range(7):
                        value -= c[k, i] * c[k, j] / s
                    gram[i, j] = value
            # in place, the lower half: L, and L^-1 b on the way
            for i in range(7):
                for j in range(i + 1):
                    value = gram[i, j]
                    for k in range(j):
                        value -= gram[i, k] * gram[j, k]
                    gram[i, j] = np.sqrt(value) if i == j else value / gram[j, j]
                value = b[1, i]
                for k in range(i):
                    value -= gram[i, k] * b[1, k]
                b[1, i] = value / gram[i, i]
                total -= b[1, i] * b[1, i]
            out[n, m] = total


def tangent(
    images: Values, labels: Labels, seed: int, k: int, smoothing: float, prefiltered: int = PREFILTERED
) -> Fitted:
    """The class that most of the k nearest training images by tangent distance have.  images: (N, side, side).

    Scores are votes or, with k = 1, by how much nearer the nearest of one class is than that of another.
    prefiltered: the nearest by Euclidean distance that are looked at; as many as there are gives the exact result.
    """
    flat = np.ascontiguousarray(images.reshape(len(images), -1))
    planes, norms = tangents(images, smoothing), (flat**2).sum(1)
    whole = np.arange(len(flat))

    def scores(test: Values) -> Scores:
        found = []
        for start in tqdm(range(0, len(test), CHUNK), desc="tangent distances", leave=False, disable=None):
            part = np.ascontiguousarray(test[start : start + CHUNK].reshape(-1, flat.shape[1]))
            if prefiltered < len(flat):
                candidates = np.argpartition(norms - 2 * part @ flat.T, prefiltered, 1)[:, :prefiltered]
            else:
                candidates = np.tile(whole, (len(part), 1))
            squares = np.empty(candidates.shape)
            distances(
                part, tangents(test[start : start + CHUNK], smoothing), flat, planes, candidates, DAMPING, squares
            )
            away = np.sqrt(np.maximum(squares, 0))
            order = np.argsort(away, 1, kind="stable")[:, :k] if k > 1 else np.arange(away.shape[1])[None]
            voters = labels[np.take_along_axis(candidates, order, 1)]
            found.append((vote if k > 1 else nearest)(voters, np.take_along_axis(away, order, 1)))
        return np.concatenate(found)

    # To all images by Euclidean distance; to each kept one, d with the vectors of both and those with each other.
    kept = prefiltered * flat.shape[1] * (2 * TANGENTS + TANGENTS**2 + 1)
    return Fitted(scores, flat.size + kept, flat.size + planes.size)


CLASSIFIERS = [
    Classifier("16x16 tangent distance", version="small", fit=tangent, settings={"k": 1, "smoothing": 0.5},
               candidates={"k": (1, 3), "smoothing": (0.25, 0.5, 0.75, 1.0)}, as_rows=False),
    *guesses("16x16 tangent distance", SMALL, tangent, {"k": 1, "smoothing": 0.5}, as_rows=False),
    Classifier("16x16 tangent distance", "no prefilter, 500 images", version="small", fit=tangent,
               settings={"k": 1, "smoothing": 0.5, "prefiltered": 60_000}, as_rows=False, max_test_images=500),
]  # fmt: skip
