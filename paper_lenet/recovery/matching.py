"""How alike the maps of two networks are, whatever their order and sign: by their states for the same images.

Each map of one network is given a map of the other, so that the mean absolute correlation of their states is largest.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from paper_lenet.network.paper_net import PaperNet
from paper_lenet.recovery.front import LAYERS

States = dict[str, NDArray[np.floating]]


@torch.no_grad()
def states_of(net: PaperNet, images: NDArray[np.floating]) -> States:
    """The states (maps, N x positions) of C1 to S4 for images (N, 32, 32)."""
    dtype = net.c1.weight.dtype
    found = net.features(torch.from_numpy(images)[:, None].to(dtype))
    return {layer: found[layer].movedim(1, 0).flatten(1).numpy() for layer in LAYERS}


def match(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """The mean absolute correlation of the best assignment between maps (maps, states) of two networks, 0 to 1.

    A map that is the same everywhere is correlated with none.
    """
    a, b = (_standard(values) for values in (a, b))
    correlation = np.abs(a @ b.T) / a.shape[1]
    rows, columns = linear_sum_assignment(correlation, maximize=True)
    return float(correlation[rows, columns].mean())


def _standard(values: NDArray[np.floating]) -> NDArray[np.floating]:
    centred = values.astype(np.float64) - values.mean(1, keepdims=True, dtype=np.float64)
    deviation = centred.std(1, keepdims=True)
    standard: NDArray[np.floating] = np.divide(centred, deviation, out=np.zeros_like(centred), where=deviation > 1e-9)
    return standard
