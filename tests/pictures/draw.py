"""Draw test pictures of handwritten digits, as a person would photograph or scan them.

Every stroke is a vector path defined in this file; no fonts and no data sets are used.  Each picture belongs to one
kind (clean, chalk, shadow, ruled, ...) and is fully determined by the seed, the kind and its number.

Usage: python draw.py OUT --per-kind 4 --seed 0
"""

from __future__ import annotations

import argparse
import colorsys
import csv
import io
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import convolve1d, gaussian_filter, zoom

Array = NDArray[np.float64]
Rng = np.random.Generator
Colour = tuple[float, float, float]
Frame = tuple[float, float, float, float]  # left, top, right, bottom

SUPERSAMPLE = 3
MAX_BYTES = 40_000
ORIENTATION_TAG = 0x0112

# --------------------------------------------------------------------------------------------------------------------
# Shapes.  A path is a list of points "x,y" that the pen passes, in percent of the glyph height, y downwards.  A smooth
# curve runs through the points; "!" marks a sharp corner.  ";" starts a new stroke.  The number is the relative
# frequency of that shape.
# --------------------------------------------------------------------------------------------------------------------

DIGITS: dict[str, list[tuple[float, str]]] = {
    "0": [
        (1.0, "34,1 14,13 4,48 13,86 31,99 50,87 58,50 50,15 34,2 26,4"),
        (1.0, "38,2 16,9 3,33 3,62 15,91 35,99 55,87 63,56 57,22 40,3 28,4"),
        (0.8, "38,3 26,1 10,18 4,54 12,88 27,99 42,85 48,50 42,16 30,2"),
    ],
    "1": [
        (0.8, "20,0 19,34 20,68 20,100"),
        (1.2, "4,25 17,14 26,0! 26,50 25,100"),
        (0.9, "0,36 15,19 29,0! 28,50 29,100"),
        (0.25, "6,20 22,1! 22,50 22,98!; 3,99 22,98 42,98"),
    ],
    "2": [
        (1.0, "4,24 11,7 29,0 48,8 53,26 44,50 23,76 2,98! 30,97 60,98"),
        (0.8, "5,22 15,5 34,0 51,12 51,33 36,64 18,91 7,96 5,86 15,81 28,90 43,98 60,91"),
        (0.9, "4,22 16,4 36,0 53,15 50,37 31,64 4,97! 22,93 42,98 63,93"),
        (0.8, "2,14 20,2 42,4 51,22 42,48 22,74 3,99! 26,96 56,96"),
    ],
    "3": [
        (1.0, "5,12 22,1 44,6 50,24 39,41 21,47! 44,52 56,72 45,94 23,100 3,88"),
        (0.7, "6,3! 30,2 51,2! 38,20 24,39! 44,44 57,66 49,91 27,100 3,90"),
        (0.9, "6,14 22,1 44,6 49,24 37,41 21,46 22,50 40,50 55,66 51,89 29,100 3,90"),
    ],
    "4": [
        (1.0, "16,3! 9,32 3,58! 30,59 62,57!; 44,24 43,60 42,100"),
        (0.9, "42,100 44,50 44,1! 22,36 2,69! 34,68 64,66"),
        (0.8, "36,1! 20,32 3,63! 34,62 62,60; 45,33 44,66 42,100"),
        (0.7, "9,2 5,28 8,50 24,55 47,50!; 51,3 47,48 42,100"),
    ],
    "5": [
        (1.0, "11,2 8,44! 27,36 49,44 54,69 41,93 19,100 1,89; 10,3 30,3 52,1"),
        (1.0, "52,2! 33,2 14,3! 8,43! 28,36 51,46 56,69 44,92 22,100 1,90"),
        (0.8, "54,4 34,3 17,5! 10,45! 30,37 52,49 55,74 37,97 15,99 0,89"),
    ],
    "6": [
        (1.0, "44,1 24,18 9,46 4,75 15,97 36,99 51,82 45,60 28,54 12,63 5,76"),
        (0.8, "37,0 19,34 5,72 15,98 38,98 51,78 39,58 20,60 6,76"),
        (0.8, "51,9 37,1 18,12 6,42 5,74 18,97 38,99 53,80 47,58 29,51 13,59 5,72"),
    ],
    "7": [
        (1.2, "1,4! 28,4 57,3! 39,46 24,100"),
        (0.8, "3,16 5,3! 30,4 58,4! 38,46 27,100"),
        (0.9, "1,7 18,4 38,6 58,3! 41,36 30,70 26,100"),
        (0.35, "1,4! 28,4 57,3! 39,46 24,100; 14,53 33,51 53,49"),
    ],
    "8": [
        (1.0, "49,12 31,0 11,9 10,30 30,46 51,62 54,86 30,100 6,88 8,64 28,48 47,32 52,16 45,7"),
        (0.7, "28,0 11,9 10,33 28,47 46,33 45,9 28,0 21,3; 28,47 7,60 5,87 28,100 53,87 51,60 28,47 20,49"),
        (0.9, "53,8 35,0 13,8 12,29 30,45 50,63 52,87 29,100 6,86 10,62 32,44 51,24 54,9"),
    ],
    "9": [
        (1.0, "49,14 37,1 16,3 4,24 13,46 32,46 45,30 50,13! 49,52 47,100"),
        (0.9, "50,20 38,2 16,3 4,25 13,47 33,47 46,32 50,19! 53,48 47,81 30,99 8,93"),
        (0.8, "51,18 37,1 14,6 5,28 16,49 35,46 47,31 51,17! 47,46 38,75 27,100"),
    ],
}

LETTERS: dict[str, str] = {
    "A": "2,100! 32,1! 62,100!; 14,64 50,63",
    "B": "5,2! 5,50 5,99; 5,2! 36,4 46,22 36,42 6,48! 42,52 56,74 42,95 4,99",
    "E": "52,2! 5,3! 5,97! 54,97; 6,50 44,48",
    "F": "5,2! 5,50 5,100; 4,3 54,2; 5,48 42,47",
    "G": "58,16 38,1 14,12 3,46 12,86 36,99 60,86 62,58!; 36,57 72,57",
    "H": "4,1 4,100; 58,1 57,100; 5,50 57,49",
    "K": "5,1 5,100; 54,3! 8,54! 58,100",
    "M": "2,100! 8,2! 38,66! 68,2! 74,100",
    "N": "3,100! 6,2! 56,98! 58,1!",
    "P": "6,1 6,100; 5,3! 36,2 52,22 40,46 7,52",
    "R": "6,1 6,100; 5,3! 36,2 50,20 38,42 8,48! 30,70 54,100",
    "T": "0,3 64,2; 32,3 32,100",
    "W": "0,1! 20,99! 40,30! 60,99! 82,1!",
    "X": "2,2 58,98; 58,2 2,99",
    "k": "6,0 6,100; 42,36! 9,66! 44,100",
    "h": "6,0 6,100!; 6,66! 20,46 36,46 42,62 42,100",
}


def parse_path(text: str) -> list[list[tuple[float, float, bool]]]:
    """Read a path text: strokes of (x, y, is corner), scaled to a glyph of height 1."""
    strokes = []
    for part in text.split(";"):
        points = []
        for token in part.split():
            x, y = token.rstrip("!").split(",")
            points.append((float(x) / 100, float(y) / 100, token.endswith("!")))
        strokes.append(points)
    return strokes


def smooth_run(points: Array, step: float = 0.01) -> Array:
    """Run a centripetal Catmull-Rom spline through the points."""
    if len(points) < 3:
        count = max(2, int(np.linalg.norm(points[-1] - points[0]) / step))
        return np.linspace(points[0], points[-1], count)
    padded = np.vstack([2 * points[0] - points[1], points, 2 * points[-1] - points[-2]])
    pieces = []
    for p0, p1, p2, p3 in zip(padded[:-3], padded[1:-2], padded[2:-1], padded[3:], strict=True):
        t1 = np.linalg.norm(p1 - p0) ** 0.5 + 1e-6
        t2 = t1 + np.linalg.norm(p2 - p1) ** 0.5 + 1e-6
        t3 = t2 + np.linalg.norm(p3 - p2) ** 0.5 + 1e-6
        t = np.linspace(t1, t2, max(3, int(np.linalg.norm(p2 - p1) / step)), endpoint=False)[:, None]
        a1 = (t1 - t) / t1 * p0 + t / t1 * p1
        a2 = (t2 - t) / (t2 - t1) * p1 + (t - t1) / (t2 - t1) * p2
        a3 = (t3 - t) / (t3 - t2) * p2 + (t - t2) / (t3 - t2) * p3
        b1 = (t2 - t) / t2 * a1 + t / t2 * a2
        b2 = (t3 - t) / (t3 - t1) * a2 + (t - t1) / (t3 - t1) * a3
        pieces.append((t2 - t) / (t2 - t1) * b1 + (t - t1) / (t2 - t1) * b2)
    return np.vstack([*pieces, points[-1:]])


