"""The stacked layers against plain PyTorch, the repository's own layers and `sdlm`, in float64."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from paper_lenet.activations import ACTIVATIONS
from paper_lenet.config import Config, LossConfig, ModelConfig, OptimConfig
from paper_lenet.engines.batched import layers as stacked
from paper_lenet.engines.batched import outputs
from paper_lenet.engines.batched.activations import activation
from paper_lenet.learning import sdlm
from paper_lenet.network import layers, losses
from paper_lenet.network.lenet5 import build
from paper_lenet.network.paper_net import PaperNet
from paper_lenet.paper import bitmaps, connections

NETS = 3
Reference = Callable[..., Tensor]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As the runs are: with more, a matrix product is divided otherwise for one network than for several."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def plain(x: Tensor) -> Tensor:
    """One network's (C, H, W, N) or (U, N), or its pixels apart, as PyTorch has it: images first."""
    if x.dim() == 6:
        maps, _, _, h, w, images = x.shape
        x = x.permute(0, 3, 1, 4, 2, 5).reshape(maps, 2 * h, 2 * w, images)
    return x.movedim(-1, 0)


def close(got: Tensor, wanted: Tensor, rtol: float = 1e-11, atol: float = 1e-12) -> None:
    torch.testing.assert_close(got, wanted, rtol=rtol, atol=atol)


def compare(layer: stacked.Layer, reference: Reference, x: Tensor, *parameters: Tensor) -> None:
    """Outputs and all gradients of a layer against autograd through `reference`(net, images first, parameters)."""
    y, saved = layer.forward(x, *parameters)
    dy = random(*y.shape, seed=9)
    dx, gradients = layer.backward(dy, saved)
    assert dx is not None and dx.shape == x.shape and len(gradients) == layer.parameters
    assert [g.shape for g in gradients] == [p.shape for p in parameters]
    for net in range(len(x)):
        leaves = [plain(x[net]).requires_grad_(), *(p[net].clone().requires_grad_() for p in parameters)]
        wanted = reference(net, *leaves)
        close(plain(y[net]), wanted.detach())
        of_x, *of_parameters = torch.autograd.grad(wanted, leaves, plain(dy[net]))
        close(plain(dx[net]), of_x)
        for got, expected in zip(gradients, of_parameters, strict=True):
            close(got[net], expected)
    without, again = layer.backward(dy, saved, inward=False)
    assert (without is None) == (layer.parameters > 0)
    for got, expected in zip(again, gradients, strict=True):
        close(got, expected)


@pytest.mark.parametrize("images", [1, 4])
@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("side, kernel", [(14, 5), (8, 3)])
def test_convolution(images: int, apart: bool, side: int, kernel: int) -> None:
    weight, bias, x = random(NETS, 4, 3, kernel, kernel), random(NETS, 4), random(NETS, 3, side, side, images, seed=1)
    compare(stacked.Conv(apart=apart), lambda _, x, w, b: F.conv2d(x, w, b), x, weight, bias)
    compare(stacked.Conv(bias=False, apart=apart), lambda _, x, w: F.conv2d(x, w), x, weight)
    table = torch.tensor([[1, 0, 1], [1, 1, 0], [0, 0, 1], [1, 1, 1]], dtype=torch.float64)
    masked = stacked.Conv(table, apart=apart)
    compare(masked, lambda _, x, w, b: F.conv2d(x, w * table[:, :, None, None], b), x, weight, bias)


def test_convolution_of_strided_images() -> None:
    weight, bias, x = random(NETS, 4, 3, 5, 5), random(NETS, 4), random(NETS, 3, 14, 2, 14, seed=1).transpose(3, 4)
    assert not x.is_contiguous()
    compare(stacked.Conv(), lambda _, x, w, b: F.conv2d(x, w, b), x, weight, bias)


@pytest.mark.parametrize("images", [1, 4])
def test_linear(images: int) -> None:
    weight, bias, x = random(NETS, 7, 12), random(NETS, 7), random(NETS, 12, images, seed=1)
    compare(stacked.Linear(), lambda _, x, w, b: F.linear(x, w, b), x, weight, bias)
    maps = x.view(NETS, 3, 2, 2, images)
    compare(stacked.Linear(), lambda _, x, w, b: F.linear(x.flatten(1), w, b), maps, weight, bias)


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("images", [1, 4])
def test_pooling(images: int, apart: bool) -> None:
    # few different values, so that many of them tie: PyTorch takes the first of those
    x = random(NETS, 4, 2, 2, 3, 5, images).mul(2).round() if apart else random(NETS, 4, 6, 10, images).mul(2).round()
    compare(stacked.MaxPool(), lambda _, x: F.max_pool2d(x, 2), x)
    compare(stacked.AveragePool(), lambda _, x: F.avg_pool2d(x, 2), x)
    coefficient, bias = random(NETS, 4), random(NETS, 4, seed=2)
    for scale in (1.0, 0.25):
        compare(stacked.Subsampling(scale), lambda _, x, c, b, s=scale: layers.subsample(x * s, c, b), x,
                coefficient, bias)  # fmt: skip


