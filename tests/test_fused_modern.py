"""The fused engine on the modern choices and on minibatches, against plain autograd and torch's own optimisers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from paper_lenet.config import Config, EngineConfig, InitConfig, LossConfig, ModelConfig, OptimConfig
from paper_lenet.data import Data
from paper_lenet.engines import fused, records, reference
from paper_lenet.engines.fused import FusedNet
from paper_lenet.learning.patterns import Indices, Pass, Patterns
from paper_lenet.network.lenet5 import build
from paper_lenet.network.losses import eq9

FLOAT64_BOUND = 1e-9
FLOAT32_BOUND = 1e-4

MODERN = {"activation": "relu", "pooling": "max_pool", "table": "full", "output": "linear"}
SMOOTHED = LossConfig("cross_entropy", smoothing=0.1)
MOMENTUM = {"name": "sgd", "rate": 0.02, "weight_decay": 1e-3}
# with biases that are not 0, of which decay leaves what batch normalisation takes out again
NORMALISED = MODERN | {"batch_norm": True, "init": InitConfig(bias="random")}
ADAM = {"name": "adam", "rate": 2e-3, "schedule": "constant"}
# few programs have to be compiled for these
CASES: dict[str, tuple[dict[str, Any], LossConfig, dict[str, Any]]] = {
    "modern, momentum": (MODERN, SMOOTHED, MOMENTUM | {"schedule": "cosine"}),
    "modern, adam": (MODERN, LossConfig("cross_entropy"), ADAM),
    "modern, nesterov": (
        MODERN, LossConfig("cross_entropy"), MOMENTUM | {"nesterov": True, "schedule": "constant"}
    ),
    "side 28, adamw": (
        {"activation": "tanh", "pooling": "avg_pool", "table": "random", "output": "linear", "geometry": "unpadded"},
        SMOOTHED, ADAM | {"name": "adamw", "weight_decay": 0.1, "schedule": "onecycle"},
    ),
    "relu, average, rbf, adam": (
        {"activation": "relu", "pooling": "average", "rbf_factor": 0.1}, LossConfig("eq9", j=5.0), ADAM
    ),
    "gelu": (MODERN | {"activation": "gelu"}, SMOOTHED, MOMENTUM | {"schedule": "constant"}),
    "silu, average, rbf": (
        {"activation": "silu", "pooling": "average", "rbf_factor": 0.1},
        LossConfig("eq9", j=5.0),
        MOMENTUM | {"schedule": "constant"},
    ),
    "batch normalisation": (NORMALISED, SMOOTHED, MOMENTUM | {"schedule": "cosine"}),
}  # fmt: skip


def configured(
    model: Mapping[str, Any],
    loss: LossConfig,
    optim: Mapping[str, Any],
    precision: str = "float64",
    batch: int = 7,
    engine: str = "fused",
) -> Config:
    return Config(
        model=ModelConfig(**model), loss=loss, optim=OptimConfig(passes=2, batch=batch, **optim),
        engine=EngineConfig(engine, precision=precision),
    )  # fmt: skip


def made_patterns(count: int = 30) -> Patterns:
    """A coarse pattern for each class under much noise."""
    draw = np.random.default_rng(3)
    labels = draw.integers(0, 10, count)
    coarse = np.kron(draw.integers(0, 256, (10, 7, 7))[labels], np.ones((1, 4, 4)))
    images = (coarse + draw.normal(0, 80, coarse.shape)).clip(0, 255).astype(np.uint8)
    return Patterns(images, labels, np.zeros((0, 6)), np.linspace(-0.4, 2.8, 256))


def passes(count: int = 30) -> list[Pass]:
    return [Pass(n, 0.01, np.random.default_rng(n).permutation(count), np.arange(count)) for n in (1, 2)]


def inputs(patterns: Patterns, chosen: Indices, side: int, dtype: Any = np.float64) -> Tensor:
    """The grey values, made another way than the engine makes them."""
    edge = (side - 28) // 2
    padded = np.pad(patterns.images[chosen], ((0, 0), (edge, edge), (edge, edge)))
    return torch.from_numpy(patterns.values.astype(dtype)[padded][:, None])


def loss_of(config: Config) -> Any:
    if config.loss.name == "eq9":
        return lambda y, d: eq9(y, d, config.loss.j)
    return nn.CrossEntropyLoss(label_smoothing=config.loss.smoothing)


def torch_optimiser(config: Config, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    o = config.optim
    if o.name == "sgd":
        return torch.optim.SGD(parameters, o.rate, o.momentum, weight_decay=o.weight_decay, nesterov=o.nesterov)
    if o.name == "adamw":
        return torch.optim.AdamW(parameters, o.rate, weight_decay=o.weight_decay)
    return torch.optim.Adam(parameters, o.rate)


def torch_schedule(config: Config, optimiser: torch.optim.Optimizer, updates: int) -> Any:
    if config.optim.schedule == "cosine":
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, updates)
    if config.optim.schedule == "onecycle":
        return torch.optim.lr_scheduler.OneCycleLR(optimiser, config.optim.rate, updates, cycle_momentum=False)
    return torch.optim.lr_scheduler.ConstantLR(optimiser, 1.0, 0)


def difference(values: Mapping[str, Any], expected: Mapping[str, Any]) -> float:
    """Over all parameters the largest difference, as a fraction of the parameter's largest expected value."""
    assert values.keys() == expected.keys()
    found = []
    for name, right in expected.items():
        right = np.asarray(right.detach())
        assert values[name].shape == right.shape and np.isfinite(values[name]).all()
        found.append(float(np.abs(values[name] - right).max() / np.abs(right).max()))
    return max(found)


