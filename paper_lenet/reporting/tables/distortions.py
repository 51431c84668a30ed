"""The affine maps fitted to the 100 images of the paper's Fig. 7, and whether our distortions are of the same kind.

Legend: xx, xy, yx, yy, tx, ty as in the fitted maps, target = M (source - 15.5) + 15.5 + t in pixels of the 32x32
image, M = [[xx, xy], [yx, yy]]; sx, sy, h as in data/distortions.py, which has no yx: sx = xx, sy = yy, sx h = xy.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage, optimize, stats

from paper_lenet import paper
from paper_lenet.config import DistortConfig
from paper_lenet.config.studies import Shown
from paper_lenet.data import levels
from paper_lenet.data.distortions import Maps, inverse, warp
from paper_lenet.reporting.formats import Table
from paper_lenet.reporting.results import read_csv
from paper_lenet.reporting.tables.common import Generated, origin
from paper_lenet.runs.environment import ORIGIN

PLACE = ("digit", "column", "mnist_train_index")
FITTED = ("xx", "xy", "yx", "yy", "tx", "ty")
DECIMALS = 6
# of `parameters`, the first are those that our generator draws
DRAWN = 5


def inverse_maps(fitted: pd.DataFrame) -> Maps:
    """The inverse maps (N, 6) of data/distortions.py for fitted maps; exact but for yx, which is taken as zero."""
    sx, xy, sy, tx, ty = (fitted[key].to_numpy(float) for key in ("xx", "xy", "yy", "tx", "ty"))
    return inverse(sx, sy, xy / sx, tx, ty)


def parameters(fitted: pd.DataFrame, centre: float) -> pd.DataFrame:
    """The fitted maps in the parameters that our generator draws; the last two as if it moved after it scaled."""
    sx, sy = fitted["xx"], fitted["yy"]
    down = fitted["ty"] - (1 - sy) * centre
    columns = {
        "inverse scale, 1 / sqrt(sx sy)": 1 / np.sqrt(sx * sy),
        "squeeze, sqrt(sy / sx)": np.sqrt(sy / sx),
        "horizontal shear, h": fitted["xy"] / sx,
        "horizontal translation, px": fitted["tx"] / sx,
        "vertical translation, px": down / sy,
        "horizontal translation after scaling, px": fitted["tx"],
        "vertical translation after scaling, px": down,
    }
    return pd.DataFrame(columns)


def refit(images: NDArray[np.uint8], fitted: pd.DataFrame) -> pd.DataFrame:
    """The six parameters found anew, by least squares, from images that `warp` makes with the fitted maps.

    images: bytes (N, 28, 28), one per fitted map. The search starts at the identity, on blurred images first, and
    samples with scipy by the forward map, so that it shares neither code nor convention with data/distortions.py.
    """
    targets = warp(images, inverse_maps(fitted), paper.INPUT_SIZE, levels(np.float64))
    edge = (paper.INPUT_SIZE - images.shape[1]) // 2
    sources = np.pad(levels(np.float64)[images], ((0, 0), (edge, edge), (edge, edge)), constant_values=paper.BACKGROUND)
    found = [_refit_one(source, target) for source, target in zip(sources, targets, strict=True)]
    # + 0.0 makes a zero of a negative zero
    frame = pd.DataFrame(np.round(found, DECIMALS) + 0.0, columns=list(FITTED))
    return pd.concat([fitted[list(PLACE)].reset_index(drop=True), frame], axis=1)


def _refit_one(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    middle = (paper.INPUT_SIZE - 1) / 2

    def residual(values: NDArray[np.float64], blur: float) -> NDArray[np.float64]:
        xx, xy, yx, yy, tx, ty = values
        # scipy counts rows first and wants the map from target to source
        back = np.linalg.inv(np.array([[yy, yx], [xy, xx]]))
        offset = middle - back @ (middle + np.array([ty, tx]))
        made = ndimage.affine_transform(source, back, offset, order=1, mode="constant", cval=paper.BACKGROUND)
        difference = made - target
        blurred = ndimage.gaussian_filter(difference, blur, mode="constant") if blur else difference
        return np.asarray(blurred, np.float64).ravel()

    values = np.array([1.0, 0, 0, 1, 0, 0])
    for blur in (4, 2, 1, 0):
        fit = optimize.least_squares(residual, values, x_scale=[0.1, 0.1, 0.1, 0.1, 1, 1], args=(blur,))
        values = fit.x
    return values


def distortions(results: Path) -> Table:
    """The parameters of the maps fitted to Fig. 7, beside the ranges that our generator draws from by default.

    results/distortions.csv has what `refit` gave, with the columns of runs.environment.origin.
    """
    path = results / "distortions.csv"
    refitted = read_csv(path, (*PLACE, *FITTED, *ORIGIN))
    fitted, config = paper.fig7(), DistortConfig()
    found = parameters(fitted, config.centre)
    shear, translation = config.shear, config.translation
    spans = [config.inverse_scale, config.squeeze, [-shear, shear], *[[-translation, translation]] * 4]
    rows = []
    for (label, values), (low, high) in zip(found.items(), spans, strict=True):
        outside = int(((values < low) | (values > high)).sum())
        p = float(stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue)
        range_ = f"{_number(values.min())} to {_number(values.max())}"
        rows.append([str(label), range_, f"{_number(low)} to {_number(high)}", str(outside), f"{p:.2f}"])
    header = ["", "fitted to Fig. 7, range", "ours, uniform in", f"outside ours, of {len(fitted)}", "KS p"]
    notes = [
        f"KS p: Kolmogorov-Smirnov test of the {len(fitted)} fitted maps against our uniform distribution, strength 1. "
        "Our ranges were read off these same maps: p says whether the shape is uniform, not whether the ends fit.",
        f"Vertical translation: relative to scaling about {config.centre:g} px below the middle. Ours are drawn in "
        "pixels of the source, before the scaling; the last two rows count them after it, against the same range.",
        _correlation_note(found.iloc[:, :DRAWN]),
        _refit_note(fitted, refitted),
        f"{origin(refitted, 'fits')}; paper_lenet/paper/fig7_distortions.csv and results/distortions.csv, by "
        "experiments/distortions.py.",
    ]
    caption = "Our distortions beside the maps fitted to the paper's Fig. 7."
    statistics = f"Ranges are the smallest and the largest value of n = {len(fitted)} maps; no intervals."
    return Table("distortions", caption, header, rows, notes, statistics)


def _correlation_note(found: pd.DataFrame) -> str:
    pairs = list(itertools.combinations(found.columns, 2))
    tests = [(stats.spearmanr(found[a], found[b]), a, b) for a, b in pairs]
    test, a, b = min(tests, key=lambda entry: float(entry[0].pvalue))
    p = float(test.pvalue)
    return (
        f"Independence: of the {len(pairs)} rank correlations (Spearman) between the first {DRAWN} parameters the "
        f"strongest is {test.statistic:.2f}, of {a.split(',')[0]} and {b.split(',')[0]}, with p = {p:.2f}, or "
        f"{min(1.0, len(pairs) * p):.2f} as the smallest of {len(pairs)} (Bonferroni)."
    )


def _refit_note(fitted: pd.DataFrame, refitted: pd.DataFrame) -> str:
    kept = [key for key in FITTED if key != "yx"]
    error = float(np.abs(fitted[kept].to_numpy() - refitted[kept].to_numpy()).max())
    dropped, digit = fitted["yx"].abs(), fitted["digit"]
    worst = int(digit[dropped == dropped.max()].iloc[0])
    largest_yx = refitted["yx"].abs().max()
    return (
        f"Our generator, given the {len(refitted)} fitted maps, makes images from which least squares, starting at the "
        f"identity, finds xx, xy, yy, tx and ty again with a largest error of {error:.{DECIMALS}f}, and a largest yx "
        f"of {largest_yx:.{DECIMALS}f} (both to {DECIMALS} decimals). Our maps have no yx; in the fitted ones its size "
        f"is {dropped.median():.4f} in the median and {dropped.max():.4f} at most (digit {worst}; "
        f"{dropped[digit != worst].max():.4f} among the other digits)."
    )


def _number(value: float) -> str:
    return f"{value:.3f}"


TABLES = {"distortions": Generated(distortions, ("distortions.csv",), Shown("figures", 3))}
