"""`Patterns.grey`, compiled: images of bytes to the grey values of the fused engine's input, distorted on the fly.

Compiled code cannot call `distortions.bilinear`, which is PyTorch's: tests/test_distortions.py holds them together.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit


@njit(cache=True, error_model="numpy")
def grey(images, maps, fields, pairs, chosen, levels, side, stride, out):  # type: ignore[no-untyped-def]
    """Writes the chosen patterns one after the other into the flat array out, `side` rows of `stride` each.

    images, maps, chosen: as in `Patterns`.  fields, pairs: of its `elastic`.  levels: (256,), their type is that of all
    grey values.
    """
    number = levels.dtype.type
    count, size = len(images), images.shape[1]
    edge = (side - size) // 2
    background, middle = levels[0], (side - 1) / 2
    step = (levels[255] - levels[0]) / number(255)
    zero, one, last = number(0), number(1), number(side)
    # The image with one row of nothing above and below; one row blended from two of its rows, with a pixel of nothing
    # on each side. Two views and unsigned indices, so that the loop over columns becomes vectors with gathers.
    source = np.zeros((size + 2, size), levels.dtype)
    row = np.zeros(side + 3, levels.dtype)
    left, right = row[:-1], row[1:]
    columns = np.arange(side).astype(levels.dtype)
    inner = row[edge + 1 : edge + 1 + size]
    # For what is turned or displaced, where no row of the source serves a whole line: the image with nothing around it,
    # and the four pixels from each position on. At the last position further pixels are read and count nothing.
    width = size + 3
    whole = np.zeros((width, width), levels.dtype)
    flat = whole.reshape(-1)
    corner, beside, below, across = flat[: -width - 1], flat[1:-width], flat[width:-1], flat[width + 1 :]
    end = number(size + 1)
    moving, margin = len(fields) > 0, (fields.shape[1] - side) // 2
    along_x = along_y = np.zeros(side, fields.dtype)
    for n in range(len(chosen)):
        image = images[chosen[n] % count]
        here = out[n * side * stride : (n + 1) * side * stride].reshape(side, stride)
        if chosen[n] < count:
            here[:, :side] = background
            for r in range(size):
                for c in range(size):
                    here[edge + r, edge + c] = levels[image[r, c]]
            continue
        a, b, c0, d, e, f = maps[chosen[n] - count]
        slope = number(a)
        if moving or f != 0:
            for r in range(size):
                for c in range(size):
                    whole[r + 1, c + 1] = number(image[r, c])
            down = number(f)
            for r in range(side):
                start = number(b * (r - middle) + c0 - a * middle + middle - edge + 1)
                height = number(d * (r - middle) + e - f * middle + middle - edge + 1)
                line = here[r, :side]
                if moving:
                    of_x, of_y = pairs[chosen[n] - count]
                    along_x = fields[of_x, margin + r, margin : margin + side]
                    along_y = fields[of_y, margin + r, margin : margin + side]
                for c in range(side):
                    x = min(max(start + slope * columns[c] + number(along_x[c]), zero), end)
                    y = min(max(height + down * columns[c] + number(along_y[c]), zero), end)
                    k, m = np.uint32(x), np.uint32(y)
                    x, y, k = x - number(k), y - number(m), np.uint32(m * np.uint32(width) + k)
                    upper = corner[k] + x * (beside[k] - corner[k])
                    lower = below[k] + x * (across[k] - below[k])
                    line[c] = background + step * (upper + y * (lower - upper))
            continue
        for r in range(size):
            for c in range(size):
                source[r + 1, c] = number(image[r, c])
        for r in range(side):
            # of the source's rows, 0 being the one of nothing above
            y = min(max(d * (r - middle) + e + middle - edge + 1, 0.0), float(size + 1))
            above = min(math.floor(y), size)
            part = number(y - above)
            upper, lower = source[above], source[above + 1]
            for c in range(size):
                inner[c] = upper[c] + part * (lower[c] - upper[c])
            start = number(b * (r - middle) + c0 - a * middle + middle + 1)
            line = here[r, :side]
            for c in range(side):
                x = min(max(start + slope * columns[c], zero), last + one)
                k = np.uint32(x)
                line[c] = background + step * (left[k] + (x - number(k)) * (right[k] - left[k]))
