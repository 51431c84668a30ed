"""The first layer of a fully connected network, most of whose inputs have the value of the background.

Weights and step sizes lie pixel by pixel, (pixels, units). With b the value of the background, the pixels that differ
from it by r_j = x_j - b ("ink") are all that a pattern touches:

    a_i = bias_i + b V_i + sum of r_j w_ij over the ink,    V_i = sum of w_ij over all pixels

A step changes the weights of all other pixels as well, by -e_ij b d_i. Those wait: with D_i the sum of the d_i so far,
p holds u_ij = w_ij + b e_ij D_i, from which `settle` takes the rest away at the end of a call. Sums are kept beside
them: V_i, and of the step sizes over all pixels E_i and over the ink Q_i = sum of r_j e_ij.
"""

from __future__ import annotations

from typing import Any

from paper_lenet.engines.fused.activations import NUMBERS
from paper_lenet.engines.fused.kernels.common import STEP, activate_to, learn
from paper_lenet.engines.fused.vectors import LANES, Writer, kernel

BLOCK = 12  # vectors of units at once, each with two sums in registers


def blocks(units: int) -> list[range]:
    """First positions of the vectors of each block."""
    step = BLOCK * LANES
    return [range(first, min(units, first + step), LANES) for first in range(0, units, step)]


@kernel
def sum_pixels(w: Writer, p: Any, weight: int, ws: Any, sums: int, pixels: int, units: int) -> None:
    """For each unit the sum over all pixels; units: padded."""
    for block in blocks(units):
        totals = {v: w.variable() for v in block}
        with w.loop(pixels) as j:
            for v in block:
                w.b.store(w.add(w.get(totals[v]), w.load(p, weight + v, (j, units))), totals[v])
        for v in block:
            w.store(w.get(totals[v]), ws, sums + v)


@kernel
def ink_forward(
    w: Writer, p: Any, e: Any, weight: int, bias: int, ws: Any, r: int, ink: Any, count: Any, background: Any,
    v_sums: int, d_sums: int, q_sums: int, y: int, units: int, mode: int,
) -> None:  # fmt: skip
    """States of the units.  ink: positions of so many pixels.  r: where x_j - b of each of them is."""
    b = w.spread(background)
    for block in blocks(units):
        sums, steps = {v: w.variable() for v in block}, {v: w.variable() for v in block}
        with w.loop(count) as k:
            j, more = w.integer(ink, k), w.broadcast(ws, r, k)
            for v in block:
                place = (weight + v, (j, units))
                w.add_product(sums[v], w.load(p, *place), more)
                if mode == STEP:
                    w.add_product(steps[v], w.load(e, *place), more)
        for v in block:
            of_all = w.load(ws, v_sums + v)
            if mode == STEP:
                # what the weights of the ink still wait for
                of_all = w.sub(of_all, w.mul(w.load(ws, d_sums + v), w.get(steps[v])))
                w.store(w.get(steps[v]), ws, q_sums + v)
            a = w.fma(b, of_all, w.add(w.get(sums[v]), w.load(p, bias + v)))
            activate_to(w, a, NUMBERS["scaled_tanh"], ws, 0, y + v)


@kernel
def ink_backward(
    w: Writer, p: Any, e: Any, weight: int, bias: int, ws: Any, r: int, ink: Any, count: Any, background: Any,
    v_sums: int, d_sums: int, e_sums: int, q_sums: int, d: int, units: int, mode: int,
) -> None:  # fmt: skip
    """What the ink's weights learn from the derivatives d, and the sums for those of all other pixels.

    r: as in `ink_forward`; for the curvature x_j^2 - b^2.
    """
    b = w.spread(background)
    for block in blocks(units):
        above = {v: w.load(ws, d + v) for v in block}
        with w.loop(count) as k:
            j, more = w.integer(ink, k), w.broadcast(ws, r, k)
            for v in block:
                learn(w, p, e, (weight + v, (j, units)), w.mul(more, above[v]), mode)
        for v in block:
            learn(w, p, e, (bias + v,), above[v], mode)
            w.store(w.add(w.load(ws, d_sums + v), above[v]), ws, d_sums + v)
            if mode == STEP:
                step = w.fma(b, w.load(ws, e_sums + v), w.load(ws, q_sums + v))
                w.store(w.sub(w.load(ws, v_sums + v), w.mul(above[v], step)), ws, v_sums + v)


@kernel
def settle(
    w: Writer, p: Any, e: Any, weight: int, ws: Any, background: Any, d_sums: int, pixels: int, units: int, mode: int
) -> None:
    """What waited, to the weights of every pixel: p -= e b D (Eq. 18), or e += b D.

    background: b; for the curvature its square.
    """
    b = w.spread(background)
    for block in blocks(units):
        waiting = {v: w.mul(b, w.load(ws, d_sums + v)) for v in block}
        with w.loop(pixels) as j:
            for v in block:
                learn(w, p, e, (weight + v, (j, units)), waiting[v], mode)
