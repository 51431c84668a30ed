"""The layers of M independent networks along a leading axis, with their back-propagation written out.

Maps are (M, maps, H, W, N) and vectors (M, units, N): the N images of a mini-batch come last, so that a shifted window
is made of long contiguous runs and a convolution is one batched matrix product of weights and windows.

A layer's `backward` carries g = dE/dx down and gives the gradients summed over images and positions. In second order
it carries h = d2E/dx2 instead and gives the h_kk of Eq. 23, 25 and 27 (Appendix C, p. 41-42), as `sdlm` has them:
every weight, state and slope squared, cross terms dropped.  # D11

Nothing here is random and none of it waits for the device. On one thread of a CPU and in float64 a network has the
same bits alone as among others; in float32 not always.
Legend: M networks, N images, E loss, a weighted sum, x state, y output of a layer or penalty, dy and dx its g or h.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

Saved = tuple[Tensor, ...]
# dE/dx (or d2E/dx2), None where it is not wanted, and one gradient a parameter
Below = tuple[Tensor | None, tuple[Tensor, ...]]
aten = torch.ops.aten
CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))


def keep_freed_memory() -> None:
    """Call once before a loop on the CPU: a step may take twice as long without, asking the system for memory anew."""
    # glibc keeps freed blocks as large as the largest one freed so far, up to 32 MB, and twice that in all
    torch.empty(31 << 20, dtype=torch.uint8)


class Layer(Protocol):
    """One layer; `parameters` is how many parameter tensors it takes, each (M, ...)."""

    @property
    def parameters(self) -> int: ...

    def forward(self, x: Tensor, *parameters: Tensor) -> tuple[Tensor, Saved]:
        """The output, and what `backward` needs besides its gradient."""
        ...

    def backward(self, dy: Tensor, saved: Saved, second_order: bool = False, inward: bool = True) -> Below:
        """dx, which a layer with parameters leaves out when not `inward`, and one gradient a parameter."""
        ...


class Stack:
    """Layers one after the other; the parameters of all of them in one sequence, in the order of the layers."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.layers = list(layers)
        self.parameters = sum(layer.parameters for layer in self.layers)

    def forward(self, x: Tensor, parameters: Sequence[Tensor]) -> tuple[Tensor, list[Saved]]:
        """The last layer's output, and what each layer saved."""
        tape, start = [], 0
        for layer in self.layers:
            x, saved = layer.forward(x, *parameters[start : start + layer.parameters])
            start += layer.parameters
            tape.append(saved)
        return x, tape

    def backward(self, dy: Tensor, tape: Sequence[Saved], second_order: bool = False) -> list[Tensor]:
        """The gradients (or h_kk) of all parameters from dE/dy (or d2E/dy2) of the last layer's output."""
        gradients: list[Tensor] = []
        left = self.parameters
        current: Tensor | None = dy
        for layer, saved in zip(reversed(self.layers), reversed(tape), strict=True):
            if current is None:
                break
            left -= layer.parameters
            current, of_layer = layer.backward(current, saved, second_order, inward=left > 0)
            gradients[:0] = of_layer
        return gradients


def scaled(a: Tensor, by: Tensor, second_order: bool) -> Tensor:
    """a * by, or a * by^2."""
    return a * by.square() if second_order else a * by


