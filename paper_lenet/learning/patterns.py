"""What every engine does alike: which patterns there are, in which order they come and at which rate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from paper_lenet import generators, paper
from paper_lenet.config import Config
from paper_lenet.data import Data, check_classes, distortions, levels, resized, subset, values_of, windows
from paper_lenet.data.distortions import STILL, Elastic, Maps, warp
from paper_lenet.data.windows import BLANK, Windows, pixels

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Patterns:
    """Images and what is made of them: pattern k < n is image k, pattern n + m is image m % n through map m.

    images: bytes (n, 28, 28), or (n, 32, 32) when they are resized.  labels: (n,).  maps: (m, 6), inverse maps of
    data/distortions.py.  values: (256,), what each byte becomes.  windows: over the images; then pattern k is window k.
    elastic: displacements that go with the maps.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    maps: Maps
    values: NDArray[np.floating] = field(default_factory=lambda: levels(np.float64))
    windows: Windows | None = None
    elastic: Elastic = STILL

    def __len__(self) -> int:
        return len(self.images) + len(self.maps) if self.windows is None else len(self.windows)

    def plain(self) -> Patterns:
        """The images alone."""
        return replace(self, maps=self.maps[:0], windows=None, elastic=STILL)

    def labels_of(self, chosen: Indices) -> NDArray[np.int64]:
        """The labels of patterns (k,)."""
        labels = self.labels[chosen % len(self.images)]
        return labels if self.windows is None else np.where(self.windows.blank[chosen], BLANK, labels)

    def grey(self, chosen: Indices, side: int, dtype: DTypeLike) -> NDArray[Any]:
        """Grey values (k, side, side) of patterns (k,)."""
        count, value = len(self.images), self.values.astype(dtype)
        if self.windows is not None:
            return value[pixels(self.images, self.windows, chosen, side)]
        images = self.images[chosen % count]
        edge = (side - images.shape[1]) // 2
        result = np.full((len(chosen), side, side), value[0])
        inner = slice(edge, edge + images.shape[1])
        result[:, inner, inner] = value[images]
        distorted = chosen >= count
        copies, fields = chosen[distorted] - count, self.elastic.within(side)
        moved = fields[self.elastic.pairs[copies]] if len(fields) else None
        result[distorted] = warp(images[distorted], self.maps[copies], side, value, moved)
        return result


def all_patterns(config: Config, data: Data, seed: int) -> tuple[Patterns, Patterns]:
    """What a seed trains on, the configured subset of the training set with its distorted copies, or windows of it; and
    is tested on. Raises ConfigError where labels have no class."""
    check_classes(config.model.classes, data)
    train_values, held_out_values = values_of(config.data.input, data)
    if config.data.train_size is not None:
        data = subset(data, config.data.train_size, seed)
    images, held_out = data.train_images, data.test_images
    if config.model.geometry == "resized":
        images, held_out = resized(images, paper.INPUT_SIZE), resized(held_out, paper.INPUT_SIZE)
    copies = config.distort.variants * len(images)
    maps = distortions.draw(config.distort, copies, seed)
    elastic = distortions.draw_elastic(config.distort, copies, seed)
    drawn = windows.draw(config.windows, images, seed) if config.windows.variants else None
    return (
        Patterns(images, data.train_labels, maps, train_values, drawn, elastic),
        Patterns(held_out, data.test_labels, np.zeros((0, 6)), held_out_values),
    )


def dropout_start(seed: int) -> int:
    """Where the hash of `kept_units` begins for a seed, 0 to 2**32 - 1."""
    return int(generators.generator(seed, "dropout").integers(2**32))


def kept_units(
    starts: Tensor, pass_: int | Tensor, position: int | Tensor, count: int, units: int, rate: float
) -> Tensor:
    """Which units dropout keeps, bool (M, count, units), for the patterns of a pass from `position` on.

    starts: int64 (M,), the `dropout_start` of each network's seed.
    A hash of where it is, not a generator.
    """
    place = torch.arange(count * units, device=starts.device).view(count, units) + position * units
    kept: Tensor = generators.hashed((place + starts[:, None, None] + pass_ * 0x9E3779B1) & 0xFFFFFFFF)
    return kept >= round(rate * 2**32)


@dataclass(frozen=True)
class Pass:
    """One pass: its number from 1, global rate, order (indices of patterns), patterns that give the curvature."""

    pass_: int
    eta: float
    order: Indices
    hessian_sample: Indices


def passes(config: Config, seed: int, patterns: Patterns) -> Iterator[Pass]:
    """The passes of one seed, each as many updates as there are images; the order goes through all patterns."""
    orders, samples = generators.generator(seed, "order"), generators.generator(seed, "hessian")
    length, parts = len(patterns.images), len(patterns) // len(patterns.images)
    order = orders.permutation(len(patterns))
    for pass_ in range(1, config.optim.passes + 1):
        part = (pass_ - 1) % parts
        if pass_ > 1 and part == 0 and config.optim.order == "reshuffled":
            order = orders.permutation(len(patterns))
        sample = samples.choice(len(patterns), min(config.optim.hessian_samples, len(patterns)), replace=False)
        yield Pass(pass_, config.optim.eta_of(pass_), order[part * length : (part + 1) * length], sample)
