"""Configurations drawn for tests from what the rules declare (paper_lenet/config/rules.py)."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from paper_lenet import paper
from paper_lenet.config import Config, ConfigError
from paper_lenet.config.rules import CHOICES, ENGINES, READ_WHEN, unread
from paper_lenet.config.schema import defaults

Values = dict[str, Any]
Pair = tuple[tuple[str, str], tuple[str, str]]

# Two values or more of each field that is no choice of names, the first the default; or fewer than all of a choice.
SAMPLES: dict[str, tuple[Any, ...]] = {
    # those that are compared with the reference
    "engine.name": tuple(sorted(set(CHOICES["engine.name"]) - {"reference"}, key=lambda name: name != "fused")),
    "data.name": ("mnist", "digits"),  # images of one's own are read from files
    "data.version": ("regular", "small", "deslanted"),  # of each size one
    "data.train_size": (None, 12),
    "data.skip": (0, 3),
    "data.validation": (0, 5),
    "distort.variants": (0, 1),
    "distort.strength": (1.0, 0.5),
    "distort.inverse_scale": ([0.77, 1.40], [0.9, 1.1]),
    "distort.squeeze": ([0.90, 1.10], [0.8, 1.0]),
    "distort.shear": (0.14, 0.3),
    "distort.translation": (2.0, 1.0),
    "distort.centre": (10.9, 0.0),
    "distort.rotation": (0.0, 15.0),
    "distort.elastic": (0.0, 0.7),
    "distort.elastic_sigma": (4.0, 2.0),
    "windows.variants": (0, 1),
    "windows.gap": ([-1, 4], [0, 2]),
    "windows.blank": (0.1667, 0.5),
    "windows.noise": (0.1, 0.0),
    "model.classes": ("0123456789", "0123456789AB"),
    "model.blank": (False, True),
    "model.hidden": ([], [20], [20, 17]),
    "model.batch_norm": (False, True),
    "model.dropout": (0.0, 0.3),
    "model.rbf_factor": (0.5, 0.8),
    "model.init.gain": (2.4, 0.8),
    "model.init.exponent": (0.5, 0.6),
    "model.init.coefficient_value": (0.25, 0.4),
    "loss.j": (1.0, 50.0),
    "loss.eq8_passes": (0, 1),
    "loss.smoothing": (0.0, 0.1),
    "optim.passes": (20, 2),
    "optim.batch": (1, 7),
    "optim.rate": (1e-3, 5e-3),
    "optim.momentum": (0.9, 0.0),
    "optim.nesterov": (False, True),
    "optim.weight_decay": (0.0, 0.1),
    "optim.epsilon": (1e-8, 1e-2),
    "optim.average": (0.0, 0.3),
    "optim.eta": (list(paper.ETA), [2e-4, 1e-4]),
    "optim.eta_factor": (1.0, 0.5),
    "optim.mu": (0.02, 0.1),
    "optim.hessian_samples": (500, 12),
}


def values_of(field: str) -> tuple[Any, ...]:
    """The values that tests give a field; those of a choice are all that there are."""
    return SAMPLES.get(field) or CHOICES[field]


def config_of(values: Mapping[str, Any]) -> Config:
    """The configuration with these values by dotted key. Raises ConfigError."""

    def made(kind: Any, prefix: str) -> Any:
        given = {}
        for field in dataclasses.fields(kind):
            key = prefix + field.name
            factory: Any = field.default_factory
            if dataclasses.is_dataclass(factory):
                given[field.name] = made(factory, f"{key}.")
            elif key in values:
                given[field.name] = values[key]
        return kind(**given)

    config = made(Config, "")
    assert isinstance(config, Config)
    return config


def as_read(values: Values) -> Values:
    """The same, with the default of each field that the chosen parts do not read."""
    full, usual = defaults() | values, defaults()
    while ignored := [field for field in READ_WHEN if full[field] != usual[field] and unread(full, field)]:
        full |= {field: usual[field] for field in ignored}
    return {field: full[field] for field in values}


def settled(values: Values, keep: Sequence[str] = ()) -> Values:
    """The same, changed elsewhere than in `keep` where no other choice goes with one."""
    full = defaults() | values

    def change(field: str, value: Any) -> None:
        if field not in keep:
            full[field] = value

    for field, only in ENGINES[full["engine.name"]].items():
        if full[field] not in only:
            change(field, defaults()[field])
    if full["model.name"] != "lenet5":
        for field, wanted in READ_WHEN.items():
            if wanted.get("model.name") == ("lenet5",):
                change(field, defaults()[field])
    if (full["model.name"] == "mlp") != bool(full["model.hidden"]):
        change("model.hidden", [20] if full["model.name"] == "mlp" else [])
    if full["model.name"] != "mlp":
        change("data.version", "small" if full["model.name"] == "lenet1" else "regular")
    full["model.side"] = paper.VERSION_SIDES[full["data.version"]] if full["model.name"] == "mlp" else paper.IMAGE_SIZE
    if full["data.version"] != "regular" or full["model.geometry"] == "resized":
        change("distort.variants", 0)
    if "model.blank" in keep:
        change("windows.variants", int(full["model.blank"]))
    if full["model.name"] != "lenet5" or full["engine.name"] == "batched":
        change("windows.variants", 0)
    if "model.classes" in keep and full["model.classes"] != defaults()["model.classes"]:
        change("windows.variants", 0)
    if full["windows.variants"]:
        change("model.classes", defaults()["model.classes"])
        change("distort.variants", 0)
        change("model.geometry", "padded")
        if full["distort.variants"] or full["model.geometry"] != "padded":
            change("windows.variants", 0)
    change("model.blank", full["windows.variants"] > 0)
    if (full["loss.name"] == "cross_entropy") != (full["model.output"] == "linear"):
        by_output = {"linear": "cross_entropy", "rbf": "eq8"}[full["model.output"]]
        if "loss.name" in keep:
            change("model.output", "linear" if full["loss.name"] == "cross_entropy" else "rbf")
        else:
            full["loss.name"] = by_output
    if full["model.batch_norm"] and (full["optim.batch"] == 1 or full["optim.name"] == "sdlm"):
        change("model.batch_norm", False)
    full = as_read(full)
    if full["optim.cross_terms"] == "subsampling" and full["model.pooling"] in ("avg_pool", "max_pool"):
        change("model.pooling", "sum")
        change("optim.cross_terms", full["optim.cross_terms"] if full["model.pooling"] == "sum" else "dropped")
    if full["optim.cross_terms"] == "kept":
        for field in ("model.activation", "model.table", "model.output", "model.geometry", "model.init.scheme"):
            change(field, defaults()[field])
        change("data.input", "paper")
        change("optim.batch", 1)
        change("model.dropout", 0.0)
        if full["model.pooling"] in ("avg_pool", "max_pool"):
            change("model.pooling", "sum")
        if full["loss.name"] == "cross_entropy":
            change("loss.name", "eq8")
    return as_read(full)


def valid(values: Values) -> Config | None:
    """The configuration, None where it is refused."""
    try:
        return config_of(values)
    except ConfigError:
        return None


class Matrix:
    """A set of configurations that together have every pair of values of the options that any configuration can have.

    fixed: values that all have.  fields: the options.  chosen: the configurations' values.  pairs: those covered.
    refused: pairs that no configuration was found to have.
    """

    def __init__(self, fields: Sequence[str], fixed: Values, cost: Any, seed: int = 0) -> None:
        """cost: (values) -> hashable things that take long and are made once, as compiled programs."""
        self.fields, self.fixed = list(fields), fixed
        draw = random.Random(seed)
        pool = [values for _ in range(1200) if (values := self._drawn(draw, {})) is not None]
        wanted = set(self._all_pairs())
        found = {pair for values in pool for pair in self._pairs(values)} & wanted
        self.refused: list[Pair] = []
        for (a, x), (b, y) in sorted(wanted - found):
            given = {a: self._value(a, x), b: self._value(b, y)}
            tries = (self._drawn(draw, given) for _ in range(5))
            values = next((v for v in tries if v is not None and repr(v[a]) == x and repr(v[b]) == y), None)
            if values is None:
                self.refused.append(((a, x), (b, y)))
            else:
                pool.append(values)
        self.pairs = wanted - set(self.refused)
        self.chosen = self._covering(pool, cost)

    def _value(self, field: str, shown: str) -> Any:
        return next(value for value in values_of(field) if repr(value) == shown)

    def _all_pairs(self) -> Iterator[Pair]:
        for a, b in itertools.combinations(sorted(self.fields), 2):
            for x, y in itertools.product(values_of(a), values_of(b)):
                yield (a, repr(x)), (b, repr(y))

    def _pairs(self, values: Values) -> set[Pair]:
        return set(itertools.combinations([(field, repr(values[field])) for field in sorted(self.fields)], 2))

    def _drawn(self, draw: random.Random, given: Values) -> Values | None:
        """A configuration's values drawn at random with the given ones, None where those are refused."""
        values = {field: draw.choice(values_of(field)) for field in self.fields} | self.fixed | given
        values = settled(values, keep=list(given))
        return values if valid(values) is not None else None

    def _covering(self, pool: list[Values], cost: Any) -> list[Values]:
        """Greedily: each time the one with the most pairs that are still missing, fewer where it costs something."""
        missing, paid, chosen = set(self.pairs), set[Any](), list[Values]()
        left = [(values, self._pairs(values), set(cost(values))) for values in pool]
        while missing:
            values, pairs, costs = max(left, key=lambda each: len(each[1] & missing) / (1 + len(each[2] - paid)))
            chosen.append(values)
            missing -= pairs
            paid |= costs
            left = [each for each in left if each[1] & missing]
        return chosen
