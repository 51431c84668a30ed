"""Whether the recovery finds a known network again from its states, printed as Fig. 13 prints."""

from __future__ import annotations

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from paper_lenet.recovery.display import printed_as
from paper_lenet.recovery.fit import Fit, Printed, to_grey
from paper_lenet.recovery.front import LAYERS, PLACES, maps_of, states


def printed_like(fit: Fit, theta: Tensor, inputs: Printed) -> Printed:
    """The states of another front for the images of a fit, printed with its display and its palettes.

    inputs: the printed pixels are taken from there, since they are what the fit's images were rounded to.
    """
    x = states(theta, fit.images).x
    made: Printed = {"input": inputs["input"]}
    for layer in LAYERS:
        greys = torch.stack([to_grey(x[key], fit.display[0]) for key in maps_of(layer)], 1).numpy()
        made[layer] = np.stack([printed_as(b, p) for b, p in zip(greys, fit.palettes, strict=True)])
    return made


def coverage(fit: Fit, truth: Tensor, level: float = 0.95) -> dict[str, tuple[int, float]]:
    """Of each layer, and of `all`: how many parameters, and the part whose interval of that level holds the truth."""
    width = float(stats.norm.ppf((1 + level) / 2))
    holds = ((fit.theta - truth).abs() <= width * fit.errors).double()
    parts = {layer: torch.cat([holds[PLACES[key]] for key in maps_of(layer)]) for layer in LAYERS} | {"all": holds}
    return {name: (len(part), float(part.mean())) for name, part in parts.items()}
