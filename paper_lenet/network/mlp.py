"""The fully connected networks of p. 13-14: one or two hidden layers and a unit for each class, all squashed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from paper_lenet import paper
from paper_lenet.activations import squash
from paper_lenet.config import InitConfig
from paper_lenet.network.layers import EuclideanRBF
from paper_lenet.network.paper_net import LayeredNet, reset, targets


class MLP(LayeredNet):
    """h1 [h2 ...] classes output: each layer connected to all of the one below.

    side: pixels of the square input.  hidden: units of each hidden layer.  init: as in ModelConfig.
    generator: draws the initial weights; None for torch's own.

    Called on (N, 1, side, side) it gives (N, classes), the squared distances of the last units to each class's targets,
    of which the smallest wins: that of the class whose unit is largest.
    """

    def __init__(
        self,
        side: int,
        hidden: Sequence[int],
        init: InitConfig | None = None,
        generator: torch.Generator | None = None,
        classes: int = paper.CLASSES,
    ) -> None:
        super().__init__()
        self.side, self.units = side, (*hidden, classes)
        below = side * side
        for name, units in zip(self.trained_layers(), self.units, strict=True):
            setattr(self, name, nn.Linear(below, units))
            below = units
        self.output = EuclideanRBF(targets(classes))
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

    def multiply_adds(self) -> int:
        """Multiplications with a weight that one image takes, biases not counted."""
        return sum(getattr(self, name).weight.numel() for name in self.trained_layers())
