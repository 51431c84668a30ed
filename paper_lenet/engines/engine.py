"""What every engine gives: checkpoints, the records of passes, and how a training ends early.

Every engine module has `train(config, data, seed, start) -> Iterator[Checkpoint]`: it trains one network and yields
often, with a record each time that a pass over the training set is over. The caller records and may stop; an engine
neither prints nor writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paper_lenet.errors import PaperLenetError


class NonFiniteError(PaperLenetError, ArithmeticError):
    """A penalty that is not a finite number: training cannot go on.

    pass_: the pass it happened in, from 1.  update: the update of that pass, from 1.
    """

    def __init__(self, seed: int, pass_: int, update: int) -> None:
        super().__init__(f"seed {seed}: a penalty is not finite in pass {pass_}, update {update}")
        self.seed, self.pass_, self.update = seed, pass_, update

    def __reduce__(self) -> tuple[type, tuple[int, int, int]]:
        return type(self), (self.seed, self.pass_, self.update)  # to come out of a worker process whole


@dataclass
class PassRecord:
    """What is known after one pass of one network.

    pass_: from 1.  eta: global rate used (after eta_factor).
    rate_min, rate_max: smallest and largest effective learning rate eps_k of the pass (Eq. 21).
    train_loss: mean loss on the fly.  train_errors: patterns misclassified on the fly, each just before its update.
    train_size: patterns of the pass.
    predictions: (test_size,) the labels given to the held-out images after the pass, by `state`.
    test_errors: how many of them are wrong.
    seconds: wall time of the pass's training, without the evaluation.
    state: parameters by name after the pass, as in the model's state_dict; with optim.average their average.
    training_set_errors: training patterns misclassified by the final `state`; None but for the last pass.
    """

    seed: int
    pass_: int
    eta: float
    rate_min: float
    rate_max: float
    train_loss: float
    train_errors: int
    train_size: int
    predictions: NDArray[np.int64]
    test_errors: int
    seconds: float
    state: dict[str, NDArray[np.floating]]
    training_set_errors: int | None = None


@dataclass
class Checkpoint:
    """How far a training has come: with the configuration, the data and the seed all it takes to go on, to the bit.

    Generators are not part of it: their draws depend on the seed alone and are made again.

    pass_: the pass in progress, from 1.  update: how many of its updates are done.
    parameters: by name, after these updates, as in the model's state_dict.
    memory: what else the pass goes on with, by name: SDLM's step sizes.
    average: with optim.average that of the parameters, by the same names; else empty.
    loss, errors: sums over these updates of the loss and the misclassified patterns.  seconds: that they took.
    record: of the pass, when it is over.
    """

    pass_: int
    update: int
    parameters: dict[str, NDArray[Any]]
    memory: dict[str, NDArray[Any]] = field(default_factory=dict)
    average: dict[str, NDArray[Any]] = field(default_factory=dict)
    loss: float = 0.0
    errors: int = 0
    seconds: float = 0.0
    record: PassRecord | None = None


def records(points: Iterable[Checkpoint]) -> Iterator[PassRecord]:
    """The records among the checkpoints of a training, one per pass."""
    return (point.record for point in points if point.record is not None)
