"""Separate random generators for separate purposes, all derived from one recorded seed.

A draw for one purpose never moves the others: changing the order leaves the weights as they were.
"""

from __future__ import annotations

import numpy as np

# The position in this tuple is part of every result: append, never reorder.
PURPOSES = ("weights", "order", "hessian", "subset", "distortions", "dropout")


def generator(seed: int, purpose: str) -> np.random.Generator:
    """NumPy generator of one purpose of PURPOSES for a seed of 0 or more. Raises ValueError for another purpose."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, PURPOSES.index(purpose)))))
