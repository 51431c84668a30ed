"""The convolutions C1 and C3: forward, backward and parameter gradients."""

from __future__ import annotations

from typing import Any

from paper_lenet.engines.fused.kernels.common import SECOND_ORDER, activate_to, learn, learn_one
from paper_lenet.engines.fused.vectors import LANES, Writer, kernel

TAPS = 5


@kernel
def c1_forward(
    w: Writer, x: Any, x_at: Any, p: Any, weight: int, bias: int, ws: Any, y: int, rows: int, stride: int, maps: int,
    activation: int, kept: int,
) -> None:  # fmt: skip
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
                activate_to(w, a[m, v], activation, ws, kept, y + m * rows * stride + v * LANES, (r, stride))


@kernel
def c3_forward(
    w: Writer, p: Any, weight: int, bias: int, ws: Any, x: int, y: int, rows: int, maps_in: int, lanes: int,
    activation: int, kept: int,
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
                activate_to(w, w.get(a[c]), activation, ws, kept, y + c * lanes + v, (r, rows * lanes))


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
                if mode == SECOND_ORDER:
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
                    if mode == SECOND_ORDER:
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
                if mode == SECOND_ORDER:
                    states = [w.square(state) for state in states]
                for c in range(rows):
                    above = w.load(ws, d + c * lanes + v, (r, rows * lanes))
                    for kx in range(TAPS):
                        w.add_product(sums[kx], states[c + kx], above)
            for kx in range(TAPS):
                place = (weight + kx * lanes + v, (i, TAPS * TAPS * lanes), (ky, TAPS * lanes))
                learn(w, p, e, place, w.get(sums[kx]), mode)
        total = w.variable()
        with w.loop(rows * rows) as k:
            w.b.store(w.add(w.get(total), w.load(ws, d + v, (k, lanes))), total)
        learn(w, p, e, (bias + v,), w.get(total), mode)


@kernel
def c1_weight_step(
    w: Writer, x: Any, x_at: Any, p: Any, e: Any, weight: int, ws: Any, d: int, rows: int, stride: int, maps: int,
    mode: int,
) -> None:  # fmt: skip
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
                            w.add_product(sums[m, kx], w.square(state) if mode == SECOND_ORDER else state, above[m])
            for (m, kx), total in sums.items():
                place = (weight + m * TAPS * TAPS + kx, (ky, TAPS))
                learn_one(w, p, e, place, w.total(w.get(total)), mode)