def smooth_stroke(points: list[tuple[float, float, bool]], jitter: float, rng: Rng) -> Array:
    """Turn path points into a dense curve; every point is moved a little first."""
    moved = np.array([p[:2] for p in points]) + rng.normal(0, jitter, (len(points), 2))
    corners = [0, *(i for i in range(1, len(points) - 1) if points[i][2]), len(points) - 1]
    return np.vstack([smooth_run(moved[a : b + 1]) for a, b in pairwise(corners)])


# --------------------------------------------------------------------------------------------------------------------
# Hand and pen.
# --------------------------------------------------------------------------------------------------------------------


@dataclass
class Hand:
    """How one writer writes: slant, proportions and steadiness."""

    slant: float
    aspect: float
    wobble: float
    jitter: float
    pressure: float
    rotation: float
    shapes: dict[str, int] = field(default_factory=dict)

    @classmethod
    def random(cls, rng: Rng) -> Hand:
        """Draw a writer at random."""
        return cls(
            slant=float(np.clip(rng.normal(0.08, 0.10), -0.12, 0.27)),
            aspect=float(rng.uniform(0.88, 1.2)),
            wobble=float(rng.uniform(0.003, 0.011)),
            jitter=float(rng.uniform(0.004, 0.013)),
            pressure=float(rng.uniform(0.05, 0.22)),
            rotation=float(np.clip(rng.normal(0, 3.2), -8, 8)),
            shapes={d: int(rng.choice(len(v), p=_weights(v))) for d, v in DIGITS.items()},
        )


@dataclass
class Pen:
    """A pen: line width as a fraction of the glyph height, and how its ink lies on the paper."""

    name: str
    width: float
    opacity: float
    grain: float = 0.0
    taper: float = 0.85
    nib: float = 0.0

    @classmethod
    def random(cls, rng: Rng, names: Iterable[str] = ("ballpoint", "felt", "pencil", "fineliner", "brush")) -> Pen:
        """Draw one of the named pen types at random."""
        name = str(rng.choice(list(names)))
        if name == "ballpoint":
            return cls(name, rng.uniform(0.024, 0.042), rng.uniform(0.85, 0.97), grain=0.12, taper=0.7)
        if name == "pencil":
            return cls(name, rng.uniform(0.024, 0.042), rng.uniform(0.78, 0.92), grain=0.5, taper=0.75)
        if name == "fineliner":
            return cls(name, rng.uniform(0.035, 0.055), 0.98, taper=0.95)
        if name == "brush":
            return cls(name, rng.uniform(0.085, 0.125), 0.96, taper=0.6, nib=rng.uniform(0.3, 0.5))
        if name == "chalk":
            return cls(name, rng.uniform(0.055, 0.095), rng.uniform(0.85, 0.95), grain=0.75, taper=0.95)
        return cls("felt", rng.uniform(0.065, 0.115), rng.uniform(0.93, 0.99), grain=0.03, taper=1.0)


def _weights(shapes: list[tuple[float, str]]) -> Array:
    """Give the frequencies of the shapes as probabilities."""
    weights = np.array([weight for weight, _ in shapes])
    return weights / weights.sum()


def slow_curve(count: int, rng: Rng, waves: int = 3) -> Array:
    """Make a smooth random curve of about unit size, one value per point."""
    t = np.linspace(0, 1, count)
    out = np.zeros(count)
    for k in range(1, waves + 1):
        out += rng.normal(0, 1 / k) * np.sin(2 * np.pi * k * t * rng.uniform(0.7, 1.2) + rng.uniform(0, 2 * np.pi))
    return out


def pen_stroke(curve: Array, hand: Hand, pen: Pen, rng: Rng) -> Array:
    """Add wobble and a relative width (third column) to a curve of unit height."""
    count = len(curve)
    length = float(np.linalg.norm(np.diff(curve, axis=0), axis=1).sum())
    wobble = np.stack([slow_curve(count, rng), slow_curve(count, rng)], axis=1) * hand.wobble * min(1.0, length)
    width = 1 + hand.pressure * 0.6 * slow_curve(count, rng)
    ends = np.clip(np.minimum(np.arange(count), np.arange(count)[::-1]) / max(4, 0.12 * count), 0, 1)
    width *= pen.taper + (1 - pen.taper) * ends
    if pen.nib:
        direction = np.gradient(curve, axis=0)
        angle = np.arctan2(direction[:, 1], direction[:, 0])
        width *= 1 - pen.nib + pen.nib * gaussian_filter(np.abs(np.sin(angle + 0.6)), 4)
    return np.column_stack([curve + wobble, np.clip(width, 0.45, 1.6)])


def lean(strokes: list[Array], hand: Hand, rng: Rng, most: float = 0.3) -> list[Array]:
    """Apply the writer's slant (at most `most`) and proportions to one glyph."""
    slant = min(hand.slant + rng.normal(0, 0.02), most)
    aspect = hand.aspect * rng.uniform(0.95, 1.05)
    out = []
    for stroke in strokes:
        new = stroke.copy()
        new[:, 0] = stroke[:, 0] * aspect + slant * (1 - stroke[:, 1])
        out.append(new)
    return out


def glyph(char: str, hand: Hand, pen: Pen, rng: Rng) -> list[Array]:
    """Draw one digit or letter with height about 1."""
    path = DIGITS[char][hand.shapes[char]][1] if char in DIGITS else LETTERS[char]
    curves = [smooth_stroke(points, hand.jitter, rng) for points in parse_path(path)]
    strokes = [pen_stroke(curve, hand, pen, rng) for curve in curves]
    return lean(strokes, hand, rng, 0.16 if char == "1" else 0.3)


def rotate(strokes: list[Array], degrees: float) -> list[Array]:
    """Turn strokes about the origin."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[c, s], [-s, c]])
    return [np.column_stack([stroke[:, :2] @ turn, stroke[:, 2]]) for stroke in strokes]


def line_of_text(text: str, hand: Hand, pen: Pen, rng: Rng) -> list[Array]:
    """Write the characters next to each other; gaps are measured between the glyphs' edges."""
    out: list[Array] = []
    edge = 0.0
    for char in text:
        strokes = glyph(char, hand, pen, rng)
        scale = rng.uniform(0.9, 1.08) if len(text) > 1 else 1.0
        shift_y = rng.normal(0, 0.03) if len(text) > 1 else 0.0
        left = min(s[:, 0].min() for s in strokes) * scale
        gap = rng.uniform(0.17, 0.34) + pen.width
        for stroke in strokes:
            new = stroke.copy()
            new[:, 0] = stroke[:, 0] * scale - left + edge
            new[:, 1] = (stroke[:, 1] - 1) * scale + 1 + shift_y
            out.append(new)
        edge = max(s[:, 0].max() for s in out) + gap
    return rotate(out, hand.rotation / (1 if len(text) < 3 else 2))


def bounds(strokes: list[Array]) -> tuple[Array, Array]:
    """Give the smallest and largest x, y of the strokes."""
    points = np.vstack([s[:, :2] for s in strokes])
    return points.min(axis=0), points.max(axis=0)


def ink_mask(strokes: list[Array], pen: Pen, width_px: float, size: tuple[int, int], rng: Rng) -> Array:
    """Render strokes given in pixels to an anti-aliased ink coverage between 0 and 1; size is (height, width)."""
    height, width = size
    clear = np.ones(size)
    for stroke in strokes:
        big = Image.new("L", (width * SUPERSAMPLE, height * SUPERSAMPLE), 0)
        pencil = ImageDraw.Draw(big)
        points = stroke[:, :2] * SUPERSAMPLE
        radii = np.maximum(stroke[:, 2] * width_px * SUPERSAMPLE / 2, 0.9)
        length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
        at = np.linspace(0, length[-1], max(2, int(length[-1] / max(0.8, 0.22 * float(radii.min())))))
        for x, y, r in zip(
            np.interp(at, length, points[:, 0]),
            np.interp(at, length, points[:, 1]),
            np.interp(at, length, radii),
            strict=True,
        ):
            pencil.ellipse((x - r, y - r, x + r, y + r), fill=255)
        clear *= 1 - np.asarray(big.resize((width, height), Image.Resampling.BOX), dtype=float) / 255 * pen.opacity
    mask = 1 - clear
    if pen.grain >= 0.4:
        tooth = sum(t / t.std() for t in (gaussian_filter(rng.normal(0, 1, size), s) for s in (0.6, (0.7, 2.2))))
        inner = gaussian_filter(mask, width_px / 4)
        mask = mask * np.clip(1 - pen.grain * (0.85 - 0.65 * inner) * np.clip(tooth + 0.2, 0, 1.6), 0, 1)
    elif pen.grain > 0:
        tooth = gaussian_filter(rng.normal(0, 1, size), max(1.0, width_px * 0.8))
        mask = mask * np.clip(1 - pen.grain * np.clip(tooth / (tooth.std() + 1e-9), 0, 2), 0, 1)
    return np.clip(mask, 0, 1)


