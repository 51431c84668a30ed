"""Maximum likelihood of C1 to S4, of the pixels' exact values and of the display, from what Fig. 13 prints.

What is printed of a state is an interval of greys (display.py), without an outer end where it is black or white. The
likelihood of a state is that of lying in it, with a small error granted at its ends. The pixels are known in the same
way, and their values, which all states depend on, are fitted too. Units that see the same pixels are rounded alike:
together they count as one.

Legend: theta the parameters; b = 127.5 (1 - x / r) the grey of a state x, r the display's range; of pixels,
x = FOREGROUND at black, x = BACKGROUND at the grey `white`; mu the damping of Levenberg and Marquardt.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from paper_lenet import paper
from paper_lenet.activations import squash_slope
from paper_lenet.recovery.display import Palette, RecoveryError, first_guess, read_off
from paper_lenet.recovery.front import (
    FEEDS,
    FIELDS,
    LAYERS,
    MAPS,
    PLACES,
    SIZE,
    Map,
    States,
    add_four,
    by_pixels,
    maps_of,
    patches,
    states,
)

MIDDLE = 127.5
CONTRAST = paper.FOREGROUND - paper.BACKGROUND
# The display in the vector of unknowns, behind theta: r and white.
RANGE, WHITE = SIZE, SIZE + 1
UNKNOWNS = SIZE + 2
FIRST_DISPLAY = (1.67, 222.0)
# A step is small when it moves nothing by more than this part of its standard error.
SMALL_STEP = 1e-3
STEPS = 40
# The fits that only find the palettes need not be as good.
ROUGH_STEP, ROUGH_STEPS = 1.0, 8
LARGEST_DAMPING = 1e6
# Softness of the intervals, in greys: while the palettes are not known well, and then.
FIRST_SOFTNESS = (3.0, 1.0)
SOFTNESS = 1.0
# Standard deviation of theta before anything is seen: large, for what the printed states leave open.
PRIOR = 10.0
# Added to the normal equations of the first guess, layer by layer, where too few states are not saturated.
RIDGE = {"c1": 1e-3, "s2": 1e-3, "c3": 1e-2, "s4": 1e-3}

Printed = dict[str, NDArray[np.uint8]]


@dataclass
class Fit:
    """What was found.

    theta: (1716,).  display: r, white.  covariance: of all these, (1718, 1718).  images: (N, 32, 32), the pixels'
    values.  states: of these.  low, high: the printed intervals by map, in greys.  weights: by map, one over the number
    of units that see the same.  palettes: of the images.  steps: of the last fit.
    narrowing: by what the covariance is smaller than the inverse of the curvature (`_Problem.fit`).
    """

    theta: Tensor
    display: Tensor
    covariance: Tensor
    images: Tensor
    states: States
    low: dict[Map, Tensor]
    high: dict[Map, Tensor]
    weights: dict[Map, Tensor]
    palettes: list[Palette]
    steps: int
    narrowing: float

    @property
    def errors(self) -> Tensor:
        """Standard errors of theta."""
        return self.covariance.diagonal()[:SIZE].sqrt()

    def greys(self, key: Map) -> Tensor:
        """The greys that the fit predicts of a map."""
        return to_grey(self.states.x[key], self.display[0])

    def r_squared(self, key: Map) -> float:
        """Part of the variance of a map's printed greys that the fit explains, of intervals with two ends."""
        middle = (self.low[key] + self.high[key]) / 2
        closed = middle.isfinite()
        left = (middle - self.greys(key))[closed].square().sum()
        return float(1 - left / (middle[closed] - middle[closed].mean()).square().sum())

    def error(self, key: Map) -> float:
        """Root mean square error of a map in greys, of intervals with two ends."""
        left = ((self.low[key] + self.high[key]) / 2 - self.greys(key)).square()
        return float(left[left.isfinite()].mean().sqrt())

    def rounding(self, key: Map) -> float:
        """What rounding alone would leave of `error`, were the states spread evenly over their intervals."""
        width = self.high[key] - self.low[key]
        return float((width[width.isfinite()].square().mean() / 12).sqrt())

    def inside(self, key: Map) -> float:
        """Part of the printed states of a map in whose interval the fit's own state lies."""
        b = self.greys(key)
        return float(((b >= self.low[key]) & (b <= self.high[key])).double().mean())


