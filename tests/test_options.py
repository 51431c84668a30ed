"""Every option is read: the engines agree with the reference over all pairs of options, and no field is ignored."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from options import SAMPLES, Matrix, Values, as_read, config_of, settled, values_of
from test_engines import difference, made_images

from paper_lenet import paper
from paper_lenet.config import Config, ConfigError
from paper_lenet.config.rules import CHOICES, ENGINES, NOT_IN_WEIGHTS, READ_WHEN, help_text, unread
from paper_lenet.config.schema import defaults, first_defaults
from paper_lenet.data import Data, load, sets
from paper_lenet.engines import PassRecord, records

# What batch normalisation takes out again: such a bias has no gradient but what rounding leaves of one, which Adam and
# Muon make a whole step of.
NORMALISED_AWAY = ("c1.bias", "c3.bias", "n1.running_mean", "n3.running_mean")
# Largest difference over the largest value of a parameter after two passes of 16 patterns, in float64. Measured: 4e-9,
# where ReLU and a high rate magnify rounding.
BOUND = 1e-8
IMAGES = 16
# Which images there are is for `load` to read, not for the engines.
OF_IMAGES = ("data.name", "data.skip", "data.validation")
# The distortions' ranges, read in one place for all engines.
OF_MAPS = tuple(
    f"distort.{name}" for name in ("inverse_scale", "squeeze", "shear", "translation", "centre", "elastic_sigma")
)


def images_of(config: Config) -> Data:
    side = paper.VERSION_SIDES[config.data.version]
    return Data("mnist", "test", *made_images(IMAGES, side, seed=1), *made_images(10, side, seed=2))


def last(config: Config, engine: str, data: Data) -> PassRecord:
    *_, record = records(importlib.import_module(f"paper_lenet.engines.{engine}").train(config, data, 0))
    return record


# Agreement


def programs(values: Values) -> list[Hashable]:
    """What the fused engine compiles, at about a second each."""
    if values["engine.name"] != "fused":
        return []
    shape = [values[f"model.{field}"] for field in ("name", "activation", "pooling", "output")]
    shape += [str(values["model.hidden"]), values["data.version"] if values["model.name"] == "mlp" else ""]
    shape += [values["model.table"] == "full", values["model.geometry"] == "unpadded"]
    shape += [values["model.batch_norm"], values["model.dropout"] > 0, values["model.classes"], values["model.blank"]]
    purposes = ["predict", "train" if values["optim.name"] == "sdlm" and values["optim.batch"] == 1 else "gradient"]
    purposes += [values["optim.cross_terms"]] if values["optim.name"] == "sdlm" else []
    return [(*shape, purpose) for purpose in purposes]


def test_engines_agree_over_all_pairs_of_options(record_property: Callable[[str, object], None]) -> None:
    """Weights, losses, rates and answers after two passes, by the reference and by an engine."""
    fields = [field for field in defaults() if (field in CHOICES or field in SAMPLES) and field not in NOT_IN_WEIGHTS]
    fields = [field for field in fields if field not in (*OF_IMAGES, *OF_MAPS, "optim.passes")]
    matrix = Matrix([*fields, "engine.name"], {"engine.precision": "float64", "optim.passes": 2}, programs)
    worst = 0.0
    for values in matrix.chosen:
        config = config_of(values)
        data = images_of(config)
        got, right = (last(config, engine, data) for engine in (config.engine.name, "reference"))
        told = {field: value for field, value in values.items() if value != defaults()[field]}
        away = NORMALISED_AWAY if config.model.batch_norm else ()
        apart = difference(*({n: w for n, w in each.state.items() if n not in away} for each in (got, right)))
        assert apart < BOUND, told
        worst = max(worst, apart)
        assert got.train_loss == pytest.approx(right.train_loss, rel=BOUND), told
        assert (got.rate_min, got.rate_max) == pytest.approx((right.rate_min, right.rate_max), rel=BOUND), told
        assert np.array_equal(got.predictions, right.predictions), told
        assert (got.train_errors, got.eta, got.train_size) == (right.train_errors, right.eta, right.train_size), told
    engines = [values["engine.name"] for values in matrix.chosen]
    record_property(
        "option matrix",
        f"{len(matrix.fields)} fields, {len(matrix.pairs)} pairs of values in {len(engines)} configurations "
        f"({', '.join(f'{engines.count(name)} {name}' for name in values_of('engine.name'))}, "
        "each against the reference); "
        f"{len(matrix.refused)} pairs are refused by the rules; largest difference {worst:.1g}",
    )
    assert len(matrix.pairs) > 10 * len(matrix.refused)  # the rules leave most pairs


# What nothing reads is refused


def context(field: str) -> Values:
    """A configuration of the reference in which a field is read, as near to the defaults as there is one."""
    values: Values = {"engine.name": "reference"}
    todo = [field]
    while todo:
        for other, wanted in READ_WHEN.get(todo.pop(), {}).items():
            full = defaults() | values
            if full[other] not in wanted:
                values[other] = next(value for value in values_of(other) if value in wanted)
                todo.append(other)
    return settled(defaults() | values, keep=list(values))


def weights(values: Values, monkeypatch: pytest.MonkeyPatch) -> dict[str, NDArray[Any]]:
    config = config_of(values | {"optim.passes": 2, "engine.name": "reference"})
    images = made_images(16, seed=3)
    monkeypatch.setattr(sets, "read_mnist", lambda directory: (*images, *images))
    monkeypatch.setattr(sets, "read_digits", lambda: (*made_images(16, seed=4), *images))
    return last(config, "reference", load(config.data)).state


# What else has to be so for two values to differ.
ALSO: dict[str, Values] = {
    "model.batch_norm": {"optim.name": "sgd", "optim.schedule": "constant", "optim.batch": 7},
    "data.version": {"model.name": "mlp", "model.hidden": [20]},
    "optim.schedule": {"optim.name": "sgd", "optim.batch": 4},
    "optim.nesterov": {"optim.name": "sgd", "optim.schedule": "constant"},
    # penalties so small that all classes and the junk class have a share
    "loss.name": {"model.rbf_factor": 0.01},
    "loss.j": {"loss.name": "eq9", "model.rbf_factor": 0.1},
    "loss.eq8_passes": {"loss.name": "eq9", "model.rbf_factor": 0.01},
    "loss.curvature": {"loss.name": "eq9", "loss.j": 50.0},
    "optim.cross_terms": {"optim.hessian_samples": 3},  # each unit of each sample is propagated back by itself
    "optim.name": {"optim.weight_decay": 0.1},  # by which AdamW differs from Adam
}
# What only the held-out images are given, and the MLP's layers, which it cannot be without.
NOT_FOR_TRAINING: dict[str, tuple[Any, ...]] = {"data.input": ("standard_each",), "model.hidden": ([],)}
READ = [field for field in defaults() if field not in NOT_IN_WEIGHTS and field not in ("model.side", "optim.passes")]


@pytest.mark.parametrize("field", READ)
def test_another_value_of_a_field_changes_the_weights(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each value that is accepted gives weights of its own."""
    base = context(field) | ALSO.get(field, {})
    found: list[tuple[Any, dict[str, NDArray[Any]]]] = []
    for value in values_of(field):
        if value in NOT_FOR_TRAINING.get(field, ()):
            continue
        values = settled(base | {field: value}, keep=[field, *ALSO.get(field, {})])
        assert values[field] == value
        found.append((value, weights(values, monkeypatch)))
    for k, (value, state) in enumerate(found):
        for other, state_of_other in found[:k]:
            same = state.keys() == state_of_other.keys() and all(
                np.array_equal(w, state_of_other[name]) for name, w in state.items()
            )
            assert not same, f"{field}={value} trains what {field}={other} trains"


