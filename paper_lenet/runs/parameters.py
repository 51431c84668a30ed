"""What a run's parameters are like: their effective rates in the first pass, and their sizes at the end, by layer.

results/parameters/<name>.csv has for each run and layer the smallest and the largest rate of Eq. 21 over the weights
(or coefficients) and over the biases; of the weights also the root mean square, how unlike the maps are, the extremes.
The command adds how well its maps match those of other networks (recovery/matching.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paper_lenet.config import Config, ConfigError
from paper_lenet.data import load
from paper_lenet.files import read_tensors
from paper_lenet.paper.connections import TABLE_I, pairs
from paper_lenet.runs.environment import ORIGIN
from paper_lenet.runs.training import engine

LAYERS = ("c1", "s2", "c3", "s4", "c5", "f6")
SIZES = ("size", "unlike", "smallest", "largest")
RATES = ("weight_rate_min", "weight_rate_max", "bias_rate_min", "bias_rate_max")
# With the network of 1998, with the other seeds of the configuration, and of its initial weights with that of 1998.
MATCHES = ("match_1998", "match_others", "match_1998_initial")
COLUMNS = ("name", "fingerprint", "seed", "layer", *RATES, *SIZES, *MATCHES, *ORIGIN)
Row = dict[str, Any]
Parameters = Mapping[str, NDArray[Any]]


def measure(config: Config, seed: int, folder: Path) -> list[Row]:
    """The rows of one run of LeNet-5 by layer, without ORIGIN; folder: of its weights.

    The first rates are measured anew, with as much training as comes before the first checkpoint; a run that broke off
    has no sizes. Raises ConfigError for another network or training, and RecordError for weights that cannot be read.
    """
    if config.is_modern() or config.model.name != "lenet5" or config.engine.name == "batched":
        raise ConfigError(f"{folder}: parameters are measured of LeNet-5 and the training of 1998, seed by seed")
    path = folder / "weights.safetensors"
    weights = read_tensors(path)[1] if path.exists() else {}
    first = next(iter(engine(config).train(config, load(config.data), seed))).memory
    about = {"name": config.name, "fingerprint": config.fingerprint(), "seed": seed}
    return [
        {**about, "layer": layer, **rates(first, layer), **(sizes(weights, layer) if weights else {})}
        for layer in LAYERS
    ]


def rates(eps: Parameters, layer: str) -> dict[str, float]:
    """The smallest and the largest of a layer's step sizes, over weights and over biases."""
    found: dict[str, float] = {}
    for kind, name in (("weight", weights_of(layer)), ("bias", f"{layer}.bias")):
        found |= {f"{kind}_rate_min": float(eps[name].min()), f"{kind}_rate_max": float(eps[name].max())}
    return found


def sizes(parameters: Parameters, layer: str) -> dict[str, float]:
    """Root mean square of a layer's weights or coefficients, the smallest and the largest; and how unlike the maps are:
    the standard deviation over the maps of a map's root mean square, divided by its mean."""
    values = parameters[weights_of(layer)].astype(np.float64)
    of_unit = np.array([unit for unit, _ in pairs(TABLE_I)]) if layer == "c3" else np.arange(len(values))
    squares = np.square(values.reshape(len(values), -1)).mean(1)
    by_map = np.sqrt([squares[of_unit == unit].mean() for unit in range(of_unit.max() + 1)])
    return {
        "size": float(np.sqrt(squares.mean())),
        "unlike": float(by_map.std(ddof=1) / by_map.mean()),
        "smallest": float(values.min()),
        "largest": float(values.max()),
    }


def weights_of(layer: str) -> str:
    """The name in the state_dict of a layer's weights or coefficients."""
    return f"{layer}.coefficient" if layer in ("s2", "s4") else f"{layer}.weight"
