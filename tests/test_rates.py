"""Effective rates by layer: what an engine uses, in a file, in a figure."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic_runs import call, clean_tree

from paper_lenet.config import Config, DataConfig, EngineConfig, OptimConfig
from paper_lenet.data import load
from paper_lenet.engines import records, reference
from paper_lenet.reporting.figures import common
from paper_lenet.reporting.figures.rates import rates
from paper_lenet.reporting.results import TableError
from paper_lenet.runs.rates import LAYERS, by_layer, measure


def config() -> Config:
    return Config(
        data=DataConfig(name="digits", train_size=20, test_size=0),
        optim=OptimConfig(passes=2, hessian_samples=4),
        engine=EngineConfig(name="reference"),
    )


def test_smallest_and_largest_are_those_of_the_passes() -> None:
    rows = measure(config(), 3)
    assert [(row["pass"], row["layer"]) for row in rows] == [(p, layer) for p in (1, 2) for layer in LAYERS]
    trained = list(records(reference.train(config(), load(config().data), 3)))
    for record in trained:
        of_pass = [row for row in rows if row["pass"] == record.pass_]
        assert min(row["min"] for row in of_pass) == record.rate_min
        assert max(row["max"] for row in of_pass) == record.rate_max
        assert all(row["min"] <= row["median"] <= row["max"] and row["eta"] == record.eta for row in of_pass)


def test_layers_are_told_apart() -> None:
    memory = {f"{layer}.{kind}": np.array([k + 1.0] * n) for k, layer in enumerate(LAYERS) for kind, n in
              (("weight", 3), ("bias", 1))}  # fmt: skip
    memory["c3.bias"] = np.array([9.0])
    found = by_layer(memory)
    assert found["c1"] == (1, 1, 1) and found["c3"] == (3, 3, 9) and list(found) == list(LAYERS)


def test_command_and_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clean_tree(monkeypatch)
    monkeypatch.setitem(common.STYLE, "svg.fonttype", "none")
    for wrong, message in (
        ("optim=adam", "the training of 1998"),
        ("engine=batched", "engine=fused"),
        ("optim.nothing=1", "nothing"),
    ):
        assert call(monkeypatch, "rates", wrong, "--results", tmp_path) == 1
        error = capsys.readouterr().err
        assert error.startswith("rates: ") and message in error and error.count("\n") == 1
    overrides = ("data=digits", "data.train_size=20", "data.test_size=0", "optim.passes=2", "seeds=[4]")
    assert call(monkeypatch, "rates", *overrides, "--results", tmp_path) == 0
    rows = list(csv.DictReader((tmp_path / "rates-digits.csv").open(encoding="utf-8")))
    assert len(rows) == 2 * len(LAYERS) and {row["seed"] for row in rows} == {"4"}
    assert {row["commit"] for row in rows} == {"c0ffee" * 6 + "c0de"}
    svg = (tmp_path / "figures" / "rates-digits.svg").read_text(encoding="utf-8")
    assert "data set digits, not MNIST" in svg and "paper, first pass" in svg
    assert rates(tmp_path, "rates-digits") == {path: path.read_bytes() for path in (tmp_path / "figures").iterdir()}


def test_damaged_files(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="cannot be read"):
        rates(tmp_path)
    (tmp_path / "rates.csv").write_text("name,seed\na,1\n", encoding="utf-8")
    with pytest.raises(TableError, match="no column dataset"):
        rates(tmp_path)
    header = ",".join(pd.Index(["name", "seed"]))
    (tmp_path / "rates.csv").write_text(header + "\n", encoding="utf-8")
    with pytest.raises(TableError, match="no column"):
        rates(tmp_path)
