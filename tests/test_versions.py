"""The versions of the images (p. 10): moments and boxes before and after."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from paper_lenet import data, paper
from paper_lenet.config import DataConfig
from paper_lenet.data import versions


def bar(slant: float) -> NDArray[np.uint8]:
    """A bar of full ink, 16 rows and 5 columns, each row moved by the slant times its distance from the middle."""
    image = np.zeros((28, 28), np.uint8)
    for y in range(6, 22):
        x = round(14 + slant * (y - 13.5))
        image[y, x - 2 : x + 3] = 255
    return image


@pytest.mark.parametrize("slant", [-0.5, 0.0, 0.25, 0.5])
def test_slanted_bar_becomes_upright(slant: float) -> None:
    image = bar(slant)[None]
    m11, m02, _ = versions.moments(image)
    assert m11[0] / m02[0] == pytest.approx(slant, abs=0.03)
    upright = versions.deslanted(image)
    assert upright.shape == (1, 20, 20) and upright.dtype == np.uint8
    # as many pixels high as wide before: 28 around it give the moments
    again, height, _ = versions.moments(np.pad(upright, ((0, 0), (4, 4), (4, 4))))
    assert abs(again[0] / height[0]) < 0.02
    assert int(upright.sum()) == pytest.approx(int(image.sum()), rel=0.01)


def test_upright_bar_stays_as_it_is() -> None:
    assert np.array_equal(versions.deslanted(bar(0.0)[None])[0], bar(0.0)[4:24, 4:24])


def test_empty_image() -> None:
    empty = np.zeros((1, 28, 28), np.uint8)
    assert not versions.deslanted(empty).any() and not versions.small(empty).any()


def test_small_is_the_box_averaged_down() -> None:
    image = np.zeros((1, 28, 28), np.uint8)
    image[0, 3:23, 5:25] = 200  # a full box, off the middle
    assert np.array_equal(versions.small(image), np.full((1, 16, 16), 200))
    image[0, 3:23, 5:15] = 0
    # of what is left, ten columns, the box has the middle
    assert versions.small(image)[0, 0].tolist() == [0] * 4 + [200] * 8 + [0] * 4


def test_small_at_the_border() -> None:
    image = np.zeros((1, 28, 28), np.uint8)
    image[0, :10, 27] = 255
    found = versions.small(image)
    # 10 of 20 rows, 1 of 20 columns, 16/20 as long each
    assert int(found.sum()) == pytest.approx(255 * 10 * (16 / 20) ** 2, rel=0.01)


@pytest.mark.parametrize(("version", "side"), paper.VERSION_SIDES.items())
def test_loaded(version: str, side: int) -> None:
    found = data.load(DataConfig("digits", version=version))
    assert found.train_images.shape == (1500, side, side) and found.test_images.shape == (297, side, side)
    assert found.train_images.dtype == np.uint8


def test_black_and_white() -> None:
    image = bar(0.0)[None].copy()
    image[0, 0, 0], image[0, 0, 1] = 127, 128
    assert versions.binary(image)[0, 0, :2].tolist() == [0, 255]
    assert np.array_equal(versions.of(image, "deslanted-binary"), versions.binary(versions.deslanted(image)))


def test_boxed() -> None:
    """Wherever the ink is, its box ends up in the middle, and nothing else changes."""
    image = np.zeros((2, 28, 28), np.uint8)
    image[0, 2:8, 20:28] = 7
    image[1, 11:17, 10:18] = 7
    assert np.array_equal(versions.boxed(image), image[[1, 1]])


def test_deslanted_once_more() -> None:
    """Where the deslanted ink is not in the middle it is put there; then it fills the box, and keeps its shape."""
    image = np.roll(bar(0.5), 3, 1)[None]  # 16 rows, 5 columns once it is upright
    upright, again = versions.deslanted(image), versions.of(image, "deslanted-boxed")
    columns = np.flatnonzero(upright[0].any(0))
    assert columns.mean() > 12 and np.flatnonzero(again[0].any(0)).mean() == pytest.approx(9.5, abs=0.5)
    assert int(again.sum()) == int(upright.sum())
    filled = versions.of(image, "deslanted-normalised")[0]
    assert filled.any(1).all() and 6 <= filled.any(0).sum() <= 10
    square = np.zeros((1, 28, 28), np.uint8)
    square[0, 4:24, 6:26] = 9
    assert np.array_equal(versions.normalised(square), np.full((1, 20, 20), 9))
    assert versions.normalised(square // 10).max() == 0


def test_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was made once is read; damaged, of other images, or where nothing can be written, it is made again."""
    images = np.stack([bar(0.0), bar(0.5)])
    made = versions.cached(images, "small", tmp_path)
    assert np.array_equal(made, versions.small(images))
    (path,) = tmp_path.iterdir()
    with monkeypatch.context() as patched:
        patched.setattr(versions, "of", lambda images, version: pytest.fail("made again"))
        assert np.array_equal(versions.cached(images, "small", tmp_path), made)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert np.array_equal(versions.cached(images, "small", tmp_path), made)
    assert path.read_bytes()[-1] == content[-1] ^ 1  # and is mended
    assert np.array_equal(versions.cached(images[:1], "small", tmp_path), made[:1])
    (tmp_path / "file").touch()
    assert np.array_equal(versions.cached(images, "small", tmp_path / "file"), made)
