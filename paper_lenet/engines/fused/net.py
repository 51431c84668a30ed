"""The reference's arithmetic, compiled for one core: forward, backward and step of the whole network in one call.

Parameters, step sizes and states live in flat arrays whose layout suits vectors (kernels/); a `Layout` says where each
parameter of the state_dict is. In float64 it agrees with the reference to rounding; in float32 tanh is replaced by a
rational function good to 6e-7 (vectors.py).

SDLM updates after each pattern within the compiled call. For mini-batches and the other optimisers the call adds
gradients up, and the update works on the flat arrays. What engine.toml lacks is refused here too, by a ValueError.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from paper_lenet import paper
from paper_lenet.config import Config
from paper_lenet.data import Data
from paper_lenet.engines import loop
from paper_lenet.engines.engine import Checkpoint
from paper_lenet.engines.fused import convolutional, fully_connected
from paper_lenet.engines.fused.grey import grey
from paper_lenet.engines.fused.kernels.common import CROSS_TERMS, GRADIENT, OUTPUTS, PREDICT, SECOND_ORDER, STEP, SUMMED
from paper_lenet.engines.fused.layout import Array, aligned, at_least
from paper_lenet.engines.fused.windows import window
from paper_lenet.learning.optimisers import Optimiser
from paper_lenet.learning.patterns import Indices, Pass, Patterns, dropout_start, kept_units
from paper_lenet.learning.schedules import numbers_of
from paper_lenet.learning.sdlm import Network, averaged
from paper_lenet.network.layers import EuclideanRBF
from paper_lenet.network.lenet5 import build
from paper_lenet.network.mlp import MLP

CHUNK = 1000  # images made grey at once
PACE = 10_000  # about so many patterns between two checkpoints


@functools.cache
def _sources() -> str:
    """A digest of the files that a compiled program is made of; Numba's cache on disk looks only at this one."""
    files = [*sorted(Path(__file__).parent.rglob("*.py")), Path(paper.__file__)]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


