"""S2 and S4, subsampling or pooling: forward, and backward with their parameter gradients."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

from llvmlite import ir

from paper_lenet.engines.fused.kernels.common import (
    AVERAGE,
    AVG_POOL,
    MAX_POOL,
    SECOND_ORDER,
    STEP,
    SUM,
    activate_to,
    learn,
    learn_one,
    sum_of_four,
    through,
)
from paper_lenet.engines.fused.vectors import LANES, Writer, kernel


def _scale(w: Writer, pooling: int, mode: int) -> ir.Value:
    return w.number((0.0625 if mode == SECOND_ORDER else 0.25) if pooling in (AVERAGE, AVG_POOL) else 1.0)


def _route(w: Writer, d: ir.Value, states: list[ir.Value]) -> list[ir.Value]:
    """d where a state is the largest of the four, the first of equal ones; 0 elsewhere."""
    largest = _largest(w, states)
    routed, left = [], d
    for state in states[:-1]:
        wins = w.b.fcmp_ordered("==", state, largest)
        routed.append(w.where(wins, left, w.number(0.0)))
        left = w.where(wins, w.number(0.0), left)
    return [*routed, left]


def _weighed(
    w: Writer, add_up: Callable[[list[ir.Value]], ir.Value], states: list[ir.Value], mode: int, summed: int
) -> ir.Value:
    """What dE/da is multiplied by for the coefficient, the sum; or d2E/da2, the sum of squares or the sum squared."""
    if mode != SECOND_ORDER:
        return add_up(states)
    return w.square(add_up(states)) if summed else add_up([w.square(state) for state in states])


EVEN, ODD = list(range(0, 2 * LANES, 2)), list(range(1, 2 * LANES, 2))
# the two halves of a row in which each number of a vector comes twice, or the numbers of two vectors alternate
DOUBLED = [[half * LANES // 2 + k // 2 for k in range(LANES)] for half in (0, 1)]
ALTERNATING = [[half * LANES // 2 + k // 2 + k % 2 * LANES for k in range(LANES)] for half in (0, 1)]


def _columns(w: Writer, row: list[ir.Value]) -> list[ir.Value]:
    """The even and the odd columns of a row of two vectors."""
    return [w.shuffle(row[0], row[1], EVEN), w.shuffle(row[0], row[1], ODD)]


def _pairs(w: Writer, low: ir.Value, high: ir.Value) -> ir.Value:
    """Sums of neighbouring columns of a row of two vectors."""
    return w.add(*_columns(w, [low, high]))


@kernel
def s2_forward(
    w: Writer, p: Any, coefficient: int, bias: int, ws: Any, x: int, y: int, rows: int, maps: int, copies: int,
    pooling: int, activation: int, kept: int,
) -> None:  # fmt: skip
    """maps: of C1, each of which feeds that many of S2."""
    with w.loop(maps) as m1, w.loop(copies) as copy:
        m = w.index((m1, copies), copy)
        if pooling in (SUM, AVERAGE):
            u = w.mul(w.broadcast(p, coefficient, m), _scale(w, pooling, STEP))
            b = w.broadcast(p, bias, m)
        with w.loop(rows) as r:
            unit = (m, LANES * rows), (r, LANES)
            upper, lower = ([w.load(ws, x, (m1, 4 * LANES * rows), (r, 4 * LANES), row * 2 * LANES + v * LANES)
                             for v in (0, 1)] for row in (0, 1))  # fmt: skip
            if pooling == MAX_POOL:
                w.store(_largest(w, _columns(w, upper) + _columns(w, lower)), ws, y, *unit)
            else:
                s = _pairs(w, *(w.add(up, low) for up, low in zip(upper, lower, strict=True)))
                if pooling == AVG_POOL:
                    w.store(w.mul(s, _scale(w, pooling, STEP)), ws, y, *unit)
                else:
                    activate_to(w, w.fma(u, s, b), activation, ws, kept, y, *unit)


def _four(w: Writer, ws: Any, x: int, r: Any, c: Any, v: int, rows: int, lanes: int) -> list[tuple[Any, ...]]:
    """The places of the four inputs of unit (r, c) of S4 in a layer of (2 rows, 2 rows, lanes)."""
    return [
        (x + v + (dr * 2 * rows + dc) * lanes, (r, 4 * rows * lanes), (c, 2 * lanes)) for dr in (0, 1) for dc in (0, 1)
    ]


def _largest(w: Writer, values: list[ir.Value]) -> ir.Value:
    return w.maximum(w.maximum(values[0], values[1]), w.maximum(values[2], values[3]))


@kernel
def s4_forward(
    w: Writer, p: Any, coefficient: int, bias: int, ws: Any, x: int, y: int, rows: int, lanes: int, pooling: int,
    activation: int, kept: int,
) -> None:  # fmt: skip
    for v in range(0, lanes, LANES):
        if pooling in (SUM, AVERAGE):
            u = w.mul(w.load(p, coefficient + v), _scale(w, pooling, STEP))
            b = w.load(p, bias + v)
        with w.loop(rows) as r, w.loop(rows) as c:
            unit = y + v, (r, rows * lanes), (c, lanes)
            states = [w.load(ws, *place) for place in _four(w, ws, x, r, c, v, rows, lanes)]
            if pooling == MAX_POOL:
                w.store(_largest(w, states), ws, *unit)
            elif pooling == AVG_POOL:
                w.store(w.mul(sum_of_four(w, states), _scale(w, pooling, STEP)), ws, *unit)
            else:
                activate_to(w, w.fma(u, sum_of_four(w, states), b), activation, ws, kept, *unit)


@kernel
def s4_backward(
    w: Writer, p: Any, e: Any, coefficient: int, bias: int, ws: Any, x: int, y: int, dy: int, rows: int, lanes: int,
    pooling: int, activation: int, kept: int, mode: int, summed: int,
) -> None:  # fmt: skip
    """From dE/dx of S4 at dy to d of C3, which takes the place of C3's states x.

    kept: as of `activate_to`.  summed: in second order whether the sum of the four inputs is squared, or each of them.
    """
    trained = pooling in (SUM, AVERAGE)
    for v in range(0, lanes, LANES):
        scale = _scale(w, pooling, mode)
        if trained:
            u = w.load(p, coefficient + v)
            u = w.mul(w.square(u) if mode == SECOND_ORDER else u, scale)
            of_coefficient, of_bias = w.variable(), w.variable()
        with w.loop(rows) as r, w.loop(rows) as c:
            unit = (v, (r, rows * lanes), (c, lanes))
            d = w.load(ws, dy, *unit)
            places = _four(w, ws, x, r, c, v, rows, lanes)
            states = [w.load(ws, *place) for place in places]
            slopes = [w.load(ws, kept, *place) for place in places] if kept else states
            if trained:
                d = through(w, d, w.load(ws, y + kept, *unit), activation, mode)
                s = _weighed(w, lambda squares: sum_of_four(w, squares), states, mode, summed)
                w.add_product(of_coefficient, w.mul(d, scale), s)
                w.b.store(w.add(w.get(of_bias), d), of_bias)
            if pooling == MAX_POOL and not kept:
                below = _route(w, through(w, d, w.load(ws, y, *unit), activation, mode), states)
            else:
                each = w.mul(u if trained else scale, d)
                four = _route(w, d, states) if pooling == MAX_POOL else [each] * 4
                below = [through(w, d3, slope, activation, mode) for d3, slope in zip(four, slopes, strict=True)]
            for place, value in zip(places, below, strict=True):
                w.store(value, ws, *place)
        if trained:
            learn(w, p, e, (coefficient + v,), w.get(of_coefficient), mode)
            learn(w, p, e, (bias + v,), w.get(of_bias), mode)


@kernel
def s2_backward(
    w: Writer, p: Any, e: Any, coefficient: int, bias: int, c1_bias: int, ws: Any, x: int, y: int, dy: int, rows: int,
    maps: int, copies: int, pooling: int, activation: int, kept: int, mode: int, summed: int,
) -> None:  # fmt: skip
    """From dE/dx of S2 at dy to d of C1, which takes the place of C1's states x; steps C1's biases too.

    kept, summed: as of `s4_backward`.
    """
    trained = pooling in (SUM, AVERAGE)
    with w.loop(maps) as m1:
        scale = _scale(w, pooling, mode)
        above = [w.index((m1, copies), copy) for copy in range(copies)]  # the maps of S2 that the map of C1 feeds
        us: list[ir.Value] = []
        if trained:
            us = [w.broadcast(p, coefficient, m) for m in above]
            us = [w.mul(w.square(u) if mode == SECOND_ORDER else u, scale) for u in us]
        of_coefficient, of_bias = [[w.variable() for _ in above] for _ in range(2)]
        of_c1_bias = w.variable()
        with w.loop(rows) as r:
            units = [((m, rows * LANES), (r, LANES)) for m in above]
            # dE/dx is 0 in the columns that only pad
            ds = [w.load(ws, dy, *unit) for unit in units]
            places = [
                [(x + (2 * row + v) * LANES, (m1, 4 * LANES * rows), (r, 4 * LANES)) for v in (0, 1)] for row in (0, 1)
            ]
            states = [[w.load(ws, *place) for place in row] for row in places]
            slopes = [[w.load(ws, kept, *place) for place in row] for row in places] if kept else states
            if pooling == MAX_POOL:
                d = ds[0] if kept else through(w, ds[0], w.load(ws, y, *units[0]), activation, mode)
                if not kept:
                    w.b.store(w.add(w.get(of_c1_bias), d), of_c1_bias)
                routed = _route(w, d, _columns(w, states[0]) + _columns(w, states[1]))
                for row in (0, 1):
                    for v, lanes in enumerate(ALTERNATING):
                        d1 = w.shuffle(routed[2 * row], routed[2 * row + 1], lanes)
                        if kept:
                            d1 = through(w, d1, slopes[row][v], activation, mode)
                            w.b.store(w.add(w.get(of_c1_bias), d1), of_c1_bias)
                        w.store(d1, ws, *places[row][v])
            else:
                if trained:
                    s = _weighed(w, lambda four: _pairs(w, w.add(four[0], four[2]), w.add(four[1], four[3])),
                                 states[0] + states[1], mode, summed)  # fmt: skip
                    for k, unit in enumerate(units):
                        ds[k] = through(w, ds[k], w.load(ws, y + kept, *unit), activation, mode)
                        w.add_product(of_coefficient[k], w.mul(ds[k], scale), s)
                        w.b.store(w.add(w.get(of_bias[k]), ds[k]), of_bias[k])
                    below = reduce(w.add, [w.mul(u, d) for u, d in zip(us, ds, strict=True)])
                else:
                    below = w.mul(scale, ds[0])
                for v, lanes in enumerate(DOUBLED):
                    spread = w.shuffle(below, below, lanes)
                    for row in (0, 1):
                        d1 = through(w, spread, slopes[row][v], activation, mode)
                        w.store(d1, ws, *places[row][v])
                        w.b.store(w.add(w.get(of_c1_bias), d1), of_c1_bias)
        if trained:
            for k, m in enumerate(above):
                learn_one(w, p, e, (coefficient, m), w.total(w.get(of_coefficient[k])), mode)
                learn_one(w, p, e, (bias, m), w.total(w.get(of_bias[k])), mode)
        learn_one(w, p, e, (c1_bias, m1), w.total(w.get(of_c1_bias)), mode)
