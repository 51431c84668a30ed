"""The images: found, verified, and turned into what the network sees.

MNIST is taken from torchvision's layout on disk, or downloaded by torchvision. Its files are trusted only for
their checksums: a damaged file is an error that names it, never a reason to look elsewhere.
"""

from __future__ import annotations

import dataclasses
import hashlib
import http.client
import os
import socket
import tempfile
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike, NDArray
from PIL import Image

from paper_lenet import generators, paper
from paper_lenet.config import ConfigError, DataConfig
from paper_lenet.data import versions

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]

DIRECTORY_VARIABLE = "PAPER_LENET_DATA"
DOWNLOAD_DIRECTORY = "data"
USUAL_DIRECTORIES = (DOWNLOAD_DIRECTORY, "../shared/data")
# Longest silence of a server that a download puts up with.
TIMEOUT_SECONDS = 20.0
# scikit-learn's digits have no split of their own: the first are for training, the other 297 for testing.
DIGITS_TRAIN_SIZE = 1500


class DataError(RuntimeError):
    """Images that cannot be used; one line that names the file and what is wrong with it."""


class DataUnavailable(DataError):
    """Images that cannot be had: not on this machine, and the download failed."""


@dataclass(frozen=True, eq=False)
class Data:
    """Training images, and the held-out images that errors are measured on.

    name: of the data set, as in DataConfig.
    split: where the held-out images come from: `test`, or `validation` (the end of the training set).
    train_images, test_images: (N, 28, 28) uint8, or smaller by the version; 0 for the background, 255 for full ink.
    train_labels, test_labels: (N,) int64, 0 to 9.
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
    train_images, train_labels, test_images, test_labels = _mnist(config.dir) if config.name == "mnist" else _digits()
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
        config.name,
        split,
        train_images,
        train_labels,
        test_images[: config.test_size],
        test_labels[: config.test_size],
    )


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


def values_of(kind: str, data: Data) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """What the bytes of the training and of the held-out images become, each (256,). kind: as DataConfig.input."""
    unit = np.linspace(0.0, 1.0, 256)
    if kind == "paper":
        return levels(np.float64), levels(np.float64)
    if kind == "unit":
        return unit, unit
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


def _mnist(directory: str | None) -> tuple[Images, Labels, Images, Labels]:
    named = f"data.dir={directory}"
    if directory is None:
        directory = os.environ.get(DIRECTORY_VARIABLE) or None
        named = f"{DIRECTORY_VARIABLE}={directory}"
    if directory is not None:
        root = Path(directory).expanduser()
        for name in paper.MNIST_SHA256:
            path = _raw(root) / name
            if not path.is_file():
                raise DataError(f"{path}: missing ({named} must hold the four files of MNIST/raw)")
        return _read(root)
    for usual in USUAL_DIRECTORIES:
        if all((_raw(Path(usual)) / name).is_file() for name in paper.MNIST_SHA256):
            return _read(Path(usual))
    return _download(Path(DOWNLOAD_DIRECTORY), TIMEOUT_SECONDS)


def _raw(root: Path) -> Path:
    return root / "MNIST" / "raw"


def _download(root: Path, timeout: float) -> tuple[Images, Labels, Images, Labels]:
    """Download MNIST below root. Files come into their place verified and whole, or not at all."""
    from torchvision.datasets import MNIST

    before = socket.getdefaulttimeout()
    # torchvision sets no time-out of its own and would wait for a silent server for ever.
    socket.setdefaulttimeout(timeout)
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root, prefix=".download-") as temporary:
            MNIST(temporary, train=False, download=True)
            arrays = _read(Path(temporary))
            _raw(root).mkdir(parents=True, exist_ok=True)
            for name in paper.MNIST_SHA256:
                (_raw(Path(temporary)) / name).replace(_raw(root) / name)
        return arrays
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataUnavailable(
            f"MNIST: in none of {', '.join(USUAL_DIRECTORIES)}, and not downloaded: {reason} "
            f"(set {DIRECTORY_VARIABLE} to a folder that holds the four files of MNIST/raw)"
        ) from error
    finally:
        socket.setdefaulttimeout(before)


def _read(root: Path) -> tuple[Images, Labels, Images, Labels]:
    train_images, train_labels = _read_part(_raw(root), "train")
    test_images, test_labels = _read_part(_raw(root), "t10k")
    return train_images, train_labels, test_images, test_labels


def _read_part(folder: Path, part: str) -> tuple[Images, Labels]:
    images_path = folder / f"{part}-images-idx3-ubyte"
    labels_path = folder / f"{part}-labels-idx1-ubyte"
    images, labels = _read_idx(images_path, 3), _read_idx(labels_path, 1)
    if images.shape[1:] != (paper.IMAGE_SIZE, paper.IMAGE_SIZE):
        raise DataError(f"{images_path}: wrong shape: images of {images.shape[1]}x{images.shape[2]} pixels")
    if len(labels) != len(images):
        raise DataError(f"{labels_path}: wrong shape: {len(labels)} labels for {len(images)} images")
    if (labels >= paper.CLASSES).any():
        raise DataError(f"{labels_path}: labels out of range: {labels.max()} is not a digit")
    return images, labels.astype(np.int64)


def _read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """The bytes of one IDX file: a magic number, the big-endian sizes of its dimensions, then the content."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: unreadable: {error.strerror}") from error
    # Magic number and size come before the checksum only because they say more about what has gone wrong.
    start = 4 + 4 * dimensions
    if content[:4] != bytes((0, 0, 8, dimensions)) or len(content) < start:
        raise DataError(f"{path}: not an IDX file of bytes in {dimensions} dimensions")
    shape = tuple(int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4))
    if len(content) != start + prod(shape):
        raise DataError(f"{path}: wrong size: {len(content)} bytes, {start + prod(shape)} by its own header")
    found, expected = hashlib.sha256(content).hexdigest(), paper.MNIST_SHA256[path.name]
    if found != expected:
        raise DataError(f"{path}: wrong checksum: SHA-256 is {found}, must be {expected}")
    # A copy, because PyTorch wants arrays that can be written to.
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy()


