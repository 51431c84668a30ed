"""Many independent networks trained together along a leading axis, on a CPU or a GPU: seeds of one configuration.

The data lie on the device as bytes; every step makes its own inputs from them, distorted or not. The layers are those
of stacked.py, with their back-propagation written out, so that nothing waits for the device and on a GPU several steps
can be captured as one graph. Network k has the same weights, patterns and order as it would have alone.

Legend: M networks, B patterns a batch, P parameters, K steps that one captured graph makes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from paper_lenet import bitmaps
from paper_lenet.config import Config
from paper_lenet.data import Data
from paper_lenet.engines import Checkpoint, NonFiniteError, PassRecord, loop
from paper_lenet.engines import stacked as s
from paper_lenet.engines.plan import Pass, Patterns, all_patterns, dropout_start, passes
from paper_lenet.layers import EuclideanRBF, TableConv2d
from paper_lenet.models.lenet5 import build
from paper_lenet.models.mlp import MLP
from paper_lenet.models.modern import MAPS, MAPS3, statistics
from paper_lenet.optimisers import Optimiser, corrections, rate_of
from paper_lenet.sdlm import Network

# Patterns between two looks at the clock, and images that are evaluated at once.
PACE = 10_000
EVALUATED = 500
# From this batch on the pixels of pooling windows are worth setting apart (stacked.Conv).
APART = 16
GRAPH_STEPS = 20
MASK32 = 0xFFFFFFFF

Outcome = Checkpoint | NonFiniteError


@dataclass
class Resident:
    """The patterns of several networks on the device: images that they share, and which of them each one has.

    images: bytes (n, side, side), framed to the network's input.  labels: (n,).  chosen: (M, m), the images of each
    network's own subset.  maps: (M, copies, 5) inverse maps.  low, step: byte b becomes low + step * b.
    """

    images: Tensor
    labels: Tensor
    chosen: Tensor
    maps: Tensor
    low: float
    step: float

    def labels_of(self, patterns: Tensor) -> Tensor:
        """(M, B) of patterns (M, B)."""
        return self.labels[self.chosen.gather(1, patterns % self.chosen.shape[1])]

    def inputs(self, patterns: Tensor, dtype: torch.dtype) -> Tensor:
        """Grey values (M, 1, side, side, B) of patterns (M, B), as Patterns.grey."""
        nets, batch = patterns.shape
        count, side = self.chosen.shape[1], self.images.shape[1]
        which = self.chosen.gather(1, patterns % count).reshape(-1)
        x = self.images.index_select(0, which).to(dtype)
        if self.maps.shape[1]:
            copy = (patterns - count).clamp(min=0)
            maps = self.maps.gather(1, copy[..., None].expand(-1, -1, 5)).reshape(-1, 5)
            distorted = _warp(x, maps, dtype)
            x = torch.where((patterns >= count).reshape(-1, 1, 1), distorted, x)
        x = x.mul_(self.step).add_(self.low)
        return x.view(nets, batch, side * side).mT.reshape(nets, 1, side, side, batch)


def _warp(source: Tensor, maps: Tensor, dtype: torch.dtype) -> Tensor:
    """Bytes as numbers (k, side, side) put through inverse maps (k, 5), as distort.warp."""
    side = source.shape[1]
    middle = (side - 1) / 2
    padded = torch.nn.functional.pad(source, (1, 1, 1, 1)).flatten(1)
    target = torch.arange(side, device=source.device, dtype=dtype) - middle
    a, b, c, d, e = (maps[:, i, None, None].to(dtype) for i in range(5))
    y = (d * target[:, None] + e + 0 * a).expand(-1, side, side)
    x = a * target + (b * target[:, None] + c)
    x, y = ((v + (middle + 1)).clamp(0, side + 1) for v in (x, y))
    x0, y0 = (v.long().clamp(max=side) for v in (x, y))
    fx, fy = x - x0, y - y0
    at = (y0 * (side + 2) + x0).flatten(1)
    corner = [padded.gather(1, at + k).view_as(x) for k in (0, 1, side + 2, side + 3)]
    upper = corner[0] * (1 - fx) + corner[1] * fx
    lower = corner[2] * (1 - fx) + corner[3] * fx
    return upper * (1 - fy) + lower * fy


class BatchedNet:
    """M networks of one configuration, and what trains them.

    models: one a seed, for shapes, tables and parameters.  starts: what dropout's hash begins with, one a seed.
    """

    def __init__(self, models: Sequence[Network], config: Config, starts: Sequence[int]) -> None:
        self.config, self.models, self.nets = config, models, len(models)
        self.device = torch.device(config.engine.device)
        self.dtype: torch.dtype = getattr(torch, config.engine.precision)
        self.names = [name for name, _ in models[0].named_parameters()]
        first = models[0]
        self.linear_output = not isinstance(first.output, EuclideanRBF)
        self.shapes = [self._dense(first, name).shape for name in self.names]
        size = sum(shape.numel() for shape in self.shapes)
        self.flat = torch.zeros(self.nets, size, dtype=self.dtype, device=self.device)
        self.views = self.viewed(self.flat)
        self.rate = 0.0
        self.eps = torch.zeros_like(self.flat) if config.optim.name == "sdlm" else None
        by_muon = config.optim.name == "muon"
        if self.eps is None:
            matrices = [name in ("c5.weight", "f6.weight") for name in self.names]
            self.optimiser = Optimiser(config.optim, self.views if by_muon else [self.flat], matrices)
        self.starts = torch.tensor(list(starts), dtype=torch.int64, device=self.device)
        self.centres = bitmaps.DIGITS.to(self.dtype).to(self.device)
        # what changes from step to step belongs to the network, not to one of its stacks
        self.norms = [
            s.BatchNorm(self.flat.new_zeros(self.nets, maps), self.flat.new_ones(self.nets, maps))
            for maps in ((MAPS, MAPS3) if config.model.batch_norm else ())
        ]
        self.masks = [
            s.Dropout(torch.ones(1, device=self.device)) for _ in (first.units if config.model.dropout else ())
        ]
        self.stack = self._layers(config.optim.batch)
        self.steps_stack = self._layers(1) if config.optim.name == "sdlm" else self.stack
        # the weights that there are: not those of connections that a table lacks
        ones = [{name: torch.ones_like(w) for name, w in model.named_parameters()} for model in models]
        each = [[self._dense(m, name, of[name]) for name in self.names] for m, of in zip(models, ones, strict=True)]
        self.connected = torch.stack([torch.cat([w.flatten() for w in ws]) > 0 for ws in each]).to(self.device)
        for k, model in enumerate(models):
            state = {**dict(model.named_parameters()), **statistics(model)}
            self.set_parameters(k, {name: w.detach() for name, w in state.items()})

    def _layers(self, batch: int) -> s.Stack:
        choices = self.config.model
        act: s.Layer = s.ACTIVATIONS[choices.activation]
        pools: dict[str, s.Layer] = {
            "sum": s.Subsampling(), "average": s.Subsampling(0.25), "avg_pool": s.AveragePool(), "max_pool": s.MaxPool()
        }  # fmt: skip
        pool = [pools[choices.pooling], *([act] if choices.pooling in ("sum", "average") else [])]
        # the configuration has refused all others
        convolutional = [m for m in self.models if not isinstance(m, MLP)]
        table = torch.stack([m.c3.table.T for m in convolutional]).to(self.dtype).to(self.device)
        layers: list[s.Layer] = []
        for k, of_maps in enumerate((None, table)):
            layers += [s.Conv(of_maps, apart=batch >= APART), *self.norms[k : k + 1], act, *pool]
        for k in range(2):
            layers += [s.Linear(), act, *self.masks[k : k + 1]]
        if self.linear_output:
            layers.append(s.Linear())
        return s.Stack(layers)

    def viewed(self, flat: Tensor) -> list[Tensor]:
        """The parameters (M, ...) in a flat tensor (M, P)."""
        parts = flat.split([shape.numel() for shape in self.shapes], 1)
        return [part.view(self.nets, *shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def _dense(self, model: Network, name: str, values: Any = None) -> Tensor:
        """A parameter in the form of the stacked layers: kernels of a table as (out, in, k, k), C5 as a matrix."""
        layer = getattr(model, name.partition(".")[0])
        parameter = dict(model.named_parameters())[name].detach() if values is None else torch.as_tensor(values)
        if isinstance(layer, TableConv2d) and name.endswith("weight"):
            maps_in, maps_out = layer.table.shape
            dense = parameter.new_zeros(maps_out, maps_in, *parameter.shape[1:])
            return dense.index_put((layer.out_of, layer.in_of), parameter)
        return parameter.flatten(1) if name == "c5.weight" else parameter

    def _undense(self, model: Network, name: str, dense: Tensor) -> NDArray[Any]:
        layer = getattr(model, name.partition(".")[0])
        if isinstance(layer, TableConv2d) and name.endswith("weight"):
            dense = dense[layer.out_of, layer.in_of]
        return dense.reshape(dict(model.named_parameters())[name].shape).numpy().copy()

    def parameters(self, k: int) -> dict[str, NDArray[Any]]:
        """Copies of network k's parameters and running statistics, by their names in the model's state_dict."""
        model = self.models[k]
        views = (view[k].cpu() for view in self.views)
        values = {name: self._undense(model, name, view) for name, view in zip(self.names, views, strict=True)}
        for layer, norm in zip(("n1", "n3"), self.norms, strict=False):
            values[f"{layer}.running_mean"] = norm.mean[k].cpu().numpy().copy()
            values[f"{layer}.running_var"] = norm.variance[k].cpu().numpy().copy()
        return values

    def set_parameters(self, k: int, values: Mapping[str, NDArray[Any] | Tensor]) -> None:
        """The reverse."""
        for name, view in zip(self.names, self.views, strict=True):
            view[k] = self._dense(self.models[k], name, values[name]).to(self.dtype)
        for layer, norm in zip(("n1", "n3"), self.norms, strict=False):
            norm.mean[k] = torch.as_tensor(values[f"{layer}.running_mean"])
            norm.variance[k] = torch.as_tensor(values[f"{layer}.running_var"])

    def memory(self, k: int) -> dict[str, NDArray[Any]]:
        """Copies of what network k's optimiser keeps from update to update."""
        if self.eps is not None:
            return {"eps": self.eps[k].cpu().numpy().copy()}
        kept = self.optimiser.memory.items()
        return {f"{kind}/{i}": w[k].cpu().numpy().copy() for kind, ws in kept for i, w in enumerate(ws)}

    def set_memory(self, k: int, values: dict[str, NDArray[Any]]) -> None:
        """The reverse."""
        if self.eps is not None:
            self.eps[k] = torch.as_tensor(values["eps"])
            return
        for kind, tensors in self.optimiser.memory.items():
            for i, w in enumerate(tensors):
                w[k] = torch.as_tensor(values[f"{kind}/{i}"])

    def output(self, x: Tensor, stack: s.Stack) -> tuple[Tensor, Tensor, list[Any]]:
        """Penalties or weighted sums (M, classes, B); what is below an RBF output or its differences; the tape."""
        y, tape = stack.forward(x, self.views)
        if self.linear_output:
            return y, y, tape
        penalties, differences = s.rbf(y, self.centres, self.config.model.rbf_factor)
        return penalties, differences, tape

    def winners(self, output: Tensor) -> Tensor:
        """The labels (M, B): the smallest penalty or the largest sum."""
        return output.argmax(1) if self.linear_output else output.argmin(1)

    def losses(self, output: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """(M, B), and their gradients by the outputs."""
        loss = self.config.loss
        if loss.name == "cross_entropy":
            return s.cross_entropy(output, labels, loss.smoothing)
        return s.eq8(output, labels) if loss.name == "eq8" else s.eq9(output, labels, loss.j)

    def gradient(self, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Losses and winners (M, B) of a batch, and the mean gradient of each parameter."""
        output, below, tape = self.output(x, self.stack)
        losses, dy = self.losses(output, labels)
        dy = dy / labels.shape[1]
        if not self.linear_output:
            dy = s.rbf_inward(dy, below, self.config.model.rbf_factor)
        return losses, self.winners(output), self.stack.backward(dy, tape)

    def curvature(self, x: Tensor) -> list[Tensor]:
        """Sums over the images of h_kk of every parameter (Appendix C)."""
        y, tape = self.steps_stack.forward(x, self.views)
        loss, factor = self.config.loss, self.config.model.rbf_factor
        if self.linear_output:
            h = s.cross_entropy_curvature(y)
        elif loss.name == "eq9" and loss.curvature == "exact":
            h = s.eq9_curvature(y, self.centres, factor, loss.j)
        else:
            h = s.eq8_curvature(y, factor)
        return self.steps_stack.backward(h, tape, squares=True)

    def train_mode(self, training: bool) -> None:
        """Whether batch normalisation measures and dropout leaves out."""
        for norm in self.norms:
            norm.training = training
        for mask in self.masks:
            mask.training = training

    def draw_masks(self, pass_: int | Tensor, position: int | Tensor, batch: int) -> None:
        """Dropout's masks of the patterns from `position` of the pass on, as plan.kept_units."""
        if not self.masks:
            return
        rate, units = self.config.model.dropout, self.models[0].units
        total = sum(units)
        index = torch.arange(batch, device=self.device)[None, None, :] + position
        x = index * total + torch.arange(total, device=self.device)[None, :, None]
        x = (x + self.starts[:, None, None] + pass_ * 0x9E3779B1) & MASK32
        for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
            x = ((x ^ (x >> shift)) * factor) & MASK32
        kept = (x >= round(rate * 2**32)).to(self.dtype) / (1 - rate)
        for mask, values in zip(self.masks, kept.split(list(units), 1), strict=True):
            mask.mask = values


def captures(device: torch.device) -> bool:
    """Whether steps on this device are captured as graphs; they then read all their numbers from its memory."""
    return device.type == "cuda"


def captured(work: Callable[[], None], warm_up: Callable[[], None], state: Sequence[Tensor]) -> Callable[[], None]:
    """A function that makes the device do `work` again, as one CUDA graph. Nothing of it has been done on return.

    warm_up: what is done once before, since the first calls of a library must not be captured.  state: every tensor
    that it changes; they are put back.
    A graph reads and writes memory where it lay at the capture: what `work` takes from outside changes in place only.
    """
    before = [tensor.clone() for tensor in state]
    here, aside = torch.cuda.current_stream(), torch.cuda.Stream()
    aside.wait_stream(here)  # for the copies too
    with torch.cuda.stream(aside):
        warm_up()
    here.wait_stream(aside)
    for tensor, value in zip(state, before, strict=True):
        tensor.copy_(value)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay


class Trainer:
    """Passes of several networks over the resident data."""

    def __init__(self, net: BatchedNet, config: Config, patterns: Resident, length: int) -> None:
        self.net, self.config, self.patterns, self.length = net, config, patterns, length
        self.batch = config.optim.batch
        self.a_pass = -(-length // self.batch)
        device, nets = net.device, net.nets
        self.captures = captures(device)
        self.replay: Callable[[], None] | None = None  # GRAPH_STEPS steps, once they have been captured
        steps = GRAPH_STEPS
        # what a step reads, so that a captured one reads something new each time
        self.rows = torch.zeros(steps, nets, min(self.batch, length), dtype=torch.int64, device=device)
        self.numbers = torch.zeros(steps, 4, dtype=torch.float64, device=device)  # rate, corrections, position
        self.pass_ = torch.zeros((), dtype=torch.int64, device=device)
        self.loss = torch.zeros(nets, dtype=torch.float64, device=device)
        self.errors = torch.zeros(nets, dtype=torch.int64, device=device)
        self.bad = torch.zeros(nets, dtype=torch.int64, device=device)
        self.updates = torch.zeros((), dtype=torch.int64, device=device)

    def begin(self, this: Sequence[Pass]) -> None:
        """Before a pass: SDLM's step sizes (Eq. 21, p. 41); the sums start anew."""
        net, optim = self.net, self.config.optim
        for total in (self.loss, self.errors, self.bad, self.updates):
            total.zero_()
        self.pass_.fill_(this[0].pass_)
        if net.eps is None:
            return
        net.train_mode(False)
        sample = torch.from_numpy(np.stack([p.hessian_sample for p in this])).to(net.device)
        total = torch.zeros_like(net.flat)
        for part in sample.split(100, 1):
            h = net.curvature(self.patterns.inputs(part, net.dtype))
            total += torch.cat([value.flatten(1) for value in h], 1)
        net.eps.copy_(this[0].eta / (optim.mu + total / sample.shape[1]))

    def step(self, k: int, batch: int) -> None:
        """One update of all networks, by row k of what was laid ready; waits for nothing."""
        net, optim = self.net, self.config.optim
        rows = self.rows[k, :, :batch]
        numbers = self.numbers[k]
        rate, first, second = numbers[:3].to(net.dtype).unbind() if self.captures else numbers[:3].tolist()
        position = numbers[3].long() if self.captures else int(numbers[3])
        net.draw_masks(self.pass_, position, batch)
        labels = self.patterns.labels_of(rows)
        losses, winners, gradients = net.gradient(self.patterns.inputs(rows, net.dtype), labels)
        self.updates += 1
        ended = self.bad > 0
        not_finite = ~torch.isfinite(losses).all(1) & ~ended
        self.bad += not_finite * self.updates
        self.loss += torch.where(ended | not_finite, 0.0, losses.sum(1).double())
        self.errors += (winners != labels).sum(1)
        if net.eps is not None:
            torch._foreach_addcmul_(net.views, net.viewed(net.eps), gradients, value=-1)  # Eq. 18, p. 41
        elif optim.name == "muon":
            net.optimiser.step(net.views, gradients, rate, first, second)
        else:
            flat = torch.cat([g.flatten(1) for g in gradients], 1)
            net.optimiser.step([net.flat], [flat], rate, first, second)

    def advance(self, orders: Tensor, pass_: int, done: int, until: int) -> None:
        """Updates from pattern `done` of the pass to `until`; orders (M, length)."""
        self.net.train_mode(True)
        optim = self.config.optim
        while done < until:
            count = min(GRAPH_STEPS, (until - done) // self.batch)
            batch = self.batch if count else until - done
            numbers = []
            for k in range(max(1, count)):
                at = done + k * batch
                update = (pass_ - 1) * self.a_pass + at // self.batch
                rate = rate_of(optim, update, optim.passes * self.a_pass, pass_)
                numbers.append([rate, *corrections(update), float(at)])
                self.rows[k, :, :batch].copy_(orders[:, at : at + batch])
            self.net.rate = numbers[-1][0]
            self.numbers[: len(numbers)].copy_(torch.tensor(numbers, dtype=torch.float64))
            if self.captures and count == GRAPH_STEPS:
                if self.replay is None:
                    self.replay = captured(self._steps, lambda: self.step(0, self.batch), self._state())
                self.replay()
            else:
                for k in range(len(numbers)):
                    self.step(k, batch)
            done += batch * len(numbers)

    def _steps(self) -> None:
        for k in range(GRAPH_STEPS):
            self.step(k, self.batch)

    def _state(self) -> list[Tensor]:
        """Every tensor that a step changes."""
        kept = [self.net.flat, self.loss, self.errors, self.bad, self.updates]
        if self.net.eps is None:
            kept += [w for ws in self.net.optimiser.memory.values() for w in ws]
        return kept + [t for norm in self.net.norms for t in (norm.mean, norm.variance)]

    def predict(self, patterns: Resident) -> Tensor:
        """The labels (M, n) given to the images, undistorted."""
        net = self.net
        net.train_mode(False)
        count = patterns.chosen.shape[1]
        given = [torch.zeros(net.nets, 0, dtype=torch.int64, device=net.device)]
        for start in range(0, count, EVALUATED):
            rows = torch.arange(start, min(start + EVALUATED, count), device=net.device).expand(net.nets, -1)
            given.append(net.winners(net.output(patterns.inputs(rows, net.dtype), net.stack)[0]))
        return torch.cat(given, 1)


def _resident(own: Sequence[Patterns], side: int, device: torch.device) -> Resident:
    """Patterns of several seeds; those that are the same arrays of images are laid down once."""
    images, labels, chosen, start = [], [], [], 0
    known: dict[bytes, Tensor] = {}
    for patterns in own:
        key = patterns.images.ctypes.data.to_bytes(8, "big")
        if key not in known:
            edge = (side - patterns.images.shape[1]) // 2
            framed = np.pad(patterns.images, ((0, 0), (edge, edge), (edge, edge)))
            images.append(torch.from_numpy(framed))
            labels.append(torch.from_numpy(patterns.labels))
            known[key] = torch.arange(start, start + len(framed))
            start += len(framed)
        chosen.append(known[key])
    values = own[0].values
    return Resident(
        torch.cat(images).to(device),
        torch.cat(labels).to(device),
        torch.stack(chosen).to(device),
        torch.from_numpy(np.stack([patterns.maps for patterns in own])).to(device),
        float(values[0]),
        float(values[255] - values[0]) / 255,
    )


@torch.no_grad()
def train_many(
    config: Config, data: Data, seeds: Sequence[int], starts: Sequence[Checkpoint | None]
) -> Iterator[list[Outcome]]:
    """Train a network a seed, all from the same point; each time the checkpoint of each, or how it ended.

    starts: where each one goes on; all None or all at the same update.
    """
    s.keep_freed_memory()
    own = [all_patterns(config, data, seed) for seed in seeds]
    models = [loop.in_order(build(config.model, seed), config.engine.summation) for seed in seeds]
    net = BatchedNet(models, config, [dropout_start(seed) for seed in seeds])
    patterns = _resident([train for train, _ in own], models[0].side, net.device)
    held_out = _resident([own[0][1]] * len(seeds), models[0].side, net.device)
    trainer = Trainer(net, config, patterns, len(own[0][0].images))
    ended: dict[int, NonFiniteError] = {}
    start = starts[0]
    for k, at in enumerate(starts):
        if at is not None:
            net.set_parameters(k, at.parameters)
            net.set_memory(k, at.memory)
    plans = [passes(config, seed, train) for seed, (train, _) in zip(seeds, own, strict=True)]
    pace = config.optim.batch * max(1, PACE // config.optim.batch)
    for these in zip(*plans, strict=True):
        this, length = these[0], len(these[0].order)
        if start is not None and (this.pass_, start.record is None) < (start.pass_, True):
            continue
        if start is not None and this.pass_ == start.pass_ and start.record is not None:
            continue
        middle = starts if start is not None and this.pass_ == start.pass_ else None
        began, seconds = time.perf_counter(), 0.0
        done = start.update if middle is not None and start is not None else 0
        if done == 0:
            trainer.begin(these)
        else:
            trainer.pass_.fill_(this.pass_)
            for total in (trainer.bad, trainer.updates):
                total.zero_()
            trainer.updates += done // config.optim.batch
            assert middle is not None
            trainer.loss.copy_(torch.tensor([at.loss if at else 0.0 for at in middle], dtype=torch.float64))
            trainer.errors.copy_(torch.tensor([at.errors if at else 0 for at in middle]))
            seconds = start.seconds if start is not None else 0.0
        orders = torch.from_numpy(np.stack([p.order for p in these])).to(net.device)
        while done < length:
            until = min(length, done + pace)
            trainer.advance(orders, this.pass_, done, until)
            done = until
            for k, update in enumerate(trainer.bad.tolist()):
                if update and k not in ended:
                    ended[k] = NonFiniteError(seeds[k], this.pass_, int(update))
            if len(ended) == len(seeds):
                break
            if done < length:
                seconds += time.perf_counter() - began
                losses, errors = trainer.loss.tolist(), trainer.errors.tolist()
                yield [
                    ended.get(k)
                    or Checkpoint(this.pass_, done, net.parameters(k), net.memory(k), losses[k], errors[k], seconds)
                    for k in range(len(seeds))
                ]
                began = time.perf_counter()
        seconds += time.perf_counter() - began
        records: list[Outcome] = []
        if len(ended) < len(seeds):
            last = this.pass_ == config.optim.passes
            given = trainer.predict(held_out).cpu().numpy()
            on_all = trainer.predict(patterns).cpu().numpy() if last else None
            losses, errors = trainer.loss.tolist(), trainer.errors.tolist()
        for k in range(len(seeds)):
            if k in ended:
                records.append(ended[k])
                continue
            smallest, largest = net.rate, net.rate
            if net.eps is not None:
                real = net.eps[k][net.connected[k]]
                smallest, largest = float(real.min()), float(real.max())
            state = net.parameters(k)
            record = PassRecord(
                seed=seeds[k],
                pass_=this.pass_,
                eta=this.eta if config.optim.name == "sdlm" else largest,
                rate_min=smallest,
                rate_max=largest,
                train_loss=losses[k] / done,
                train_errors=errors[k],
                train_size=done,
                predictions=given[k],
                test_errors=int(np.sum(given[k] != data.test_labels)),
                seconds=seconds / len(seeds),
                state=state,
                training_set_errors=None if on_all is None else int(np.sum(on_all[k] != own[k][0].labels)),
            )
            records.append(Checkpoint(this.pass_, done, state, net.memory(k), record=record))
        yield records
        if len(ended) == len(seeds):
            return


def train(config: Config, data: Data, seed: int, start: Checkpoint | None = None) -> Iterator[Checkpoint]:
    """Train one network, as loop.train."""
    for (outcome,) in train_many(config, data, [seed], [start]):
        if isinstance(outcome, NonFiniteError):
            raise outcome
        yield outcome
