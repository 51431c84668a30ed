"""Configurations drawn at random: a valid one trains, an invalid one is refused by a line that names its key."""

from __future__ import annotations

import dataclasses
import json
import math
import string
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
import numpy as np
import options
import pytest
from hydra.errors import HydraException
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from tally import Tally

from paper_lenet.commands import composition
from paper_lenet.config import Config, ConfigError
from paper_lenet.data import Data, sets
from paper_lenet.engines import NonFiniteError
from paper_lenet.files import read_sealed
from paper_lenet.runs import training
from paper_lenet.runs.records import run_folder

ROOT = Path(__file__).resolve().parents[2]
Fault = Callable[[str], Tally]
Tries = Callable[[int, int], int]

LARGEST = 1e15
SMALLEST = math.ulp(0.0)
NO_NUMBER = st.sampled_from([math.nan, math.inf, -math.inf, 10**400, "many", None, [], [1.0], {"a": 1}, "${nothing}"])
NO_COUNT = st.sampled_from([1.5, math.nan, "many", [], [3], {"a": 1}, True, "1e3", "${optim.eta}"])
NO_CHOICE = st.sampled_from(["", "other", "${nothing}", [], ["sum"], {"a": 1}, None, 3, "EQ8"])
NO_RANGE = st.one_of(
    st.sampled_from([[], [1.0], [1.1, 0.9], [0.9, 1.0, 1.1], [math.nan, 1.0], [1.0, math.nan], [1.0, math.inf]]),
    st.sampled_from([[-1.0, 1.0], [0.0, 1.0], [1.0, LARGEST], [None, 1.0], ["a", "b"], [[1.0], [1.0]]]),
    st.sampled_from([None, 1.0, "wide", "${seeds.0}", {"a": 1}]),
)
LETTERS = "abcdefghijklmnopqrstuvwxyzABCXYZ0123456789éß"


def positive(most: float = LARGEST) -> st.SearchStrategy[float]:
    return st.one_of(st.floats(SMALLEST, most), st.floats(1e-6, 10.0), st.integers(1, 10))


def not_positive(most: float = LARGEST) -> st.SearchStrategy[Any]:
    too_large = st.just(most) if most == math.inf else st.floats(min_value=most, exclude_min=True)
    return st.one_of(st.floats(max_value=0.0, allow_nan=False), st.integers(-5, 0), too_large, NO_NUMBER)


def among(low: float, high: float) -> st.SearchStrategy[float]:
    return st.one_of(st.floats(low, high), st.sampled_from([low, high, math.floor(high)]))


def not_among(low: float, high: float) -> st.SearchStrategy[Any]:
    outside = st.one_of(
        st.floats(max_value=low, exclude_max=True, allow_nan=False),
        st.floats(min_value=high, exclude_min=True, allow_nan=False),
    )
    return st.one_of(outside, NO_NUMBER)


def choice(*names: str) -> tuple[st.SearchStrategy[str], st.SearchStrategy[Any]]:
    return st.sampled_from(names), NO_CHOICE


def optional_count(least: int) -> tuple[st.SearchStrategy[int | None], st.SearchStrategy[Any]]:
    return st.one_of(st.none(), st.integers(max(1, least), 2)), st.one_of(st.integers(-(10**30), least - 1), NO_COUNT)


def yes_or_no() -> tuple[st.SearchStrategy[Any], st.SearchStrategy[Any]]:
    return st.sampled_from([True, False, "yes", 0]), st.sampled_from(["maybe", None, [], {"a": 1}, 0.5, math.nan])


