"""The fused engine's program for convolutional networks: forward, backward and step in one compiled call."""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from torch import nn

from paper_lenet.config import ModelConfig
from paper_lenet.engines.fused.activations import ACTIVATIONS, NONE, NUMBERED, NUMBERS
from paper_lenet.engines.fused.kernels.common import (
    CROSS_TERMS,
    GRADIENT,
    OUTPUTS,
    POOLINGS,
    PREDICT,
    SECOND_ORDER,
    STEP,
    SUMMED,
)
from paper_lenet.engines.fused.kernels.convolution import (
    PLANE_STRIDE,
    c1_forward,
    c1_weight_step,
    c3_forward,
    c3_input_backward,
    c3_input_backward_full,
    c3_planes,
    c3_weight_step,
)
from paper_lenet.engines.fused.kernels.dense import (
    drop,
    full_backward,
    full_forward,
    rbf_backward,
    rbf_forward,
    through_activation,
)
from paper_lenet.engines.fused.kernels.normalisation import (
    STATISTICS,
    by_running,
    measure,
    moments,
    normal_gradient,
    normalise,
    share,
    through_normal,
)
from paper_lenet.engines.fused.kernels.pooling import s2_backward, s2_forward, s4_backward, s4_forward
from paper_lenet.engines.fused.layout import Array, FlatLayout, padded
from paper_lenet.engines.fused.penalties import answer_and_loss, cross_entropy, curvatures, slopes, through_softmax
from paper_lenet.engines.fused.vectors import LANES
from paper_lenet.network.layers import Subsampling
from paper_lenet.network.modern import ModernNet
from paper_lenet.network.paper_net import PaperNet


