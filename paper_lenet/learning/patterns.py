"""What every engine does alike: which patterns there are, in which order they come and at which rate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from paper_lenet import generators, paper
from paper_lenet.config import Config
from paper_lenet.data import Data, levels, resized, subset, values_of
from paper_lenet.data.distortions import Maps, draw, warp

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Patterns:
    """Images and what is made of them: pattern k < n is image k, pattern n + m is image m % n through map m.

    images: bytes (n, 28, 28), or (n, 32, 32) when they are resized.  labels: (n,).  maps: (m, 5), inverse maps of
    data/distortions.py.  values: (256,), what each byte becomes.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    maps: Maps
    values: NDArray[np.floating] = field(default_factory=lambda: levels(np.float64))

    def __len__(self) -> int:
        return len(self.images) + len(self.maps)

    def labels_of(self, chosen: Indices) -> NDArray[np.int64]:
        """The labels of patterns (k,)."""
        return self.labels[chosen % len(self.images)]

    def grey(self, chosen: Indices, side: int, dtype: DTypeLike) -> NDArray[Any]:
        """Grey values (k, side, side) of patterns (k,)."""
        count = len(self.images)
        images = self.images[chosen % count]
        value, edge = self.values.astype(dtype), (side - images.shape[1]) // 2
        result = np.full((len(chosen), side, side), value[0])
        inner = slice(edge, edge + images.shape[1])
        result[:, inner, inner] = value[images]
        distorted = chosen >= count
        result[distorted] = warp(images[distorted], self.maps[chosen[distorted] - count], side, value)
        return result


def all_patterns(config: Config, data: Data, seed: int) -> tuple[Patterns, Patterns]:
    """What a seed trains on, the configured subset of the training set and its distorted copies; and is tested on."""
    train_values, held_out_values = values_of(config.data.input, data)
    if config.data.train_size is not None:
        data = subset(data, config.data.train_size, seed)
    images, held_out = data.train_images, data.test_images
    if config.model.geometry == "resized":
        images, held_out = resized(images, paper.INPUT_SIZE), resized(held_out, paper.INPUT_SIZE)
    copies = config.distort.variants * len(images)
    maps = draw(config.distort, copies, seed)
    return (
        Patterns(images, data.train_labels, maps, train_values),
        Patterns(held_out, data.test_labels, np.zeros((0, 5)), held_out_values),
    )


def dropout_start(seed: int) -> int:
    """Where the hash of `kept_units` begins for a seed, 0 to 2**32 - 1."""
    return int(generators.generator(seed, "dropout").integers(2**32))


def kept_units(
    starts: Tensor, pass_: int | Tensor, position: int | Tensor, count: int, units: int, rate: float
) -> Tensor:
    """Which units dropout keeps, bool (M, count, units), for the patterns of a pass from `position` on.

    starts: int64 (M,), the `dropout_start` of each network's seed.
    A hash of where it is, not a generator: every engine and device has the same, wherever it begins. The mixing is that
    of MurmurHash3's end.
    """
    place = torch.arange(count * units, device=starts.device).view(count, units) + position * units
    x = (place + starts[:, None, None] + pass_ * 0x9E3779B1) & 0xFFFFFFFF
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        x = ((x ^ (x >> shift)) * factor) & 0xFFFFFFFF  # int64 may overflow: the lower half stays right
    return x >= round(rate * 2**32)


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
