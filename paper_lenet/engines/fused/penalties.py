"""Eq. 8 and 9 on the penalties of one pattern, and cross-entropy, compiled: the loss, its slope and its curvature.

Legend: ws workspace, y where its penalties are (still without their factor), g where the shares of Eq. 9 go, which the
slope and the curvature then read; x the states below the output, d their derivatives, centres as `EuclideanRBF`.
"""

from __future__ import annotations

import math

from numba import njit


@njit(error_model="numpy")
def answer_and_loss(ws, y, g, label, classes, factor, eq9, j):  # type: ignore[no-untyped-def]
    """The class of the smallest penalty, all of which get their factor; and Eq. 8, or Eq. 9 with j.

    The share of each penalty in the sum of Eq. 9 is exp(-y_i) / (exp(-j) + sum exp(-y_i)).
    """
    least = 0
    for i in range(classes):
        ws[g + i] = 0.0
        ws[y + i] *= factor
        if ws[y + i] < ws[y + least]:
            least = i
    loss = ws[y + label]
    if eq9:
        smallest = min(j, ws[y + least])
        total = math.exp(smallest - j)
        for i in range(classes):
            ws[g + i] = math.exp(smallest - ws[y + i])
            total += ws[g + i]
        for i in range(classes):
            ws[g + i] /= total
        loss += math.log(total) - smallest
    return least, loss


@njit(error_model="numpy")
def slopes(ws, g, label, classes, factor):  # type: ignore[no-untyped-def]
    """From the shares to 2 factor dE/dy, in place."""
    for i in range(classes):
        ws[g + i] = 2.0 * factor * ((1.0 if i == label else 0.0) - ws[g + i])


@njit(error_model="numpy")
def curvatures(ws, x, d, g, centres, below, units, classes, factor):  # type: ignore[no-untyped-def]
    """d2E/dx2 of each state, as `sdlm.output_curvature`; `below` numbers a row of the centres.

    By the derivatives of Eq. 9 by the penalties: (i = D) - share, and diag(share) - share share^T.
    """
    for unit in range(units):
        shares, mean, square = 0.0, 0.0, 0.0
        for i in range(classes):
            u = 2.0 * factor * (ws[x + unit] - centres[i * below + unit])
            shares += ws[g + i]
            mean += ws[g + i] * u
            square += ws[g + i] * u * u
        h = 2.0 * factor * (1.0 - shares) + square - mean * mean
        ws[d + unit] = 0.0 if h < 0.0 else h  # rounded below 0; NaN stays NaN


@njit(error_model="numpy")
def cross_entropy(ws, y, g, label, classes, smoothing):  # type: ignore[no-untyped-def]
    """The largest of the weighted sums at y, and the cross-entropy of their softmax, whose probabilities go to g."""
    largest = 0
    for i in range(classes):
        if ws[y + i] > ws[y + largest]:
            largest = i
    total, mean = 0.0, 0.0
    for i in range(classes):
        ws[g + i] = math.exp(ws[y + i] - ws[y + largest])
        total += ws[g + i]
        mean += ws[y + i] / classes
    loss = math.log(total) + ws[y + largest] - (1.0 - smoothing) * ws[y + label]
    if smoothing > 0.0:
        loss -= smoothing * mean
    for i in range(classes):
        ws[g + i] /= total
    return largest, loss


@njit(error_model="numpy")
def through_softmax(ws, g, label, classes, smoothing, second_order):  # type: ignore[no-untyped-def]
    """From the probabilities to the slopes or the curvatures of the cross-entropy by the weighted sums, in place."""
    for i in range(classes):
        if second_order:
            ws[g + i] *= 1.0 - ws[g + i]
        else:
            ws[g + i] -= smoothing / classes + (1.0 - smoothing if i == label else 0.0)
