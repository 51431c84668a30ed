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
from paper_lenet.engines.fused.kernels.common import PREDICT, SECOND_ORDER, STEP
from paper_lenet.engines.fused.kernels.dense import (
    full_backward,
    full_forward,
    rbf_backward,
    rbf_forward,
    through_activation,
)
from paper_lenet.engines.fused.kernels.pixels import ink_backward, ink_forward, settle, sum_pixels
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
        pixels, across = self.shape.side**2, padded(self.shape.units[0])
        areas["h1.weight"] = pixels * across  # pixel by pixel: kernels/pixels.py
        inner["h1.weight"] = np.arange(self.shape.units[0])[:, None] + np.arange(pixels) * across
        self.statistics = FlatLayout({}, {})
        super().__init__(areas, inner)


@functools.cache
def program(purpose: int, shape: Shape, at_items: tuple[tuple[str, int], ...], sources: str) -> tuple[Any, int]:
    """As convolutional.program. There are no cross terms to keep."""
    at = dict(at_items)
    mode, act = purpose, NUMBERS["scaled_tanh"]
    two, classes, units1, units_last = len(shape.units) == 3, shape.classes, shape.units[0], shape.units[-2]
    below, pixels = shape.below, shape.side**2
    across, below_last, below_output = below[1], below[-2], below[-1]
    h1w, h1b, h2w, h2b = at["h1.weight"], at["h1.bias"], at.get("h2.weight", 0), at.get("h2.bias", 0)
    cw, cb = at["classes.weight"], at["classes.bias"]

    areas = [*[padded(pixels)] * 2, *[across] * 6, *[below_last] * 2, *[below_output] * 2, *[padded(classes)] * 2]
    r, r2, v_sums, d_sums, e_sums, q_sums, x1, d1, x2, d2, x3, d3, y, g, end = itertools.accumulate(areas, initial=0)
    x_last, d_last = (x2, d2) if two else (x1, d1)

    @njit(cache=True, error_model="numpy")
    def run(p, e, ws, images, labels, out, centres, background, factor, eq9, j, smoothing):  # type: ignore[no-untyped-def]
        """As that of convolutional.program; smoothing is for a linear output and not read.

        background: its grey value.
        """
        _ = sources  # belongs to the key of Numba's cache
        losses, done = 0.0, len(out)
        ink = np.empty(pixels, np.int64)
        sum_pixels(p, h1w, ws, v_sums, pixels, across)
        if mode == STEP:
            sum_pixels(e, h1w, ws, e_sums, pixels, across)
        for i in range(across):
            ws[d_sums + i] = 0
        for n in range(len(out)):
            count = 0
            for i in range(pixels):
                x = images[n * pixels + i]
                if x != background:
                    ink[count] = i
                    ws[r + count] = x - background
                    ws[r2 + count] = x * x - background * background
                    count += 1
            ink_forward(p, e, h1w, h1b, ws, r, ink, count, background, v_sums, d_sums, q_sums, x1, across, mode)
            if two:
                full_forward(p, h2w, h2b, ws, x1, x2, across, units_last, act, 0)
            full_forward(p, cw, cb, ws, x_last, x3, below_last, classes, act, 0)
            rbf_forward(centres, ws, x3, y, below_output, classes)
            out[n], loss = answer_and_loss(ws, y, g, labels[n], classes, factor, eq9, j)
            if mode == PREDICT:
                continue
            if not math.isfinite(loss):
                done = n
                break
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
                full_backward(p, e, h2w, h2b, ws, x1, d2, d1, across, units_last, act, mode)
                through_activation(ws, x1, d1, units1, act, mode)
            ink_backward(p, e, h1w, h1b, ws, r2 if mode == SECOND_ORDER else r, ink, count, background, v_sums, d_sums,
                         e_sums, q_sums, d1, across, mode)  # fmt: skip
        if mode == SECOND_ORDER:
            settle(p, e, h1w, ws, background * background, d_sums, pixels, across, mode)
        elif mode != PREDICT:
            settle(p, e, h1w, ws, background, d_sums, pixels, across, mode)
        return losses, done

    return run, end
