"""What the kernels have in common: the numbers of their modes and choices, and steps."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from paper_lenet.engines.fused.activations import NUMBERED
from paper_lenet.engines.fused.vectors import Writer

# What a program is for: to learn, to add up h_kk without or with the cross terms of Eq. 22, to predict alone, to add up
# gradients, h_kk with the cross terms of subsampling units, or to give the outputs. But for PREDICT, OUTPUTS and
# SUMMED, whose mode is SECOND_ORDER, these are the modes of the backward kernels.
STEP, SECOND_ORDER, CROSS_TERMS, PREDICT, GRADIENT, SUMMED, OUTPUTS = range(7)
POOLINGS = ("sum", "average", "avg_pool", "max_pool")
SUM, AVERAGE, AVG_POOL, MAX_POOL = range(4)


def activate_to(w: Writer, a: ir.Value, activation: int, ws: Any, kept: int, *place: Any) -> None:
    """f(a) to a place of ws; and its slope, where `through` cannot go by the state, `kept` further on.

    kept: 0 where no slope is wanted.
    """
    of = NUMBERED[activation]
    if kept and of.with_slope is not None:
        x, slope = of.with_slope(w, a)
        w.store(slope, ws, kept, *place)
    else:
        x = of.function(w, a)
    w.store(x, ws, *place)


def through(w: Writer, d: ir.Value, x: ir.Value, activation: int, mode: int) -> ir.Value:
    """d f'(a) from the state x, or from what was kept; the slope is squared for the curvature (Eq. 27)."""
    return NUMBERED[activation].through(w, d, x, mode == SECOND_ORDER)


def learn(w: Writer, p: Any, e: Any, at: tuple[Any, ...], gradient: ir.Value, mode: int) -> None:
    """One vector of parameters: p -= e * gradient (Eq. 18), or e += the gradient or its square."""
    if mode == STEP:
        w.store(w.sub(w.load(p, *at), w.mul(w.load(e, *at), gradient)), p, *at)
    elif mode == CROSS_TERMS:
        w.store(w.fma(gradient, gradient, w.load(e, *at)), e, *at)
    else:
        w.store(w.add(w.load(e, *at), gradient), e, *at)


def learn_one(w: Writer, p: Any, e: Any, at: tuple[Any, ...], gradient: ir.Value, mode: int) -> None:
    """The same for one parameter."""
    eps = w.scalar(e, *at)
    if mode == STEP:
        w.b.store(w.b.fsub(w.scalar(p, *at), w.b.fmul(eps, gradient)), w.at(p, *at))
    else:
        more = w.b.fmul(gradient, gradient) if mode == CROSS_TERMS else gradient
        w.b.store(w.b.fadd(eps, more), w.at(e, *at))


def sum_of_four(w: Writer, values: list[ir.Value]) -> ir.Value:
    """As two sums of two, which do not wait for each other."""
    return w.add(w.add(values[0], values[1]), w.add(values[2], values[3]))
