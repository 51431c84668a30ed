"""`data.windows.pixels`, compiled: windows to the grey values of the fused engine's input, made on the fly."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, error_model="numpy")
def window(images, flanks, shifts, blank, start, threshold, chosen, levels, side, stride, out):  # type: ignore[no-untyped-def]
    """Writes the chosen windows one after the other into the flat array out, `side` rows of `stride` each.

    images, chosen: as in `Patterns`.  flanks, shifts, blank, start, threshold: of `Windows`.  levels: (256,), their
    type is that of all grey values.
    """
    count, size = len(images), images.shape[1]
    edge = (side - size) // 2
    inside = np.empty((side, side), np.uint8)
    for n in range(len(chosen)):
        k = chosen[n]
        here = out[n * side * stride : (n + 1) * side * stride].reshape(side, stride)
        inside[:] = 0
        if not blank[k]:
            inside[edge : edge + size, edge : edge + size] = images[k % count]
        for of in range(2):
            flank = images[flanks[k, of]]
            to = edge + shifts[k, of]  # the column of the window that the flank's first one falls on
            first, last = max(0, to), min(side, to + size)
            for r in range(size):
                for c in range(first, last):
                    inside[edge + r, c] = max(inside[edge + r, c], flank[r, c - to])
        base = start + k * side * side
        for r in range(side):
            for c in range(side):
                # as generators.hashed
                x = np.uint32(base + r * side + c)
                x = np.uint32((x ^ (x >> np.uint32(16))) * np.uint32(0x85EBCA6B))
                x = np.uint32((x ^ (x >> np.uint32(13))) * np.uint32(0xC2B2AE35))
                x = x ^ (x >> np.uint32(16))
                value = inside[r, c]
                here[r, c] = levels[255 - value if x < threshold else value]
