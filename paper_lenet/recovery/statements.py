"""What the printed states say of the paper's own statements: other forms of a layer, other tables, another picture.

Each is asked of one layer at a time, whose inputs are the states that the fit found below it. Errors are in greys, of
255; rounding alone leaves what `Fit.rounding` says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import optimize, stats
from torch import Tensor

from paper_lenet import paper
from paper_lenet.activations import squash, squash_slope
from paper_lenet.recovery.display import first_guess, read_off
from paper_lenet.recovery.fit import CONTRAST, MIDDLE, PRIOR, SOFTNESS, Fit, of_intervals, to_grey
from paper_lenet.recovery.front import FEEDS, FIELDS, MAPS, PLACES, WEIGHTS, Map, add_four, maps_of, patches, states

Values = NDArray[np.float64]
# Forms of a subsampling layer: what of the four inputs goes in, and what a weighted sum becomes.
POOLED: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Values], Values]]] = {
    "sum, coefficient, bias, squashed": (add_four, lambda a: _squashed(a)),
    "sum, coefficient, bias, not squashed": (add_four, lambda a: a),
    "sum, coefficient, bias, ReLU": (add_four, lambda a: np.maximum(a, 0)),
    "largest, coefficient, bias, squashed": (lambda x: _largest(x), lambda a: _squashed(a)),
}
AVERAGE = "average alone"
# Forms of f, each of slope 1 and amplitude 1.
SQUASHED: dict[str, Callable[[Values], Values]] = {
    "A tanh(S a)": np.tanh,
    "arctangent": lambda a: np.arctan(np.pi / 2 * a) / (np.pi / 2),
    "a / (1 + |a|)": lambda a: a / (1 + np.abs(a)),
    "linear between limits": lambda a: np.clip(a, -1, 1),
    "ReLU": lambda a: np.maximum(a, 0),
}
# So many Newton steps settle a regression that begins at the fit.
STEPS = 30


def subsampling(fit: Fit) -> Iterator[tuple[str, str, float]]:
    """Form, layer, and the root mean square error of that form of S2 or S4, over its maps, each fitted anew."""
    for layer, below in (("s2", "c1"), ("s4", "c3")):
        for form, (pool, then) in POOLED.items():
            pooled = {key: pool(fit.states.x[below, key[1]]) for key in maps_of(layer)}
            yield form, layer, _rms([_left_over(fit, key, inputs, then) for key, inputs in pooled.items()])
        errors = []
        for key in maps_of(layer):
            middle, closed = _middle(fit, key)
            average = add_four(fit.states.x[below, key[1]]) / 4
            errors.append((middle - to_grey(average, fit.display[0]))[closed].numpy())
        yield AVERAGE, layer, _rms(errors)


def squashing(fit: Fit) -> Iterator[tuple[str, str, float]]:
    """Form of f, `c1`, and its root mean square error over C1's maps, kernels and amplitude fitted anew."""
    seen = patches(fit.images).numpy()
    for form, shape in SQUASHED.items():
        errors = []
        for key in maps_of("c1"):
            middle, closed = _middle(fit, key)
            # what sees the same pixels is told once
            chosen = (closed & (fit.weights[key] == 1)).numpy()
            inputs = np.concatenate([seen[chosen], np.ones((chosen.sum(), 1))], 1)
            start = np.array([*(fit.theta[PLACES[key]].numpy() * paper.S), paper.A])
            errors.append(_reshaped(shape, inputs, _states(fit, middle.numpy()[chosen]), start) * _scale(fit))
        yield form, "c1", _rms(errors)


def free_table(fit: Fit) -> Iterator[tuple[int, int, float, float]]:
    """Map of S2, map of C3, root mean square of the kernel between them where all 96 are free, and Wald's p of none."""
    inputs = torch.cat([patches(fit.states.x["s2", i]) for i in range(MAPS["s2"])], -1).flatten(0, -2)
    inputs = torch.cat([inputs, torch.ones_like(inputs[:, :1])], 1)
    for key in maps_of("c3"):
        low, high, weights = (part[key].flatten() for part in (fit.low, fit.high, fit.weights))
        w = torch.zeros(inputs.shape[1], dtype=inputs.dtype)
        own = fit.theta[PLACES[key]]
        for place, i in enumerate(FEEDS[key[1]]):
            w[WEIGHTS * i : WEIGHTS * (i + 1)] = own[WEIGHTS * place : WEIGHTS * (place + 1)]
        w[-1] = own[-1]
        scale = MIDDLE / fit.display[0]
        for _ in range(STEPS):
            x = squash(inputs @ w)
            _, slope, curvature = of_intervals(low, high, to_grey(x, fit.display[0]), SOFTNESS)
            rows = -scale * squash_slope(x)[:, None] * inputs
            normal = (rows * (weights * curvature)[:, None]).T @ rows + torch.eye(len(w), dtype=w.dtype) / PRIOR**2
            step = torch.linalg.solve(normal, rows.T @ (weights * slope) - w / PRIOR**2)
            w = w + step
        covariance = fit.narrowing * torch.linalg.inv(normal)
        for i in range(MAPS["s2"]):
            part = slice(WEIGHTS * i, WEIGHTS * (i + 1))
            wald = float(w[part] @ torch.linalg.solve(covariance[part, part], w[part]))
            yield i, key[1], float(w[part].square().mean().sqrt()), float(stats.chi2.sf(wald, WEIGHTS))


