"""The images of several networks on the device, and the inputs that every step makes of them.

Legend: M networks, B patterns a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from paper_lenet.data.distortions import bilinear
from paper_lenet.learning.patterns import Patterns


@dataclass
class Resident:
    """The patterns of several networks on the device: images that they share, and which of them each one has.

    images: bytes (n, side, side), framed to the network's input.  labels: (n,).  chosen: (M, m), the images of each
    network's own subset.  maps: (M, copies, 6) inverse maps.  fields: (K, side, side) displacements, each
    network's after the other's.  pairs: (M, copies, 2), the fields of x and y.  low, step: byte b becomes
    low + step * b.
    """

    images: Tensor
    labels: Tensor
    chosen: Tensor
    maps: Tensor
    fields: Tensor
    pairs: Tensor
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
            maps = self.maps.gather(1, copy[..., None].expand(-1, -1, 6)).reshape(-1, 6)
            moved = None
            if len(self.fields):
                pairs = self.pairs.gather(1, copy[..., None].expand(-1, -1, 2)).reshape(-1)
                moved = self.fields.index_select(0, pairs).view(-1, 2, side, side)
            distorted = bilinear(x, maps, dtype, moved)
            x = torch.where((patterns >= count).reshape(-1, 1, 1), distorted, x)
        x = x.mul_(self.step).add_(self.low)
        return x.view(nets, batch, side * side).mT.reshape(nets, 1, side, side, batch)


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
    values, fields = own[0].values, [patterns.elastic.within(side) for patterns in own]
    pairs = [patterns.elastic.pairs + k * len(fields[0]) for k, patterns in enumerate(own)]
    return Resident(
        torch.cat(images).to(device),
        torch.cat(labels).to(device),
        torch.stack(chosen).to(device),
        torch.from_numpy(np.stack([patterns.maps for patterns in own])).to(device),
        torch.from_numpy(np.concatenate(fields)).to(device),
        torch.from_numpy(np.stack(pairs).astype(np.int64)).to(device),
        float(values[0]),
        float(values[255] - values[0]) / 255,
    )
