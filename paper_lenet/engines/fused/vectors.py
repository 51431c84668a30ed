"""Explicit vectors for Numba: a small writer of LLVM instructions.

Numba vectorises plain loops, but it decides which, how wide and what stays in a register. The kernels of the fused
engine say so themselves: each is a Python function that writes the instructions of one loop nest, in which a Python
`for` is an unrolled loop and `Writer.loop` a loop at run time. LLVM splits the vectors where a processor's are
shorter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 16
INT = ir.IntType(64)

# tanh(u) = u P(u^2) / Q(u^2) for |u| <= TANH_LIMIT, beyond which it is held; a minimax fit of the relative error
# (2.2e-7, with float32's rounding 6e-7), made by Lawson's iteration on the linearised problem.
TANH_LIMIT = 8.0
TANH_P = (0.999999788, 0.127123706, 0.00269646374, 7.16281673e-06, -6.14267349e-09)
TANH_Q = (1.0, 0.460455333, 0.0228505485, 0.000196751439)


class Writer:
    """Writes instructions on vectors of LANES numbers of one element type (float or double).

    Pointers are pairs (array, offset): the array's first element and a position, an int or a value of INT.
    """

    def __init__(self, builder: ir.IRBuilder, element: ir.Type) -> None:
        self.b = builder
        self.element = element
        self.vector = ir.VectorType(element, LANES)
        self.bytes = 4 if isinstance(element, ir.FloatType) else 8

    # numbers and addresses
    def number(self, value: float) -> ir.Value:
        """A vector of LANES times one constant."""
        return ir.Constant(self.vector, [value] * LANES)

    def index(self, *terms: Any) -> ir.Value:
        """The sum of terms, each an int, a value of INT, or a pair (value, int) that stands for their product."""
        total: Any = None
        fixed = 0
        for term in terms:
            if isinstance(term, int):
                fixed += term
                continue
            value = self.b.mul(term[0], INT(term[1])) if isinstance(term, tuple) else term
            total = value if total is None else self.b.add(total, value)
        return INT(fixed) if total is None else self.b.add(total, INT(fixed))

    def larger(self, x: ir.Value, y: int) -> ir.Value:
        return self.b.select(self.b.icmp_signed(">", x, INT(y)), x, INT(y))

    def smaller(self, x: ir.Value, y: int) -> ir.Value:
        return self.b.select(self.b.icmp_signed("<", x, INT(y)), x, INT(y))

    def at(self, array: ir.Value, *terms: Any) -> ir.Value:
        """Address of array[sum of terms]."""
        return self.b.gep(array, [self.index(*terms)], source_etype=self.element)

    # memory
    def load(self, array: ir.Value, *terms: Any) -> ir.Value:
        """LANES numbers from array[sum of terms] on."""
        pointer = self.b.bitcast(self.at(array, *terms), self.vector.as_pointer())
        return self.b.load(pointer, align=self.bytes, typ=self.vector)

    def store(self, value: ir.Value, array: ir.Value, *terms: Any) -> None:
        pointer = self.b.bitcast(self.at(array, *terms), self.vector.as_pointer())
        self.b.store(value, pointer, align=self.bytes)

    def scalar(self, array: ir.Value, *terms: Any) -> ir.Value:
        """One number."""
        return self.b.load(self.at(array, *terms), typ=self.element)

    def integer(self, array: ir.Value, at: ir.Value) -> ir.Value:
        """array[at] of an array of int64."""
        return self.b.load(self.b.gep(array, [at], source_etype=INT), typ=INT)

    def spread(self, value: ir.Value) -> ir.Value:
        """A vector of LANES times one number."""
        first = self.b.insert_element(ir.Constant(self.vector, ir.Undefined), value, ir.IntType(32)(0))
        return self.shuffle(first, first, [0] * LANES)

    def broadcast(self, array: ir.Value, *terms: Any) -> ir.Value:
        """A vector of LANES times array[sum of terms]."""
        return self.spread(self.scalar(array, *terms))

    def variable(self, start: ir.Value | None = None) -> ir.Value:
        """A vector that loops may change (0 unless told); LLVM keeps it in a register."""
        slot = cgutils.alloca_once(self.b, self.vector)
        self.b.store(self.number(0.0) if start is None else start, slot)
        return slot

    def get(self, slot: ir.Value) -> ir.Value:
        return self.b.load(slot, typ=self.vector)

    def add_product(self, slot: ir.Value, x: ir.Value, y: ir.Value) -> None:
        """slot += x * y"""
        self.b.store(self.fma(x, y, self.get(slot)), slot)

    # arithmetic
    def fma(self, x: ir.Value, y: ir.Value, z: ir.Value) -> ir.Value:
        """x * y + z, in one rounding where the processor can."""
        name = f"llvm.fmuladd.v{LANES}f{8 * self.bytes}"
        kind = ir.FunctionType(self.vector, [self.vector] * 3)
        return self.b.call(cgutils.get_or_insert_function(self.b.module, kind, name), [x, y, z])

    def add(self, x: ir.Value, y: ir.Value) -> ir.Value:
        return self.b.fadd(x, y)

    def sub(self, x: ir.Value, y: ir.Value) -> ir.Value:
        return self.b.fsub(x, y)

    def mul(self, x: ir.Value, y: ir.Value) -> ir.Value:
        return self.b.fmul(x, y)

    def square(self, x: ir.Value) -> ir.Value:
        return self.b.fmul(x, x)

    def where(self, condition: ir.Value, x: ir.Value, y: ir.Value) -> ir.Value:
        """x in the lanes where the condition holds, y elsewhere."""
        return self.b.select(condition, x, y)

    def maximum(self, x: ir.Value, y: ir.Value) -> ir.Value:
        """The larger one; NaN where either is."""
        name = f"llvm.maximum.v{LANES}f{8 * self.bytes}"
        kind = ir.FunctionType(self.vector, [self.vector] * 2)
        return self.b.call(cgutils.get_or_insert_function(self.b.module, kind, name), [x, y])

    def shuffle(self, x: ir.Value, y: ir.Value, lanes: list[int]) -> ir.Value:
        """The named lanes of x (0 .. LANES-1) and y (LANES ..)."""
        return self.b.shuffle_vector(x, y, ir.Constant(ir.VectorType(ir.IntType(32), LANES), lanes))

    def total(self, x: ir.Value) -> ir.Value:
        """The sum of a vector's numbers, by halves."""
        width = LANES
        while width > 1:
            width //= 2
            x = self.add(x, self.shuffle(x, x, [(k + width) % LANES for k in range(LANES)]))
        return self.b.extract_element(x, ir.IntType(32)(0))

    def totals(self, vectors: list[ir.Value]) -> ir.Value:
        """The sums of up to LANES vectors, one per lane, and 0 in the lanes that are left."""
        vectors = vectors + [self.number(0.0)] * (LANES - len(vectors))
        width = LANES
        while width > 1:
            # two vectors into one: of every `width` lanes of each the two halves are added
            half = width // 2
            low = [k if k % width < half else k - half + LANES for k in range(LANES)]
            high = [lane + half for lane in low]
            pairs = zip(vectors[: len(vectors) // 2], vectors[len(vectors) // 2 :], strict=True)
            vectors = [self.add(self.shuffle(x, y, low), self.shuffle(x, y, high)) for x, y in pairs]
            width = half
        return vectors[0]

    def squash(self, a: ir.Value, amplitude: float, slope: float) -> ir.Value:
        """amplitude * tanh(slope * a): within 6e-7 of it, relative, for float, the C library's tanh for double."""
        u = self.mul(a, self.number(slope))
        if self.bytes == 8:
            return self.mul(self.by_library("tanh", u), self.number(amplitude))
        return self.rational(u, TANH_LIMIT, [amplitude * c for c in TANH_P], TANH_Q)

    def by_library(self, name: str, u: ir.Value) -> ir.Value:
        """A function of the C library, of doubles one by one."""
        kind = ir.FunctionType(self.element, [self.element])
        function = cgutils.get_or_insert_function(self.b.module, kind, name)
        for k in range(LANES):
            lane = ir.IntType(32)(k)
            u = self.b.insert_element(u, self.b.call(function, [self.b.extract_element(u, lane)]), lane)
        return u

    def rational(self, u: ir.Value, held: float, over: Sequence[float], under: Sequence[float]) -> ir.Value:
        """u P(u^2) / Q(u^2) by the coefficients of P and Q, the constant first; beyond ±held as there."""
        for limit, beyond in ((held, ">"), (-held, "<")):
            # an unordered comparison would let a NaN through as the limit
            u = self.b.select(self.b.fcmp_ordered(beyond, u, self.number(limit)), self.number(limit), u)
        t = self.square(u)
        p, q = self.number(over[-1]), self.number(under[-1])
        for c in reversed(over[:-1]):
            p = self.fma(p, t, self.number(c))
        for c in reversed(under[:-1]):
            q = self.fma(q, t, self.number(c))
        return self.b.fdiv(self.mul(u, p), q)

    # loops
    @contextmanager
    def loop(self, count: int | ir.Value) -> Iterator[ir.Value]:
        """A loop at run time; gives its counter."""
        with cgutils.for_range(self.b, INT(count) if isinstance(count, int) else count) as counter:
            yield counter.index

    @contextmanager
    def unless_zero(self, value: ir.Value) -> Iterator[None]:
        """What is written inside is done unless a number is 0."""
        with self.b.if_then(self.b.fcmp_unordered("!=", value, self.element(0.0))):
            yield


def kernel(write: Callable[..., None]) -> Any:
    """Make a function that writes instructions callable from compiled code.

    `write(w, *arguments)` gets a Writer, an address for each array argument, and a Python int for each literal int;
    the compiled code calls it without `w`. Its arrays of numbers have one element type; arrays of int64 may stand
    beside them.
    """

    @intrinsic(prefer_literal=True)
    def call(typingctx: Any, *arguments: Any) -> Any:
        kinds = tuple(arguments[0] if isinstance(arguments[0], types.BaseTuple) else arguments)  # type: ignore[arg-type]

        def code(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> ir.Value:
            passed: list[Any] = []
            element = None
            for kind, value in zip(kinds, cgutils.unpack_tuple(builder, values[0]), strict=True):
                if isinstance(kind, types.Array):
                    if isinstance(kind.dtype, types.Float):
                        element = context.get_data_type(kind.dtype)
                    passed.append(context.make_array(kind)(context, builder, value).data)
                else:
                    passed.append(getattr(kind, "literal_value", value))
            write(Writer(builder, element), *passed)
            return context.get_dummy_value()

        return types.void(types.StarArgTuple.from_types(kinds)), code

    return call
