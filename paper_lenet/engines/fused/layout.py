"""Parameters in one flat array, in areas that begin on a whole vector."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from paper_lenet.engines.fused.vectors import LANES

Array = NDArray[Any]


def padded(n: int) -> int:
    """The next multiple of a vector's length."""
    return -(-n // LANES) * LANES


def aligned(size: int, dtype: Any) -> Array:
    """Zeros that begin on a cache line, with a vector to spare at the end."""
    raw = np.zeros(size + 64 + LANES, dtype)
    start = -raw.ctypes.data % 64 // raw.itemsize
    return raw[start : start + size + LANES]


def at_least(size: int, array: Array) -> Array:
    """The array, or where it is shorter one of that size, as `aligned`."""
    return array if len(array) >= size + LANES else aligned(size, array.dtype)


class FlatLayout:
    """Where each parameter of a network lies in the flat array of the kernels.

    at: first position of each parameter's area.  size: length of the flat array.
    places: for each name in the state_dict an int64 array of the parameter's shape, its positions.
    """

    def __init__(self, areas: dict[str, int], inner: dict[str, Array]) -> None:
        """areas: the length of each.  inner: positions of each parameter, counted from the start of its area."""
        self.at: dict[str, int] = {}
        end = 0
        for name, length in areas.items():
            self.at[name] = end
            end += padded(length)
        self.size = end
        self.places = {name: self.at[name] + positions for name, positions in inner.items()}

    def pack(self, values: dict[str, Array], dtype: Any) -> Array:
        """A flat array with the named values in their places and 0 elsewhere."""
        flat = aligned(self.size, dtype)
        for name, where in self.places.items():
            flat[where] = values[name]
        return flat

    def unpack(self, flat: Array) -> dict[str, Array]:
        """The named values of a flat array, in the state_dict's shapes."""
        return {name: flat[where] for name, where in self.places.items()}
