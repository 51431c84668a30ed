"""The second study of readings: what is measured of a run's parameters, and its table, from made numbers."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from synthetic_runs import call, clean_tree, train_here
from test_study import FIG5, Row, rows_of, run, write_runs

from paper_lenet.config import Config, DataConfig, EngineConfig, OptimConfig
from paper_lenet.config.studies import studies
from paper_lenet.data import load
from paper_lenet.engines import records, reference
from paper_lenet.files import csv_text, read_rows, write_atomic
from paper_lenet.paper.connections import TABLE_I
from paper_lenet.recovery.matching import match
from paper_lenet.reporting.results import TableError
from paper_lenet.reporting.tables import recipe
from paper_lenet.runs.parameters import COLUMNS, LAYERS, RATES, SIZES, rates, sizes

STUDY = studies()["recipe"]
NO_TEST: Row = {"split": "none", "test_size": 0}


def test_sizes_by_hand() -> None:
    c1 = np.stack([np.full((1, 5, 5), float(k)) for k in (1, 2, 3, 4, 5, -6)])
    found = sizes({"c1.weight": c1}, "c1")
    assert found["size"] == pytest.approx(math.sqrt(91 / 6))
    assert found["unlike"] == pytest.approx(math.sqrt(3.5) / 3.5)
    assert (found["smallest"], found["largest"]) == (-6, 5)
    assert sizes({"s4.coefficient": np.array([0.5, -0.5, 0.5])}, "s4")["unlike"] == 0


def test_maps_of_c3_are_those_of_table_i() -> None:
    """Kernels that are alike within a map: a map's root mean square is that of its kernels, however many it has."""
    of_map = TABLE_I.sum(0).numpy()
    kernels = np.repeat(np.arange(1.0, 17.0), of_map)[:, None, None] * np.ones((1, 5, 5))
    found = sizes({"c3.weight": kernels}, "c3")
    assert len(kernels) == 60
    assert found["unlike"] == pytest.approx(np.std(np.arange(1, 17), ddof=1) / 8.5)
    assert found["size"] == pytest.approx(math.sqrt((of_map * np.arange(1, 17) ** 2).sum() / 60))


