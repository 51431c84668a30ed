"""The data of a configuration, and what the bytes of their images become."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike, NDArray
from PIL import Image

from paper_lenet import generators, paper
from paper_lenet.config import OWN, ConfigError, DataConfig
from paper_lenet.data import versions
from paper_lenet.data.digits import read_digits
from paper_lenet.data.mnist import (
    DIRECTORY_VARIABLE,
    DOWNLOAD_DIRECTORY,
    USUAL_DIRECTORIES,
    Images,
    Labels,
    read_mnist,
)
from paper_lenet.data.own import read_own


@dataclass(frozen=True, eq=False)
class Data:
    """Training images, and the held-out images that errors are measured on.

    name: of the data set, as in DataConfig; of images of one's own with a digest of them.
    split: where the held-out images come from: `test`, or `validation` (the end of the training set).
    train_images, test_images: (N, 28, 28) uint8, or smaller by the version; 0 for the background, 255 for full ink.
    train_labels, test_labels: (N,) int64, 0, 1, ...
    """

    name: str
    split: str
    train_images: Images
    train_labels: Labels
    test_images: Images
    test_labels: Labels


def load(config: DataConfig) -> Data:
    """Find, verify and read the images that a configuration asks for; `train_size` is checked, not applied.

    MNIST (p. 9-10) is looked for in `config.dir` if that is given; else in $PAPER_LENET_DATA if that is set;
    else in ./data and ../shared/data; and is downloaded into ./data if none of these holds it.
    Raises ConfigError for a size larger than the data set, DataUnavailable if MNIST can neither be found
    nor downloaded, and DataError for files that are damaged, or missing in a place that was named.
    """
    name = config.name
    if name in OWN:
        assert config.dir is not None  # the configuration has seen to it
        train_images, train_labels, test_images, test_labels, digest = read_own(name, config.dir)
        name = f"{name}-{digest[:12]}"
    else:
        images_and_labels = read_mnist(config.dir) if name == "mnist" else read_digits()
        train_images, train_labels, test_images, test_labels = images_and_labels
    if config.version != "regular":
        both = (train_images, test_images)
        if config.name == "mnist":
            folder = Path(DOWNLOAD_DIRECTORY) / "versions"
            train_images, test_images = (versions.cached(images, config.version, folder) for images in both)
        else:
            train_images, test_images = (versions.of(images, config.version) for images in both)
    split = "test"
    if config.validation:
        _at_most("data.validation", config.validation, len(train_images) - 1)
        kept = len(train_images) - config.validation
        split, test_images, test_labels = "validation", train_images[kept:], train_labels[kept:]
        train_images, train_labels = train_images[:kept], train_labels[:kept]
    if config.skip:
        _at_most("data.skip", config.skip, len(train_images) - 1)
        train_images, train_labels = train_images[config.skip :], train_labels[config.skip :]
    if config.train_size is not None:
        _at_most("data.train_size", config.train_size, len(train_images))
    if config.test_size is not None:
        _at_most("data.test_size", config.test_size, len(test_images))
        split = split if config.test_size else "none"
    return Data(
        name,
        split,
        train_images,
        train_labels,
        test_images[: config.test_size],
        test_labels[: config.test_size],
    )


def check_classes(classes: str, data: Data) -> None:
    """Raise ConfigError where labels have no class. classes: as ModelConfig.classes."""
    largest = max(int(labels.max(initial=0)) for labels in (data.train_labels, data.test_labels))
    if largest >= len(classes):
        raise ConfigError(f"model.classes={classes}: {len(classes)} classes, and a label of {data.name} is {largest}")


def mnist_at_hand() -> Data | None:
    """MNIST from the places where it is looked for, or None; never downloaded. Raises DataError if it is damaged."""
    named = os.environ.get(DIRECTORY_VARIABLE)
    for place in [named] if named else USUAL_DIRECTORIES:
        if (Path(place).expanduser() / "MNIST" / "raw").is_dir():
            return load(DataConfig(dir=place))
    return None


def subset(data: Data, size: int, seed: int) -> Data:
    """The data with `size` of its training patterns, drawn by seed; the subsets of one seed are nested.

    Raises ConfigError if there are fewer patterns.
    """
    _at_most("data.train_size", size, len(data.train_images))
    chosen = generators.generator(seed, "subset").permutation(len(data.train_images))[:size]
    return dataclasses.replace(data, train_images=data.train_images[chosen], train_labels=data.train_labels[chosen])


def levels(dtype: DTypeLike = np.float32) -> NDArray[np.floating]:
    """(256,) the grey value of each byte, in even steps from the background to the foreground of p. 7."""
    return np.linspace(paper.BACKGROUND, paper.FOREGROUND, 256, dtype=np.float64).astype(dtype)


def values_of(kind: str, data: Data | None) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """What the bytes of the training and of the held-out images become, each (256,). kind: as DataConfig.input.

    data: read for the standard ones only.
    """
    unit = np.linspace(0.0, 1.0, 256)
    if kind == "paper":
        return levels(np.float64), levels(np.float64)
    if kind == "unit":
        return unit, unit
    assert data is not None
    own = [_standard(images) for images in (data.train_images, data.test_images)]
    if kind == "standard" or not len(data.test_images):
        own[1] = own[0]
    (train, held_out) = [(unit - mean) / deviation for mean, deviation in own]
    return train, held_out


def _standard(images: Images) -> tuple[float, float]:
    """Mean and standard deviation of pixels of 0 to 1, to the four decimals that people copy (0.1307 and 0.3081)."""
    count = np.bincount(images.reshape(-1), minlength=256) / max(1, images.size)
    unit = np.linspace(0.0, 1.0, 256)
    mean = float(count @ unit)
    return round(mean, 4), round(float(np.sqrt(max(0.0, float(count @ unit**2) - mean**2))), 4) or 1.0


def resized(images: Images, side: int) -> Images:
    """Images (N, side, side) by Pillow's bilinear interpolation, as torchvision's Resize has it for its images."""
    result = np.empty((len(images), side, side), np.uint8)
    for image, larger in zip(images, result, strict=True):
        larger[:] = np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR))
    return result


def normalise(images: Images, dtype: DTypeLike = np.float32) -> NDArray[np.floating]:
    """The network's input (N, 1, 32, 32), -0.1 to 1.175, from images of bytes (N, 28, 28).

    Background pixels are added on all sides (p. 7, 9-10). Raises ValueError for another type or shape.
    """
    size = paper.IMAGE_SIZE
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (size, size):
        raise ValueError(f"images are {images.dtype} {images.shape}, not uint8 (N, {size}, {size})")
    value = levels(dtype)
    padding = (paper.INPUT_SIZE - size) // 2
    inside = slice(padding, padding + size)
    result = np.full((len(images), 1, paper.INPUT_SIZE, paper.INPUT_SIZE), value[0])
    result[:, 0, inside, inside] = value[images]
    return result


def _at_most(key: str, value: int, limit: int) -> None:
    if value > limit:
        raise ConfigError(f"{key}={value}: must be at most {limit} with these images")