def fig25(fit: Fit, printed: dict[str, NDArray[np.uint8]]) -> Iterator[tuple[Map, float, float]]:
    """Of each map of C1 and C3 in Fig. 25: the root mean square error of the states that the fit predicts for it, and
    the standard deviation of what is printed, in greys; units alone whose inputs are all printed.

    printed: fig25_input (32, 52), the middle columns of a picture of 64, fig25_c1 (6, 28, 60), fig25_c3 (16, 10, 26).
    """
    image = printed["fig25_input"]
    edge = (printed["fig25_c1"].shape[-1] + 4 - image.shape[1]) // 2
    white = np.bincount(image.ravel()).argmax()
    palette = first_guess(np.concatenate([printed[name].ravel() for name in ("fig25_input", "fig25_c1", "fig25_c3")]))
    known: dict[Map, tuple[Values, NDArray[np.uint8]]] = {}
    for _ in range(2):  # the second time with the palette that the first one tells
        middle = (np.maximum(palette.low, 0) + np.minimum(palette.high, 255))[image] / 2
        pixels = np.where(
            image == white, paper.BACKGROUND, paper.FOREGROUND - CONTRAST * middle / float(fit.display[1])
        )
        x = states(fit.theta, torch.from_numpy(pixels)[None]).x
        for layer in ("c1", "c3"):
            size, apart = FIELDS[layer]
            first = -(-edge // apart)
            for key in maps_of(layer):
                # A map of the printed part alone; its first unit that counts is the one at `first` of the whole map.
                whole = x[key][0]
                skip = (first * apart - edge) // apart
                count = (image.shape[1] - size - (first * apart - edge)) // apart + 1
                b = to_grey(whole[:, skip : skip + count], fit.display[0])
                known[key] = b.numpy(), printed[f"fig25_{layer}"][key[1]][:, first : first + count]
        shown = np.concatenate([of_map.ravel() for _, of_map in known.values()])
        palette = read_off(shown, np.concatenate([b.ravel() for b, _ in known.values()]))
    for key, (predicted, of_map) in known.items():
        told = palette.middles()[of_map]
        yield key, float(np.sqrt(np.mean((np.clip(predicted, 0, 255) - told) ** 2))), float(told.std())


def _middle(fit: Fit, key: Map) -> tuple[Tensor, Tensor]:
    middle = (fit.low[key] + fit.high[key]) / 2
    return middle, middle.isfinite()


def _scale(fit: Fit) -> float:
    """Greys for a state of 1."""
    return MIDDLE / float(fit.display[0])


def _states(fit: Fit, greys: Values) -> Values:
    return (MIDDLE - greys) / _scale(fit)


def _left_over(fit: Fit, key: Map, pooled: Tensor, then: Callable[[Values], Values]) -> Values:
    """What the best coefficient and bias leave over of a map, in greys."""
    middle, closed = _middle(fit, key)
    inputs, x = pooled[closed].numpy(), _states(fit, middle[closed].numpy())

    def residual(p: Values) -> Values:
        return np.asarray(then(p[0] * inputs + p[1]) - x)

    return np.asarray(optimize.least_squares(residual, fit.theta[PLACES[key]].numpy()).fun) * _scale(fit)


def _reshaped(shape: Callable[[Values], Values], inputs: Values, x: Values, start: Values) -> Values:
    """What the best kernel, bias and amplitude leave over of a map under another form of f, as states."""

    def residual(p: Values) -> Values:
        return np.asarray(p[-1] * shape(inputs @ p[:-1]) - x)

    return np.asarray(optimize.least_squares(residual, start, method="lm", max_nfev=1500).fun)


def _largest(x: Tensor) -> Tensor:
    return torch.nn.functional.max_pool2d(x[:, None], 2)[:, 0]


def _squashed(a: Values) -> Values:
    return np.asarray(paper.A * np.tanh(paper.S * a))


def _rms(errors: list[Values]) -> float:
    return float(np.sqrt(np.mean(np.concatenate([each.ravel() for each in errors]) ** 2)))
