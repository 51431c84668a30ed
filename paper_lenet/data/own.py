"""Images of one's own, in MNIST's shape: IDX files, NumPy's archives, or a folder of images for each class.

They are known by a digest of what was read, so that nothing can be taken for what it is not.
"""

from __future__ import annotations

import gzip
import hashlib
import zipfile
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paper_lenet import paper
from paper_lenet.data import pictures
from paper_lenet.data.mnist import DataError, Images, Labels
from paper_lenet.data.pictures import ImageError

# What the parts of a data set are called by those that are in use; the first is for training.
PARTS = (("train", "training"), ("t10k", "test", "testing"))
IMAGES, LABELS = ("images", "imgs", "x"), ("labels", "y")
FOLDERS = ("", "raw", "MNIST/raw", "FashionMNIST/raw", "KMNIST/raw", "EMNIST/raw", "QMNIST/raw")
TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
QMNIST = (60_000, 60_000)  # training and test images of the whole of it
Four = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]


def read_own(kind: str, directory: str) -> tuple[Images, Labels, Images, Labels, str]:
    """Training images and labels, test images and labels, and a digest of them. kind: `idx`, `npz` or `folder`.

    Raises DataError, which names the file.
    """
    root = Path(directory).expanduser()
    if not root.exists():
        raise DataError(f"{root}: missing (data.dir={directory})")
    read = {"idx": _read_idx_files, "npz": _read_archives, "folder": _read_folders}[kind]
    found = read(root)
    digest = hashlib.sha256()
    arrays: list[NDArray[Any]] = []
    for part, (images, labels) in zip(("training", "test"), (found[:2], found[2:]), strict=True):
        arrays += [_images(images, f"{root}: {part} images"), _labels(labels, len(images), f"{root}: {part} labels")]
    for array in arrays:
        digest.update(str(array.shape).encode() + array.tobytes())
    return arrays[0], arrays[1], arrays[2], arrays[3], digest.hexdigest()


def _images(images: NDArray[Any], where: str) -> Images:
    size = paper.IMAGE_SIZE
    if images.ndim == 4 and images.shape[-1] == 1:
        images = images[:, :, :, 0]
    if images.ndim != 3 or images.shape[1:] != (size, size) or not len(images):
        raise DataError(f"{where}: wrong shape: {images.shape}, not (N, {size}, {size})")
    if images.dtype != np.uint8:
        raise DataError(f"{where}: numbers of {images.dtype}, not bytes (uint8)")
    return np.ascontiguousarray(images)


def _labels(labels: NDArray[Any], count: int, where: str) -> Labels:
    if labels.ndim == 2 and labels.shape[1] == 8:  # QMNIST's, whose first column is the class
        labels = labels[:, 0]
    if labels.ndim == 2 and 1 in labels.shape:
        labels = labels.reshape(-1)
    if labels.ndim != 1 or len(labels) != count:
        raise DataError(f"{where}: wrong shape: {labels.shape} for {count} images")
    if not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"{where}: numbers of {labels.dtype}, not whole numbers")
    if len(labels) and labels.min() < 0:
        raise DataError(f"{where}: out of range: {labels.min()}; the first class is 0")
    return labels.astype(np.int64)


def _read_idx_files(root: Path) -> Four:
    """Files by their names, as they are or packed by gzip; EMNIST's lie on their side, and its letters count from 1."""
    folders = [root / folder for folder in FOLDERS]
    files = [path for folder in folders if folder.is_dir() for path in sorted(folder.iterdir())]
    files = [
        path for path in files if ("idx" in path.name.lower() and path.suffix in ("", ".gz")) or "-ubyte" in path.name
    ]
    arrays = []
    for names in PARTS:
        for kinds in (IMAGES[:1], LABELS[:1]):
            path = _one_of(files, names, kinds, root)
            values = read_idx(path)
            if kinds == IMAGES[:1] and path.name.startswith("emnist"):
                values = values.swapaxes(1, 2)
            if kinds == LABELS[:1] and path.name.startswith("emnist-letters"):
                values = values - 1  # of bytes; they begin with 1
            arrays.append(values)
    return arrays[0], arrays[1], arrays[2], arrays[3]


