"""The effective learning rates eps_k of Eq. 21 by layer and pass, measured while a net is trained.

results/rates.csv has for each seed, pass and layer the smallest, the median and the largest over the layer's
parameters, biases and coefficients among them. The paper has the smallest and the largest of the first pass (p. 10).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paper_lenet.config import Config
from paper_lenet.data import load
from paper_lenet.runs.environment import ORIGIN
from paper_lenet.runs.training import engine

RATES = ("min", "median", "max")
COLUMNS = ("name", "dataset", "fingerprint", "seed", "pass", "layer", "eta", *RATES, *ORIGIN)
# Those that learn, in the paper's order.
LAYERS = ("c1", "s2", "c3", "s4", "c5", "f6")
Row = dict[str, Any]


def measure(config: Config, seed: int) -> list[Row]:
    """Train one seed with the configured engine; one row per pass and layer, without ORIGIN.

    Raises NonFiniteError, and DataError where the images cannot be had.
    """
    about = {"name": config.name, "dataset": config.data.name, "fingerprint": config.fingerprint(), "seed": seed}
    rows = []
    for point in engine(config).train(config, load(config.data), seed):
        if point.record is not None:
            for layer, values in by_layer(point.memory).items():
                rates = dict(zip(RATES, values, strict=True))
                rows.append({**about, "pass": point.pass_, "layer": layer, "eta": float(point.record.eta), **rates})
    return rows


def by_layer(memory: Mapping[str, NDArray[Any]]) -> dict[str, tuple[float, float, float]]:
    """Smallest, median and largest step size of each layer, from those of its parameters by name (c1.weight, ...)."""
    found = {}
    for layer in LAYERS:
        rates = np.concatenate([values.ravel() for name, values in memory.items() if name.startswith(f"{layer}.")])
        found[layer] = (float(rates.min()), float(np.median(rates)), float(rates.max()))
    return found
