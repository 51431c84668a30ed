"""Batch normalisation of the weighted sums of C1 and C3, as torch.nn.BatchNorm2d.

Legend: a weighted sums, normal (a - mean) / sqrt(variance + EPSILON), s the array of the statistics, in which those of
a layer begin at `at`; x, d, p, e as in the other kernels.

The kernels take either layer: C1, one map after the other in rows of `stride`, of which the columns beyond the map are
left out; or C3, in which the maps are the `lanes` of vectors that are `stride` apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba import njit

from paper_lenet.engines.fused.kernels.common import GRADIENT, activate_to, learn, learn_one
from paper_lenet.engines.fused.layout import padded
from paper_lenet.engines.fused.vectors import LANES, Writer, kernel

MOMENTUM, EPSILON = 0.1, 1e-5
# A layer's statistics, each of all maps: of the batch the mean, 1 / sqrt(variance + EPSILON), and the means of d and of
# d times normal; and the running ones.
STATISTICS = ("mean", "inverse", "mean_d", "mean_dx", "running_mean", "running_var")
MEAN, INVERSE, MEAN_D, MEAN_DX, RUNNING_MEAN, RUNNING_VAR = range(6)


class _Maps:
    """The loops over a layer's maps, or vectors of maps, and over the vectors of each."""

    def __init__(self, w: Writer, rows: int, stride: int, maps: int, lanes: int) -> None:
        self.w, self.rows, self.maps, self.lanes = w, rows, maps, lanes
        self.count, self.apart = (maps // LANES, LANES) if lanes else (maps, rows * stride)
        self.row = rows * stride if lanes else stride
        self.starts = range(0, self.row, stride if lanes else LANES)

    @contextmanager
    def vectors(self, m: ir.Value) -> Iterator[list[tuple[Any, ...]]]:
        """A loop over the rows of map m; gives the places of a row's vectors."""
        with self.w.loop(self.rows) as r:
            yield [(start, (m, self.apart), (r, self.row)) for start in self.starts]

    def inside(self, value: ir.Value, place: tuple[Any, ...]) -> ir.Value:
        """The value, and 0 beyond the map."""
        columns = LANES if self.lanes else self.rows - place[0]
        if columns >= LANES:
            return value
        of_map = ir.Constant(ir.VectorType(ir.IntType(1), LANES), [k < columns for k in range(LANES)])
        return self.w.where(of_map, value, self.w.number(0.0))

    def total(self, m: ir.Value, of: Callable[[tuple[Any, ...]], ir.Value]) -> ir.Value:
        """The sum over a map, in each lane; or of each lane's map."""
        # two sums, which do not wait for each other
        sums = [self.w.variable(), self.w.variable()]
        with self.vectors(m) as places:
            for k, place in enumerate(places):
                self.w.b.store(self.w.add(self.w.get(sums[k % 2]), self.inside(of(place), place)), sums[k % 2])
        total = self.w.add(self.w.get(sums[0]), self.w.get(sums[1]))
        return total if self.lanes else self.w.spread(self.w.total(total))

    def place(self, at: int, m: ir.Value) -> tuple[Any, ...]:
        """Where the value of a map, or of a vector of maps, is among those of all maps."""
        return (at, (m, LANES)) if self.lanes else (at, m)

    def load(self, array: Any, at: int, m: ir.Value) -> ir.Value:
        return (self.w.load if self.lanes else self.w.broadcast)(array, *self.place(at, m))

    def store(self, value: ir.Value, array: Any, at: int, m: ir.Value) -> None:
        if self.lanes:
            self.w.store(value, array, at, (m, LANES))
        else:
            self.w.b.store(self.first(value), self.w.at(array, at, m))

    def normal(self, s: Any, at: int, m: ir.Value) -> Callable[[ir.Value], ir.Value]:
        """What normalises a map's weighted sums."""
        mean, inverse = (self.load(s, at + k * padded(self.maps), m) for k in (MEAN, INVERSE))
        return lambda a: self.w.mul(self.w.sub(a, mean), inverse)

    def first(self, value: ir.Value) -> ir.Value:
        return self.w.b.extract_element(value, ir.IntType(32)(0))


@kernel
def moments(w: Writer, ws: Any, a: int, to: int, rows: int, stride: int, maps: int, lanes: int) -> None:
    """Of one image the mean of each map, and the sum of the squares about it, `maps` further on."""
    of = _Maps(w, rows, stride, maps, lanes)
    with w.loop(of.count) as m:
        mean = w.mul(of.total(m, lambda place: w.load(ws, a, *place)), w.number(1 / rows**2))
        of.store(mean, ws, to, m)
        of.store(of.total(m, lambda place: w.square(w.sub(w.load(ws, a, *place), mean))), ws, to + maps, m)


@kernel
def normalise(
    w: Writer, p: Any, weight: int, bias: int, s: Any, at: int, ws: Any, a: int, x: int, rows: int, stride: int,
    maps: int, lanes: int, activation: int, kept: int,
) -> None:  # fmt: skip
    of = _Maps(w, rows, stride, maps, lanes)
    with w.loop(of.count) as m:
        normal, u, b = of.normal(s, at, m), of.load(p, weight, m), of.load(p, bias, m)
        with of.vectors(m) as places:
            for place in places:
                activate_to(w, w.fma(u, normal(w.load(ws, a, *place)), b), activation, ws, kept, x, *place)


@kernel
def normal_gradient(
    w: Writer, p: Any, e: Any, weight: int, bias: int, s: Any, at: int, ws: Any, a: int, d: int, rows: int,
    stride: int, maps: int, lanes: int,
) -> None:  # fmt: skip
    """One image's share in the gradients of weights and biases; those of C1's biases `s2_backward` has added up."""
    of = _Maps(w, rows, stride, maps, lanes)
    with w.loop(of.count) as m:
        normal = of.normal(s, at, m)
        of_weight = of.total(m, lambda place: w.mul(w.load(ws, d, *place), normal(w.load(ws, a, *place))))
        if lanes:
            learn(w, p, e, of.place(weight, m), of_weight, GRADIENT)
            learn(w, p, e, of.place(bias, m), of.total(m, lambda place: w.load(ws, d, *place)), GRADIENT)
        else:
            learn_one(w, p, e, of.place(weight, m), of.first(of_weight), GRADIENT)


@kernel
def through_normal(
    w: Writer, p: Any, weight: int, s: Any, at: int, ws: Any, a: int, d: int, rows: int, stride: int, maps: int,
    lanes: int,
) -> None:  # fmt: skip
    """d/da from the derivatives by what is normalised, in place."""
    of, apart = _Maps(w, rows, stride, maps, lanes), padded(maps)
    with w.loop(of.count) as m:
        normal, factor = of.normal(s, at, m), w.mul(of.load(p, weight, m), of.load(s, at + INVERSE * apart, m))
        mean_d, mean_dx = of.load(s, at + MEAN_D * apart, m), of.load(s, at + MEAN_DX * apart, m)
        with of.vectors(m) as places:
            for place in places:
                # beyond the map d would not be 0
                along = w.mul(normal(w.load(ws, a, *place)), mean_dx)
                d_a = w.mul(factor, w.sub(w.sub(w.load(ws, d, *place), mean_d), along))
                w.store(of.inside(d_a, place), ws, d, *place)


@njit(error_model="numpy")
def measure(ws, moments, each, images, positions, maps, s, at):  # type: ignore[no-untyped-def]
    """The statistics of a batch from the `moments` of its images, `each` apart; the running ones follow."""
    apart, count = -(-maps // LANES) * LANES, images * positions
    for m in range(at, at + maps):
        mean, squares = 0.0, 0.0
        for k in range(moments + m - at, moments + m - at + images * each, each):
            mean += ws[k] / images
        for k in range(moments + m - at, moments + m - at + images * each, each):
            squares += ws[k + maps] + positions * (ws[k] - mean) ** 2
        s[m + MEAN * apart] = mean
        s[m + INVERSE * apart] = 1.0 / math.sqrt(squares / count + EPSILON)
        s[m + RUNNING_MEAN * apart] += MOMENTUM * (mean - s[m + RUNNING_MEAN * apart])
        s[m + RUNNING_VAR * apart] += MOMENTUM * (squares / (count - 1) - s[m + RUNNING_VAR * apart])


@njit(error_model="numpy")
def by_running(maps, s, at):  # type: ignore[no-untyped-def]
    """The running statistics in the place of a batch's."""
    apart = -(-maps // LANES) * LANES
    for m in range(at, at + maps):
        s[m + MEAN * apart] = s[m + RUNNING_MEAN * apart]
        s[m + INVERSE * apart] = 1.0 / math.sqrt(s[m + RUNNING_VAR * apart] + EPSILON)


@njit(error_model="numpy")
def share(e, weight, bias, count, maps, s, at):  # type: ignore[no-untyped-def]
    """The means that `through_normal` needs, from the gradients, which are sums over the batch."""
    apart = -(-maps // LANES) * LANES
    for m in range(maps):
        s[at + MEAN_D * apart + m] = e[bias + m] / count
        s[at + MEAN_DX * apart + m] = e[weight + m] / count
