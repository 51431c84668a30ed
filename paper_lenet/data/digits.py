"""scikit-learn's small digits, made into images like MNIST's."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paper_lenet import paper
from paper_lenet.data.mnist import Images, Labels

# scikit-learn's digits have no split of their own: the first are for training, the other 297 for testing.
DIGITS_TRAIN_SIZE = 1500


def read_digits() -> tuple[Images, Labels, Images, Labels]:
    """scikit-learn's 8x8 digits, in MNIST's form (p. 9-10): a 20x20 box, placed by its centre of mass."""
    # Where its package lies, without importing it, which takes seconds; its load_digits() reads the same file.
    package = find_spec("sklearn")
    assert package is not None and package.origin is not None
    rows = np.loadtxt(Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz", np.int64, delimiter=",")
    images, labels = _enlarge(rows[:, :-1].reshape(-1, 8, 8)), rows[:, -1]
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
