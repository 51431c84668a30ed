"""The modern network: its counts, choices and initial weights; dropout's hash; what bytes become; refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.transforms.v2 import functional as transforms

from paper_lenet import paper
from paper_lenet.activations import ACTIVATIONS, squash
from paper_lenet.commands.composition import compose
from paper_lenet.config import Config, ConfigError, DataConfig, EngineConfig, InitConfig, LossConfig, ModelConfig
from paper_lenet.config import OptimConfig as Optim
from paper_lenet.data import Data, resized, values_of
from paper_lenet.learning.patterns import dropout_start, kept_units
from paper_lenet.network.lenet5 import build
from paper_lenet.network.modern import ModernNet, table_of
from paper_lenet.paper import connections

TODAY = ModelConfig(activation="relu", pooling="max_pool", table="full", output="linear")


def test_counts_of_today_s_lenet() -> None:
    """61,706 parameters, as everyone's LeNet-5 has; multiplications by hand."""
    net = ModernNet(TODAY)
    assert sum(net.parameters_by_layer().values()) == 61_706
    assert net.multiply_adds() == 28**2 * 6 * 25 + 10**2 * 16 * 150 + 120 * 400 + 84 * 120 + 10 * 84
    unpadded = ModernNet(ModelConfig(**{**vars(TODAY), "geometry": "unpadded"}))
    assert unpadded.c5.weight.numel() == 120 * 256
    assert unpadded(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


def test_1998_s_choices_make_1998_s_network() -> None:
    torch.manual_seed(0)
    modern = ModernNet(ModelConfig())
    old = build(ModelConfig(), 0)
    modern.set_state({name: p.detach().numpy() for name, p in old.named_parameters()})
    images = torch.randn(3, 1, 32, 32)
    torch.testing.assert_close(modern(images), old(images))
    assert modern.parameters_by_layer() == old.parameters_by_layer()


def test_plain_pooling_is_not_squashed_and_activations_are_torch_s() -> None:
    x = torch.linspace(-3, 3, 50)
    assert ACTIVATIONS["scaled_tanh"] is squash
    for name, module in {"tanh": nn.Tanh(), "relu": nn.ReLU(), "gelu": nn.GELU(), "silu": nn.SiLU()}.items():
        torch.testing.assert_close(ACTIVATIONS[name](x), module(x))
    for pooling, layer in (("max_pool", nn.MaxPool2d(2)), ("avg_pool", nn.AvgPool2d(2))):
        net = ModernNet(ModelConfig(pooling=pooling, activation="tanh"))
        states = net.features(torch.randn(2, 1, 32, 32))
        assert torch.equal(states["s2"], layer(states["c1"]))
        assert torch.equal(states["s4"], layer(states["c3"]))


def test_random_tables() -> None:
    tables = [table_of("random", torch.Generator().manual_seed(seed)) for seed in range(5)]
    for table in tables:
        assert int(table.sum()) == int(connections.TABLE_I.sum()) == 60
        assert table.any(0).all() and table.any(1).all()
    assert not torch.equal(tables[0], tables[1])
    assert int(table_of("full", None).sum()) == 96


@pytest.mark.parametrize("scheme", ["kaiming", "xavier", "torch"])
def test_initial_weights(scheme: str) -> None:
    """Spread of C5 (400 inputs, 120 units), biases, and subsampling that begins as the average."""
    net = ModernNet(ModelConfig(init=InitConfig(scheme=scheme)), torch.Generator().manual_seed(0))
    weight, bias = net.c5.weight.detach(), net.c5.bias
    assert bias is not None
    deviation = {"kaiming": (2 / 400) ** 0.5, "xavier": (2 / 520) ** 0.5, "torch": 400**-0.5 / 3**0.5}[scheme]
    assert float(weight.std()) == pytest.approx(deviation, rel=0.02)
    assert bool((bias == 0).all()) == (scheme != "torch")
    coefficient = net.s2.coefficient
    assert isinstance(coefficient, torch.Tensor) and bool((coefficient == 0.25).all())
    if scheme == "torch":
        # C3's first map has three kernels
        assert float(net.c3.bias.detach().abs()[0]) <= 75**-0.5
        limit = {"c1": 25**-0.5, "c5": 400**-0.5, "f6": 120**-0.5}
        for name, bound in limit.items():
            largest = max(float(p.detach().abs().max()) for p in getattr(net, name).parameters())
            assert 0.8 * bound < largest <= bound


def test_dropout_keeps_its_share_and_depends_on_nothing_but_the_place() -> None:
    starts = torch.tensor([dropout_start(seed) for seed in (3, 4)])
    whole, of_other_seed = kept_units(starts, 2, 0, 400, 204, 0.3).double()
    assert float(whole.mean()) == pytest.approx(0.7, abs=0.01)
    assert float(whole.mean(0).std()) < 0.04 and float(whole.mean(1).std()) < 0.05
    assert torch.equal(whole[100:107], kept_units(starts, 2, 100, 7, 204, 0.3)[0].double())
    for other in (kept_units(starts, 1, 0, 400, 204, 0.3)[0].double(), of_other_seed):
        assert abs(float(np.corrcoef(whole.ravel(), other.ravel())[0, 1])) < 0.02


def test_what_bytes_become() -> None:
    draw = np.random.default_rng(0)
    train, held_out = (draw.integers(0, top, (50, 28, 28), dtype=np.uint8) for top in (256, 100))
    data = Data("made-up", "test", train, np.zeros(50, np.int64), held_out, np.zeros(50, np.int64))
    assert values_of("paper", data)[0][[0, 255]] == pytest.approx([paper.BACKGROUND, paper.FOREGROUND])
    assert values_of("unit", data)[1][[0, 51, 255]] == pytest.approx([0, 0.2, 1])
    of_train, of_held_out = values_of("standard", data)
    assert np.array_equal(of_train, of_held_out)
    assert of_train[train].mean() == pytest.approx(0, abs=2e-4) and of_train[train].std() == pytest.approx(1, abs=2e-4)
    each = values_of("standard_each", data)
    assert np.array_equal(each[0], of_train) and each[1][held_out].mean() == pytest.approx(0, abs=1e-3)


def test_resized_is_torchvision_s() -> None:
    images = np.random.default_rng(1).integers(0, 256, (4, 28, 28), dtype=np.uint8)
    wanted = [np.asarray(transforms.resize(transforms.to_pil_image(image[..., None]), [32, 32])) for image in images]
    assert np.array_equal(resized(images, 32), np.stack(wanted))


REFUSED: dict[str, dict[str, Any]] = {
    "Eq. 8 and 9 need penalties": {"loss": LossConfig("cross_entropy")},
    "cross-entropy needs a linear output": {"model": TODAY},
    "one pattern has no statistics": {"model": ModelConfig(batch_norm=True), "engine": EngineConfig("batched")},
    "no second derivatives": {
        "model": ModelConfig(batch_norm=True), "optim": Optim(batch=4), "engine": EngineConfig("batched"),
    },
    "optim.schedule=cosine: not read with optim.name=sdlm": {"optim": Optim(schedule="cosine")},
    "only for the network and the training of 1998": {"optim": Optim(cross_terms="kept", batch=2)},
    "made in the padded frame": {"model": ModelConfig(geometry="resized"), "distort": {"variants": 3}},
    "engine.device=cuda: not read with engine.name=fused": {"engine": EngineConfig(device="cuda")},
    "optim.name=muon with engine.name=fused": {"optim": Optim(name="muon", schedule="constant")},
}  # fmt: skip


@pytest.mark.parametrize("reason", REFUSED)
def test_impossible_combinations(reason: str) -> None:
    from paper_lenet.config import DistortConfig

    options = {k: DistortConfig(**v) if isinstance(v, dict) else v for k, v in REFUSED[reason].items()}
    with pytest.raises(ConfigError) as error:
        Config(**options)
    assert reason in str(error.value) and "\n" not in str(error.value)


def test_keys_that_came_later_leave_published_fingerprints() -> None:
    """Those of results/runs/lenet5.csv, and of quarter.csv, from before the defaults changed."""
    assert Config().fingerprint() == "1bbd4c7622b0"
    assert compose(["experiment=quarter"]).fingerprint() == "e995beb217ef"
    assert Config(data=DataConfig(input="unit")).fingerprint() != "e995beb217ef"
