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
from paper_lenet.engines.engine import Checkpoint, NonFiniteError, PassRecord
from paper_lenet.learning.patterns import Indices, Pass, Patterns, all_patterns, passes
from paper_lenet.learning.sdlm import Network
from paper_lenet.network.mlp import MLP


def in_order(model: Network, summation: int) -> Network:
    """The same network with its units of C5 in the order of that number; 0 leaves it as it is."""
    if summation:
        assert not isinstance(model, MLP)  # the configuration has seen to it
        order = torch.from_numpy(np.random.default_rng(summation).permutation(model.units[0]))
        with torch.no_grad():
            for parameter in (model.c5.weight, model.c5.bias):
                assert parameter is not None
                parameter.copy_(parameter[order])
            assert model.f6 is not None
            model.f6.weight.copy_(model.f6.weight[:, order])
    return model


class Net(Protocol):
    """One network in the form that an engine computes with, and what trains it.

    pace: patterns between two checkpoints, a multiple of the batch.
    """

    pace: int

    def parameters(self) -> dict[str, NDArray[Any]]:
        """Copies of the parameters, by their names in the model's state_dict, and of the running statistics."""

    def set_parameters(self, values: dict[str, NDArray[Any]]) -> None:
        """The reverse; an average begins with them."""

    def average(self) -> dict[str, NDArray[Any]]:
        """Copies of the average of what `parameters` gives, by the same names; nothing without optim.average."""

    def set_average(self, values: dict[str, NDArray[Any]]) -> None:
        """The reverse."""

    def memory(self) -> dict[str, NDArray[Any]]:
        """Copies of what the optimiser keeps from update to update: SDLM its step sizes, others their averages."""

    def set_memory(self, values: dict[str, NDArray[Any]]) -> None:
        """The reverse."""

    def prepare(self, patterns: Patterns) -> None:
        """Compile what training these patterns needs, if anything: before the clock of the first pass starts."""

    def begin(self, patterns: Patterns, this: Pass) -> None:
        """Before a pass: SDLM measures the curvature and sets its step sizes (Eq. 21, p. 41)."""

    def rates(self) -> tuple[float, float]:
        """The smallest and the largest rate: SDLM's of the pass, others' of the latest update."""

    def train(self, patterns: Patterns, order: Indices, this: Pass, done: int) -> tuple[float, int, NDArray[np.int64]]:
        """Go through the patterns of the order, a batch an update; `done` patterns of the pass came before.

        Returns the sum of the losses; how many patterns were gone through, fewer when the loss of the next batch is not
        finite; and the labels given to the patterns, each just before the update of its batch.
        """

    def predict(self, patterns: Patterns) -> NDArray[np.int64]:
        """The labels given to the images, undistorted, by the average of the weights where there is one."""


def train(net: Net, config: Config, data: Data, seed: int, start: Checkpoint | None = None) -> Iterator[Checkpoint]:
    """Train one network from its initial parameters, or from where `start` was; checkpoints, with a record a pass.

    Raises NonFiniteError.
    """
    patterns, held_out = all_patterns(config, data, seed)
    if start is not None:
        net.set_parameters(start.parameters)
        net.set_memory(start.memory)
        net.set_average(start.average)
    net.prepare(patterns)
    for this in passes(config, seed, patterns):
        if start is not None and (this.pass_, start.record is None) < (start.pass_, True):
            continue
        at = start if start is not None and start.pass_ == this.pass_ else Checkpoint(this.pass_, 0, {})
        began = time.perf_counter()
        if at.update == 0:
            net.begin(patterns, this)
        done, loss, errors, seconds = at.update, at.loss, at.errors, at.seconds
        while done < len(this.order):
            part = this.order[done : done + net.pace]
            more, trained, given = net.train(patterns, part, this, done)
            if trained < len(part):
                raise NonFiniteError(seed, this.pass_, (done + trained) // config.optim.batch + 1)
            done, loss = done + len(part), loss + more
            errors += int(np.sum(given != patterns.labels_of(part)))
            if done < len(this.order):
                seconds += time.perf_counter() - began
                yield Checkpoint(this.pass_, done, net.parameters(), net.memory(), net.average(), loss, errors, seconds)
                began = time.perf_counter()
        seconds += time.perf_counter() - began

        predictions = net.predict(held_out)
        last = this.pass_ == config.optim.passes
        smallest, largest = net.rates()
        parameters, average = net.parameters(), net.average()
        record = PassRecord(
            seed=seed,
            pass_=this.pass_,
            eta=this.eta if config.optim.name == "sdlm" else largest,
            rate_min=smallest,
            rate_max=largest,
            train_loss=loss / done,
            train_errors=errors,
            train_size=done,
            predictions=predictions,
            test_errors=int(np.sum(predictions != data.test_labels)),
            seconds=seconds,
            state=average or parameters,
            training_set_errors=int(np.sum(net.predict(patterns.plain()) != patterns.labels)) if last else None,
        )
        yield Checkpoint(this.pass_, done, parameters, net.memory(), average, record=record)