def compare(config: Config, bound: float) -> None:
    """Two passes of minibatches, the last of each partial, by the engine and by plain torch."""
    dtype = getattr(torch, config.engine.precision)
    model, patterns = build(config.model, 5).to(dtype), made_patterns()
    net = FusedNet(model, config)
    updates = 2 * math.ceil(len(patterns) / config.optim.batch)
    optimiser = torch_optimiser(config, list(model.parameters()))
    schedule, loss = torch_schedule(config, optimiser, updates), loss_of(config)
    for this in passes():
        net.begin(patterns, this)
        total, done, given = net.train(patterns, this.order, this, 0)
        right, wins = 0.0, []
        for k in np.split(this.order, range(config.optim.batch, len(this.order), config.optim.batch)):
            y = model(inputs(patterns, k, model.side, config.engine.precision))
            wins += (y.argmax(1) if config.model.output == "linear" else y.argmin(1)).tolist()
            value = loss(y, torch.from_numpy(patterns.labels[k]))
            right += value.item() * len(k)
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
            rate = optimiser.param_groups[0]["lr"]
            schedule.step()
        assert done == len(patterns) and given.tolist() == wins
        assert total == pytest.approx(right, rel=bound)
        assert net.rates() == pytest.approx((rate, rate), rel=1e-9)
        assert difference(net.parameters(), model.state()) < bound
    # by the running statistics, where there are any
    model.eval()
    y = model(inputs(patterns, np.arange(len(patterns)), model.side, config.engine.precision)).detach().numpy()
    assert np.abs(net.outputs(patterns, np.arange(len(patterns))) - y).max() < bound * np.abs(y).max()


@pytest.mark.parametrize("case", CASES)
def test_float64(case: str) -> None:
    compare(configured(*CASES[case]), FLOAT64_BOUND)


@pytest.mark.parametrize(
    "model",
    [MODERN, NORMALISED, NORMALISED | {"activation": "gelu"}, MODERN | {"activation": "silu"}],
    ids=["modern", "batch normalisation", "gelu", "silu"],
)
def test_float32(model: dict[str, Any]) -> None:
    compare(configured(model, SMOOTHED, MOMENTUM | {"schedule": "constant"}, "float32"), FLOAT32_BOUND)


