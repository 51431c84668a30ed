"""The reference's arithmetic, compiled for one core: forward, backward and step of the whole network in one call.

Parameters, step sizes and states live in flat arrays whose layout suits vectors (kernels.py); `Layout` says where each
parameter of the state_dict is. In float64 it agrees with the reference to rounding; in float32 tanh is replaced by a
rational function good to 6e-7 (vectors.py).
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from paper_lenet.config import Config
from paper_lenet.data import Data, levels
from paper_lenet.engines import Checkpoint, loop
from paper_lenet.engines import kernels as k
from paper_lenet.engines.grey import grey
from paper_lenet.engines.plan import Indices, Pass, Patterns
from paper_lenet.engines.vectors import LANES
from paper_lenet.models.family import PaperNet
from paper_lenet.models.lenet5 import build

CHUNK = 1000  # images made grey at once
Array = NDArray[Any]


def _padded(n: int) -> int:
    return -(-n // LANES) * LANES


@dataclass(frozen=True)
class Shape:
    """The sizes of a network of the family, all a compiled program depends on.

    side: of the input.  maps, maps3: of C1 and C3.  units: of C5 and, if there is one, of F6.  classes.
    average: whether S2 and S4 average.
    """

    side: int
    maps: int
    maps3: int
    units: tuple[int, ...]
    classes: int
    average: bool

    @classmethod
    def of(cls, model: PaperNet) -> Shape:
        """Raises ValueError for a network whose rows do not fit the kernels' vectors."""
        maps, maps3 = model.c3.table.shape
        shape = cls(model.side, maps, maps3, model.units, len(model.output.centres), model.s2.scale != 1)
        if model.side not in (24, 28, 32):
            raise ValueError(f"an input of {model.side}x{model.side}: the fused engine takes sides of 24, 28 and 32")
        return shape

    @property
    def stride(self) -> int:
        return _padded(self.side)

    @property
    def rows1(self) -> int:
        return self.side - 4

    @property
    def rows3(self) -> int:
        return self.rows1 // 2 - 4

    @property
    def lanes3(self) -> int:
        return _padded(self.maps3)

    @property
    def below(self) -> list[int]:
        """Padded numbers of inputs of C5, of F6 if there is one, and of the output."""
        return [(self.rows3 // 2) ** 2 * self.lanes3, *(_padded(n) for n in self.units)]


class Layout:
    """Where each parameter of a network lies in the flat array of the kernels.

    at: first position of each parameter's area.  size: length of the flat array.
    places: for each name in the state_dict an int64 array of the parameter's shape, its positions.
    """

    def __init__(self, model: PaperNet) -> None:
        s = Shape.of(model)
        areas = {"c1.weight": s.maps * 25, "c1.bias": s.maps, "s2.coefficient": s.maps, "s2.bias": s.maps,
                 "c3.weight": s.maps * 25 * s.lanes3, "c3.bias": s.lanes3, "s4.coefficient": s.lanes3,
                 "s4.bias": s.lanes3}  # fmt: skip
        for name, units, below in zip(("c5", "f6"), s.units, s.below, strict=False):
            areas |= {f"{name}.weight": units * below, f"{name}.bias": _padded(units)}
        self.at: dict[str, int] = {}
        end = 0
        for name, length in areas.items():
            self.at[name] = end
            end += _padded(length)
        self.size = end
        taps = np.arange(25).reshape(5, 5)
        inner: dict[str, Array] = {name: np.arange(p.numel()).reshape(p.shape) for name, p in model.named_parameters()}
        o, i = model.c3.out_of.numpy(), model.c3.in_of.numpy()
        inner["c3.weight"] = (i[:, None, None] * 25 + taps) * s.lanes3 + o[:, None, None]
        side4 = s.rows3 // 2
        unit, m, r, c = np.ogrid[: s.units[0], : s.maps3, :side4, :side4]
        inner["c5.weight"] = unit * s.below[0] + (r * side4 + c) * s.lanes3 + m
        if len(s.units) == 2:
            inner["f6.weight"] = np.arange(s.units[1])[:, None] * s.below[1] + np.arange(s.units[0])
        self.places = {n: self.at[n] + np.broadcast_to(inner[n], p.shape) for n, p in model.named_parameters()}

    def pack(self, values: dict[str, Array], dtype: Any) -> Array:
        """A flat array with the named values in their places and 0 elsewhere."""
        flat = _aligned(self.size, dtype)
        for name, where in self.places.items():
            flat[where] = values[name]
        return flat

    def unpack(self, flat: Array) -> dict[str, Array]:
        """The named values of a flat array, in the state_dict's shapes."""
        return {name: flat[where] for name, where in self.places.items()}


def _aligned(size: int, dtype: Any) -> Array:
    """Zeros that begin on a cache line, with a vector to spare at the end."""
    raw = np.zeros(size + 64 + LANES, dtype)
    start = -raw.ctypes.data % 64 // raw.itemsize
    return raw[start : start + size + LANES]


@functools.cache
def _sources() -> str:
    """A digest of the files that a compiled program is made of; Numba's cache on disk looks only at this one."""
    here = Path(__file__).parent
    files = [here / "fused.py", here / "kernels.py", here / "vectors.py", here.parent / "paper.py"]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


# What a program is for: to learn, to add up h_kk without or with the cross terms of Eq. 22, or to predict alone.
TRAIN, CURVATURE, SQUARES, PREDICT = k.STEP, k.CURVATURE, k.SQUARES, 3


@functools.cache
def program(purpose: int, shape: Shape, at_items: tuple[tuple[str, int], ...]) -> tuple[Any, int]:
    """The compiled program of one purpose for a network's shape and layout, and the length of its workspace.

    It reads nothing but whole numbers from outside, so that Numba can keep it on disk.
    """
    at = dict(at_items)
    sources = _sources()
    mode = purpose
    stride, maps, lanes3, classes = shape.stride, shape.maps, shape.lanes3, shape.classes
    rows1, rows2, rows3 = shape.rows1, shape.rows1 // 2, shape.rows3
    rows4, average, has_f6 = rows3 // 2, int(shape.average), len(shape.units) == 2
    image = shape.side * stride
    units5, units_last = shape.units[0], shape.units[-1]
    below5, below6, below_output = shape.below[0], shape.below[1], shape.below[-1]

    c1w, c1b, s2c, s2b = at["c1.weight"], at["c1.bias"], at["s2.coefficient"], at["s2.bias"]
    c3w, c3b, s4c, s4b = at["c3.weight"], at["c3.bias"], at["s4.coefficient"], at["s4.bias"]
    c5w, c5b, f6w, f6b = at["c5.weight"], at["c5.bias"], at.get("f6.weight", 0), at.get("f6.bias", 0)

    areas = [maps * rows1 * stride, maps * rows2 * LANES, maps * rows2 * LANES, rows3**2 * lanes3, below5, below5,
             _padded(units5), _padded(units5), below_output, below_output, _padded(classes), _padded(classes),
             lanes3 * rows3 * k.PLANE_STRIDE]  # fmt: skip
    x1, x2, dx2, x3, x4, dx4, x5, d5, x6, d6, y, g, planes, end = itertools.accumulate(areas, initial=0)
    x_last, d_last = (x6, d6) if has_f6 else (x5, d5)
    # with cross terms each state of the last layer is propagated back by itself
    repeats = units_last if purpose == SQUARES else 1

    @njit(cache=True, error_model="numpy")
    def run(p, e, ws, images, labels, out, centres, first, fed, factor, eq9, j):  # type: ignore[no-untyped-def]
        """Predictions of all images to out, and by purpose an update a pattern or h_kk added to e.

        Gives the sum of the losses and the number of patterns, up to one whose loss is not finite.
        """
        _ = sources  # belongs to the key of Numba's cache
        losses = 0.0
        for step in range(len(out) * repeats):
            n, repeat = step // repeats, step % repeats
            k.c1_forward(images, n * image, p, c1w, c1b, ws, x1, rows1, stride, maps)
            k.s2_forward(p, s2c, s2b, ws, x1, x2, rows2, maps, average)
            k.c3_forward(p, c3w, c3b, ws, x2, x3, rows3, maps, lanes3)
            k.s4_forward(p, s4c, s4b, ws, x3, x4, rows4, lanes3, average)
            k.full_forward(p, c5w, c5b, ws, x4, x5, below5, units5)
            if has_f6:
                k.full_forward(p, f6w, f6b, ws, x5, x6, below6, units_last)
            k.rbf_forward(centres, ws, x_last, y, below_output, classes)

            least = 0
            for i in range(classes):
                ws[y + i] *= factor
                ws[g + i] = 0.0
                if ws[y + i] < ws[y + least]:
                    least = i
            out[n] = least
            if mode == PREDICT:
                continue

            # The share of each penalty in Eq. 9's sum, exp(-y_i) / (exp(-j) + sum exp(-y_i)), stays in g.
            label = labels[n]
            loss = ws[y + label]
            if eq9:
                smallest = min(j, ws[y + least])
                total = math.exp(smallest - j)
                for i in range(classes):
                    ws[g + i] = math.exp(smallest - ws[y + i])
                    total += ws[g + i]
                for i in range(classes):
                    ws[g + i] /= total
                loss += math.log(total) - smallest
            if not math.isfinite(loss):
                return losses, n
            losses += loss

            if mode != TRAIN:
                # As sdlm.output_curvature, by the derivatives of Eq. 9: (i = D) - share, diag(share) - share share^T
                for unit in range(units_last):
                    shares, mean, square = 0.0, 0.0, 0.0
                    for i in range(classes):
                        u = 2.0 * factor * (ws[x_last + unit] - centres[i * below_output + unit])
                        shares += ws[g + i]
                        mean += ws[g + i] * u
                        square += ws[g + i] * u * u
                    ws[d_last + unit] = 2.0 * factor * (1.0 - shares) + square - mean * mean
                    if mode == SQUARES:
                        ws[d_last + unit] = math.sqrt(ws[d_last + unit]) if unit == repeat else 0.0
            else:
                for i in range(classes):
                    ws[g + i] = 2.0 * factor * ((1.0 if i == label else 0.0) - ws[g + i])
                k.rbf_backward(centres, ws, x_last, g, d_last, below_output, classes)

            k.through_squash(ws, x_last, d_last, units_last, mode)
            if has_f6:
                k.full_backward(p, e, f6w, f6b, ws, x5, d6, d5, below6, units_last, mode)
                k.through_squash(ws, x5, d5, units5, mode)
            k.full_backward(p, e, c5w, c5b, ws, x4, d5, dx4, below5, units5, mode)
            k.s4_backward(p, e, s4c, s4b, ws, x3, x4, dx4, rows4, lanes3, average, mode)
            k.c3_planes(ws, x3, planes, rows3, lanes3)
            k.c3_input_backward(p, c3w, ws, planes, dx2, first, fed, rows3, maps, lanes3, mode)
            k.c3_weight_step(p, e, c3w, c3b, ws, x2, x3, rows3, maps, lanes3, mode)
            k.s2_backward(p, e, s2c, s2b, c1b, ws, x1, x2, dx2, rows2, maps, average, mode)
            k.c1_weight_step(images, n * image, p, e, c1w, ws, x1, rows1, stride, maps, mode)
        return losses, len(out)

    return run, end


class FusedNet:
    """A network of the family in the kernels' layout. As loop.Net.

    model: gives shape, tables, centres and the parameters to start from.  dtype: numpy's float32 or float64.
    config: for the loss, mu and precision.
    """

    pace = 10_000

    def __init__(self, model: PaperNet, config: Config) -> None:
        self.dtype = np.dtype(config.engine.precision)
        self.layout, self.shape = Layout(model), Shape.of(model)
        shape = self.shape
        self.p = self.layout.pack({n: w.detach().numpy() for n, w in model.named_parameters()}, self.dtype)
        self.eps: dict[str, Array] = {}
        self.e = _aligned(self.layout.size, self.dtype)
        self.ws = _aligned(self._program(PREDICT)[1], self.dtype)
        self.centres = _aligned(shape.classes * shape.below[-1], self.dtype)
        self.centres[: shape.classes * shape.below[-1]].reshape(shape.classes, -1)[:, : shape.units[-1]] = (
            model.output.centres.numpy()
        )
        table = model.c3.table.numpy()
        self.first = np.concatenate([[0], np.cumsum(table.sum(1))]).astype(np.int64)
        self.fed = np.nonzero(table)[1].astype(np.int64)
        self.factor, self.loss, self.mu = model.output.factor, config.loss, config.optim.mu
        self.cross_terms = config.optim.cross_terms == "kept"
        self.levels, self.side, self.stride = levels(self.dtype), shape.side, shape.stride
        self.chunk = _aligned(CHUNK * self.side * self.stride, self.dtype)

    def _program(self, purpose: int) -> tuple[Any, int]:
        return program(purpose, self.shape, tuple(self.layout.at.items()))

    def _run(
        self, purpose: int, e: Array, patterns: Patterns, chosen: Indices, eq9: bool
    ) -> tuple[float, int, NDArray[np.int64]]:
        """The program of a purpose on the chosen patterns: sum of the losses, patterns done, predictions."""
        run, _ = self._program(purpose)
        labels = patterns.labels_of(chosen)
        losses, out = 0.0, np.empty(len(chosen), np.int64)
        for start in range(0, len(chosen), CHUNK):
            part = slice(start, start + CHUNK)
            grey(patterns.images, patterns.maps, chosen[part], self.levels, self.side, self.stride, self.chunk)
            more, done = run(
                self.p, e, self.ws, self.chunk, labels[part], out[part], self.centres, self.first, self.fed,
                self.factor, eq9, float(self.loss.j),
            )  # fmt: skip
            losses += more
            if done < len(out[part]):
                return losses, start + done, out
        return losses, len(out), out

    def parameters(self) -> dict[str, Array]:
        return self.layout.unpack(self.p)

    def set_parameters(self, values: dict[str, Array]) -> None:
        self.p = self.layout.pack(values, self.dtype)

    def memory(self) -> dict[str, Array]:
        return dict(self.eps)

    def set_memory(self, values: dict[str, Array]) -> None:
        self.eps = dict(values)
        self.e = self.layout.pack(self.eps, self.dtype)

    def begin(self, patterns: Patterns, this: Pass) -> None:
        h = self.diagonal_hessian(patterns, this.hessian_sample)
        self.set_memory({name: this.eta / (self.mu + value) for name, value in h.items()})  # Eq. 21, p. 41

    def rates(self) -> tuple[float, float]:
        return min(float(e.min()) for e in self.eps.values()), max(float(e.max()) for e in self.eps.values())

    def train(self, patterns: Patterns, order: Indices, this: Pass, done: int) -> tuple[float, int, NDArray[np.int64]]:
        return self._run(TRAIN, self.e, patterns, order, self.loss.name == "eq9")

    def diagonal_hessian(self, patterns: Patterns, sample: Indices) -> dict[str, Array]:
        """h_kk by parameter, averaged over the sampled patterns, as `sdlm.curvature`."""
        h = _aligned(self.layout.size, self.dtype)
        purpose = SQUARES if self.cross_terms else CURVATURE
        self._run(purpose, h, patterns, sample, self.loss.name == "eq9" and self.loss.curvature == "exact")
        return {name: value / len(sample) for name, value in self.layout.unpack(h).items()}

    def predict(self, patterns: Patterns) -> NDArray[np.int64]:
        return self._run(PREDICT, self.p, patterns, np.arange(len(patterns.images)), False)[2]


def train(config: Config, data: Data, seed: int, start: Checkpoint | None = None) -> Iterator[Checkpoint]:
    """Train one network, as loop.train."""
    model = loop.in_order(build(config.model, seed), config.engine.summation)
    assert isinstance(model, PaperNet)
    return loop.train(FusedNet(model, config), config, data, seed, start)
