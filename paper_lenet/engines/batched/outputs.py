"""What comes after the last layer: RBF units, the losses with their slopes, and the curvatures that SDLM starts from.

Penalties and weighted sums are (M, classes, N). None of it waits for the device.
Legend: M networks, N images, E loss, x state, y output, dy and dx dE/dy and dE/dx.
"""

from __future__ import annotations

import torch
from torch import Tensor


def rbf(x: Tensor, centres: Tensor, factor: float) -> tuple[Tensor, Tensor]:
    """Penalties (M, classes, N) of Eq. 7 (p. 8), and the differences (M, classes, units, N) for `rbf_inward`.

    x: (M, units, N).  centres: (classes, units), fixed.  factor: printed 1.  # D5
    """
    differences = x[:, None] - centres[..., None]
    return differences.square().sum(2) * factor, differences


def rbf_inward(dy: Tensor, differences: Tensor, factor: float) -> Tensor:
    """dE/dx (M, units, N) from dE/dy (M, classes, N)."""
    return (dy[:, :, None] * differences).sum(1).mul_(2 * factor)


def of_class(labels: Tensor, y: Tensor) -> Tensor:
    """1 for the label's class, 0 elsewhere: y's shape (M, classes, N) and type, from labels (M, N)."""
    return (labels[:, None] == torch.arange(y.shape[1], device=y.device)[:, None]).to(y.dtype)


def eq8(penalties: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """y_D of each image (M, N), and its gradient by the penalties (M, classes, N). labels: int64 (M, N)."""
    return penalties.gather(1, labels[:, None])[:, 0], of_class(labels, penalties)


def eq9_shares(penalties: Tensor, j: float) -> tuple[Tensor, Tensor]:
    """exp(-y_i) / T (M, classes, N) and log T (M, 1, N), T = exp(-j) + sum_i exp(-y_i)."""
    # Eq. 9, p. 9, with the smallest exponent taken out of the logarithm, so that large penalties lose no digits
    smallest = penalties.amin(1, keepdim=True).clamp(max=j)
    shares = torch.exp(smallest - penalties)
    total = torch.exp(smallest - j) + shares.sum(1, keepdim=True)
    return shares / total, torch.log(total) - smallest


def eq9(penalties: Tensor, labels: Tensor, j: float) -> tuple[Tensor, Tensor]:
    """As `eq8`, of y_D + log(exp(-j) + sum_i exp(-y_i)). j: positive, infinity included.  # D7"""
    shares, log_total = eq9_shares(penalties, j)
    return (penalties.gather(1, labels[:, None]) + log_total)[:, 0], of_class(labels, penalties) - shares


def cross_entropy(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
    """As `eq8`, of the cross-entropy of softmax(logits) to the smoothed labels, as torch.nn.CrossEntropyLoss."""
    log_p = torch.log_softmax(logits, 1)
    target = of_class(labels, logits).mul_(1 - smoothing).add_(smoothing / logits.shape[1])
    return -(target * log_p).sum(1), log_p.exp() - target


def eq8_curvature(x: Tensor, factor: float) -> Tensor:
    """d2E/dx2 of each unit below the RBF output, for Eq. 8: x's shape (M, units, N)."""
    return torch.full_like(x, 2 * factor)


def eq9_curvature(x: Tensor, centres: Tensor, factor: float, j: float) -> Tensor:
    """As `eq8_curvature`, for Eq. 9, exact (`sdlm.output_curvature`).  # D8

    With shares p: 2 factor (1 - sum_k p_k) + sum_k p_k u_k^2 - (sum_k p_k u_k)^2, u_kj = 2 factor (x_j - w_kj).
    """
    penalties, differences = rbf(x, centres, factor)
    p = eq9_shares(penalties, j)[0][:, :, None]
    u = differences * (2 * factor)
    mean, square = (p * u).sum(1), (p * u.square()).sum(1)
    return (2 * factor * (1 - p.sum(1)) + square - mean.square()).clamp_(min=0)  # rounded below 0; NaN stays NaN


def cross_entropy_curvature(logits: Tensor) -> Tensor:
    """d2E/da_i2 = p_i (1 - p_i) of each logit: (M, classes, N)."""
    p = torch.softmax(logits, 1)
    return p * (1 - p)
