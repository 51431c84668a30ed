"""The three versions of the images that the classifiers of Fig. 9 were given (p. 10), all of them bytes.

And those that it does not speak of, guesses at what it may have done: black and white, and deslanted images whose ink
is put in the middle, or fitted into its box, once more (docs/classifiers.md).

Legend: x columns and y rows in pixels, both from 0 at the upper left; m11 and m02 the central second moments
sum((x - x0)(y - y0)) and sum((y - y0)^2) of the foreground, (x0, y0) its centre of mass.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paper_lenet import paper
from paper_lenet.files import RecordError, read_tensors, sha256, tensor_bytes, write_atomic

Images = NDArray[np.uint8]

# "counting a foreground pixel as 1 and a background pixel as 0"; what is grey is not said: half of full ink.  # D13
FOREGROUND = 128
BOX = paper.VERSION_SIDES["deslanted"]
SMALL = paper.VERSION_SIDES["small"]
CHUNK = 5000  # images at once


def of(images: Images, version: str) -> Images:
    """A version, (N, side, side), of MNIST's images (N, 28, 28), which are the regular one."""
    if version == "regular":
        return images
    side = paper.VERSION_SIDES[version]
    parts = [_MAKE[version](images[start : start + CHUNK]) for start in range(0, len(images), CHUNK)]
    return np.concatenate([np.empty((0, side, side), np.uint8), *parts])


def cached(images: Images, version: str, folder: Path) -> Images:
    """As `of`, from a file of the folder where it is there and whole; else made, and written if that is possible."""
    key = sha256(images.tobytes() + Path(__file__).read_bytes())[:16]
    path = folder / f"{version}-{key}.safetensors"
    with suppress(RecordError):
        return read_tensors(path)[1]["images"]
    made = of(images, version)
    with suppress(RecordError):
        write_atomic(path, tensor_bytes({"version": version}, {"images": made}))
    return made


def binary(images: Images) -> Images:
    """Foreground is full ink, everything else is background."""
    return np.where(images >= FOREGROUND, np.uint8(255), np.uint8(0))


def boxed(images: Images) -> Images:
    """(N, 28, 28), moved by whole pixels until the box around the ink is in the middle, not the ink's mass."""
    return _windows(images, paper.IMAGE_SIZE)


def deslanted(images: Images) -> Images:
    """(N, 20, 20): sheared so that the foreground's principal axis is vertical, then cut to its middle."""
    middle = slice((paper.IMAGE_SIZE - BOX) // 2, (paper.IMAGE_SIZE + BOX) // 2)
    return upright(images)[:, middle, middle]


def upright(images: Images) -> Images:
    """(N, 28, 28): sheared so that the foreground's principal axis is vertical.

    Each row is moved sideways by m11/m02 times its distance from the centre of mass, which makes m11 zero and
    leaves the centre where it is; between pixels values are interpolated linearly.
    """
    x = np.arange(paper.IMAGE_SIZE, dtype=np.float64)
    m11, m02, y0 = moments(images)
    slant = np.divide(m11, m02, out=np.zeros_like(m11), where=m02 > 0)
    source = x + (slant[:, None] * (x - y0[:, None]))[:, :, None]  # (N, row, column)
    left = np.floor(source)
    part = source - left
    # One more pixel of background on each side, where everything from outside ends up.
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1))).astype(np.float64)
    columns = np.clip(left.astype(np.int64) + 1, 0, paper.IMAGE_SIZE + 1)
    next_columns = np.minimum(columns + 1, paper.IMAGE_SIZE + 1)
    sheared = (1 - part) * np.take_along_axis(padded, columns, 2) + part * np.take_along_axis(padded, next_columns, 2)
    return _bytes(sheared)


def normalised(images: Images) -> Images:
    """(N, 20, 20): the box around the ink, made larger or smaller until it just fits 20x20 (p. 10), in the middle.

    Its shape stays; between pixels values are interpolated linearly.
    """
    inked = [np.asarray(images.any(axis)) for axis in (2, 1)]
    first = np.stack([lines.argmax(1) for lines in inked])
    end = np.stack([lines.shape[1] - lines[:, ::-1].argmax(1) for lines in inked])
    scale = BOX / (end - first).max(0)
    target = np.arange(BOX) + 0.5 - BOX / 2
    source = (first + end)[:, :, None] / 2 + target / scale[:, None] - 0.5  # (rows and columns, N, 20)
    down, across = np.maximum(0, 1 - np.abs(source[..., None] - np.arange(images.shape[1])))  # (N, 20, 28) each
    return _bytes(down @ images @ np.swapaxes(across, 1, 2))


def moments(images: Images) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """m11, m02 and y0 of each image's foreground, each (N,); zeros of an image without any."""
    ink = (images >= FOREGROUND).astype(np.float64)
    x = np.arange(ink.shape[2])
    mass = np.maximum(ink.sum((1, 2)), 1)
    y0 = ink.sum(2) @ x / mass
    x0 = ink.sum(1) @ x / mass
    m11 = np.einsum("nyx,y,x->n", ink, x, x) - mass * y0 * x0
    m02 = ink.sum(2) @ x**2 - mass * y0**2
    return m11, m02, y0


def small(images: Images) -> Images:
    """(N, 16, 16): the 20x20 box that a digit was fitted into, averaged down by area.

    The box is centred on the digit's bounding box, since MNIST's images are centred by mass.
    """
    boxes, inside = _windows(images, BOX), np.arange(BOX)
    edges = np.arange(SMALL + 1) * (BOX / SMALL)
    overlap = np.minimum(edges[1:, None], inside + 1) - np.maximum(edges[:-1, None], inside)
    average = np.maximum(overlap, 0) * (SMALL / BOX)  # (16, 20), rows sum to 1
    return _bytes(average @ boxes @ average.T)


def _windows(images: Images, size: int) -> Images:
    """(N, size, size) parts of images, in whose middle the ink is."""
    rows, columns = (_starts(np.asarray(images.any(axis)), size) for axis in (2, 1))
    inside = np.arange(size) + size
    # Where a digit stands at the border the part reaches beyond the image.
    padded = np.pad(images, ((0, 0), (size, size), (size, size)))
    image = np.arange(len(images))[:, None, None]
    return np.asarray(padded[image, (rows[:, None] + inside)[:, :, None], (columns[:, None] + inside)[:, None, :]])


def _starts(inked: NDArray[np.bool_], size: int) -> NDArray[np.int64]:
    """First of so many lines that have the lines with ink in their middle, (N,) of (N, 28)."""
    first = inked.argmax(1)
    last = inked.shape[1] - 1 - inked[:, ::-1].argmax(1)
    return np.asarray((first + last + 1 - size) // 2)


def _bytes(values: NDArray[np.float64]) -> Images:
    return np.ascontiguousarray(np.rint(values).astype(np.uint8))


_MAKE: dict[str, Callable[[Images], Images]] = {
    "deslanted": deslanted,
    "small": small,
    "binary": binary,
    "boxed-binary": lambda images: binary(boxed(images)),
    "small-binary": lambda images: binary(small(images)),
    "deslanted-binary": lambda images: binary(deslanted(images)),
    "deslanted-boxed": lambda images: _windows(upright(images), BOX),
    "deslanted-normalised": lambda images: normalised(upright(images)),
}
