"""Finding, verifying and preparing the images, with small files in MNIST's form."""

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import time
import types
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from paper_lenet import data, paper
from paper_lenet.config import ConfigError, DataConfig
from paper_lenet.data import Data, DataError, DataUnavailable
from paper_lenet.data import mnist as mnist_files

TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = paper.MNIST_SHA256

RAMP = "(np.arange(2 * 28 * 28) % 256).astype(np.uint8).reshape(2, 28, 28)"
DIGITS = "data.load(DataConfig(name='digits')).train_images"
# SHA-256 of normalise() of these images, in float32 and in float64. A change here changes every result.
PREPARED = {
    RAMP: [
        "1b23372e34af6a8f15eaf29d2e317002d2a1dc5dd1f35cd97b5864acb648ceb6",
        "9be62f15053ef705bba74069c177b7ce11ec37be0f45abd47c22950bcee31b8f",
    ],
    DIGITS: [
        "20cb4e115a0d9024721c13c42efa731ebd1b928e0de71d92f213b9d6b12c8533",
        "9c733b75348587a74b247e1f08c02441776870ef9357536252b7ffc3552d904f",
    ],
}


def digests(images: NDArray[np.uint8]) -> list[str]:
    return [hashlib.sha256(data.normalise(images, dtype).tobytes()).hexdigest() for dtype in ("<f4", "<f8")]


def write_idx(path: Path, array: NDArray[np.uint8]) -> None:
    header = bytes((0, 0, 8, array.ndim)) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    path.write_bytes(header + array.tobytes())


def raw(root: Path) -> Path:
    return root / "MNIST" / "raw"


