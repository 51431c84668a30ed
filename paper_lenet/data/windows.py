"""The windows of Section VII-B: a character between two others, or nothing between them, with noise over it all.

The flanking characters are picked at random; the columns between the boxes of their ink and that of the character in
the middle are random, too. In some windows nothing is in the middle, and the desired answer is the blank. Each pixel is
inverted with a probability. The paper does not say how many windows are blank, nor where the flanking characters then
stand: here where they would stand with it.  # D23
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paper_lenet import generators, paper
from paper_lenet.config import WindowsConfig

BLANK = paper.CLASSES  # the label of a window without a character in its middle


@dataclass(frozen=True)
class Windows:
    """m windows over n images; image k % n is in the middle of window k, or would be.

    flanks: int64 (m, 2), the images to the left and to the right.  shifts: int64 (m, 2), by how many columns each is
    moved.  blank: bool (m,), whether the middle is empty.  start, threshold: a pixel is inverted where its hash,
    counted from `start`, is below the threshold, 0 to 2**32.
    """

    flanks: NDArray[np.int64]
    shifts: NDArray[np.int64]
    blank: NDArray[np.bool_]
    start: int
    threshold: int

    def __len__(self) -> int:
        return len(self.blank)


def draw(config: WindowsConfig, images: NDArray[np.uint8], seed: int) -> Windows:
    """Random windows over images of bytes (n, 28, 28), `config.variants` of each."""
    random = generators.generator(seed, "windows")
    count, low, high = config.variants * len(images), *config.gap
    flanks = random.integers(0, len(images), (count, 2))
    gaps = random.integers(low, high + 1, (count, 2))
    first, last = boxes(images)
    middle = np.arange(count) % len(images)
    shifts = np.stack(
        [first[middle] - 1 - gaps[:, 0] - last[flanks[:, 0]], last[middle] + 1 + gaps[:, 1] - first[flanks[:, 1]]], 1
    )
    blank = random.random(count) < config.blank
    return Windows(flanks, shifts, blank, int(random.integers(2**32)), round(config.noise * 2**32))


def boxes(images: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first and the last column with ink of each image (n, side, side); of an empty one those of the image."""
    columns = images.max(axis=1) > 0
    return columns.argmax(1), images.shape[2] - 1 - columns[:, ::-1].argmax(1)


def pixels(images: NDArray[np.uint8], windows: Windows, chosen: NDArray[np.int64], side: int) -> NDArray[np.uint8]:
    """The chosen windows as bytes (k, side, side); images: (n, 28, 28)."""
    size = images.shape[1]
    edge = (side - size) // 2
    inner = slice(edge, edge + size)
    result = np.zeros((len(chosen), side, side), np.uint8)
    result[:, inner, inner] = images[chosen % len(images)] * ~windows.blank[chosen, None, None]
    for flank, shift in zip(windows.flanks[chosen].T, windows.shifts[chosen].T, strict=True):
        column = np.arange(side) - edge - shift[:, None]
        seen = np.take_along_axis(images[flank], column.clip(0, size - 1)[:, None], 2)
        seen = seen * ((column >= 0) & (column < size))[:, None]
        result[:, inner] = np.maximum(result[:, inner], seen)
    place = windows.start + chosen[:, None] * side**2 + np.arange(side**2)
    inverted = generators.hashed(place & 0xFFFFFFFF) < windows.threshold
    noisy: NDArray[np.uint8] = np.where(inverted.reshape(result.shape), 255 - result, result)
    return noisy
