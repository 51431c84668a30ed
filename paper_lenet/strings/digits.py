"""Strings of MNIST's digits as one picture: how far apart, how large, how high and how noisy, by named levels.

The paper has no strings of digits but the five of Figs. 25 and 26, so that these levels are ours. Whose images they are
made of is the caller's choice: strings to test on have test images only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from paper_lenet import generators, paper
from paper_lenet.data import levels
from paper_lenet.data.pictures import MARGIN
from paper_lenet.strings.segmentation import Piece, pieces

HEIGHT, STEP = paper.INPUT_SIZE, 4  # the network's positions are four columns apart
LONGEST = 8


@dataclass(frozen=True)
class Level:
    """gap: columns between the boxes of two digits' ink, from and to; below 0 they overlap.
    size: of a digit, a factor, from and to.  up: rows that a digit may be moved up or down.
    noise: probability that a pixel is inverted.
    """

    gap: tuple[int, int]
    size: tuple[float, float] = (0.85, 1.15)
    up: int = 2
    noise: float = 0.0


LEVELS = {
    "easy": Level((2, 6), (1.0, 1.0), 0),
    "touching": Level((-1, 1)),
    "overlapping": Level((-5, -2)),
    "noisy": Level((-1, 4), noise=0.1),  # gaps and noise as in Section VII-B
}


@dataclass(frozen=True)
class Strings:
    """Pictures, bytes (32, W) with W = 32 + a multiple of 4, and the digits in each."""

    pixels: list[NDArray[np.uint8]]
    labels: list[tuple[int, ...]]
    _pieces: dict[int, list[Piece]] = field(default_factory=dict, repr=False, compare=False)

    def pieces(self, k: int) -> list[Piece]:
        """The pieces between the cuts through picture k, which is cut once only."""
        if k not in self._pieces:
            self._pieces[k] = pieces(self.pixels[k])
        return self._pieces[k]

    def __len__(self) -> int:
        return len(self.labels)

    def digest(self) -> str:
        """SHA-256 of pictures and digits."""
        hashed = hashlib.sha256()
        for picture, digits in zip(self.pixels, self.labels, strict=True):
            hashed.update(f"{picture.shape}{digits}".encode() + picture.tobytes())
        return hashed.hexdigest()

    def batch(self, chosen: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """The chosen pictures as the network sees them (n, 1, 32, W), and how many positions (n,) each has.

        Narrower ones have background on their right.
        """
        widths = [self.pixels[k].shape[1] for k in chosen]
        bytes_ = np.zeros((len(chosen), HEIGHT, max(widths)), np.uint8)
        for row, k, width in zip(bytes_, chosen, widths, strict=True):
            row[:, :width] = self.pixels[k]
        positions = torch.tensor([(width - HEIGHT) // STEP + 1 for width in widths])
        return torch.from_numpy(levels(np.float32)[bytes_])[:, None], positions


def draw(images: NDArray[np.uint8], labels: NDArray[np.int64], level: Level, count: int, seed: int) -> Strings:
    """Random strings of 1 to 8 digits from images of bytes (n, 28, 28) with their labels (n,)."""
    random = generators.generator(seed, "strings")
    pixels, digits = [], []
    for _ in range(count):
        chosen = random.integers(0, len(images), random.integers(1, LONGEST + 1))
        pixels.append(_picture(images[chosen], level, random))
        digits.append(tuple(int(label) for label in labels[chosen]))
    return Strings(pixels, digits)


@dataclass(frozen=True)
class Ink:
    """A character's ink, bytes (h, w), and the row of the picture that its first row is on."""

    pixels: NDArray[np.uint8]
    top: int


def ink_of(image: NDArray[np.uint8], size: float, down: int) -> Ink:
    """The ink of an image (28, 28) where MNIST has it, larger or smaller about the middle of the picture, and moved."""
    rows, columns = (np.flatnonzero(image.any(axis)) for axis in (1, 0))
    ink = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] if len(rows) else image[:1, :1]
    height, width = (max(1, round(extent * size)) for extent in ink.shape)
    ink = np.asarray(Image.fromarray(ink).resize((width, height), Image.Resampling.BICUBIC))
    middle = (rows[0] + rows[-1] + 1) / 2 if len(rows) else image.shape[0] / 2
    top = HEIGHT / 2 + (middle - image.shape[0] / 2) * size - height / 2 + down
    return Ink(ink, int(np.clip(round(top), 0, max(0, HEIGHT - height))))


def assembled(characters: Sequence[Ink], gaps: Sequence[int]) -> NDArray[np.uint8]:
    """Characters in a row, bytes (32, W); gaps: columns before each, of which the first counts for nothing."""
    placed, right = [], MARGIN
    for k, character in enumerate(characters):
        left = max(0, right + (gaps[k] if k else 0))
        right = left + character.pixels.shape[1]
        placed.append((character, left))
    wide = max(HEIGHT, right + MARGIN)
    picture = np.zeros((HEIGHT, wide + -(wide - HEIGHT) % STEP), np.uint8)
    for character, left in placed:
        ink = character.pixels
        seen = picture[character.top : character.top + ink.shape[0], left : left + ink.shape[1]]
        np.maximum(seen, ink[: seen.shape[0]], out=seen)
    return picture


def _picture(images: NDArray[np.uint8], level: Level, random: np.random.Generator) -> NDArray[np.uint8]:
    """One string, bytes (32, W)."""
    characters, gaps = [], []
    for k, image in enumerate(images):
        size = random.uniform(*level.size)
        characters.append(ink_of(image, size, int(random.integers(-level.up, level.up + 1))))
        gaps.append(int(random.integers(level.gap[0], level.gap[1] + 1)) if k else 0)
    picture = assembled(characters, gaps)
    inverted = random.random(picture.shape) < level.noise
    return np.where(inverted, 255 - picture, picture)


# Of the strings of each level that are tested on, or on which choices are made; their seeds are fixed.
COUNTS = {"test": 2000, "validation": 500}
SEEDS = {"test": 1000, "validation": 2000}


def of_split(images: NDArray[np.uint8], labels: NDArray[np.int64], name: str, split: str) -> Strings:
    """The strings of a level, by its name, that all networks are measured on.

    images, labels: the test images, or for `validation` training images that no network has learned.
    """
    return draw(images, labels, LEVELS[name], COUNTS[split], SEEDS[split] + [*LEVELS].index(name))