def of_intervals(low: Tensor, high: Tensor, b: Tensor, softness: float) -> tuple[Tensor, Tensor, Tensor]:
    """How likely values b are that are known to lie between low and high, either of which may be infinite.

    softness: standard deviation of the error that is granted at the ends. Returns, of each value, the logarithm of the
    likelihood, its slope by b and the negative of its curvature.
    """
    above, below = (high - b) / softness, (low - b) / softness
    flip = below > 0  # in the other tail both probabilities would be rounded to 1
    outer, inner = torch.where(flip, -below, above), torch.where(flip, -above, below)
    log_outer = torch.special.log_ndtr(outer)
    value = log_outer + torch.log1p(-torch.exp(torch.special.log_ndtr(inner) - log_outer))
    at_high, at_low = (torch.exp(-0.5 * t.square() - 0.5 * math.log(2 * math.pi) - value) for t in (above, below))
    slope = (at_low - at_high) / softness
    moments = torch.where(above.isinf(), 0, above * at_high) - torch.where(below.isinf(), 0, below * at_low)
    return value, slope, slope.square() + moments / softness**2


def to_grey(x: Tensor, r: Tensor) -> Tensor:
    """The grey of a state, before it is rounded."""
    return MIDDLE * (1 - x / r)


def to_state(b: Tensor, r: float) -> Tensor:
    """The state of a grey."""
    return r * (1 - b / MIDDLE)


def recover(printed: Printed) -> Fit:
    """The front of the network whose states these are.

    printed: bytes input (N, 32, 32), c1 (N, 6, 28, 28), s2 (N, 6, 14, 14), c3 (N, 16, 10, 10) and s4 (N, 16, 5, 5).
    Raises RecoveryError for other shapes, for states that are not printed as `display` says, and where the fit does not
    converge.
    """
    _check(printed)
    unknowns = torch.cat([_first_theta(printed), torch.tensor(FIRST_DISPLAY, dtype=torch.float64)])
    palettes = [first_guess(_all_of(printed, i)) for i in range(len(printed["input"]))]
    images = None
    for softness in FIRST_SOFTNESS:
        problem = _Problem(printed, palettes, softness)
        (unknowns, images), _ = problem.solve(unknowns, ROUGH_STEP, ROUGH_STEPS, images)
        palettes = problem.read_off((unknowns, images))
    problem = _Problem(printed, palettes, SOFTNESS)
    values, steps = problem.solve(unknowns, SMALL_STEP, STEPS, images)
    if not _same(problem.read_off(values), palettes):
        raise RecoveryError("the palettes of the printed states do not settle")
    return problem.fit(values, steps)


