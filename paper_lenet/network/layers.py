"""The layers of Section II-B, each computing the weighted sums a_i; the network squashes them (Eq. 5).

Legend: a weighted sum, x state, w weight, y penalty.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from paper_lenet.paper.connections import pairs


class Subsampling(nn.Module):
    """S2 and S4: 2x2 inputs added, times one trainable coefficient a map, plus one trainable bias (p. 7).

    maps: feature maps out.  pooling: `sum`, or `average` as p. 6 has it, which scales each input by 1/4.  # D4
    (N, maps in, H, W) with even H and W -> (N, maps, H/2, W/2). There are as many maps in, or a part of that: then
    each feeds neighbouring ones, as LeNet-4's "connected in pairs to each first-layer feature maps" (p. 13).
    """

    def __init__(self, maps: int, pooling: str = "sum") -> None:
        super().__init__()
        self.scale = {"sum": 1.0, "average": 0.25}[pooling]
        self.coefficient = nn.Parameter(torch.empty(maps))
        self.bias = nn.Parameter(torch.empty(maps))

    def forward(self, x: Tensor) -> Tensor:
        return subsample(x * self.scale, self.coefficient, self.bias)


def subsample(x: Tensor, coefficient: Tensor, bias: Tensor) -> Tensor:
    """Weighted sums of a subsampling layer; shapes as in `Subsampling`."""
    if (copies := len(coefficient) // x.shape[-3]) > 1:
        x = x.repeat_interleave(copies, -3)
    rows = x[..., 0::2, :] + x[..., 1::2, :]
    summed = rows[..., 0::2] + rows[..., 1::2]
    return coefficient[:, None, None] * summed + bias[:, None, None]


class TableConv2d(nn.Module):
    """C3: a 5x5 convolution in which a connection table says which maps feed which (Table I, p. 8).

    table: bool (maps in, maps out).  weight: one 5x5 kernel a connection, column by column of the table, so that
    nothing is stored for what is not connected.  (N, in, H, W) -> (N, out, H-4, W-4).
    """

    out_of: Tensor
    in_of: Tensor

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.table = table
        out_of, in_of = zip(*pairs(table), strict=True)
        self.register_buffer("out_of", torch.tensor(out_of), persistent=False)
        self.register_buffer("in_of", torch.tensor(in_of), persistent=False)
        self.weight = nn.Parameter(torch.empty(len(out_of), 5, 5))
        self.bias = nn.Parameter(torch.empty(table.shape[1]))

    def forward(self, x: Tensor) -> Tensor:
        maps_in, maps_out = self.table.shape
        dense = x.new_zeros(maps_out, maps_in, 5, 5).index_put((self.out_of, self.in_of), self.weight)
        return F.conv2d(x, dense, self.bias)


class EuclideanRBF(nn.Module):
    """Output layer: y_i = factor * sum_j (x_j - w_ij)^2; the smallest penalty wins.

    centres: (classes, units), fixed ("kept fixed (at least initially)", p. 8).  factor: printed 1.  # D5
    (..., units) -> (..., classes).
    """

    centres: Tensor

    def __init__(self, centres: Tensor, factor: float = 1.0) -> None:
        super().__init__()
        self.factor = factor
        self.register_buffer("centres", centres.clone())

    def forward(self, x: Tensor) -> Tensor:
        # Eq. 7, p. 8
        return self.factor * (x[..., None, :] - self.centres).square().sum(-1)
