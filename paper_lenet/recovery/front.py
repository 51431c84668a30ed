"""C1, S2, C3 and S4 as functions of their parameters, map by map, with the derivatives of every state.

Legend: theta the 1,716 parameters; x state; a weighted sum; patches the 5x5 inputs of each unit. Tangents are
derivatives of a map's states by the parameters that reach it, (parameters, images, height, width).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from paper_lenet.activations import squash, squash_slope
from paper_lenet.files import Tensors
from paper_lenet.network.paper_net import KERNEL
from paper_lenet.paper.connections import TABLE_I

Map = tuple[str, int]
LAYERS = ("c1", "s2", "c3", "s4")
MAPS = {"c1": 6, "s2": 6, "c3": 16, "s4": 16}
# Of a unit of each layer: pixels of the side of what it sees, and pixels between neighbours.
FIELDS = {"c1": (5, 1), "s2": (6, 2), "c3": (14, 2), "s4": (16, 4)}
WEIGHTS = KERNEL**2
# Table I, p. 8: the maps of S2 that each map of C3 sees.
FEEDS = [torch.nonzero(TABLE_I[:, column]).flatten().tolist() for column in range(MAPS["c3"])]


def _places() -> dict[Map, slice]:
    sizes = {(layer, k): 2 for layer in ("s2", "s4") for k in range(MAPS[layer])}
    sizes |= {("c1", k): WEIGHTS + 1 for k in range(MAPS["c1"])}
    sizes |= {("c3", k): WEIGHTS * len(FEEDS[k]) + 1 for k in range(MAPS["c3"])}
    found, start = {}, 0
    for layer in LAYERS:
        for k in range(MAPS[layer]):
            found[layer, k] = slice(start, start + sizes[layer, k])
            start += sizes[layer, k]
    return found


# Where in theta the parameters of each map lie: kernels, or a coefficient, and then the bias.
PLACES = _places()
SIZE = PLACES["s4", MAPS["s4"] - 1].stop


@dataclass
class States:
    """What `states` found: x by map; and, where asked for, tangents by map and the parameters that they are of."""

    x: dict[Map, Tensor] = field(default_factory=dict)
    tangents: dict[Map, Tensor] = field(default_factory=dict)
    columns: dict[Map, Tensor] = field(default_factory=dict)


def states(theta: Tensor, images: Tensor, with_tangents: bool = False) -> States:
    """All states of images (N, 32, 32) in float64, with their derivatives by theta if asked for."""
    found = States()
    ones = torch.ones_like(images[:, :1, :1])

    def keep(key: Map, a: Tensor, own: list[Tensor], below: list[Tensor], columns: list[Tensor]) -> None:
        """own: what each of the map's own parameters is multiplied by.  below: tangents of a by those under it."""
        x = found.x[key] = squash(a)
        if with_tangents:
            own = [values.expand_as(a) for values in own]
            found.tangents[key] = torch.cat([*below, torch.stack(own)]) * squash_slope(x)
            place = PLACES[key]
            found.columns[key] = torch.cat([*columns, torch.arange(place.start, place.stop)])

    for k in range(MAPS["c1"]):
        seen = patches(images)
        w = theta[PLACES["c1", k]]
        keep(("c1", k), seen @ w[:-1] + w[-1], [*seen.movedim(-1, 0), ones], [], [])
    for k in range(MAPS["s2"]):
        _subsample(theta, found, keep, "c1", ("s2", k), ones)
    through = _through_c3(theta, found) if with_tangents else {}
    for k in range(MAPS["c3"]):
        inputs = [("s2", i) for i in FEEDS[k]]
        w = theta[PLACES["c3", k]]
        seen_of = [patches(found.x[key]) for key in inputs]
        a = w[-1] + sum(seen @ kernel for seen, kernel in zip(seen_of, w[:-1].view(-1, WEIGHTS), strict=True))
        own = [value for seen in seen_of for value in seen.movedim(-1, 0)]
        below = [through[i, k] for i in FEEDS[k] if with_tangents]
        keep(("c3", k), a, [*own, ones], below, [found.columns[key] for key in inputs if with_tangents])
    for k in range(MAPS["s4"]):
        _subsample(theta, found, keep, "c3", ("s4", k), ones)
    return found


def _subsample(theta: Tensor, found: States, keep: Callable[..., None], below: str, key: Map, ones: Tensor) -> None:
    coefficient, bias = theta[PLACES[key]]
    source = below, key[1]
    added = add_four(found.x[source])
    tangents = [coefficient * add_four(found.tangents[source])] if found.tangents else []
    keep(key, coefficient * added + bias, [added, ones], tangents, [found.columns[source]] if tangents else [])