class Conv:
    """Convolution: (M, in, H, W, N) -> (M, out, H-k+1, W-k+1, N) with weight (M, out, in, k, k), bias (M, out).

    table: (out, in), 1 where connected and 0 elsewhere (Table I, p. 8); weights of 0 neither act nor get a gradient.
    bias: whether there is one.
    apart: give the pixels of each 2x2 window that a pooling layer takes next apart, (M, out, 2, 2, H/2, W/2, N) of the
        output's H and W. Its 2x2 outputs then come from one window of (k+1)^2 pixels, which takes 1.44 times the
        multiplications of k = 5 and a third of the copying: faster for mini-batches, slower for single images.
    """

    def __init__(self, table: Tensor | None = None, bias: bool = True, apart: bool = False) -> None:
        self.table = None if table is None else table[..., None, None]
        self.parameters = 1 + bias
        self.step = 2 if apart else 1

    def forward(self, x: Tensor, *parameters: Tensor) -> tuple[Tensor, Saved]:
        weight = parameters[0] if self.table is None else parameters[0] * self.table
        nets, maps, k, images = *weight.shape[:2], weight.shape[-1] + self.step - 1, x.shape[-1]
        x = x.contiguous()  # from strided images the copy below takes five times as long
        windows = x.unfold(2, k, self.step).unfold(3, k, self.step).permute(0, 1, 5, 6, 2, 3, 4)
        columns = windows.reshape(nets, -1, windows[0, 0, 0, 0].numel())
        matrix = self._widened(weight).view(nets, -1, columns.shape[1])
        sums = torch.bmm(matrix, columns).view(nets, maps, -1)
        if self.parameters == 2:
            sums.add_(parameters[1][..., None])
        positions = (*windows.shape[4:6], images)
        shape = (nets, maps, 2, 2, *positions) if self.step == 2 else (nets, maps, *positions)
        return sums.view(shape), (x, columns, matrix)

    def backward(self, dy: Tensor, saved: Saved, second_order: bool = False, inward: bool = True) -> Below:
        x, columns, matrix = saved
        if second_order:
            columns, matrix = columns.square(), matrix.square()
        nets, maps, h, w, images = *dy.shape[:2], *dy.shape[-3:]
        k = math.isqrt(columns.shape[1] // x.shape[1])
        flat = dy.view(nets, -1, h * w * images)
        wide = torch.bmm(flat, columns.mT).view(nets, maps, *dy.shape[2:-3], x.shape[1], k, k)
        of_weight = self._narrowed(wide)
        if self.table is not None:
            of_weight = of_weight * self.table
        gradients = (of_weight, dy.flatten(2).sum(2))[: self.parameters]
        if not inward:
            return None, gradients
        d = torch.bmm(matrix.mT, flat).view(nets, x.shape[1], k, k, h, w, images)
        return self._inward(d, x), gradients

    def _widened(self, weight: Tensor) -> Tensor:
        """(M, out, in, k, k) -> the weights of each pixel of a 2x2 window, (M, out, 2, 2, in, k+1, k+1)."""
        if self.step == 1:
            return weight
        nets, maps, below, k, _ = weight.shape
        wide = weight.new_zeros(nets, maps, 2, 2, below, k + 1, k + 1)
        for i, j in CORNERS:
            wide[:, :, i, j, :, i : i + k, j : j + k] = weight
        return wide

    def _narrowed(self, wide: Tensor) -> Tensor:
        """The gradient of `_widened`: the four places of a weight added up."""
        if self.step == 1:
            return wide
        k = wide.shape[-1] - 1
        a, b, c, d = (wide[:, :, i, j, :, i : i + k, j : j + k] for i, j in CORNERS)
        return (a + b) + (c + d)

    def _inward(self, d: Tensor, x: Tensor) -> Tensor:
        """Add the gradients of all windows' pixels up: d (M, in, k, k, h, w, N) -> x's shape."""
        nets, below, k, _, h, w, images = d.shape
        height, width, step = *x.shape[2:4], self.step
        if images == 1:
            return F.fold(d.view(nets, below * k * k, h * w), (height, width), k, stride=step).view(x.shape)
        # the windows' rows first, then their columns: 2k additions of long runs instead of k^2
        rows = d.new_zeros(nets, below, height // step, step, k, w, images)
        d = d.permute(0, 1, 4, 2, 3, 5, 6)
        for i in range(0, k, step):
            rows[:, :, i // step : i // step + h] += d[:, :, :, i : i + step]
        dx = d.new_zeros(nets, below, height, width // step, step, images)
        rows = rows.view(nets, below, height, k, w, images).transpose(3, 4)
        for j in range(0, k, step):
            dx[:, :, :, j // step : j // step + w] += rows[:, :, :, :, j : j + step]
        return dx.view(x.shape)


class Linear:
    """Full connection: (M, ..., N), flattened to (M, in, N), -> (M, out, N); weight (M, out, in), bias (M, out)."""

    parameters = 2

    def forward(self, x: Tensor, *parameters: Tensor) -> tuple[Tensor, Saved]:
        weight, bias = parameters
        sums = torch.bmm(weight, x.flatten(1, -2)) if x.shape[-1] > 1 else self._of_one_image(weight, x)
        return sums.add_(bias[..., None]), (x, weight)

    def _of_one_image(self, weight: Tensor, x: Tensor) -> Tensor:
        # strides as of a row: PyTorch takes a product ten times slower for a column
        columns, nets = x.reshape(len(x), 1, -1).mT, len(x)
        if nets == 1:  # twice, because PyTorch takes another product for a single one, with other roundings
            weight, columns = weight.expand(2, -1, -1), columns.expand(2, -1, -1)
        return torch.bmm(weight, columns)[:nets]

    def backward(self, dy: Tensor, saved: Saved, second_order: bool = False, inward: bool = True) -> Below:
        x, weight = saved
        shape = x.shape
        if second_order:
            x, weight = x.square(), weight.square()
        if shape[-1] == 1:
            row = dy.reshape(len(dy), 1, -1)
            of_weight, of_bias = dy * x.reshape(len(x), 1, -1), dy[..., 0]
            dx = torch.bmm(row, weight) if inward else None
        else:
            of_weight, of_bias = torch.bmm(dy, x.flatten(1, -2).mT), dy.sum(-1)
            dx = torch.bmm(weight.mT, dy) if inward else None
        return None if dx is None else dx.view(shape), (of_weight, of_bias)


def windows(x: Tensor) -> Tensor:
    """The pixels of each 2x2 window apart: a view (M, maps, 2, 2, H/2, W/2, N) of (M, maps, H, W, N) or of itself."""
    if x.dim() == 7:
        return x
    nets, maps, height, width, images = x.shape
    return x.view(nets, maps, height // 2, 2, width // 2, 2, images).permute(0, 1, 3, 5, 2, 4, 6)


def window_sum(x: Tensor) -> Tensor:
    """Sums of 2x2 pixels, in the order of `layers.subsample`."""
    apart = windows(x)
    columns = apart[:, :, 0] + apart[:, :, 1]
    return columns[:, :, 0] + columns[:, :, 1]


def spread(d: Tensor, like: Tensor) -> Tensor:
    """Every value to its 2x2 pixels, in the layout of `like`."""
    dx = torch.empty_like(like)
    windows(dx).copy_(d[:, :, None, None])
    return dx


class Subsampling:
    """S2 and S4 (p. 7): coefficient (M, maps) times scale times the sum of 2x2 pixels, plus bias (M, maps).

    scale: 1, or 1/4 for averages.  # D4
    summed: whether a unit has one connection, to the sum of its inputs, or four.  # D11
    """

    parameters = 2

    def __init__(self, scale: float = 1.0, summed: bool = False) -> None:
        self.scale, self.summed = scale, summed

    def forward(self, x: Tensor, *parameters: Tensor) -> tuple[Tensor, Saved]:
        coefficient, bias = (p[..., None, None, None] for p in parameters)
        total = window_sum(x)
        if self.scale != 1:
            total *= self.scale
        return torch.addcmul(bias, coefficient, total), (x, total, coefficient)

    def backward(self, dy: Tensor, saved: Saved, second_order: bool = False, inward: bool = True) -> Below:
        x, total, coefficient = saved
        scale = self.scale
        if second_order:
            scale = scale**2
            total = total.square() if self.summed else window_sum(x.square()) * scale
            coefficient = coefficient.square()
        gradients = ((dy * total).flatten(2).sum(2), dy.flatten(2).sum(2))
        return spread(dy * (coefficient * scale), x) if inward else None, gradients


class AveragePool:
    """Averages of 2x2 pixels, nothing trainable."""

    parameters = 0

    def forward(self, x: Tensor, *parameters: Tensor) -> tuple[Tensor, Saved]:
        return window_sum(x) * 0.25, (x,)

    def backward(self, dy: Tensor, saved: Saved, second_order: bool = False, inward: bool = True) -> Below:
        return spread(dy * (0.0625 if second_order else 0.25), saved[0]), ()


class MaxPool:
    """The largest of 2x2 pixels, the first of them where they tie (row by row)."""

    parameters = 0

    def forward(self, x: Tensor, *parameters: Tensor) -> tuple[Tensor, Saved]:
        apart = windows(x)
        pairs = torch.maximum(apart[:, :, :, 0], apart[:, :, :, 1])
        return torch.maximum(pairs[:, :, 0], pairs[:, :, 1]), (x, pairs)

    def backward(self, dy: Tensor, saved: Saved, second_order: bool = False, inward: bool = True) -> Below:
        x, pairs = saved
        d_pairs, dx = torch.empty_like(pairs), torch.empty_like(x)
        route(dy, pairs, d_pairs)
        route(d_pairs, windows(x).transpose(2, 3), windows(dx).transpose(2, 3))
        return dx, ()


def route(d: Tensor, pair: Tensor, to: Tensor) -> None:
    """d to the larger of pair[:, :, 0] and pair[:, :, 1], to the first where they tie; `to` is of pair's shape."""
    # one vectorised pass each; torch.where and masks take several times as long
    aten.threshold_backward.grad_input(d, pair[:, :, 1] - pair[:, :, 0], 0, grad_input=to[:, :, 1])
    torch.sub(d, to[:, :, 1], out=to[:, :, 0])


class BatchNorm:
    """Batch normalisation of each map or unit over images and pixels, as torch.nn.BatchNorm; weight, bias (M, maps).

    mean, variance: running statistics (M, maps), changed in place while `training`.
    With `second_order` the statistics count as constants.
    """

    parameters = 2

    def __init__(self, mean: Tensor, variance: Tensor, momentum: float = 0.1, eps: float = 1e-5) -> None:
        self.mean, self.variance, self.momentum, self.eps = mean, variance, momentum, eps
        self.training = True

    def forward(self, x: Tensor, *parameters: Tensor) -> tuple[Tensor, Saved]:
        weight, bias = (p[..., None] for p in parameters)
        flat = x.flatten(2)
        if self.training:
            count = flat.shape[2]
            if count < 2:
                raise ValueError("batch normalisation needs more than one value a map to train")
            mean = flat.mean(2)
            centred = flat - mean[..., None]
            variance = centred.square().mean(2)
            self.mean.lerp_(mean, self.momentum)
            self.variance.lerp_(variance * (count / (count - 1)), self.momentum)
        else:
            centred, variance = flat - self.mean[..., None], self.variance
        inverse = (variance[..., None] + self.eps).rsqrt()
        normal = centred.mul_(inverse)
        return torch.addcmul(bias, weight, normal).view_as(x), (normal, weight * inverse)

    def backward(self, dy: Tensor, saved: Saved, second_order: bool = False, inward: bool = True) -> Below:
        normal, scale = saved
        flat = dy.flatten(2)
        of_weight, of_bias = scaled(flat, normal, second_order).sum(2), flat.sum(2)
        if not inward:
            return None, (of_weight, of_bias)
        if self.training and not second_order:
            count = flat.shape[2]
            flat = torch.addcmul(flat - of_bias[..., None] / count, normal, of_weight[..., None], value=-1 / count)
        return scaled(flat, scale, second_order).view_as(dy), (of_weight, of_bias)


class Dropout:
    """Multiplication by a mask of the layer's shape, 0 or 1 / (1 - rate), which the caller draws into `mask`."""

    parameters = 0

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask
        self.training = True

    def forward(self, x: Tensor, *parameters: Tensor) -> tuple[Tensor, Saved]:
        return (x * self.mask, (self.mask,)) if self.training else (x, ())

    def backward(self, dy: Tensor, saved: Saved, second_order: bool = False, inward: bool = True) -> Below:
        return scaled(dy, saved[0], second_order) if saved else dy, ()
