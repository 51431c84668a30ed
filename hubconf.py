"""For torch.hub: torch.hub.load("<this repository>", "lenet5_1998"), with source="local" for a folder on disk."""

from __future__ import annotations

# torch.hub takes every name without an underscore for a network.
from torch.nn import Module as _Module

from paper_lenet.config import InitConfig as _InitConfig
from paper_lenet.network.paper_net import reset as _reset
from paper_lenet.network.pretrained import load_pretrained as _load_pretrained

dependencies = ["numpy", "safetensors", "torch"]


def lenet5_1998(pretrained: bool = True) -> _Module:
    """LeNet-5, trained as in 1998: bytes (N, 28, 28), torch.uint8 -> penalties (N, 10), the smallest wins.

    pretrained: false gives new initial weights, drawn with PyTorch's generator.
    """
    return _network("lenet5-1998", pretrained)


def lenet5_modern(pretrained: bool = True) -> _Module:
    """LeNet-5's layers, trained as today: bytes (N, 28, 28), torch.uint8 -> weighted sums (N, 10), the largest wins.

    pretrained: false gives new initial weights, drawn with PyTorch's generator.
    """
    return _network("lenet5-modern", pretrained)


def _network(name: str, pretrained: bool) -> _Module:
    net = _load_pretrained(name)
    if not pretrained:
        _reset(net.network, _InitConfig(**net.about["model"]["init"]), None)
        net.train()
    return net