# Of every key what it may be and what not. Sizes fit the few made-up images.
RANGES = st.lists(st.floats(0.02, 50.0), min_size=2, max_size=2).map(sorted)
KEYS: dict[str, tuple[st.SearchStrategy[Any], st.SearchStrategy[Any]]] = {
    "name": (
        st.builds(str.__add__, st.sampled_from(LETTERS), st.text(LETTERS + "-_.", max_size=60)),
        st.one_of(
            st.sampled_from(["", ".", "..", "-", "a/b", "a b", "../a", "a\nb", "a\0b", ".hidden", "x" * 300]),
            st.sampled_from([None, [], ["a"], {"a": 1}, "${nothing}"]),
        ),
    ),
    "seeds": (
        st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=3, unique=True),
        st.one_of(
            st.sampled_from([[], [-1], [2**31], [1, 1], [1.5], ["a"], [None], [[1]]]),
            st.sampled_from([None, 7, "a", {"a": 1}, "${optim.eta}", "${name}"]),
        ),
    ),
    "output": (st.just("out"), st.sampled_from([None, [], {"a": 1}, "${nothing}", "a\0b"])),
    "label": (st.text(LETTERS + " ,+-", max_size=20), st.sampled_from([None, [], {"a": 1}, "${nothing}"])),
    "resume": yes_or_no(),
    "force": yes_or_no(),
    "data.name": choice("mnist", "digits"),
    "data.dir": (st.sampled_from([None, "somewhere", ""]), st.sampled_from([[], ["a"], {"a": 1}, "${nothing}"])),
    "data.train_size": optional_count(1),
    "data.version": (st.just("regular"), NO_CHOICE),
    "data.input": choice("paper", "unit", "standard", "standard_each"),
    "data.skip": (st.sampled_from([0, 1]), st.one_of(st.integers(-(10**30), -1), NO_COUNT, st.none())),
    "data.validation": (st.sampled_from([0, 2]), st.one_of(st.integers(-(10**30), -1), NO_COUNT, st.none())),
    "data.test_size": optional_count(0),
    "distort.variants": (st.integers(0, 100), st.one_of(st.integers(101), st.integers(max_value=-1), NO_COUNT)),
    "distort.strength": (among(0.0, 1.0), not_among(0.0, 2.0)),
    "distort.inverse_scale": (RANGES, NO_RANGE),
    "distort.squeeze": (RANGES, NO_RANGE),
    "distort.shear": (among(0.0, 1000.0), not_among(0.0, 1000.0)),
    "distort.translation": (among(0.0, 1000.0), not_among(0.0, 1000.0)),
    "distort.centre": (among(0.0, 1000.0), not_among(0.0, 1000.0)),
    "distort.rotation": (among(0.0, 180.0), not_among(0.0, 180.0)),
    "distort.elastic": (among(0.0, 1000.0), not_among(0.0, 1000.0)),
    "distort.elastic_sigma": (among(0.5, 10.0), not_among(0.5, 10.0)),
    "windows.variants": (st.integers(0, 100), st.one_of(st.integers(101), st.integers(max_value=-1), NO_COUNT)),
    "windows.gap": (
        st.lists(st.integers(-28, 28), min_size=2, max_size=2).map(sorted),
        st.sampled_from([[], [1], [3, 1], [0, 29], [-29, 0], [1, 2, 3], [1.5, 2], ["a", 1], None, 1, "wide", {"a": 1}]),
    ),
    "windows.blank": (among(0.0, 1.0), not_among(0.0, 1.0)),
    "windows.noise": (among(0.0, 1.0), not_among(0.0, 1.0)),
    "model.name": choice("lenet5"),  # the others, which go with few choices: test_relatives.py
    "model.hidden": (
        st.just([]),
        st.sampled_from([[0], [-1], [10**5], [1, 2, 3], [300], [1.5], ["a"], [None], None, 7, {"a": 1}]),
    ),
    "model.side": (st.just(28), st.one_of(st.integers(max_value=27), st.integers(29), NO_COUNT, st.none())),
    "model.activation": choice("scaled_tanh", "tanh", "relu", "gelu", "silu"),
    "model.pooling": choice("sum", "average", "avg_pool", "max_pool"),
    "model.table": choice("paper", "full", "random"),
    "model.output": choice("rbf", "linear"),
    "model.geometry": choice("padded", "resized", "unpadded"),
    "model.batch_norm": yes_or_no(),
    "model.dropout": (among(0.0, 0.9), st.one_of(not_among(0.0, 1.0), st.just(1.0))),
    "model.init.scheme": choice("paper", "kaiming", "xavier", "torch"),
    "model.rbf_factor": (positive(), not_positive()),
    "model.classes": (
        st.sampled_from(["0123456789", 9876543210, "ABCDEFGHIJKLMNOPQRSTUVWXYZ", string.digits + string.ascii_letters]),
        st.sampled_from(["", "1", "AA", "A B", "ab\x7f", "aé", None, [], ["a", "b"], {"a": 1}, "${nothing}"]),
    ),
    "model.blank": yes_or_no(),
    "model.init.gain": (positive(), not_positive()),
    "model.init.exponent": (among(0.0, 2.0), not_among(0.0, 2.0)),
    "model.init.bias": choice("zero", "random"),
    "model.init.coefficient": choice("fixed", "random"),
    "model.init.coefficient_value": (among(-1e30, 1e30), not_among(-1e30, 1e30)),
    "loss.name": choice("eq8", "eq9", "cross_entropy"),
    "loss.smoothing": (among(0.0, 0.9), st.one_of(not_among(0.0, 1.0), st.just(1.0))),
    "loss.j": (positive(), not_positive().filter(lambda value: not (isinstance(value, float) and value > LARGEST))),
    "loss.curvature": choice("exact", "eq8"),
    "loss.eq8_passes": (st.integers(0, 10**9), st.one_of(st.integers(max_value=-1), NO_COUNT, st.none())),
    "optim.name": choice("sdlm", "sgd", "adam", "adamw", "muon"),
    "optim.batch": (st.integers(1, 10**9), st.one_of(st.integers(max_value=0), NO_COUNT, st.none())),
    "optim.schedule": choice("paper", "constant", "cosine", "onecycle"),
    "optim.rate": (positive(), not_positive()),
    "optim.momentum": (among(0.0, 0.99), st.one_of(not_among(0.0, 1.0), st.just(1.0))),
    "optim.nesterov": yes_or_no(),
    "optim.weight_decay": (st.floats(0.0, LARGEST), not_among(0.0, LARGEST)),
    "optim.epsilon": (positive(), not_positive()),
    "optim.average": (among(0.0, 0.99), st.one_of(not_among(0.0, 1.0), st.just(1.0))),
    "optim.passes": (st.integers(1, 10**9), st.one_of(st.integers(max_value=0), NO_COUNT, st.none())),
    "optim.eta": (
        st.lists(positive(sys.float_info.max), min_size=1, max_size=3),
        st.one_of(
            st.sampled_from([[], None, 1e-4, "a", {"a": 1}, [None], [[1.0]], ["a"], "${seeds.0}"]),
            st.lists(not_positive(math.inf), min_size=1, max_size=2),
        ),
    ),
    "optim.eta_factor": (positive(), not_positive()),
    "optim.mu": (positive(), not_positive()),
    "optim.hessian_samples": (st.integers(1, 10**9), st.one_of(st.integers(max_value=0), NO_COUNT, st.none())),
    "optim.order": choice("constant", "reshuffled"),
    "optim.hessian": choice("each", "once", "mean"),
    "optim.cross_terms": choice("dropped", "subsampling", "kept"),
    "engine.name": choice("reference", "fused", "batched"),
    "engine.device": choice("cpu"),
    "engine.precision": choice("float32", "float64"),
    "engine.summation": (st.integers(0, 10**9), st.one_of(st.integers(max_value=-1), NO_COUNT, st.none())),
    "engine.workers": (st.integers(0, 10**9), st.one_of(st.integers(max_value=-1), NO_COUNT, st.none())),
}


