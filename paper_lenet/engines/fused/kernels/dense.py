"""The fully connected layers C5 and F6, and the RBF or linear outputs."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from paper_lenet.engines.fused.activations import NONE, NUMBERED
from paper_lenet.engines.fused.kernels.common import SECOND_ORDER, activate_to, learn, sum_of_four, through
from paper_lenet.engines.fused.vectors import LANES, Writer, kernel

# accumulators a kernel keeps in registers at once
REGISTERS = 25


@kernel
def full_forward(
    w: Writer, p: Any, weight: int, bias: int, ws: Any, x: int, y: int, below: int, units: int, activation: int,
    kept: int,
) -> None:  # fmt: skip
    with w.loop(units) as o:
        sums = [w.number(0.0)] * 4
        for k, v in enumerate(range(0, below, LANES)):
            sums[k % 4] = w.fma(w.load(p, weight + v, (o, below)), w.load(ws, x + v), sums[k % 4])
        w.b.store(w.b.fadd(w.total(sum_of_four(w, sums)), w.scalar(p, bias, o)), w.at(ws, y, o))
    if activation != NONE:
        with w.loop(-(-units // LANES)) as k:
            activate_to(w, w.load(ws, y, (k, LANES)), activation, ws, kept, y, (k, LANES))


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
def drop(w: Writer, masks: Any, mask: Any, ws: Any, x: int, y: int, units: int) -> None:
    """Dropout: the states, or their derivatives, times a mask."""
    with w.loop(-(-units // LANES)) as k:
        w.store(w.mul(w.load(ws, x, (k, LANES)), w.load(masks, mask, (k, LANES))), ws, y, (k, LANES))


@kernel
def through_activation(w: Writer, ws: Any, x: int, d: int, units: int, activation: int, mode: int) -> None:
    """d/da from d/dx, in place. x: where the states are, or what was kept of them."""
    with w.loop(-(-units // LANES)) as k:
        of_x = w.load(ws, d, (k, LANES))
        w.store(through(w, of_x, w.load(ws, x, (k, LANES)), activation, mode), ws, d, (k, LANES))


@kernel
def full_backward(
    w: Writer, p: Any, e: Any, weight: int, bias: int, ws: Any, x: int, d: int, dx: int, below: int, units: int,
    activation: int, mode: int,
) -> None:  # fmt: skip
    """The gradient to the inputs, by the weights as they were, and the step of the weights, in one sweep."""
    for first in range(0, below, REGISTERS * LANES):
        block = range(first, min(below, first + REGISTERS * LANES), LANES)
        sums = {v: w.variable() for v in block}
        passing = w.unless_zero if NUMBERED[activation].sparse else nullcontext
        with w.loop(units) as o, passing(w.scalar(ws, d, o)):
            above = w.broadcast(ws, d, o)
            for v in block:
                place = (weight + v, (o, below))
                u, state = w.load(p, *place), w.load(ws, x + v)
                w.add_product(sums[v], w.square(u) if mode == SECOND_ORDER else u, above)
                learn(w, p, e, place, w.mul(above, w.square(state) if mode == SECOND_ORDER else state), mode)
        for v in block:
            w.store(w.get(sums[v]), ws, dx + v)
    with w.loop(-(-units // LANES)) as k:
        learn(w, p, e, (bias, (k, LANES)), w.load(ws, d, (k, LANES)), mode)