@pytest.mark.parametrize("model", [MODERN, NORMALISED], ids=["modern", "batch normalisation"])
def test_a_batch_larger_than_a_chunk(model: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paper_lenet.engines.fused.net.CHUNK", 4)
    compare(configured(model, SMOOTHED, MOMENTUM | {"schedule": "constant"}), FLOAT64_BOUND)


def test_batch_normalisation_of_sums_far_from_0() -> None:
    """In float32, in which a sum of squares would have lost the variance."""
    config = configured(NORMALISED, SMOOTHED, MOMENTUM | {"schedule": "constant"}, "float32")
    model, patterns, this = build(config.model, 5), made_patterns(), passes()[0]
    with torch.no_grad():
        for layer in (model.c1, model.c3):
            layer.bias += 1000
    net = FusedNet(model, config)
    net.train(patterns, this.order[:7], this, 0)
    model.double()(inputs(patterns, this.order[:7], 32))
    for name in ("n1.running_var", "n3.running_var"):
        assert np.allclose(net.parameters()[name], model.state()[name], rtol=1e-3)


def test_ties_of_max_pooling_go_to_the_first() -> None:
    """Kernels of one weight on images of two values: most windows have equal states over unequal patches."""
    config = configured(MODERN, LossConfig("cross_entropy"), MOMENTUM | {"schedule": "constant"})
    model, patterns = build(config.model, 5).double(), made_patterns()
    patterns.images[:] = 255 * (patterns.images > 128)
    with torch.no_grad():
        for layer in (model.c1, model.c3):
            one = torch.zeros_like(layer.weight)
            one[..., 2, 1] = 0.5
            if layer is model.c3:
                one[::2] = 0
            layer.weight.copy_(one)
            layer.bias.fill_(0.25)
    net = FusedNet(model, config)
    this = passes()[0]
    net.train(patterns, this.order[:7], this, 0)
    F.cross_entropy(
        model(inputs(patterns, this.order[:7], 32)), torch.from_numpy(patterns.labels[this.order[:7]])
    ).backward()
    with torch.no_grad():
        moved = {n: w - 0.02 * (w.grad + 1e-3 * w) for n, w in model.named_parameters() if w.grad is not None}
    assert difference(net.parameters(), moved) < FLOAT64_BOUND


def independent_curvature(model: Any, x: Tensor) -> dict[str, Tensor]:
    """Eq. 25 and 27 for relu, max pooling and a linear output: sums over the patterns."""
    c3, table = model.c3, model.c3.table
    dense = torch.zeros(*table.T.shape, 5, 5, dtype=x.dtype)
    dense[c3.out_of, c3.in_of] = c3.weight.detach()
    weights = {"c1": model.c1.weight.detach(), "c3": dense, "c5": model.c5.weight.detach()}
    weights |= {"f6": model.f6.weight.detach(), "output": model.output.weight.detach()}
    layers: dict[str, Any] = {name: F.conv2d for name in ("c1", "c3", "c5")} | {"f6": F.linear, "output": F.linear}
    states, sums, maxima = {}, {}, {}
    for name, layer in layers.items():
        states[name] = x if layer is F.conv2d else x.flatten(1)
        sums[name] = layer(states[name], weights[name], getattr(model, name).bias.detach())
        x = F.relu(sums[name])
        if name in ("c1", "c3"):
            maxima[name] = x.requires_grad_()
            x = F.max_pool2d(x, 2)
            maxima[name + " pooled"] = x
            x = x.detach()
    p = torch.softmax(sums["output"], 1)
    h = p * (1 - p)
    found = {}
    for name in reversed(layers):
        if name != "output":
            h = h.reshape(maxima[name + " pooled"].shape if name in ("c1", "c3") else sums[name].shape)
            if name in ("c1", "c3"):
                (h,) = torch.autograd.grad(maxima[name + " pooled"], maxima[name], h)
            h = h * (sums[name] > 0)
        w2, x2 = (v.detach().square().requires_grad_() for v in (weights[name], states[name]))
        of_w, below = torch.autograd.grad(layers[name](x2, w2), [w2, x2], h)
        found[f"{name}.weight"] = of_w[c3.out_of, c3.in_of] if name == "c3" else of_w
        found[f"{name}.bias"] = h.transpose(0, 1).flatten(1).sum(1)
        h = below
    return found


@pytest.mark.parametrize("batch", [1, 7])
def test_sdlm(batch: int) -> None:
    """The curvature, and updates one pattern or one batch at a time."""
    config = configured(MODERN, SMOOTHED, {"name": "sdlm", "mu": 0.05}, batch=batch)
    model, patterns, this = build(config.model, 5).double(), made_patterns(), passes()[0]
    net, everything = FusedNet(model, config), np.arange(30)
    h = {name: value / 30 for name, value in independent_curvature(model, inputs(patterns, everything, 32)).items()}
    assert difference(net.diagonal_hessian(patterns, everything), h) < FLOAT64_BOUND
    assert min(float(value.max()) for value in h.values()) > 1e-6
    net.begin(patterns, this)
    eps = {name: 0.01 / (0.05 + value) for name, value in h.items()}
    assert difference(net.memory(), eps) < FLOAT64_BOUND
    assert net.rates() == pytest.approx(
        (min(float(e.min()) for e in eps.values()), max(float(e.max()) for e in eps.values()))
    )
    net.train(patterns, this.order, this, 0)
    for k in np.split(this.order, range(batch, 30, batch)):
        loss = loss_of(config)(model(inputs(patterns, k, 32)), torch.from_numpy(patterns.labels[k]))
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        with torch.no_grad():
            for (name, w), gradient in zip(model.named_parameters(), gradients, strict=True):
                w -= eps[name] * gradient
    assert difference(net.parameters(), dict(model.named_parameters())) < FLOAT64_BOUND


def test_gradients_are_those_of_the_steps() -> None:
    """One pattern at a time, to the bit: the program that adds gradients up against the one that steps."""
    config = configured(MODERN, SMOOTHED, {}, batch=1)
    patterns, this = made_patterns(), passes()[0]
    stepped, added = (FusedNet(build(config.model, 0), config) for _ in range(2))
    for net in (stepped, added):
        net.set_memory({name: np.full(w.shape, 1e-3) for name, w in net.parameters().items()})
    before = stepped.parameters()
    losses, done, given = stepped.train(patterns, this.order, this, 0)
    right, _, same = added._by_batches(patterns, this.order, this, 0)
    assert done == 30 and losses == pytest.approx(right, rel=1e-12) and np.array_equal(given, same)
    for name, w in stepped.parameters().items():
        assert np.array_equal(w, added.parameters()[name]) and not np.array_equal(w, before[name])


def test_training_as_the_reference_does() -> None:
    """Both engines from the configuration on, with held-out images of their own mean and deviation."""
    config = configured(MODERN, SMOOTHED, ADAM | {"rate": 5e-3})
    config.data.input, config.distort.variants = "standard_each", 1
    images = made_patterns(50)
    data = Data("mnist", "test", images.images[:30], images.labels[:30], images.images[30:], images.labels[30:])
    runs = [list(records(engine.train(config, data, 4, None))) for engine in (fused, reference)]
    assert len(runs[0]) == 2
    for got, right in zip(*runs, strict=True):
        assert difference(got.state, {name: torch.from_numpy(w) for name, w in right.state.items()}) < FLOAT64_BOUND
        assert np.array_equal(got.predictions, right.predictions)
        assert (got.rate_min, got.train_errors, got.training_set_errors) == (
            right.rate_min, right.train_errors, right.training_set_errors
        )  # fmt: skip
    assert len(set(runs[0][-1].predictions.tolist())) > 1


@pytest.mark.parametrize(
    ("model", "optim", "batch"),
    [
        (NORMALISED | {"dropout": 0.3}, MOMENTUM | {"schedule": "constant"}, 7),
        (MODERN | {"dropout": 0.3}, {"name": "sdlm", "mu": 0.05}, 1),
    ],
    ids=["batches", "sdlm"],
)
def test_dropout_as_the_reference_does(
    model: dict[str, Any], optim: dict[str, Any], batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over more than one call of the compiled program and more than one pass; all units vote when answers are given."""
    monkeypatch.setattr("paper_lenet.engines.fused.net.CHUNK", 20)
    config, images = configured(model, SMOOTHED, optim, batch=batch), made_patterns(50)
    data = Data("mnist", "test", images.images[:30], images.labels[:30], images.images[30:], images.labels[30:])
    runs = [list(records(engine.train(config, data, 4, None))) for engine in (fused, reference)]
    for got, right in zip(*runs, strict=True):
        assert difference(got.state, {name: torch.from_numpy(w) for name, w in right.state.items()}) < FLOAT64_BOUND
        assert got.train_loss == pytest.approx(right.train_loss, rel=FLOAT64_BOUND)
        assert np.array_equal(got.predictions, right.predictions)


@pytest.mark.parametrize(
    "model", [MODERN, NORMALISED | {"dropout": 0.3}], ids=["modern", "batch normalisation and dropout"]
)
def test_going_on_from_parameters_and_memory(model: dict[str, Any]) -> None:
    config = configured(model, LossConfig("cross_entropy"), ADAM)
    patterns, this = made_patterns(), passes()[1]
    whole, part, rest = (FusedNet(build(config.model, 5), config) for _ in range(3))
    assert whole.pace % 7 == 0 and abs(whole.pace - 10_000) < 7
    whole.train(patterns, this.order, this, 0)
    part.train(patterns, this.order[:14], this, 0)
    kept = part.parameters(), part.memory()
    part.train(patterns, this.order[14:], this, 14)  # copies: what is kept stays as it was
    rest.set_parameters(kept[0])
    rest.set_memory(kept[1])
    rest.train(patterns, this.order[14:], this, 14)
    for net in (part, rest):
        for got, right in ((net.parameters(), whole.parameters()), (net.memory(), whole.memory())):
            assert got.keys() == right.keys()
            assert all(np.array_equal(got[name], right[name]) for name in right)
    assert {name.split("/")[0] for name in kept[1]} == {"mean", "square"}


def test_a_loss_that_is_not_finite_stops_before_its_batch() -> None:
    config = configured(*CASES["modern, adam"])
    patterns, this = made_patterns(), passes()[0]
    net = FusedNet(build(config.model, 5), config)
    values = net.parameters()
    values["c1.weight"][2, 0, 1, 1] = math.nan
    net.set_parameters(values)
    assert net.train(patterns, this.order, this, 0)[1] == 0
    assert np.array_equal(net.parameters()["c3.weight"], values["c3.weight"])


def test_muon_is_refused() -> None:
    config = configured(MODERN, SMOOTHED, {"name": "muon", "schedule": "constant"}, engine="reference")
    with pytest.raises(ValueError, match=r"muon.*the fused engine"):
        FusedNet(build(config.model, 0), config)
