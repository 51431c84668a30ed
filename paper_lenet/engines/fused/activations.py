"""The activations in vectors: x = f(a), and the way back through it by the state x alone.

Each is one row of ACTIVATIONS. Compiled code cannot call those of paper_lenet/activations.py, which are PyTorch's;
tests/test_options.py compares what both train.
"""

from __future__ import annotations

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
    """

    function: Callable[[Writer, ir.Value], ir.Value]
    through: Callable[[Writer, ir.Value, ir.Value, bool], ir.Value]
    sparse: bool = False


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


ACTIVATIONS: dict[str, Activation] = {
    "scaled_tanh": _tanh(paper.A, paper.S),  # Eq. 6, p. 8
    "tanh": _tanh(1.0, 1.0),
    "relu": Activation(_relu, _through_relu, sparse=True),
}
# Compiled programs know them by their number; the last one is that of a linear output.
NUMBERED = [*ACTIVATIONS.values(), Activation(lambda w, a: a, lambda w, d, x, squared: d)]
NUMBERS = {name: number for number, name in enumerate(ACTIVATIONS)}
NONE = len(ACTIVATIONS)
