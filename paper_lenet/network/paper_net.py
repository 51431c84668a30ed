"""The family of the paper's convolutional networks: c1 s2 c3 s4 c5 [f6] output (Fig. 2, p. 7).

LeNet-5 and its smaller relatives differ in size, maps, tables and units only. A relative without RBF bitmaps has its
targets as centres: with +1 for the class and -1 elsewhere, Eq. 7 is the squared distance to the target.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from paper_lenet.activations import squash
from paper_lenet.config import InitConfig
from paper_lenet.network.layers import EuclideanRBF, Subsampling, TableConv2d

KERNEL = 5


@torch.no_grad()
def reset(net: nn.Module, init: InitConfig, generator: torch.Generator | None) -> None:
    """Draw the initial parameters, layer by layer, weights before biases (Appendix A, p. 41, or the scheme's)."""
    for name, layer in net.named_children():
        if isinstance(layer, Subsampling):
            of_unit, fan_out = torch.tensor(4.0), 1.0
            weight: Tensor = layer.coefficient
            fan_in = of_unit
        elif isinstance(layer, TableConv2d):
            weight, of_unit = layer.weight, KERNEL**2 * layer.table.sum(0).float()
            fan_in, fan_out = of_unit[layer.out_of][:, None, None], KERNEL**2 * float(layer.table.sum(1).float().mean())
        elif isinstance(layer, nn.Conv2d | nn.Linear):
            weight, of_unit = layer.weight, torch.tensor(float(layer.weight[0].numel()))
            # C5 has one position only, so that each of its inputs goes to each unit once, as in a dense layer
            fan_in, fan_out = of_unit, float(weight.shape[0] if name == "c5" else weight[:, 0].numel())
        else:
            continue
        bias = layer.bias
        assert bias is not None

        def uniform(parameter: Tensor, bound: Tensor) -> None:
            parameter.copy_((2 * torch.rand(parameter.shape, generator=generator) - 1) * bound)

        if init.scheme == "paper":
            if isinstance(layer, Subsampling) and init.coefficient == "fixed":  # D3
                weight.fill_(init.coefficient_value)
            else:
                uniform(weight, init.gain / fan_in**init.exponent)  # D1
            if init.bias == "random":  # D2
                uniform(bias, init.gain / of_unit**init.exponent)
            else:
                bias.zero_()
            continue
        bias.zero_()
        if isinstance(layer, Subsampling):
            weight.fill_(0.25 / layer.scale)
        elif init.scheme == "kaiming":
            weight.copy_(torch.randn(weight.shape, generator=generator) * (2 / fan_in).sqrt())
        elif init.scheme == "xavier":
            uniform(weight, (6 / (fan_in + fan_out)).sqrt())
        else:
            uniform(weight, fan_in.rsqrt())
            uniform(bias, of_unit.rsqrt())


def targets(classes: int) -> Tensor:
    """(classes, classes) centres of a network whose units stand for the classes: +1 for its own, else -1.  # D16"""
    return 2 * torch.eye(classes) - 1


class LayeredNet(nn.Module):
    """What all networks have: the states of their layers by name, and their parameters."""

    def features(self, images: Tensor) -> dict[str, Tensor]:
        """The state of every layer by name, `input` and `output` among them."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Tensor:
        return self.features(images)["output"]

    def parameters_by_layer(self) -> dict[str, int]:
        """Number of trainable parameters of each layer, in the paper's way of counting (p. 7-8)."""
        return {name: sum(p.numel() for p in layer.parameters()) for name, layer in self.named_children()}

    def state(self) -> dict[str, Tensor]:
        """All that is trained, by its name in the state_dict: parameters, and the running means and variances."""
        buffers = self.named_buffers()
        return dict(self.named_parameters()) | {n: b for n, b in buffers if n.endswith(("running_mean", "running_var"))}

    @torch.no_grad()
    def set_state(self, state: Mapping[str, object]) -> None:
        """Copy what is trained (arrays or tensors of the state_dict's shapes) into the network, by name."""
        own = self.state()
        for name, value in state.items():
            own[name].copy_(torch.as_tensor(value))


class PaperNet(LayeredNet):
    """A convolutional network of the paper.

    side: pixels of the square input.  maps: feature maps of C1.  table: bool (maps of S2, maps of C3); S2 has a
        multiple of C1's.
    units: of C5 and, when there are two numbers, of F6; the last one is the centres' length.
    centres: (classes, units[-1]), the RBF codes.  pooling, rbf_factor, init: as in ModelConfig.
    generator: draws the initial weights; None for torch's own.

    Called on (N, 1, side, side) it gives penalties (N, classes), the smallest wins. A larger input gives the penalties
    of every position of C5, (N, classes, h, w).
    """

    def __init__(
        self,
        side: int,
        maps: int,
        table: Tensor,
        units: tuple[int, ...],
        centres: Tensor,
        pooling: str = "sum",
        rbf_factor: float = 1.0,
        init: InitConfig | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        after_s4 = ((side - 4) // 2 - 4) // 2
        self.side, self.units = side, units
        self.c1 = nn.Conv2d(1, maps, KERNEL)
        self.s2 = Subsampling(table.shape[0], pooling)
        self.c3 = TableConv2d(table)
        self.s4 = Subsampling(table.shape[1], pooling)
        self.c5 = nn.Conv2d(table.shape[1], units[0], after_s4)
        self.f6 = nn.Linear(units[0], units[1]) if len(units) == 2 else None
        self.output = EuclideanRBF(centres, rbf_factor)
        # Without a code of their own the classes are the last units, and the largest wins: nothing is multiplied.
        self.coded = not torch.equal(centres, targets(len(centres)))
        reset(self, init or InitConfig(), generator)

    def features(self, images: Tensor) -> dict[str, Tensor]:
        """The state of every layer by name: input, c1, s2, c3, s4, c5, f6 (where there is one) and output.

        Maps are (N, maps, H, W); f6 and output are (N, units) for an input of the network's own size and
        (N, units, h, w) for a larger one. Raises ValueError for an input that is not (N, 1, H, W) of a fitting size.
        """
        if images.dim() != 4 or images.shape[1] != 1 or min(images.shape[2:]) < self.side:
            raise ValueError(f"images of shape {tuple(images.shape)}: must be (N, 1, {self.side}, {self.side})")
        if any((extent - self.side) % 4 for extent in images.shape[2:]):
            raise ValueError(f"images of shape {tuple(images.shape)}: sides must be {self.side} plus a multiple of 4")
        states = {"input": images}
        x = images
        for name in ("c1", "s2", "c3", "s4", "c5"):
            x = states[name] = squash(getattr(self, name)(x))
        if self.f6 is not None:
            x = squash(self.f6(x.movedim(1, -1))).movedim(-1, 1)
            states["f6"] = x
        states["output"] = self.output(x.movedim(1, -1)).movedim(-1, 1)
        for name in ("f6", "output"):
            if name in states and states[name].shape[2:] == (1, 1):
                states[name] = states[name].flatten(1)
        return states

    def trained_layers(self) -> list[str]:
        """Names of the layers that have parameters or pool, from the input on."""
        return ["c1", "s2", "c3", "s4", "c5", *(["f6"] if self.f6 is not None else [])]

    def connections(self) -> dict[str, int]:
        """Number of connections of each layer, biases included, for an input of the network's own size (p. 7-8)."""
        after = self.features(torch.zeros(1, 1, self.side, self.side, dtype=self.c1.weight.dtype))
        positions = {name: state[0, 0].numel() for name, state in after.items() if state.dim() == 4}
        counts = {}
        for name in ("c1", "c3", "c5"):
            counts[name] = positions[name] * self.parameters_by_layer()[name]
        for name in ("s2", "s4"):
            counts[name] = after[name][0].numel() * (4 + 1)
        if self.f6 is not None:
            counts["f6"] = self.parameters_by_layer()["f6"]
        if self.coded:
            counts["output"] = self.output.centres.numel()
        return {name: counts[name] for name in after if name in counts}

    def multiply_adds(self) -> int:
        """Multiplications with a weight or a centre that one image takes, biases not counted."""
        side1, side3 = self.side - 4, (self.side - 4) // 2 - 4
        convolutions = self.c1.weight.numel() * side1**2 + self.c3.weight.numel() * side3**2
        pooling = len(self.s2.bias) * (side1 // 2) ** 2 + len(self.s4.bias) * (side3 // 2) ** 2
        dense = self.c5.weight.numel() + (self.f6.weight.numel() if self.f6 is not None else 0)
        return convolutions + pooling + dense + (self.output.centres.numel() if self.coded else 0)