def _digits() -> tuple[Images, Labels, Images, Labels]:
    """scikit-learn's 8x8 digits, in MNIST's form (p. 9-10): a 20x20 box, placed by its centre of mass."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = _enlarge(digits.images.astype(np.int64))
    labels = digits.target.astype(np.int64)
    size = DIGITS_TRAIN_SIZE
    return images[:size], labels[:size], images[size:], labels[size:]


def _enlarge(small: NDArray[np.int64]) -> Images:
    """Bytes (N, 28, 28) from images (N, 8, 8) of 0 to 16; in integers, so that every machine agrees."""
    box, side = 20, small.shape[1]
    # Bilinear: pixel i of the box lies at (i + 1/2) 8/20 - 1/2 of the small image, a whole number of tenths.
    tenths = np.clip(4 * np.arange(box) - 3, 0, 10 * (side - 1))
    weights = np.maximum(0, 10 - abs(tenths[:, None] - 10 * np.arange(side)))
    hundredths = weights @ small @ weights.T
    boxes = (hundredths * 255 + 800) // 1600
    position = np.arange(box)
    result = np.zeros((len(small), paper.IMAGE_SIZE, paper.IMAGE_SIZE), np.uint8)
    for image, content in zip(result, boxes, strict=True):
        mass = content.sum()
        # The centre of mass comes nearest to pixel 14, as it does in MNIST's images.
        top = (29 * mass - 2 * (content.sum(1) * position).sum()) // (2 * mass)
        left = (29 * mass - 2 * (content.sum(0) * position).sum()) // (2 * mass)
        image[top : top + box, left : left + box] = content
    return result