def _one_of(files: Iterable[Path], parts: tuple[str, ...], kinds: tuple[str, ...], root: Path) -> Path:
    """The file of a part; of one that is there twice, packed and not, that which is not."""
    found = [path for path in files if any(part in path.name for part in parts) and any(k in path.name for k in kinds)]
    named = {path.name.removesuffix(".gz"): path for path in sorted(found, key=lambda path: -len(path.suffix))}
    what = f"of {parts[0]} {kinds[0]}"
    if not named:
        raise DataError(f"{root}: no file {what}")
    if len(named) > 1:
        raise DataError(f"{root}: {len(named)} files {what}: {', '.join(named)}")
    return next(iter(named.values()))


def read_idx(path: Path) -> NDArray[Any]:
    """The numbers of one IDX file, which may be packed by gzip. Raises DataError."""
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"{path}: unreadable: {getattr(error, 'strerror', None) or error}") from error
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in TYPES or not content[3]:
        raise DataError(f"{path}: not an IDX file")
    start, kind = 4 + 4 * content[3], np.dtype(TYPES[content[2]])
    shape = tuple(int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4))
    if len(content) != start + prod(shape) * kind.itemsize:
        raise DataError(
            f"{path}: wrong size: {len(content)} bytes, {start + prod(shape) * kind.itemsize} by its header"
        )
    return np.frombuffer(content, kind, offset=start).reshape(shape).astype(kind.newbyteorder("="))


def _read_archives(root: Path) -> Four:
    """One .npz with four arrays, or one .npz for each, by their names (x_train; train-images; kmnist-train-imgs)."""
    paths = [root] if root.is_file() else sorted(root.glob("*.npz"))
    arrays: dict[str, NDArray[Any]] = {}
    for path in paths:
        try:
            with np.load(path, allow_pickle=False) as archive:
                for name in archive.files:
                    arrays[path.stem if len(archive.files) == 1 else name] = archive[name]
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(
                f"{path}: not an archive of NumPy that can be read: {str(error).splitlines()[0]}"
            ) from error
    found = [_array(arrays, names, kinds, root) for names in PARTS for kinds in (IMAGES, LABELS)]
    return found[0], found[1], found[2], found[3]


def _array(
    arrays: Mapping[str, NDArray[Any]], parts: Iterable[str], kinds: tuple[str, ...], root: Path
) -> NDArray[Any]:
    names = [
        name for name in arrays
        if any(part in name.lower() for part in parts)
        and any(word in kinds for word in name.lower().replace("-", "_").split("_"))
    ]  # fmt: skip
    if len(names) != 1:
        there = ", ".join(arrays) or "none"
        raise DataError(f"{root}: {len(names)} arrays of {kinds[0]} for {next(iter(parts))}; there are {there}")
    return arrays[names[0]]


def _read_folders(root: Path) -> Four:
    """train/<class>/<image> and test/<class>/<image>; the classes in the order of their names are 0, 1, ..."""
    parts = []
    for names in PARTS:
        here = [root / name for name in names if (root / name).is_dir()]
        if len(here) != 1:
            raise DataError(f"{root}: no folder {names[0]}" if not here else f"{root}: both {here[0].name} and more")
        parts.append(here[0])
    classes = [sorted(path.name for path in part.iterdir() if path.is_dir()) for part in parts]
    if classes[0] != classes[1]:
        other = sorted(set(classes[0]) ^ set(classes[1]))
        raise DataError(f"{root}: {', '.join(other)}: a class of training or test images only")
    if len(classes[0]) < 2:
        raise DataError(f"{parts[0]}: fewer than two classes, which are folders in it")
    arrays: list[NDArray[Any]] = []
    for part in parts:
        files = [(path, label) for label, name in enumerate(classes[0]) for path in sorted((part / name).iterdir())
                 if path.is_file() and not path.name.startswith(".")]  # fmt: skip
        images = [_image(path) for path, _ in files]
        if not images:
            raise DataError(f"{part}: no images")
        arrays += [np.stack(images), np.array([label for _, label in files])]
    return arrays[0], arrays[1], arrays[2], arrays[3]


def _image(path: Path) -> NDArray[np.uint8]:
    size = paper.IMAGE_SIZE
    try:
        colours = pictures.colours_of(path)
    except ImageError as error:
        raise DataError(f"{path}: {error}") from error
    if colours.shape[:2] != (size, size):
        raise DataError(f"{path}: wrong shape: {colours.shape[1]}x{colours.shape[0]} pixels, not {size}x{size}")
    grey: NDArray[np.uint8] = np.asarray(colours.mean(2).round(), np.uint8)
    return grey
