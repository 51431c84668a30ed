"""LeNet-5 (Fig. 2 and p. 7-8), and the network that a configuration asks for."""

from __future__ import annotations

import torch

from paper_lenet import paper
from paper_lenet.config import InitConfig, ModelConfig
from paper_lenet.generators import generator as purpose_generator
from paper_lenet.network.mlp import MLP
from paper_lenet.network.modern import ModernNet
from paper_lenet.network.paper_net import PaperNet
from paper_lenet.network.relatives import lenet1, lenet4
from paper_lenet.paper import bitmaps, connections


class LeNet5(PaperNet):
    """LeNet-5: c1 6@28x28, s2 6@14x14, c3 16@10x10 by Table I, s4 16@5x5, c5 120, f6 84, ten bitmaps of 7x12.

    Its parameters and connections are counted against the paper's on construction: 60,000 and 340,908.
    """

    def __init__(
        self,
        init: InitConfig | None = None,
        generator: torch.Generator | None = None,
        pooling: str = "sum",
        rbf_factor: float = 1.0,
        blank: bool = False,
        classes: str = paper.CHARACTERS,
    ) -> None:
        codes = bitmaps.codes(classes + " " * blank)
        super().__init__(
            paper.INPUT_SIZE, 6, connections.TABLE_I, (120, 84), codes, pooling, rbf_factor, init, generator
        )
        assert self.parameters_by_layer() == paper.PARAMETERS
        assert len(codes) != paper.CLASSES or self.connections() == paper.CONNECTIONS


def build(config: ModelConfig, seed: int) -> PaperNet | ModernNet | MLP:
    """The configured network with the initial weights of a seed, in float32 on the CPU."""
    generator = torch.Generator().manual_seed(int(purpose_generator(seed, "weights").integers(2**63)))
    if config.name == "mlp":
        return MLP(config.side, config.hidden, config.init, generator, len(config.classes))
    if config.name != "lenet5":
        return {"lenet1": lenet1, "lenet4": lenet4}[config.name](config.init, generator, len(config.classes))
    if config.is_modern():
        return ModernNet(config, generator)
    return LeNet5(config.init, generator, config.pooling, config.rbf_factor, config.blank, config.classes)