@pytest.fixture
def mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with MNIST in small, whose checksums are the expected ones, beside an empty working folder."""
    root = tmp_path / "mnist"
    raw(root).mkdir(parents=True)
    random = np.random.default_rng(0)
    for part, size in (("train", 30), ("t10k", 12)):
        pixels = random.integers(0, 256, (size, 28, 28), dtype=np.uint8)
        write_idx(raw(root) / f"{part}-images-idx3-ubyte", pixels)
        write_idx(raw(root) / f"{part}-labels-idx1-ubyte", (np.arange(size) % 10).astype(np.uint8))
    trust(root, monkeypatch)
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.delenv(data.DIRECTORY_VARIABLE, raising=False)
    # A test that does not mean to download must not try to.
    monkeypatch.setattr(mnist_files, "_download", forbidden)
    return root


def forbidden(root: Path, timeout: float) -> None:
    raise AssertionError("this test downloads")


def trust(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in paper.MNIST_SHA256:
        digest = hashlib.sha256((raw(root) / name).read_bytes()).hexdigest()
        monkeypatch.setitem(paper.MNIST_SHA256, name, digest)


def refusal(root: Path) -> str:
    """The one line that loading MNIST from a damaged folder ends with."""
    with pytest.raises(DataError) as caught:
        data.load(DataConfig(dir=str(root)))
    assert not isinstance(caught.value, DataUnavailable)
    message = str(caught.value)
    assert "\n" not in message
    return message


# Reading


def test_load(mnist: Path) -> None:
    loaded = data.load(DataConfig(dir=str(mnist)))
    assert (loaded.name, loaded.split) == ("mnist", "test")
    assert loaded.train_images.shape == (30, 28, 28) and loaded.test_images.shape == (12, 28, 28)
    assert loaded.train_images.dtype == loaded.test_images.dtype == np.uint8
    assert loaded.train_labels.dtype == loaded.test_labels.dtype == np.int64
    assert loaded.train_labels.tolist() == [i % 10 for i in range(30)]
    assert loaded.test_labels.tolist() == [i % 10 for i in range(12)]
    content = (raw(mnist) / TEST_IMAGES).read_bytes()
    assert loaded.test_images.tobytes() == content[16:]
    assert loaded.train_images.flags.writeable


def test_sizes(mnist: Path) -> None:
    whole = data.load(DataConfig(dir=str(mnist)))
    short = data.load(DataConfig(dir=str(mnist), test_size=5, train_size=30))
    assert np.array_equal(short.test_images, whole.test_images[:5])
    assert np.array_equal(short.test_labels, whole.test_labels[:5])
    # train_size depends on the seed, so it is left to subset().
    assert len(short.train_images) == len(short.train_labels) == 30


@pytest.mark.parametrize(
    "sizes", [{"train_size": 31}, {"test_size": 13}, {"validation": 30}, {"validation": 10, "train_size": 21}]
)
def test_sizes_that_are_too_large(mnist: Path, sizes: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=f"data.{list(sizes)[-1]}={list(sizes.values())[-1]}: .*at most"):
        data.load(DataConfig(dir=str(mnist), **sizes))


def test_validation_is_the_end_of_the_training_set(mnist: Path) -> None:
    whole = data.load(DataConfig(dir=str(mnist)))
    held_out = data.load(DataConfig(dir=str(mnist), validation=8))
    assert held_out.split == "validation"
    assert np.array_equal(held_out.train_images, whole.train_images[:22])
    assert np.array_equal(held_out.train_labels, whole.train_labels[:22])
    assert np.array_equal(held_out.test_images, whole.train_images[22:])
    assert np.array_equal(held_out.test_labels, whole.train_labels[22:])
    trained_on = {image.tobytes() for image in held_out.train_images}
    assert not trained_on & {image.tobytes() for image in held_out.test_images}
    cut = data.load(DataConfig(dir=str(mnist), validation=8, test_size=3))
    assert np.array_equal(cut.test_images, held_out.test_images[:3])


# Damage


@pytest.mark.parametrize("name", [TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS])
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda content: content[:-1] + bytes([content[-1] ^ 1]), "wrong checksum"),
        (lambda content: content[:-1], "wrong size"),
        (lambda content: content + b"\0", "wrong size"),
        (lambda content: content[:6], "not an IDX file"),
        (lambda content: b"", "not an IDX file"),
        (lambda content: b"<html>" + content, "not an IDX file"),
        (lambda content: content[:4] + b"\xff" * 4 + content[8:], "wrong size"),
    ],
    ids=["flipped bit", "truncated", "too long", "header cut", "empty", "another format", "huge length"],
)
def test_damaged_file_is_named(mnist: Path, name: str, damage: Callable[[bytes], bytes], said: str) -> None:
    path = raw(mnist) / name
    path.write_bytes(damage(path.read_bytes()))
    assert refusal(mnist).startswith(f"{path}: {said}")


@pytest.mark.parametrize(
    ("name", "shape", "said"),
    [
        (TRAIN_IMAGES, (30, 27, 28), "wrong shape"),
        (TEST_IMAGES, (12, 784), "not an IDX file"),
        (TRAIN_LABELS, (29,), "wrong shape"),
        (TEST_LABELS, (12, 1), "not an IDX file"),
    ],
)
def test_wrong_shape_behind_a_right_checksum(
    mnist: Path, monkeypatch: pytest.MonkeyPatch, name: str, shape: tuple[int, ...], said: str
) -> None:
    write_idx(raw(mnist) / name, np.zeros(shape, np.uint8))
    trust(mnist, monkeypatch)
    assert refusal(mnist).startswith(f"{raw(mnist) / name}: {said}")


def test_label_out_of_range(mnist: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_idx(raw(mnist) / TEST_LABELS, np.array([*range(11), 0], np.uint8))
    trust(mnist, monkeypatch)
    assert refusal(mnist) == f"{raw(mnist) / TEST_LABELS}: labels out of range: 10 is not a digit"


# Looking


def test_file_missing_from_a_named_folder(mnist: Path) -> None:
    (raw(mnist) / TEST_LABELS).unlink()
    message = refusal(mnist)
    assert message.startswith(f"{raw(mnist) / TEST_LABELS}: missing")
    assert f"data.dir={mnist}" in message


def test_variable_comes_before_the_usual_folders(mnist: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw(Path("data")).mkdir(parents=True)
    for name in paper.MNIST_SHA256:
        (raw(Path("data")) / name).write_bytes(b"damaged")
    monkeypatch.setenv(data.DIRECTORY_VARIABLE, str(mnist))
    assert len(data.load(DataConfig()).train_images) == 30


def test_variable_that_holds_no_mnist(mnist: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(mnist, "data")
    monkeypatch.setenv(data.DIRECTORY_VARIABLE, "elsewhere")
    with pytest.raises(DataError, match=f"{TRAIN_IMAGES}: missing .{data.DIRECTORY_VARIABLE}=elsewhere"):
        data.load(DataConfig())
    # A folder in the configuration has the last word.
    assert len(data.load(DataConfig(dir=str(mnist))).train_images) == 30


def test_named_folder_is_the_only_one(mnist: Path) -> None:
    shutil.copytree(mnist, "data")
    with pytest.raises(DataError, match="missing"):
        data.load(DataConfig(dir="elsewhere"))


def test_usual_folders(mnist: Path) -> None:
    beside = Path("../shared/data")
    shutil.copytree(mnist, beside)
    # One that lacks a file is passed over, one that is whole but damaged is not.
    shutil.copytree(mnist, "data")
    (raw(Path("data")) / TEST_IMAGES).unlink()
    assert len(data.load(DataConfig()).train_images) == 30
    (raw(Path("data")) / TEST_IMAGES).write_bytes(b"damaged")
    with pytest.raises(DataError, match=f"^data/MNIST/raw/{TEST_IMAGES}: not an IDX file"):
        data.load(DataConfig())


# Downloading


@pytest.fixture
def online(mnist: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As `mnist`, with downloads allowed."""
    monkeypatch.setattr(mnist_files, "_download", DOWNLOAD)
    monkeypatch.setattr(mnist_files, "TIMEOUT_SECONDS", 0.3)
    return mnist