def keys_of(node: object, prefix: str = "") -> list[str]:
    found = []
    for field in dataclasses.fields(node):  # type: ignore[arg-type]
        value = getattr(node, field.name)
        key = prefix + field.name
        found += keys_of(value, f"{key}.") if dataclasses.is_dataclass(value) else [key]
    return found


YES_OR_NO = ("resume", "force", "model.batch_norm", "model.blank", "optim.nesterov")


def test_every_key_is_here() -> None:
    assert sorted(KEYS) == sorted(keys_of(Config()))


def composed(values: dict[str, Any], by_hydra: bool) -> Config:
    """The configuration as the command line has it: by all of Hydra, or by what Hydra does with its values.

    Raises what the command makes a line of.
    """
    tree, key = OmegaConf.structured(Config), ""
    try:
        if by_hydra:
            with hydra.initialize_config_dir(composition.CONF, version_base="1.3"):
                tree = hydra.compose("config", [f"{key}={_word(value)}" for key, value in values.items()])
        else:
            for key, value in values.items():
                OmegaConf.update(tree, key, value, merge=True)
    except (*composition.FAILURES, ValueError, OverflowError) as error:
        raise HydraException(f"{composition.one_line(error)} (in {key or list(values)})") from None
    return composition.to_config(tree)


def _word(value: Any) -> str:
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    if isinstance(value, list):
        return "[" + ",".join(map(_word, value)) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_word(inner)}" for key, inner in value.items()) + "}"
    return json.dumps(value).replace("Infinity", "inf").replace("NaN", "nan")


