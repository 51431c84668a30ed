"""The activations in vectors: x = f(a), and the way back through it, by the state x alone
or by the slope, which is then kept beside the state.

Each is one row of ACTIVATIONS. Compiled code cannot call those of paper_lenet/activations.py, which are PyTorch's;
tests/test_options.py compares what both train.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from llvmlite import ir

from paper_lenet import paper
from paper_lenet.engines.fused.vectors import Writer


@dataclass(frozen=True)
class Activation:
    """An activation as the instructions that `Writer` writes.

    function: (w, a) -> x.  through: (w, d, x, squared) -> d f'(a), or d f'(a)^2 where squared, as Eq. 27 has it.
    sparse: whether it has about half of the units pass nothing back.
    with_slope: (w, a) -> (x, f'(a)), where the slope does not follow from the state; `through` then gets it for x.
    """

    function: Callable[[Writer, ir.Value], ir.Value]
    through: Callable[[Writer, ir.Value, ir.Value, bool], ir.Value]
    sparse: bool = False
    with_slope: Callable[[Writer, ir.Value], tuple[ir.Value, ir.Value]] | None = None


def by_slope(slope: Callable[[Writer, ir.Value], ir.Value]) -> Callable[[Writer, ir.Value, ir.Value, bool], ir.Value]:
    """`through` of an activation with this f'(a) of the state: (w, x) -> f'(a)."""

    def through(w: Writer, d: ir.Value, x: ir.Value, squared: bool) -> ir.Value:
        of_a = slope(w, x)
        return w.mul(d, w.square(of_a) if squared else of_a)

    return through


def _tanh(amplitude: float, steepness: float) -> Activation:
    """amplitude tanh(steepness a)"""
    return Activation(
        lambda w, a: w.squash(a, amplitude, steepness),
        by_slope(lambda w, x: w.fma(w.mul(x, w.number(-steepness / amplitude)), x, w.number(steepness * amplitude))),
    )


def _relu(w: Writer, a: ir.Value) -> ir.Value:
    # an unordered comparison would turn a NaN into 0
    return w.where(w.b.fcmp_ordered("<", a, w.number(0.0)), w.number(0.0), a)


def _through_relu(w: Writer, d: ir.Value, x: ir.Value, squared: bool) -> ir.Value:
    return w.where(w.b.fcmp_ordered(">", x, w.number(0.0)), d, w.number(0.0))


def _by_kept(with_slope: Callable[[Writer, ir.Value], tuple[ir.Value, ir.Value]]) -> Activation:
    """One whose slope is kept."""
    return Activation(lambda w, a: with_slope(w, a)[0], by_slope(lambda w, slope: slope), with_slope=with_slope)


# For float: the normal distribution's share below a, and the slope of GELU, both less 1/2, as rational functions of a;
# within 3e-7. Made as those of tanh (vectors.py), but of the error itself.
SHARE_LIMIT = 5.2
SHARE_P = (0.398941917, 0.0495946118, 0.00551881642, 0.000314276559, 5.84085702e-06)
SHARE_Q = (1.0, 0.290976021, 0.0373405228, 0.00270382254, 0.00011274574, 5.0191701e-07)
SLOPE_LIMIT = 5.6
SLOPE_P = (0.797885345, -0.030975309, 0.0142260681, 1.97521338e-05, 3.58993343e-05, 1.92167713e-07)
SLOPE_Q = (1.0, 0.29451964, 0.0409837623, 0.00352264005, 0.000192052239, 8.92818467e-06)


def _gelu(w: Writer, a: ir.Value) -> tuple[ir.Value, ir.Value]:
    half = w.number(0.5)
    if w.bytes == 4:
        below = w.add(half, w.rational(a, SHARE_LIMIT, SHARE_P, SHARE_Q))
        return w.mul(a, below), w.add(half, w.rational(a, SLOPE_LIMIT, SLOPE_P, SLOPE_Q))
    below = w.fma(half, w.by_library("erf", w.mul(a, w.number(math.sqrt(0.5)))), half)
    density = w.mul(w.by_library("exp", w.mul(w.square(a), w.number(-0.5))), w.number(1 / math.sqrt(2 * math.pi)))
    return w.mul(a, below), w.fma(a, density, below)


def _silu(w: Writer, a: ir.Value) -> tuple[ir.Value, ir.Value]:
    sigmoid = w.add(w.number(0.5), w.squash(a, 0.5, 0.5))
    x = w.mul(a, sigmoid)
    return x, w.fma(x, w.sub(w.number(1.0), sigmoid), sigmoid)


ACTIVATIONS: dict[str, Activation] = {
    "scaled_tanh": _tanh(paper.A, paper.S),  # Eq. 6, p. 8
    "tanh": _tanh(1.0, 1.0),
    "relu": Activation(_relu, _through_relu, sparse=True),
    "gelu": _by_kept(_gelu),
    "silu": _by_kept(_silu),
}
# Compiled programs know them by their number; the last one is that of a linear output.
NUMBERED = [*ACTIVATIONS.values(), Activation(lambda w, a: a, lambda w, d, x, squared: d)]
NUMBERS = {name: number for number, name in enumerate(ACTIVATIONS)}
NONE = len(ACTIVATIONS)
