"""The classifiers of Figs. 9 to 12, each with what it is given, what makes it and what had to be chosen for it.

A name is that of `paper/fig9_to_12_classifiers.csv`; what the paper does not give was chosen on 5,000 images held out
of the training set, from `candidates`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np

from paper_lenet.classifiers.expansions import quadratic, rbf
from paper_lenet.classifiers.fitted import Fitted, Values
from paper_lenet.classifiers.linear import linear, pairwise
from paper_lenet.classifiers.local import local
from paper_lenet.classifiers.neighbours import euclidean
from paper_lenet.classifiers.svm import polynomial, reduced, virtual
from paper_lenet.classifiers.tangent import tangent
from paper_lenet.data import Images


@dataclass(frozen=True)
class System:
    """One classifier.

    version: of the images, as DataConfig.version.  fit: (images, labels, seed, **settings) -> Fitted; None for a
        network, which `change`, a file of conf/change/comparison, trains.
    settings: what was chosen, or the paper gives.  candidates: what was tried for each of the chosen ones.
    layer: of that network; what its states are given to, `fit`, takes the place of all that is above it (D21).
    boosted: whether two more of that network are trained on what the first gets wrong.
    seeds: how many times it is fitted; one where nothing is left to chance.
    flat: whether images are rows of features, (N, pixels).
    also: beside the classifier of that name, a row of its own: how it differs.
    explains: whether that is a guess at what the paper did, put to the test.
    first: how many test images it is shown, the first ones, where all would take too long.
    """

    name: str
    version: str = "regular"
    fit: Callable[..., Fitted] | None = None
    change: str = ""
    layer: str = ""
    boosted: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    candidates: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    seeds: int = 1
    flat: bool = True
    also: str = ""
    explains: bool = False
    first: int | None = None

    @property
    def key(self) -> str:
        """What tells it from all others."""
        return f"{self.name}, {self.also}" if self.also else self.name

    def images(self, images: Images) -> Values:
        """What `fit` and its scores take, from bytes of its version (N, side, side)."""
        values = (images / np.float32(255)).astype(np.float32)
        return values.reshape(len(values), -1) if self.flat else values

    def choices(self) -> list[dict[str, Any]]:
        """Every combination of the candidates, with the settings that are given."""
        names = list(self.candidates)
        return [{**self.settings, **dict(zip(names, each, strict=True))} for each in product(*self.candidates.values())]


def _network(name: str, change: str, version: str = "regular") -> System:
    return System(name, version, change=change)


# Guesses at what the paper did.
BLACK_AND_WHITE, BOXED = "black and white", "black and white, box in the middle"
PRINTED, FULLY = "initial weights as printed", "as far as in Fig. 7"
DISCRIMINATIVE, LONGER = "trained by Eq. 9", "three times as long"


def _guess(name: str, version: str, fit: Callable[..., Fitted], also: str = BLACK_AND_WHITE, **settings: Any) -> System:
    return System(name, version, fit, settings=settings, also=also, explains=True)


def _guessed_net(name: str, change: str, also: str, version: str = "regular") -> System:
    return System(name, version, change=change, also=also, explains=True)


_SQUASHED = {"squashed": (False, True)}

SYSTEMS = [
    System("linear", fit=linear, settings={"squashed": True}, candidates=_SQUASHED),
    System("linear", fit=linear, also="sums not squashed"),
    _guess("linear", "binary", linear, squashed=True),
    System("deslant linear", "deslanted", linear, settings={"squashed": True}, candidates=_SQUASHED),
    System("deslant linear", "deslanted", linear, also="sums not squashed"),
    _guess("deslant linear", "deslanted-binary", linear, squashed=True),
    System("pairwise linear", fit=pairwise, settings={"rule": "squashed"}),
    System("pairwise linear", fit=pairwise, settings={"rule": "sum"}, also="sums not squashed"),
    _guess("pairwise linear", "regular", pairwise, "by votes", rule="vote"),
    _guess("pairwise linear", "binary", pairwise, rule="squashed"),
    System("knn euclidean", fit=euclidean, settings={"k": 3}, candidates={"k": (1, 3, 5, 7)}),
    _guess("knn euclidean", "binary", euclidean, k=3),
    _guess("knn euclidean", "boxed-binary", euclidean, BOXED, k=3),
    System("deslant knn euclidean", "deslanted", euclidean, settings={"k": 3}),
    _guess("deslant knn euclidean", "deslanted-binary", euclidean, k=3),
    System("40 pca + quadratic", fit=quadratic, settings={"squashed": True}, candidates=_SQUASHED),
    System("40 pca + quadratic", fit=quadratic, also="sums not squashed"),
    _guess("40 pca + quadratic", "binary", quadratic, squashed=True),
    System("1000 rbf + linear", fit=rbf, settings={"width": 1.0, "ridge": 1e-8},
           candidates={"width": (0.5, 1.0, 2.0, 4.0), "ridge": (1e-8, 1e-6, 1e-4)}, seeds=3),
    _guess("1000 rbf + linear", "binary", rbf, width=1.0, ridge=1e-8),
    System("16x16 tangent distance", "small", tangent, settings={"k": 1, "smoothing": 0.5},
           candidates={"k": (1, 3), "smoothing": (0.25, 0.5, 0.75, 1.0)}, flat=False),
    System("16x16 tangent distance", "small", tangent, settings={"k": 1, "smoothing": 0.5, "prefiltered": 60_000},
           flat=False, also="no prefilter, 500 images", first=500),
    System("svm poly 4", "deslanted", polynomial, settings={"degree": 4, "cost": 1.0},
           candidates={"cost": (1.0, 10.0, 100.0)}),
    System("rs-svm poly 5", fit=reduced, settings={"degree": 5, "cost": 1.0}),
    System("dist v-svm poly 9", fit=virtual, settings={"degree": 9, "cost": 1.0}),
    _network("deslant 20x20-300-10", "mlp-300-deslanted", "deslanted"),
    *(_network(prefix + "28x28-" + shape + "-10", f"mlp-{shape}{suffix}") for shape in ("300", "1000", "300-100",
      "500-150") for prefix, suffix in (("", ""), ("dist ", "-distorted"))),
    *(_guessed_net(f"28x28-{shape}-10", f"mlp-{shape}-printed", PRINTED) for shape in ("300", "1000", "300-100",
      "500-150")),
    _guessed_net("dist 28x28-300-100-10", "mlp-300-100-distorted-printed", PRINTED),
    *(_guessed_net(f"28x28-{shape}-10", f"mlp-{shape}-binary", BLACK_AND_WHITE, "binary") for shape in ("300", "1000",
      "300-100", "500-150")),
    *(_guessed_net(f"dist 28x28-{shape}-10", f"mlp-{shape}-distorted-fully", FULLY) for shape in ("300", "1000",
      "300-100", "500-150")),
    _guessed_net("deslant 20x20-300-10", "mlp-300-deslanted-binary", BLACK_AND_WHITE, "deslanted-binary"),
    _guessed_net("deslant 20x20-300-10", "mlp-300-deslanted-eq9", DISCRIMINATIVE, "deslanted"),
    _guessed_net("deslant 20x20-300-10", "mlp-300-deslanted-longer", LONGER, "deslanted"),
    _network("16x16 lenet-1", "lenet1", "small"),
    _network("lenet-4", "lenet4"),
    System("lenet-4 / local", fit=local, change="lenet4", layer="c5", settings={"k": 200, "ridge": 0.1},
           candidates={"k": (50, 200, 800), "ridge": (0.01, 0.1, 1.0)}),
    System("lenet-4 / k-nn", fit=euclidean, change="lenet4", layer="c5", settings={"k": 3},
           candidates={"k": (1, 3, 5, 7)}),
    System("lenet-4 / k-nn", fit=euclidean, change="lenet4", layer="s4", settings={"k": 3}, also="on the states of S4",
           explains=True),
    _network("lenet-5", "lenet5"),
    _network("dist lenet-5", "lenet5-distorted"),
    System("dist boosted lenet-4", change="lenet4-distorted", boosted=True),
    System("dist boosted lenet-4", change="lenet4-distorted", also="the first network alone"),
]  # fmt: skip