@pytest.mark.parametrize("layer", [stacked.MaxPool(), stacked.AveragePool()])
def test_second_order_through_pooling(layer: stacked.Layer) -> None:
    x, h = random(1, 2, 4, 6, 1), random(1, 2, 2, 3, 1, seed=1)
    jacobian = torch.autograd.functional.jacobian(lambda x: layer.forward(x)[0], x)
    got, _ = layer.backward(h, layer.forward(x)[1], second_order=True)
    assert got is not None
    close(got, (jacobian.square() * h[..., None, None, None, None, None]).sum((0, 1, 2, 3, 4)))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name: str) -> None:
    layer, function, x = activation(name), ACTIVATIONS[name], random(NETS, 4, 6, 6, 2)
    compare(layer, lambda _, x: function(x), x)
    leaf = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(function(leaf).sum(), leaf)
    h = random(*x.shape, seed=9)
    got, _ = layer.backward(h.clone(), layer.forward(x)[1], second_order=True)
    assert got is not None
    close(got, h * slope.square())


@pytest.mark.parametrize("shape", [(4, 6, 6, 3), (5, 8), (4, 2, 2, 3, 3, 3)])
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm(shape: tuple[int, ...], training: bool) -> None:
    x, maps = random(NETS, *shape).mul(2).add(1), shape[0]
    weight, bias = random(NETS, maps, seed=1), random(NETS, maps, seed=2)
    mean, variance = random(NETS, maps, seed=3), random(NETS, maps, seed=4).exp()
    reference_mean, reference_variance = mean.clone(), variance.clone()
    layer = stacked.BatchNorm(mean, variance)
    layer.training = training

    def reference(net: int, x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        return F.batch_norm(x, reference_mean[net], reference_variance[net], w, b, training, 0.1, 1e-5)

    compare(layer, reference, x, weight, bias)
    close(mean, reference_mean)
    close(variance, reference_variance)

    y, saved = layer.forward(x, weight, bias)
    h = random(*y.shape, seed=9)
    dx, (of_weight, of_bias) = layer.backward(h, saved, second_order=True)
    assert dx is not None
    scale = ((y - bias.view(NETS, maps, *[1] * (x.dim() - 2))) / weight.view(NETS, maps, *[1] * (x.dim() - 2))).square()
    close(of_weight, (h * scale).flatten(2).sum(2))
    close(of_bias, h.flatten(2).sum(2))
    flat = x.flatten(2)
    spread = flat.var(2, correction=0) if training else variance
    close(dx, h * (weight.square() / (spread + 1e-5)).view(NETS, maps, *[1] * (x.dim() - 2)))


def test_batch_norm_of_a_single_value() -> None:
    layer = stacked.BatchNorm(torch.zeros(NETS, 5), torch.ones(NETS, 5))
    with pytest.raises(ValueError, match="more than one value"):
        layer.forward(torch.ones(NETS, 5, 1), torch.ones(NETS, 5), torch.zeros(NETS, 5))


def test_dropout() -> None:
    x, mask = random(NETS, 6, 4), random(NETS, 6, 4, seed=1).gt(0).double() * 2
    layer = stacked.Dropout(mask)
    compare(layer, lambda net, x: x * plain(mask[net]), x)
    h, _ = layer.backward(x, layer.forward(x)[1], second_order=True)
    assert h is not None
    close(h, x * mask * mask)
    layer.training = False
    compare(layer, lambda _, x: x * 1, x)


LOSSES: dict[str, tuple[Callable[..., tuple[Tensor, Tensor]], losses.Loss]] = {
    "eq8": (outputs.eq8, losses.eq8),
    "eq9": (functools.partial(outputs.eq9, j=1.0), functools.partial(losses.eq9, j=1.0)),
    "eq9 without junk": (functools.partial(outputs.eq9, j=math.inf), functools.partial(losses.eq9, j=math.inf)),
    "cross-entropy": (outputs.cross_entropy, F.cross_entropy),
    "smoothed": (
        functools.partial(outputs.cross_entropy, smoothing=0.1),
        functools.partial(F.cross_entropy, label_smoothing=0.1),
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name: str) -> None:
    ours, theirs = LOSSES[name]
    y, labels = random(NETS, 10, 6).square(), torch.randint(10, (NETS, 6), generator=torch.Generator().manual_seed(0))
    of_each, gradient = ours(y, labels)
    for net in range(NETS):
        for image in range(6):
            leaf = y[net, :, image][None].clone().requires_grad_()
            loss = theirs(leaf, labels[net, image][None])
            close(of_each[net, image], loss.detach())
            close(gradient[net, :, image], torch.autograd.grad(loss, leaf)[0][0])


def test_rbf_and_curvature_at_the_output() -> None:
    centres, x = bitmaps.DIGITS.double(), random(NETS, 84, 4).tanh()
    labels = torch.randint(10, (NETS, 4), generator=torch.Generator().manual_seed(0))
    output = layers.EuclideanRBF(centres, 0.02)
    y, differences = outputs.rbf(x, centres, 0.02)
    dy = random(*y.shape, seed=9)
    dx = outputs.rbf_inward(dy, differences, 0.02)
    exact = {
        "eq8": outputs.eq8_curvature(x, 0.02),
        "eq9": outputs.eq9_curvature(x, centres, 0.02, 1.0),
        "eq9 without junk": outputs.eq9_curvature(x, centres, 0.02, math.inf),
    }
    for net in range(NETS):
        leaf = plain(x[net]).requires_grad_()
        wanted = output(leaf)
        close(plain(y[net]), wanted.detach())
        close(plain(dx[net]), torch.autograd.grad(wanted, leaf, plain(dy[net]))[0])
        for name, got in exact.items():
            close(plain(got[net]), sdlm.output_curvature(output, plain(x[net]), labels[net], LOSSES[name][1]), 1e-10)


def test_curvature_of_cross_entropy() -> None:
    logits, labels = random(NETS, 10, 2), torch.zeros(2, dtype=torch.int64)
    got = outputs.cross_entropy_curvature(logits)
    for net in range(NETS):
        for image in range(2):
            hessian = torch.autograd.functional.hessian(
                lambda a: F.cross_entropy(a[None], labels[:1]), logits[net, :, image]
            )
            close(got[net, :, image], hessian.diagonal())


def lenet5(apart: bool = False, scale: float = 1.0) -> stacked.Stack:
    squash, table = activation("scaled_tanh"), connections.TABLE_I.T.double()
    full = (stacked.Linear(), squash)
    return stacked.Stack([stacked.Conv(apart=apart), squash, stacked.Subsampling(scale), squash,
                          stacked.Conv(table, apart=apart), squash, stacked.Subsampling(scale), squash,
                          *full, *full])  # fmt: skip


def dense_of(model: PaperNet, named: dict[str, Tensor]) -> list[Tensor]:
    """The values of LeNet-5's parameters in the stack's order and shapes."""
    c3 = named["c3.weight"]
    dense = c3.new_zeros(16, 6, 5, 5).index_put((model.c3.out_of, model.c3.in_of), c3)
    return [named["c1.weight"], named["c1.bias"], named["s2.coefficient"], named["s2.bias"], dense, named["c3.bias"],
            named["s4.coefficient"], named["s4.bias"], named["c5.weight"].flatten(1), named["c5.bias"],
            named["f6.weight"], named["f6.bias"]]  # fmt: skip


@pytest.mark.parametrize("apart, pooling, scale", [(False, "sum", 1.0), (True, "sum", 1.0), (False, "average", 0.25)])
@pytest.mark.parametrize("images", [1, 3])
@pytest.mark.parametrize("name", ["eq8", "eq9"])
def test_lenet5_gradients_and_curvature(name: str, images: int, apart: bool, pooling: str, scale: float) -> None:
    config = Config(loss=LossConfig(name=name, curvature="exact"), optim=OptimConfig(cross_terms="dropped"))
    models = [build(ModelConfig(pooling=pooling, rbf_factor=1.0), seed).double() for seed in (0, 1)]
    each = [dense_of(model, {k: p.detach() for k, p in model.named_parameters()}) for model in models]
    parameters = [torch.stack(values) for values in zip(*each, strict=True)]
    x = random(2, 1, 32, 32, images, seed=3).sigmoid()
    labels = torch.arange(2 * images).view(2, images)
    centres, stack = bitmaps.DIGITS.double(), lenet5(apart=apart, scale=scale)

    states, tape = stack.forward(x, parameters)
    penalties, differences = outputs.rbf(states, centres, 1.0)
    of_each, dy = LOSSES[name][0](penalties, labels)
    gradients = stack.backward(outputs.rbf_inward(dy, differences, 1.0), tape)
    above = outputs.eq8_curvature(states, 1.0) if name == "eq8" else outputs.eq9_curvature(states, centres, 1.0, 1.0)
    h = stack.backward(above, tape, second_order=True)
    for net, model in enumerate(models):
        loss = losses.criterion(config.loss)(model(plain(x[net])), labels[net])
        close(of_each[net].mean(), loss.detach())
        named = dict(model.named_parameters())
        wanted = torch.autograd.grad(loss, list(named.values()))
        expected = dense_of(model, dict(zip(named, wanted, strict=True)))
        for got, value in zip(gradients, expected, strict=True):
            close(got[net] / images, value, 1e-9, 1e-11)
        curvature = dense_of(model, sdlm.curvature(config, model, plain(x[net]), labels[net]))
        for got, value in zip(h, curvature, strict=True):
            close(got[net] / images, value, 1e-10, 0)


def modern(name: str, x: Tensor, labels: Tensor, parameters: list[Tensor], apart: bool) -> list[Tensor]:
    """Losses, running statistics and gradients of a network with every kind of layer."""
    function, nets = activation(name), len(x)
    mean, variance = x.new_zeros(nets, 6), x.new_ones(nets, 6)
    stack = stacked.Stack([stacked.Conv(apart=apart), stacked.BatchNorm(mean, variance), function, stacked.MaxPool(),
                           stacked.Conv(apart=apart), function, stacked.Subsampling(), stacked.Linear(), function,
                           stacked.Linear(), function, stacked.Linear()])  # fmt: skip
    logits, tape = stack.forward(x, parameters)
    of_each, dy = outputs.cross_entropy(logits, labels, 0.1)
    return [of_each, mean, variance, *stack.backward(dy, tape), *stack.backward(dy.abs(), tape, second_order=True)]


SHAPES = [(6, 1, 5, 5), (6,), (6,), (6,), (16, 6, 5, 5), (16,), (16,), (16,), (120, 400), (120,), (84, 120), (84,),
          (10, 84), (10,)]  # fmt: skip


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("images, name", [(1, "gelu"), (1, "relu"), (7, "gelu"), (7, "silu"), (32, "gelu")])
def test_a_network_alone_has_the_bits_it_has_among_others(images: int, name: str, apart: bool) -> None:
    nets = 5
    parameters = [random(nets, *shape, seed=i) / math.sqrt(math.prod(shape[1:])) for i, shape in enumerate(SHAPES)]
    x, labels = random(nets, 1, 32, 32, images, seed=50), torch.arange(nets * images).view(nets, images) % 10
    together = modern(name, x, labels, parameters, apart)
    for net in (0, 3):
        one = slice(net, net + 1)
        alone = modern(name, x[one].clone(), labels[one].clone(), [p[one].clone() for p in parameters], apart)
        for got, wanted in zip(alone, together, strict=True):
            assert torch.equal(got, wanted[one])


@pytest.mark.parametrize("images", [1, 3])
def test_lenet5_alone_has_the_bits_it_has_among_others(images: int) -> None:
    nets, stack, centres = 5, lenet5(), bitmaps.DIGITS.double()
    shapes = SHAPES[:12]
    parameters = [random(nets, *shape, seed=i) / math.sqrt(math.prod(shape[1:])) for i, shape in enumerate(shapes)]
    x, labels = random(nets, 1, 32, 32, images, seed=50), torch.arange(nets * images).view(nets, images) % 10

    def run(nets: slice) -> list[Tensor]:
        states, tape = stack.forward(x[nets].clone(), [p[nets].clone() for p in parameters])
        penalties, differences = outputs.rbf(states, centres, 0.1)
        of_each, dy = outputs.eq9(penalties, labels[nets], 1.0)
        gradients = stack.backward(outputs.rbf_inward(dy, differences, 0.1), tape)
        above = outputs.eq9_curvature(states, centres, 0.1, 1.0)
        return [of_each, *gradients, *stack.backward(above, tape, second_order=True)]

    together = run(slice(None))
    for net in (0, 3):
        one = slice(net, net + 1)
        for got, wanted in zip(run(one), together, strict=True):
            assert torch.equal(got, wanted[one])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("images, apart", [(1, False), (8, True)])
def test_a_captured_graph_gives_what_the_processor_gives(images: int, apart: bool) -> None:
    nets = 5
    parameters = [random(nets, *shape, seed=i) / math.sqrt(math.prod(shape[1:])) for i, shape in enumerate(SHAPES)]
    x, labels = random(nets, 1, 32, 32, images, seed=50), torch.arange(nets * images).view(nets, images) % 10
    wanted = modern("relu", x, labels, parameters, apart)
    there = [p.cuda() for p in parameters]
    x, labels = x.cuda(), labels.cuda()
    aside = torch.cuda.Stream()
    with torch.cuda.stream(aside):
        modern("relu", x, labels, there, apart)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = modern("relu", x, labels, there, apart)
    runs = []
    for _ in range(2):
        graph.replay()
        runs.append([value.clone() for value in captured])
    for first, second, expected in zip(*runs, wanted, strict=True):
        assert torch.equal(first, second)
        close(first.cpu(), expected, 1e-9, 1e-11)
