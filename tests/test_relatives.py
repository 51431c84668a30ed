"""LeNet-1, LeNet-4 and the fully connected networks: their sizes, and the engines' agreement on them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from test_engines import FIXED, FLOAT32_BOUND, FLOAT64_BOUND, RANDOM, configured, difference, fit, made_images

from paper_lenet.config import (
    Config,
    ConfigError,
    DataConfig,
    DistortConfig,
    EngineConfig,
    LossConfig,
    ModelConfig,
    OptimConfig,
)
from paper_lenet.data import Data
from paper_lenet.engines import fused, reference
from paper_lenet.learning.sdlm import diagonal_hessian
from paper_lenet.network.lenet5 import build
from paper_lenet.network.losses import eq8
from paper_lenet.network.mlp import MLP
from paper_lenet.network.paper_net import PaperNet, targets
from paper_lenet.network.relatives import lenet1, lenet4
from paper_lenet.paper.connections import LENET4

NETWORKS: dict[str, dict[str, Any]] = {
    "lenet4": {"model": ModelConfig("lenet4", init=RANDOM)},
    "lenet1": {"model": ModelConfig("lenet1", init=RANDOM), "data": DataConfig(version="small")},
    "one hidden layer": {"model": ModelConfig("mlp", [30], init=replace(FIXED, bias="random"))},
    "no subsampling": {"model": ModelConfig("mlp", [20], init=FIXED), "cross_terms": "subsampling"},
    "more units than a kernel takes at once": {"model": ModelConfig("mlp", [200], init=FIXED)},
    "two hidden layers": {
        "model": ModelConfig("mlp", [20, 17], 20, init=FIXED),
        "data": DataConfig(version="deslanted"),
    },
    "eq9": {"model": ModelConfig("mlp", [20, 17], init=FIXED), "loss": LossConfig("eq9", 5.0, "exact")},
    "distorted": {"model": ModelConfig("mlp", [20], init=FIXED), "distort": DistortConfig(variants=1)},
}


def made_data(version: str) -> Data:
    side = {"regular": 28, "deslanted": 20, "small": 16}[version]
    return Data("mnist", "test", *made_images(100, side, seed=1), *made_images(60, side, seed=2))


# Each form of a program takes seconds to compile.
FORMS = [(network, "float64", FLOAT64_BOUND) for network in NETWORKS]
FORMS += [(network, "float32", FLOAT32_BOUND) for network in ("lenet4", "one hidden layer")]


@pytest.mark.parametrize(("network", "precision", "bound"), FORMS)
def test_engines_agree(network: str, precision: str, bound: float) -> None:
    config = configured(precision, **NETWORKS[network])
    data = made_data(config.data.version)
    *_, got = fit(fused, config, data, 0)
    *_, right = fit(reference, config, data, 0)
    assert difference(got.state, right.state) < bound
    assert got.train_loss == pytest.approx(right.train_loss, rel=bound)
    assert (got.rate_min, got.rate_max) == pytest.approx((right.rate_min, right.rate_max), rel=bound)
    if precision == "float64":
        assert np.array_equal(got.predictions, right.predictions)


def test_minibatches() -> None:
    optim = OptimConfig("sgd", passes=2, batch=8, schedule="cosine", rate=0.01)
    config = Config(optim=optim, model=ModelConfig("mlp", [20]), engine=EngineConfig(precision="float64"))
    *_, got = fit(fused, config, made_data("regular"), 0)
    *_, right = fit(reference, config, made_data("regular"), 0)
    assert difference(got.state, right.state) < FLOAT64_BOUND


def test_lenet1_counts() -> None:
    """About 2,600 parameters and 100,000 connections (p. 13)."""
    net = lenet1()
    assert sum(net.parameters_by_layer().values()) == 2_578
    assert sum(net.connections().values()) == 98_442


def test_lenet4_counts() -> None:
    """About 260,000 connections; the 17,000 parameters of p. 13 do not fit the layers that it lists (D15)."""
    net = lenet4()
    assert sum(net.parameters_by_layer().values()) == 50_698
    assert sum(net.connections().values()) == 262_306
    assert net.features(torch.zeros(1, 1, 32, 32))["s2"].shape == (1, 8, 14, 14)


@pytest.mark.parametrize(("hidden", "side", "thousands"), [([300], 20, 123), ([1000], 28, 795), ([300, 100], 28, 267),
                                                          ([500, 150], 28, 469)])  # fmt: skip
def test_mlp_counts(hidden: list[int], side: int, thousands: int) -> None:
    """Fig. 11's thousands of multiply-adds; 28x28-1000-10's counts its biases."""
    net = MLP(side, hidden)
    assert net.multiply_adds() == pytest.approx(1000 * thousands, rel=5e-3)
    assert sum(net.parameters_by_layer().values()) == net.multiply_adds() + sum(hidden) + 10


def test_map_that_feeds_two() -> None:
    """A map of C1 that feeds two of S2 is two equal maps that feed one each: outputs and curvatures."""
    net = lenet4(RANDOM, torch.Generator().manual_seed(0)).double()
    apart = PaperNet(32, 8, LENET4, (120, 10), targets(10)).double()
    state = {name: value.detach().clone() for name, value in net.named_parameters()}
    apart.set_state(state | {name: state[name].repeat_interleave(2, 0) for name in ("c1.weight", "c1.bias")})
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(3, 1, 32, 32, generator=generator, dtype=torch.float64)
    labels = torch.tensor([3, 1, 4])
    torch.testing.assert_close(net(images), apart(images))
    h, whole = diagonal_hessian(net, images, labels, eq8), diagonal_hessian(apart, images, labels, eq8)
    for name, value in h.items():
        summed = whole[name].unflatten(0, (4, 2)).sum(1) if name.startswith("c1") else whole[name]
        torch.testing.assert_close(value, summed)


def test_largest_unit_wins() -> None:
    net = build(ModelConfig("mlp", [30]), 0)
    images = torch.rand(50, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    states = net.features(images)
    assert torch.equal(states["output"].argmin(1), states["classes"].argmax(1))


@pytest.mark.parametrize(
    ("options", "culprit"),
    [
        ({"model": ModelConfig("lenet1")}, "data.version=small"),
        ({"data": DataConfig(version="small")}, "data.version=regular"),
        ({"model": ModelConfig("mlp", [30]), "data": DataConfig(version="deslanted")}, "model.side=28"),
        ({"model": ModelConfig(side=20)}, "model.side=20"),
        ({"model": ModelConfig("lenet4", activation="relu")}, "model.name=lenet4"),
        ({"model": ModelConfig("mlp", [30]), "engine": EngineConfig("batched")}, "engine.name=batched"),
        ({"model": ModelConfig("mlp", [30]), "engine": EngineConfig(summation=1)}, "engine.summation=1"),
        ({"model": ModelConfig("mlp", [30]), "optim": OptimConfig(cross_terms="kept")}, "optim.cross_terms=kept"),
        (
            {"model": ModelConfig("mlp", [30], 20), "data": DataConfig(version="deslanted")}
            | {"distort": DistortConfig(variants=1)},
            "data.version=deslanted",
        ),
    ],
)
def test_refused(options: dict[str, Any], culprit: str) -> None:
    with pytest.raises(ConfigError, match=culprit):
        Config(**options)


@pytest.mark.parametrize(("name", "hidden"), [("mlp", []), ("mlp", [1, 2, 3]), ("mlp", [0]), ("lenet5", [300])])
def test_hidden_layers_refused(name: str, hidden: list[int]) -> None:
    with pytest.raises(ConfigError, match=r"model\.hidden"):
        ModelConfig(name, hidden)