def _through_c3(theta: Tensor, found: States) -> dict[tuple[int, int], Tensor]:
    """The tangents of each map of S2 convolved with its kernel of each map of C3 that it feeds, by both numbers."""
    dense = kernels(theta, "c3")
    through: dict[tuple[int, int], Tensor] = {}
    for _, i in maps_of("s2"):
        fed = [k for k, feeds in enumerate(FEEDS) if i in feeds]
        tangents = found.tangents["s2", i]
        made = F.conv2d(tangents.flatten(0, 1)[:, None], dense[fed, i][:, None])
        made = made.view(*tangents.shape[:2], *made.shape[1:])
        through |= {(i, k): made[:, :, place] for place, k in enumerate(fed)}
    return through


def patches(x: Tensor) -> Tensor:
    """The 5x5 inputs of each unit above maps (..., H, W): (..., H-4, W-4, 25)."""
    return x.unfold(-2, KERNEL, 1).unfold(-2, KERNEL, 1).flatten(-2)


def add_four(x: Tensor) -> Tensor:
    """The sum of each 2x2 of (..., H, W)."""
    rows = x[..., 0::2, :] + x[..., 1::2, :]
    return rows[..., 0::2] + rows[..., 1::2]


def kernels(theta: Tensor, layer: str) -> Tensor:
    """C1's kernels (6, 1, 5, 5), or C3's (16, 6, 5, 5) with zeros where Table I connects nothing."""
    if layer == "c1":
        return torch.stack([theta[PLACES[key]][:-1] for key in maps_of("c1")]).view(-1, 1, KERNEL, KERNEL)
    dense = theta.new_zeros(MAPS["c3"], MAPS["s2"], KERNEL, KERNEL)
    for _, k in maps_of("c3"):
        dense[k, FEEDS[k]] = theta[PLACES["c3", k]][:-1].view(-1, KERNEL, KERNEL)
    return dense


def by_pixels(theta: Tensor, x: dict[Map, Tensor], pixels: Tensor, side: int) -> dict[Map, Tensor]:
    """Derivatives of the states of one image by some of its pixels: (pixels, height, width) by map.

    x: the states of this image alone, (height, width) by map.  pixels: their numbers, row by row.  side: of the image.
    """
    moved = torch.zeros(len(pixels), 1, side * side, dtype=theta.dtype)
    moved[torch.arange(len(pixels)), 0, pixels] = 1
    moved = moved.view(-1, 1, side, side)
    found: dict[Map, Tensor] = {}
    for layer in LAYERS:
        if layer in ("c1", "c3"):
            moved = F.conv2d(moved, kernels(theta, layer))
        else:
            moved = add_four(moved) * torch.stack([theta[PLACES[key]][0] for key in maps_of(layer)])[:, None, None]
        moved = moved * squash_slope(torch.stack([x[key] for key in maps_of(layer)]))
        found |= {key: moved[:, key[1]] for key in maps_of(layer)}
    return found


def maps_of(layer: str) -> Iterator[Map]:
    """The maps of a layer."""
    return ((layer, k) for k in range(MAPS[layer]))


def to_tensors(theta: Tensor) -> Tensors:
    """Parameters under their names in a PaperNet's state_dict, as float64 arrays."""
    found: Tensors = {}
    for layer in LAYERS:
        parts = [theta[PLACES[key]].numpy() for key in maps_of(layer)]
        biases = np.array([part[-1] for part in parts])
        if layer in ("s2", "s4"):
            found[f"{layer}.coefficient"] = np.array([part[0] for part in parts])
        else:
            shape = (-1, 1, KERNEL, KERNEL) if layer == "c1" else (-1, KERNEL, KERNEL)
            found[f"{layer}.weight"] = np.concatenate([part[:-1] for part in parts]).reshape(shape)
        found[f"{layer}.bias"] = biases
    return found


def from_tensors(tensors: Tensors) -> Tensor:
    """Theta of the arrays that `to_tensors` made, or of a LeNet-5's parameters."""
    theta = torch.zeros(SIZE, dtype=torch.float64)
    for layer in LAYERS:
        first = 0
        for key in maps_of(layer):
            place = PLACES[key]
            if layer in ("s2", "s4"):
                theta[place.start] = float(tensors[f"{layer}.coefficient"][key[1]])
            else:
                weights = np.asarray(tensors[f"{layer}.weight"], np.float64).reshape(-1)
                count = place.stop - place.start - 1
                theta[place.start : place.stop - 1] = torch.from_numpy(weights[first : first + count].copy())
                first += count
            theta[place.stop - 1] = float(tensors[f"{layer}.bias"][key[1]])
    return theta