# --------------------------------------------------------------------------------------------------------------------
# Paper, light and camera.  A page is a float array (height, width, 3) with values 0-255.
# --------------------------------------------------------------------------------------------------------------------

BLACK_INK: Colour = (24, 24, 28)
INKS: list[Colour] = [BLACK_INK, BLACK_INK, (30, 48, 140), (22, 32, 92), (165, 28, 36), (16, 88, 50), (70, 30, 110)]
PAPERS: list[Colour] = [(246, 245, 242), (238, 236, 230), (243, 238, 222), (232, 235, 240), (250, 250, 250)]
TONES: list[Colour] = [(250, 226, 120), (178, 216, 236), (244, 184, 196), (190, 226, 176), (214, 184, 146)]


@dataclass
class Picture:
    """A finished picture and how to save it."""

    image: Image.Image
    fmt: str = "JPEG"
    quality: int = 80
    subsampling: int = 2
    orientation: int = 0
    keep_quality: bool = False


def pick(rng: Rng, items: list[Colour]) -> Colour:
    """Choose one colour."""
    return items[int(rng.integers(len(items)))]


def ink_for(pen: Pen, rng: Rng) -> Colour:
    """Choose an ink that suits the pen."""
    if pen.name == "pencil":
        g = float(rng.uniform(48, 78))
        return (g, g, g + 3)
    return pick(rng, INKS)


def page_size(rng: Rng, low: int = 160, high: int = 640, aspect: float = 1.6) -> tuple[int, int]:
    """Choose (height, width); the ratio of the sides is at most about `aspect`."""
    area = np.exp(rng.uniform(np.log(low), np.log(high)))
    ratio = np.exp(rng.uniform(-np.log(aspect), np.log(aspect)))
    sides = (np.array([area * ratio**0.5, area / ratio**0.5])).round().astype(int)
    height, width = np.clip(sides, 120, 900)
    return int(height), int(width)


def blotches(size: tuple[int, int], cells: float, rng: Rng) -> Array:
    """Make smooth noise with about `cells` bumps along the longer side, zero mean and unit deviation."""
    height, width = size
    step = max(size) / cells
    rows, cols = int(np.ceil(height / step)) + 3, int(np.ceil(width / step)) + 3
    big = zoom(rng.normal(0, 1, (rows, cols)), step, order=3)
    top, left = (np.array(big.shape) - np.array(size)) // 2
    out = big[top : top + height, left : left + width]
    return (out - out.mean()) / (out.std() + 1e-9)


def paper(size: tuple[int, int], colour: Colour, rng: Rng, texture: float = 1.2) -> Array:
    """Make a sheet of paper with a faint texture."""
    page = np.ones((*size, 3)) * np.array(colour)
    if texture:
        fibres = gaussian_filter(rng.normal(0, 1, size), 0.9)
        page += (texture * (blotches(size, 5, rng) * 0.8 + fibres / fibres.std()))[..., None]
    return page


def lay_ink(page: Array, mask: Array, ink: Colour) -> Array:
    """Cover the page with ink where the mask says so."""
    return page * (1 - mask[..., None]) + np.array(ink) * mask[..., None]


@dataclass
class Writing:
    """What was written: coverage, the pen and the frame (left, top, right, bottom) of the strokes' centre lines."""

    mask: Array
    pen: Pen
    frame: Frame


def set_strokes(
    strokes: list[Array],
    pen: Pen,
    size: tuple[int, int],
    rng: Rng,
    area: Frame | None = None,
    fill: tuple[float, float] = (0.5, 0.8),
    width_px: float | None = None,
    least_px: float = 1.5,
    centred: bool = False,
) -> Writing:
    """Scale strokes to fill a part of the area (left, top, right, bottom; default the page) and render them."""
    left, top, right, bottom = area if area else (0, 0, size[1], size[0])
    low, high = bounds(strokes)
    extent = np.maximum(high - low, 0.05) + pen.width
    room = np.array([right - left, bottom - top])
    scale = float(rng.uniform(*fill) * min(room / extent))
    line = max(least_px, pen.width * scale) if width_px is None else width_px
    slack = (room - extent * scale) / 2 - 2
    spread = 0.15 if centred else 0.6
    centre = np.array([left + right, top + bottom]) / 2 + np.clip(slack, 0, None) * rng.uniform(-spread, spread, 2)
    placed = [np.column_stack([(s[:, :2] - (low + high) / 2) * scale + centre, s[:, 2]]) for s in strokes]
    mask = ink_mask(placed, pen, line, size, rng)
    (x0, y0), (x1, y1) = bounds(placed)
    return Writing(mask, pen, (x0, y0, x1, y1))


def write(text: str, size: tuple[int, int], rng: Rng, pen: Pen | None = None, **where: object) -> Writing:
    """Write a text on a page of this size; see `set_strokes` for where."""
    pen = pen or Pen.random(rng)
    strokes = line_of_text(text, Hand.random(rng), pen, rng)
    return set_strokes(strokes, pen, size, rng, **where)  # type: ignore[arg-type]


def light_gradient(size: tuple[int, int], rng: Rng, dark: tuple[float, float] = (0.35, 0.6)) -> Array:
    """Make a light field that falls off across the page, with a little unevenness."""
    y, x = np.mgrid[0 : 1 : size[0] * 1j, 0 : 1 : size[1] * 1j]
    angle = rng.uniform(0, 2 * np.pi)
    ramp = np.cos(angle) * (x - 0.5) + np.sin(angle) * (y - 0.5)
    ramp = (ramp - ramp.min()) / (ramp.max() - ramp.min())
    low = rng.uniform(*dark)
    return np.clip(low + (1.03 - low) * ramp ** rng.uniform(0.7, 1.4) + 0.02 * blotches(size, 2.5, rng), 0.1, 1.08)


def vignette(size: tuple[int, int], rng: Rng, strength: tuple[float, float] = (0.45, 0.75)) -> Array:
    """Make a light field that is dark in the corners."""
    y, x = np.mgrid[-1 : 1 : size[0] * 1j, -1 : 1 : size[1] * 1j]
    cx, cy = rng.uniform(-0.2, 0.2, 2)
    distance = ((x - cx) ** 2 + (y - cy) ** 2) / 2
    return 1 - rng.uniform(*strength) * np.clip(distance, 0, 1.1) ** rng.uniform(0.9, 1.4)


def shadow(size: tuple[int, int], through: tuple[float, float], rng: Rng) -> Array:
    """Make a light field with a rather sharp shadow whose edge runs near the given point (x, y)."""
    height, width = size
    reach = 2.0 * max(size)
    angle = rng.uniform(0, 2 * np.pi)
    along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    start = np.array(through) + across * rng.normal(0, 0.04) * min(size)
    t = np.linspace(-1, 1, 60)
    sort = rng.choice(["edge", "arm", "head"])
    image = Image.new("L", (width * 2, height * 2), 0)
    pencil = ImageDraw.Draw(image)
    if sort == "head":
        radius = rng.uniform(0.35, 0.6) * min(size)
        turn = np.linspace(0, 2 * np.pi, 80)
        ring = radius * (1 + 0.04 * np.sin(3 * turn + angle))
        centre = start + across * radius
        head = centre + np.outer(ring * np.cos(turn), along) * 0.85 + np.outer(ring * np.sin(turn), across)
        pencil.polygon([tuple(p) for p in head * 2], fill=255)
        body = [centre - along * radius * 0.4, centre + along * radius * 0.4]
        body += [centre + along * radius * 1.1 + across * reach, centre - along * radius * 1.1 + across * reach]
        pencil.polygon([tuple(p) for p in np.array(body) * 2], fill=255)
    else:
        bend = 0.05 * min(size) * slow_curve(60, rng, 2)
        edge = start + np.outer(t * reach, along) + np.outer(bend, across)
        band = reach if sort == "edge" else rng.uniform(0.25, 0.45) * min(size)
        pencil.polygon([tuple(p) for p in np.vstack([edge, edge[::-1] + across * band]) * 2], fill=255)
    cover = np.asarray(image.resize((width, height), Image.Resampling.BOX), dtype=float) / 255
    soft = gaussian_filter(cover, rng.uniform(0.004, 0.014) * min(size) + 0.6)
    return 1 - rng.uniform(0.38, 0.6) * soft


