"""Heuristic over-segmentation: more cuts through a string than it has characters, and the pieces between (Section V-A).

A cut is a path from the top of the picture to its bottom, one column a row. Two kinds are combined: straight ones at
minima of the ink in a column, and those of "hit and deflect" (Section X): a line that comes down from the top slides
along the ink it hits, and goes straight through where it is caught; then the same from below. Lines that meet are one.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from paper_lenet import paper

SIDE = paper.INPUT_SIZE
INK = 64  # bytes from which on a pixel is ink to a cut
MOST_PIECES, WIDEST = 5, 30  # D25: neighbouring pieces that may be one character, and how many columns wide
NEAR = 2  # mean columns between two cuts that are one


@dataclass(frozen=True)
class Piece:
    """The ink between two cuts, by their numbers from the left, in the middle of a window, bytes (32, 32)."""

    start: int
    end: int
    window: NDArray[np.uint8]


def cuts(picture: NDArray[np.uint8]) -> list[NDArray[np.int64]]:
    """Candidate cuts (32,) of a picture (32, W) from left to right, the picture's edges among them.

    A path c parts a row before column c[row]. Between two neighbouring ones there is some ink.
    """
    height, width = picture.shape
    ink = picture >= INK
    found = [np.full(height, x) for x in _minima(picture.sum(0, dtype=np.int64))]
    found += _hit_and_deflect(ink) + [path[::-1] for path in _hit_and_deflect(ink[::-1])]
    found.sort(key=lambda path: float(path.mean()))
    kept = [np.zeros(height, np.int64)]
    for path in found:
        path = np.maximum(path, kept[-1])  # cuts do not cross
        if path.mean() - kept[-1].mean() >= NEAR and _between(ink, kept[-1], path).any():
            kept.append(path)
    end = np.full(height, width)
    while len(kept) > 1 and not _between(ink, kept[-1], end).any():
        kept.pop()
    return [*kept, end]


def pieces(picture: NDArray[np.uint8]) -> list[Piece]:
    """All runs of neighbouring pieces of a picture (32, W) that may be a character: the arcs of the segmentation graph,
    from its first node, 0, to its last, the highest `end`."""
    paths, found = cuts(picture), []
    for start in range(len(paths) - 1):
        for end in range(start + 1, min(start + MOST_PIECES, len(paths) - 1) + 1):
            part = np.where(_between(picture > 0, paths[start], paths[end]), picture, 0)
            columns = np.flatnonzero((part >= INK).any(0))
            if len(columns) and columns[-1] - columns[0] < WIDEST:
                found.append(Piece(start, end, _window(part, (columns[0] + columns[-1] + 1) // 2)))
            elif end == start + 1:  # too wide, or too faint: it is a piece nevertheless, so that there is a path
                found.append(Piece(start, end, _window(part, int(paths[start].mean() + paths[end].mean()) // 2)))
    return found


def _minima(profile: NDArray[np.int64]) -> list[int]:
    """The middles of runs of columns with less than those beside them."""
    found = []
    changes = np.flatnonzero(np.diff(profile)) + 1
    bounds = [0, *changes.tolist(), len(profile)]
    for start, end in itertools.pairwise(bounds):
        left = profile[start - 1] if start else -1
        right = profile[end] if end < len(profile) else -1
        if profile[start] < left and profile[start] < right:
            found.append((start + end) // 2)
    return found


def _hit_and_deflect(ink: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """The paths of lines that come down through (32, W), one for each place where they arrive; of those the median."""
    ink, arriving = np.ascontiguousarray(ink), dict[int, list[NDArray[np.int64]]]()
    for x in range(1, ink.shape[1]):
        path = _fall(ink, x)
        arriving.setdefault(int(path[-1]), []).append(path)
    return [paths[len(paths) // 2] for paths in arriving.values()]


@njit(cache=True)
def _fall(ink, x):  # type: ignore[no-untyped-def]
    """The path (32,) of one line from the top of column x."""
    path, through = np.empty(len(ink), np.int64), False
    path[0] = x
    for y in range(1, len(ink)):
        if ink[y, x] and not (through and ink[y - 1, x]):
            left, right = _free(ink, y, x, -1), _free(ink, y, x, 1)
            through = left < 0 and right < 0
            if right < 0 <= left or (left >= 0 and x - left <= right - x):
                x = left
            elif right >= 0:
                x = right
        elif not ink[y, x]:
            through = False
        path[y] = x
    return path


@njit(cache=True)
def _free(ink, y, x, step):  # type: ignore[no-untyped-def]
    """The nearest column to one side where row y can be entered from y - 1 and nothing is in the way, or -1."""
    x += step
    while 0 < x < ink.shape[1] and not ink[y - 1, x]:
        if not ink[y, x]:
            return x
        x += step
    return -1


def _between(of: NDArray[np.bool_], left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.bool_]:
    """What lies between two cuts."""
    column = np.arange(of.shape[1])
    return of & (column >= left[:, None]) & (column < right[:, None])


def _window(part: NDArray[np.uint8], middle: int) -> NDArray[np.uint8]:
    """(32, 32) about a column: sized and placed as in the string, not as a character alone."""
    left = SIDE // 2 - middle
    window = np.zeros((part.shape[0], SIDE), np.uint8)
    source = part[:, max(0, -left) : SIDE - left]
    at = max(0, left)
    window[:, at : at + source.shape[1]] = source
    return window
