"""The reference's arithmetic, compiled for one core: forward, backward and step of the whole network in one call.

Parameters, step sizes and states live in flat arrays whose layout suits vectors (kernels.py); `Layout` says where each
parameter of the state_dict is. In float64 it agrees with the reference to rounding; in float32 tanh is replaced by a
rational function good to 6e-7 (vectors.py).

SDLM updates after each pattern within the compiled call. For minibatches and the other optimisers the call adds
gradients up, and the update works on the flat arrays. Refused, by a ValueError: GELU and SiLU, whose slopes the states
do not give, batch normalisation, dropout and Muon.
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
import torch
from numba import njit
from numpy.typing import NDArray
from torch import nn

from paper_lenet import paper
from paper_lenet.config import Config, ModelConfig
from paper_lenet.data import Data
from paper_lenet.engines import Checkpoint, loop
from paper_lenet.engines.fused import dense
from paper_lenet.engines.fused import kernels as k
from paper_lenet.engines.fused.grey import grey
from paper_lenet.engines.fused.layout import Array, FlatLayout, aligned, padded
from paper_lenet.engines.fused.penalties import curvatures, loss_of, slopes, winner
from paper_lenet.engines.fused.vectors import LANES
from paper_lenet.learning.optimisers import Optimiser, corrections, rate_of
from paper_lenet.learning.patterns import Indices, Pass, Patterns
from paper_lenet.learning.sdlm import Network
from paper_lenet.network.layers import EuclideanRBF, Subsampling
from paper_lenet.network.lenet5 import build
from paper_lenet.network.mlp import MLP
from paper_lenet.network.modern import ModernNet
from paper_lenet.network.paper_net import PaperNet

CHUNK = 1000  # images made grey at once
PACE = 10_000  # about so many patterns between two checkpoints


@dataclass(frozen=True)
class Shape:
    """The sizes of a network of the family, all a compiled program depends on.

    side: of the input.  maps, maps2, maps3: of C1, S2 and C3.  units: of C5 and, if there is one, of F6.  classes.
    full: whether every map of S2 feeds every map of C3.  activation, pooling, output: as in ModelConfig.
    """

    side: int
    maps: int
    maps2: int
    maps3: int
    units: tuple[int, ...]
    classes: int
    full: bool
    activation: str
    pooling: str
    output: str

    @classmethod
    def of(cls, model: PaperNet | ModernNet) -> Shape:
        """Raises ValueError for a network whose rows do not fit the kernels' vectors, or of a choice they lack."""
        choices = getattr(model, "choices", ModelConfig())
        for name, wanted in (("activation", k.ACTIVATIONS), ("batch_norm", (False,)), ("dropout", (0,))):
            if (value := getattr(choices, name)) not in wanted:
                raise ValueError(f"model.{name}={value}: the fused engine has only {', '.join(map(str, wanted))}")
        if model.side not in (24, 28, 32):
            raise ValueError(f"an input of {model.side}x{model.side}: the fused engine takes sides of 24, 28 and 32")
        pooling = choices.pooling
        if isinstance(model.s2, Subsampling):
            pooling = "sum" if model.s2.scale == 1 else "average"
        linear = isinstance(model.output, nn.Linear)
        classes = model.output.out_features if isinstance(model.output, nn.Linear) else len(model.output.centres)
        maps2, maps3 = model.c3.table.shape
        return cls(model.side, len(model.c1.weight), maps2, maps3, model.units, classes, bool(model.c3.table.all()),
                   choices.activation, pooling, "linear" if linear else "rbf")  # fmt: skip

    @property
    def stride(self) -> int:
        return padded(self.side)

    @property
    def rows1(self) -> int:
        return self.side - 4

    @property
    def rows3(self) -> int:
        return self.rows1 // 2 - 4

    @property
    def lanes3(self) -> int:
        return padded(self.maps3)

    @property
    def below(self) -> list[int]:
        """Padded numbers of inputs of C5, of F6 if there is one, and of the output."""
        return [(self.rows3 // 2) ** 2 * self.lanes3, *(padded(n) for n in self.units)]


class Layout(FlatLayout):
    """Where each parameter of a convolutional network lies."""

    def __init__(self, model: PaperNet | ModernNet) -> None:
        self.shape = s = Shape.of(model)
        areas = {"c1.weight": s.maps * 25, "c1.bias": s.maps, "s2.coefficient": s.maps2, "s2.bias": s.maps2,
                 "c3.weight": s.maps2 * 25 * s.lanes3, "c3.bias": s.lanes3, "s4.coefficient": s.lanes3,
                 "s4.bias": s.lanes3}  # fmt: skip
        full = dict(zip(("c5", "f6"), s.units, strict=False))
        if s.output == "linear":
            full["output"] = s.classes
        # below the output, too, which has parameters only when it is linear
        for (name, units), below in zip(full.items(), s.below, strict=False):
            areas |= {f"{name}.weight": units * below, f"{name}.bias": padded(units)}
        taps = np.arange(25).reshape(5, 5)
        inner: dict[str, Array] = {name: np.arange(p.numel()).reshape(p.shape) for name, p in model.named_parameters()}
        o, i = model.c3.out_of.numpy(), model.c3.in_of.numpy()
        inner["c3.weight"] = (i[:, None, None] * 25 + taps) * s.lanes3 + o[:, None, None]
        side4 = s.rows3 // 2
        unit, m, r, c = np.ogrid[: s.units[0], : s.maps3, :side4, :side4]
        inner["c5.weight"] = unit * s.below[0] + (r * side4 + c) * s.lanes3 + m
        if len(s.units) == 2:
            inner["f6.weight"] = np.arange(s.units[1])[:, None] * s.below[1] + np.arange(s.units[0])
        if s.output == "linear":
            inner["output.weight"] = np.arange(s.classes)[:, None] * s.below[-1] + np.arange(s.units[-1])
        super().__init__(areas, {n: np.broadcast_to(inner[n], p.shape) for n, p in model.named_parameters()})


@functools.cache
def _sources() -> str:
    """A digest of the files that a compiled program is made of; Numba's cache on disk looks only at this one."""
    ours = sorted(Path(__file__).parent.glob("*.py"))
    files = [*ours, Path(paper.__file__)]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


# What a program is for: to learn, to add up h_kk without or with the cross terms of Eq. 22, to predict alone, or to add
# up gradients.
TRAIN, CURVATURE, SQUARES, PREDICT, GRADIENT = k.STEP, k.CURVATURE, k.SQUARES, k.PREDICT, k.GRADIENT


@functools.cache
def program(purpose: int, shape: Shape, at_items: tuple[tuple[str, int], ...]) -> tuple[Any, int]:
    """The compiled program of one purpose for a network's shape and layout, and the length of its workspace.

    It reads nothing but whole numbers from outside, so that Numba can keep it on disk.
    """
    at = dict(at_items)
    sources = _sources()
    mode = purpose
    stride, maps, maps2, lanes3, classes = shape.stride, shape.maps, shape.maps2, shape.lanes3, shape.classes
    copies = maps2 // maps
    rows1, rows2, rows3 = shape.rows1, shape.rows1 // 2, shape.rows3
    rows4, has_f6, linear = rows3 // 2, len(shape.units) == 2, shape.output == "linear"
    activation, pooling, none = k.ACTIVATIONS.index(shape.activation), k.POOLINGS.index(shape.pooling), k.NONE
    full, curved = shape.full, purpose in (CURVATURE, SQUARES)
    image = shape.side * stride
    units5, units_last = shape.units[0], shape.units[-1]
    below5, below6, below_output = shape.below[0], shape.below[1], shape.below[-1]

    c1w, c1b, s2c, s2b = at["c1.weight"], at["c1.bias"], at["s2.coefficient"], at["s2.bias"]
    c3w, c3b, s4c, s4b = at["c3.weight"], at["c3.bias"], at["s4.coefficient"], at["s4.bias"]
    c5w, c5b, f6w, f6b = at["c5.weight"], at["c5.bias"], at.get("f6.weight", 0), at.get("f6.bias", 0)
    ow, ob = at.get("output.weight", 0), at.get("output.bias", 0)

    areas = [maps * rows1 * stride, maps2 * rows2 * LANES, maps2 * rows2 * LANES, rows3**2 * lanes3, below5, below5,
             padded(units5), padded(units5), below_output, below_output, padded(classes), padded(classes),
             lanes3 * rows3 * k.PLANE_STRIDE]  # fmt: skip
    x1, x2, dx2, x3, x4, dx4, x5, d5, x6, d6, y, g, planes, end = itertools.accumulate(areas, initial=0)
    x_last, d_last = (x6, d6) if has_f6 else (x5, d5)
    # with cross terms each state of the last layer is propagated back by itself
    repeats = units_last if purpose == SQUARES else 1

    @njit(cache=True, error_model="numpy")
    def run(p, e, ws, images, labels, out, centres, first, fed, factor, eq9, j, smoothing):  # type: ignore[no-untyped-def]
        """Predictions of all images to out, and by purpose an update a pattern, or gradients or h_kk added to e.

        Gives the sum of the losses and the number of patterns, up to one whose loss is not finite.
        """
        _ = sources  # belongs to the key of Numba's cache
        losses = 0.0
        for step in range(len(out) * repeats):
            n, repeat = step // repeats, step % repeats
            k.c1_forward(images, n * image, p, c1w, c1b, ws, x1, rows1, stride, maps, activation)
            k.s2_forward(p, s2c, s2b, ws, x1, x2, rows2, maps, copies, pooling, activation)
            k.c3_forward(p, c3w, c3b, ws, x2, x3, rows3, maps2, lanes3, activation)
            k.s4_forward(p, s4c, s4b, ws, x3, x4, rows4, lanes3, pooling, activation)
            k.full_forward(p, c5w, c5b, ws, x4, x5, below5, units5, activation)
            if has_f6:
                k.full_forward(p, f6w, f6b, ws, x5, x6, below6, units_last, activation)
            label = labels[n]
            if linear:
                k.full_forward(p, ow, ob, ws, x_last, y, below_output, classes, none)
                largest = 0
                for i in range(classes):
                    if ws[y + i] > ws[y + largest]:
                        largest = i
                out[n] = largest
                if mode == PREDICT:
                    continue

                # cross-entropy of the softmax, whose probabilities stay in g
                total, mean = 0.0, 0.0
                for i in range(classes):
                    ws[g + i] = math.exp(ws[y + i] - ws[y + largest])
                    total += ws[g + i]
                    mean += ws[y + i] / classes
                loss = math.log(total) + ws[y + largest] - (1.0 - smoothing) * ws[y + label]
                if smoothing > 0.0:
                    loss -= smoothing * mean
                for i in range(classes):
                    ws[g + i] /= total
                if not math.isfinite(loss):
                    return losses, n
                losses += loss

                for i in range(classes):
                    if curved:
                        ws[g + i] *= 1.0 - ws[g + i]
                    else:
                        ws[g + i] -= smoothing / classes + (1.0 - smoothing if i == label else 0.0)
                k.full_backward(p, e, ow, ob, ws, x_last, g, d_last, below_output, classes, none, mode)
            else:
                k.rbf_forward(centres, ws, x_last, y, below_output, classes)
                least = winner(ws, y, classes, factor)
                out[n] = least
                if mode == PREDICT:
                    continue

                loss = loss_of(ws, y, g, label, least, classes, eq9, j)
                if not math.isfinite(loss):
                    return losses, n
                losses += loss

                if curved:
                    curvatures(ws, x_last, d_last, g, centres, below_output, units_last, classes, factor)
                    if mode == SQUARES:
                        for unit in range(units_last):
                            ws[d_last + unit] = math.sqrt(ws[d_last + unit]) if unit == repeat else 0.0
                else:
                    slopes(ws, g, label, classes, factor)
                    k.rbf_backward(centres, ws, x_last, g, d_last, below_output, classes)

            k.through_activation(ws, x_last, d_last, units_last, activation, mode)
            if has_f6:
                k.full_backward(p, e, f6w, f6b, ws, x5, d6, d5, below6, units_last, activation, mode)
                k.through_activation(ws, x5, d5, units5, activation, mode)
            k.full_backward(p, e, c5w, c5b, ws, x4, d5, dx4, below5, units5, activation, mode)
            k.s4_backward(p, e, s4c, s4b, ws, x3, x4, dx4, rows4, lanes3, pooling, activation, mode)
            if full:
                k.c3_input_backward_full(p, c3w, ws, x3, dx2, rows3, maps2, lanes3, mode)
            else:
                k.c3_planes(ws, x3, planes, rows3, lanes3)
                k.c3_input_backward(p, c3w, ws, planes, dx2, first, fed, rows3, maps2, lanes3, mode)
            k.c3_weight_step(p, e, c3w, c3b, ws, x2, x3, rows3, maps2, lanes3, mode)
            k.s2_backward(p, e, s2c, s2b, c1b, ws, x1, x2, dx2, rows2, maps, copies, pooling, activation, mode)
            k.c1_weight_step(images, n * image, p, e, c1w, ws, x1, rows1, stride, maps, mode)
        return losses, len(out)

    return run, end


class FusedNet:
    """A network in the kernels' layout, and what trains it. As loop.Net.

    model: gives shape, tables, centres and the parameters to start from.
    config: for the loss, the optimiser and the precision.
    """

    def __init__(self, model: Network, config: Config) -> None:
        self.dtype = np.dtype(config.engine.precision)
        self.layout: Layout | dense.Layout
        self.tables: tuple[Array, ...] = ()
        if isinstance(model, MLP):
            self.layout = dense.Layout(model)
        else:
            self.layout = Layout(model)
            table = model.c3.table.numpy()
            first = np.concatenate([[0], np.cumsum(table.sum(1))]).astype(np.int64)
            self.tables = first, np.nonzero(table)[1].astype(np.int64)
        self.shape = shape = self.layout.shape
        self.p = self.layout.pack({n: w.detach().numpy() for n, w in model.named_parameters()}, self.dtype)
        self.ws = aligned(self._program(PREDICT)[1], self.dtype)
        self.centres, self.factor = aligned(shape.classes * shape.below[-1], self.dtype), 1.0
        if isinstance(model.output, EuclideanRBF):
            self.factor = model.output.factor
            self.centres[: shape.classes * shape.below[-1]].reshape(shape.classes, -1)[:, : shape.units[-1]] = (
                model.output.centres.numpy()
            )
        self.loss, self.optim = config.loss, config.optim
        self.side, self.stride = shape.side, shape.stride
        self.chunk = aligned(CHUNK * self.side * self.stride, self.dtype)

        batch = self.optim.batch
        self.pace = batch * max(1, round(PACE / batch))
        self.eps = aligned(self.layout.size, self.dtype)
        self.rate = 0.0
        # what is no parameter, as the weights of connections that the table lacks, learns nothing
        self.learning = self.layout.pack({name: np.ones(w.shape) for name, w in self.layout.places.items()}, self.dtype)
        if self.optim.name == "muon":
            raise ValueError("optim.name=muon: the fused engine keeps no matrices that Muon could make orthogonal")
        self.optimiser = None
        if self.optim.name != "sdlm":
            self.optimiser = Optimiser(self.optim, [torch.from_numpy(self.p)[None]])

    def _program(self, purpose: int) -> tuple[Any, int]:
        at = tuple(self.layout.at.items())
        if isinstance(self.shape, Shape):
            return program(purpose, self.shape, at)
        return dense.program(purpose, self.shape, at, _sources())

    def _run(
        self, purpose: int, e: Array, patterns: Patterns, chosen: Indices, eq9: bool
    ) -> tuple[float, int, NDArray[np.int64]]:
        """The program of a purpose on the chosen patterns: sum of the losses, patterns done, predictions."""
        run, _ = self._program(purpose)
        labels, values = patterns.labels_of(chosen), patterns.values.astype(self.dtype)
        losses, out = 0.0, np.empty(len(chosen), np.int64)
        for start in range(0, max(1, len(chosen)), CHUNK):  # once for no patterns, to compile
            part = slice(start, start + CHUNK)
            grey(patterns.images, patterns.maps, chosen[part], values, self.side, self.stride, self.chunk)
            more, done = run(
                self.p, e, self.ws, self.chunk, labels[part], out[part], self.centres, *self.tables, self.factor,
                 eq9, float(self.loss.j), float(self.loss.smoothing),
            )  # fmt: skip
            losses += more
            if done < len(out[part]):
                return losses, start + done, out
        return losses, len(out), out

    def parameters(self) -> dict[str, Array]:
        return self.layout.unpack(self.p)

    def set_parameters(self, values: dict[str, Array]) -> None:
        self.p[:] = self.layout.pack(values, self.dtype)

    def _memories(self) -> dict[str, Array]:
        """The flat arrays of the memory, by what comes before a parameter's name."""
        if self.optimiser is None:
            return {"": self.eps}
        return {f"{kind}/": tensors[0][0].numpy() for kind, tensors in self.optimiser.memory.items()}

    def memory(self) -> dict[str, Array]:
        kept = self._memories().items()
        return {prefix + name: w for prefix, flat in kept for name, w in self.layout.unpack(flat).items()}

    def set_memory(self, values: dict[str, Array]) -> None:
        for prefix, flat in self._memories().items():
            flat[:] = self.layout.pack({name: values[prefix + name] for name in self.layout.places}, self.dtype)

    def prepare(self, patterns: Patterns) -> None:
        purposes = {PREDICT, TRAIN if self.optimiser is None and self.optim.batch == 1 else GRADIENT}
        if self.optimiser is None:
            purposes.add(self._curvature())
        for purpose in sorted(purposes):
            self._run(purpose, self.eps, patterns, np.arange(0), False)

    def _curvature(self) -> int:
        """The purpose of the program that measures h_kk."""
        return SQUARES if self.optim.cross_terms == "kept" else CURVATURE

    def begin(self, patterns: Patterns, this: Pass) -> None:
        if self.optimiser is None:
            h = self.diagonal_hessian(patterns, this.hessian_sample)
            eps = {name: this.eta / (self.optim.mu + value) for name, value in h.items()}  # Eq. 21, p. 41
            self.eps[:] = self.layout.pack(eps, self.dtype)

    def rates(self) -> tuple[float, float]:
        if self.optimiser is None:
            eps = self.memory().values()
            return min(float(e.min()) for e in eps), max(float(e.max()) for e in eps)
        return self.rate, self.rate

    def train(self, patterns: Patterns, order: Indices, this: Pass, done: int) -> tuple[float, int, NDArray[np.int64]]:
        if self.optimiser is None and self.optim.batch == 1:
            return self._run(TRAIN, self.eps, patterns, order, self.loss.name == "eq9")
        return self._by_batches(patterns, order, this, done)

    def _by_batches(
        self, patterns: Patterns, order: Indices, this: Pass, done: int
    ) -> tuple[float, int, NDArray[np.int64]]:
        """As train, with the mean gradient of each batch."""
        eq9, batch = self.loss.name == "eq9", self.optim.batch
        gradient, mean = aligned(self.layout.size, self.dtype), self.learning / self.dtype.type(batch)
        losses, given = 0.0, np.empty(len(order), np.int64)
        for start in range(0, len(order), batch):
            part = order[start : start + batch]
            gradient[:] = 0
            more, finite, given[start : start + batch] = self._run(GRADIENT, gradient, patterns, part, eq9)
            if finite < len(part):
                return losses, start, given
            losses += more
            gradient *= mean if len(part) == batch else self.learning / self.dtype.type(len(part))
            self._update(gradient, this, done + start)
        return losses, len(order), given

    def _update(self, gradient: Array, this: Pass, position: int) -> None:
        """An update by the mean gradient of the batch that begins at that position of the pass."""
        if self.optimiser is None:
            self.p -= self.eps * gradient
            return
        a_pass = -(-len(this.order) // self.optim.batch)
        update = (this.pass_ - 1) * a_pass + position // self.optim.batch
        self.rate = rate_of(self.optim, update, self.optim.passes * a_pass, this.pass_)
        p, g = (torch.from_numpy(flat)[None] for flat in (self.p, gradient))
        self.optimiser.step([p], [g], self.rate, *corrections(update))

    def diagonal_hessian(self, patterns: Patterns, sample: Indices) -> dict[str, Array]:
        """h_kk by parameter, averaged over the sampled patterns, as `sdlm.curvature`."""
        h = aligned(self.layout.size, self.dtype)
        self._run(self._curvature(), h, patterns, sample, self.loss.name == "eq9" and self.loss.curvature == "exact")
        return {name: value / len(sample) for name, value in self.layout.unpack(h).items()}

    def predict(self, patterns: Patterns) -> NDArray[np.int64]:
        return self.answers(patterns, np.arange(len(patterns.images)))

    def answers(self, patterns: Patterns, chosen: Indices) -> NDArray[np.int64]:
        """The labels given to the chosen patterns."""
        return self._run(PREDICT, self.p, patterns, chosen, False)[2]


def train(config: Config, data: Data, seed: int, start: Checkpoint | None = None) -> Iterator[Checkpoint]:
    """Train one network, as loop.train."""
    model = loop.in_order(build(config.model, seed), config.engine.summation)
    return loop.train(FusedNet(model, config), config, data, seed, start)
