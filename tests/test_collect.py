"""Only complete, consistent runs of committed code become results."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from synthetic_runs import begun, call, clean_tree, config, data, record, reseal, write_runs

from paper_lenet.config.schema import defaults, first_defaults
from paper_lenet.engines import NonFiniteError
from paper_lenet.files import json_text, sealed
from paper_lenet.reporting.tables.common import origin
from paper_lenet.runs.collect import RUN_COLUMNS, CollectError, collect
from paper_lenet.runs.environment import UNKNOWN
from paper_lenet.runs.records import job_folder, run_folder, write_job


@pytest.fixture(autouse=True)
def committed(monkeypatch: pytest.MonkeyPatch) -> None:
    clean_tree(monkeypatch)


def refusal(folder: Path) -> str:
    """The one line with which a folder is refused; nothing may have been written."""
    results = folder.parents[1] / "results"
    with pytest.raises(CollectError) as error:
        collect(folder, results)
    assert "\n" not in str(error.value)
    assert not results.exists()
    return str(error.value)


def outputs(tmp_path: Path) -> Path:
    return tmp_path / "outputs"


def test_three_files_and_the_environments(tmp_path: Path) -> None:
    write_runs(config(outputs(tmp_path), [10, 2]), [95, 90])
    results = tmp_path / "results"
    written, unfinished = collect(outputs(tmp_path) / "lenet5", results)
    assert unfinished == []
    assert sorted(str(path.relative_to(results)) for path in written) == [
        *("curves/lenet5.csv", "env/lenet5.json", "errors/lenet5.csv", "runs/lenet5.csv")
    ]
    runs = pd.read_csv(results / "runs" / "lenet5.csv")
    assert list(runs["seed"]) == [2, 10]
    assert list(runs["test_error_percent"]) == [0.9, 0.95]
    curves = pd.read_csv(results / "curves" / "lenet5.csv")
    assert list(curves.columns[:4]) == ["name", "fingerprint", "seed", "pass"]
    assert len(curves) == 4
    errors = pd.read_csv(results / "errors" / "lenet5.csv")
    assert list(errors.groupby("seed").size()) == [90, 95]
    (environment,) = json.loads((results / "env" / "lenet5.json").read_text(encoding="utf-8"))
    assert environment["runs"] == 2

    before = {path: path.read_bytes() for path in written}
    collect(outputs(tmp_path) / "lenet5", results)
    assert {path: path.read_bytes() for path in written} == before


def test_other_data_sets_get_their_own_name(tmp_path: Path) -> None:
    write_runs(config(outputs(tmp_path), [0]), [95])
    write_runs(config(outputs(tmp_path), [0], dataset="digits"), [5])
    results = tmp_path / "results"
    collect(outputs(tmp_path) / "lenet5", results)
    digits = pd.read_csv(results / "runs" / "lenet5-digits.csv")
    assert list(digits["name"]) == ["lenet5-digits"]
    assert list(pd.read_csv(results / "runs" / "lenet5.csv")["dataset"]) == ["mnist"]


def test_sweep_has_the_fields_that_differ(tmp_path: Path) -> None:
    for factor in (0.25, 1.0):
        write_runs(config(outputs(tmp_path), [0, 1], eta_factor=factor), [95, 90])
    collect(outputs(tmp_path) / "lenet5", tmp_path / "results")
    runs = pd.read_csv(tmp_path / "results" / "runs" / "lenet5.csv")
    assert runs.columns[-2:].tolist() == ["optim.eta_factor", "optim.cross_terms"]
    others = {key for key, value in defaults().items() if value != first_defaults()[key]}
    assert set(runs.columns) - set(RUN_COLUMNS) == {"optim.passes", "optim.eta_factor", *others}
    assert sorted(runs["optim.eta_factor"]) == [0.25, 0.25, 1.0, 1.0]

    chosen = config(outputs(tmp_path), [0], eta_factor=0.25).fingerprint()
    collect(outputs(tmp_path) / "lenet5", tmp_path / "results", fingerprint=chosen)
    runs = pd.read_csv(tmp_path / "results" / "runs" / "lenet5.csv")
    assert set(runs["fingerprint"]) == {chosen}
    assert "optim.eta_factor" not in runs


def test_diverged_runs_are_rows(tmp_path: Path) -> None:
    job = config(outputs(tmp_path), [0])
    write_job(job)
    begun(job, 0).diverged(NonFiniteError(0, 1, 17))
    collect(outputs(tmp_path) / "lenet5", tmp_path / "results")
    row = pd.read_csv(tmp_path / "results" / "runs" / "lenet5.csv").iloc[0]
    assert (row["status"], row["diverged_at"]) == ("diverged", "pass 1 update 17")
    assert pd.isna(row["test_error_percent"])


def test_missing_seeds(tmp_path: Path) -> None:
    write_runs(config(outputs(tmp_path), [0]), [95])
    job = config(outputs(tmp_path), [0, 3, 4])
    write_job(job)
    assert refusal(outputs(tmp_path) / "lenet5") == (
        f"{outputs(tmp_path) / 'lenet5'}: 2 of 3 planned runs have not ended (--partial takes the others): "
        f"optim.passes=2 ({job.fingerprint()}), seeds 3, 4"
    )
    written, unfinished = collect(outputs(tmp_path) / "lenet5", tmp_path / "results", partial=True)
    assert unfinished == [str(run_folder(job, seed)) for seed in (3, 4)]
    assert list(pd.read_csv(tmp_path / "results" / "runs" / "lenet5.csv")["seed"]) == [0]
    assert len(written) == 4


def test_half_written_run(tmp_path: Path) -> None:
    job, held_out = config(outputs(tmp_path), [0, 1]), data()
    write_runs(job, [95, 90])
    begun(job, 1).add(record(1, 1, held_out, 200))
    assert "1 of 2 planned runs have not ended" in refusal(outputs(tmp_path) / "lenet5")
    _, unfinished = collect(outputs(tmp_path) / "lenet5", tmp_path / "results", partial=True)
    assert unfinished == [str(run_folder(job, 1))]
    assert list(pd.read_csv(tmp_path / "results" / "runs" / "lenet5.csv")["seed"]) == [0]
    assert set(pd.read_csv(tmp_path / "results" / "curves" / "lenet5.csv")["seed"]) == {0}
    (run_folder(job, 0) / "metrics.json").unlink()
    shutil.rmtree(tmp_path / "results")
    assert "no finished run" in refusal(outputs(tmp_path) / "lenet5")


def test_interrupted_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Whose second configuration has not begun and whose third has a label."""
    write_runs(config(outputs(tmp_path), [0, 1]), [95, 90])
    write_job(config(outputs(tmp_path), [0, 1], eta_factor=0.5))
    write_job(config(outputs(tmp_path), [0, 1], eta_factor=4.0, label="fast"))
    folder, results = outputs(tmp_path) / "lenet5", tmp_path / "results"
    assert call(monkeypatch, "collect", folder, "--results", results) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"collect: {folder}: 4 of 6 planned runs have not ended (--partial takes the others): ")
    assert re.search(r"optim\.passes=2, optim\.eta_factor=0\.5 \([0-9a-f]{12}\), seeds 0, 1", line)
    assert re.search(r"fast \([0-9a-f]{12}\), seeds 0, 1", line)
    assert not results.exists()
    assert call(monkeypatch, "collect", folder, "--results", results, "--partial") == 0
    assert "left out, not finished" in capsys.readouterr().err
    assert len(pd.read_csv(results / "runs" / "lenet5.csv")) == 2


