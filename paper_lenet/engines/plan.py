"""What every engine does alike: which patterns in which order, at which rate; and how a network is evaluated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paper_lenet import rng
from paper_lenet.config import Config
from paper_lenet.data import Data, subset


@dataclass(frozen=True)
class Pass:
    """One pass: its number from 1, global rate, order (indices into the training set), patterns for the curvature."""

    pass_: int
    eta: float
    order: NDArray[np.int64]
    hessian_sample: NDArray[np.int64]


def training_set(config: Config, data: Data, seed: int) -> Data:
    """The data with the training set cut to the configured size for this seed."""
    return data if config.data.train_size is None else subset(data, config.data.train_size, seed)


def passes(config: Config, seed: int, patterns: int) -> Iterator[Pass]:
    """The passes of one seed over a training set of so many patterns."""
    orders, samples = rng.generator(seed, "order"), rng.generator(seed, "hessian")
    order = orders.permutation(patterns)
    for pass_ in range(1, config.optim.passes + 1):
        if pass_ > 1 and config.optim.order == "reshuffled":
            order = orders.permutation(patterns)
        sample = samples.choice(patterns, min(config.optim.hessian_samples, patterns), replace=False)
        yield Pass(pass_, config.optim.eta_of(pass_), order, sample)
