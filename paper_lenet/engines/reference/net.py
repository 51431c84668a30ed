"""The specification: autograd, plain PyTorch, no tricks. Every other engine is tested against this one."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from paper_lenet.config import Config
from paper_lenet.data import Data
from paper_lenet.engines import loop
from paper_lenet.engines.engine import Checkpoint
from paper_lenet.learning.optimisers import Optimiser, is_matrix
from paper_lenet.learning.patterns import Indices, Pass, Patterns, dropout_start, kept_units
from paper_lenet.learning.schedules import numbers_of
from paper_lenet.learning.sdlm import Network, averaged, curvature, step_sizes
from paper_lenet.network.lenet5 import build
from paper_lenet.network.losses import criterion
from paper_lenet.network.modern import ModernNet

PACE = 200  # about so many patterns between two checkpoints


def inputs(patterns: Patterns, chosen: Indices, model: Network) -> Tensor:
    """The network's input (N, 1, side, side) of the chosen patterns (N,)."""
    dtype = str(next(model.parameters()).dtype).removeprefix("torch.")
    return torch.from_numpy(patterns.grey(chosen, model.side, dtype))[:, None]


class ReferenceNet:
    """A network trained by plain autograd. As loop.Net."""

    def __init__(self, model: Network, config: Config, seed: int) -> None:
        self.model, self.config = model, config
        self.dropout_start = torch.tensor([dropout_start(seed)])
        self.named = dict(model.named_parameters())
        self.pace = config.optim.batch * max(1, PACE // config.optim.batch)
        self.eps: dict[str, Tensor] = {}
        self.h: dict[str, Tensor] = {}
        self.rate = 0.0
        self.averaged = copy.deepcopy(model) if config.optim.average else None
        if config.optim.name != "sdlm":
            like = [w.detach()[None] for w in self.named.values()]
            self.optimiser = Optimiser(config.optim, like, [is_matrix(n, w) for n, w in self.named.items()])

    def parameters(self) -> dict[str, NDArray[Any]]:
        return _arrays(self.model)

    def set_parameters(self, values: dict[str, NDArray[Any]]) -> None:
        self.model.set_state(values)
        if self.averaged is not None:
            self.averaged.set_state(values)

    def average(self) -> dict[str, NDArray[Any]]:
        return {} if self.averaged is None else _arrays(self.averaged)

    def set_average(self, values: dict[str, NDArray[Any]]) -> None:
        if self.averaged is not None:
            self.averaged.set_state(values)

    def memory(self) -> dict[str, NDArray[Any]]:
        if self.config.optim.name == "sdlm":
            h = {} if self.config.optim.hessian == "each" else {f"h/{name}": h for name, h in self.h.items()}
            return {name: value.numpy() for name, value in (self.eps | h).items()}
        kept = self.optimiser.memory.items()
        return {f"{k}/{n}": w[0].numpy().copy() for k, ws in kept for n, w in zip(self.named, ws, strict=True)}

    def set_memory(self, values: dict[str, NDArray[Any]]) -> None:
        if self.config.optim.name == "sdlm":
            self.eps = {name: torch.from_numpy(values[name]) for name in self.named}
            self.h = {name: torch.from_numpy(h) for name in self.named if (h := values.get(f"h/{name}")) is not None}
        else:
            for kind, tensors in self.optimiser.memory.items():
                for name, w in zip(self.named, tensors, strict=True):
                    w[0] = torch.from_numpy(values[f"{kind}/{name}"])

    def prepare(self, patterns: Patterns) -> None:
        pass

    def begin(self, patterns: Patterns, this: Pass) -> None:
        optim = self.config.optim
        if optim.name != "sdlm":
            return
        if optim.hessian != "once" or this.pass_ == 1:  # D22
            sample = this.hessian_sample
            labels = torch.from_numpy(patterns.labels_of(sample))
            self.model.eval()
            h = curvature(self.config, self.model, inputs(patterns, sample, self.model), labels, this.pass_)
            if optim.hessian == "mean" and this.pass_ > 1:
                h = {name: averaged(self.h[name], value, this.pass_) for name, value in h.items()}
            self.h = h
        self.eps = step_sizes(self.h, this.eta, optim.mu)

    def rates(self) -> tuple[float, float]:
        if self.config.optim.name == "sdlm":
            return min(float(e.min()) for e in self.eps.values()), max(float(e.max()) for e in self.eps.values())
        return self.rate, self.rate

    def train(self, patterns: Patterns, order: Indices, this: Pass, done: int) -> tuple[float, int, NDArray[np.int64]]:
        batch, loss_of = self.config.optim.batch, criterion(self.config.loss.in_pass(this.pass_))
        given = np.empty(len(order), np.int64)
        losses = 0.0
        self.model.train()
        for start in range(0, len(order), batch):
            k = order[start : start + batch]
            output = self._output(inputs(patterns, k, self.model), this.pass_, done + start)
            loss = loss_of(output, torch.from_numpy(patterns.labels_of(k)))
            if not math.isfinite(loss.item()):
                return losses, start, given
            losses += loss.item() * len(k)
            given[start : start + batch] = winners(output, self.model).numpy()
            gradients = torch.autograd.grad(loss, list(self.named.values()))
            with torch.no_grad():
                self._update(gradients, this, done + start)
        return losses, len(order), given

    def _output(self, x: Tensor, pass_: int, position: int) -> Tensor:
        """The output while training, for patterns from that position of the pass on."""
        rate = self.config.model.dropout
        if not rate or not isinstance(self.model, ModernNet):
            output: Tensor = self.model(x)
            return output
        (kept,) = kept_units(self.dropout_start, pass_, position, len(x), sum(self.model.units), rate)
        masks = (kept.to(x.dtype) / (1 - rate)).split(list(self.model.units), 1)
        masked: Tensor = self.model(x, dict(zip(("c5", "f6"), masks, strict=True)))
        return masked

    def _update(self, gradients: tuple[Tensor, ...], this: Pass, position: int) -> None:
        if self.config.optim.name == "sdlm":
            for (name, w), gradient in zip(self.named.items(), gradients, strict=True):
                w.sub_(self.eps[name] * gradient)  # Eq. 18, p. 41
            return
        self.rate, first, second, share = numbers_of(self.config.optim, len(this.order), this.pass_, position)
        parameters = [w.detach()[None] for w in self.named.values()]
        self.optimiser.step(parameters, [g[None] for g in gradients], self.rate, first, second)
        if self.averaged is not None:
            new = self.model.state()
            for name, mean in self.averaged.state().items():
                mean.lerp_(new[name], share)

    @torch.no_grad()
    def predict(self, patterns: Patterns, batch: int = 500) -> Indices:
        model = self.model if self.averaged is None else self.averaged
        model.eval()
        parts = np.split(np.arange(len(patterns.images)), range(batch, len(patterns.images), batch))
        given: list[Indices] = [
            winners(model(inputs(patterns, part, model)), model).numpy() for part in parts if len(part)
        ]
        return np.concatenate([np.empty(0, np.int64), *given])


def _arrays(model: Network) -> dict[str, NDArray[Any]]:
    """Copies of what is trained of a network, by its name in the state_dict."""
    return {name: w.detach().numpy().copy() for name, w in model.state().items()}


def winners(output: Tensor, model: Network) -> Tensor:
    """The labels (N,) of outputs (N, classes): the smallest penalty, or the largest sum of a linear output."""
    linear = isinstance(model, ModernNet) and model.choices.output == "linear"
    return output.argmax(1) if linear else output.argmin(1)


def train(config: Config, data: Data, seed: int, start: Checkpoint | None = None) -> Iterator[Checkpoint]:
    """Train one network, as loop.train."""
    model = loop.in_order(build(config.model, seed), config.engine.summation)
    net = ReferenceNet(model.to(getattr(torch, config.engine.precision)), config, seed)
    return loop.train(net, config, data, seed, start)
