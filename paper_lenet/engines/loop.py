"""The training loop that the engines share: passes over the patterns, the curvature before each."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from paper_lenet.config import Config
from paper_lenet.data import Data
from paper_lenet.engines import Checkpoint, NonFiniteError, PassRecord
from paper_lenet.engines.plan import Indices, Pass, Patterns, held_out_patterns, passes, training_patterns
from paper_lenet.models.family import PaperNet


def in_order(model: PaperNet, summation: int) -> PaperNet:
    """The same network with its units of C5 in the order of that number; 0 leaves it as it is."""
    if summation:
        order = torch.from_numpy(np.random.default_rng(summation).permutation(model.units[0]))
        with torch.no_grad():
            for parameter in (model.c5.weight, model.c5.bias):
                assert parameter is not None
                parameter.copy_(parameter[order])
            if model.f6 is None:
                model.output.centres.copy_(model.output.centres[:, order])
            else:
                model.f6.weight.copy_(model.f6.weight[:, order])
    return model


class Net(Protocol):
    """One network in the form that an engine computes with. pace: updates between two checkpoints."""

    pace: int

    def parameters(self) -> dict[str, NDArray[Any]]:
        """Copies of the parameters, by their names in the model's state_dict."""

    def set_parameters(self, values: dict[str, NDArray[Any]]) -> None:
        """The reverse."""

    def step_sizes(self, patterns: Patterns, this: Pass) -> dict[str, NDArray[Any]]:
        """eps_k of a pass by parameter (Eq. 21, p. 41), with the curvature measured now."""

    def train(
        self, patterns: Patterns, order: Indices, eps: dict[str, NDArray[Any]]
    ) -> tuple[float, int, NDArray[np.int64]]:
        """One update for each pattern of the order.

        Returns the sum of the losses; how many updates were done, fewer than the patterns when the loss of the next one
        is not finite; and the labels given to the patterns, each just before its update.
        """

    def predict(self, patterns: Patterns) -> NDArray[np.int64]:
        """The labels given to the images, undistorted: each the class of the smallest penalty."""


def train(net: Net, config: Config, data: Data, seed: int, start: Checkpoint | None = None) -> Iterator[Checkpoint]:
    """Train one network from its initial parameters, or from where `start` was; checkpoints, with a record a pass.

    Raises NonFiniteError.
    """
    patterns, held_out = training_patterns(config, data, seed), held_out_patterns(data)
    if start is not None:
        net.set_parameters(start.parameters)
    for this in passes(config, seed, patterns):
        at = Checkpoint(this.pass_, 0, {})
        if start is not None:
            if this.pass_ < start.pass_ or (this.pass_ == start.pass_ and start.record is not None):
                continue
            if this.pass_ == start.pass_:
                at = start
        began = time.perf_counter()
        eps = at.memory or net.step_sizes(patterns, this)
        done, loss, errors, seconds = at.update, at.loss, at.errors, at.seconds
        while done < len(this.order):
            part = this.order[done : done + net.pace]
            more, updates, given = net.train(patterns, part, eps)
            if updates < len(part):
                raise NonFiniteError(seed, this.pass_, done + updates + 1)
            done, loss = done + len(part), loss + more
            errors += int(np.sum(given != patterns.labels_of(part)))
            if done < len(this.order):
                seconds += time.perf_counter() - began
                yield Checkpoint(this.pass_, done, net.parameters(), eps, loss, errors, seconds)
                began = time.perf_counter()
        seconds += time.perf_counter() - began

        predictions = net.predict(held_out)
        last = this.pass_ == config.optim.passes
        record = PassRecord(
            seed=seed,
            pass_=this.pass_,
            eta=this.eta,
            rate_min=min(float(e.min()) for e in eps.values()),
            rate_max=max(float(e.max()) for e in eps.values()),
            train_loss=loss / done,
            train_errors=errors,
            train_size=done,
            predictions=predictions,
            test_errors=int(np.sum(predictions != data.test_labels)),
            seconds=seconds,
            state=net.parameters(),
            training_set_errors=int(np.sum(net.predict(patterns) != patterns.labels)) if last else None,
        )
        yield Checkpoint(this.pass_, done, record.state, record=record)
