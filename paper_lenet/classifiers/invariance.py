"""How far the test images may be scaled, shifted, turned or made noisy (Sec. III-E, Fig. 13)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

from paper_lenet import paper
from paper_lenet.data import Images, Labels
from paper_lenet.network.pretrained import load_pretrained
from paper_lenet.runs.environment import ORIGIN

INVARIANCE = "invariance"
COLUMNS = ("kind", "amount", "classifier", "dataset", "errors", "test_size", "error_percent", *ORIGIN)
# The amounts of each kind: a factor, pixels down, degrees counter-clockwise, and the share of pixels that are inverted.
AMOUNTS: dict[str, tuple[float, ...]] = {
    "scale": (0.4, 0.5, 0.6, 0.7, 0.85, 1.0, 1.2, 1.4, 1.7, 2.0),
    "shift": (-10, -7, -4, -2, 0, 2, 4, 7, 10),
    "rotation": (-60, -40, -30, -20, -10, 0, 10, 20, 30, 40, 60),
    "noise": (0, 0.05, 0.1, 0.2, 0.3),
}
NOISE_SEED = 0
AT_ONCE = 500


def padded(images: Images) -> Images:
    """(N, 32, 32) of (N, 28, 28), with background around."""
    edge = (paper.INPUT_SIZE - paper.IMAGE_SIZE) // 2
    return np.pad(images, ((0, 0), (edge, edge), (edge, edge)))


def changed(images: Images, kind: str, amount: float) -> Images:
    """Images (N, side, side) changed about their middle, bilinear between pixels. kind, amount: of AMOUNTS."""
    if kind == "noise":
        inverted = np.random.default_rng(NOISE_SEED).random(images.shape, np.float32) < amount
        return np.where(inverted, 255 - images, images)
    middle = np.full(2, (images.shape[1] - 1) / 2)
    matrix, offset = np.eye(2), np.zeros(2)  # from a pixel (row, column) of the result to where it lies in the image
    if kind == "scale":
        matrix = matrix / amount
    elif kind == "shift":
        offset[0] = -amount
    elif kind == "rotation":
        cos, sin = np.cos(np.deg2rad(amount)), np.sin(np.deg2rad(amount))
        matrix = np.array([[cos, sin], [-sin, cos]])
    else:
        raise ValueError(f"{kind}: no such change; there are {', '.join(AMOUNTS)}")
    offset += middle - matrix @ middle
    result = np.empty_like(images)
    for image, made in zip(images, result, strict=True):
        made[:] = np.rint(affine_transform(image.astype(np.float32), matrix, offset, order=1))
    return result


def released(name: str) -> Callable[[Images], Labels]:
    """What a released network answers to images (N, 32, 32) of bytes. Raises RecordError where it is not released."""
    recogniser = load_pretrained(name)

    @torch.no_grad()
    def answers(images: Images) -> NDArray[np.int64]:
        parts = torch.split(torch.from_numpy(images), AT_ONCE)
        output = torch.cat([recogniser.network(recogniser.values[part.long()][:, None]) for part in parts])
        return np.asarray((-output if recogniser.has_penalties else output).argmax(1).numpy())

    return answers
