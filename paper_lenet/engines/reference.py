"""The specification: autograd, one pattern at a time, no tricks. Every other engine is tested against this one."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from paper_lenet.config import Config
from paper_lenet.data import Data, normalise
from paper_lenet.engines import NonFiniteError, PassRecord
from paper_lenet.engines.plan import passes, training_set
from paper_lenet.losses import criterion
from paper_lenet.models.family import PaperNet
from paper_lenet.models.lenet5 import build
from paper_lenet.sdlm import curvature, step_sizes


@torch.no_grad()
def predict(model: PaperNet, images: Tensor, batch: int = 500) -> Tensor:
    """The labels given to images (N, 1, side, side): int64 (N,), the class of the smallest penalty."""
    return torch.cat([model(part).argmin(1) for part in images.split(batch) if len(part)])


def fit(config: Config, data: Data, seed: int) -> Iterator[PassRecord]:
    """Train one network; a record after each pass. Raises NonFiniteError."""
    data = training_set(config, data, seed)
    dtype = getattr(torch, config.engine.precision)
    model = build(config.model, seed).to(dtype)
    parameters = dict(model.named_parameters())
    images, held_out = (torch.from_numpy(normalise(part)).to(dtype) for part in (data.train_images, data.test_images))
    labels = torch.from_numpy(data.train_labels)
    loss_of = criterion(config.loss)

    for this in passes(config, seed, len(images)):
        started = time.perf_counter()
        h = curvature(config, model, images[this.hessian_sample], labels[this.hessian_sample])
        eps = step_sizes(h, this.eta, config.optim.mu)
        train_loss, train_errors = 0.0, 0
        for update, k in enumerate(this.order, start=1):
            penalties = model(images[k : k + 1])
            loss = loss_of(penalties, labels[k : k + 1])
            if not math.isfinite(loss.item()):
                raise NonFiniteError(seed, this.pass_, update)
            train_loss += loss.item()
            train_errors += int(penalties.argmin(1).item() != labels[k].item())
            gradients = torch.autograd.grad(loss, list(parameters.values()))
            with torch.no_grad():
                for (name, w), gradient in zip(parameters.items(), gradients, strict=True):
                    w.sub_(eps[name] * gradient)  # Eq. 18, p. 41
        seconds = time.perf_counter() - started

        predictions = predict(model, held_out).numpy()
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
            training_set_errors=int((predict(model, images) != labels).sum()) if last else None,
        )