@dataclass(frozen=True)
class Shape:
    """The sizes of a network of the family, all a compiled program depends on.

    side: of the input.  maps, maps2, maps3: of C1, S2 and C3.  units: of C5 and, if there is one, of F6.  classes.
    full: whether every map of S2 feeds every map of C3.  activation, pooling, output, batch_norm: as in ModelConfig.
    dropout: whether there is any.
    """

    side: int
    maps: int
    maps2: int
    maps3: int
    units: tuple[int, ...]
    classes: int
    full: bool
    activation: str
    pooling: str
    output: str
    batch_norm: bool
    dropout: bool

    @classmethod
    def of(cls, model: PaperNet | ModernNet) -> Shape:
        """Raises ValueError for a network whose rows do not fit the kernels' vectors, or of a choice they lack."""
        choices = getattr(model, "choices", ModelConfig())
        if choices.activation not in ACTIVATIONS:
            raise ValueError(
                f"model.activation={choices.activation}: the fused engine has only {', '.join(ACTIVATIONS)}"
            )
        if model.side not in (24, 28, 32):
            raise ValueError(f"an input of {model.side}x{model.side}: the fused engine takes sides of 24, 28 and 32")
        pooling = choices.pooling
        if isinstance(model.s2, Subsampling):
            pooling = "sum" if model.s2.scale == 1 else "average"
        linear = isinstance(model.output, nn.Linear)
        classes = model.output.out_features if isinstance(model.output, nn.Linear) else len(model.output.centres)
        maps2, maps3 = model.c3.table.shape
        return cls(model.side, len(model.c1.weight), maps2, maps3, model.units, classes, bool(model.c3.table.all()),
                   choices.activation, pooling, "linear" if linear else "rbf", choices.batch_norm,
                   choices.dropout > 0)  # fmt: skip

    @property
    def stride(self) -> int:
        return padded(self.side)

    @property
    def rows1(self) -> int:
        return self.side - 4

    @property
    def rows3(self) -> int:
        return self.rows1 // 2 - 4

    @property
    def lanes3(self) -> int:
        return padded(self.maps3)

    @property
    def below(self) -> list[int]:
        """Padded numbers of inputs of C5, of F6 if there is one, and of the output."""
        return [(self.rows3 // 2) ** 2 * self.lanes3, *(padded(n) for n in self.units)]


def statistics(shape: Shape) -> FlatLayout:
    """Where the statistics of batch normalisation lie, in an array of their own.

    places: of the running ones, which alone are of the state_dict.
    """
    maps = {"n1": shape.maps, "n3": shape.maps3} if shape.batch_norm else {}
    areas = {f"{n}.{name}": count for n, count in maps.items() for name in STATISTICS}
    return FlatLayout(areas, {name: np.arange(count) for name, count in areas.items() if "running" in name})


class Layout(FlatLayout):
    """Where each parameter of a convolutional network lies, and each of its statistics."""

    def __init__(self, model: PaperNet | ModernNet) -> None:
        self.shape = s = Shape.of(model)
        areas = {"c1.weight": s.maps * 25, "c1.bias": s.maps, "s2.coefficient": s.maps2, "s2.bias": s.maps2,
                 "c3.weight": s.maps2 * 25 * s.lanes3, "c3.bias": s.lanes3, "s4.coefficient": s.lanes3,
                 "s4.bias": s.lanes3}  # fmt: skip
        if s.batch_norm:
            areas |= {"n1.weight": s.maps, "n1.bias": s.maps, "n3.weight": s.maps3, "n3.bias": s.maps3}
        full = dict(zip(("c5", "f6"), s.units, strict=False))
        if s.output == "linear":
            full["output"] = s.classes
        # below the output, too, which has parameters only when it is linear
        for (name, units), below in zip(full.items(), s.below, strict=False):
            areas |= {f"{name}.weight": units * below, f"{name}.bias": padded(units)}
        taps = np.arange(25).reshape(5, 5)
        inner: dict[str, Array] = {name: np.arange(p.numel()).reshape(p.shape) for name, p in model.named_parameters()}
        o, i = model.c3.out_of.numpy(), model.c3.in_of.numpy()
        inner["c3.weight"] = (i[:, None, None] * 25 + taps) * s.lanes3 + o[:, None, None]
        side4 = s.rows3 // 2
        unit, m, r, c = np.ogrid[: s.units[0], : s.maps3, :side4, :side4]
        inner["c5.weight"] = unit * s.below[0] + (r * side4 + c) * s.lanes3 + m
        if len(s.units) == 2:
            inner["f6.weight"] = np.arange(s.units[1])[:, None] * s.below[1] + np.arange(s.units[0])
        if s.output == "linear":
            inner["output.weight"] = np.arange(s.classes)[:, None] * s.below[-1] + np.arange(s.units[-1])
        self.statistics = statistics(s)
        super().__init__(areas, {n: np.broadcast_to(inner[n], p.shape) for n, p in model.named_parameters()})


@functools.cache
def program(purpose: int, shape: Shape, at_items: tuple[tuple[str, int], ...], sources: str) -> tuple[Any, int]:
    """The compiled program of one purpose for a network's shape and layout, and the length of its workspace.

    sources: a digest of the files that it is made of. It reads nothing but whole numbers from outside, so that Numba
    can keep it on disk.
    """
    at = dict(at_items)
    summed = int(purpose == SUMMED)
    mode = SECOND_ORDER if summed else purpose
    stride, maps, maps2, lanes3, classes = shape.stride, shape.maps, shape.maps2, shape.lanes3, shape.classes
    copies = maps2 // maps
    rows1, rows2, rows3 = shape.rows1, shape.rows1 // 2, shape.rows3
    rows4, has_f6, linear = rows3 // 2, len(shape.units) == 2, shape.output == "linear"
    activation, pooling, none = NUMBERS[shape.activation], POOLINGS.index(shape.pooling), NONE
    # normalised, a layer of all images of a batch comes before the next layer; else all layers of an image
    normed, together = shape.batch_norm, shape.batch_norm and mode == GRADIENT
    drops = shape.dropout and mode in (STEP, GRADIENT)
    full, curved = shape.full, mode in (SECOND_ORDER, CROSS_TERMS)
    forward_only, image = mode in (PREDICT, OUTPUTS), shape.side * stride
    units5, units_last = shape.units[0], shape.units[-1]
    below5, below6, below_output = shape.below[0], shape.below[1], shape.below[-1]

    c1w, c1b, s2c, s2b = at["c1.weight"], at["c1.bias"], at["s2.coefficient"], at["s2.bias"]
    c3w, c3b, s4c, s4b = at["c3.weight"], at["c3.bias"], at["s4.coefficient"], at["s4.bias"]
    c5w, c5b, f6w, f6b = at["c5.weight"], at["c5.bias"], at.get("f6.weight", 0), at.get("f6.bias", 0)
    ow, ob = at.get("output.weight", 0), at.get("output.bias", 0)
    n1w, n1b, n3w, n3b = (at.get(name, 0) for name in ("n1.weight", "n1.bias", "n3.weight", "n3.bias"))
    n1, n3 = (statistics(shape).at.get(name, 0) for name in ("n1.mean", "n3.mean"))

    areas = [maps * rows1 * stride, maps2 * rows2 * LANES, maps2 * rows2 * LANES, rows3**2 * lanes3, below5, below5,
             padded(units5), padded(units5), below_output, below_output, padded(classes), padded(classes),
             lanes3 * rows3 * PLANE_STRIDE]  # fmt: skip
    areas += [below6, below_output] if drops else [0, 0]
    if normed:
        areas += [maps * rows1 * stride, rows3**2 * lanes3, 2 * padded(maps), 2 * lanes3]
    x1, x2, dx2, x3, x4, dx4, x5, d5, x6, d6, y, g, planes, k5, k6, *ends = itertools.accumulate(areas, initial=0)
    a1, a3, moments1, moments3, end = ends if normed else (x1, x3, 0, 0, *ends)
    # slopes that do not follow from the states lie behind everything else, each so far beyond its state
    kept = end if NUMBERED[activation].with_slope is not None and not forward_only else 0
    end += kept
    each = end if together else 0  # one workspace for all images, or one for each
    act_sums = none if normed else activation
    bias1 = n1b if normed else c1b  # C1's own has no effect, the mean takes it out again
    k5, k6 = (k5, k6) if drops else (x5, x6)  # what is kept of the states: they themselves, or they times the masks
    s5, s6 = x5 + kept, x6 + kept
    x_last, k_last, s_last, d_last = (x6, k6, s6, d6) if has_f6 else (x5, k5, s5, d5)
    # with cross terms each state of the last layer is propagated back by itself
    repeats = units_last if purpose == CROSS_TERMS else 1

    @njit(cache=True, error_model="numpy")
    def run(p, e, ws, images, labels, out, centres, first, fed, s, masks, factor, eq9, j, smoothing):  # type: ignore[no-untyped-def]
        """Predictions of all images to out, and by purpose an update a pattern, gradients or h_kk added to e, or the
        outputs of all images one after the other in e.

        Gives the sum of the losses and the number of patterns, up to one whose loss is not finite.
        """
        _ = sources  # belongs to the key of Numba's cache
        losses = 0.0
        count = len(out) if together else 1
        if normed and not together:
            by_running(maps, s, n1)
            by_running(lanes3, s, n3)
        for step in range(0, len(out) * repeats, max(1, count)):
            start, repeat = step // repeats, step % repeats
            for n in range(start, start + count):
                here = ws[n * each :]
                c1_forward(images, n * image, p, c1w, c1b, here, a1, rows1, stride, maps, act_sums, kept)
                if together:
                    moments(here, a1, moments1, rows1, stride, maps, 0)
            if together:
                measure(ws, moments1, each, count, rows1**2, maps, s, n1)
            for n in range(start, start + count):
                here = ws[n * each :]
                if normed:
                    normalise(p, n1w, n1b, s, n1, here, a1, x1, rows1, stride, maps, 0, activation, kept)
                s2_forward(p, s2c, s2b, here, x1, x2, rows2, maps, copies, pooling, activation, kept)
                c3_forward(p, c3w, c3b, here, x2, a3, rows3, maps2, lanes3, act_sums, kept)
                if together:
                    moments(here, a3, moments3, rows3, lanes3, lanes3, 1)
            if together:
                measure(ws, moments3, each, count, rows3**2, lanes3, s, n3)
            for n in range(start, start + count):
                here = ws[n * each :]
                if normed:
                    normalise(p, n3w, n3b, s, n3, here, a3, x3, rows3, lanes3, lanes3, 1, activation, kept)
                s4_forward(p, s4c, s4b, here, x3, x4, rows4, lanes3, pooling, activation, kept)
                full_forward(p, c5w, c5b, here, x4, x5, below5, units5, activation, kept)
                if drops:
                    drop(masks, n * (below6 + below_output), here, x5, k5, units5)
                if has_f6:
                    full_forward(p, f6w, f6b, here, k5, x6, below6, units_last, activation, kept)
                if drops:
                    drop(masks, n * (below6 + below_output) + below6, here, x6, k6, units_last)
                if linear:
                    full_forward(p, ow, ob, here, k_last, y, below_output, classes, none, 0)
                    out[n], loss = cross_entropy(here, y, g, labels[n], classes, smoothing)
                else:
                    rbf_forward(centres, here, k_last, y, below_output, classes)
                    out[n], loss = answer_and_loss(here, y, g, labels[n], classes, factor, eq9, j)
                if mode == OUTPUTS:
                    e[n * classes : (n + 1) * classes] = here[y : y + classes]
                if forward_only:
                    continue
                if not math.isfinite(loss):
                    return losses, n
                losses += loss

                if linear:
                    through_softmax(here, g, labels[n], classes, smoothing, curved)
                    full_backward(p, e, ow, ob, here, k_last, g, d_last, below_output, classes, none, mode)
                elif curved:
                    curvatures(here, x_last, d_last, g, centres, below_output, units_last, classes, factor)
                    if mode == CROSS_TERMS:
                        for unit in range(units_last):
                            here[d_last + unit] = math.sqrt(here[d_last + unit]) if unit == repeat else 0.0
                else:
                    slopes(here, g, labels[n], classes, factor)
                    rbf_backward(centres, here, k_last, g, d_last, below_output, classes)
                if drops:
                    drop(masks, n * (below6 + below_output) + below6, here, d6, d6, units_last)
                through_activation(here, s_last, d_last, units_last, activation, mode)
                if has_f6:
                    full_backward(p, e, f6w, f6b, here, k5, d6, d5, below6, units_last, activation, mode)
                    if drops:
                        drop(masks, n * (below6 + below_output), here, d5, d5, units5)
                    through_activation(here, s5, d5, units5, activation, mode)
                full_backward(p, e, c5w, c5b, here, x4, d5, dx4, below5, units5, activation, mode)
                s4_backward(p, e, s4c, s4b, here, x3, x4, dx4, rows4, lanes3, pooling, activation, kept, mode, summed)
                if normed:
                    normal_gradient(p, e, n3w, n3b, s, n3, here, a3, x3, rows3, lanes3, lanes3, 1)
            if forward_only:
                continue
            if normed:
                share(e, n3w, n3b, count * rows3**2, lanes3, s, n3)
            for n in range(start, start + count):
                here = ws[n * each :]
                if normed:
                    through_normal(p, n3w, s, n3, here, a3, x3, rows3, lanes3, lanes3, 1)
                if full:
                    c3_input_backward_full(p, c3w, here, x3, dx2, rows3, maps2, lanes3, mode)
                else:
                    c3_planes(here, x3, planes, rows3, lanes3)
                    c3_input_backward(p, c3w, here, planes, dx2, first, fed, rows3, maps2, lanes3, mode)
                c3_weight_step(p, e, c3w, c3b, here, x2, x3, rows3, maps2, lanes3, mode)
                s2_backward(
                    p, e, s2c, s2b, bias1, here, x1, x2, dx2, rows2, maps, copies, pooling, activation, kept, mode,
                    summed,
                )  # fmt: skip
                if normed:
                    normal_gradient(p, e, n1w, n1b, s, n1, here, a1, x1, rows1, stride, maps, 0)
            if normed:
                share(e, n1w, n1b, count * rows1**2, maps, s, n1)
            for n in range(start, start + count):
                here = ws[n * each :]
                if normed:
                    through_normal(p, n1w, s, n1, here, a1, x1, rows1, stride, maps, 0)
                c1_weight_step(images, n * image, p, e, c1w, here, x1, rows1, stride, maps, mode)
        return losses, len(out)

    return run, end