def test_job_file_of_an_earlier_version(tmp_path: Path) -> None:
    job = config(outputs(tmp_path), [0])
    write_runs(job, [95])
    path = job_folder(job) / "job.json"
    path.write_text(json_text(sealed({"name": "lenet5", "seeds": [0, 1]})), encoding="utf-8")
    assert refusal(outputs(tmp_path) / "lenet5").endswith(f"the others): ({job.fingerprint()}), seeds 1")


def test_duplicate(tmp_path: Path) -> None:
    job = config(outputs(tmp_path), [0])
    write_runs(job, [95])
    folder = run_folder(job, 0)
    shutil.copytree(folder, folder.with_name("seed-0-copy"))
    assert "a duplicate of seed 0" in refusal(outputs(tmp_path) / "lenet5")


def test_copy_in_the_place_of_another_seed(tmp_path: Path) -> None:
    job = config(outputs(tmp_path), [0, 1])
    write_runs(job, [95, 90])
    shutil.rmtree(run_folder(job, 1))
    shutil.copytree(run_folder(job, 0), run_folder(job, 1))
    assert "duplicate" in refusal(outputs(tmp_path) / "lenet5")


def test_dirty_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clean_tree(monkeypatch, dirty=True)
    write_runs(config(outputs(tmp_path), [0]), [95])
    why = "uncommitted changes in the code; --allow-dirty"
    assert why in refusal(outputs(tmp_path) / "lenet5")
    collect(outputs(tmp_path) / "lenet5", tmp_path / "results", allow_dirty=True)
    assert list(pd.read_csv(tmp_path / "results" / "runs" / "lenet5.csv")["dirty"]) == [True]


