"""Training on whole strings (Section VI): where the characters are is not said, the graphs find it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from paper_lenet import generators
from paper_lenet.network.paper_net import PaperNet
from paper_lenet.strings import hos
from paper_lenet.strings.characters import CharacterModel
from paper_lenet.strings.digits import LEVELS, Strings, draw
from paper_lenet.strings.graphs import compose, linear, logadd
from paper_lenet.strings.hos import Segmented, segmented
from paper_lenet.strings.lattices import Lattice, forward, lattice, possible, smallest
from paper_lenet.strings.sdnn import penalties

# Of the four losses, whether all paths count or the best one, and whether that of all labels is subtracted.
LOSSES = {
    "E_vit": (False, False),  # Eq. 11
    "E_dvit": (False, True),  # Eq. 12
    "E_forw": (True, False),
    "E_dforw": (True, True),  # Eq. 17
}


def losses(name: str, positions: Tensor, lengths: Tensor, desired: Lattice, every: Lattice) -> Tensor:
    """The losses (N,) of strings: penalties (N, T, C), of which `lengths` (N,) count.

    name: of LOSSES.  desired: the character model composed with the labels of each string.  every: the model itself.
    """
    all_paths, discriminative = LOSSES[name]
    of = forward if all_paths else smallest
    wanted = of(positions, lengths, desired)
    return wanted - of(positions, lengths, every) if discriminative else wanted


def losses_of_pieces(
    name: str, penalties_: Sequence[Tensor], strings: Sequence[Segmented], labels: Sequence[Sequence[int]]
) -> Tensor:
    """The losses (N,) of strings that are cut into pieces, of which the penalties (P, C) are given."""
    all_paths, discriminative = LOSSES[name]
    add = logadd if all_paths else hos.smallest
    found = []
    for string, of, wanted in zip(strings, penalties_, labels, strict=True):
        loss = hos.desired(string, of, wanted, add)
        found.append(loss - hos.every(string, of, add) if discriminative else loss)
    return torch.stack(found)


@dataclass(frozen=True)
class Recipe:
    """How a network goes on learning, from whole strings.

    loss: of LOSSES.
    model: the characters that rows of classes at neighbouring positions stand for; None for pieces between cuts.
    rate: of AdamW, falling to 0 along a half cosine.
    centres: whether the output's centres learn, too.
    passes: how many times `strings` new strings are drawn, as many of each level.  batch: strings an update.
    levels: names of LEVELS.
    """

    loss: str
    model: CharacterModel | None
    rate: float
    centres: bool = False
    passes: int = 3
    strings: int = 4000
    batch: int = 20
    levels: tuple[str, ...] = (*LEVELS,)


def train(
    net: PaperNet, images: NDArray[np.uint8], labels: NDArray[np.int64], recipe: Recipe, seed: int
) -> Iterator[tuple[float, list[tuple[int, ...]]]]:
    """Train a network on strings of images (n, 28, 28) with labels (n,). Yields after each pass the mean loss, and the
    strings that no path fits, which are left out."""
    learned: list[Tensor] = [*net.parameters()]
    if recipe.centres:
        learned.append(net.output.centres.requires_grad_())
    optimiser = torch.optim.AdamW(learned, recipe.rate, weight_decay=0.0)
    updates = recipe.passes * -(-recipe.strings // recipe.batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, updates)
    random = generators.generator(seed, "strings")
    for _ in range(recipe.passes):
        total, impossible = 0.0, []
        strings = mixed(images, labels, recipe, int(random.integers(2**31)))
        for chosen in batches(strings, recipe.batch, random):
            found = losses_of(net, strings, chosen, recipe)
            fits = possible(found)
            impossible += [strings.labels[k] for k, fit in zip(chosen, fits.tolist(), strict=True) if not fit]
            optimiser.zero_grad()
            torch.autograd.backward(found[fits].sum() / recipe.batch)
            optimiser.step()
            schedule.step()
            total += float(found[fits].detach().sum())
        yield total / len(strings), impossible


def losses_of(net: PaperNet, strings: Strings, chosen: NDArray[np.int64], recipe: Recipe) -> Tensor:
    """The losses (n,) of the chosen strings."""
    labels = [strings.labels[k] for k in chosen]
    if recipe.model is None:
        cut = [segmented(strings.pixels[k]) for k in chosen]
        return losses_of_pieces(recipe.loss, hos.penalties(net, cut), cut, labels)
    pictures, lengths = strings.batch(chosen)
    transducer = recipe.model.transducer()
    desired = lattice([compose(transducer, linear(of)) for of in labels])
    return losses(recipe.loss, penalties(net, pictures), lengths, desired, lattice([transducer]))


def mixed(images: NDArray[np.uint8], labels: NDArray[np.int64], recipe: Recipe, seed: int) -> Strings:
    """A pass of strings, as many of each level."""
    count = recipe.strings // len(recipe.levels)
    parts = [draw(images, labels, LEVELS[name], count, seed + k) for k, name in enumerate(recipe.levels)]
    return Strings([p for part in parts for p in part.pixels], [of for part in parts for of in part.labels])


def batches(strings: Strings, size: int, random: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """All strings once, in random order but those of like width together, so that little is computed of background."""
    widths = np.array([picture.shape[1] for picture in strings.pixels])
    order = np.argsort(widths + random.uniform(0, 16, len(widths)))
    starts = range(0, len(order), size)
    for k in random.permutation(len(starts)):
        yield order[starts[k] : starts[k] + size]
