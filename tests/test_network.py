"""The network against the paper: its counts, its layers one by one, its initial weights."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from paper_lenet import paper
from paper_lenet.activations import squash, squash_slope
from paper_lenet.config import InitConfig, ModelConfig
from paper_lenet.network.layers import EuclideanRBF, Subsampling, TableConv2d
from paper_lenet.network.lenet5 import LeNet5, build
from paper_lenet.network.paper_net import PaperNet
from paper_lenet.paper import bitmaps
from paper_lenet.paper.connections import TABLE_I

SHAPES = {
    "c1.weight": (6, 1, 5, 5),
    "c1.bias": (6,),
    "s2.coefficient": (6,),
    "s2.bias": (6,),
    "c3.weight": (60, 5, 5),
    "c3.bias": (16,),
    "s4.coefficient": (16,),
    "s4.bias": (16,),
    "c5.weight": (120, 16, 5, 5),
    "c5.bias": (120,),
    "f6.weight": (84, 120),
    "f6.bias": (84,),
    "output.centres": (10, 84),
}
# Inputs of a unit of each layer, p. 7-8; those of a unit of C3 depend on its map.
FAN_IN = {"c1": 25, "s2": 4, "s4": 4, "c5": 400, "f6": 120}


def drawn(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def lenet5(seed: int = 0, **options: object) -> LeNet5:
    init = InitConfig(**{"bias": "random", "coefficient": "random"} | options)
    return LeNet5(init=init, generator=drawn(seed))


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=drawn(seed), dtype=torch.float64)


def close(got: Tensor, expected: Tensor, rtol: float = 1e-10, atol: float = 1e-12) -> None:
    np.testing.assert_allclose(got.detach(), expected.detach(), rtol=rtol, atol=atol)


# Counts


def test_parameters() -> None:
    counted = {name: 0 for name in paper.PARAMETERS}
    for name, parameter in LeNet5().named_parameters():
        counted[name.split(".")[0]] += parameter.numel()
    assert counted == LeNet5().parameters_by_layer() == paper.PARAMETERS
    assert sum(counted.values()) == 60_000


def test_connections() -> None:
    counted = LeNet5().connections()
    assert list(counted.items()) == list(paper.CONNECTIONS.items())
    assert sum(counted.values()) == 340_908


def test_connections_are_counted_not_repeated() -> None:
    """One more input of one map of C3 adds 25 weights, each used at 10x10 positions."""
    table = TABLE_I.clone()
    table[3, 0] = True
    net = PaperNet(32, 6, table, (120, 84), bitmaps.DIGITS)
    assert net.parameters_by_layer()["c3"] == paper.PARAMETERS["c3"] + 25
    assert net.connections()["c3"] == paper.CONNECTIONS["c3"] + 2500


def test_state_dict() -> None:
    net = LeNet5()
    assert {name: tuple(value.shape) for name, value in net.state_dict().items()} == SHAPES
    assert list(net.state_dict()) == list(SHAPES)
    assert {name for name, _ in net.named_parameters()} == SHAPES.keys() - {"output.centres"}
    assert torch.equal(net.state_dict()["output.centres"], bitmaps.DIGITS)


def test_centres_are_a_copy() -> None:
    net = LeNet5()
    net.output.centres.zero_()
    assert bitmaps.DIGITS.abs().eq(1).all()


# Layer by layer


def test_squash() -> None:
    # Eq. 6's A is rounded to four places, which leaves 2.4e-6
    assert squash(torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)).tolist() == pytest.approx([-1, 0, 1], abs=3e-6)
    assert squash(torch.tensor([1e3, -1e3])).tolist() == pytest.approx([1.7159, -1.7159])
    a = torch.linspace(-4, 4, 33, dtype=torch.float64)
    assert squash(a).tolist() == pytest.approx([1.7159 * math.tanh(2 / 3 * value) for value in a.tolist()])


def test_squash_slope() -> None:
    a = torch.linspace(-6, 6, 49, dtype=torch.float64, requires_grad=True)
    x = squash(a)
    (slope,) = torch.autograd.grad(x.sum(), a)
    close(squash_slope(x), slope, 1e-12)


@pytest.mark.parametrize(("pooling", "factor"), [("sum", 1.0), ("average", 0.25)])
def test_subsampling_by_hand(pooling: str, factor: float) -> None:
    layer = Subsampling(2, pooling)
    with torch.no_grad():
        layer.coefficient.copy_(torch.tensor([10.0, 100.0]))
        layer.bias.copy_(torch.tensor([0.5, -0.5]))
    first = torch.tensor([[1.0, 2.0, 10.0, 20.0], [3.0, 4.0, 30.0, 40.0]])
    second = torch.tensor([[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, -1.0]])
    expected = [[[10 * 10 * factor + 0.5, 10 * 100 * factor + 0.5]], [[100 * factor - 0.5, -100 * factor - 0.5]]]
    assert layer(torch.stack([first, second])[None])[0].tolist() == expected


def test_c3_map_by_map() -> None:
    """Each map of C3 from only its maps of S2, as Table I is printed on p. 8."""
    printed = "012 123 234 345 045 015 0123 1234 2345 0345 0145 0125 0134 1245 0235 012345"
    net = lenet5().double()
    x = random(2, 6, 14, 14)
    weight, bias = net.c3.weight.detach(), net.c3.bias.detach()
    got, kernel = net.c3(x), 0
    for o, digits in enumerate(printed.split()):
        inputs = [int(digit) for digit in digits]
        kernels = weight[kernel : kernel + len(inputs)]
        expected = F.conv2d(x[:, inputs], kernels[None], bias[o : o + 1])
        close(got[:, o : o + 1], expected, 1e-12)
        kernel += len(inputs)
    assert kernel == 60


@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_rbf_by_hand(factor: float) -> None:
    layer = EuclideanRBF(torch.tensor([[1.0, -1.0], [1.0, 1.0], [-1.0, -1.0]]), factor)
    # (0 - 1)^2 + (2 + 1)^2 and so on
    assert layer(torch.tensor([[0.0, 2.0], [1.0, -1.0]])).tolist() == [
        [10 * factor, 2 * factor, 10 * factor],
        [0.0, 4 * factor, 4 * factor],
    ]


def test_smallest_penalty_is_the_nearest_bitmap() -> None:
    assert LeNet5().output(bitmaps.DIGITS).argmin(1).tolist() == list(range(10))
    assert LeNet5().output(bitmaps.DIGITS).diagonal().tolist() == [0] * 10


# The whole network


def test_features() -> None:
    net = lenet5()
    images = torch.rand(3, 1, 32, 32, generator=drawn(1))
    states = net.features(images)
    assert [(name, *state.shape) for name, state in states.items()] == [
        ("input", 3, 1, 32, 32),
        ("c1", 3, 6, 28, 28),
        ("s2", 3, 6, 14, 14),
        ("c3", 3, 16, 10, 10),
        ("s4", 3, 16, 5, 5),
        ("c5", 3, 120, 1, 1),
        ("f6", 3, 84),
        ("output", 3, 10),
    ]
    assert torch.equal(net(images), states["output"])
    assert torch.equal(states["input"], images)


def test_every_layer_up_to_f6_is_squashed() -> None:
    """Each state from the one below by the printed equations, S2 and S4 included; none exceeds A."""
    net = lenet5().double()
    states = net.features(random(2, 1, 32, 32))
    sums = {
        "c1": F.conv2d(states["input"], net.c1.weight, net.c1.bias),
        "s2": net.s2(states["c1"]),
        "c3": net.c3(states["s2"]),
        "s4": net.s4(states["c3"]),
        "c5": F.conv2d(states["s4"], net.c5.weight, net.c5.bias),
        "f6": states["c5"].flatten(1) @ net.f6.weight.T + net.f6.bias,
    }
    for name, a in sums.items():
        close(states[name], 1.7159 * torch.tanh(2 / 3 * a))
    difference = states["f6"][:, None, :] - bitmaps.DIGITS.double()
    close(states["output"], (difference * difference).sum(2))

    saturated = lenet5(gain=1e4).features(torch.rand(2, 1, 32, 32, generator=drawn(2)))
    for name in sums:
        assert 1.7 < saturated[name].abs().max() <= 1.7159 * (1 + 1e-6)


def test_options_reach_the_layers() -> None:
    net = LeNet5(pooling="average", rbf_factor=0.5)
    assert (net.s2.scale, net.s4.scale, net.output.factor) == (0.25, 0.25, 0.5)
    plain = LeNet5()
    assert (plain.s2.scale, plain.s4.scale, plain.output.factor) == (1, 1, 1)
    built = build(ModelConfig(pooling="average", rbf_factor=0.5), 0)
    assert (built.s2.scale, built.s4.scale, built.output.factor) == (0.25, 0.25, 0.5)


def test_larger_images_give_wider_maps() -> None:
    """Position (r, c) of the output sees the 32x32 pixels from (4 r, 4 c) on."""
    net = lenet5().double()
    images = random(2, 1, 36, 40)
    wide = net.features(images)
    assert {name: tuple(state.shape[1:]) for name, state in wide.items()} == {
        "input": (1, 36, 40),
        "c1": (6, 32, 36),
        "s2": (6, 16, 18),
        "c3": (16, 12, 14),
        "s4": (16, 6, 7),
        "c5": (120, 2, 3),
        "f6": (84, 2, 3),
        "output": (10, 2, 3),
    }
    for r in range(2):
        for c in range(3):
            crop = net.features(images[:, :, 4 * r : 4 * r + 32, 4 * c : 4 * c + 32])
            for name in ("f6", "output"):
                close(wide[name][:, :, r, c], crop[name])
    assert net(images[:, :, :32]).shape == (2, 10, 1, 3)


@pytest.mark.parametrize(
    "shape",
    [(1, 32, 32), (2, 3, 32, 32), (2, 1, 28, 28), (2, 1, 32, 28), (2, 1, 34, 32), (2, 1, 32, 33), (32, 32), (2, 1024)],
)
def test_wrong_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"images of shape \(.*\): "):
        LeNet5()(torch.zeros(shape))


def test_set_state() -> None:
    source, target = lenet5(seed=1), lenet5(seed=2)
    target.set_state({name: value.detach().numpy() for name, value in source.named_parameters()})
    assert all(torch.equal(value, target.state_dict()[name]) for name, value in source.state_dict().items())


def small_net(**options: object) -> PaperNet:
    """A relative with few units and no symmetry: 16x16 pixels, 2 and 3 maps, units (3, 2), 3 classes."""
    table = torch.tensor([[True, False, True], [False, True, True]])
    centres = torch.tensor([[1.0, -1.0], [-1.0, -1.0], [1.0, 1.0]])
    init = InitConfig(gain=1.5, bias="random", coefficient="random")
    return PaperNet(16, 2, table, (3, 2), centres, init=init, generator=drawn(0), **options).double()


# Derivatives


def gradients_are_right(module: nn.Module, x: Tensor) -> bool:
    names = [name for name, _ in module.named_parameters()]

    def call(x: Tensor, *values: Tensor) -> Tensor:
        return functional_call(module, dict(zip(names, values, strict=True)), (x,))

    inputs = [random(*value.shape, seed=k + 1) for k, value in enumerate(module.parameters())]
    return torch.autograd.gradcheck(call, [value.requires_grad_() for value in (x, *inputs)])


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Subsampling(2, "sum"), (2, 2, 4, 6)),
        (Subsampling(2, "average"), (2, 2, 4, 6)),
        (TableConv2d(torch.tensor([[True, False, True], [False, True, True]])), (2, 2, 6, 7)),
        (EuclideanRBF(torch.tensor([[1.0, -1.0, 1.0], [-1.0, -1.0, 1.0]]).double(), 0.5), (2, 3)),
        (nn.Conv2d(1, 2, 5), (2, 1, 6, 7)),
        (nn.Linear(3, 2), (2, 3)),
    ],
    ids=["sum", "average", "table", "rbf", "convolution", "full"],
)
def test_gradients_of_layers(layer: nn.Module, shape: tuple[int, ...]) -> None:
    assert gradients_are_right(layer, random(*shape))


def test_gradients_of_squash() -> None:
    function: Callable[[Tensor], Tensor] = squash
    assert torch.autograd.gradcheck(function, [random(20).requires_grad_()])


@pytest.mark.parametrize("pooling", ["sum", "average"])
def test_gradients_of_a_network(pooling: str) -> None:
    assert gradients_are_right(small_net(pooling=pooling), random(1, 1, 16, 16))


# Initial weights


def spread(values: Tensor, bound: float) -> None:
    """Values that fill ±bound as 75 or more uniform draws do."""
    assert values.abs().max() <= bound * (1 + 1e-6)
    assert values.abs().max() > 0.9 * bound
    assert values.min() < -0.8 * bound and values.max() > 0.8 * bound
    # five standard deviations of the mean of the values, and of their mean square
    assert abs(float(values.mean())) < 5 * bound / math.sqrt(3 * values.numel())
    assert abs(float((values**2).mean()) - bound**2 / 3) < 5 * bound**2 * math.sqrt(4 / 45 / values.numel())


@pytest.mark.parametrize(("gain", "exponent"), [(1.1, 0.5), (2.4, 1.0), (3.0, 0.0)])
def test_weights_are_uniform_by_fan_in(gain: float, exponent: float) -> None:
    net = lenet5(gain=gain, exponent=exponent)
    state = net.state_dict()
    for name in ("c1", "c5", "f6"):
        spread(state[f"{name}.weight"], gain / FAN_IN[name] ** exponent)
    first = 0
    for o, maps_in in enumerate([3] * 6 + [4] * 9 + [6]):
        bound = gain / (25 * maps_in) ** exponent  # fan-in 75, 100 or 150
        spread(state["c3.weight"][first : first + maps_in], bound)
        assert state["c3.bias"][o].abs() <= bound * (1 + 1e-6)
        first += maps_in
    for name, fan_in in FAN_IN.items():
        bound = gain / fan_in**exponent
        assert state[f"{name}.bias"].abs().min() > 0
        assert state[f"{name}.bias"].abs().max() <= bound * (1 + 1e-6)
        if name in ("s2", "s4"):
            assert state[f"{name}.coefficient"].abs().max() <= bound * (1 + 1e-6)
    # enough values to see that biases and coefficients use the whole range
    spread(state["c5.bias"], gain / 400**exponent)
    both = torch.cat([state[f"{name}.{what}"] for name in ("s2", "s4") for what in ("coefficient", "bias")])
    assert both.abs().max() > 0.9 * gain / 4**exponent and both.min() < 0 < both.max()
    assert state["c3.bias"].abs().max() > 0.6 * gain / 100**exponent


def test_fixed_coefficients_and_zero_biases() -> None:
    fixed = lenet5(bias="zero", coefficient="fixed", coefficient_value=-0.3).state_dict()
    for name, values in fixed.items():
        if name.endswith("bias"):
            assert values.eq(0).all()
        if name.endswith("coefficient"):
            assert values.eq(torch.tensor(-0.3)).all()


def test_weights_belong_to_the_seed() -> None:
    config = ModelConfig(init=InitConfig(bias="random", coefficient="random"))
    torch.manual_seed(1)
    first = build(config, 5).state_dict()
    torch.manual_seed(2)
    again, other = build(config, 5).state_dict(), build(config, 6).state_dict()
    for name in SHAPES:
        assert torch.equal(first[name], again[name])
        assert torch.equal(first[name], other[name]) == (name == "output.centres")
    assert all(value.dtype == torch.float32 for value in first.values())
    assert torch.equal(lenet5(seed=3).c5.weight, lenet5(seed=3).c5.weight)
    assert not torch.equal(lenet5(seed=3).c5.weight, lenet5(seed=4).c5.weight)


def test_a_rule_changes_the_scale_and_not_the_draw() -> None:
    """Two rules of initialisation compared at one seed differ by the rule alone."""
    wide, narrow = lenet5(gain=2.0, exponent=1.0), lenet5(gain=1.0, exponent=1.0)
    for value, half in zip(wide.parameters(), narrow.parameters(), strict=True):
        close(value, 2 * half, 1e-6)
