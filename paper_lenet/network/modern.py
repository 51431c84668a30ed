"""LeNet-5's skeleton with every detail a choice (ModelConfig): what people have called LeNet-5 since 1998."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from paper_lenet import paper
from paper_lenet.activations import ACTIVATIONS
from paper_lenet.config import ModelConfig
from paper_lenet.network.layers import EuclideanRBF, Subsampling, TableConv2d
from paper_lenet.network.paper_net import KERNEL, LayeredNet, reset
from paper_lenet.paper import bitmaps, connections

MAPS, MAPS3, UNITS = 6, 16, (120, 84)


def table_of(name: str, generator: torch.Generator | None) -> Tensor:
    """The connection table of C3, bool (6, 16): `paper`, `full`, or `random` with as many connections as Table I.

    A random table that left a map of either side unconnected is drawn again.
    """
    paper_s = connections.TABLE_I
    if name == "paper":
        return paper_s
    if name == "full":
        return torch.ones_like(paper_s)
    while True:
        table = torch.zeros(paper_s.numel(), dtype=torch.bool)
        table[torch.randperm(table.numel(), generator=generator)[: int(paper_s.sum())]] = True
        table = table.view_as(paper_s)
        if table.any(0).all() and table.any(1).all():
            return table


class ModernNet(LayeredNet):
    """c1 [n1] s2 c3 [n3] s4 c5 f6 output, n1 and n3 being batch normalisation.

    choices: the details.  generator: draws the table, if it is random, and the initial parameters.

    Called on (N, 1, side, side) it gives (N, classes): penalties of an RBF output, of which the smallest wins, or the
    weighted sums of a linear one, of which the largest wins. A larger input gives those of every position of C5,
    (N, classes, h, w).
    """

    def __init__(self, choices: ModelConfig, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.choices = choices
        self.side = paper.IMAGE_SIZE if choices.geometry == "unpadded" else paper.INPUT_SIZE
        self.units = UNITS
        self.c1 = nn.Conv2d(1, MAPS, KERNEL)
        self.n1 = nn.BatchNorm2d(MAPS) if choices.batch_norm else None
        self.s2 = _pooling(choices.pooling, MAPS)
        self.c3 = TableConv2d(table_of(choices.table, generator))
        self.n3 = nn.BatchNorm2d(MAPS3) if choices.batch_norm else None
        self.s4 = _pooling(choices.pooling, MAPS3)
        self.c5 = nn.Conv2d(MAPS3, UNITS[0], ((self.side - 4) // 2 - 4) // 2)
        self.f6 = nn.Linear(*UNITS)
        self.output: EuclideanRBF | nn.Linear
        if choices.output == "rbf":
            self.output = EuclideanRBF(bitmaps.codes(choices.characters()), choices.rbf_factor)
        else:
            self.output = nn.Linear(UNITS[1], len(choices.characters()))
        reset(self, choices.init, generator)

    def features(self, images: Tensor, masks: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """The state of every layer by name, as PaperNet.features; masks: of c5 and f6, (N, units), for dropout."""
        act = ACTIVATIONS[self.choices.activation]
        states = {"input": images}

        def pooled(layer: nn.Module, x: Tensor) -> Tensor:
            # A subsampling unit squashes; taking the mean or the largest is all that the other kinds do.
            y: Tensor = act(layer(x)) if isinstance(layer, Subsampling) else layer(x)
            return y

        def normalised(layer: nn.Module | None, a: Tensor) -> Tensor:
            result: Tensor = a if layer is None else layer(a)
            return result

        def kept(name: str, x: Tensor) -> Tensor:
            return x if masks is None else x * masks[name].view(x.shape)

        states["c1"] = act(normalised(self.n1, self.c1(images)))
        states["s2"] = pooled(self.s2, states["c1"])
        states["c3"] = act(normalised(self.n3, self.c3(states["s2"])))
        states["s4"] = pooled(self.s4, states["c3"])
        states["c5"] = kept("c5", act(self.c5(states["s4"])))
        c5 = states["c5"] if states["c5"].shape[2:] != (1, 1) else states["c5"].flatten(1)
        states["f6"] = kept("f6", act(self.f6(c5.movedim(1, -1))).movedim(-1, 1))
        states["output"] = self.output(states["f6"].movedim(1, -1)).movedim(-1, 1)
        return states

    def forward(self, images: Tensor, masks: Mapping[str, Tensor] | None = None) -> Tensor:
        return self.features(images, masks)["output"]

    def trained_layers(self) -> list[str]:
        """Names of the layers that have parameters or pool, from the input on; batch normalisation is part of one."""
        return ["c1", "s2", "c3", "s4", "c5", "f6", *(["output"] if isinstance(self.output, nn.Linear) else [])]

    def multiply_adds(self) -> int:
        """Multiplications with a weight that one image takes, biases and pooling without weights not counted."""
        side1, side3 = self.side - 4, (self.side - 4) // 2 - 4
        c1, c3 = self.c1.weight.numel() * side1**2, self.c3.weight.numel() * side3**2
        pooling = 0
        if isinstance(self.s2, Subsampling):
            pooling = MAPS * (side1 // 2) ** 2 + MAPS3 * (side3 // 2) ** 2
        output = len(self.choices.characters()) * UNITS[1]
        return c1 + c3 + pooling + self.c5.weight.numel() + self.f6.weight.numel() + output


def _pooling(name: str, maps: int) -> nn.Module:
    if name == "avg_pool":
        return nn.AvgPool2d(2)
    return nn.MaxPool2d(2) if name == "max_pool" else Subsampling(maps, name)
