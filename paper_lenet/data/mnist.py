"""MNIST: found, verified, and read.

It is taken from torchvision's layout on disk, or downloaded by torchvision. Its files are trusted only for their
checksums: a damaged file is an error that names it, never a reason to look elsewhere.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import socket
import tempfile
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paper_lenet import paper
from paper_lenet.errors import PaperLenetError

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]

DIRECTORY_VARIABLE = "PAPER_LENET_DATA"
DOWNLOAD_DIRECTORY = "data"
USUAL_DIRECTORIES = (DOWNLOAD_DIRECTORY, "../shared/data")
# Longest silence of a server that a download puts up with.
TIMEOUT_SECONDS = 20.0


class DataError(PaperLenetError, RuntimeError):
    """Images that cannot be used; one line that names the file and what is wrong with it."""


class DataUnavailable(DataError):
    """Images that cannot be had: not on this machine, and the download failed."""


def read_mnist(directory: str | None) -> tuple[Images, Labels, Images, Labels]:
    """Images (N, 28, 28) and labels (N,) to train on, and those to test on.

    directory: the only place to look at, if it is given; else as `sets.load` says. Raises DataError.
    """
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
