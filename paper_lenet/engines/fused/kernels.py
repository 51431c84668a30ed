"""The loop nests of the fused engine, each one layer's forward pass, backward pass or parameter gradient.

Legend: x states, d = dE/da (or d2E/da2), p parameters, e step sizes eps_k (or the sums of h_kk), s the sums of 2x2
inputs, r row, c column, m map, i map below, o unit or map above, ky and kx tap.

Layouts, all in flat arrays, rows of one vector multiple: the image and C1 as (map, row, column), S2 the same with rows
of one vector; C3 and S4 as (row, column, map), so that a vector is all maps of one position; C5 and F6 as units. What
pads a vector is 0 or meets a 0 wherever it would be added.

Each backward kernel has four modes. STEP back-propagates and takes e times the gradient off p. GRADIENT adds the
gradient up in e. CURVATURE does Eq. 25 and 27 instead: the same sums with weights, states and slopes squared, added up
in e. SQUARES back-propagates and adds the square of each parameter's gradient up in e, which keeps the cross terms of
Eq. 22.

Activations and poolings are numbered as in ACTIVATIONS and POOLINGS. The first two poolings have parameters and squash;
the others have neither, so that S2 and S4 hold averages or maxima.
"""

from __future__ import annotations

from contextlib import nullcontext
from functools import reduce
from typing import Any

from llvmlite import ir

from paper_lenet import paper
from paper_lenet.engines.fused.vectors import LANES, Writer, kernel

STEP, CURVATURE, SQUARES, PREDICT, GRADIENT = range(5)
ACTIVATIONS = ("scaled_tanh", "tanh", "relu")
SCALED_TANH, TANH, RELU = range(3)
NONE = 3  # of the linear output
POOLINGS = ("sum", "average", "avg_pool", "max_pool")
SUM, AVERAGE, AVG_POOL, MAX_POOL = range(4)
TAPS = 5
# accumulators a kernel keeps in registers at once
REGISTERS = 25


def _activate(w: Writer, a: ir.Value, activation: int) -> ir.Value:
    if activation == SCALED_TANH:
        return w.squash(a, paper.A, paper.S)  # Eq. 6, p. 8
    if activation == TANH:
        return w.squash(a, 1.0, 1.0)
    if activation == RELU:
        # an unordered comparison would turn a NaN into 0
        return w.where(w.b.fcmp_ordered("<", a, w.number(0.0)), w.number(0.0), a)
    return a


def _through(w: Writer, d: ir.Value, x: ir.Value, activation: int, mode: int) -> ir.Value:
    """d f'(a) from the state x; the slope is squared for the curvature (Eq. 27)."""
    if activation == RELU:
        return w.where(w.b.fcmp_ordered(">", x, w.number(0.0)), d, w.number(0.0))
    amplitude, steepness = (paper.A, paper.S) if activation == SCALED_TANH else (1.0, 1.0)
    slope = w.fma(w.mul(x, w.number(-steepness / amplitude)), x, w.number(steepness * amplitude))
    return w.mul(d, w.square(slope) if mode == CURVATURE else slope)


def _scale(w: Writer, pooling: int, mode: int) -> ir.Value:
    return w.number((0.0625 if mode == CURVATURE else 0.25) if pooling in (AVERAGE, AVG_POOL) else 1.0)


def _learn(w: Writer, p: Any, e: Any, at: tuple[Any, ...], gradient: ir.Value, mode: int) -> None:
    """One vector of parameters: p -= e * gradient (Eq. 18), or e += the gradient or its square."""
    if mode == STEP:
        w.store(w.sub(w.load(p, *at), w.mul(w.load(e, *at), gradient)), p, *at)
    elif mode == SQUARES:
        w.store(w.fma(gradient, gradient, w.load(e, *at)), e, *at)
    else:
        w.store(w.add(w.load(e, *at), gradient), e, *at)