def test_code_without_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of an archive: nothing is said of changes, which nobody knows of; the columns are the same."""
    clean_tree(monkeypatch, dirty=True, commit=UNKNOWN)
    write_runs(config(outputs(tmp_path), [0, 1]), [95, 94])
    message = refusal(outputs(tmp_path) / "lenet5")
    assert "seed-0 and 1 more: the commit of its code is unknown (no git repository, or no git); --allow-d" in message
    collect(outputs(tmp_path) / "lenet5", tmp_path / "results", allow_dirty=True)
    runs = pd.read_csv(tmp_path / "results" / "runs" / "lenet5.csv")
    assert (list(runs["commit"]), list(runs["dirty"])) == (["unknown"] * 2, [True] * 2)
    assert origin(runs).startswith("Commit unknown (no git repository); runs of ")
    runs.loc[0, "commit"] = "c0ffee" * 6 + "c0de"
    assert origin(runs).startswith(
        "Commit c0ffeec0ffee, unknown (no git repository) with uncommitted changes; runs of "
    )


def test_edited_configuration(tmp_path: Path) -> None:
    job = config(outputs(tmp_path), [0])
    write_runs(job, [95])
    path = run_folder(job, 0) / "config.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("eta_factor: 1.0", "eta_factor: 0.5"), encoding="utf-8")
    assert "config.yaml: changed" in refusal(outputs(tmp_path) / "lenet5")
    reseal(run_folder(job, 0))
    assert "not its folder's" in refusal(outputs(tmp_path) / "lenet5")
    for wrong in (text.replace("passes: 2", "passes: 0"), text + "more: 1\n", "a: [", ""):
        path.write_text(wrong, encoding="utf-8")
        reseal(run_folder(job, 0))
        assert "seed-0" in refusal(outputs(tmp_path) / "lenet5")


@pytest.mark.parametrize(("key", "value"), [("seed", 5), ("dataset", "digits"), ("test_errors", 90), ("passes", 3)])
def test_edited_metrics(tmp_path: Path, key: str, value: object) -> None:
    job = config(outputs(tmp_path), [0])
    write_runs(job, [95])
    path = run_folder(job, 0) / "metrics.json"
    sound = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**sound, key: value}), encoding="utf-8")
    assert "metrics.json: damaged" in refusal(outputs(tmp_path) / "lenet5")
    path.write_text(json.dumps(sound), encoding="utf-8")
    reseal(run_folder(job, 0), **{key: value})
    assert f"{key}={value}" in refusal(outputs(tmp_path) / "lenet5")


def test_lost_file(tmp_path: Path) -> None:
    job = config(outputs(tmp_path), [0])
    write_runs(job, [95])
    (run_folder(job, 0) / "errors.csv").unlink()
    assert "errors.csv: cannot be read" in refusal(outputs(tmp_path) / "lenet5")


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    folder, results = outputs(tmp_path) / "lenet5", tmp_path / "results"
    assert call(monkeypatch, "collect", folder, "--results", results) == 1
    assert capsys.readouterr().err == f"collect: {folder}: no runs here\n"
    write_runs(config(outputs(tmp_path), [0]), [95])
    assert call(monkeypatch, "collect", folder, "--results", results) == 0
    assert (results / "runs" / "lenet5.csv").exists()
