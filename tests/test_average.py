"""The average of the weights: what it is, what it is used for, and that training does not know of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_engines import difference, made_data

from paper_lenet.config import Config, ConfigError, EngineConfig, InitConfig, LossConfig, ModelConfig, OptimConfig
from paper_lenet.engines import Checkpoint, batched, fused, reference
from paper_lenet.engines.batched import trainer
from paper_lenet.engines.fused import net as fused_net
from paper_lenet.engines.reference import ReferenceNet
from paper_lenet.engines.reference import net as reference_net
from paper_lenet.files import read_tensors
from paper_lenet.learning.patterns import all_patterns
from paper_lenet.network.lenet5 import build
from paper_lenet.runs import checkpoints, training
from paper_lenet.runs.records import run_folder

BATCH = 20
DECAY = 0.35  # as from the fifth update on; before, it still rises
ENGINES = [reference, fused, batched]
# with biases that are not 0, so that each has a size to compare by
TODAY = ModelConfig(
    activation="relu",
    pooling="max_pool",
    table="full",
    output="linear",
    batch_norm=True,
    init=InitConfig(bias="random"),
)


def configured(engine: Any, average: float = DECAY, **more: Any) -> Config:
    optim = OptimConfig("sgd", passes=2, batch=BATCH, schedule="constant", rate=0.02, average=average)
    name = engine.__name__.rpartition(".")[2]
    return Config(
        model=TODAY, loss=LossConfig("cross_entropy"), optim=optim, engine=EngineConfig(name, "float64"), **more
    )


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint after every update."""
    for module in (reference_net, fused_net, trainer):
        monkeypatch.setattr(module, "PACE", BATCH)


def trained(engine: Any, config: Config, start: Checkpoint | None = None) -> list[Checkpoint]:
    return list(engine.train(config, made_data(110, 40), 0, start))


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(w, other[name]) for name, w in one.items())


@pytest.mark.parametrize("engine", ENGINES)
def test_average_is_of_all_weights_so_far(engine: Any) -> None:
    """Parameters and running statistics, by the formula from the weights after each update; training has no part."""
    points, plain = trained(engine, configured(engine)), trained(engine, configured(engine, average=0.0))
    assert len(points) == 12
    average = {name: w.detach().numpy() for name, w in build(TODAY, 0).double().state().items()}
    for k, (point, other) in enumerate(zip(points, plain, strict=True)):
        decay = min(DECAY, (1 + k) / (10 + k))
        average = {name: decay * mean + (1 - decay) * point.parameters[name] for name, mean in average.items()}
        assert difference(point.average, average) < 1e-12
        assert difference(point.average, point.parameters) > 1e-3
        assert same(point.parameters, other.parameters) and same(point.memory, other.memory) and not other.average
        assert (point.loss, point.errors) == (other.loss, other.errors)
        if point.record is not None and other.record is not None:
            assert same(point.record.state, point.average) and same(other.record.state, other.parameters)
            assert point.record.train_errors == other.record.train_errors


@pytest.mark.parametrize("engine", ENGINES)
def test_answers_are_the_average_s(engine: Any) -> None:
    config = configured(engine)
    record, data = trained(engine, config)[-1].record, made_data(110, 40)
    assert record is not None
    model = build(TODAY, 0).double()
    model.set_state(record.state)
    plain = ReferenceNet(model, configured(reference, average=0.0), 0)
    train, held_out = all_patterns(config, data, 0)
    assert np.array_equal(record.predictions, plain.predict(held_out))
    assert record.test_errors == np.sum(record.predictions != data.test_labels)
    assert record.training_set_errors == np.sum(plain.predict(train) != data.train_labels)


@pytest.mark.parametrize("engine", ENGINES)
def test_goes_on_to_the_bit(engine: Any, tmp_path: Path) -> None:
    """From every checkpoint, by way of its file."""
    config = configured(engine)
    points = trained(engine, config)
    for k, point in enumerate(points):
        checkpoints.write(tmp_path, {}, [], point)
        found = checkpoints.read(tmp_path)
        assert found is not None
        start = found[2]
        assert same(start.parameters, point.parameters) and same(start.average, point.average)
        if start.record is not None:
            assert same(start.record.state, point.average)
        for later, right in zip(trained(engine, config, start), points[k + 1 :], strict=True):
            assert same(later.parameters, right.parameters) and same(later.average, right.average)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_interrupted_run_writes_the_same_weights(engine: Any, tmp_path: Path) -> None:
    """Those of the average."""
    data, whole = made_data(110, 40), configured(engine, seeds=[0], output=str(tmp_path / "whole"))
    training.train_seed(whole, data, 0, lambda progress: None)
    parts = dataclasses.replace(whole, output=str(tmp_path / "parts"))
    stops = iter([False, False, True, False, False, False, False, True])  # in the midst of both passes
    for _ in range(2):
        with pytest.raises(training.Interrupted):
            training.train_seed(parts, data, 0, lambda progress: None, lambda: next(stops))
    training.train_seed(parts, data, 0, lambda progress: None)
    files = [run_folder(config, 0) / "weights.safetensors" for config in (whole, parts)]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert same(read_tensors(files[0])[1], trained(engine, whole)[-1].average)


def test_refused_where_nothing_reads_it() -> None:
    with pytest.raises(ConfigError, match=r"^optim\.average=0\.9: not read with optim\.name=sdlm"):
        Config(optim=OptimConfig(average=0.9))
    for value in (1.0, -0.1):
        with pytest.raises(ConfigError, match=r"^optim\.average="):
            OptimConfig("adam", average=value)
