"""The distortions of Section III-B (p. 10-11): translation, scaling, squeezing and horizontal shear, as one affine map;
and, which the paper has not, rotation.

Legend: sx, sy scale in each direction, h shear, (tx, ty) translation in pixels; source and target positions (x, y) are
in pixels from the middle of the image. The forward map is
    target_x = sx (source_x + h source_y) + tx,    target_y = sy source_y + ty
of a source that was first turned about its middle. An image is made by the inverse, which says where in the source each
target pixel lies:
    source_x = a target_x + b target_y + c,        source_y = f target_x + d target_y + e,
f being 0 without rotation.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from paper_lenet import generators
from paper_lenet.config import DistortConfig

Maps = NDArray[np.float64]


def inverse(sx: Any, sy: Any, h: Any, tx: Any, ty: Any, degrees: Any = 0.0) -> Maps:
    """The inverse maps (N, 6), each (a, b, c, d, e, f), of forward maps given by numbers or arrays (N,).

    degrees: by which the source is turned first, counter-clockwise.
    """
    a, d = 1 / np.asarray(sx), 1 / np.asarray(sy)
    b, e = -h * d, -d * ty
    c = -a * tx + h * d * ty
    # y points down. Without rotation the products with sin are 0, and no bit of the others changes.
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    numbers = (cos * a, cos * b - sin * d, cos * c - sin * e, cos * d + sin * b, cos * e + sin * c, sin * a)
    return np.stack(np.broadcast_arrays(*numbers), axis=-1).astype(np.float64)


def draw(config: DistortConfig, patterns: int, seed: int) -> Maps:
    """Random inverse maps (patterns, 6); each parameter is uniform in its range and independent of the others."""
    uniform = generators.generator(seed, "distortions").uniform(-1, 1, (patterns, 5)).T

    def within(ends: list[float], u: NDArray[np.float64]) -> NDArray[np.float64]:
        low, high = (1 + config.strength * (end - 1) for end in ends)
        return (low + high) / 2 + (high - low) / 2 * u

    scale = 1 / within(config.inverse_scale, uniform[0])
    squeeze = within(config.squeeze, uniform[1])
    sx, sy = scale / squeeze, scale * squeeze
    h = config.strength * config.shear * uniform[2]
    tx, ty = config.strength * config.translation * uniform[3:]
    # A generator of its own, so that the other numbers are those of maps without rotation.
    turn = generators.generator(seed, "rotation").uniform(-1, 1, patterns)
    degrees = config.strength * config.rotation * turn
    # The fitted maps keep within these bounds when they are taken to move before they scale.
    return inverse(sx, sy, h, sx * tx, sy * ty + (1 - sy) * config.centre, degrees)


def warp(images: NDArray[np.uint8], maps: Maps, side: int, values: NDArray[Any]) -> NDArray[Any]:
    """Grey values (N, side, side) of images of bytes (N, 28, 28), each put through its inverse map.

    Bilinear between the pixels, in float64; background beyond the image. values: (256,), of each byte, in even steps;
    their type is that of the positions and of the result.
    """
    edge = (side - images.shape[1]) // 2
    framed = np.pad(images, ((0, 0), (edge, edge), (edge, edge))).astype(values.dtype)
    ink = bilinear(torch.from_numpy(framed), torch.from_numpy(maps), torch.float64).numpy()
    step = (float(values[255]) - float(values[0])) / 255
    result: NDArray[Any] = (float(values[0]) + step * ink).astype(values.dtype)
    return result


def bilinear(source: Tensor, maps: Tensor, mixed_in: torch.dtype) -> Tensor:
    """Images (N, side, side) put through inverse maps (N, 6), on any device: bilinear, 0 beyond the image.

    Positions are computed in the type of `source`, the four pixels around each are mixed in `mixed_in`.
    """
    side, dtype = source.shape[1], source.dtype
    middle = (side - 1) / 2
    # one more pixel of nothing on each side, for positions that lie between image and nothing
    padded = torch.nn.functional.pad(source, (1, 1, 1, 1)).flatten(1).to(mixed_in)
    target = torch.arange(side, device=source.device, dtype=dtype) - middle
    a, b, c, d, e, f = maps.to(dtype).T[:, :, None, None]
    y = f * target + (d * target[:, None] + e)
    x = a * target + (b * target[:, None] + c)
    x, y = ((v + (middle + 1)).clamp(0, side + 1) for v in (x, y))
    x0, y0 = (v.long().clamp(max=side) for v in (x, y))
    fx, fy = x.to(mixed_in) - x0, y.to(mixed_in) - y0
    at = (y0 * (side + 2) + x0).flatten(1)
    corners = [padded.gather(1, at + further).view_as(x) for further in (0, 1, side + 2, side + 3)]
    upper = corners[0] * (1 - fx) + corners[1] * fx
    lower = corners[2] * (1 - fx) + corners[3] * fx
    mixed: Tensor = upper * (1 - fy) + lower * fy
    return mixed
