"""What the kernels have in common: the numbers of their modes and choices, activations, and steps."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from paper_lenet import paper
from paper_lenet.engines.fused.vectors import Writer

# What a program is for: to learn, to add up h_kk without or with the cross terms of Eq. 22, to predict alone, or to add
# up gradients. But for PREDICT these are the modes of the backward kernels.
STEP, CURVATURE, SQUARES, PREDICT, GRADIENT = range(5)
ACTIVATIONS = ("scaled_tanh", "tanh", "relu")
SCALED_TANH, TANH, RELU = range(3)
NONE = 3  # of the linear output
POOLINGS = ("sum", "average", "avg_pool", "max_pool")
SUM, AVERAGE, AVG_POOL, MAX_POOL = range(4)


def activate(w: Writer, a: ir.Value, activation: int) -> ir.Value:
    """f(a), or a itself for NONE."""
    if activation == SCALED_TANH:
        return w.squash(a, paper.A, paper.S)  # Eq. 6, p. 8
    if activation == TANH:
        return w.squash(a, 1.0, 1.0)
    if activation == RELU:
        # an unordered comparison would turn a NaN into 0
        return w.where(w.b.fcmp_ordered("<", a, w.number(0.0)), w.number(0.0), a)
    return a


def through(w: Writer, d: ir.Value, x: ir.Value, activation: int, mode: int) -> ir.Value:
    """d f'(a) from the state x; the slope is squared for the curvature (Eq. 27)."""
    if activation == RELU:
        return w.where(w.b.fcmp_ordered(">", x, w.number(0.0)), d, w.number(0.0))
    amplitude, steepness = (paper.A, paper.S) if activation == SCALED_TANH else (1.0, 1.0)
    slope = w.fma(w.mul(x, w.number(-steepness / amplitude)), x, w.number(steepness * amplitude))
    return w.mul(d, w.square(slope) if mode == CURVATURE else slope)


def learn(w: Writer, p: Any, e: Any, at: tuple[Any, ...], gradient: ir.Value, mode: int) -> None:
    """One vector of parameters: p -= e * gradient (Eq. 18), or e += the gradient or its square."""
    if mode == STEP:
        w.store(w.sub(w.load(p, *at), w.mul(w.load(e, *at), gradient)), p, *at)
    elif mode == SQUARES:
        w.store(w.fma(gradient, gradient, w.load(e, *at)), e, *at)
    else:
        w.store(w.add(w.load(e, *at), gradient), e, *at)


def learn_one(w: Writer, p: Any, e: Any, at: tuple[Any, ...], gradient: ir.Value, mode: int) -> None:
    """The same for one parameter."""
    eps = w.scalar(e, *at)
    if mode == STEP:
        w.b.store(w.b.fsub(w.scalar(p, *at), w.b.fmul(eps, gradient)), w.at(p, *at))
    else:
        more = w.b.fmul(gradient, gradient) if mode == SQUARES else gradient
        w.b.store(w.b.fadd(eps, more), w.at(e, *at))


def sum_of_four(w: Writer, values: list[ir.Value]) -> ir.Value:
    """As two sums of two, which do not wait for each other."""
    return w.add(w.add(values[0], values[1]), w.add(values[2], values[3]))
