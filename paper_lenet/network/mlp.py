"""The fully connected networks of p. 13-14: one or two hidden layers, ten output units, squashed like all others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from paper_lenet import paper
from paper_lenet.activations import squash
from paper_lenet.config import InitConfig
from paper_lenet.network.layers import EuclideanRBF
from paper_lenet.network.paper_net import reset, targets


class MLP(nn.Module):
    """h1 [h2 ...] classes output: each layer connected to all of the one below.

    side: pixels of the square input.  hidden: units of each hidden layer.  init: as in ModelConfig.
    generator: draws the initial weights; None for torch's own.

    Called on (N, 1, side, side) it gives (N, 10), the squared distances of the ten last units to each class's targets,
    of which the smallest wins: that of the class whose unit is largest.
    """

    def __init__(
        self, side: int, hidden: Sequence[int], init: InitConfig | None = None, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.side, self.units = side, (*hidden, paper.CLASSES)
        below = side * side
        for name, units in zip(self.trained_layers(), self.units, strict=True):
            setattr(self, name, nn.Linear(below, units))
            below = units
        self.output = EuclideanRBF(targets(paper.CLASSES))
        reset(self, init or InitConfig(), generator)

    def trained_layers(self) -> list[str]:
        """Names of the layers that have parameters, from the input on."""
        return [*(f"h{k}" for k in range(1, len(self.units))), "classes"]

    def features(self, images: Tensor) -> dict[str, Tensor]:
        """The state of every layer by name: input (N, 1, side, side), the others (N, units)."""
        states, x = {"input": images}, images.flatten(1)
        for name in self.trained_layers():
            x = states[name] = squash(getattr(self, name)(x))
        states["output"] = self.output(x)
        return states

    def forward(self, images: Tensor) -> Tensor:
        return self.features(images)["output"]

    def parameters_by_layer(self) -> dict[str, int]:
        """Number of trainable parameters of each layer."""
        return {name: sum(p.numel() for p in layer.parameters()) for name, layer in self.named_children()}

    def multiply_adds(self) -> int:
        """Multiplications with a weight that one image takes, biases not counted."""
        return sum(getattr(self, name).weight.numel() for name in self.trained_layers())

    def set_state(self, state: Mapping[str, object]) -> None:
        """Copy parameters by name (arrays or tensors of the state_dict's shapes) into the network."""
        named = dict(self.named_parameters())
        with torch.no_grad():
            for name, value in state.items():
                named[name].copy_(torch.as_tensor(value))
