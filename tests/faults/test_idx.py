"""MNIST's files, damaged in every way: refused by a line that names the file, whatever the damage."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tally import Tally

from paper_lenet import data, paper
from paper_lenet.config import DataConfig
from paper_lenet.data import DataError, DataUnavailable
from paper_lenet.data import mnist as mnist_files

Fault = Callable[[str], Tally]
Tries = Callable[[int, int], int]
SIZES = {"train": 20, "t10k": 8}


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with MNIST in small, whose checksums are the expected ones."""
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    random = np.random.default_rng(1998)
    for name in paper.MNIST_SHA256:
        count = SIZES[name.split("-")[0]]
        shape = (count, 28, 28) if "images" in name else (count,)
        array = random.integers(0, 10, shape, dtype=np.uint8)
        header = bytes((0, 0, 8, array.ndim)) + b"".join(size.to_bytes(4, "big") for size in shape)
        (folder / name).write_bytes(header + array.tobytes())
        monkeypatch.setitem(paper.MNIST_SHA256, name, hashlib.sha256((folder / name).read_bytes()).hexdigest())
    monkeypatch.setattr(mnist_files, "_download", lambda *_: pytest.fail("downloads"))
    data.load(DataConfig(dir=str(tmp_path)))
    return folder


def assert_refused(path: Path) -> None:
    with pytest.raises(DataError) as error:
        data.load(DataConfig(dir=str(path.parents[2])))
    message = str(error.value)
    assert not isinstance(error.value, DataUnavailable)
    assert message.startswith(f"{path}: ") and "\n" not in message, message


class Damaged:
    """The file with another content, for a moment."""

    def __init__(self, path: Path, content: bytes) -> None:
        self.path, self.content, self.sound = path, content, path.read_bytes()

    def __enter__(self) -> None:
        assert self.content != self.sound
        self.path.write_bytes(self.content)

    def __exit__(self, *_: object) -> None:
        self.path.write_bytes(self.sound)


def flipped(content: bytes, position: int, mask: int) -> bytes:
    return content[:position] + bytes([content[position] ^ mask]) + content[position + 1 :]


def header_size(name: str) -> int:
    return 16 if "images" in name else 8


def test_header_bits(raw: Path, fault: Fault, full: bool) -> None:
    with fault("MNIST: a bit of a header flipped") as count:
        for name in paper.MNIST_SHA256:
            content = (raw / name).read_bytes()
            for position in range(header_size(name)):
                for bit in range(8) if full else (position % 8,):
                    other = flipped(content, position, 1 << bit)
                    with count.attempt((name, position, bit)), Damaged(raw / name, other):
                        assert_refused(raw / name)


def test_random_bytes(raw: Path, fault: Fault, tries: Tries) -> None:
    random = np.random.default_rng(1998)
    names = list(paper.MNIST_SHA256)
    with fault("MNIST: a random byte changed") as count:
        for turn in range(tries(40, 1000)):
            name = names[turn % len(names)]
            content = (raw / name).read_bytes()
            position, mask = int(random.integers(len(content))), int(random.integers(1, 256))
            with count.attempt((name, position, mask)), Damaged(raw / name, flipped(content, position, mask)):
                assert_refused(raw / name)


def test_truncated(raw: Path, fault: Fault, tries: Tries) -> None:
    """At every border: empty, within and after the header, after each image; and anywhere."""
    random = np.random.default_rng(1998)
    with fault("MNIST: truncated, or empty") as count:
        for name in paper.MNIST_SHA256:
            content = (raw / name).read_bytes()
            start = header_size(name)
            borders = [*range(start + 1), *range(start, len(content), 28 * 28 if "images" in name else 1)]
            lengths = sorted({*borders, *random.integers(0, len(content), tries(2, 100)).tolist()})
            for length in lengths:
                with count.attempt((name, length)), Damaged(raw / name, content[:length]):
                    assert_refused(raw / name)


def test_other_content(raw: Path, fault: Fault, tries: Tries) -> None:
    """Another of the four files, more bytes, a compressed file, a web page, a missing file, a folder."""
    random = np.random.default_rng(1998)
    with fault("MNIST: swapped, longer, of another format, missing") as count:
        for name in paper.MNIST_SHA256:
            path = raw / name
            content = path.read_bytes()
            others = [(raw / other).read_bytes() for other in paper.MNIST_SHA256 if other != name]
            longer = [content + bytes(more) for more in (1, 2, 28, 28 * 28)] + [content * 2, b"\0" + content]
            formats = [b"\x1f\x8b" + content, b"<!DOCTYPE html>" + content, content[::-1]]
            noise = [random.bytes(int(random.integers(1, len(content)))) for _ in range(tries(1, 20))]
            for number, other in enumerate([*others, *longer, *formats, *noise]):
                with count.attempt((name, number)), Damaged(path, other):
                    assert_refused(path)
            with count.attempt((name, "missing")):
                path.unlink()
                try:
                    assert_refused(path)
                    path.mkdir()
                    assert_refused(path)
                    path.rmdir()
                finally:
                    path.write_bytes(content)
        with count.attempt("two swapped"):
            first, second = raw / "train-labels-idx1-ubyte", raw / "t10k-labels-idx1-ubyte"
            labels = first.read_bytes()
            with Damaged(first, second.read_bytes()), Damaged(second, labels):
                assert_refused(first)
