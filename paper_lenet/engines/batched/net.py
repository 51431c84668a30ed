"""Many independent networks trained together along a leading axis, on a CPU or a GPU: seeds of one configuration.

The data lie on the device as bytes; every step makes its own inputs from them, distorted or not. The layers are those
of layers.py, with their back-propagation written out, so that nothing waits for the device and on a GPU several steps
can be captured as one graph. Network k has the same weights, patterns and order as it would have alone.

Legend: M networks, B patterns a batch, P parameters.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from paper_lenet.config import Config
from paper_lenet.engines.batched import layers, outputs
from paper_lenet.engines.batched.activations import activation
from paper_lenet.learning.optimisers import Optimiser, is_matrix
from paper_lenet.learning.patterns import kept_units
from paper_lenet.learning.sdlm import Network
from paper_lenet.network.layers import EuclideanRBF, TableConv2d
from paper_lenet.network.mlp import MLP
from paper_lenet.network.modern import MAPS, MAPS3

# From this batch on the pixels of pooling windows are worth setting apart (layers.Conv).
APART_FROM = 16


class BatchedNet:
    """M networks of one configuration, and what trains them.

    models: one per seed, for shapes, tables and parameters.  starts: what dropout's hash begins with, one per seed.
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
        self.h = torch.zeros_like(self.flat) if config.optim.hessian != "each" else None
        self.loss = config.loss  # of the pass
        by_muon = config.optim.name == "muon"
        if self.eps is None:
            matrices = [is_matrix(name, w) for name, w in first.named_parameters()]
            self.optimiser = Optimiser(config.optim, self.views if by_muon else [self.flat], matrices)
        self.starts = torch.tensor(list(starts), dtype=torch.int64, device=self.device)
        centres = first.output.centres if isinstance(first.output, EuclideanRBF) else torch.zeros(0)
        self.centres = centres.to(self.dtype).to(self.device)
        # what changes from step to step belongs to the network, not to one of its stacks
        self.norms = [
            layers.BatchNorm(self.flat.new_zeros(self.nets, maps), self.flat.new_ones(self.nets, maps))
            for maps in ((MAPS, MAPS3) if config.model.batch_norm else ())
        ]
        self.masks = [
            layers.Dropout(torch.ones(1, device=self.device)) for _ in (first.units if config.model.dropout else ())
        ]
        self.stack = self._layers(config.optim.batch)
        self.steps_stack = self._layers(1) if config.optim.name == "sdlm" else self.stack
        # the weights that there are: not those of connections that a table lacks
        ones = [{name: torch.ones_like(w) for name, w in model.named_parameters()} for model in models]
        each = [[self._dense(m, name, of[name]) for name in self.names] for m, of in zip(models, ones, strict=True)]
        self.connected = torch.stack([torch.cat([w.flatten() for w in ws]) > 0 for ws in each]).to(self.device)
        self.learned = [self.flat, *(t for norm in self.norms for t in (norm.mean, norm.variance))]
        self.averages = [torch.zeros_like(t) for t in self.learned] if config.optim.average else []
        for k, model in enumerate(models):
            self.set_parameters(k, {name: w.detach() for name, w in model.state().items()})

    def _layers(self, batch: int) -> layers.Stack:
        choices, summed = self.config.model, self.config.optim.cross_terms == "subsampling"
        act = activation(choices.activation)
        pools: dict[str, layers.Layer] = {
            "sum": layers.Subsampling(1.0, summed), "average": layers.Subsampling(0.25, summed),
            "avg_pool": layers.AveragePool(), "max_pool": layers.MaxPool(),
        }  # fmt: skip
        pool = [pools[choices.pooling], *([act] if choices.pooling in ("sum", "average") else [])]
        # the configuration has refused all others
        convolutional = [m for m in self.models if not isinstance(m, MLP)]
        table = torch.stack([m.c3.table.T for m in convolutional]).to(self.dtype).to(self.device)
        stack: list[layers.Layer] = []
        for k, of_maps in enumerate((None, table)):
            stack += [layers.Conv(of_maps, apart=batch >= APART_FROM), *self.norms[k : k + 1], act, *pool]
        for k in range(2):
            stack += [layers.Linear(), act, *self.masks[k : k + 1]]
        if self.linear_output:
            stack.append(layers.Linear())
        return layers.Stack(stack)

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
        """The reverse; an average begins with them."""
        self._set(k, values)
        for mean, new in zip(self.averages, self.learned, strict=False):
            mean[k] = new[k]

    def _set(self, k: int, values: Mapping[str, NDArray[Any] | Tensor]) -> None:
        for name, view in zip(self.names, self.views, strict=True):
            view[k] = self._dense(self.models[k], name, values[name]).to(self.dtype)
        for layer, norm in zip(("n1", "n3"), self.norms, strict=False):
            norm.mean[k] = torch.as_tensor(values[f"{layer}.running_mean"])
            norm.variance[k] = torch.as_tensor(values[f"{layer}.running_var"])

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Within it the weights and their average, if there is one, have changed places."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def _exchange(self) -> None:
        for mean, new in zip(self.averages, self.learned, strict=False):
            kept = new.clone()
            new.copy_(mean)  # in place, where captured graphs look
            mean.copy_(kept)

    def average_in(self, share: float | Tensor) -> None:
        """Move the average, if there is one, by that share towards the weights."""
        for mean, new in zip(self.averages, self.learned, strict=False):
            mean.lerp_(new, share)

    def average(self, k: int) -> dict[str, NDArray[Any]]:
        """Copies of the average of what `parameters` gives of network k; nothing without optim.average."""
        if not self.averages:
            return {}
        with self.averaged():
            return self.parameters(k)

    def set_average(self, k: int, values: Mapping[str, NDArray[Any] | Tensor]) -> None:
        """The reverse."""
        if self.averages:
            with self.averaged():
                self._set(k, values)

    def memory(self, k: int) -> dict[str, NDArray[Any]]:
        """Copies of what network k's optimiser keeps from update to update."""
        if self.eps is not None:
            flat = {"eps": self.eps} | ({} if self.h is None else {"h": self.h})
            return {name: values[k].cpu().numpy().copy() for name, values in flat.items()}
        kept = self.optimiser.memory.items()
        return {f"{kind}/{i}": w[k].cpu().numpy().copy() for kind, ws in kept for i, w in enumerate(ws)}

    def set_memory(self, k: int, values: dict[str, NDArray[Any]]) -> None:
        """The reverse."""
        if self.eps is not None:
            self.eps[k] = torch.as_tensor(values["eps"])
            if self.h is not None:
                self.h[k] = torch.as_tensor(values["h"])
            return
        for kind, tensors in self.optimiser.memory.items():
            for i, w in enumerate(tensors):
                w[k] = torch.as_tensor(values[f"{kind}/{i}"])

    def rates(self, k: int) -> tuple[float, float]:
        """The smallest and the largest rate of network k, as loop.Net.rates."""
        if self.eps is None:
            return self.rate, self.rate
        real = self.eps[k][self.connected[k]]
        return float(real.min()), float(real.max())

    def output(self, x: Tensor, stack: layers.Stack) -> tuple[Tensor, Tensor, list[Any]]:
        """Penalties or weighted sums (M, classes, B); what is below an RBF output or its differences; the tape."""
        y, tape = stack.forward(x, self.views)
        if self.linear_output:
            return y, y, tape
        penalties, differences = outputs.rbf(y, self.centres, self.config.model.rbf_factor)
        return penalties, differences, tape

    def winners(self, output: Tensor) -> Tensor:
        """The labels (M, B): the smallest penalty or the largest sum."""
        return output.argmax(1) if self.linear_output else output.argmin(1)

    def losses(self, output: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """(M, B), and their gradients by the outputs."""
        loss = self.loss
        if loss.name == "cross_entropy":
            return outputs.cross_entropy(output, labels, loss.smoothing)
        return outputs.eq8(output, labels) if loss.name == "eq8" else outputs.eq9(output, labels, loss.j)

    def gradient(self, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Losses and winners (M, B) of a batch, and the mean gradient of each parameter."""
        output, below, tape = self.output(x, self.stack)
        losses, dy = self.losses(output, labels)
        dy = dy / labels.shape[1]
        if not self.linear_output:
            dy = outputs.rbf_inward(dy, below, self.config.model.rbf_factor)
        return losses, self.winners(output), self.stack.backward(dy, tape)

    def curvature(self, x: Tensor) -> list[Tensor]:
        """Sums over the images of h_kk of every parameter (Appendix C)."""
        y, tape = self.steps_stack.forward(x, self.views)
        loss, factor = self.loss, self.config.model.rbf_factor
        if self.linear_output:
            h = outputs.cross_entropy_curvature(y)
        elif loss.name == "eq9" and loss.curvature == "exact":
            h = outputs.eq9_curvature(y, self.centres, factor, loss.j)
        else:
            h = outputs.eq8_curvature(y, factor)
        return self.steps_stack.backward(h, tape, second_order=True)

    def train_mode(self, training: bool) -> None:
        """Whether batch normalisation measures and dropout leaves out."""
        for norm in self.norms:
            norm.training = training
        for mask in self.masks:
            mask.training = training

    def draw_masks(self, pass_: int | Tensor, position: int | Tensor, batch: int) -> None:
        """Dropout's masks of the patterns from `position` of the pass on."""
        if not self.masks:
            return
        rate, units = self.config.model.dropout, self.models[0].units
        kept = kept_units(self.starts, pass_, position, batch, sum(units), rate).mT.contiguous()
        for mask, values in zip(self.masks, (kept.to(self.dtype) / (1 - rate)).split(list(units), 1), strict=True):
            mask.mask = values