def drawn(examples: int) -> Callable[[Callable[..., None]], Callable[[], None]]:
    """As many examples, the same every time."""
    unchecked = [HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(
        max_examples=examples, derandomize=True, deadline=None, database=None, suppress_health_check=unchecked
    )


VALID = st.fixed_dictionaries({}, optional={key: valid for key, (valid, _) in KEYS.items()})


@pytest.mark.parametrize("by", ["omegaconf", "hydra"])
def test_invalid(by: str, fault: Fault, tries: Tries, tmp_path: Path) -> None:
    """One wrong value among right ones."""
    with fault("configuration with one wrong value") as count:

        @drawn(tries(40, 1000) if by == "omegaconf" else tries(3, 50))
        @given(st.data())
        def refused(draw: st.DataObject) -> None:
            key = draw.draw(st.sampled_from(sorted(KEYS)))
            values = draw.draw(VALID) if by == "omegaconf" else {}
            values = {**fitting(values), key: draw.draw(KEYS[key][1])}
            with count.attempt({key: values[key]}):
                try:
                    config = composed(values, by == "hydra")
                except composition.FAILURES as error:
                    line = composition.one_line(error)
                    assert "\n" not in line and key.split(".")[-1] in line, f"does not name its key: {line}"
                else:
                    pytest.fail(f"accepted as {config}")

        refused()


def fitting(values: dict[str, Any]) -> dict[str, Any]:
    """The same with the values changed that no other choice goes with, or that no other reads (test_options.py)."""
    values = {key: value in (True, "yes") if key in YES_OR_NO else value for key, value in values.items()}
    settled = options.settled({"engine.name": "reference"} | values)
    return {key: settled[key] for key in {*values, "model.output", "loss.name", "model.blank", "windows.variants"}}


# A program of the fused engine takes seconds to compile; these few are compiled for other tests anyway.
COMPILED = {("sum", "float32", "dropped"), ("average", "float32", "dropped"), ("sum", "float64", "dropped")}


def test_valid(fault: Fault, tries: Tries, full: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two updates, at whatever rate: trained and recorded, or recorded as diverged."""
    random = np.random.default_rng(1998)
    images = random.integers(0, 256, (6, 28, 28), dtype=np.uint8)
    labels = np.array([3, 1, 4, 1, 5, 9])
    monkeypatch.setattr(sets, "read_mnist", lambda directory: (images, labels, images, labels))
    monkeypatch.setattr(sets, "read_digits", lambda: (images, labels, images, labels))
    monkeypatch.chdir(tmp_path)

    with fault("configuration of right values: two updates of training") as count:

        @drawn(tries(6, 250))
        @given(VALID)
        def trains(values: dict[str, Any]) -> None:
            with count.attempt(values):
                engine = values.get("engine.name", "reference")
                config = composed(fitting({**values, "engine.name": {"fused": "batched"}.get(engine, engine)}), False)
                program = (config.model.pooling, config.engine.precision, config.optim.cross_terms)
                if not config.is_modern() and program in (COMPILED if full else {("sum", "float32", "dropped")}):
                    config.engine.name = "fused"
                config.optim.passes = 1
                if config.optim.name == "sdlm":
                    config.optim.hessian_samples = min(3, config.optim.hessian_samples)
                few: Data = sets.subset(sets.load(config.data), 2, 0)
                config.data.train_size = None
                seed = config.seeds[0]
                try:
                    training.train_seed(config, few, seed, lambda progress: None)
                except NonFiniteError as error:
                    assert "\n" not in str(error)
                metrics = read_sealed(run_folder(config, seed) / "metrics.json")
                assert metrics["seed"] == seed and metrics["status"] in ("ok", "diverged")

        trains()


def test_sizes_too_large(fault: Fault, tries: Tries, monkeypatch: pytest.MonkeyPatch) -> None:
    digits = sets.read_digits()
    monkeypatch.setattr(sets, "read_digits", lambda: digits)
    with fault("configuration with more patterns than there are") as count:

        @drawn(tries(5, 100))
        @given(
            st.sampled_from(["train_size", "validation", "test_size"]),
            st.one_of(st.integers(1501, 2000), st.integers(1501, 10**30)),
        )
        def refused(key: str, value: int) -> None:
            line = rf"^data\.{key}={value}: must be at most"
            with count.attempt((key, value)), pytest.raises(ConfigError, match=line):
                sets.load(composed({"data.name": "digits", f"data.{key}": value}, False).data)

        refused()
