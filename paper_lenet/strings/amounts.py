"""Courtesy amounts, Section X in small: symbols beside MNIST's digits, and the grammar that a valid amount obeys.

The paper's cheques are private. Here $, *, comma, point and stroke are drawn by a font, slanted, sized and thickened at
random, and digits are MNIST's. An amount may begin with $ and asterisks, may have commas at its thousands, and may end
with its cents: after a point, or small and raised over 100, after a stroke.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from paper_lenet import generators
from paper_lenet.network.lenet5 import LeNet5
from paper_lenet.paper import CLASSES, bitmaps
from paper_lenet.strings.digits import HEIGHT, Ink, Strings, assembled, ink_of
from paper_lenet.strings.graphs import Arc, Graph
from paper_lenet.strings.training import Recipe

SYMBOLS = "$*,./"
# Classes: the digits, the symbols, and last the blank.
CHARACTERS = "0123456789" + SYMBOLS
# Rows of ink of each symbol, and the row of its middle, from 0 at the top of the picture.
PLACES = {"$": (24, 16), "*": (12, 14), ",": (7, 25), ".": (4, 24), "/": (24, 16)}
SLANTS = np.linspace(-0.25, 0.35, 13)
GAP = (-1, 3)  # columns between two characters
LONGEST = 5  # digits before the cents
SMALL = 0.6  # cents over 100, and 100


def codes() -> torch.Tensor:
    """The centres (16, 84) of all classes, those of Fig. 3: what is new has a code and no parameters of its own."""
    return bitmaps.codes(CHARACTERS + " ")


def with_symbols(net: LeNet5) -> LeNet5:
    """The network with codes for all classes, in the place of eleven."""
    net.output.centres = codes()
    return net


def text(random: np.random.Generator) -> str:
    """A random amount."""
    length = int(random.integers(1, LONGEST + 1))
    digits = str(random.integers(10 ** (length - 1), 10**length))
    if length > 3 and random.random() < 0.5:
        digits = f"{digits[:-3]},{digits[-3:]}"
    start = "$" * (random.random() < 0.7) + "*" * int(random.integers(0, 3))
    cents = f"{random.integers(0, 100):02d}"
    end = ("", f".{cents}", f"{cents}/100")[random.choice(3, p=(0.2, 0.4, 0.4))]
    return start + digits + end


@functools.cache
def grammar() -> Graph:
    """All amounts that are valid, as a graph of characters: [$] *... digits [,ddd]... [.dd or dd/100]."""
    arcs: list[Arc] = []
    ends = set()
    count = 2

    def node() -> int:
        nonlocal count
        count += 1
        return count - 1

    def take(start: int, characters: str, end: int) -> int:
        arcs.extend(Arc(start, end, CHARACTERS.index(character)) for character in characters)
        return end

    digits, cents = CHARACTERS[:CLASSES], node()
    take(0, "$", 1)
    for start in (0, 1):
        take(start, "*", 1)
    # so many digits without a comma; the last two may be raised cents
    before: list[int] = []
    place = [0, 1]
    for k in range(LONGEST + 2):
        after = node()
        for start in place:
            take(start, digits, after)
        before.append(after)
        place = [after]
        if k < LONGEST:
            ends.add(after)
        if k >= 2:
            take(after, "/", cents)
    # thousands: up to three digits, a comma, three digits, and two that may be cents
    for start in before[: LONGEST - 3]:
        last = take(take(take(take(start, ",", node()), digits, node()), digits, node()), digits, node())
        ends.add(last)
        take(take(take(last, digits, node()), digits, node()), "/", cents)
    point, hundred = node(), node()
    for start in sorted(ends):
        take(start, ".", point)
    ends |= {take(take(point, digits, node()), digits, hundred)}
    ends |= {take(take(take(cents, "1", node()), "0", node()), "0", hundred)}
    return Graph(tuple(arcs), frozenset(ends))


def draw(images: NDArray[np.uint8], labels: NDArray[np.int64], count: int, seed: int) -> Strings:
    """Random amounts, as pictures; digits are of images (n, 28, 28) with labels (n,). Labels are of CHARACTERS."""
    random = generators.generator(seed, "strings")
    of_digit = [np.flatnonzero(labels == digit) for digit in range(CLASSES)]
    pictures, desired = [], []
    for _ in range(count):
        amount = text(random)
        stroke = amount.find("/")
        ink = []
        for k, character in enumerate(amount):
            if character in SYMBOLS:
                ink.append(_symbol(character, random))
                continue
            image = images[random.choice(of_digit[int(character)])]
            size = random.uniform(0.85, 1.15)
            if stroke < 0 or k < stroke - 2:
                ink.append(ink_of(image, size, int(random.integers(-2, 3))))
            else:  # raised before the stroke, lowered after it
                ink.append(ink_of(image, SMALL * size, 5 if k > stroke else -5))
        gaps = random.integers(GAP[0], GAP[1] + 1, len(amount))
        pictures.append(assembled(ink, gaps.tolist()))
        desired.append(tuple(CHARACTERS.index(character) for character in amount))
    return Strings(pictures, desired)


def mixed(images: NDArray[np.uint8], labels: NDArray[np.int64], recipe: Recipe, seed: int) -> Strings:
    """A pass of amounts, for `training.train`."""
    return draw(images, labels, recipe.strings, seed)


def _symbol(character: str, random: np.random.Generator) -> Ink:
    """A symbol as some pen might make it."""
    glyph = _glyph(character, float(random.choice(SLANTS)), int(random.integers(0, 3)))
    rows, middle = PLACES[character]
    high = max(2, round(rows * random.uniform(0.85, 1.15)))
    wide = max(2, round(glyph.shape[1] * high / glyph.shape[0] * random.uniform(0.85, 1.15)))
    ink = np.asarray(Image.fromarray(glyph).resize((wide, high), Image.Resampling.BILINEAR))
    top = round(middle - high / 2 + random.uniform(-1.5, 1.5))
    return Ink(ink, int(np.clip(top, 0, HEIGHT - high)))


@functools.cache
def _glyph(character: str, slant: float, stroke: int) -> NDArray[np.uint8]:
    """A large picture of a symbol, cut to its ink."""
    size = 96
    picture = Image.new("L", (3 * size, 2 * size))
    font = ImageFont.load_default(size)
    ImageDraw.Draw(picture).text((size, size / 4), character, 255, font, stroke_width=stroke, stroke_fill=255)
    leaning = picture.transform(
        picture.size, Image.Transform.AFFINE, (1, slant, -slant * size, 0, 1, 0), Image.Resampling.BILINEAR
    )
    ink = np.asarray(leaning)
    rows, columns = (np.flatnonzero(ink.max(axis) > 0) for axis in (1, 0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
