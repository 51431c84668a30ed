"""The activations as layers of the batched engine.

Any of paper_lenet/activations.py is a layer as it stands, its slope by autograd. WRITTEN_OUT are those whose steps back
are operations of PyTorch's own, which are faster.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from paper_lenet import paper
from paper_lenet.activations import ACTIVATIONS, slope
from paper_lenet.engines.batched.layers import Below, Saved

aten = torch.ops.aten


class Activation:
    """A function of each value. of: the values -> (the function's, what the slope needs).

    times_slope: (d, what `of` saved) -> d times the slope.
    """

    parameters = 0

    def __init__(
        self, of: Callable[[Tensor], tuple[Tensor, Tensor]], times_slope: Callable[[Tensor, Tensor], Tensor]
    ) -> None:
        self.of, self.times_slope = of, times_slope

    def forward(self, x: Tensor, *parameters: Tensor) -> tuple[Tensor, Saved]:
        y, saved = self.of(x)
        return y, (saved,)

    def backward(self, dy: Tensor, saved: Saved, second_order: bool = False, inward: bool = True) -> Below:
        dx = self.times_slope(dy, saved[0])
        return self.times_slope(dx, saved[0]) if second_order else dx, ()


def _scaled_tanh(a: Tensor) -> tuple[Tensor, Tensor]:
    # Eq. 6, p. 8
    t = torch.mul(a, paper.S).tanh_()
    return t * paper.A, t


def _times_scaled_tanh_slope(d: Tensor, t: Tensor) -> Tensor:
    product: Tensor = aten.tanh_backward(d, t)
    return product.mul_(paper.A * paper.S)


# PyTorch's own gelu and silu round the last few values of a tensor otherwise than the rest, so that a network's bits
# would depend on its neighbours. Float64, where they must not, has them from erf and exp, at about twice the time; what
# is saved is then the slope itself.


def _gelu(a: Tensor) -> tuple[Tensor, Tensor]:
    if a.dtype != torch.float64:
        return F.gelu(a), a
    below = torch.erf(a * math.sqrt(0.5)).add_(1).mul_(0.5)
    return a * below, torch.exp(a.square().mul_(-0.5)).mul_(a).mul_(1 / math.sqrt(2 * math.pi)).add_(below)


def _silu(a: Tensor) -> tuple[Tensor, Tensor]:
    if a.dtype != torch.float64:
        return F.silu(a), a
    sigmoid = torch.exp(-a).add_(1).reciprocal_()
    x = a * sigmoid
    return x, sigmoid + x * (1 - sigmoid)


WRITTEN_OUT = {
    "scaled_tanh": Activation(_scaled_tanh, _times_scaled_tanh_slope),
    # their slopes follow from the states
    "tanh": Activation(lambda a: (torch.tanh(a),) * 2, aten.tanh_backward),
    "relu": Activation(lambda a: (torch.relu(a),) * 2, lambda d, x: aten.threshold_backward(d, x, 0)),
    "gelu": Activation(_gelu, lambda d, kept: d * kept if d.dtype == torch.float64 else aten.gelu_backward(d, kept)),
    "silu": Activation(_silu, lambda d, kept: d * kept if d.dtype == torch.float64 else aten.silu_backward(d, kept)),
}


def activation(name: str) -> Activation:
    """The layer of a function of ACTIVATIONS."""

    def with_slope(a: Tensor) -> tuple[Tensor, Tensor]:
        x = ACTIVATIONS[name](a)
        return x, slope(name, a, x)

    return WRITTEN_OUT.get(name, Activation(with_slope, torch.mul))
