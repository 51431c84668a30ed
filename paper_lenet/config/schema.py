"""The schema of every configuration: dataclasses that check their own ranges.

Nothing here knows Hydra. The entry points turn a composed configuration into these objects, and a wrong value raises
`ConfigError` with the full name of the key. Where the paper is silent or contradicts itself the field's comment has
the tag of that point's row in DEVIATIONS.md.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from paper_lenet import paper
from paper_lenet.config.rules import CHOICES, OWN, ConfigError, dotted, impossible, refusals, unread


def _require(condition: bool, key: str, value: object, wanted: str) -> None:
    if not condition:
        raise ConfigError(f"{key}={value}: must be {wanted}")


def _check_choices(group: str, values: object) -> None:
    """Every field of a group that has a choice of names."""
    for key, choices in CHOICES.items():
        if key.rpartition(".")[0] == group:
            value = getattr(values, key.rpartition(".")[2])
            _require(value in choices, key, value, "one of " + ", ".join(choices))


def _is_number(value: object) -> bool:
    """An element of a list may be anything, and so may a list, where it comes from an interpolation."""
    return isinstance(value, int | float) and math.isfinite(value)


LARGEST = 1e15  # a product of two such numbers is still one of float32


def _positive(key: str, value: float) -> None:
    _require(_is_number(value) and 0 < value <= LARGEST, key, value, f"more than 0 and at most {LARGEST:g}")


@dataclass
class DataConfig:
    """Which images, and how many of them.

    name: `mnist`, or `digits` (scikit-learn's embedded 8x8 digits enlarged; a stand-in where MNIST cannot be had); or
        images of one's own (data/own.py): `idx`, `npz` or `folder`.
    dir: folder that holds MNIST/raw; null looks in the usual places and downloads as a last resort. Of images of one's
        own the folder, or the .npz.
    train_size: patterns trained on, a subset drawn by seed, nested in its size; null for all.
    skip: this many training images (the first ones) are left out.
    validation: this many training images (the last ones) are held out, and errors are measured on them instead of the
        test set; 0 measures on the test set.
    test_size: only the first held-out images; null for all, 0 for none: a run that must not look at the test set.
    input: what a byte becomes: `paper`, -0.1 to 1.175 (p. 7); `unit`, 0 to 1; `standard`, mean 0 and standard deviation
        1 over the training images; `standard_each`, the held-out images by their own mean and deviation.
    version: one of the three of p. 10: `regular`, 28x28; `deslanted`, 20x20; `small`, 16x16; or in black and white
        `binary`, `boxed-binary` (the ink's box in the middle), `small-binary` or `deslanted-binary`; or deslanted and
        put in the box (`deslanted-boxed`) or fitted into it (`deslanted-normalised`) once more.
    """

    name: str = "mnist"
    dir: str | None = None
    train_size: int | None = None
    skip: int = 0
    validation: int = 0
    test_size: int | None = None
    input: str = "paper"
    version: str = "regular"

    def __post_init__(self) -> None:
        _check_choices("data", self)
        size = self.train_size
        _require(size is None or size >= 1, "data.train_size", size, "at least 1, or null for all")
        _require(self.test_size is None or self.test_size >= 0, "data.test_size", self.test_size, "0 or more, or null")
        _require(self.skip >= 0, "data.skip", self.skip, "0 or more")
        _require(self.validation >= 0, "data.validation", self.validation, "0 or more")


@dataclass
class DistortConfig:
    """Planar distortions of the training images (Section III-B, p. 10-11), drawn once per distorted pattern.

    The paper names the kinds but gives no values: the ranges are those of the maps fitted to Fig. 7.  # D12
    variants: distorted copies of each training image, beside the image itself; 0 for none. A pass stays as long as the
        undistorted training set, so that the patterns are gone through in 1 + variants passes.
    strength: multiplies how far every range reaches from the identity; 1 for Fig. 7's.
    inverse_scale: range of 1 / sqrt(sx sy).  squeeze: range of sqrt(sy / sx).  shear: largest horizontal shear, either
        way.  translation: largest shift in pixels of the source, either way, horizontal and vertical.
    centre: pixels below the middle of the image about which it is scaled.
    rotation: largest turn in degrees, either way, about the middle of the image; before all of the above.
    elastic: root mean square, in each direction, of smooth random displacements in pixels, added to where each pixel is
        looked for; 0 for none.  elastic_sigma: pixels by which the noise that they are made of is smoothed. Those of
        Simard, Steinkraus and Platt (2003), sigma 4 times alpha 34, come to 1.4 pixels.
    """

    variants: int = 0
    strength: float = 1.0
    inverse_scale: list[float] = field(default_factory=lambda: [0.77, 1.40])
    squeeze: list[float] = field(default_factory=lambda: [0.90, 1.10])
    shear: float = 0.14
    translation: float = 2.0
    centre: float = 10.9
    rotation: float = 0.0
    elastic: float = 0.0
    elastic_sigma: float = 4.0

    def __post_init__(self) -> None:
        _require(0 <= self.variants <= 100, "distort.variants", self.variants, "from 0 to 100")
        _require(0 <= self.strength <= 2, "distort.strength", self.strength, "from 0 to 2")
        for key in ("inverse_scale", "squeeze"):
            ends = getattr(self, key)
            fits = isinstance(ends, list) and len(ends) == 2 and all(map(_is_number, ends)) and ends[0] <= ends[1]
            # Farther, positions in the image would overflow.
            fits = fits and all(0.01 <= 1 + self.strength * (end - 1) <= 100 for end in ends)
            _require(fits, f"distort.{key}", ends, "two rising numbers that are from 0.01 to 100 at this strength")
        for key in ("shear", "translation", "centre", "elastic"):
            value = getattr(self, key)
            _require(0 <= value <= 1000, f"distort.{key}", value, "from 0 to 1000")
        _require(0 <= self.rotation <= 180, "distort.rotation", self.rotation, "from 0 to 180")
        _require(0.5 <= self.elastic_sigma <= 10, "distort.elastic_sigma", self.elastic_sigma, "from 0.5 to 10")


@dataclass
class WindowsConfig:
    """Windows of Section VII-B in the place of the training images: a character between two others.  # D23

    variants: windows of each training image, drawn once; 0 for the images as they are. A pass stays as long as the
        training set, so that the windows are gone through in `variants` passes. Errors while training are of windows;
        held-out images are as they are.
    gap: columns between the boxes of the characters' ink, from and to; below 0 they overlap.
    blank: share of the windows in whose middle there is nothing.
    noise: probability that a pixel is inverted.
    """

    variants: int = 0
    gap: list[int] = field(default_factory=lambda: [-1, 4])
    blank: float = 0.1667
    noise: float = 0.1

    def __post_init__(self) -> None:
        _require(0 <= self.variants <= 100, "windows.variants", self.variants, "from 0 to 100")
        gap = self.gap
        fits = isinstance(gap, list) and len(gap) == 2 and all(isinstance(g, int) for g in gap)
        _require(fits and -28 <= gap[0] <= gap[1] <= 28, "windows.gap", gap, "two rising whole numbers from -28 to 28")
        for key in ("blank", "noise"):
            _require(0 <= getattr(self, key) <= 1, f"windows.{key}", getattr(self, key), "from 0 to 1")


@dataclass
class InitConfig:
    """Initial weights: uniform in ±gain / F**exponent, F the fan-in of the unit (Appendix A, p. 41).  # D1

    scheme: `paper`, the above; or one that reads nothing below: `kaiming`, normal with variance 2 / F, biases 0;
        `xavier`, uniform in ±sqrt(6 / (F + fan-out)), biases 0 (Keras's default); `torch`, weights and biases uniform
        in ±1 / sqrt(F) (PyTorch's default). In these subsampling starts as the average, biases 0.
    bias: `zero`, or `random`: drawn like the weights of the same unit.  # D2
    coefficient: `fixed`, all subsampling coefficients start at coefficient_value; `random`, uniform in
        ±gain / F**exponent with F = 4.  # D3
    """

    scheme: str = "paper"
    gain: float = 2.4
    exponent: float = 0.5
    bias: str = "zero"
    coefficient: str = "fixed"
    coefficient_value: float = 0.25

    def __post_init__(self) -> None:
        _check_choices("model.init", self)
        _positive("model.init.gain", self.gain)
        _require(0 <= self.exponent <= 2, "model.init.exponent", self.exponent, "from 0 to 2")
        _require(abs(self.coefficient_value) <= 1e30, "model.init.coefficient_value", self.coefficient_value,
                 "from -1e30 to 1e30")  # fmt: skip


@dataclass
class ModelConfig:
    """The network: LeNet-5's skeleton, every detail of it a choice; or another network of Section III-C.

    name: `lenet5`; or, with the details of 1998 only, `lenet4`, `lenet1` or `mlp`.
    hidden: units of each hidden layer of an mlp, the one next to the image first.  side: pixels of its square input.
    activation: `scaled_tanh` (Eq. 6), or another of paper_lenet/activations.py.
    pooling: the four inputs of a subsampling unit are added (`sum`, p. 7) or averaged (`average`, p. 6), weighted by a
        trainable coefficient, and squashed  # D4; or nothing is trainable and nothing squashed: `avg_pool`, `max_pool`.
    table: which maps feed C3: `paper` (Table I), `full`, or `random`: as many connections as Table I, drawn by seed.
    output: `rbf` (Eq. 7, the bitmaps of Fig. 3) or `linear`, ten weighted sums for a softmax.
    geometry: how 28x28 images enter: `padded` to 32x32 with background (p. 7), `resized` to 32x32, or `unpadded`: then
        C5 sees 4x4.
    batch_norm: normalise the weighted sums of C1 and C3.
    dropout: this share of the states of C5 and F6 is left out while training.
    rbf_factor: factor in front of the sum of Eq. 7 (printed: none, so 1).  # D5
    classes: a character of Fig. 3 for each label 0, 1, ...: what the network tells apart, and in an rbf output the code
        of each class.
    blank: one class more, the blank (of Fig. 3, in an rbf output), for windows.
    """

    name: str = "lenet5"
    hidden: list[int] = field(default_factory=list)
    side: int = paper.IMAGE_SIZE
    activation: str = "scaled_tanh"
    pooling: str = "sum"
    table: str = "paper"
    output: str = "rbf"
    geometry: str = "padded"
    batch_norm: bool = False
    dropout: float = 0.0
    rbf_factor: float = 0.5
    classes: str = paper.CHARACTERS
    blank: bool = False
    init: InitConfig = field(default_factory=InitConfig)

    def __post_init__(self) -> None:
        _check_choices("model", self)
        whole = isinstance(self.hidden, list) and all(isinstance(n, int) and 1 <= n <= 10_000 for n in self.hidden)
        _require(whole and len(self.hidden) <= 2, "model.hidden", self.hidden, "one or two numbers from 1 to 10000")
        _require(bool(self.hidden) == (self.name == "mlp"), "model.hidden", self.hidden,
                 f"{'one layer or two' if self.name == 'mlp' else 'empty'} with model.name={self.name}")  # fmt: skip
        _require(0 <= self.dropout < 1, "model.dropout", self.dropout, "from 0 to below 1")
        _positive("model.rbf_factor", self.rbf_factor)
        drawn = len(set(self.classes)) == len(self.classes) >= 2 and all("!" <= each <= "~" for each in self.classes)
        _require(drawn, "model.classes", self.classes, "two or more different characters of ASCII, but for the space")

    def characters(self) -> str:
        """The characters that the outputs stand for, in their order; the space is the blank."""
        return self.classes + " " * self.blank

    def is_modern(self) -> bool:
        """Whether any detail is not of 1998."""
        details = (self.activation, self.table, self.output, self.geometry, self.init.scheme)
        of_1998 = details == ("scaled_tanh", "paper", "rbf", "padded", "paper") and self.pooling in ("sum", "average")
        return not of_1998 or self.batch_norm or self.dropout > 0


@dataclass
class LossConfig:
    """The criterion: `eq8` (MSE, maximum likelihood) or `eq9` (discriminative, with the junk constant j)  # D6; or
    `cross_entropy` of the softmax of a linear output.

    smoothing: for cross_entropy, the share of the target that is spread over all classes.
    j: Eq. 9's positive constant, whose value the paper does not give; read only for eq9.  # D7
    curvature: for eq9, the second derivative at the output: `exact`, or `eq8` (that of Eq. 8).  # D8
    eq8_passes: for eq9, so many passes at the start go by Eq. 8.
    """

    name: str = "eq9"
    j: float = 1.0
    curvature: str = "eq8"
    eq8_passes: int = 0
    smoothing: float = 0.0

    def __post_init__(self) -> None:
        _check_choices("loss", self)
        _require(0 <= self.smoothing < 1, "loss.smoothing", self.smoothing, "from 0 to below 1")
        _require(self.j > 0 and not math.isnan(self.j), "loss.j", self.j, "positive")
        _require(self.eq8_passes >= 0, "loss.eq8_passes", self.eq8_passes, "0 or more")

    def in_pass(self, pass_: int) -> LossConfig:
        """The criterion of pass 1, 2, ..."""
        return dataclasses.replace(self, name="eq8") if pass_ <= self.eq8_passes else self


@dataclass
class OptimConfig:
    """How the network learns: stochastic diagonal Levenberg-Marquardt, one pattern an update (Appendix C; p. 10), or
    what came after it.

    name: `sdlm`, `sgd`, `adam`, `adamw` or `muon` (for the kernels and matrices; the rest by AdamW).
    passes: times through the training set.
    batch: patterns an update; the last batch of a pass may be smaller.
    schedule: of the rate: `paper`, one value per pass (eta times eta_factor); or, with the peak `rate`, at each update:
        `constant`, `cosine` down to 0, or `onecycle`, up for the first 30 % and down to almost 0.
    rate: of sgd, adam, adamw and muon.
    momentum: of sgd and muon.  nesterov: of sgd.  weight_decay: of sgd, adamw and muon, times the rate.
    epsilon: of adam and adamw.
    average: of sgd, adam, adamw and muon, the decay of an exponential average of the weights, of which the held-out
        errors and the final weights are, while training goes on with the weights themselves; 0 for none.
    eta: the global rate of each pass; the last value holds for all later passes.
    eta_factor: multiplies every eta.  # D9
    mu: keeps a step from blowing up where the curvature is small (Eq. 21).
    hessian_samples: patterns from which the curvature is measured.
    hessian: when it is: before `each` pass (p. 10), `once` before the first; or `mean`, before each, of which the mean
        over all passes so far is taken.  # D22
    order: `constant`, one random order for all passes (p. 10), or `reshuffled` before each.  # D10
    cross_terms: between connections that share a parameter, `dropped` (Eq. 23) or `kept` (Eq. 22); `subsampling` drops
        them but between the four inputs of a subsampling unit, whose sum then counts as one.  # D11
    """

    name: str = "sdlm"
    passes: int = 20
    batch: int = 1
    schedule: str = "paper"
    rate: float = 1e-3
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 0.0
    epsilon: float = 1e-8
    average: float = 0.0
    eta: list[float] = field(default_factory=lambda: list(paper.ETA))
    eta_factor: float = 1.0
    mu: float = paper.MU
    hessian_samples: int = paper.HESSIAN_SAMPLES
    hessian: str = "each"
    order: str = "constant"
    cross_terms: str = "subsampling"

    def __post_init__(self) -> None:
        _check_choices("optim", self)
        _require(self.batch >= 1, "optim.batch", self.batch, "at least 1")
        _positive("optim.rate", self.rate)
        _require(0 <= self.momentum < 1, "optim.momentum", self.momentum, "from 0 to below 1")
        _require(0 <= self.weight_decay <= LARGEST, "optim.weight_decay", self.weight_decay, f"from 0 to {LARGEST:g}")
        _positive("optim.epsilon", self.epsilon)
        _require(0 <= self.average < 1, "optim.average", self.average, "from 0 to below 1")
        _require(self.passes >= 1, "optim.passes", self.passes, "at least 1")
        listed = isinstance(self.eta, list) and len(self.eta) >= 1
        _require(listed, "optim.eta", self.eta, "a list of at least one rate")
        for value in self.eta:
            _require(_is_number(value) and value > 0, "optim.eta", value, "a positive number")
        _positive("optim.eta_factor", self.eta_factor)
        _positive("optim.mu", self.mu)
        _require(self.hessian_samples >= 1, "optim.hessian_samples", self.hessian_samples, "at least 1")

    def eta_of(self, pass_: int) -> float:
        """The global rate of pass 1, 2, ...: the schedule's value times `eta_factor`."""
        return self.eta_factor * self.eta[min(pass_, len(self.eta)) - 1]


@dataclass
class EngineConfig:
    """How the arithmetic is carried out; never what is computed.

    name: `reference` (autograd, the specification), `fused` (compiled for one core), `batched` (all seeds of a job
        together, along a leading axis), or another folder of paper_lenet/engines.
    device: `cpu` or `cuda`, for batched.
    precision: `float32` or `float64`.
    summation: another number puts the units of C5 in another order: the same network and the same training, but its
        sums are rounded otherwise. What that changes is the noise below which no two results differ.
    workers: processes that train seeds side by side, one thread each; 0 for as many as there are cores.
    """

    name: str = "fused"
    precision: str = "float32"
    device: str = "cpu"
    summation: int = 0
    workers: int = 0

    def __post_init__(self) -> None:
        _check_choices("engine", self)
        _require(self.summation >= 0, "engine.summation", self.summation, "0 or more")
        _require(self.workers >= 0, "engine.workers", self.workers, "0 or more")


# Keys that came after results had been published: at these values, whatever the defaults are by now, they leave the
# fingerprint as it was.
ADDED_LATER = {
    **{"engine.summation": 0, "engine.device": "cpu"},
    **{"data.input": "paper", "data.skip": 0, "data.version": "regular"},
    **{"model.hidden": [], "model.side": paper.IMAGE_SIZE, "model.activation": "scaled_tanh", "model.table": "paper"},
    **{"model.output": "rbf", "model.geometry": "padded", "model.batch_norm": False, "model.dropout": 0.0},
    **{"model.init.scheme": "paper", "loss.smoothing": 0.0, "optim.name": "sdlm", "optim.batch": 1},
    **{"optim.schedule": "paper", "optim.rate": 1e-3, "optim.momentum": 0.9, "optim.nesterov": False},
    **{"optim.weight_decay": 0.0, "optim.epsilon": 1e-8, "optim.hessian": "each", "loss.eq8_passes": 0},
    **{"model.blank": False, "windows.variants": 0, "windows.gap": [-1, 4], "windows.blank": 0.1667},
    **{"windows.noise": 0.1, "distort.rotation": 0.0, "distort.elastic": 0.0, "distort.elastic_sigma": 4.0},
    **{"optim.average": 0.0, "model.classes": paper.CHARACTERS},
}
# What defaults were when the first results were published, those of conf/experiment/quarter.yaml. The files of results/
# leave out a field at this value. Where nothing reads a field it counts as at this value, so that another default
# changes no fingerprint.
FIRST_DEFAULTS = {
    **{"model.rbf_factor": 1.0, "model.init.gain": 1.1, "model.init.coefficient_value": 0.55, "loss.name": "eq8"},
    **{"loss.j": 1.0, "loss.curvature": "exact", "optim.eta_factor": 0.25, "optim.cross_terms": "dropped"},
}
# What does not change what is computed, so that no fingerprint and no table has it.
NOT_METHOD = ("name", "seeds", "output", "resume", "force", "engine.workers", "data.dir")


def not_method(name: str) -> tuple[str, ...]:
    """NOT_METHOD of a data set: of images of one's own the folder says which they are."""
    return tuple(key for key in NOT_METHOD if key != "data.dir" or name not in OWN)


@dataclass
class Config:
    """One job: one configuration, trained once for each seed.

    name: what the job is called; its runs go to `output`/`name`/.
    label: what tables call the configuration; empty: by the fields in which it differs from others.
    resume: go on with a run that was interrupted; false starts it anew.
    force: train anew also what is finished.
    """

    name: str = "lenet5"
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2, 3, 4])
    output: str = "outputs"
    label: str = ""
    resume: bool = True
    force: bool = False
    data: DataConfig = field(default_factory=DataConfig)
    distort: DistortConfig = field(default_factory=DistortConfig)
    windows: WindowsConfig = field(default_factory=WindowsConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)

    def __post_init__(self) -> None:
        allowed = self.name.replace("-", "").replace("_", "").replace(".", "")
        _require(allowed.isalnum() and self.name[0].isalnum() and len(self.name) <= 100, "name", self.name,
                 "at most 100 letters, digits, '-', '_' and '.'")  # fmt: skip
        _require("\0" not in self.output, "output", repr(self.output), "a path")
        listed = isinstance(self.seeds, list) and len(self.seeds) >= 1
        _require(listed, "seeds", self.seeds, "a list of at least one seed")
        whole = all(isinstance(s, int) and 0 <= s < 2**31 for s in self.seeds)
        _require(whole, "seeds", self.seeds, "from 0 to 2**31 - 1")
        _require(len(set(self.seeds)) == len(self.seeds), "seeds", self.seeds, "different from each other")
        values = dotted(self.to_dict())
        for line in chain(
            impossible(values, self.is_modern(), defaults()), refusals(values, defaults(), FIRST_DEFAULTS)
        ):
            raise ConfigError(line)

    def is_modern(self) -> bool:
        """Whether anything but the details of 1998 is asked for, in the network, its input or the training."""
        optim = self.optim
        return self.model.is_modern() or self.data.input != "paper" or optim.name != "sdlm" or optim.batch > 1

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries and lists, as written to a run's config.yaml."""
        return dataclasses.asdict(self)

    def as_first(self) -> dict[str, Any]:
        """As `to_dict`, with fields that nothing reads at their first defaults."""
        tree = self.to_dict()
        values = dotted(tree)
        for key, first in FIRST_DEFAULTS.items():
            if unread(values, key):
                *groups, last = key.split(".")
                functools.reduce(dict.__getitem__, groups, tree)[last] = first
        return tree

    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that stand for what is computed: not for the seeds, the place or the workers."""
        method = self.as_first()
        for key in ("label", *not_method(self.data.name), *ADDED_LATER):
            *groups, last = key.split(".")
            inner = functools.reduce(dict.__getitem__, groups, method)
            if key not in ADDED_LATER or inner[last] == ADDED_LATER[key]:
                del inner[last]
        method = {key: value for key, value in method.items() if value != {}}
        return hashlib.sha256(json.dumps(method, sort_keys=True).encode()).hexdigest()[:12]


def first_defaults() -> dict[str, Any]:
    """The first default of every field, by dotted key; of one that came later its only one."""
    return defaults() | FIRST_DEFAULTS


@functools.cache
def defaults() -> dict[str, Any]:
    """The default of every field, by dotted key."""
    values: dict[str, Any] = {}
    for item in dataclasses.fields(Config):
        made: Any = item.default if item.default_factory is dataclasses.MISSING else item.default_factory()
        group = dataclasses.is_dataclass(made) and not isinstance(made, type)
        values[item.name] = dataclasses.asdict(made) if group else made
    return dotted(values)