DOWNLOAD = mnist_files._download


def stand_in(monkeypatch: pytest.MonkeyPatch, fetch: Callable[[str, Path], object]) -> None:
    """Puts `fetch(name, path)`, which writes one raw file, in the place of torchvision: slow to import."""

    def mnist(root: str, train: bool, download: bool) -> None:
        assert download
        raw(Path(root)).mkdir(parents=True)
        for name in paper.MNIST_SHA256:
            fetch(name, raw(Path(root)) / name)

    module = types.ModuleType("torchvision.datasets")
    module.MNIST = mnist  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchvision", types.ModuleType("torchvision"))
    monkeypatch.setitem(sys.modules, "torchvision.datasets", module)


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """A server that lets clients connect and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def fetch_from(port: int) -> Callable[[str, Path], object]:
    return lambda name, path: urllib.request.urlretrieve(f"http://127.0.0.1:{port}/{name}", path)


def unavailable() -> str:
    """The one line that a download ends with that cannot succeed: soon, and without a trace."""
    before, started = socket.getdefaulttimeout(), time.monotonic()
    with pytest.raises(DataUnavailable) as caught:
        data.load(DataConfig())
    assert time.monotonic() - started < 5
    assert socket.getdefaulttimeout() == before
    assert not [path for path in Path().rglob("*") if path.is_file()]
    message = str(caught.value)
    assert "\n" not in message and data.DIRECTORY_VARIABLE in message
    return message


def test_silent_server(online: Path, server: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, fetch_from(server.getsockname()[1]))
    assert "timed out" in unavailable()


def test_refused_connection(online: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    stand_in(monkeypatch, fetch_from(port))
    assert "refused" in unavailable()


def test_download_that_breaks_off(online: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(name: str, path: Path) -> None:
        if name == TEST_LABELS:
            raise ConnectionResetError("reset\nby peer")
        shutil.copy(raw(online) / name, path)

    stand_in(monkeypatch, fetch)
    assert "reset by peer" in unavailable()
    stand_in(monkeypatch, lambda name, path: shutil.copy(raw(online) / name, path))
    assert len(data.load(DataConfig()).train_images) == 30


def test_download_of_something_else(online: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, lambda name, path: path.write_bytes(b"<html>"))
    assert "not an IDX file" in unavailable()


def test_download_is_kept(online: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What an earlier attempt, or another program, has left is no obstacle.
    raw(Path("data")).mkdir(parents=True)
    (raw(Path("data")) / TRAIN_IMAGES).write_bytes(b"half")
    stand_in(monkeypatch, lambda name, path: shutil.copy(raw(online) / name, path))
    assert len(data.load(DataConfig()).train_images) == 30
    assert sorted(path.name for path in Path("data").iterdir()) == ["MNIST"]
    monkeypatch.setattr(mnist_files, "_download", forbidden)
    assert len(data.load(DataConfig()).train_images) == 30


@pytest.mark.slow
def test_torchvision_itself(online: Path, server: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import MNIST

    monkeypatch.setattr(MNIST, "mirrors", [f"http://127.0.0.1:{server.getsockname()[1]}/"])
    assert "timed out" in unavailable()
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setattr(MNIST, "mirrors", [f"http://127.0.0.1:{port}/", f"https://127.0.0.1:{port}/"])
    assert "refused" in unavailable()


# Subsets


@pytest.fixture
def some() -> Data:
    images = np.arange(50, dtype=np.uint8)[:, None, None].repeat(28, 1).repeat(28, 2)
    return Data("mnist", "test", images, np.arange(50) % 10, images[:7], np.arange(7))


def test_subsets_of_one_seed_are_nested(some: Data) -> None:
    large, small = data.subset(some, 40, 3), data.subset(some, 15, 3)
    assert np.array_equal(large.train_images[:15], small.train_images)
    assert np.array_equal(large.train_labels[:15], small.train_labels)
    chosen = large.train_images[:, 0, 0]
    assert len(set(chosen.tolist())) == 40
    assert np.array_equal(chosen % 10, large.train_labels)
    assert np.array_equal(data.subset(some, 50, 3).train_images[:40], large.train_images)
    assert large.test_images is some.test_images and large.test_labels is some.test_labels


def test_subsets_depend_on_the_seed_alone(some: Data) -> None:
    again = data.subset(some, 10, 3)
    assert np.array_equal(data.subset(some, 10, 3).train_images, again.train_images)
    assert not np.array_equal(data.subset(some, 10, 4).train_images, again.train_images)


def test_subset_larger_than_the_set(some: Data) -> None:
    with pytest.raises(ConfigError, match=r"data\.train_size=51: must be at most 50"):
        data.subset(some, 51, 0)


# What the network sees


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_levels(dtype: type[np.floating]) -> None:
    value = data.levels(dtype)
    assert value.shape == (256,) and value.dtype == dtype
    assert value[0] == dtype(-0.1) and value[255] == dtype(1.175)
    exact = np.array([-0.1 + 1.275 * byte / 255 for byte in range(256)])
    assert np.abs(value - exact).max() <= np.finfo(dtype).eps


def test_normalise_adds_two_pixels_of_background_on_each_side() -> None:
    images = np.arange(3 * 28 * 28).reshape(3, 28, 28).astype(np.uint8)
    result = data.normalise(images)
    assert result.shape == (3, 1, 32, 32) and result.dtype == np.float32
    assert np.array_equal(result[:, 0, 2:30, 2:30], data.levels()[images])
    result[:, 0, 2:30, 2:30] = np.float32(-0.1)
    assert (result == np.float32(-0.1)).all()
    assert data.normalise(images[:0], np.float64).shape == (0, 1, 32, 32)


@pytest.mark.parametrize(
    "images",
    [np.zeros((2, 28, 28)), np.zeros((28, 28), np.uint8), np.zeros((2, 32, 32), np.uint8)],
    ids=["floats", "one image", "another size"],
)
def test_normalise_refuses_other_images(images: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="not uint8"):
        data.normalise(images)


def test_digits() -> None:
    digits = data.load(DataConfig(name="digits"))
    assert (digits.name, digits.split) == ("digits", "test")
    assert digits.train_images.shape == (1500, 28, 28) and digits.test_images.shape == (297, 28, 28)
    assert digits.train_images.dtype == np.uint8 and digits.train_labels.dtype == np.int64
    images = np.concatenate((digits.train_images, digits.test_images)).astype(np.float64)
    labels = np.concatenate((digits.train_labels, digits.test_labels))
    assert set(labels.tolist()) == set(range(10))
    assert images.max() == 255
    assert digests(digits.train_images) == PREPARED[DIGITS]
    mass, position = images.sum((1, 2)), np.arange(28)
    for axis in (1, 2):
        centre = (images.sum(axis) * position).sum(1) / mass
        assert np.abs(centre - 14).max() <= 0.5


@pytest.mark.parametrize("hash_seed", ["0", "12345"])
@pytest.mark.parametrize("images", [RAMP, pytest.param(DIGITS, marks=pytest.mark.slow)], ids=["ramp", "digits"])
def test_preparation_never_changes(images: str, hash_seed: str) -> None:
    code = f"""