def test_rates_are_told_apart_by_kind() -> None:
    eps = {"s2.coefficient": np.array([3.0, 1.0]), "s2.bias": np.array([7.0, 5.0])}
    assert rates(eps, "s2") == dict(zip(RATES, (1, 3, 5, 7), strict=True))


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Of runs that were trained, and of the weights of Fig. 13."""
    clean_tree(monkeypatch)
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, "parameters", "mine", "--results", "r") == 1
    assert "no finished runs here" in capsys.readouterr().err
    job = ["data=digits", "data.train_size=20", "data.test_size=0", "optim.passes=1", "engine=reference", "seeds=[1,2]"]
    assert train_here(monkeypatch, "name=mine", *job) == 0
    for name in ("mine", "fig13"):
        assert call(monkeypatch, "parameters", name, "--results", "r") == 0
    rows = read_rows(tmp_path / "r" / "parameters" / "mine.csv", COLUMNS, dict.fromkeys((*RATES, *SIZES), float))
    assert [(row["seed"], row["layer"]) for row in rows] == [(str(s), layer) for s in (1, 2) for layer in LAYERS]
    config = Config(
        data=DataConfig(name="digits", train_size=20, test_size=0),
        optim=OptimConfig(passes=1),
        engine=EngineConfig(name="reference"),
    )
    (record,) = records(reference.train(config, load(config.data), 2))
    of_seed = [row for row in rows if row["seed"] == "2"]
    assert min(float(row[of]) for row in of_seed for of in RATES) == pytest.approx(record.rate_min)
    assert max(float(row[of]) for row in of_seed for of in RATES) == pytest.approx(record.rate_max)
    assert float(of_seed[0]["smallest"]) == pytest.approx(float(record.state["c1.weight"].min()))
    assert 0 < float(of_seed[0]["match_1998"]) < 1
    assert of_seed[0]["match_others"] == rows[0]["match_others"] != ""  # of two, that of the one with the other
    of_1998 = read_rows(tmp_path / "r" / "parameters" / "fig13.csv", COLUMNS)
    assert [row["layer"] for row in of_1998] == ["c1", "s2", "c3", "s4"]
    assert float(of_1998[1]["smallest"]) == pytest.approx(0.11, abs=0.01)


def test_maps_match_in_any_order_and_sign() -> None:
    random = np.random.default_rng(0)
    a = random.normal(size=(6, 5000))
    assert match(a, -3 * a[::-1] + 1) == pytest.approx(1)
    assert match(a, random.normal(size=(6, 5000))) < 0.05
    half = a.copy()
    half[:3] = random.normal(size=(3, 5000))
    half[3] = 0.5  # dead
    assert match(a, half) == pytest.approx(2 / 6, abs=0.03)


def parameters(
    results: Path, name: str, runs: dict[tuple[str, int], float], rates: Mapping[str, float] | None = None
) -> None:
    """results/parameters/<name>.csv, in which all sizes of a run are its number, and rates the published times that of
    its fingerprint.

    S2 and S4 have a rate beyond that range.
    """
    rows = [
        {"name": name, "fingerprint": fingerprint, "seed": seed, "layer": layer, "size": size, "unlike": size,
         "weight_rate_min": 7e-5 * rate, "weight_rate_max": 0.016 * rate, "bias_rate_max": 0.001,
         "bias_rate_min": 7e-6 * rate if layer in ("s2", "s4") else 1e-3}
        for (fingerprint, seed), size in runs.items() for rate in [(rates or {}).get(fingerprint, 1.0)]
        for layer in LAYERS
    ]  # fmt: skip
    write_atomic(results / "parameters" / f"{name}.csv", csv_text(COLUMNS, rows))


def curve(factor: float) -> list[float]:
    return [factor * error for error in FIG5]


def test_table_by_curve(tmp_path: Path) -> None:
    """The lead (a) is 10 % off, over six seeds; b, with j = 3, is right; the quarter (c) has lost one of two runs."""
    base: Row = {**NO_TEST, "optim.eta_factor": 1.0, "loss.name": "eq9", "loss.j": 1.0}
    factors = [1.1 + by for by in (-0.2, -0.1, 0.1, 0.2, 0.0, 0.0)]
    rows = [run("a", 2000 + k, **base) for k in range(6)] + [
        run("b", 2000 + k, **base | {"loss.j": 3.0}) for k in (0, 1)
    ]
    lost = {"status": "diverged", "passes": 0, "train_error_percent": None, "train_size": None}
    rows += [run("c", 2000, **base | {"optim.eta_factor": 0.25})]
    rows += [run("c", 2001, **base | {"optim.eta_factor": 0.25} | lost)]
    curves = {("a", 2000 + k): curve(factor) for k, factor in enumerate(factors)}
    curves |= {("b", 2000): curve(0.9), ("b", 2001): curve(1.1), ("c", 2000): curve(1.0)}
    write_runs(tmp_path, "recipe", rows, curves)
    keys = [(row["fingerprint"], row["seed"]) for row in rows]
    parameters(tmp_path, "recipe", dict.fromkeys(keys, 1.0), dict.fromkeys("abc", math.exp(0.1)))
    parameters(tmp_path, "fig13", {("1998", 0): 1.0})
    table = recipe.table(tmp_path, STUDY)
    assert [row[0] for row in table.rows] == ["the paper", "loss.j=3", "the lead", "optim.eta_factor=0.25"]
    found = rows_of(table)
    assert [row["D"] for row in found.values()] == ["-", "0.000", number(math.log(1.1)), "0.000"]
    assert found["the lead"]["R without S2, S4"] == "0.100"
    # 7e-6 e^0.1 against 7e-5: ln 10 - 0.1 at one end, 0.1 at the other
    assert found["the lead"]["R"] == number(math.sqrt(((math.log(10) - 0.1) ** 2 + 0.01) / 2))
    # the quarter's are those at the printed eta: four times as large
    assert found["optim.eta_factor=0.25"]["R without S2, S4"] == number(math.log(4) + 0.1)
    apart = [abs(math.log(f / ((sum(factors) - f) / 5))) for f in factors]
    bound = np.mean(apart) + stats.t.ppf(0.95, 5) * np.std(apart, ddof=1) * math.sqrt(1 + 1 / 6)
    assert found["the lead"]["one run's D at most"] == number(bound)
    assert found["loss.j=3"]["one run's D at most"] == "-"
    assert [row["further than the nearest"] for row in found.values()][:3] == ["-", "-", "no"]
    low, high = map(float, found["the lead"]["D, 95 %"].split(" to "))
    assert low < 0.095 < high < 0.25


def number(value: Any) -> str:
    return f"{value:.3f}"


def test_a_reading_that_is_further_off_than_draws_explain(tmp_path: Path) -> None:
    base: Row = {**NO_TEST, "optim.eta_factor": 1.0, "loss.name": "eq9", "loss.j": 1.0}
    rows = [run(name, seed, **base | {"loss.j": j}) for name, j in (("a", 1.0), ("b", 3.0)) for seed in (1, 2)]
    curves = {("a", 1): curve(1.1), ("a", 2): curve(1.12), ("b", 1): curve(1.5), ("b", 2): curve(1.52)}
    write_runs(tmp_path, "recipe", rows, curves)
    parameters(tmp_path, "recipe", dict.fromkeys(curves, 1.0))
    parameters(tmp_path, "fig13", {("1998", 0): 1.0})
    column = "further than the nearest"
    assert [row[column] for row in rows_of(recipe.table(tmp_path, STUDY)).values()] == ["-", "-", "yes"]
    # One whose rates are not the published ones is not the nearest, however near it comes.
    rows += [run("c", seed, **base | {"loss.j": 2.0}) for seed in (1, 2)]
    curves |= {("c", 1): curve(1.0), ("c", 2): curve(1.0)}
    write_runs(tmp_path, "recipe", rows, curves)
    parameters(tmp_path, "recipe", dict.fromkeys(curves, 1.0), {"c": math.exp(0.3)})
    found = rows_of(recipe.table(tmp_path, STUDY))
    assert [(name, row[column]) for name, row in found.items()][1:] == [
        ("loss.j=2", "no"),
        ("the lead", "-"),
        ("loss.j=3", "yes"),
    ]


def test_table_by_weights(tmp_path: Path) -> None:
    """W is ln 2 where all sizes are twice those of 1998, and the mean of the seeds is what is compared."""
    base: Row = {**NO_TEST, "windows.variants": 20, "model.blank": True, "loss.name": "eq9", "loss.j": 1.0}
    rows = [run(name, seed, **base | {"loss.j": j}) for name, j in (("a", 1.0), ("b", 3.0)) for seed in (1, 2)]
    sizes_of = {("a", 1): 0.8, ("a", 2): 1.2, ("b", 1): 1.0, ("b", 2): 3.0}
    write_runs(tmp_path, "recipe", rows, {key: FIG5 for key in sizes_of})
    parameters(tmp_path, "recipe", sizes_of)
    parameters(tmp_path, "fig13", {("1998", 0): 1.0})
    found = rows_of(recipe.table(tmp_path, STUDY))
    assert list(found) == ["the network of Fig. 13", "the lead", "loss.j=3"]
    assert [row["W"] for row in found.values()] == ["-", "0.000", number(math.log(2))]
    # of two readings the lead is the one at the printed rates
    rows = [run(name, 1, **base | {"optim.eta_factor": eta}) for name, eta in (("a", 0.25), ("b", 1.0))]
    write_runs(tmp_path, "recipe", rows, {(name, 1): FIG5 for name in "ab"})
    parameters(tmp_path, "recipe", {("a", 1): 1.0, ("b", 1): 2.0})
    found_of_two = rows_of(recipe.table(tmp_path, STUDY))
    assert list(found_of_two) == ["the network of Fig. 13", "optim.eta_factor=0.25", "the lead"]
    assert found["loss.j=3"]["C3, unlike"] == "2.000"


def test_readings_with_test_errors_and_runs_without_parameters_are_refused(tmp_path: Path) -> None:
    base: Row = {"optim.eta_factor": 1.0}
    write_runs(tmp_path, "recipe", [run("a", 1, 0.9, **base)], {("a", 1): FIG5})
    with pytest.raises(TableError, match="without the test set"):
        recipe.table(tmp_path, STUDY)
    write_runs(tmp_path, "recipe", [run("a", 1, **NO_TEST | base)], {("a", 1): FIG5})
    parameters(tmp_path, "recipe", {("a", 2): 1.0})
    parameters(tmp_path, "fig13", {("1998", 0): 1.0})
    with pytest.raises(TableError, match="lack seed 1"):
        recipe.table(tmp_path, dataclasses.replace(STUDY))