@pytest.mark.parametrize("field", ["label", "seeds", "resume", "force", "output", "data.test_size", "engine.workers"])
def test_fields_that_do_not_change_the_weights(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    other = {"label": "x", "seeds": [7, 0], "resume": False, "force": True, "output": "o", "data.test_size": 3,
             "engine.workers": 5}[field]  # fmt: skip
    assert field in NOT_IN_WEIGHTS
    state, changed = weights({}, monkeypatch), weights({field: other}, monkeypatch)
    assert all(np.array_equal(w, changed[name]) for name, w in state.items())


@pytest.mark.parametrize("field", READ_WHEN)
def test_what_is_not_read_is_refused(field: str) -> None:
    """At a value that never was the default, in a line that names the field and what it is not read with."""
    others = {"data.dir": "x", "engine.device": "cuda", "engine.summation": 3, "engine.workers": 2}
    usual = (defaults()[field], first_defaults()[field])
    value = others.get(field) or next((value for value in values_of(field) if value not in usual), None)
    if value is None:
        assert field == "loss.curvature"  # both of its values have been the default
        return
    for other, wanted in READ_WHEN[field].items():
        for of_other in values_of(other):
            if of_other in wanted:
                continue
            values = as_read(context(field) | {other: of_other})
            values = settled(values, keep=[other]) | {field: value}
            if values[other] != of_other or unread(values, field) is None:
                continue
            with pytest.raises(ConfigError) as error:
                config_of(values)
            assert field.rpartition(".")[2] in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("values", "line"),
    [
        (
            {"optim.rate": 0.1},
            "optim.rate=0.1: not read with optim.schedule=paper, only with optim.schedule=constant, cosine or "
            "onecycle; leave it at 0.001",
        ),
        (
            {"optim.name": "adam", "optim.weight_decay": 0.1},
            "optim.weight_decay=0.1: not read with optim.name=adam, only with optim.name=sgd, adamw or muon; leave it "
            "at 0.0",
        ),
        (
            {"loss.name": "eq8", "loss.j": 3.0},
            "loss.j=3.0: not read with loss.name=eq8, only with loss.name=eq9; leave it at 1.0",
        ),
        (
            {"engine.name": "batched", "optim.cross_terms": "kept"},
            "optim.cross_terms=kept with engine.name=batched: engine=reference or engine=fused has it",
        ),
        (
            {"distort.shear": 0.3},
            "distort.shear=0.3: not read with distort.variants=0, only with distort.variants above 0; leave it at 0.14",
        ),
    ],
)
def test_refusals_say_what_would_read_a_field(values: Values, line: str) -> None:
    with pytest.raises(ConfigError) as error:
        config_of(values)
    assert str(error.value) == line


def test_declarations_name_fields_and_values_that_there_are() -> None:
    for field, choices in CHOICES.items():
        assert defaults()[field] in choices
    for rules in (READ_WHEN, ENGINES):
        for wanted in rules.values():
            for other, values in wanted.items():
                assert other in defaults() and (other not in CHOICES or set(CHOICES[other]) >= set(values))  # type: ignore[arg-type]
    assert set(READ_WHEN) | set(NOT_IN_WEIGHTS) <= set(defaults())
    assert set(ENGINES) == set(CHOICES["engine.name"])


def test_help_has_every_field_and_what_reads_it() -> None:
    lines = help_text(defaults()).splitlines()
    assert [line.partition("=")[0] for line in lines] == list(defaults())
    (rate,) = (line for line in lines if line.startswith("optim.rate="))
    assert rate == "optim.rate=0.001; read with optim.schedule=constant, cosine or onecycle"
    (name,) = (line for line in lines if line.startswith("model.name="))
    assert name == "model.name=lenet5; one of lenet5, lenet4, lenet1, mlp; engine=batched has only lenet5"
