"""The distortions of Section III-B (p. 10-11): translation, scaling, squeezing and horizontal shear, as one affine map.

Legend: sx, sy scale in each direction, h shear, (tx, ty) translation in pixels; source and target positions (x, y) are
in pixels from the middle of the image. The forward map is
    target_x = sx (source_x + h source_y) + tx,    target_y = sy source_y + ty.
An image is made by its inverse, which says where in the source each target pixel lies:
    source_x = a target_x + b target_y + c,        source_y = d target_y + e.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from paper_lenet import generators
from paper_lenet.config import DistortConfig

Maps = NDArray[np.float64]


def inverse(sx: Any, sy: Any, h: Any, tx: Any, ty: Any) -> Maps:
    """The inverse maps (N, 5), each (a, b, c, d, e), of forward maps given by numbers or arrays (N,)."""
    a, d = 1 / np.asarray(sx), 1 / np.asarray(sy)
    b, e = -h * d, -d * ty
    c = -a * tx + h * d * ty
    return np.stack(np.broadcast_arrays(a, b, c, d, e), axis=-1).astype(np.float64)


def draw(config: DistortConfig, patterns: int, seed: int) -> Maps:
    """Random inverse maps (patterns, 5); each parameter is uniform in its range and independent of the others."""
    uniform = generators.generator(seed, "distortions").uniform(-1, 1, (patterns, 5)).T

    def within(ends: list[float], u: NDArray[np.float64]) -> NDArray[np.float64]:
        low, high = (1 + config.strength * (end - 1) for end in ends)
        return (low + high) / 2 + (high - low) / 2 * u

    scale = 1 / within(config.inverse_scale, uniform[0])
    squeeze = within(config.squeeze, uniform[1])
    sx, sy = scale / squeeze, scale * squeeze
    h = config.strength * config.shear * uniform[2]
    tx, ty = config.strength * config.translation * uniform[3:]
    # The fitted maps keep within these bounds when they are taken to move before they scale.
    return inverse(sx, sy, h, sx * tx, sy * ty + (1 - sy) * config.centre)


def warp(images: NDArray[np.uint8], maps: Maps, side: int, values: NDArray[Any]) -> NDArray[Any]:
    """Grey values (N, side, side) of images of bytes (N, 28, 28), each put through its inverse map.

    Bilinear between the pixels; background beyond the image. values: (256,), of each byte, in even steps; their type
    is the result's.
    """
    dtype = values.dtype
    count, size = len(images), images.shape[1]
    edge = (side - size) // 2
    # one more pixel of background on each side, for positions that lie between image and nothing
    source = np.zeros((count, side + 2, side + 2), dtype)
    source[:, edge + 1 : edge + 1 + size, edge + 1 : edge + 1 + size] = images
    middle = (side - 1) / 2
    target = np.arange(side) - middle
    a, b, c, d, e = maps.T[:, :, None, None].astype(dtype)
    y = d * target[:, None].astype(dtype) + e + a * 0
    x = a * target.astype(dtype) + (b * target[:, None].astype(dtype) + c)
    x, y = (np.clip(np.broadcast_to(v, x.shape) + (middle + 1), 0, side + 1).astype(dtype) for v in (x, y))
    x0, y0 = (np.minimum(v.astype(np.int64), side) for v in (x, y))
    fx, fy = x - x0, y - y0
    n = np.arange(count)[:, None, None]
    upper = source[n, y0, x0] * (1 - fx) + source[n, y0, x0 + 1] * fx
    lower = source[n, y0 + 1, x0] * (1 - fx) + source[n, y0 + 1, x0 + 1] * fx
    mixed = upper * (1 - fy) + lower * fy
    step = (float(values[255]) - float(values[0])) / 255
    result: NDArray[Any] = (float(values[0]) + step * mixed).astype(dtype)
    return result