def _learn_one(w: Writer, p: Any, e: Any, at: tuple[Any, ...], gradient: ir.Value, mode: int) -> None:
    """The same for one parameter."""
    eps = w.scalar(e, *at)
    if mode == STEP:
        w.b.store(w.b.fsub(w.scalar(p, *at), w.b.fmul(eps, gradient)), w.at(p, *at))
    else:
        more = w.b.fmul(gradient, gradient) if mode == SQUARES else gradient
        w.b.store(w.b.fadd(eps, more), w.at(e, *at))


def _route(w: Writer, d: ir.Value, states: list[ir.Value]) -> list[ir.Value]:
    """d where a state is the largest of the four, the first of equal ones; 0 elsewhere."""
    largest = _largest(w, states)
    routed, left = [], d
    for state in states[:-1]:
        wins = w.b.fcmp_ordered("==", state, largest)
        routed.append(w.where(wins, left, w.number(0.0)))
        left = w.where(wins, w.number(0.0), left)
    return [*routed, left]


@kernel
def c1_forward(
    w: Writer,
    x: Any,
    x_at: Any,
    p: Any,
    weight: int,
    bias: int,
    ws: Any,
    y: int,
    rows: int,
    stride: int,
    maps: int,
    activation: int,
) -> None:
    vectors = range(stride // LANES)
    with w.loop(rows) as r:
        a = {(m, v): w.broadcast(p, bias + m) for m in range(maps) for v in vectors}
        for ky in range(TAPS):
            for kx in range(TAPS):
                inputs = [w.load(x, x_at, (r, stride), ky * stride + kx + v * LANES) for v in vectors]
                for m in range(maps):
                    u = w.broadcast(p, weight + (m * TAPS + ky) * TAPS + kx)
                    for v in vectors:
                        a[m, v] = w.fma(u, inputs[v], a[m, v])
        for m in range(maps):
            for v in vectors:
                w.store(_activate(w, a[m, v], activation), ws, y + m * rows * stride + v * LANES, (r, stride))


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
    pooling: int, activation: int,
) -> None:  # fmt: skip
    """maps: of C1, each of which feeds that many of S2."""
    with w.loop(maps) as m1, w.loop(copies) as copy:
        m = w.index((m1, copies), copy)
        if pooling in (SUM, AVERAGE):
            u = w.mul(w.broadcast(p, coefficient, m), _scale(w, pooling, STEP))
            b = w.broadcast(p, bias, m)
        with w.loop(rows) as r:
            upper, lower = ([w.load(ws, x, (m1, 4 * LANES * rows), (r, 4 * LANES), row * 2 * LANES + v * LANES)
                             for v in (0, 1)] for row in (0, 1))  # fmt: skip
            if pooling == MAX_POOL:
                state = _largest(w, _columns(w, upper) + _columns(w, lower))
            else:
                s = _pairs(w, *(w.add(up, low) for up, low in zip(upper, lower, strict=True)))
                scaled = pooling == AVG_POOL
                state = w.mul(s, _scale(w, pooling, STEP)) if scaled else _activate(w, w.fma(u, s, b), activation)
            w.store(state, ws, y, (m, LANES * rows), (r, LANES))


@kernel
def c3_forward(
    w: Writer, p: Any, weight: int, bias: int, ws: Any, x: int, y: int, rows: int, maps_in: int, lanes: int,
    activation: int,
) -> None:  # fmt: skip
    rows_in = rows + TAPS - 1
    for v in range(0, lanes, LANES):
        with w.loop(rows) as r:
            a = [w.variable(w.load(p, bias + v)) for _ in range(rows)]
            with w.loop(maps_in) as i:
                for ky in range(TAPS):
                    inputs = [
                        w.broadcast(ws, x + ky * LANES + c, (i, rows_in * LANES), (r, LANES)) for c in range(rows_in)
                    ]
                    for kx in range(TAPS):
                        u = w.load(p, weight + (ky * TAPS + kx) * lanes + v, (i, TAPS * TAPS * lanes))
                        for c in range(rows):
                            w.add_product(a[c], inputs[c + kx], u)
            for c in range(rows):
                w.store(_activate(w, w.get(a[c]), activation), ws, y + c * lanes + v, (r, rows * lanes))


