"""The specification: autograd, one pattern at a time, no tricks. Every other engine is tested against this one."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from paper_lenet.config import Config
from paper_lenet.data import Data
from paper_lenet.engines import NonFiniteError, PassRecord
from paper_lenet.engines.plan import Indices, Patterns, held_out_patterns, passes, training_patterns
from paper_lenet.losses import criterion
from paper_lenet.models.family import PaperNet
from paper_lenet.models.lenet5 import build
from paper_lenet.sdlm import curvature, step_sizes


def inputs(patterns: Patterns, chosen: Indices, model: PaperNet) -> Tensor:
    """The network's input (N, 1, side, side) of the chosen patterns (N,)."""
    dtype = str(model.c1.weight.dtype).removeprefix("torch.")
    return torch.from_numpy(patterns.grey(chosen, model.side, dtype))[:, None]


@torch.no_grad()
def predict(model: PaperNet, patterns: Patterns, batch: int = 500) -> Indices:
    """The labels given to the images, undistorted: int64 (n,), each the class of the smallest penalty."""
    parts = np.split(np.arange(len(patterns.images)), range(batch, len(patterns.images), batch))
    given: list[Indices] = [model(inputs(patterns, part, model)).argmin(1).numpy() for part in parts if len(part)]
    return np.concatenate([np.empty(0, np.int64), *given])


def fit(config: Config, data: Data, seed: int) -> Iterator[PassRecord]:
    """Train one network; a record after each pass. Raises NonFiniteError."""
    patterns, held_out = training_patterns(config, data, seed), held_out_patterns(data)
    dtype = getattr(torch, config.engine.precision)
    model = build(config.model, seed).to(dtype)
    parameters = dict(model.named_parameters())
    loss_of = criterion(config.loss)

    for this in passes(config, seed, patterns):
        started = time.perf_counter()
        sample = this.hessian_sample
        labels = torch.from_numpy(patterns.labels_of(sample))
        h = curvature(config, model, inputs(patterns, sample, model), labels)
        eps = step_sizes(h, this.eta, config.optim.mu)
        train_loss, train_errors = 0.0, 0
        for update, k in enumerate(this.order[:, None], start=1):
            penalties, label = model(inputs(patterns, k, model)), torch.from_numpy(patterns.labels_of(k))
            loss = loss_of(penalties, label)
            if not math.isfinite(loss.item()):
                raise NonFiniteError(seed, this.pass_, update)
            train_loss += loss.item()
            train_errors += int(penalties.argmin(1).item() != label.item())
            gradients = torch.autograd.grad(loss, list(parameters.values()))
            with torch.no_grad():
                for (name, w), gradient in zip(parameters.items(), gradients, strict=True):
                    w.sub_(eps[name] * gradient)  # Eq. 18, p. 41
        seconds = time.perf_counter() - started

        predictions = predict(model, held_out)
        last = this.pass_ == config.optim.passes
        yield PassRecord(
            seed=seed,
            pass_=this.pass_,
            eta=this.eta,
            rate_min=min(float(e.min()) for e in eps.values()),
            rate_max=max(float(e.max()) for e in eps.values()),
            train_loss=train_loss / len(this.order),
            train_errors=train_errors,
            train_size=len(this.order),
            predictions=predictions,
            test_errors=int(np.sum(predictions != data.test_labels)),
            seconds=seconds,
            state={name: w.detach().numpy().copy() for name, w in parameters.items()},
            training_set_errors=int(np.sum(predict(model, patterns) != patterns.labels)) if last else None,
        )