class FusedNet:
    """A network in the kernels' layout, and what trains it. As loop.Net.

    model: gives shape, tables, centres and the parameters to start from.
    config: for the loss, the optimiser, dropout and the precision.  seed: for dropout's masks.
    """

    def __init__(self, model: Network, config: Config, seed: int = 0) -> None:
        self.dtype = np.dtype(config.engine.precision)
        self.layout: convolutional.Layout | fully_connected.Layout
        if isinstance(model, MLP):
            self.layout = fully_connected.Layout(model)
        else:
            self.layout = convolutional.Layout(model)
        self.shape = shape = self.layout.shape
        state = {name: w.detach().numpy() for name, w in model.state().items()}
        self.learned = self.p, self.statistics = self._packed(state)
        # what answers are given by: with optim.average arrays of their own
        self.answering = self._packed(state) if config.optim.average else self.learned
        self.tables: tuple[Array, ...] = ()
        if not isinstance(model, MLP):
            table = model.c3.table.numpy()
            first = np.concatenate([[0], np.cumsum(table.sum(1))]).astype(np.int64)
            self.tables = first, np.nonzero(table)[1].astype(np.int64)
        self.dropout, self.dropout_start = config.model.dropout, torch.tensor([dropout_start(seed)])
        self.masks = np.zeros((0, sum(shape.below[1:])), self.dtype)  # a row for each image of a call
        self.ws = self.chunk = aligned(0, self.dtype)
        self.centres, self.factor = aligned(shape.classes * shape.below[-1], self.dtype), 1.0
        if isinstance(model.output, EuclideanRBF):
            self.factor = model.output.factor
            self.centres[: shape.classes * shape.below[-1]].reshape(shape.classes, -1)[:, : shape.units[-1]] = (
                model.output.centres.numpy()
            )
        self.loss, self.optim = config.loss, config.optim
        by_terms = {"dropped": SECOND_ORDER, "subsampling": SUMMED, "kept": CROSS_TERMS}
        # Where no connections share a parameter, there is one form only.
        self.for_curvature = SECOND_ORDER if isinstance(model, MLP) else by_terms[self.optim.cross_terms]
        self.side, self.stride = shape.side, shape.stride

        batch = self.optim.batch
        self.pace = batch * max(1, round(PACE / batch))
        self.eps, self.h = aligned(self.layout.size, self.dtype), aligned(self.layout.size, self.dtype)
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
        if isinstance(self.shape, convolutional.Shape):
            return convolutional.program(purpose, self.shape, at, _sources())
        return fully_connected.program(purpose, self.shape, at, _sources())

    def _run(
        self, purpose: int, e: Array, patterns: Patterns, chosen: Indices, eq9: bool, pass_: int = 0, position: int = 0
    ) -> tuple[float, int, NDArray[np.int64]]:
        """The program of a purpose on the chosen patterns: sum of the losses, patterns done, predictions.

        pass_, position: where the first one comes, for dropout.
        """
        run, workspace = self._program(purpose)
        p, statistics = self.answering if purpose in (PREDICT, OUTPUTS) else self.learned
        # A batch is normalised as a whole: all of its images at once, each with a workspace of its own.
        together = bool(self.layout.statistics.places) and purpose == GRADIENT
        at_once = max(1, len(chosen)) if together else CHUNK
        self.ws = at_least(workspace * (at_once if together else 1), self.ws)
        self.chunk = at_least(at_once * self.side * self.stride, self.chunk)
        labels, values = patterns.labels_of(chosen), patterns.values.astype(self.dtype)
        losses, out = 0.0, np.empty(len(chosen), np.int64)
        for start in range(0, max(1, len(chosen)), at_once):  # once for no patterns, to compile
            part = slice(start, start + at_once)
            self._lay(patterns, chosen[part], values)
            tables: tuple[Any, ...] = self.tables
            if isinstance(self.shape, convolutional.Shape):
                if self.dropout and purpose in (STEP, GRADIENT):
                    self._draw_masks(pass_, position + start, len(out[part]))
                tables = *tables, statistics, self.masks
            else:
                tables = (values[0],)
            more, done = run(
                p, e, self.ws, self.chunk, labels[part], out[part], self.centres, *tables, self.factor, eq9,
                float(self.loss.j), float(self.loss.smoothing),
            )  # fmt: skip
            losses += more
            if done < len(out[part]):
                return losses, start + done, out
        return losses, len(out), out

    def _lay(self, patterns: Patterns, chosen: Indices, values: Array) -> None:
        """The inputs of the chosen patterns, in `chunk`."""
        of, images, place = patterns.windows, patterns.images, (self.side, self.stride, self.chunk)
        if of is None:
            moved = patterns.elastic
            grey(images, patterns.maps, moved.fields, moved.pairs, chosen, values, *place)
        else:
            window(images, of.flanks, of.shifts, of.blank, of.start, of.threshold, chosen, values, *place)

    def _draw_masks(self, pass_: int, position: int, count: int) -> None:
        """Dropout's masks of so many patterns from that position of the pass on."""
        if len(self.masks) < count:
            self.masks = np.zeros((count, self.masks.shape[1]), self.dtype)
        units, rate = list(self.shape.units), self.dropout
        (kept,) = kept_units(self.dropout_start, pass_, position, count, sum(units), rate)
        for first, part in zip((0, self.shape.below[1]), kept.split(units, 1), strict=True):
            self.masks[:count, first : first + part.shape[1]] = part.to(torch.from_numpy(self.masks).dtype) / (1 - rate)

    def parameters(self) -> dict[str, Array]:
        return self._unpacked(self.learned)

    def set_parameters(self, values: dict[str, Array]) -> None:
        for flats in (self.learned, self.answering):
            self._set(flats, values)

    def average(self) -> dict[str, Array]:
        return self._unpacked(self.answering) if self.optim.average else {}

    def set_average(self, values: dict[str, Array]) -> None:
        if self.optim.average:
            self._set(self.answering, values)

    def _packed(self, values: dict[str, Array]) -> tuple[Array, Array]:
        """Flat arrays of the parameters and of the running statistics."""
        return self.layout.pack(values, self.dtype), self.layout.statistics.pack(values, self.dtype)

    def _unpacked(self, flats: tuple[Array, Array]) -> dict[str, Array]:
        return self.layout.unpack(flats[0]) | self.layout.statistics.unpack(flats[1])

    def _set(self, flats: tuple[Array, Array], values: dict[str, Array]) -> None:
        for flat, new in zip(flats, self._packed(values), strict=True):
            flat[:] = new

    def _memories(self) -> dict[str, Array]:
        """The flat arrays of the memory, by what comes before a parameter's name."""
        if self.optimiser is None:
            return {"": self.eps} | ({} if self.optim.hessian == "each" else {"h/": self.h})
        return {f"{kind}/": tensors[0][0].numpy() for kind, tensors in self.optimiser.memory.items()}

    def memory(self) -> dict[str, Array]:
        kept = self._memories().items()
        return {prefix + name: w for prefix, flat in kept for name, w in self.layout.unpack(flat).items()}

    def set_memory(self, values: dict[str, Array]) -> None:
        for prefix, flat in self._memories().items():
            flat[:] = self.layout.pack({name: values[prefix + name] for name in self.layout.places}, self.dtype)

    def prepare(self, patterns: Patterns) -> None:
        purposes = {PREDICT, STEP if self.optimiser is None and self.optim.batch == 1 else GRADIENT}
        if self.optimiser is None:
            purposes.add(self.for_curvature)
        for purpose in sorted(purposes):
            self._run(purpose, self.eps, patterns, np.arange(0), False)

    def begin(self, patterns: Patterns, this: Pass) -> None:
        if self.optimiser is not None:
            return
        if self.optim.hessian != "once" or this.pass_ == 1:  # D22
            h = self.layout.pack(self.diagonal_hessian(patterns, this.hessian_sample, this.pass_), self.dtype)
            self.h[:] = averaged(self.h, h, this.pass_) if self.optim.hessian == "mean" else h
        eps = {name: this.eta / (self.optim.mu + h) for name, h in self.layout.unpack(self.h).items()}  # Eq. 21, p. 41
        self.eps[:] = self.layout.pack(eps, self.dtype)

    def rates(self) -> tuple[float, float]:
        if self.optimiser is None:
            eps = self.layout.unpack(self.eps).values()
            return min(float(e.min()) for e in eps), max(float(e.max()) for e in eps)
        return self.rate, self.rate

    def train(self, patterns: Patterns, order: Indices, this: Pass, done: int) -> tuple[float, int, NDArray[np.int64]]:
        if self.optimiser is None and self.optim.batch == 1:
            eq9 = self.loss.in_pass(this.pass_).name == "eq9"
            return self._run(STEP, self.eps, patterns, order, eq9, this.pass_, done)
        return self._by_batches(patterns, order, this, done)

    def _by_batches(
        self, patterns: Patterns, order: Indices, this: Pass, done: int
    ) -> tuple[float, int, NDArray[np.int64]]:
        """As train, with the mean gradient of each batch."""
        eq9, batch = self.loss.in_pass(this.pass_).name == "eq9", self.optim.batch
        gradient, mean = aligned(self.layout.size, self.dtype), self.learning / self.dtype.type(batch)
        losses, given = 0.0, np.empty(len(order), np.int64)
        for start in range(0, len(order), batch):
            part = order[start : start + batch]
            gradient[:] = 0
            place = this.pass_, done + start
            more, finite, given[start : start + batch] = self._run(GRADIENT, gradient, patterns, part, eq9, *place)
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
        self.rate, first, second, share = numbers_of(self.optim, len(this.order), this.pass_, position)
        p, g = (torch.from_numpy(flat)[None] for flat in (self.p, gradient))
        self.optimiser.step([p], [g], self.rate, first, second)
        if self.optim.average:
            for mean, flat in zip(self.answering, self.learned, strict=True):
                torch.from_numpy(mean).lerp_(torch.from_numpy(flat), share)

    def diagonal_hessian(self, patterns: Patterns, sample: Indices, pass_: int = 1) -> dict[str, Array]:
        """h_kk by parameter, averaged over the sampled patterns, as `sdlm.curvature`."""
        h, loss = aligned(self.layout.size, self.dtype), self.loss.in_pass(pass_)
        self._run(self.for_curvature, h, patterns, sample, loss.name == "eq9" and loss.curvature == "exact")
        return {name: value / len(sample) for name, value in self.layout.unpack(h).items()}

    def predict(self, patterns: Patterns) -> NDArray[np.int64]:
        return self.answers(patterns, np.arange(len(patterns.images)))

    def answers(self, patterns: Patterns, chosen: Indices) -> NDArray[np.int64]:
        """The labels given to the chosen patterns."""
        return self._run(PREDICT, self.p, patterns, chosen, False)[2]

    def outputs(self, patterns: Patterns, chosen: Indices) -> Array:
        """The penalties, or weighted sums, of the chosen patterns (k, classes).

        Raises ValueError for a network that is not convolutional: its program does not give them.
        """
        if not isinstance(self.shape, convolutional.Shape):
            raise ValueError("outputs are given of convolutional networks only")
        found = np.empty((len(chosen), self.shape.classes), self.dtype)
        for start in range(0, len(chosen), CHUNK):
            part = slice(start, start + CHUNK)
            self._run(OUTPUTS, found[part].reshape(-1), patterns, chosen[part], False)
        return found


def train(config: Config, data: Data, seed: int, start: Checkpoint | None = None) -> Iterator[Checkpoint]:
    """Train one network, as loop.train."""
    model = loop.in_order(build(config.model, seed), config.engine.summation)
    return loop.train(FusedNet(model, config, seed), config, data, seed, start)
