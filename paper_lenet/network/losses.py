"""The two criteria of Section II-C, p. 9, and cross-entropy.

Legend: y_i penalty of class i, D the desired class, j Eq. 9's constant.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from paper_lenet.config import LossConfig

Loss = Callable[[Tensor, Tensor], Tensor]


def eq8(penalties: Tensor, labels: Tensor) -> Tensor:
    """Mean over the patterns of y_D (maximum likelihood, here the same as mean squared error).

    penalties: (N, classes).  labels: int64 (N,).
    """
    # Eq. 8, p. 9
    return penalties.gather(1, labels[:, None]).mean()


def eq9(penalties: Tensor, labels: Tensor, j: float) -> Tensor:
    """Mean over the patterns of y_D + log(exp(-j) + sum_i exp(-y_i)) (discriminative, maximum a posteriori).

    penalties: (N, classes).  labels: int64 (N,).  j: positive, infinity included.
    """
    # Eq. 9, p. 9, with the smallest exponent taken out of the logarithm, so that large penalties lose no digits
    smallest = penalties.detach().amin(1, keepdim=True).clamp(max=j)
    total = torch.exp(smallest[:, 0] - j) + torch.exp(smallest - penalties).sum(1)
    return (penalties.gather(1, labels[:, None])[:, 0] - smallest[:, 0] + torch.log(total)).mean()


def criterion(config: LossConfig) -> Loss:
    """The function (penalties, labels) -> mean loss that a configuration asks for."""
    if config.name == "cross_entropy":
        return functools.partial(F.cross_entropy, label_smoothing=config.smoothing)
    return eq8 if config.name == "eq8" else functools.partial(eq9, j=config.j)


def curvature_criterion(config: LossConfig) -> Loss:
    """The function whose second derivatives make the step sizes: the criterion, or Eq. 8 in its place.  # D8"""
    return eq8 if config.curvature == "eq8" else criterion(config)