def _check(printed: Printed) -> None:
    count, side = len(printed["input"]), paper.INPUT_SIZE
    sides = {layer: (side - size) // apart + 1 for layer, (size, apart) in FIELDS.items()}
    shapes = {"input": (count, side, side)} | {n: (count, MAPS[n], sides[n], sides[n]) for n in LAYERS}
    for name, shape in shapes.items():
        if name not in printed:
            raise RecoveryError(f"{name}: no such printed states")
        if printed[name].shape != shape or printed[name].dtype != np.uint8:
            raise RecoveryError(f"{name}: {printed[name].dtype} {printed[name].shape}, not uint8 {shape}")


def _all_of(printed: Printed, image: int) -> NDArray[np.uint8]:
    return np.concatenate([printed[name][image].ravel() for name in ("input", *LAYERS)])


def _same(a: list[Palette], b: list[Palette]) -> bool:
    return all(
        np.array_equal(p.low, q.low, True) and np.array_equal(p.high, q.high, True) for p, q in zip(a, b, strict=True)
    )


def _first_theta(printed: Printed) -> Tensor:
    """Least squares map by map on weighted sums that the printed states give, bytes taken as greys."""
    r, white = FIRST_DISPLAY
    x = {name: to_state(torch.from_numpy(printed[name].astype(float)), r) for name in LAYERS}
    greys = torch.from_numpy(printed["input"].astype(float))
    images = paper.FOREGROUND + (paper.BACKGROUND - paper.FOREGROUND) * (greys / white).clamp(max=1)
    theta = torch.zeros(SIZE, dtype=torch.float64)
    for layer in LAYERS:
        for _, k in maps_of(layer):
            state = x[layer][:, k]
            if layer in ("s2", "s4"):
                inputs = add_four(x[{"s2": "c1", "s4": "c3"}[layer]][:, k])[..., None]
            else:
                maps = [images] if layer == "c1" else [x["s2"][:, i] for i in FEEDS[k]]
                inputs = torch.cat([patches(each) for each in maps], -1)
            inputs = torch.cat([inputs, torch.ones_like(inputs[..., :1])], -1).flatten(0, -2)
            flat = state.flatten()
            inner = flat.abs() < r  # what is saturated says little of its weighted sum
            slope = squash_slope(flat[inner])[:, None]
            a = torch.atanh(flat[inner] / paper.A) / paper.S
            rows = inputs[inner] * slope
            normal = rows.T @ rows + RIDGE[layer] * torch.eye(rows.shape[1], dtype=theta.dtype)
            theta[PLACES[layer, k]] = torch.linalg.solve(normal, rows.T @ (a[:, None] * slope)[:, 0])
    return theta


Values = tuple[Tensor, Tensor]  # the unknowns, and the images


class _Problem:
    """The likelihood under given palettes, and its maximum."""

    def __init__(self, printed: Printed, palettes: list[Palette], softness: float) -> None:
        self.printed, self.palettes, self.softness = printed, palettes, softness
        self.low: dict[Map, Tensor] = {}
        self.high: dict[Map, Tensor] = {}
        for layer in LAYERS:
            ends = [palette.intervals(printed[layer][i]) for i, palette in enumerate(palettes)]
            low, high = (torch.stack(part) for part in zip(*ends, strict=True))
            for key in maps_of(layer):
                self.low[key], self.high[key] = low[:, key[1]], high[:, key[1]]
        counts = {layer: _alike(printed["input"], *FIELDS[layer]) for layer in LAYERS}
        self.weights = {key: 1 / counts[key[0]] for key in self.low}
        ends = [palette.intervals(printed["input"][i]) for i, palette in enumerate(palettes)]
        low, high = (torch.stack(part) for part in zip(*ends, strict=True))
        white = torch.from_numpy(np.stack([image == image.max() for image in printed["input"]]))
        self.pixel_low, self.pixel_high = low.clamp(min=0), high  # there is no more ink than at 0
        self.pixels = [torch.nonzero(~each.flatten()).flatten() for each in white]

    def images_of(self, unknowns: Tensor) -> Tensor:
        """The pixels' values if each were in the middle of its interval; the background exactly."""
        images = torch.full(self.pixel_low.shape, paper.BACKGROUND, dtype=unknowns.dtype)
        middle = (self.pixel_low + self.pixel_high) / 2
        for i, pixels in enumerate(self.pixels):
            darker = middle[i].flatten()[pixels] / unknowns[WHITE]
            images[i].view(-1)[pixels] = paper.FOREGROUND - CONTRAST * darker
        return images

    def _pixel_terms(self, values: Values, i: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """As `of_intervals`, of the pixels of an image; and the derivatives of their greys by value and by `white`."""
        unknowns, images = values
        low, high = (ends[i].flatten()[self.pixels[i]] for ends in (self.pixel_low, self.pixel_high))
        ink = (paper.FOREGROUND - images[i].flatten()[self.pixels[i]]) / CONTRAST
        b = unknowns[WHITE] * ink
        value, slope, curvature = of_intervals(low, high, b, self.softness)
        # Some pixels are seen by saturated units alone.
        apart, weak = b - (low + high) / 2, 1 / (high - low).square()
        value, slope, curvature = value - 0.5 * weak * apart.square(), slope - weak * apart, curvature + weak
        return value, slope, curvature, (-unknowns[WHITE] / CONTRAST).expand_as(b), ink

    def solve(self, unknowns: Tensor, small: float, steps: int, images: Tensor | None = None) -> tuple[Values, int]:
        """Damped Newton steps, with the slopes of the states alone, until they are small. Raises RecoveryError."""
        values = unknowns.clone(), self.images_of(unknowns) if images is None else images.clone()
        mu, value = 1e-6, self.likelihood(values)
        for number in range(1, steps + 1):
            system = self._system(values)
            while True:
                step = system.step(mu)
                tried = self._moved(values, system, step)
                after = self.likelihood(tried)
                if after >= value - 1e-9 * abs(value):
                    break
                mu = max(10 * mu, 1e-8)
                if mu > LARGEST_DAMPING:
                    raise RecoveryError(f"the fit does not converge: step {number} leads nowhere")
            values, value, mu = tried, after, mu / 10
            # No unknown moves by more of its standard error than the step as a whole.
            if float(step @ system.reduced[1]) < small**2:
                return values, number
        if small < ROUGH_STEP:
            raise RecoveryError(f"the fit does not converge in {steps} steps")
        return values, steps

    def likelihood(self, values: Values) -> float:
        """The logarithm, up to a constant."""
        unknowns, images = values
        x = states(unknowns[:SIZE], images).x
        total = sum(float((self.weights[k] * self._terms(k, to_grey(x[k], unknowns[RANGE]))[0]).sum()) for k in x)
        total -= 0.5 * float((unknowns[:SIZE] / PRIOR).square().sum())
        for i in range(len(images)):
            total += float(self._pixel_terms(values, i)[0].sum())
        return total

    def _terms(self, key: Map, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `of_intervals`, of each state of a map."""
        return of_intervals(self.low[key], self.high[key], b, self.softness)

    def _system(self, values: Values) -> _System:
        unknowns, images = values
        r = unknowns[RANGE]
        found = states(unknowns[:SIZE], images, with_tangents=True)
        normal = torch.zeros(UNKNOWNS, UNKNOWNS, dtype=unknowns.dtype)
        gradient = torch.zeros(UNKNOWNS, dtype=unknowns.dtype)
        normal.diagonal()[:SIZE] += 1 / PRIOR**2
        gradient[:SIZE] -= unknowns[:SIZE] / PRIOR**2
        slopes, curvatures, by_unknowns, columns = {}, {}, {}, {}
        for key, x in found.x.items():
            _, slope, curvature = self._terms(key, to_grey(x, r))
            slopes[key], curvatures[key] = self.weights[key] * slope, self.weights[key] * curvature
            by_unknowns[key] = torch.cat([-MIDDLE / r * found.tangents[key], (MIDDLE * x / r**2)[None]])
            columns[key] = torch.cat([found.columns[key], torch.tensor([RANGE])])
            flat, at = by_unknowns[key].flatten(1), columns[key]
            gradient[at] += flat @ slopes[key].flatten()
            normal[at[:, None], at[None]] += (flat * curvatures[key].flatten()) @ flat.T
        of_pixels = []
        for i, pixels in enumerate(self.pixels):
            of_image = by_pixels(unknowns[:SIZE], {key: x[i] for key, x in found.x.items()}, pixels, images.shape[-1])
            _, slope, curvature, by_grey, by_white = self._pixel_terms(values, i)
            own, own_gradient = torch.diag(curvature * by_grey**2), slope * by_grey
            cross = torch.zeros(UNKNOWNS, len(pixels), dtype=unknowns.dtype)
            for key, tangent in of_image.items():
                flat = -MIDDLE / r * tangent.flatten(1)
                weighted = flat * curvatures[key][i].flatten()
                own_gradient = own_gradient + flat @ slopes[key][i].flatten()
                own = own + weighted @ flat.T
                cross[columns[key]] += by_unknowns[key][:, i].flatten(1) @ weighted.T
            cross[WHITE] += curvature * by_white * by_grey
            gradient[WHITE] += slope @ by_white
            normal[WHITE, WHITE] += curvature @ by_white.square()
            of_pixels.append((own, own_gradient, cross))
        return _System(normal, gradient, of_pixels)

    def _moved(self, values: Values, system: _System, step: Tensor) -> Values:
        unknowns, images = values[0] + step, values[1].clone()
        for i, (own, gradient, cross) in enumerate(system.of_pixels):
            images[i].view(-1)[self.pixels[i]] += torch.linalg.solve(own, gradient - cross.T @ step)
        return unknowns, images

    def read_off(self, values: Values) -> list[Palette]:
        """The palettes under which these values predict what is printed."""
        unknowns, images = values
        x = states(unknowns[:SIZE], images).x
        found = []
        for i in range(len(images)):
            greys = torch.cat([to_grey(x[key][i], unknowns[RANGE]).flatten() for key in x]).numpy()
            found.append(read_off(np.concatenate([self.printed[key[0]][i, key[1]].ravel() for key in x]), greys))
        return found

    def fit(self, values: Values, steps: int) -> Fit:
        """What was found, with the covariance of the unknowns.

        The inverse of the curvature would be it if the errors had the softness that the likelihood grants. Rounding
        alone has none: the slopes vary less than the curvature says, by a factor that all states together tell.
        """
        unknowns, images = values
        theta = unknowns[:SIZE]
        found = states(theta, images)
        slopes, curvatures = 0.0, 0.0
        for key, x in found.x.items():
            _, slope, curvature = self._terms(key, to_grey(x, unknowns[RANGE]))
            slopes += float((self.weights[key] * slope.square()).sum())
            curvatures += float((self.weights[key] * curvature).sum())
        narrowing = slopes / curvatures
        covariance = narrowing * torch.linalg.inv(self._system(values).reduced[0])
        ends = self.low, self.high, self.weights
        return Fit(theta, unknowns[SIZE:], covariance, images, found, *ends, self.palettes, steps, narrowing)


@dataclass
class _System:
    """Normal equations of the unknowns, and of each image's pixels: their own, their gradient and the mixed ones."""

    normal: Tensor
    gradient: Tensor
    of_pixels: list[tuple[Tensor, Tensor, Tensor]]

    @cached_property
    def reduced(self) -> tuple[Tensor, Tensor]:
        """The equations of the unknowns once the pixels are eliminated, and their gradient."""
        normal, gradient = self.normal.clone(), self.gradient.clone()
        for own, own_gradient, cross in self.of_pixels:
            factor = torch.linalg.cholesky(own)
            half = torch.linalg.solve_triangular(factor, cross.T, upper=False)
            normal -= half.T @ half
            gradient -= half.T @ torch.linalg.solve_triangular(factor, own_gradient[:, None], upper=False)[:, 0]
        return normal, gradient

    def step(self, mu: float) -> Tensor:
        """The damped step of the unknowns. Raises RecoveryError where the states do not determine them."""
        normal, gradient = self.reduced
        factor, wrong = torch.linalg.cholesky_ex(normal + mu * torch.diag(normal.diagonal()))
        if wrong:
            raise RecoveryError("the printed states do not determine all parameters")
        return torch.cholesky_solve(gradient[:, None], factor)[:, 0]


def _alike(printed: NDArray[np.uint8], size: int, apart: int) -> Tensor:
    """Of each unit that sees size x size pixels: how many units see the same, (N, height, width)."""
    windows = np.lib.stride_tricks.sliding_window_view(printed, (size, size), axis=(1, 2))[:, ::apart, ::apart]
    _, which, counts = np.unique(windows.reshape(-1, size * size), axis=0, return_inverse=True, return_counts=True)
    return torch.from_numpy(counts[which.reshape(-1)].astype(float)).view(windows.shape[:3])
