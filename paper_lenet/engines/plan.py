"""What every engine does alike: which patterns there are, in which order they come and at which rate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from paper_lenet import rng
from paper_lenet.config import Config
from paper_lenet.data import Data, levels, subset
from paper_lenet.distort import Maps, draw, warp

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Patterns:
    """Images and what is made of them: pattern k < n is image k, pattern n + m is image m % n through map m.

    images: bytes (n, 28, 28).  labels: (n,).  maps: (m, 5), inverse maps of distort.py.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    maps: Maps

    def __len__(self) -> int:
        return len(self.images) + len(self.maps)

    def labels_of(self, chosen: Indices) -> NDArray[np.int64]:
        """The labels of patterns (k,)."""
        return self.labels[chosen % len(self.images)]

    def grey(self, chosen: Indices, side: int, dtype: DTypeLike) -> NDArray[Any]:
        """Grey values (k, side, side) of patterns (k,)."""
        count = len(self.images)
        images = self.images[chosen % count]
        value, edge = levels(dtype), (side - images.shape[1]) // 2
        result = np.full((len(chosen), side, side), value[0])
        inner = slice(edge, edge + images.shape[1])
        result[:, inner, inner] = value[images]
        distorted = chosen >= count
        result[distorted] = warp(images[distorted], self.maps[chosen[distorted] - count], side, dtype)
        return result


def training_patterns(config: Config, data: Data, seed: int) -> Patterns:
    """The patterns that a seed trains on: the configured subset of the training set and its distorted copies."""
    if config.data.train_size is not None:
        data = subset(data, config.data.train_size, seed)
    copies = config.distort.variants * len(data.train_images)
    return Patterns(data.train_images, data.train_labels, draw(config.distort, copies, seed))


def held_out_patterns(data: Data) -> Patterns:
    """The held-out images as patterns."""
    return Patterns(data.test_images, data.test_labels, np.zeros((0, 5)))


@dataclass(frozen=True)
class Pass:
    """One pass: its number from 1, global rate, order (indices of patterns), patterns that give the curvature."""

    pass_: int
    eta: float
    order: Indices
    hessian_sample: Indices


def passes(config: Config, seed: int, patterns: Patterns) -> Iterator[Pass]:
    """The passes of one seed, each as many updates as there are images; the order goes through all patterns."""
    orders, samples = rng.generator(seed, "order"), rng.generator(seed, "hessian")
    length, parts = len(patterns.images), len(patterns) // len(patterns.images)
    order = orders.permutation(len(patterns))
    for pass_ in range(1, config.optim.passes + 1):
        part = (pass_ - 1) % parts
        if pass_ > 1 and part == 0 and config.optim.order == "reshuffled":
            order = orders.permutation(len(patterns))
        sample = samples.choice(len(patterns), min(config.optim.hessian_samples, len(patterns)), replace=False)
        yield Pass(pass_, config.optim.eta_of(pass_), order[part * length : (part + 1) * length], sample)
