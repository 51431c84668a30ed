"""Rejecting what is not sure: how much is read where little may be read wrong (Section X-C, Fig. 34)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def read_at(sure: NDArray[np.floating], right: NDArray[np.bool_], wrong: Sequence[float]) -> list[float]:
    """The largest share of all strings that is read right, %, where at most so many % of all are read wrong.

    sure: (n,), how sure each answer is; strings are rejected from the least sure on, those that are equally sure
    together.  right: (n,).
    """
    order = np.argsort(-sure, kind="stable")
    # a threshold lies between different values only
    last = np.append(np.diff(sure[order]) != 0, True)
    reads = 100 * np.cumsum(right[order])[last] / len(right)
    wrongs = 100 * np.cumsum(~right[order])[last] / len(right)
    return [float(reads[wrongs <= limit].max(initial=0.0)) for limit in wrong]