def _four(w: Writer, ws: Any, x: int, r: Any, c: Any, v: int, rows: int, lanes: int) -> list[tuple[Any, ...]]:
    """The places of the four inputs of unit (r, c) of S4 in a layer of (2 rows, 2 rows, lanes)."""
    return [
        (x + v + (dr * 2 * rows + dc) * lanes, (r, 4 * rows * lanes), (c, 2 * lanes)) for dr in (0, 1) for dc in (0, 1)
    ]


def _sum(w: Writer, values: list[ir.Value]) -> ir.Value:
    return w.add(w.add(values[0], values[1]), w.add(values[2], values[3]))


def _largest(w: Writer, values: list[ir.Value]) -> ir.Value:
    return w.maximum(w.maximum(values[0], values[1]), w.maximum(values[2], values[3]))


@kernel
def s4_forward(
    w: Writer, p: Any, coefficient: int, bias: int, ws: Any, x: int, y: int, rows: int, lanes: int, pooling: int,
    activation: int,
) -> None:  # fmt: skip
    for v in range(0, lanes, LANES):
        if pooling in (SUM, AVERAGE):
            u = w.mul(w.load(p, coefficient + v), _scale(w, pooling, STEP))
            b = w.load(p, bias + v)
        with w.loop(rows) as r, w.loop(rows) as c:
            states = [w.load(ws, *place) for place in _four(w, ws, x, r, c, v, rows, lanes)]
            if pooling == MAX_POOL:
                state = _largest(w, states)
            elif pooling == AVG_POOL:
                state = w.mul(_sum(w, states), _scale(w, pooling, STEP))
            else:
                state = _activate(w, w.fma(u, _sum(w, states), b), activation)
            w.store(state, ws, y + v, (r, rows * lanes), (c, lanes))