import hashlib, numpy as np
from paper_lenet import data
from paper_lenet.config import DataConfig
images = {images}
for dtype in ("<f4", "<f8"):
    print(hashlib.sha256(data.normalise(images, dtype).tobytes()).hexdigest())
"""
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        cwd=Path(data.__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    )
    assert found.stdout.split() == PREPARED[images]


# The real thing


@pytest.mark.slow
def test_mnist() -> None:
    places = [os.environ.get(data.DIRECTORY_VARIABLE), *data.USUAL_DIRECTORIES]
    here = [place for place in places if place and (raw(Path(place)) / TEST_LABELS).is_file()]
    if not here:
        pytest.skip("MNIST is not at hand")
    mnist = data.load(DataConfig(dir=here[0]))
    assert mnist.train_images.shape == (paper.TRAIN_SIZE, 28, 28)
    assert mnist.test_images.shape == (paper.TEST_SIZE, 28, 28)
    assert tuple(np.bincount(mnist.test_labels)) == paper.MNIST_TEST_LABELS
    images = data.normalise(mnist.train_images)
    # Not the paper's "roughly 0" and "roughly 1" (p. 7).
    assert images.mean(dtype=np.float64) == pytest.approx(0.0275, abs=5e-5)
    assert images.var(dtype=np.float64) == pytest.approx(0.123, abs=5e-4)
    assert hashlib.sha256(images[:100].astype("<f4").tobytes()).hexdigest() == (
        "cc53544c3144256c7f5eef86701c56d02c83ce5d0bc29cd888160635d1983eb1"
    )
    # The digits that Fig. 8's errors were matched with.
    errors = paper.fig8()
    assert np.array_equal(mnist.test_labels[errors["mnist_test_index"]], errors["true_label"])
