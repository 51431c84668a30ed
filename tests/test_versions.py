"""The versions of the images (p. 10): moments and boxes before and after."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from paper_lenet import data, versions
from paper_lenet.config import DataConfig


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


@pytest.mark.parametrize(("version", "side"), [("regular", 28), ("deslanted", 20), ("small", 16)])
def test_loaded(version: str, side: int) -> None:
    found = data.load(DataConfig("digits", version=version))
    assert found.train_images.shape == (1500, side, side) and found.test_images.shape == (297, side, side)
    assert found.train_images.dtype == np.uint8
