"""The diagonal second derivatives against a network written out connection by connection."""

from __future__ import annotations

import functools
import math
from collections import defaultdict

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from paper_lenet.config import Config, InitConfig, LossConfig, OptimConfig
from paper_lenet.engines.batched import outputs
from paper_lenet.engines.fused import penalties
from paper_lenet.learning.sdlm import (
    curvature,
    diagonal_hessian,
    diagonal_with_cross_terms,
    output_curvature,
    step_sizes,
)
from paper_lenet.network.layers import EuclideanRBF
from paper_lenet.network.losses import Loss, eq8, eq9
from paper_lenet.network.paper_net import PaperNet
from paper_lenet.paper import bitmaps

A, S = 1.7159, 2 / 3
TABLE = [[True, False, True], [True, True, False]]
LOSSES: dict[str, tuple[Loss, float | None]] = {
    "eq8": (eq8, None),
    "eq9": (functools.partial(eq9, j=1.0), 1.0),
    "eq9 without junk": (functools.partial(eq9, j=math.inf), math.inf),
}

Unit = tuple[object, ...]
Weight = tuple[str, int]
# to a unit: (from, the parameter of the connection and its place, what the input is scaled by); from None is a bias
Connections = dict[Unit, list[tuple[Unit | None, Weight, float]]]


def small_net(pooling: str = "sum", factor: float = 1.0) -> PaperNet:
    init = InitConfig(gain=1.3, exponent=0.5, bias="random", coefficient="random")
    centres = torch.tensor([[1.0, -1.0], [-1.0, -1.0], [1.0, 1.0]])
    generator = torch.Generator().manual_seed(0)
    return PaperNet(16, 2, torch.tensor(TABLE), (3, 2), centres, pooling, factor, init, generator).double()


def close(got: Tensor, expected: Tensor, rtol: float = 1e-10, atol: float = 1e-12) -> None:
    np.testing.assert_allclose(got.detach(), expected.detach(), rtol=rtol, atol=atol)


