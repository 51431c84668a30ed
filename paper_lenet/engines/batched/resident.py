"""The images of several networks on the device, and the inputs that every step makes of them.

Legend: M networks, B patterns a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from paper_lenet.learning.patterns import Patterns


@dataclass
class Resident:
    """The patterns of several networks on the device: images that they share, and which of them each one has.

    images: bytes (n, side, side), framed to the network's input.  labels: (n,).  chosen: (M, m), the images of each
    network's own subset.  maps: (M, copies, 5) inverse maps.  low, step: byte b becomes low + step * b.
    """

    images: Tensor
    labels: Tensor
    chosen: Tensor
    maps: Tensor
    low: float
    step: float

    def labels_of(self, patterns: Tensor) -> Tensor:
        """(M, B) of patterns (M, B)."""
        return self.labels[self.chosen.gather(1, patterns % self.chosen.shape[1])]

    def inputs(self, patterns: Tensor, dtype: torch.dtype) -> Tensor:
        """Grey values (M, 1, side, side, B) of patterns (M, B), as Patterns.grey."""
        nets, batch = patterns.shape
        count, side = self.chosen.shape[1], self.images.shape[1]
        which = self.chosen.gather(1, patterns % count).reshape(-1)
        x = self.images.index_select(0, which).to(dtype)
        if self.maps.shape[1]:
            copy = (patterns - count).clamp(min=0)
            maps = self.maps.gather(1, copy[..., None].expand(-1, -1, 5)).reshape(-1, 5)
            distorted = _warp(x, maps, dtype)
            x = torch.where((patterns >= count).reshape(-1, 1, 1), distorted, x)
        x = x.mul_(self.step).add_(self.low)
        return x.view(nets, batch, side * side).mT.reshape(nets, 1, side, side, batch)


def _warp(source: Tensor, maps: Tensor, dtype: torch.dtype) -> Tensor:
    """Bytes as numbers (k, side, side) put through inverse maps (k, 5), as distortions.warp."""
    side = source.shape[1]
    middle = (side - 1) / 2
    padded = torch.nn.functional.pad(source, (1, 1, 1, 1)).flatten(1)
    target = torch.arange(side, device=source.device, dtype=dtype) - middle
    a, b, c, d, e = (maps[:, i, None, None].to(dtype) for i in range(5))
    y = (d * target[:, None] + e + 0 * a).expand(-1, side, side)
    x = a * target + (b * target[:, None] + c)
    x, y = ((v + (middle + 1)).clamp(0, side + 1) for v in (x, y))
    x0, y0 = (v.long().clamp(max=side) for v in (x, y))
    fx, fy = x - x0, y - y0
    at = (y0 * (side + 2) + x0).flatten(1)
    corner = [padded.gather(1, at + k).view_as(x) for k in (0, 1, side + 2, side + 3)]
    upper = corner[0] * (1 - fx) + corner[1] * fx
    lower = corner[2] * (1 - fx) + corner[3] * fx
    return upper * (1 - fy) + lower * fy


def resident(own: Sequence[Patterns], side: int, device: torch.device) -> Resident:
    """Patterns of several seeds; those that are the same arrays of images are laid down once."""
    images, labels, chosen, start = [], [], [], 0
    known: dict[bytes, Tensor] = {}
    for patterns in own:
        key = patterns.images.ctypes.data.to_bytes(8, "big")
        if key not in known:
            edge = (side - patterns.images.shape[1]) // 2
            framed = np.pad(patterns.images, ((0, 0), (edge, edge), (edge, edge)))
            images.append(torch.from_numpy(framed))
            labels.append(torch.from_numpy(patterns.labels))
            known[key] = torch.arange(start, start + len(framed))
            start += len(framed)
        chosen.append(known[key])
    values = own[0].values
    return Resident(
        torch.cat(images).to(device),
        torch.cat(labels).to(device),
        torch.stack(chosen).to(device),
        torch.from_numpy(np.stack([patterns.maps for patterns in own])).to(device),
        float(values[0]),
        float(values[255] - values[0]) / 255,
    )
