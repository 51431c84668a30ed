"""The numbers of an update that go by its place in the training: its rate, Adam's corrections, the average's share."""

from __future__ import annotations

import math

from paper_lenet.config import OptimConfig
from paper_lenet.learning.optimisers import BETAS


def rate_of(config: OptimConfig, update: int, updates: int, pass_: int) -> float:
    """The rate of one update, counted from 0 over all passes, of `updates` in all; pass_ from 1."""
    if config.schedule == "paper":
        return config.eta_of(pass_)
    if config.schedule == "constant":
        return config.rate
    done = update / updates
    if config.schedule == "cosine":
        return config.rate * (1 + math.cos(math.pi * done)) / 2
    # one cycle: as torch.optim.lr_scheduler.OneCycleLR, whose last update has the lowest rate
    top = 0.3 * updates - 1
    low, last = config.rate / 25, config.rate / 25e4
    if update <= top:
        return low + (config.rate - low) * (1 - math.cos(math.pi * update / top)) / 2
    return last + (config.rate - last) * (1 + math.cos(math.pi * (update - top) / (updates - 1 - top))) / 2


def numbers_of(config: OptimConfig, length: int, pass_: int, position: int) -> tuple[float, float, float, float]:
    """The rate, the `corrections` and the `share` of the update that begins at that pattern of a pass of `length`.

    pass_: from 1.
    """
    a_pass = -(-length // config.batch)
    update = (pass_ - 1) * a_pass + position // config.batch
    return rate_of(config, update, config.passes * a_pass, pass_), *corrections(update), share(config, update)


def corrections(update: int) -> tuple[float, float]:
    """1 - beta^t for both of Adam's averages at update t - 1, counted from 0."""
    return 1 - BETAS[0] ** (update + 1), 1 - BETAS[1] ** (update + 1)


def share(config: OptimConfig, update: int) -> float:
    """What part of the average of the weights those after an update become, counted from 0: 1 minus the decay.

    The decay rises to the configured one, so that the first weights do not stay in the average.
    """
    return 1 - min(config.average, (1 + update) / (10 + update))
