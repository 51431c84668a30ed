"""Separate random generators for separate purposes, all derived from one recorded seed.

A draw for one purpose never moves the others: changing the order leaves the weights as they were.
"""

from __future__ import annotations

from typing import Any

import numpy as np

# The position in this tuple is part of every result: append, never reorder.
PURPOSES = (
    *("weights", "order", "hessian", "subset", "distortions", "dropout", "windows", "strings", "rotation", "elastic"),
)


def generator(seed: int, purpose: str) -> np.random.Generator:
    """NumPy generator of one purpose of PURPOSES for a seed of 0 or more. Raises ValueError for another purpose."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, PURPOSES.index(purpose)))))


def hashed(x: Any) -> Any:
    """A hash of 0 to 2**32 - 1 of each whole number, in an array or a tensor of int64 with values of that range.

    It goes by where something is, so that every engine and device has the same wherever it begins. The mixing is that
    of MurmurHash3's end.
    """
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        x = ((x ^ (x >> shift)) * factor) & 0xFFFFFFFF  # int64 may overflow: the lower half stays right
    return x