def shine(page: Array, light: Array, tint: Colour = (1.0, 1.0, 1.0)) -> Array:
    """Multiply the page by a light field and a colour of the light."""
    return page * light[..., None] * np.array(tint)


def warm_or_cold(rng: Rng) -> Colour:
    """Choose the colour of a lamp or of daylight."""
    warm = rng.uniform(-0.05, 0.07)
    return (1.0 + warm * 0.3, 1.0, 1.0 - warm)


def sensor_noise(page: Array, sigma: float, rng: Rng, chroma: float = 0.4) -> Array:
    """Add the noise of a camera sensor: mostly brightness, partly colour, stronger in bright areas."""
    gain = 0.6 + 0.4 * page.mean(axis=2, keepdims=True) / 255
    grey = rng.normal(0, sigma, (*page.shape[:2], 1))
    return page + gain * (grey + chroma * rng.normal(0, sigma, page.shape))


def blur(page: Array, sigma: float) -> Array:
    """Blur the page as an unsharp lens would."""
    return gaussian_filter(page, (sigma, sigma, 0), mode="nearest")


def camera(page: Array, rng: Rng, noise: float = 1.6, soft: float = 0.5) -> Array:
    """Give the page the slight unsharpness and noise of a phone camera."""
    return sensor_noise(blur(page, soft), noise * rng.uniform(0.6, 1.3), rng)


def to_image(page: Array) -> Image.Image:
    """Round a page to an 8-bit RGB picture."""
    return Image.fromarray(np.clip(np.rint(page), 0, 255).astype(np.uint8), "RGB")


def to_grey(page: Array) -> Image.Image:
    """Round a page to an 8-bit grey picture."""
    return to_image(page).convert("L")


def photo(page: Array, rng: Rng, quality: tuple[int, int] = (70, 86)) -> Picture:
    """Finish a page as a JPEG photo."""
    return Picture(to_image(page), "JPEG", int(rng.integers(*quality)))


def flat(page: Array, colour: bool = True) -> Picture:
    """Finish a page as a PNG."""
    return Picture(to_image(page) if colour else to_grey(page), "PNG")