def some_images(count: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = 1.2 * torch.rand(count, 1, 16, 16, generator=generator, dtype=torch.float64) - 0.1
    return images, torch.arange(count) % 3


def connections_of_the_small_net(scale: float) -> Connections:
    """Every connection of p. 7-8's structure at 16x16 pixels, layer by layer; a unit is (layer, map, row, column)."""
    to: Connections = defaultdict(list)

    def convolution(layer: str, below: str, side: int, kernel: int, feeding: list[list[int]]) -> None:
        taps = kernel * kernel
        start = 0
        for m, maps_below in enumerate(feeding):
            for r in range(side):
                for c in range(side):
                    unit = (layer, m, r, c)
                    to[unit].append((None, (f"{layer}.bias", m), 1.0))
                    for n, i in enumerate(maps_below):
                        for ky in range(kernel):
                            for kx in range(kernel):
                                place = start + n * taps + ky * kernel + kx
                                to[unit].append(((below, i, r + ky, c + kx), (f"{layer}.weight", place), 1.0))
            start += len(maps_below) * taps

    def subsampling(layer: str, below: str, side: int, maps: int) -> None:
        for m in range(maps):
            for r in range(side):
                for c in range(side):
                    unit = (layer, m, r, c)
                    to[unit].append((None, (f"{layer}.bias", m), 1.0))
                    for dr in (0, 1):
                        for dc in (0, 1):
                            source = (below, m, 2 * r + dr, 2 * c + dc)
                            to[unit].append((source, (f"{layer}.coefficient", m), scale))

    convolution("c1", "input", 12, 5, [[0], [0]])
    subsampling("s2", "c1", 6, 2)
    convolution("c3", "s2", 2, 5, [[0, 1], [1], [0]])  # the columns of TABLE
    subsampling("s4", "c3", 1, 3)
    convolution("c5", "s4", 1, 1, [[0, 1, 2]] * 3)
    convolution("f6", "c5", 1, 1, [[0, 1, 2]] * 2)
    return to


def plain_hessian(net: PaperNet, image: Tensor, j: float | None, scale: float) -> dict[str, list[float]]:
    """h_kk of one image by Eq. 23, 25 and 27, one connection after the other; j is None for Eq. 8.

    The label takes no part: y_D curves alike for every class.
    """
    weights = {name: value.flatten().tolist() for name, value in net.named_parameters()}
    to = connections_of_the_small_net(scale)
    x: dict[Unit | None, float] = {("input", 0, r, c): image[0, r, c].item() for r in range(16) for c in range(16)}
    x[None] = 1.0
    for unit, connections in to.items():
        a = math.fsum(weights[name][k] * s * x[source] for source, (name, k), s in connections)
        x[unit] = A * math.tanh(S * a)

    # d2E/dx2 of the two units below the output, from Eq. 7 and the criterion
    last = [x["f6", 0, 0, 0], x["f6", 1, 0, 0]]
    centres, factor = net.output.centres.tolist(), net.output.factor
    y = [factor * sum((state - w) ** 2 for state, w in zip(last, centre, strict=True)) for centre in centres]
    d2x: dict[Unit | None, float] = defaultdict(float)
    for unit in (0, 1):
        share = [0.0] * 3
        if j is not None:
            total = math.exp(-j) + sum(math.exp(-value) for value in y)
            share = [math.exp(-value) / total for value in y]
        u = [2 * factor * (last[unit] - centre[unit]) for centre in centres]
        mean = sum(p * v for p, v in zip(share, u, strict=True))
        square = sum(p * v * v for p, v in zip(share, u, strict=True))
        d2x["f6", unit, 0, 0] = 2 * factor * (1 - sum(share)) + square - mean**2

    h = {name: [0.0] * len(values) for name, values in weights.items()}
    for unit, connections in reversed(to.items()):
        slope = A * S * (1 - (x[unit] / A) ** 2)
        d2a = slope**2 * d2x[unit]
        for source, (name, k), s in connections:
            h[name][k] += d2a * (s * x[source]) ** 2  # Eq. 25, and 23 for sharing
            d2x[source] += (s * weights[name][k]) ** 2 * d2a  # Eq. 27
    return h


@pytest.mark.parametrize("pooling", ["sum", "average"])
@pytest.mark.parametrize("loss", LOSSES)
def test_against_single_connections(loss: str, pooling: str) -> None:
    net = small_net(pooling, factor=0.7)
    images, labels = some_images(2)
    of_loss, j = LOSSES[loss]
    got = diagonal_hessian(net, images, labels, of_loss)
    scale = {"sum": 1.0, "average": 0.25}[pooling]
    single = [plain_hessian(net, image, j, scale) for image in images]
    assert list(got) == [name for name, _ in net.named_parameters()]
    for name, parameter in net.named_parameters():
        mean = torch.tensor([one[name] for one in single], dtype=torch.float64).mean(0).reshape(parameter.shape)
        assert mean.abs().max() > 0
        close(got[name], mean, 1e-9, 1e-9 * float(mean.abs().max()))


def test_shared_weights_sum_without_cross_terms() -> None:
    """Where the four inputs x of a unit are alike, its coefficient has 4 x^2 times the curvature of its bias.

    With the cross terms of Eq. 22 it would be (4 x)^2.
    """
    net = small_net()
    images, labels = some_images(1)
    with torch.no_grad():
        net.c1.weight.zero_()  # leaves the bias, alike all over a map
    h = diagonal_hessian(net, images, labels, eq8)
    x = net.features(images)["c1"][0, :, 0, 0]
    close(h["s2.coefficient"], 4 * x**2 * h["s2.bias"])


def test_summed_subsampling_squares_the_sum() -> None:
    """D11: where C1 is constant the sum of four is 4 x, its square 16 x^2; the sum of squares is 4 x^2."""
    net = small_net()
    images, labels = some_images(1)
    with torch.no_grad():
        net.c1.weight.zero_()
    each, summed = (diagonal_hessian(net, images, labels, eq8, summed) for summed in (False, True))
    x = net.features(images)["c1"][0, :, 0, 0]
    close(summed["s2.coefficient"], 16 * x**2 * summed["s2.bias"])
    for name in each:
        assert torch.equal(each[name], summed[name]) == (not name.endswith("coefficient"))


@pytest.mark.parametrize("pooling", ["sum", "average"])
@pytest.mark.parametrize("loss", LOSSES)
def test_cross_terms_against_the_jacobian(loss: str, pooling: str) -> None:
    """Eq. 22: the states below the output move with a parameter as a whole, not by one connection at a time."""
    net = small_net(pooling, factor=0.7)
    images, labels = some_images(3)
    got = diagonal_with_cross_terms(net, images, labels, LOSSES[loss][0])
    names = [name for name, _ in net.named_parameters()]

    def states(*values: Tensor) -> Tensor:
        y = functional_call(net, dict(zip(names, values, strict=True)), (images,))
        # penalties factor |x - w_k|^2 of the codes (1, -1), (-1, -1), (1, 1) give both states back
        return torch.stack([y[:, 1] - y[:, 0], y[:, 0] - y[:, 2]], 1) / (4 * net.output.factor)

    x = states(*net.parameters()).detach()
    close(x, net.features(images)["f6"])
    jacobian = torch.autograd.functional.jacobian(states, tuple(net.parameters()))
    of_states = output_curvature(net.output, x, labels, LOSSES[loss][0])
    for name, moved in zip(names, jacobian, strict=True):
        expected = torch.einsum("nu,nu...->...", of_states, moved.square()) / 3
        close(got[name], expected)
    dropped = diagonal_hessian(net, images, labels, LOSSES[loss][0])
    for name in names:  # the two agree where nothing is shared and one way leads to each state
        assert torch.allclose(got[name], dropped[name], rtol=1e-10) == name.startswith(("c5.", "f6."))


def test_configured_curvature() -> None:
    net = small_net()
    images, labels = some_images(2)
    for cross_terms, of in (("dropped", diagonal_hessian), ("kept", diagonal_with_cross_terms)):
        for loss, criterion in (
            (LossConfig("eq8"), eq8),
            (LossConfig("eq9", 3.0, "exact"), functools.partial(eq9, j=3.0)),
            (LossConfig("eq9", 3.0, "eq8"), eq8),
        ):
            config = Config(loss=loss, optim=OptimConfig(cross_terms=cross_terms))
            got, right = curvature(config, net, images, labels), of(net, images, labels, criterion)
            assert all(torch.equal(got[name], right[name]) for name in right)


@pytest.mark.parametrize("factor", [1.0, 0.5])
@pytest.mark.parametrize("loss", LOSSES)
def test_output_curvature(loss: str, factor: float) -> None:
    generator = torch.Generator().manual_seed(2)
    centres = torch.randint(0, 2, (4, 7), generator=generator).double() * 2 - 1
    x = torch.randn(5, 7, generator=generator, dtype=torch.float64)
    x[0] = centres[2]  # a pattern right on a centre
    labels = torch.tensor([2, 0, 1, 3, 3])
    output, of_loss = EuclideanRBF(centres, factor), LOSSES[loss][0]
    got = output_curvature(output, x, labels, of_loss)
    for n in range(5):
        hessian = torch.autograd.functional.hessian(
            lambda state, n=n: of_loss(output(state[None]), labels[n : n + 1]), x[n]
        )
        close(got[n], hessian.diagonal(), 1e-12)
    if loss == "eq8":
        assert got.eq(2 * factor).all()
    assert got.min() > -1e-12  # so that mu + h_kk is never 0 or less


def exact_curvature(engine: str, x: Tensor, labels: Tensor, factor: float, j: float) -> Tensor:
    """As each engine has it, of states (N, units) in float32."""
    centres = bitmaps.DIGITS.float()
    if engine == "reference":
        return output_curvature(EuclideanRBF(centres, factor), x, labels, functools.partial(eq9, j=j))
    if engine == "batched":
        return outputs.eq9_curvature(x.T[None], centres, factor, j)[0].T
    found = []
    units, classes, y, g, d = 84, 10, 84, 94, 104
    for state, label in zip(x, labels.tolist(), strict=True):
        ws = np.concatenate([state.numpy(), (centres - state).square().sum(1).numpy(), np.zeros(94, np.float32)])
        penalties.answer_and_loss(ws, y, g, label, classes, factor, True, j)
        penalties.curvatures(ws, 0, d, g, centres.numpy().ravel(), units, units, classes, factor)
        found.append(torch.from_numpy(ws[d : d + units]))
    return torch.stack(found)


@pytest.mark.parametrize("engine", ["reference", "fused", "batched"])
def test_rounding_makes_no_curvature_negative(engine: str) -> None:
    """Of confident patterns in float32, where Eq. 9's is nearly 0; and what is not finite is still seen."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(100) % 10
    x = bitmaps.DIGITS.float()[labels] + 0.5 * torch.randn(100, 84, generator=generator)
    for factor in (1.0, 0.02):
        h = exact_curvature(engine, x, labels, factor, math.inf)
        assert (h == 0).any() and (h >= 0).all()
    x[3] = math.nan
    assert exact_curvature(engine, x, labels, 0.02, math.inf)[3].isnan().all()


def test_average_over_images() -> None:
    net = small_net()
    images, labels = some_images(5)
    of_loss = LOSSES["eq9"][0]
    together = diagonal_hessian(net, images, labels, of_loss)
    single = [diagonal_hessian(net, images[k : k + 1], labels[k : k + 1], of_loss) for k in range(5)]
    for name, value in together.items():
        close(value, torch.stack([one[name] for one in single]).mean(0), atol=1e-14)


def test_no_trace_on_the_network() -> None:
    """Nothing is left behind: neither gradients nor other parameters."""
    net = small_net()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    h = diagonal_hessian(net, *some_images(2), eq8)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in net.parameters())
    assert not any(value.requires_grad for value in h.values())


def test_step_sizes_by_hand() -> None:
    h = {"a": torch.tensor([0.0, 0.08, 0.98]), "b": torch.tensor([[4.98]])}
    steps = step_sizes(h, 0.0005, 0.02)
    assert steps["a"].tolist() == pytest.approx([0.025, 0.005, 0.0005])
    assert steps["b"].tolist() == [pytest.approx([0.0001])]
