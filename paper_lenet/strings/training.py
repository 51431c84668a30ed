"""Training on whole strings (Section VI): where the characters are is not said, the graphs find it."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from paper_lenet import generators
from paper_lenet.config import WindowsConfig
from paper_lenet.data import levels, windows
from paper_lenet.learning.sdlm import diagonal_hessian
from paper_lenet.network.layers import EuclideanRBF
from paper_lenet.network.losses import eq9
from paper_lenet.network.paper_net import PaperNet
from paper_lenet.strings.characters import CharacterModel
from paper_lenet.strings.digits import HEIGHT, LEVELS, STEP, Strings, draw
from paper_lenet.strings.lattices import Segmentations, Transducer, penalties, possible
from paper_lenet.strings.reading import pieces_of, transducer

# SDLM: the damping of Eq. 21 and the number of patterns that curvatures are measured on, as for single digits.
MU, SAMPLES = 0.02, 500
# Of the four losses, whether all paths count or the best one, and whether that of all labels is subtracted.
LOSSES = {
    "E_vit": (False, False),  # Eq. 11
    "E_dvit": (False, True),  # Eq. 12
    "E_forw": (True, False),
    "E_dforw": (True, True),  # Eq. 17
}


def losses(name: str, of: Tensor, pieces: Segmentations, model: Transducer, labels: Sequence[Sequence[Any]]) -> Tensor:
    """The losses (N,) of strings whose pieces have penalties (P, C); name: of LOSSES."""
    all_paths, discriminative = LOSSES[name]
    wanted = penalties(of, pieces, model, all_paths, labels)
    return wanted - penalties(of, pieces, model, all_paths) if discriminative else wanted


@dataclass(frozen=True)
class Recipe:
    """How a network goes on learning, from whole strings.

    loss: of LOSSES.
    model: the characters that rows of classes at neighbouring positions stand for; None for pieces between cuts.
    rate: falls to 0 along a half cosine.
    method: adamw, or sdlm (Appendix C): one string an update, and each parameter has a rate of its own.
    centres: whether the output's centres learn, too.
    passes: how many times `strings` new strings are drawn, as many of each level.  batch: strings an update.
    levels: names of LEVELS.
    """

    loss: str
    model: CharacterModel | None
    rate: float
    method: str = "adamw"
    centres: bool = False
    passes: int = 3
    strings: int = 4000
    batch: int = 20
    levels: tuple[str, ...] = (*LEVELS,)


def mixed(images: NDArray[np.uint8], labels: NDArray[np.int64], recipe: Recipe, seed: int) -> Strings:
    """A pass of strings, as many of each level."""
    count = recipe.strings // len(recipe.levels)
    parts = [draw(images, labels, LEVELS[name], count, seed + k) for k, name in enumerate(recipe.levels)]
    return Strings([p for part in parts for p in part.pixels], [of for part in parts for of in part.labels])


def train(
    net: nn.Module,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    recipe: Recipe,
    seed: int,
    make: Callable[[NDArray[np.uint8], NDArray[np.int64], Recipe, int], Strings] = mixed,
    characters: Transducer | None = None,
) -> Iterator[tuple[float, list[tuple[int, ...]]]]:
    """Train a network on strings of images (n, 28, 28) with labels (n,). Yields after each pass the mean loss, and the
    strings that no path fits, which are left out.

    make: gives a pass of strings.  characters: the recipe's model, where characters are others than digits.
    """
    model = characters or transducer(recipe.model)
    optimiser = _optimiser(net, recipe)
    size = 1 if recipe.method == "sdlm" else recipe.batch
    updates = recipe.passes * -(-recipe.strings // size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, updates)
    random = generators.generator(seed, "strings")
    net.train()  # batch normalisation, where there is some
    for _ in range(recipe.passes):
        total, impossible = 0.0, []
        strings = make(images, labels, recipe, int(random.integers(2**31)))
        if recipe.method == "sdlm":
            _set_rates(net, optimiser, windows_of(images, labels, int(random.integers(2**31))), strings)
        for chosen in batches(strings, size, random):
            wanted = [strings.labels[k] for k in chosen]
            of, pieces = pieces_of(net, strings, chosen, recipe.model)
            found = losses(recipe.loss, of, pieces, model, wanted)
            fits = possible(found)
            impossible += [digits for digits, fit in zip(wanted, fits.tolist(), strict=True) if not fit]
            optimiser.zero_grad()
            torch.autograd.backward(found[fits].sum() / size)
            optimiser.step()
            schedule.step()
            total += float(found[fits].detach().sum())
        yield total / len(strings), impossible


def _optimiser(net: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    learned: list[Tensor] = [*net.parameters()]
    if recipe.method == "sdlm":
        if recipe.centres:
            raise ValueError("sdlm has no curvatures of the centres")
        return Diagonal(learned, recipe.rate)
    if recipe.centres:
        assert isinstance(net.output, EuclideanRBF)
        learned.append(net.output.centres.requires_grad_())
    return torch.optim.AdamW(learned, recipe.rate, weight_decay=0.0)


class Diagonal(torch.optim.Optimizer):
    """Each parameter goes down its slope, at the group's rate divided by mu and its own curvature (Eq. 21)."""

    def __init__(self, parameters: Iterable[Tensor], rate: float) -> None:
        super().__init__(parameters, {"lr": rate})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for w in group["params"]:
                w -= group["lr"] / (MU + self.state[w]["h"]) * w.grad


def _set_rates(
    net: nn.Module, optimiser: torch.optim.Optimizer, windows: tuple[Tensor, Tensor], strings: Strings
) -> None:
    """h_kk of single windows by Eq. 9, as many times as a string has positions.  # D26"""
    assert isinstance(net, PaperNet)
    positions = np.mean([(picture.shape[1] - HEIGHT) // STEP + 1 for picture in strings.pixels])
    h = diagonal_hessian(net, *windows, functools.partial(eq9, j=math.inf))
    for name, w in net.named_parameters():
        optimiser.state[w]["h"] = positions * h[name]


def windows_of(images: NDArray[np.uint8], labels: NDArray[np.int64], seed: int) -> tuple[Tensor, Tensor]:
    """SAMPLES windows of Section VII-B as the network sees them, and their labels."""
    chosen = generators.generator(seed, "hessian").choice(len(images), SAMPLES, replace=False)
    drawn = windows.draw(WindowsConfig(variants=1), images, seed)
    pixels = windows.pixels(images, drawn, chosen, HEIGHT)
    of = np.where(drawn.blank[chosen], windows.BLANK, labels[chosen])
    return torch.from_numpy(levels(np.float32)[pixels])[:, None], torch.from_numpy(of.astype(np.int64))


def batches(strings: Strings, size: int, random: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """All strings once, in random order but those of like width together, so that little is computed of background."""
    widths = np.array([picture.shape[1] for picture in strings.pixels])
    order = np.argsort(widths + random.uniform(0, 16, len(widths)))
    starts = range(0, len(order), size)
    for k in random.permutation(len(starts)):
        yield order[starts[k] : starts[k] + size]