@kernel
def full_forward(
    w: Writer, p: Any, weight: int, bias: int, ws: Any, x: int, y: int, below: int, units: int, activation: int
) -> None:
    with w.loop(units) as o:
        sums = [w.number(0.0)] * 4
        for k, v in enumerate(range(0, below, LANES)):
            sums[k % 4] = w.fma(w.load(p, weight + v, (o, below)), w.load(ws, x + v), sums[k % 4])
        w.b.store(w.b.fadd(w.total(_sum(w, sums)), w.scalar(p, bias, o)), w.at(ws, y, o))
    if activation != NONE:
        with w.loop(-(-units // LANES)) as k:
            w.store(_activate(w, w.load(ws, y, (k, LANES)), activation), ws, y, (k, LANES))


@kernel
def rbf_forward(w: Writer, centres: Any, ws: Any, x: int, y: int, below: int, classes: int) -> None:
    """Eq. 7 without its factor."""
    with w.loop(classes) as i:
        total = w.number(0.0)
        for v in range(0, below, LANES):
            difference = w.sub(w.load(ws, x + v), w.load(centres, v, (i, below)))
            total = w.fma(difference, difference, total)
        w.b.store(w.total(total), w.at(ws, y, i))


@kernel
def rbf_backward(w: Writer, centres: Any, ws: Any, x: int, g: int, d: int, below: int, classes: int) -> None:
    """dE/dx_j = sum_i g_i (x_j - w_ij), g the derivative by the penalty times 2 factor."""
    for v in range(0, below, LANES):
        here = w.load(ws, x + v)
        total = w.number(0.0)
        for i in range(classes):
            difference = w.sub(here, w.load(centres, i * below + v))
            total = w.fma(w.broadcast(ws, g + i), difference, total)
        w.store(total, ws, d + v)


@kernel
def through_activation(w: Writer, ws: Any, x: int, d: int, units: int, activation: int, mode: int) -> None:
    """d/da from d/dx, in place."""
    with w.loop(-(-units // LANES)) as k:
        of_x = w.load(ws, d, (k, LANES))
        w.store(_through(w, of_x, w.load(ws, x, (k, LANES)), activation, mode), ws, d, (k, LANES))


@kernel
def full_backward(
    w: Writer, p: Any, e: Any, weight: int, bias: int, ws: Any, x: int, d: int, dx: int, below: int, units: int,
    activation: int, mode: int,
) -> None:  # fmt: skip
    """The gradient to the inputs, by the weights as they were, and the step of the weights, in one sweep."""
    for first in range(0, below, REGISTERS * LANES):
        block = range(first, min(below, first + REGISTERS * LANES), LANES)
        sums = {v: w.variable() for v in block}
        # with ReLU about half of the units have nothing to pass on
        passing = w.unless_zero if activation == RELU else nullcontext
        with w.loop(units) as o, passing(w.scalar(ws, d, o)):
            above = w.broadcast(ws, d, o)
            for v in block:
                place = (weight + v, (o, below))
                u, state = w.load(p, *place), w.load(ws, x + v)
                w.add_product(sums[v], w.square(u) if mode == CURVATURE else u, above)
                _learn(w, p, e, place, w.mul(above, w.square(state) if mode == CURVATURE else state), mode)
        for v in block:
            w.store(w.get(sums[v]), ws, dx + v)
    with w.loop(-(-units // LANES)) as k:
        _learn(w, p, e, (bias, (k, LANES)), w.load(ws, d, (k, LANES)), mode)


@kernel
def s4_backward(
    w: Writer, p: Any, e: Any, coefficient: int, bias: int, ws: Any, x: int, y: int, dy: int, rows: int, lanes: int,
    pooling: int, activation: int, mode: int,
) -> None:  # fmt: skip
    """From dE/dx of S4 at dy to d of C3, which takes the place of C3's states x."""
    trained = pooling in (SUM, AVERAGE)
    for v in range(0, lanes, LANES):
        scale = _scale(w, pooling, mode)
        if trained:
            u = w.load(p, coefficient + v)
            u = w.mul(w.square(u) if mode == CURVATURE else u, scale)
            of_coefficient, of_bias = w.variable(), w.variable()
        with w.loop(rows) as r, w.loop(rows) as c:
            unit = (v, (r, rows * lanes), (c, lanes))
            d = w.load(ws, dy, *unit)
            places = _four(w, ws, x, r, c, v, rows, lanes)
            states = [w.load(ws, *place) for place in places]
            if trained:
                d = _through(w, d, w.load(ws, y, *unit), activation, mode)
                s = _sum(w, [w.square(state) if mode == CURVATURE else state for state in states])
                w.add_product(of_coefficient, w.mul(d, scale), s)
                w.b.store(w.add(w.get(of_bias), d), of_bias)
            if pooling == MAX_POOL:
                below = _route(w, _through(w, d, w.load(ws, y, *unit), activation, mode), states)
            else:
                each = w.mul(u if trained else scale, d)
                below = [_through(w, each, state, activation, mode) for state in states]
            for place, value in zip(places, below, strict=True):
                w.store(value, ws, *place)
        if trained:
            _learn(w, p, e, (coefficient + v,), w.get(of_coefficient), mode)
            _learn(w, p, e, (bias + v,), w.get(of_bias), mode)


# A row of C3's d as a plane has TAPS-1 zeros before and at least as many after it.
PLANE_STRIDE = 2 * LANES


@kernel
def c3_planes(w: Writer, ws: Any, d: int, planes: int, rows: int, lanes: int) -> None:
    """C3's d once more, as (map, row, column) with zeros around each row."""
    for v in range(0, lanes, LANES):
        with w.loop(rows) as r:
            block = [w.load(ws, d + c * lanes + v, (r, rows * lanes)) for c in range(rows)]
            block += [w.number(0.0)] * (LANES - rows)
            # a transposition by halves: exchange the blocks off the diagonal, of 8, 4, 2, 1
            size = LANES // 2
            while size:
                low = [k if not k & size else k - size + LANES for k in range(LANES)]
                high = [k + size if not k & size else k + LANES for k in range(LANES)]
                for k in range(LANES):
                    if not k & size:
                        a, b = block[k], block[k + size]
                        block[k], block[k + size] = w.shuffle(a, b, low), w.shuffle(a, b, high)
                size //= 2
            for o in range(LANES):
                w.store(block[o], ws, planes + (v + o) * rows * PLANE_STRIDE + TAPS - 1, (r, PLANE_STRIDE))


@kernel
def c3_input_backward(
    w: Writer, p: Any, weight: int, ws: Any, planes: int, dx: int, first: Any, fed: Any, rows: int, maps_in: int,
    lanes: int, mode: int,
) -> None:  # fmt: skip
    """dE/dx of S2. first, fed: the maps of C3 that map i feeds are fed[first[i]] ... fed[first[i + 1] - 1]."""
    rows_in = rows + TAPS - 1
    with w.loop(maps_in) as i:
        sums = [w.variable() for _ in range(rows_in)]
        start = w.integer(first, i)
        with w.loop(w.b.sub(w.integer(first, w.index(i, 1)), start)) as n:
            o = w.integer(fed, w.index(start, n))
            for kx in range(TAPS):
                u = [
                    w.broadcast(p, weight + (ky * TAPS + kx) * lanes, (i, TAPS * TAPS * lanes), o) for ky in range(TAPS)
                ]
                if mode == CURVATURE:
                    u = [w.square(value) for value in u]
                for r in range(rows):
                    d = w.load(ws, planes + r * PLANE_STRIDE + TAPS - 1 - kx, (o, rows * PLANE_STRIDE))
                    for ky in range(TAPS):
                        w.add_product(sums[r + ky], u[ky], d)
        for r in range(rows_in):
            w.store(w.get(sums[r]), ws, dx + r * LANES, (i, rows_in * LANES))


@kernel
def c3_input_backward_full(
    w: Writer, p: Any, weight: int, ws: Any, d: int, dx: int, rows: int, maps_in: int, lanes: int, mode: int
) -> None:
    """The same where every map feeds every map: vectors of all maps of C3, which need neither planes nor padding."""
    rows_in = rows + TAPS - 1
    with w.loop(maps_in) as i, w.loop(rows_in) as r:
        sums = [w.variable() for _ in range(rows_in)]
        # the rows of C3 that row r of S2 reaches: r - ky for ky from `start` to `end` - 1
        start, end = w.larger(w.index(r, 1 - rows), 0), w.smaller(w.index(r, 1), TAPS)
        with w.loop(w.b.sub(end, start)) as k:
            ky = w.index(start, k)
            row = w.b.sub(r, ky)
            for v in range(0, lanes, LANES):
                above = [w.load(ws, d + c * lanes + v, (row, rows * lanes)) for c in range(rows)]
                for kx in range(TAPS):
                    u = w.load(p, weight + kx * lanes + v, (i, TAPS * TAPS * lanes), (ky, TAPS * lanes))
                    if mode == CURVATURE:
                        u = w.square(u)
                    for c in range(rows):
                        w.add_product(sums[c + kx], u, above[c])
        w.store(w.totals([w.get(total) for total in sums]), ws, dx, (i, rows_in * LANES), (r, LANES))


@kernel
def c3_weight_step(
    w: Writer, p: Any, e: Any, weight: int, bias: int, ws: Any, x: int, d: int, rows: int, maps_in: int, lanes: int,
    mode: int,
) -> None:  # fmt: skip
    rows_in = rows + TAPS - 1
    for v in range(0, lanes, LANES):
        with w.loop(maps_in) as i, w.loop(TAPS) as ky:
            sums = [w.variable() for _ in range(TAPS)]
            with w.loop(rows) as r:
                states = [w.broadcast(ws, x + c, (i, rows_in * LANES), (ky, LANES), (r, LANES)) for c in range(rows_in)]
                if mode == CURVATURE:
                    states = [w.square(state) for state in states]
                for c in range(rows):
                    above = w.load(ws, d + c * lanes + v, (r, rows * lanes))
                    for kx in range(TAPS):
                        w.add_product(sums[kx], states[c + kx], above)
            for kx in range(TAPS):
                place = (weight + kx * lanes + v, (i, TAPS * TAPS * lanes), (ky, TAPS * lanes))
                _learn(w, p, e, place, w.get(sums[kx]), mode)
        total = w.variable()
        with w.loop(rows * rows) as k:
            w.b.store(w.add(w.get(total), w.load(ws, d + v, (k, lanes))), total)
        _learn(w, p, e, (bias + v,), w.get(total), mode)


@kernel
def s2_backward(
    w: Writer, p: Any, e: Any, coefficient: int, bias: int, c1_bias: int, ws: Any, x: int, y: int, dy: int, rows: int,
    maps: int, copies: int, pooling: int, activation: int, mode: int,
) -> None:  # fmt: skip
    """From dE/dx of S2 at dy to d of C1, which takes the place of C1's states x; steps C1's biases too."""
    trained = pooling in (SUM, AVERAGE)
    with w.loop(maps) as m1:
        scale = _scale(w, pooling, mode)
        above = [w.index((m1, copies), copy) for copy in range(copies)]  # the maps of S2 that the map of C1 feeds
        us: list[ir.Value] = []
        if trained:
            us = [w.broadcast(p, coefficient, m) for m in above]
            us = [w.mul(w.square(u) if mode == CURVATURE else u, scale) for u in us]
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
            if pooling == MAX_POOL:
                d = _through(w, ds[0], w.load(ws, y, *units[0]), activation, mode)
                w.b.store(w.add(w.get(of_c1_bias), d), of_c1_bias)
                routed = _route(w, d, _columns(w, states[0]) + _columns(w, states[1]))
                for row in (0, 1):
                    for place, lanes in zip(places[row], ALTERNATING, strict=True):
                        w.store(w.shuffle(routed[2 * row], routed[2 * row + 1], lanes), ws, *place)
            else:
                if trained:
                    inputs = [[w.square(state) for state in row] for row in states] if mode == CURVATURE else states
                    s = _pairs(w, *(w.add(inputs[0][v], inputs[1][v]) for v in (0, 1)))
                    for k, unit in enumerate(units):
                        ds[k] = _through(w, ds[k], w.load(ws, y, *unit), activation, mode)
                        w.add_product(of_coefficient[k], w.mul(ds[k], scale), s)
                        w.b.store(w.add(w.get(of_bias[k]), ds[k]), of_bias[k])
                    below = reduce(w.add, [w.mul(u, d) for u, d in zip(us, ds, strict=True)])
                else:
                    below = w.mul(scale, ds[0])
                for v, lanes in enumerate(DOUBLED):
                    spread = w.shuffle(below, below, lanes)
                    for row in (0, 1):
                        d1 = _through(w, spread, states[row][v], activation, mode)
                        w.store(d1, ws, *places[row][v])
                        w.b.store(w.add(w.get(of_c1_bias), d1), of_c1_bias)
        if trained:
            for k, m in enumerate(above):
                _learn_one(w, p, e, (coefficient, m), w.total(w.get(of_coefficient[k])), mode)
                _learn_one(w, p, e, (bias, m), w.total(w.get(of_bias[k])), mode)
        _learn_one(w, p, e, (c1_bias, m1), w.total(w.get(of_c1_bias)), mode)


@kernel
def c1_weight_step(
    w: Writer,
    x: Any,
    x_at: Any,
    p: Any,
    e: Any,
    weight: int,
    ws: Any,
    d: int,
    rows: int,
    stride: int,
    maps: int,
    mode: int,
) -> None:
    together = max(k for k in (1, 2, 3, 4) if maps % k == 0)
    for start in range(0, maps, together):
        group = range(start, start + together)
        with w.loop(TAPS) as ky:
            sums = {(m, kx): w.variable() for m in group for kx in range(TAPS)}
            with w.loop(rows) as r:
                for v in range(0, stride, LANES):
                    above = {m: w.load(ws, d + m * rows * stride + v, (r, stride)) for m in group}
                    for kx in range(TAPS):
                        state = w.load(x, x_at, (ky, stride), (r, stride), kx + v)
                        for m in group:
                            w.add_product(sums[m, kx], w.square(state) if mode == CURVATURE else state, above[m])
            for (m, kx), total in sums.items():
                place = (weight + m * TAPS * TAPS + kx, (ky, TAPS))
                _learn_one(w, p, e, place, w.total(w.get(total)), mode)
