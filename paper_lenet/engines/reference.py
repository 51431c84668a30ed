"""The specification: autograd, one pattern at a time, no tricks. Every other engine is tested against this one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from paper_lenet.config import Config
from paper_lenet.data import Data
from paper_lenet.engines import Checkpoint, loop
from paper_lenet.engines.plan import Indices, Pass, Patterns
from paper_lenet.losses import criterion
from paper_lenet.models.family import PaperNet
from paper_lenet.models.lenet5 import build
from paper_lenet.sdlm import curvature, step_sizes


def inputs(patterns: Patterns, chosen: Indices, model: PaperNet) -> Tensor:
    """The network's input (N, 1, side, side) of the chosen patterns (N,)."""
    dtype = str(model.c1.weight.dtype).removeprefix("torch.")
    return torch.from_numpy(patterns.grey(chosen, model.side, dtype))[:, None]


class ReferenceNet:
    """A network of the family, trained by plain autograd. As loop.Net."""

    pace = 200

    def __init__(self, model: PaperNet, config: Config) -> None:
        self.model, self.config = model, config
        self.named = dict(model.named_parameters())
        self.loss_of = criterion(config.loss)

    def parameters(self) -> dict[str, NDArray[Any]]:
        return {name: w.detach().numpy().copy() for name, w in self.named.items()}

    def set_parameters(self, values: dict[str, NDArray[Any]]) -> None:
        self.model.set_state(values)

    def step_sizes(self, patterns: Patterns, this: Pass) -> dict[str, NDArray[Any]]:
        sample = this.hessian_sample
        labels = torch.from_numpy(patterns.labels_of(sample))
        h = curvature(self.config, self.model, inputs(patterns, sample, self.model), labels)
        return {name: e.numpy() for name, e in step_sizes(h, this.eta, self.config.optim.mu).items()}

    def train(
        self, patterns: Patterns, order: Indices, eps: dict[str, NDArray[Any]]
    ) -> tuple[float, int, NDArray[np.int64]]:
        steps = {name: torch.from_numpy(e) for name, e in eps.items()}
        given = np.empty(len(order), np.int64)
        losses = 0.0
        for update, k in enumerate(order[:, None]):
            penalties = self.model(inputs(patterns, k, self.model))
            loss = self.loss_of(penalties, torch.from_numpy(patterns.labels_of(k)))
            if not math.isfinite(loss.item()):
                return losses, update, given
            losses += loss.item()
            given[update] = penalties.argmin(1).item()
            gradients = torch.autograd.grad(loss, list(self.named.values()))
            with torch.no_grad():
                for (name, w), gradient in zip(self.named.items(), gradients, strict=True):
                    w.sub_(steps[name] * gradient)  # Eq. 18, p. 41
        return losses, len(order), given

    @torch.no_grad()
    def predict(self, patterns: Patterns, batch: int = 500) -> Indices:
        parts = np.split(np.arange(len(patterns.images)), range(batch, len(patterns.images), batch))
        given: list[Indices] = [
            self.model(inputs(patterns, part, self.model)).argmin(1).numpy() for part in parts if len(part)
        ]
        return np.concatenate([np.empty(0, np.int64), *given])


def train(config: Config, data: Data, seed: int, start: Checkpoint | None = None) -> Iterator[Checkpoint]:
    """Train one network, as loop.train."""
    model = loop.in_order(build(config.model, seed), config.engine.summation).to(
        getattr(torch, config.engine.precision)
    )
    return loop.train(ReferenceNet(model, config), config, data, seed, start)
