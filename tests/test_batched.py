"""The batched engine against the reference, a network among others against the same one alone, and its ends."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from paper_lenet.config import (
    Config,
    ConfigError,
    DataConfig,
    DistortConfig,
    EngineConfig,
    InitConfig,
    LossConfig,
    ModelConfig,
)
from paper_lenet.config import OptimConfig as Optim
from paper_lenet.data import Data
from paper_lenet.engines import Checkpoint, NonFiniteError, PassRecord, batched, records, reference
from paper_lenet.engines.batched import trainer
from paper_lenet.engines.reference import net
from paper_lenet.network.lenet5 import build
from paper_lenet.network.modern import ModernNet
from paper_lenet.network.paper_net import PaperNet
from paper_lenet.runs import job, training
from paper_lenet.runs.records import finished, run_folder

# Largest difference over the largest value of a parameter after two passes of 40 patterns. Measured: 6e-15.
BOUND = 1e-11
CROSS_ENTROPY = LossConfig("cross_entropy")


def modern(**details: Any) -> ModelConfig:
    given = {"activation": "relu", "pooling": "max_pool", "table": "full", "output": "linear"} | details
    return ModelConfig(**{"init": InitConfig(scheme="torch"), **given})


# Together they have every choice of the network, the losses, the optimisers, the schedules and the inputs.
CASES: dict[str, dict[str, Any]] = {
    "1998": {},
    "1998, distorted": {"distort": DistortConfig(variants=2)},
    "Eq. 9, a subset": {"loss": LossConfig("eq9", 50.0, "exact"), "data": DataConfig(train_size=30)},
    "SDLM, modern": {"model": modern(), "loss": CROSS_ENTROPY},
    "SDLM, dropout": {"model": modern(dropout=0.5), "loss": CROSS_ENTROPY},
    "dropout": {
        "model": modern(activation="gelu", pooling="avg_pool", table="random", dropout=0.3,
                        init=InitConfig(scheme="kaiming")),
        "loss": LossConfig("cross_entropy", smoothing=0.1),
        "optim": {"name": "adamw", "batch": 7, "schedule": "onecycle", "weight_decay": 0.1, "rate": 1e-2},
        "data": DataConfig(input="standard_each"),
    },
    "batch normalisation": {
        "model": modern(batch_norm=True, geometry="resized", activation="tanh"),
        "loss": CROSS_ENTROPY,
        "optim": {"name": "sgd", "batch": 16, "nesterov": True, "schedule": "cosine", "rate": 1e-2, "average": 0.3},
        "data": DataConfig(input="standard"),
    },
    "unpadded": {
        "model": modern(activation="silu", pooling="average", geometry="unpadded", init=InitConfig(scheme="xavier")),
        "loss": CROSS_ENTROPY,
        "optim": {"name": "muon", "batch": 20, "schedule": "constant", "momentum": 0.95, "average": 0.3},
        "data": DataConfig(input="unit"),
        "distort": DistortConfig(variants=1, rotation=20, elastic=1.5),
    },
    "Adam on penalties": {"loss": LossConfig("eq9", j=10.0), "optim": {"name": "adam", "batch": 8}},
}  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def data() -> Data:
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (60, 28, 28), dtype=np.uint8) * (draw.random((60, 28, 28)) < 0.2)
    labels = draw.integers(0, 10, 60)
    return Data("made-up", "test", images[:40], labels[:40], images[40:], labels[40:])


def configured(case: str, engine: str, precision: str = "float64", **more: Any) -> Config:
    options = dict(CASES[case])
    of_optim = options.pop("optim", {})
    few = {"hessian_samples": 10} if of_optim.get("name", "sdlm") == "sdlm" else {}
    optim = Optim(passes=2, **few, **of_optim)
    return Config(optim=optim, engine=EngineConfig(engine, precision), **options, **more)


def together(config: Config, data: Data, seeds: list[int], starts: Any = None) -> list[list[Checkpoint]]:
    """The checkpoints of every network, all that come."""
    outcomes = batched.train_many(config, data, seeds, starts or [None] * len(seeds))
    return [list(of_net) for of_net in zip(*outcomes, strict=True)]  # type: ignore[arg-type]


def passes_of(points: list[Checkpoint]) -> list[PassRecord]:
    return list(records(points))


@pytest.mark.parametrize("case", CASES)
def test_agrees_with_the_reference_and_alone(case: str, data: Data) -> None:
    wanted = list(records(reference.train(configured(case, "reference"), data, 3)))
    config = configured(case, "batched")
    among = passes_of(together(config, data, [2, 3, 4])[1])
    alone = list(records(batched.train(config, data, 3)))
    start = dict(build(config.model, 3).named_parameters())
    for right, got, single in zip(wanted, among, alone, strict=True):
        assert got.state.keys() == right.state.keys() == single.state.keys()
        for name, value in right.state.items():
            assert np.abs(got.state[name] - value).max() <= BOUND * np.abs(value).max()
            assert np.array_equal(got.state[name], single.state[name])
        assert got.train_loss == pytest.approx(right.train_loss, rel=BOUND)
        assert (got.rate_min, got.rate_max) == pytest.approx((right.rate_min, right.rate_max), rel=BOUND)
        assert (got.train_errors, got.train_size, got.eta) == (right.train_errors, right.train_size, right.eta)
        assert np.array_equal(got.predictions, right.predictions)
        assert got.training_set_errors == right.training_set_errors
    for name in ("c1.weight", "f6.weight"):
        assert not np.array_equal(among[-1].state[name], start[name].detach().numpy())


def same_points(points: list[Checkpoint], others: list[Checkpoint]) -> None:
    """To the bit."""
    for point, other in zip(points, others, strict=True):
        assert (point.pass_, point.update, point.errors) == (other.pass_, other.update, other.errors)
        assert point.loss == other.loss
        pairs = [(getattr(point, part), getattr(other, part)) for part in ("parameters", "memory", "average")]
        for kept, mine in pairs:
            assert kept.keys() == mine.keys()
            assert all(np.array_equal(kept[name], mine[name]) for name in kept)
        if point.record is not None and other.record is not None:
            assert point.record.train_loss == other.record.train_loss
            assert np.array_equal(point.record.predictions, other.record.predictions)


@pytest.mark.parametrize("case", ["1998", "dropout", "batch normalisation", "unpadded"])
def test_goes_on_from_any_checkpoint(case: str, data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in the middle of a pass."""
    monkeypatch.setattr(trainer, "PACE", 16)
    config = configured(case, "batched", "float32")
    whole = together(config, data, [5, 6])
    assert sum(point.record is None for point in whole[0]) >= 2
    for k in range(len(whole[0]) - 1):
        rest = together(config, data, [5, 6], [points[k] for points in whole])
        for points, others in zip(whole, rest, strict=True):
            same_points(points[k + 1 :], others)


