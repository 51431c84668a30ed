"""The search of settings on hold-out images: its rows, its finals, its table, and what goes on where it was left."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd
import pytest
from synthetic_runs import ROOT

from paper_lenet.commands import entry, search
from paper_lenet.commands.composition import compose
from paper_lenet.commands.search import Search, of_finals, search_of
from paper_lenet.commands.sweeps import override
from paper_lenet.files import csv_text, write_atomic
from paper_lenet.reporting.results import TableError
from paper_lenet.reporting.tables.search import COLUMNS
from paper_lenet.reporting.tables.search import search as table

pytest.importorskip("optuna")
TINY = Search(
    name="tiny",
    overrides=["optim=sgd", "engine=reference", "data=digits", "data.train_size=20", "data.validation=50",
               "optim.passes=1"],
    trials=3,
    startup=2,
    finalists=2,
    finals=["optim.passes=2"],
    seeds=[1, 2],
    space={"optim.rate": {"low": 0.001, "high": 0.01, "log": True}, "optim.nesterov": [False, True]},
)  # fmt: skip


def test_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(search, "search_of", lambda path: TINY)
    monkeypatch.setattr(search, "cores", lambda: 1)
    options = ["tiny.yaml", "--results", str(tmp_path), "--output", str(tmp_path / "kept")]
    monkeypatch.setattr("sys.argv", ["search", *options])
    assert entry.run("search") == 0
    rows = pd.read_csv(tmp_path / "search.csv")
    trials, finals = (rows[rows["part"] == part] for part in ("trials", "finals"))
    assert list(trials["trial"]) == [0, 1, 2] and list(trials["seed"]) == [8200, 8201, 8202]
    assert (trials["passes"] == 1).all() and (finals["passes"] == 2).all()
    best = trials.sort_values(["validation_error_percent", "trial"])["trial"].iloc[:2]
    assert sorted(zip(finals["trial"], finals["seed"], strict=True)) == [(t, s) for t in sorted(best) for s in (1, 2)]
    # the settings of a row are those that were trained with
    again = compose([*TINY.overrides, *trials["settings"].iloc[0].split()])
    assert 0.001 <= again.optim.rate <= 0.01
    means = finals.groupby("settings")["validation_error_percent"].mean()
    assert capsys.readouterr().out.splitlines()[-1].endswith(f"best: {means.idxmin()}")
    before = (tmp_path / "search.csv").read_bytes()
    assert entry.run("search") == 0
    assert (tmp_path / "search.csv").read_bytes() == before
    # and elsewhere, by its rows alone
    monkeypatch.setattr(search, "search_of", lambda path: dataclasses.replace(TINY, trials=4))
    monkeypatch.setattr("sys.argv", ["search", *options[:-1], str(tmp_path / "elsewhere")])
    assert entry.run("search") == 0
    again = pd.read_csv(tmp_path / "search.csv")
    assert list(again[again["part"] == "trials"]["trial"]) == [0, 1, 2, 3]
    assert again["errors"].astype(str).str.split().map(len).eq(again["passes"]).all()
    monkeypatch.setattr(search, "search_of", lambda path: TINY)
    finals = again[again["part"] == "finals"]
    means = finals.groupby("settings")["validation_error_percent"].mean()
    chosen = finals.loc[finals["settings"] == means.idxmin(), "trial"].iloc[0]
    assert table(tmp_path).rows[0][0] == f"tiny {chosen}"


def test_a_search_never_looks_at_the_test_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    left = [each for each in TINY.overrides if "validation" not in each]
    monkeypatch.setattr(search, "search_of", lambda path: dataclasses.replace(TINY, overrides=left))
    monkeypatch.setattr("sys.argv", ["search", "tiny.yaml", "--results", str(tmp_path), "--output", str(tmp_path)])
    assert entry.run("search") == 1
    assert "without data.validation" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_searches_of_the_repository() -> None:
    """Every setting of a space is one that can be trained with, and no image of the test set is looked at."""
    for path in (ROOT / "experiments" / "searches").glob("*.yaml"):
        of_file = search_of(path)
        ends = {key: values if isinstance(values, list) else [values["low"], values["high"]]
                for key, values in of_file.space.items()}  # fmt: skip
        for k in range(max(map(len, ends.values()))):
            settings = [override(key, values[k % len(values)]) for key, values in ends.items()]
            assert compose([*of_finals(of_file), *settings]).data.validation == 10_000
        assert 8200 + of_file.trials < 9000 and max(of_file.seeds) < 8200
    with pytest.raises(search.ConfigError, match=r"^bset.yaml: .*No such file"):
        search_of(Path("bset.yaml"))


def test_finals_have_intervals(tmp_path: Path) -> None:
    row = dict.fromkeys(COLUMNS, "x") | {"search": "a", "trial": 3, "passes": 30, "state": "complete", "dirty": False}
    row |= {"validation_error_percent": 0.7, "seconds": 1.0}
    write_atomic(tmp_path / "search.csv", csv_text(COLUMNS, [row | {"part": "trials", "seed": 1}]))
    assert table(tmp_path).rows == [["a 3", "0.700", "-", "-", "x"]]
    assert "finals not run yet" in " ".join(table(tmp_path).notes)
    rows = [row | {"part": "trials", "seed": 1}, row | {"part": "finals", "seed": 2}]
    write_atomic(tmp_path / "search.csv", csv_text(COLUMNS, rows))
    with pytest.raises(TableError, match="a, trial 3: one seed has no interval"):
        table(tmp_path)


@pytest.mark.parametrize("name", ["best", "best-distorted"])
def test_the_best_recipes_are_those_that_the_searches_chose(name: str) -> None:
    """But for the passes, and as many distorted copies as there may be."""
    searched = search_of(ROOT / "experiments" / "searches" / f"{name}.yaml")
    settings = search.best(searched, ROOT / "results" / "search.csv").split()
    change = compose(["experiment=modern", f"change={name}"])
    longer = [f"optim.passes={change.optim.passes}", "data.validation=0"]
    longer += ["distort.variants=99"] if name == "best-distorted" else []
    expected = compose(of_finals(dataclasses.replace(searched, finals=[*longer, *settings])))
    assert dataclasses.replace(expected, label=change.label).fingerprint() == change.fingerprint()
