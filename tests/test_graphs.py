"""The batched engine's steps as a GPU would run them, without one: captured graphs, and nothing that waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from graphs import Device, OnDevice
from test_batched import CASES, configured, data, one_thread, repeated, same_points, together
from torch._subclasses.fake_tensor import FakeTensorMode

from paper_lenet.data import Data, subset
from paper_lenet.engines.batched import trainer
from paper_lenet.engines.batched.net import BatchedNet
from paper_lenet.engines.batched.resident import resident
from paper_lenet.learning.patterns import all_patterns, passes
from paper_lenet.network.lenet5 import build

__all__ = ["data", "one_thread"]  # fixtures


@pytest.mark.parametrize("case", CASES)
def test_graphs_give_what_steps_give(case: str, data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the bit, of several lengths, over three passes, and after going on in the middle of one."""
    config = configured(case, "batched", "float32")
    config.optim.passes, config.data.train_size = 3, None
    alone, batch = config.optim.batch == 1, config.optim.batch
    data = subset(data, 27, 0) if alone else repeated(data, 3)
    monkeypatch.setattr(trainer, "PACE", 25 if alone else 4 * batch)
    monkeypatch.setattr(trainer, "captures", lambda device: True)
    with monkeypatch.context() as without:
        without.setattr(trainer, "captured", lambda work, warm_up, state: work)
        whole = together(config, data, [5, 6])
    middle = next(k for k, point in enumerate(whole[0]) if point.pass_ == 2 and point.record is None)
    for steps, begun in ((3, -1), (1, middle), *([(20, -1)] if alone else [])):
        monkeypatch.setattr(trainer, "GRAPH_STEPS", steps)
        device = Device()
        device.stand_in(monkeypatch)
        with device:
            again = together(config, data, [5, 6], [points[begun] for points in whole] if begun >= 0 else None)
        assert len(device.graphs) == 1
        for points, others in zip(whole, again, strict=True):
            same_points(points[begun + 1 :], others)


@pytest.mark.parametrize("case", CASES)
def test_nothing_waits_for_the_device(case: str, data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU that PyTorch only makes believe: tensors without values, so that asking for one raises."""

    def captured(work: Callable[[], None], warm_up: Callable[[], None], state: Any) -> Callable[[], None]:
        with OnDevice():
            warm_up()
            work()
        return work

    monkeypatch.setattr(trainer, "captured", captured)
    monkeypatch.setattr(trainer, "GRAPH_STEPS", 2)
    config = configured(case, "batched", "float32")
    config.engine.device = "cuda"
    data, batch = repeated(data, 2), config.optim.batch
    own = [all_patterns(config, data, seed)[0] for seed in (3, 4)]
    models = [build(config.model, seed) for seed in (3, 4)]
    these = [next(passes(config, seed, patterns)) for seed, patterns in zip((3, 4), own, strict=True)]
    with torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True):
        net = BatchedNet(models, config, [1, 2])
        patterns = resident(own, models[0].side, net.device)
        training = trainer.Trainer(net, config, patterns, len(own[0].images))
        training.begin(these, [])
        orders = torch.from_numpy(np.stack([this.order for this in these])).to(net.device)
        training.advance(orders, 1, 0, min(4 * batch - 1, orders.shape[1]))  # a graph, a step, and a smaller batch
        assert training.replay is not None
        assert training.predict(patterns).device.type == net.flat.device.type == "cuda"