def with_an_idle_unit(config: ModelConfig, seed: int) -> PaperNet | ModernNet:
    model = build(config, seed)
    with torch.no_grad():
        for weights in (model.c5.weight[0], model.c5.bias[0], model.f6.weight[:, 0]):
            weights.zero_()
    return model


def test_largest_step_size_of_weights_that_are_zero(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a unit that nothing reaches and that reaches nothing: no curvature, so the largest step sizes."""
    of_engine = {}
    for engine, module in ((reference, net), (batched, trainer)):
        monkeypatch.setattr(module, "build", with_an_idle_unit)
        name = engine.__name__.rpartition(".")[2]
        config = configured("1998", name)
        of_engine[name] = next(records(engine.train(config, data, 3))).rate_max
    assert of_engine["batched"] == of_engine["reference"] == pytest.approx(config.optim.eta_of(1) / config.optim.mu)


def poisoned(config: ModelConfig, seed: int) -> PaperNet | ModernNet:
    model = build(config, seed)
    if seed == 1:
        with torch.no_grad():
            model.c3.weight[3] = math.nan
    return model


def test_network_that_diverges_leaves_the_others(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    config = configured("1998", "batched")
    sound = passes_of(together(config, data, [0, 2])[1])
    monkeypatch.setattr(trainer, "build", poisoned)
    outcomes = list(batched.train_many(config, data, [0, 1, 2], [None] * 3))
    assert all(isinstance(of_pass[1], NonFiniteError) for of_pass in outcomes)
    error = outcomes[0][1]
    assert isinstance(error, NonFiniteError) and (error.seed, error.pass_, error.update) == (1, 1, 1)
    kept = passes_of([of_pass[2] for of_pass in outcomes])  # type: ignore[misc]
    assert len(kept) == 2
    for mine, other in zip(kept, sound, strict=True):
        assert all(np.array_equal(mine.state[name], other.state[name]) for name in mine.state)
    with pytest.raises(NonFiniteError, match="seed 1"):
        list(batched.train(config, data, 1))


def test_group_is_recorded_seed_by_seed(tmp_path: Any, data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that diverges, and a memory that holds only two networks: halves, and a line that says so."""
    monkeypatch.setattr(trainer, "build", poisoned)
    real, sizes = batched.train_many, []

    def small(config: Config, data: Data, seeds: list[int], starts: list[Any]) -> Any:
        sizes.append(len(seeds))
        if len(seeds) > 2:
            raise torch.OutOfMemoryError("no more")
        return real(config, data, seeds, starts)

    monkeypatch.setattr(batched, "train_many", small)
    config = configured("1998", "batched", seeds=[0, 1, 2, 3], output=str(tmp_path))
    told: list[training.Progress] = []
    failed = training.train_group(config, data, config.seeds, told.append)
    assert sizes == [4, 2, 2]
    assert [p.remark for p in told if p.remark] == ["4 networks do not fit the memory; now 2 at a time"]
    assert list(failed) == [1]
    for seed in (0, 2, 3):
        assert (run_folder(config, seed) / "weights.safetensors").exists()
        alone = dataclasses.replace(config, output=str(tmp_path / "alone"))
        training.train_seed(alone, data, seed, lambda progress: None)
        files = [(run_folder(c, seed) / "weights.safetensors").read_bytes() for c in (config, alone)]
        assert files[0] == files[1]
    assert not (run_folder(config, 1) / "weights.safetensors").exists()


@pytest.mark.parametrize("how", [{}, {"resume": False}, {"force": True}])
def test_out_of_memory_after_a_pass(
    how: dict[str, bool], tmp_path: Any, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is trained or recorded twice, however the job began, and what has diverged stays so."""
    monkeypatch.setattr(trainer, "build", poisoned)
    real, began = batched.train_many, []

    def short(config: Config, data: Data, seeds: list[int], starts: list[Any]) -> Any:
        began.append((seeds, [start and start.record and start.record.pass_ for start in starts]))
        outcomes = real(config, data, seeds, starts)
        yield next(outcomes)
        if len(seeds) > 2:
            raise torch.OutOfMemoryError("no more")
        yield from outcomes

    config = configured("1998", "batched", seeds=[0, 1, 2, 3], output=str(tmp_path), **how)
    alone = dataclasses.replace(config, output=str(tmp_path / "alone"))
    for seed in (0, 2, 3):
        training.train_seed(alone, data, seed, lambda progress: None)
    monkeypatch.setattr(batched, "train_many", short)
    assert list(training.train_group(config, data, config.seeds, lambda progress: None)) == [1]
    assert began == [([0, 1, 2, 3], [None] * 4), ([0], [1]), ([2, 3], [1, 1])]
    metrics = finished(config, 1)
    assert metrics is not None and metrics["diverged_at"] == "pass 1 update 1"
    for seed in (0, 2, 3):
        rows, right = (pd.read_csv(run_folder(c, seed) / "passes.csv") for c in (config, alone))
        pd.testing.assert_frame_equal(rows.drop(columns="seconds"), right.drop(columns="seconds"))
        files = [(run_folder(c, seed) / "weights.safetensors").read_bytes() for c in (config, alone)]
        assert files[0] == files[1]


def test_processes_get_groups_that_suit_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small batches together, large ones alone, and a GPU has all of them."""
    monkeypatch.setattr(job, "cores", lambda: 2)
    config = Config(engine=EngineConfig("batched"))
    assert job._groups(config, [0, 1, 2, 3, 4]) == [[0, 1, 2], [3, 4]]
    config.optim.batch = 64
    assert job._groups(config, [0, 1, 2]) == [[0], [1], [2]]
    config.engine.device = "cuda"
    assert job._groups(config, [0, 1, 2]) == [[0, 1, 2]]
    assert job._groups(Config(), [0, 1]) == [[0], [1]]


def test_a_gpu_that_is_not_there(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A valid configuration, which no job begins."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    config = Config(engine=EngineConfig("batched", device="cuda"), output=str(tmp_path / "outputs"))
    with pytest.raises(ConfigError, match=r"^engine.device=cuda: .*engine.device=cpu"):
        job.run(config)
    assert not any(tmp_path.iterdir())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    job.require_device(config)


def repeated(data: Data, times: int) -> Data:
    return dataclasses.replace(
        data, train_images=np.tile(data.train_images, (times, 1, 1)), train_labels=np.tile(data.train_labels, times)
    )


@pytest.mark.gpu
@pytest.mark.parametrize("case", CASES)
def test_gpu_agrees_with_the_cpu(case: str, data: Data) -> None:
    """Its graphs too: more updates than one replay makes. The bound is for float64."""
    bigger = repeated(data, 12)
    config = configured(case, "batched")
    config.data.train_size = None
    right = passes_of(together(config, bigger, [3, 4])[1])
    config.engine.device = "cuda"
    for got, wanted in zip(passes_of(together(config, bigger, [3, 4])[1]), right, strict=True):
        for name, value in wanted.state.items():
            assert np.abs(got.state[name] - value).max() <= 1e-6 * np.abs(value).max()
