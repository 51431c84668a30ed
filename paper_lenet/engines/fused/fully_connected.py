"""The fused engine's program for fully connected networks: forward, backward and step in one compiled call."""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from paper_lenet.engines.fused.activations import NUMBERS
from paper_lenet.engines.fused.kernels.common import PREDICT, SECOND_ORDER
from paper_lenet.engines.fused.kernels.dense import (
    full_backward,
    full_forward,
    rbf_backward,
    rbf_forward,
    through_activation,
)
from paper_lenet.engines.fused.layout import Array, FlatLayout, padded
from paper_lenet.engines.fused.penalties import answer_and_loss, curvatures, slopes
from paper_lenet.network.mlp import MLP


@dataclass(frozen=True)
class Shape:
    """The sizes of a network: side of the input, units of the one or two hidden layers and of the classes."""

    side: int
    units: tuple[int, ...]

    @property
    def stride(self) -> int:
        return self.side

    @property
    def classes(self) -> int:
        return self.units[-1]

    @property
    def below(self) -> list[int]:
        """Padded numbers of inputs of each layer, and of the output."""
        return [padded(self.side**2), *(padded(n) for n in self.units)]


class Layout(FlatLayout):
    """Where each parameter of a fully connected network lies."""

    def __init__(self, model: MLP) -> None:
        self.shape = Shape(model.side, model.units)
        areas: dict[str, int] = {}
        inner: dict[str, Array] = {}
        for name, units, below in zip(model.trained_layers(), model.units, self.shape.below, strict=False):
            weight = getattr(model, name).weight
            areas |= {f"{name}.weight": units * below, f"{name}.bias": padded(units)}
            inner[f"{name}.weight"] = np.arange(units)[:, None] * below + np.arange(weight.shape[1])
            inner[f"{name}.bias"] = np.arange(units)
        self.statistics = FlatLayout({}, {})
        super().__init__(areas, inner)


@functools.cache
def program(purpose: int, shape: Shape, at_items: tuple[tuple[str, int], ...], sources: str) -> tuple[Any, int]:
    """As convolutional.program. There are no cross terms to keep."""
    at = dict(at_items)
    mode, act = purpose, NUMBERS["scaled_tanh"]
    two, classes, units1, units_last = len(shape.units) == 3, shape.classes, shape.units[0], shape.units[-2]
    below, pixels = shape.below, shape.side**2
    below0, below1, below_last, below_output = below[0], below[1], below[-2], below[-1]
    h1w, h1b, h2w, h2b = at["h1.weight"], at["h1.bias"], at.get("h2.weight", 0), at.get("h2.bias", 0)
    cw, cb = at["classes.weight"], at["classes.bias"]

    areas = [below0, below0, below1, below1, below_last, below_last, below_output, below_output, padded(classes),
             padded(classes)]  # fmt: skip
    x0, d0, x1, d1, x2, d2, x3, d3, y, g, end = itertools.accumulate(areas, initial=0)
    x_last, d_last = (x2, d2) if two else (x1, d1)

    @njit(cache=True, error_model="numpy")
    def run(p, e, ws, images, labels, out, centres, factor, eq9, j, smoothing):  # type: ignore[no-untyped-def]
        """As that of convolutional.program; smoothing is for a linear output and not read."""
        _ = sources  # belongs to the key of Numba's cache
        losses = 0.0
        for n in range(len(out)):
            for i in range(pixels):
                ws[x0 + i] = images[n * pixels + i]
            full_forward(p, h1w, h1b, ws, x0, x1, below0, units1, act, 0)
            if two:
                full_forward(p, h2w, h2b, ws, x1, x2, below1, units_last, act, 0)
            full_forward(p, cw, cb, ws, x_last, x3, below_last, classes, act, 0)
            rbf_forward(centres, ws, x3, y, below_output, classes)
            out[n], loss = answer_and_loss(ws, y, g, labels[n], classes, factor, eq9, j)
            if mode == PREDICT:
                continue
            if not math.isfinite(loss):
                return losses, n
            losses += loss

            if mode == SECOND_ORDER:
                curvatures(ws, x3, d3, g, centres, below_output, classes, classes, factor)
            else:
                slopes(ws, g, labels[n], classes, factor)
                rbf_backward(centres, ws, x3, g, d3, below_output, classes)
            through_activation(ws, x3, d3, classes, act, mode)
            full_backward(p, e, cw, cb, ws, x_last, d3, d_last, below_last, classes, act, mode)
            through_activation(ws, x_last, d_last, units_last, act, mode)
            if two:
                full_backward(p, e, h2w, h2b, ws, x1, d2, d1, below1, units_last, act, mode)
                through_activation(ws, x1, d1, units1, act, mode)
            full_backward(p, e, h1w, h1b, ws, x0, d1, d0, below0, units1, act, mode)
        return losses, len(out)

    return run, end
