"""The distortions of Section III-B (p. 10-11): translation, scaling, squeezing and horizontal shear, as one affine map;
and, which the paper has not, rotation and elastic distortion.

Legend: sx, sy scale in each direction, h shear, (tx, ty) translation in pixels; source and target positions (x, y) are
in pixels from the middle of the image. The forward map is
    target_x = sx (source_x + h source_y) + tx,    target_y = sy source_y + ty
of a source that was first turned about its middle. An image is made by the inverse, which says where in the source each
target pixel lies:
    source_x = a target_x + b target_y + c,        source_y = f target_x + d target_y + e,
f being 0 without rotation. Elastic distortion adds a smooth random displacement to the source's position (P. Y. Simard,
D. Steinkraus, J. C. Platt, Best practices for convolutional neural networks applied to visual document analysis, 2003).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from paper_lenet import generators, paper
from paper_lenet.config import DistortConfig

Maps = NDArray[np.float64]
FIELDS = 512  # smoothed for each seed, of which every pattern has two


@dataclass(frozen=True)
class Elastic:
    """Displacements that go with m maps.

    fields: (K, 32, 32), pixels in one direction, over the network's input; K = 0 where nothing is displaced.  pairs:
    int16 (m, 2), of each map the field of x and that of y.
    """

    fields: NDArray[np.float32]
    pairs: NDArray[np.int16]

    def within(self, side: int) -> NDArray[np.float32]:
        """The middle of the fields, (K, side, side)."""
        edge = (self.fields.shape[1] - side) // 2
        return self.fields[:, edge : edge + side, edge : edge + side]


STILL = Elastic(np.zeros((0, paper.INPUT_SIZE, paper.INPUT_SIZE), np.float32), np.zeros((0, 2), np.int16))


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


def draw_elastic(config: DistortConfig, patterns: int, seed: int) -> Elastic:
    """Random displacements of so many patterns: uniform noise, smoothed, each field scaled to its root mean square.

    To smooth a field takes as long as to make a hundred patterns. So each seed has FIELDS of them, and each pattern one
    for x and one for y, drawn independently: one of FIELDS**2 displacements, where Simard et al. smooth new fields.
    """
    size, sigma = config.strength * config.elastic, config.elastic_sigma
    if size == 0:
        return STILL
    random = generators.generator(seed, "elastic")
    # as far as the filter reaches, so that fields are alike up to the edges
    margin = int(4 * sigma + 0.5)
    wide = paper.INPUT_SIZE + 2 * margin
    noise = random.uniform(-1, 1, (FIELDS, wide, wide))
    smooth = gaussian_filter(noise, (0, sigma, sigma), truncate=4)[:, margin:-margin, margin:-margin]
    fields = smooth * (size / np.sqrt((smooth**2).mean((1, 2), keepdims=True)))
    # rounded to float32 here, so that they are the same in every precision
    return Elastic(fields.astype(np.float32), random.integers(0, FIELDS, (patterns, 2)).astype(np.int16))


def warp(
    images: NDArray[np.uint8], maps: Maps, side: int, values: NDArray[Any], moved: NDArray[np.float32] | None = None
) -> NDArray[Any]:
    """Grey values (N, side, side) of images of bytes (N, 28, 28), each put through its inverse map.

    Bilinear between the pixels, in float64; background beyond the image. values: (256,), of each byte, in even steps;
    their type is that of the positions and of the result.  moved: as in `bilinear`.
    """
    edge = (side - images.shape[1]) // 2
    framed = np.pad(images, ((0, 0), (edge, edge), (edge, edge))).astype(values.dtype)
    further = None if moved is None else torch.from_numpy(moved)
    ink = bilinear(torch.from_numpy(framed), torch.from_numpy(maps), torch.float64, further).numpy()
    step = (float(values[255]) - float(values[0])) / 255
    result: NDArray[Any] = (float(values[0]) + step * ink).astype(values.dtype)
    return result


def bilinear(source: Tensor, maps: Tensor, mixed_in: torch.dtype, moved: Tensor | None = None) -> Tensor:
    """Images (N, side, side) put through inverse maps (N, 6), on any device: bilinear, 0 beyond the image.

    Positions are computed in the type of `source`, the four pixels around each are mixed in `mixed_in`.
    moved: (N, 2, side, side), added to the source's x and y of each target pixel.
    """
    side, dtype = source.shape[1], source.dtype
    middle = (side - 1) / 2
    # one more pixel of nothing on each side, for positions that lie between image and nothing
    padded = torch.nn.functional.pad(source, (1, 1, 1, 1)).flatten(1).to(mixed_in)
    target = torch.arange(side, device=source.device, dtype=dtype) - middle
    a, b, c, d, e, f = maps.to(dtype).T[:, :, None, None]
    y = f * target + (d * target[:, None] + e)
    x = a * target + (b * target[:, None] + c)
    if moved is not None:
        x, y = x + moved[:, 0].to(dtype), y + moved[:, 1].to(dtype)
    x, y = ((v + (middle + 1)).clamp(0, side + 1) for v in (x, y))
    x0, y0 = (v.long().clamp(max=side) for v in (x, y))
    fx, fy = x.to(mixed_in) - x0, y.to(mixed_in) - y0
    at = (y0 * (side + 2) + x0).flatten(1)
    corners = [padded.gather(1, at + further).view_as(x) for further in (0, 1, side + 2, side + 3)]
    upper = corners[0] * (1 - fx) + corners[1] * fx
    lower = corners[2] * (1 - fx) + corners[3] * fx
    mixed: Tensor = upper * (1 - fy) + lower * fy
    return mixed
