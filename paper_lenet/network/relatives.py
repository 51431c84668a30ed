"""LeNet-1 and LeNet-4 (p. 13-14), whose tables the paper does not print."""

from __future__ import annotations

import torch

from paper_lenet import paper
from paper_lenet.config import InitConfig
from paper_lenet.network.paper_net import PaperNet, targets
from paper_lenet.paper import connections


def lenet1(
    init: InitConfig | None = None, generator: torch.Generator | None = None, classes: int = paper.CLASSES
) -> PaperNet:
    """LeNet-1: 16x16 images in the middle of 28x28, 4 and 12 maps, ten units that see all of S4.

    With 20 connections between the maps it has 2,578 parameters and 98,442 connections; the paper has "about 2,600
    free parameters" and "about 100,000 multiply-add steps".  # D14
    """
    return PaperNet(28, 4, connections.LENET1, (classes,), targets(classes), init=init, generator=generator)


def lenet4(
    init: InitConfig | None = None, generator: torch.Generator | None = None, classes: int = paper.CLASSES
) -> PaperNet:
    """LeNet-4: 4 maps, 8 subsampling maps "connected in pairs", 16 maps, 120 units, ten units (p. 13).

    With 48 connections between the maps it has 50,698 parameters and 262,306 connections; the paper has "about 17,000
    free parameters" and "about 260,000 multiply-add steps".  # D15
    """
    units = (120, classes)
    return PaperNet(32, 4, connections.LENET4, units, targets(classes), init=init, generator=generator)