def ruled(page: Array, rng: Rng, spacing: float) -> Array:
    """Print writing lines and perhaps a red margin on the page."""
    height, width = page.shape[:2]
    line = Image.new("L", (width * 3, height * 3), 0)
    pencil = ImageDraw.Draw(line)
    tilt = rng.uniform(-0.015, 0.015) * width
    thick = max(2, round(rng.uniform(0.02, 0.04) * spacing * 3))
    y = rng.uniform(0.2, 1.0) * spacing - spacing
    while y < height + spacing:
        pencil.line((0, y * 3, width * 3, (y + tilt) * 3), fill=255, width=thick)
        y += spacing
    cover = np.asarray(line.resize((width, height), Image.Resampling.BOX), dtype=float) / 255
    colour = pick(rng, [(120, 160, 215), (150, 165, 190), (165, 165, 170), (110, 180, 200)])
    page = lay_ink(page, cover * rng.uniform(0.6, 0.9), colour)
    if rng.random() < 0.35:
        x = int(rng.uniform(0.06, 0.12) * width)
        page[:, x : x + max(1, width // 250)] = page[:, x : x + max(1, width // 250)] * 0.35 + np.array((150, 50, 50))
    return page


def squared(page: Array, rng: Rng, spacing: float) -> Array:
    """Print a square grid on the page."""
    height, width = page.shape[:2]
    line = Image.new("L", (width * 3, height * 3), 0)
    pencil = ImageDraw.Draw(line)
    thick = max(2, round(rng.uniform(0.03, 0.06) * spacing * 3))
    slope = rng.uniform(-0.02, 0.02)
    off_x, off_y = rng.uniform(0, spacing, 2)
    reach = int(max(height, width) / spacing) + 3
    for k in range(-2, reach):
        x, y = off_x + k * spacing, off_y + k * spacing
        pencil.line((x * 3, 0, (x - slope * height) * 3, height * 3), fill=255, width=thick)
        pencil.line((0, y * 3, width * 3, (y + slope * width) * 3), fill=255, width=thick)
    cover = np.asarray(line.resize((width, height), Image.Resampling.BOX), dtype=float) / 255
    colour = pick(rng, [(130, 165, 215), (160, 165, 175), (150, 190, 160), (175, 160, 190)])
    return lay_ink(page, cover * rng.uniform(0.55, 0.85), colour)


def specks(page: Array, rng: Rng, count: int, largest: float) -> Array:
    """Scatter dust: small dots, a few fibres and hairs."""
    height, width = page.shape[:2]
    image = Image.new("L", (width * 3, height * 3), 0)
    pencil = ImageDraw.Draw(image)
    for _ in range(count):
        x, y = rng.uniform(0, width) * 3, rng.uniform(0, height) * 3
        r = 3 * (0.4 + (largest - 0.4) * rng.random() ** 4)
        pencil.ellipse((x - r, y - r * rng.uniform(0.6, 1), x + r, y + r), fill=int(rng.uniform(110, 250)))
    for _ in range(max(1, count // 25)):
        start = rng.uniform(0, 1, 2) * (width, height)
        bend = np.cumsum(np.cumsum(rng.normal(0, 0.25, (14, 2)), axis=0), axis=0) * min(width, height) / 260
        points = smooth_run(start + bend[::2], 1.0) * 3
        pencil.line([tuple(p) for p in points], fill=int(rng.uniform(90, 170)), width=2)
    cover = np.asarray(image.resize((width, height), Image.Resampling.BOX), dtype=float) / 255
    return lay_ink(page, cover, (60, 55, 50))


def wood(size: tuple[int, int], rng: Rng) -> Array:
    """Make a dark wooden table top."""
    turned = rng.random() < 0.35
    height, width = size[::-1] if turned else size
    y = np.arange(height)[:, None] / max(size)
    grain = gaussian_filter(rng.normal(0, 1, (height, width)), (0.8, 0.08 * width))
    warp = blotches((height, width), 3, rng)
    rings = np.sin(2 * np.pi * (y * rng.uniform(9, 16) + 0.35 * warp))
    tone = 0.11 * grain / grain.std() + 0.09 * rings + 0.06 * warp
    plank = max(size) / rng.uniform(2.2, 4)
    for number in range(int(height / plank) + 2):
        top = int((number + 0.3) * plank)
        tone[top:] += rng.normal(0, 0.1)
        tone[top : top + max(1, int(max(size) / 250))] -= 0.4
    base = np.array(pick(rng, [(84, 54, 33), (64, 42, 30), (98, 64, 40), (58, 48, 42)]))
    out = base * np.clip(1 + tone, 0.25, 1.8)[..., None]
    return np.swapaxes(out, 0, 1) if turned else out


def warp_to(page: Array, corners: Array, size: tuple[int, int]) -> Array:
    """Map a page onto a four-cornered area (clockwise from the top left) of a larger picture; zero outside."""
    height, width = page.shape[:2]
    source = np.array([(0, 0), (width, 0), (width, height), (0, height)], dtype=float)
    rows, target = [], []
    for (x, y), (u, v) in zip(corners, source, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        target += [u, v]
    terms = tuple(np.linalg.solve(np.array(rows), np.array(target)))
    layers = [
        Image.fromarray(page[..., c].astype(np.float32), "F").transform(
            (size[1], size[0]), Image.Transform.PERSPECTIVE, terms, Image.Resampling.BILINEAR
        )
        for c in range(page.shape[2])
    ]
    return np.stack([np.asarray(layer, dtype=float) for layer in layers], axis=2)


def sheet_on_table(sheet: Callable[[tuple[int, int]], Array], size: tuple[int, int], rng: Rng) -> Array:
    """Lay a white sheet, slightly turned, on a wooden table; `sheet` draws the page of the size asked for."""
    table = wood(size, rng)
    frame = np.array(size[::-1], dtype=float)
    while True:
        extent = frame * rng.uniform(0.68, 0.93, 2)
        angle = np.radians(rng.uniform(-11, 11))
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        box = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)]) * extent
        corners = box @ turn + frame / 2 + rng.normal(0, 0.02, 2) * frame + rng.normal(0, 0.012, (4, 2)) * frame
        poly = Image.new("L", (size[1] * 3, size[0] * 3), 0)
        ImageDraw.Draw(poly).polygon([tuple(p) for p in corners * 3], fill=255)
        cover = np.asarray(poly.resize((size[1], size[0]), Image.Resampling.BOX), dtype=float) / 255
        if 0.42 < cover.mean() < 0.78:
            break
    page = sheet((int(extent[1]), int(extent[0])))
    padded = np.pad(page, ((2, 2), (2, 2), (0, 0)), mode="edge")
    laid = warp_to(padded, corners + (corners - corners.mean(axis=0)) * 2 / extent.min(), size)
    offset = rng.uniform(0.004, 0.015, 2) * min(size)
    fall = gaussian_filter(np.roll(cover, offset.astype(int) + 1, (0, 1)), 0.012 * min(size) + 0.5)
    table *= 1 - 0.5 * fall[..., None]
    return table * (1 - cover[..., None]) + laid * cover[..., None]


def board(size: tuple[int, int], rng: Rng) -> Array:
    """Make a dark board with traces of wiped chalk."""
    colour = pick(rng, [(38, 62, 52), (44, 46, 48), (30, 40, 58), (52, 50, 48)])
    page = paper(size, colour, rng, 1.0)
    wiped = np.clip(blotches(size, 4, rng) + 0.5 * blotches(size, 9, rng), 0, None)
    streaks = gaussian_filter(rng.normal(0, 1, size), (1.0, 9.0))
    return page + (6 * wiped * (1 + 0.5 * streaks / streaks.std()))[..., None]


def luma(colour: Iterable[float]) -> float:
    """Give the brightness of a colour as grey conversion sees it."""
    return float(np.dot(np.array(list(colour)), (0.299, 0.587, 0.114)))


def equal_brightness_pair(rng: Rng) -> tuple[Colour, Colour]:
    """Choose paper and ink of clearly different colour and nearly the same brightness."""
    while True:
        hue, level = rng.random(), rng.uniform(80, 165)
        both = []
        for h, s in ((hue, rng.uniform(0.3, 0.6)), (hue + rng.uniform(0.33, 0.67), rng.uniform(0.6, 1.0))):
            rgb = np.array(colorsys.hsv_to_rgb(h % 1, s, 1))
            both.append(rgb * (level + rng.uniform(-3, 3)) / luma(rgb))
        if max(b.max() for b in both) <= 250 and np.linalg.norm(both[0] - both[1]) > 120:
            return tuple(both[0]), tuple(both[1])  # type: ignore[return-value]


# --------------------------------------------------------------------------------------------------------------------
# Kinds of pictures with digits.
# --------------------------------------------------------------------------------------------------------------------


def everyday(text: str, size: tuple[int, int], rng: Rng, **where: object) -> Array:
    """Write on light paper with a common pen: the base of most photos."""
    writing = write(text, size, rng, **where)
    tones = PAPERS if rng.random() < 0.8 else TONES
    return lay_ink(paper(size, pick(rng, tones), rng), writing.mask, ink_for(writing.pen, rng))


def clean(text: str, rng: Rng) -> Picture:
    """Black pen on white."""
    size = page_size(rng, 140, 420)
    writing = write(text, size, rng, Pen.random(rng, ("felt", "fineliner", "ballpoint", "brush")))
    return flat(lay_ink(paper(size, (255, 255, 255), rng, 0), writing.mask, (12, 12, 12)), colour=False)


def light_on_dark(text: str, rng: Rng) -> Picture:
    """Chalk on a board, or a white pen on dark paper."""
    if rng.random() < 0.7:
        size = page_size(rng, 180, 480)
        writing = write(text, size, rng, Pen.random(rng, ("chalk",)))
        chalk = pick(rng, [(236, 236, 230), (232, 232, 232), (238, 222, 140), (235, 180, 190)])
        page = lay_ink(board(size, rng), writing.mask, chalk)
        return photo(camera(shine(page, vignette(size, rng, (0.05, 0.25))), rng), rng)
    size = page_size(rng, 140, 380)
    writing = write(text, size, rng, Pen.random(rng, ("felt", "fineliner")))
    return flat(lay_ink(paper(size, (14, 14, 16), rng, 0), writing.mask, (245, 245, 245)), colour=False)


def gradient(text: str, rng: Rng) -> Picture:
    """Light falling off across the page."""
    size = page_size(rng)
    page = shine(everyday(text, size, rng), light_gradient(size, rng), warm_or_cold(rng))
    return photo(camera(page, rng), rng)


def dark_corners(text: str, rng: Rng) -> Picture:
    """Dark corners, as under a lamp or with a cheap lens."""
    size = page_size(rng)
    page = shine(everyday(text, size, rng, fill=(0.4, 0.65), centred=True), vignette(size, rng), warm_or_cold(rng))
    return photo(camera(page, rng), rng)


def cast_shadow(text: str, rng: Rng) -> Picture:
    """A rather sharp shadow across the digit."""
    size = page_size(rng, 200, 640)
    pen = Pen.random(rng)
    writing = write(text, size, rng, pen)
    x0, y0, x1, y1 = writing.frame
    page = lay_ink(paper(size, pick(rng, PAPERS), rng), writing.mask, ink_for(pen, rng))
    light = shadow(size, ((x0 + x1) / 2, (y0 + y1) / 2), rng)
    page = shine(shine(page, light), light_gradient(size, rng, (0.75, 0.95)), warm_or_cold(rng))
    return photo(camera(page, rng), rng)


def noisy(text: str, rng: Rng) -> Picture:
    """Strong sensor noise, as in a dim room."""
    size = page_size(rng, 140, 300)
    page = everyday(text, size, rng, pen=Pen.random(rng, ("felt", "fineliner", "brush", "ballpoint")))
    page = shine(page, light_gradient(size, rng, (0.7, 0.9))) * rng.uniform(0.65, 0.95)
    return photo(sensor_noise(blur(page, 0.5), rng.uniform(12, 24), rng), rng)


def dusty(text: str, rng: Rng) -> Picture:
    """Dust, specks and hairs, as on a dirty scanner."""
    size = page_size(rng, 180, 460)
    page = everyday(text, size, rng, pen=Pen.random(rng, ("felt", "fineliner", "brush", "pencil")))
    page = specks(page, rng, int(rng.uniform(30, 160)), rng.uniform(1.2, 0.007 * min(size) + 1.5))
    return photo(blur(page, 0.4), rng)


def on_lines(text: str, rng: Rng) -> Picture:
    """Ruled paper."""
    size = page_size(rng, 200, 640)
    writing = write(text, size, rng, fill=(0.35, 0.8))
    height = writing.frame[3] - writing.frame[1]
    page = ruled(paper(size, pick(rng, PAPERS), rng), rng, max(14.0, height / rng.choice([1.2, 1.6, 2.2, 3.1])))
    page = lay_ink(page, writing.mask, ink_for(writing.pen, rng))
    return photo(camera(shine(page, light_gradient(size, rng, (0.7, 0.95)), warm_or_cold(rng)), rng), rng)


def on_squares(text: str, rng: Rng) -> Picture:
    """Squared paper."""
    size = page_size(rng, 200, 600)
    writing = write(text, size, rng, fill=(0.35, 0.8))
    height = writing.frame[3] - writing.frame[1]
    page = squared(paper(size, pick(rng, PAPERS), rng), rng, max(12.0, height / rng.choice([1.7, 2.3, 3.4, 5.2])))
    page = lay_ink(page, writing.mask, ink_for(writing.pen, rng))
    return photo(camera(shine(page, light_gradient(size, rng, (0.7, 0.95)), warm_or_cold(rng)), rng), rng)


def form_page(size: tuple[int, int], rng: Rng, counts: tuple[int, ...] = (1, 3, 4, 5)) -> tuple[Array, Frame]:
    """Print boxes of a form; give the page and the inner area of one box."""
    height, width = size
    count = int(rng.choice(counts)) if width >= 1.5 * height else 1
    edge = min(width * 0.88 / count, height * rng.uniform(0.6, 0.85))
    box_h = min(edge * rng.uniform(1.0, 1.35), height * 0.88)
    left = (width - edge * count) * rng.uniform(0.3, 0.7)
    top = (height - box_h) * rng.uniform(0.3, 0.7)
    thick = max(1.2, edge * rng.uniform(0.012, 0.03))
    image = Image.new("L", (width * 3, height * 3), 0)
    pencil = ImageDraw.Draw(image)
    radius = edge * 0.12 if count == 1 and rng.random() < 0.35 else 0
    for k in range(count):
        box = (left + k * edge, top, left + (k + 1) * edge, top + box_h)
        pencil.rounded_rectangle([b * 3 for b in box], radius * 3, outline=255, width=max(2, int(thick * 3)))
    cover = np.asarray(image.resize((width, height), Image.Resampling.BOX), dtype=float) / 255
    colour = pick(rng, [(30, 30, 32), (90, 92, 96), (40, 80, 150), (190, 70, 60), (60, 130, 90)])
    page = lay_ink(paper(size, pick(rng, PAPERS), rng, 0.5), cover * 0.95, colour)
    chosen = int(rng.integers(count))
    pad = thick + edge * 0.09
    return page, (left + chosen * edge + pad, top + pad, left + (chosen + 1) * edge - pad, top + box_h - pad)


def in_box(text: str, rng: Rng) -> Picture:
    """A digit in a printed box or in one field of a row of boxes."""
    size = page_size(rng, 220, 440, 2.2)
    page, area = form_page(size, rng)
    pen = Pen.random(rng, ("ballpoint", "fineliner", "felt", "fineliner"))
    writing = write(text, size, rng, pen, area=area, fill=(0.7, 0.97), least_px=2.0)
    page = lay_ink(page, writing.mask, pick(rng, INKS))
    if rng.random() < 0.5:
        return photo(camera(shine(page, light_gradient(size, rng, (0.75, 0.95))), rng), rng)
    return flat(page)


def on_table(text: str, rng: Rng) -> Picture:
    """A white sheet on a dark wooden table."""
    size = page_size(rng, 240, 480)

    def sheet(inner: tuple[int, int]) -> Array:
        writing = write(text, inner, rng, fill=(0.5, 0.8))
        return lay_ink(paper(inner, pick(rng, PAPERS[:2]), rng, 0.8), writing.mask, ink_for(writing.pen, rng))

    page = sheet_on_table(sheet, size, rng)
    return photo(camera(shine(page, light_gradient(size, rng, (0.7, 0.95)), warm_or_cold(rng)), rng, 1.2), rng)


def equal_brightness(text: str, rng: Rng) -> Picture:
    """Coloured ink on coloured paper; the contrast lies in the colour only."""
    size = page_size(rng, 160, 420)
    ground, ink = equal_brightness_pair(rng)
    pen = Pen.random(rng, ("felt", "brush"))
    pen.opacity, pen.grain = 1.0, 0.0
    page = lay_ink(paper(size, ground, rng, 0.8), write(text, size, rng, pen).mask, ink)
    return Picture(to_image(blur(page, 0.4)), "JPEG", 84, subsampling=0)


def thin(text: str, rng: Rng) -> Picture:
    """Very thin strokes."""
    size = page_size(rng, 180, 480)
    pen = Pen("fineliner", 0.008, 1.0, taper=0.9)
    writing = write(text, size, rng, pen, fill=(0.55, 0.85), width_px=rng.uniform(1.1, 1.7))
    page = lay_ink(paper(size, (250, 250, 250), rng, 0), writing.mask, pick(rng, INKS[:4]))
    return flat(page)


def thick(text: str, rng: Rng) -> Picture:
    """Very thick strokes."""
    size = page_size(rng, 150, 460)
    pen = Pen("felt", rng.uniform(0.135, 0.175), 1.0, taper=1.0)
    hand = Hand.random(rng)
    hand.aspect = float(rng.uniform(1.15, 1.35))
    hand.pressure *= 0.5
    writing = set_strokes(line_of_text(text, hand, pen, rng), pen, size, rng, fill=(0.65, 0.9))
    page = lay_ink(paper(size, pick(rng, PAPERS), rng, 0.6), writing.mask, pick(rng, INKS))
    return photo(camera(page, rng, 1.0), rng)


def jpeg_artefacts(text: str, rng: Rng) -> Picture:
    """Strong JPEG artefacts."""
    size = page_size(rng, 170, 520)
    pen = Pen.random(rng, ("felt", "brush", "fineliner", "ballpoint"))
    page = everyday(text, size, rng, pen=pen, fill=(0.55, 0.85))
    page = camera(shine(page, light_gradient(size, rng, (0.7, 0.95))), rng, 2.0)
    return Picture(to_image(page), "JPEG", int(rng.integers(8, 16)), keep_quality=True)


def exif_rotated(text: str, rng: Rng) -> Picture:
    """A phone photo stored on its side (rarely upside down) with the Orientation tag."""
    size = page_size(rng, 220, 520, 1.7)
    while 0.85 < size[0] / size[1] < 1.18:
        size = page_size(rng, 220, 520, 1.7)
    page = everyday(text, size, rng)
    image = to_image(camera(shine(page, light_gradient(size, rng, (0.7, 0.95)), warm_or_cold(rng)), rng))
    orientation = int(rng.choice([6, 8], p=(0.55, 0.45)) if rng.random() < 0.9 else 3)
    method = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270, 3: Image.Transpose.ROTATE_180}[orientation]
    return Picture(image.transpose(method), "JPEG", 80, orientation=orientation)


def low_contrast(text: str, rng: Rng) -> Picture:
    """Ink only 25-40 grey levels away from the paper."""
    size = page_size(rng, 170, 480)
    pen = Pen.random(rng, ("felt", "brush", "fineliner"))
    pen.opacity, pen.grain = 1.0, 0.0
    ground = float(rng.uniform(120, 235))
    step = float(rng.uniform(27, 40))
    lighter = ground < 170 and rng.random() < 0.3
    tint = np.array(warm_or_cold(rng))
    ink = tuple((ground + (step if lighter else -step)) * tint)
    mask = write(text, size, rng, pen, least_px=4.0).mask
    page = lay_ink(paper(size, tuple(ground * tint), rng, 0.7), mask, ink)  # type: ignore[arg-type]
    return photo(sensor_noise(blur(page, 0.4), 1.0, rng), rng, (78, 88))


def blurred(text: str, rng: Rng) -> Picture:
    """Out of focus or moved."""
    size = page_size(rng, 170, 560)
    pen = Pen.random(rng, ("felt", "brush", "fineliner"))
    writing = write(text, size, rng, pen, fill=(0.55, 0.8))
    height = writing.frame[3] - writing.frame[1]
    page = lay_ink(paper(size, pick(rng, PAPERS), rng), writing.mask, pick(rng, INKS))
    if rng.random() < 0.65:
        page = blur(page, float(rng.uniform(0.02, 0.036)) * height)
    else:
        length = max(3, int(rng.uniform(0.05, 0.09) * height))
        page = convolve1d(page, np.ones(length) / length, axis=int(rng.integers(2)), mode="nearest")
        page = blur(page, 0.008 * height)
    return photo(sensor_noise(shine(page, light_gradient(size, rng, (0.7, 0.95))), 1.5, rng), rng)


def transparent(text: str, rng: Rng) -> Picture:
    """PNG with transparent ground: ink only, or a white card cut out."""
    size = page_size(rng, 130, 380)
    pen = Pen.random(rng, ("felt", "fineliner", "ballpoint", "brush"))
    writing = write(text, size, rng, pen, fill=(0.5, 0.75))
    sort = rng.choice(["ink", "grey", "palette", "card"])
    alpha = np.rint(writing.mask * 255).astype(np.uint8)
    ink = BLACK_INK if sort == "grey" else pick(rng, INKS)
    if sort == "card":
        height, width = size
        card = Image.new("L", (width * 3, height * 3), 0)
        pad = 3 * min(size) * rng.uniform(0.03, 0.07)
        box = (pad, pad, width * 3 - pad, height * 3 - pad)
        ImageDraw.Draw(card).rounded_rectangle(box, radius=pad * 2, fill=255)
        image = to_image(lay_ink(paper(size, (252, 252, 250), rng, 0), writing.mask, ink))
        image.putalpha(card.resize((width, height), Image.Resampling.BOX))
        return Picture(image, "PNG")
    if sort == "palette":
        index = Image.fromarray((writing.mask > 0.45).astype(np.uint8), "P")
        index.putpalette([0, 0, 0, *(int(c) for c in ink)])
        index.info["transparency"] = 0
        return Picture(index, "PNG")
    colour = np.zeros((*size, 3), np.uint8)
    colour[alpha > 0] = np.array(ink, np.uint8)
    image = Image.fromarray(np.dstack([colour, alpha]), "RGBA")
    return Picture(image.convert("LA") if sort == "grey" else image, "PNG")


def grey16(text: str, rng: Rng) -> Picture:
    """A 16-bit grey PNG, as from a scanner."""
    size = page_size(rng, 130, 300)
    pen = Pen.random(rng, ("felt", "fineliner", "brush"))
    writing = write(text, size, rng, pen)
    ground, ink = rng.uniform(46000, 64000), rng.uniform(2000, 14000)
    if rng.random() < 0.25:
        ground, ink = ink, ground
    values = ground * (1 - writing.mask) + ink * writing.mask
    if rng.random() < 0.5:
        values *= light_gradient(size, rng, (0.8, 0.95))
    step = 128
    return Picture(Image.fromarray((np.clip(values, 0, 65000) // step * step + 77).astype(np.uint16)), "PNG")


def small_in_corner(text: str, rng: Rng) -> Picture:
    """A small digit near a corner of a big page."""
    size = page_size(rng, 480, 820, 1.5)
    height, width = size
    cell = min(size) * rng.uniform(0.14, 0.22)
    margin = min(size) * rng.uniform(0.03, 0.08)
    left = margin if rng.random() < 0.5 else width - margin - cell
    top = margin if rng.random() < 0.5 else height - margin - cell
    pen = Pen.random(rng, ("ballpoint", "felt", "fineliner"))
    writing = write(text, size, rng, pen, area=(left, top, left + cell, top + cell), fill=(0.75, 0.95))
    ground = paper(size, pick(rng, PAPERS), rng, 0.8)
    if rng.random() < 0.5:
        page = shine(lay_ink(ground, writing.mask, pick(rng, INKS)), light_gradient(size, rng, (0.75, 0.95)))
        return photo(camera(page, rng, 0.8), rng)
    return flat(lay_ink(paper(size, (252, 252, 252), rng, 0), writing.mask, pick(rng, INKS)))


def tight_crop(text: str, rng: Rng) -> Picture:
    """A digit that touches the frame on some or all sides."""
    size = page_size(rng, 240, 520)
    pen = Pen.random(rng, ("felt", "fineliner", "brush", "ballpoint"))
    writing = write(text, size, rng, pen, fill=(0.6, 0.75), centred=True)
    page = lay_ink(paper(size, pick(rng, PAPERS), rng), writing.mask, ink_for(pen, rng))
    rows, cols = np.where(writing.mask.max(axis=1) > 0.2)[0], np.where(writing.mask.max(axis=0) > 0.2)[0]
    free = int(rng.uniform(0.15, 0.3) * (rows[-1] - rows[0]))
    sides = rng.choice(["all", "top bottom", "left top", "right bottom", "left right"])
    if text == "1":
        sides = "top bottom"
    room = {}
    for side in ("top", "bottom", "left", "right"):
        room[side] = int(rng.integers(-1, 2)) if sides == "all" or side in sides else free
    top, bottom = max(0, rows[0] - room["top"]), min(size[0], rows[-1] + 1 + room["bottom"])
    left, right = max(0, cols[0] - room["left"]), min(size[1], cols[-1] + 1 + room["right"])
    return photo(camera(page[top:bottom, left:right], rng, 1.0), rng)


def several(text: str, rng: Rng) -> Picture:
    """Two to five digits in a row."""
    height = int(rng.uniform(150, 300))
    size = (height, int(np.clip(height * (0.55 * len(text) + rng.uniform(0.3, 0.8)), 160, 900)))
    pen = Pen.random(rng, ("ballpoint", "felt", "fineliner", "pencil", "brush"))
    writing = write(text, size, rng, pen, fill=(0.75, 0.92))
    ground = paper(size, pick(rng, PAPERS), rng, 0.9)
    if rng.random() < 0.35:
        ground = ruled(ground, rng, (writing.frame[3] - writing.frame[1]) * rng.uniform(0.55, 1.0))
    page = lay_ink(ground, writing.mask, ink_for(pen, rng))
    return photo(camera(shine(page, light_gradient(size, rng, (0.7, 0.98)), warm_or_cold(rng)), rng), rng)


# --------------------------------------------------------------------------------------------------------------------
# Pictures without a digit.
# --------------------------------------------------------------------------------------------------------------------


def curves_to_strokes(curves: list[Array], pen: Pen, rng: Rng) -> list[Array]:
    """Give free curves of about unit height the writer's wobble and pressure."""
    hand = Hand.random(rng)
    return rotate([pen_stroke(curve, hand, pen, rng) for curve in curves], hand.rotation)


def drawn(curves: list[Array], rng: Rng, fill: tuple[float, float] = (0.55, 0.85)) -> Picture:
    """Draw free curves on everyday paper, in everyday light."""
    size = page_size(rng, 170, 460)
    pen = Pen.random(rng)
    writing = set_strokes(curves_to_strokes(curves, pen, rng), pen, size, rng, fill=fill)
    page = lay_ink(paper(size, pick(rng, PAPERS), rng), writing.mask, ink_for(pen, rng))
    return photo(camera(shine(page, light_gradient(size, rng, (0.6, 0.95)), warm_or_cold(rng)), rng), rng)


def ring(cx: float, cy: float, rx: float, ry: float, start: float = 0.0, sweep: float = 360.0) -> Array:
    """Make an arc; angles in degrees, clockwise on the page."""
    t = np.radians(np.linspace(start, start + sweep, 60))
    return np.column_stack([cx + rx * np.cos(t), cy + ry * np.sin(t)])


def polyline(*points: tuple[float, float]) -> Array:
    """Make a polyline with sharp corners."""
    array = np.array(points)
    return np.vstack([smooth_run(array[i : i + 2]) for i in range(len(array) - 1)])


def no_letter(rng: Rng) -> Picture:
    """One letter."""
    kind = [clean, gradient, cast_shadow, on_lines, light_on_dark, on_table][int(rng.integers(6))]
    return kind(str(rng.choice(list(LETTERS))), rng)


def no_word(rng: Rng) -> Picture:
    """A few letters in a row."""
    return several("".join(rng.choice(list(LETTERS), int(rng.integers(2, 5)))), rng)


def no_scribble(rng: Rng) -> Picture:
    """A tangle or a zigzag."""
    if rng.random() < 0.5:
        points = rng.uniform(0, 1, (int(rng.integers(16, 28)), 2)) * (1.3, 1.0)
        return drawn([smooth_run(points)], rng)
    count = int(rng.integers(14, 24))
    x = np.linspace(0, 1.6, count) + rng.normal(0, 0.02, count)
    y = np.where(np.arange(count) % 2, 0.0, 1.0) + rng.normal(0, 0.09, count)
    return drawn([smooth_run(np.column_stack([x, y]))], rng)


def no_coil(rng: Rng) -> Picture:
    """A row of loops, as when trying out a pen."""
    t = np.linspace(0, 2 * np.pi * rng.integers(6, 10), 500)
    return drawn([np.column_stack([0.07 * t + 0.3 * np.cos(t), 0.4 * np.sin(t) * (1 + 0.1 * np.sin(t / 5))])], rng)


def no_smiley(rng: Rng) -> Picture:
    """A smiling face."""
    curves = [ring(0.5, 0.5, 0.5, 0.5, -90, 375), ring(0.5, 0.55, 0.27, 0.24, 20, 140)]
    curves += [ring(x, 0.36, 0.035, 0.06) for x in (0.33, 0.67)]
    return drawn(curves, rng)


def no_doodle(rng: Rng) -> Picture:
    """A star, a house, an arrow or a heart."""
    sort = rng.choice(["star", "house", "arrow", "heart"])
    if sort == "star":
        corner = [(np.sin(a), -np.cos(a)) for a in np.arange(6) * 4 * np.pi / 5]
        return drawn([polyline(*corner)], rng)
    if sort == "house":
        walls = polyline((0, 1), (0, 0.4), (0.5, 0), (1, 0.4), (1, 1), (0, 1))
        door = polyline((0.4, 1), (0.4, 0.65), (0.62, 0.65), (0.62, 1))
        return drawn([walls, polyline((0, 0.4), (1, 0.4)), door], rng)
    if sort == "arrow":
        return drawn([polyline((0, 0.3), (1.6, 0.3)), polyline((1.25, 0), (1.62, 0.3), (1.25, 0.6))], rng)
    t = np.linspace(0, 2 * np.pi, 120)
    heart = np.column_stack([16 * np.sin(t) ** 3, -13 * np.cos(t) + 5 * np.cos(2 * t) + 2 * np.cos(3 * t)]) / 30
    return drawn([heart], rng)


def no_cross_out(rng: Rng) -> Picture:
    """Letters made unreadable by many strokes."""
    pen = Pen("felt", 0.07, 0.95)
    hidden = line_of_text("".join(rng.choice(["M", "H", "K", "A", "R"], 3)), Hand.random(rng), pen, rng)
    low, high = bounds(hidden)
    count = int(rng.integers(16, 24))
    x = np.linspace(low[0] - 0.15, high[0] + 0.15, count) + rng.normal(0, 0.04, count)
    y = np.where(np.arange(count) % 2, low[1] - 0.08, high[1] + 0.08) + rng.normal(0, 0.05, count)
    offset = np.array((0, 0.08))
    bar = np.linspace((low[0] - 0.2, 0.4), (high[0] + 0.2, 0.6), 60)
    curves = [stroke[:, :2] for stroke in hidden] + [smooth_run(np.column_stack([x, y])), bar, bar[::-1] + offset]
    return drawn(curves, rng, (0.7, 0.9))


def no_writing(rng: Rng) -> Picture:
    """An empty page."""
    size = page_size(rng, 160, 600)
    page = paper(size, pick(rng, PAPERS + TONES), rng)
    return photo(camera(shine(page, light_gradient(size, rng, (0.5, 0.95)), warm_or_cold(rng)), rng), rng)


def no_flat(rng: Rng) -> Picture:
    """A page of one colour only."""
    grey = float(rng.choice([255, 255, 240, 128, 0]))
    return flat(paper(page_size(rng, 130, 500), (grey, grey, grey), rng, 0), colour=False)


def no_board(rng: Rng) -> Picture:
    """An empty board."""
    size = page_size(rng, 180, 480)
    return photo(camera(shine(board(size, rng), vignette(size, rng, (0.05, 0.3))), rng), rng)


def no_noise(rng: Rng) -> Picture:
    """Pure noise, fine or coarse, in grey or in colour."""
    size = page_size(rng, 120, 200)
    shape = (*size, 3 if rng.random() < 0.5 else 1)
    coarse = rng.choice([0.0, 0.7, 1.5])
    values = gaussian_filter(rng.normal(0, 1, shape), (coarse, coarse, 0))
    page = rng.uniform(90, 160) + rng.uniform(15, 55) * values / values.std()
    return photo(np.broadcast_to(page, (*size, 3)), rng)


def no_shadow(rng: Rng) -> Picture:
    """A shadow on an empty page."""
    size = page_size(rng, 180, 560)
    through = (size[1] * rng.uniform(0.3, 0.7), size[0] * rng.uniform(0.3, 0.7))
    page = shine(paper(size, pick(rng, PAPERS), rng), shadow(size, through, rng), warm_or_cold(rng))
    return photo(camera(page, rng), rng)


def no_lines(rng: Rng) -> Picture:
    """Ruled paper without writing."""
    size = page_size(rng, 200, 600)
    page = ruled(paper(size, pick(rng, PAPERS), rng), rng, min(size) / rng.uniform(4, 11))
    return photo(camera(shine(page, light_gradient(size, rng, (0.6, 0.95)), warm_or_cold(rng)), rng), rng)


def no_squares(rng: Rng) -> Picture:
    """Squared paper without writing."""
    size = page_size(rng, 200, 560)
    page = squared(paper(size, pick(rng, PAPERS), rng), rng, min(size) / rng.uniform(5, 14))
    return photo(camera(shine(page, light_gradient(size, rng, (0.6, 0.95)), warm_or_cold(rng)), rng), rng)


def no_form(rng: Rng) -> Picture:
    """Empty boxes of a form; always a row, as a single upright box could be read as a zero."""
    size = (int(rng.uniform(120, 200)), int(rng.uniform(340, 620)))
    return flat(form_page(size, rng, (3, 4, 5, 6))[0])


def no_sheet(rng: Rng) -> Picture:
    """An empty sheet on a table."""
    size = page_size(rng, 220, 480)
    page = sheet_on_table(lambda inner: paper(inner, pick(rng, PAPERS[:2]), rng, 0.8), size, rng)
    return photo(camera(shine(page, light_gradient(size, rng, (0.7, 0.95)), warm_or_cold(rng)), rng, 1.2), rng)


def no_dust(rng: Rng) -> Picture:
    """Dust on an empty page."""
    size = page_size(rng, 180, 460)
    page = specks(paper(size, pick(rng, PAPERS), rng), rng, int(rng.uniform(40, 160)), rng.uniform(1.2, 2.8))
    return photo(blur(page, 0.4), rng)


# --------------------------------------------------------------------------------------------------------------------
# Drawing a whole folder.
# --------------------------------------------------------------------------------------------------------------------

KINDS: dict[str, Callable[[str, Rng], Picture]] = {
    "clean": clean,
    "light_on_dark": light_on_dark,
    "gradient": gradient,
    "vignette": dark_corners,
    "shadow": cast_shadow,
    "noise": noisy,
    "dust": dusty,
    "ruled": on_lines,
    "squared": on_squares,
    "box": in_box,
    "table": on_table,
    "equal_brightness": equal_brightness,
    "thin": thin,
    "thick": thick,
    "jpeg": jpeg_artefacts,
    "exif": exif_rotated,
    "low_contrast": low_contrast,
    "blur": blurred,
    "transparent": transparent,
    "grey16": grey16,
    "corner": small_in_corner,
    "tight": tight_crop,
    "several": several,
}

WITHOUT_DIGIT: dict[str, Callable[[Rng], Picture]] = {
    "letter": no_letter,
    "scribble": no_scribble,
    "empty": no_writing,
    "smiley": no_smiley,
    "shadow": no_shadow,
    "ruled": no_lines,
    "crossout": no_cross_out,
    "noise": no_noise,
    "word": no_word,
    "squared": no_squares,
    "coil": no_coil,
    "sheet": no_sheet,
    "doodle": no_doodle,
    "form": no_form,
    "board": no_board,
    "dust": no_dust,
    "flat": no_flat,
}


def encode(picture: Picture) -> bytes:
    """Encode a picture; large ones get a lower JPEG quality or fewer colours."""
    quality, colours = picture.quality, 64
    while True:
        buffer = io.BytesIO()
        if picture.fmt == "JPEG":
            options: dict[str, object] = {"quality": quality, "subsampling": picture.subsampling, "optimize": True}
            if picture.orientation:
                exif = Image.Exif()
                exif[ORIENTATION_TAG] = picture.orientation
                options["exif"] = exif
            picture.image.save(buffer, "JPEG", **options)
            if buffer.tell() <= MAX_BYTES or quality <= 55 or picture.keep_quality:
                return buffer.getvalue()
            quality -= 5
            continue
        image = picture.image
        if image.mode == "RGB":
            image = image.quantize(colours, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        transparency = image.info.get("transparency")
        image.save(buffer, "PNG", optimize=True, **({} if transparency is None else {"transparency": transparency}))
        if buffer.tell() <= MAX_BYTES or picture.image.mode != "RGB" or colours <= 16:
            return buffer.getvalue()
        colours //= 2


def generator(seed: int, kind: str, number: int) -> Rng:
    """Give the random generator of one picture."""
    return np.random.default_rng([seed, zlib.crc32(kind.encode()), number])


def draw(out_folder: str | Path, count_per_kind: int = 4, seed: int = 0) -> list[tuple[str, str, str]]:
    """Draw all pictures into a folder and write labels.csv; give the rows (file, kind, label)."""
    out = Path(out_folder)
    out.mkdir(parents=True, exist_ok=True)
    deck = generator(seed, "deck", 0).permutation(10)
    rows: list[tuple[str, str, str]] = []
    dealt = 0

    def save(name: str, kind: str, label: str, picture: Picture) -> None:
        file = f"{name}.{'jpg' if picture.fmt == 'JPEG' else 'png'}"
        (out / file).write_bytes(encode(picture))
        rows.append((file, kind, label))

    for kind, make in KINDS.items():
        for number in range(count_per_kind):
            rng = generator(seed, kind, number)
            label = str(deck[dealt % 10])
            dealt += 1
            if kind == "several":
                label += "".join(str(d) for d in rng.integers(0, 10, 1 + (number + int(rng.integers(2))) % 4))
            save(f"{kind}_{number:03d}", kind, label, make(label, rng))
    sorts = [*WITHOUT_DIGIT, "letter", "word", "letter"]
    for number in range(max(len(sorts), 4 * count_per_kind)):
        sort = sorts[number % len(sorts)]
        picture = WITHOUT_DIGIT[sort](generator(seed, f"none {sort}", number))
        save(f"none_{sort}_{number:03d}", "none", "none", picture)
    with (out / "labels.csv").open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(("file", "kind", "label"))
        writer.writerows(rows)
    return rows


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Draw test pictures of handwritten digits.")
    parser.add_argument("out", help="folder for the pictures and labels.csv")
    parser.add_argument("--per-kind", type=int, default=4, help="pictures of each kind")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rows = draw(options.out, options.per_kind, options.seed)
    print(f"{len(rows)} pictures in {options.out}")


if __name__ == "__main__":
    main()
