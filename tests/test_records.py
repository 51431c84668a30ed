"""What a run leaves behind: complete or recognisably incomplete, never a half of a file."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file
from synthetic_runs import ROOT, begun, config, data, record, write_runs

from paper_lenet.engines import NonFiniteError
from paper_lenet.files import RecordError, add_rows, digest_of, read_rows, read_tensors, write_atomic
from paper_lenet.runs import environment
from paper_lenet.runs.collect import RUN_COLUMNS
from paper_lenet.runs.records import run_folder, write_job


def metrics_of(folder: Path) -> dict[str, object]:
    return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))


def test_finished_run(tmp_path: Path) -> None:
    job = config(tmp_path, [3, 4])
    write_runs(job, [95, 90])
    folder = run_folder(job, 3)
    assert folder == tmp_path / "lenet5" / job.fingerprint() / "seed-3"
    assert sorted(path.name for path in folder.iterdir()) == [
        *(
            "config.yaml",
            "environment.json",
            "errors.csv",
            "metrics.json",
            "passes.csv",
            "weights.safetensors",
        )
    ]
    metrics = metrics_of(folder)
    assert tuple(metrics) == (*RUN_COLUMNS, "files", "sha256")
    expected = {
        "seed": 3,
        "passes": 2,
        "status": "ok",
        "diverged_at": "",
        "test_errors": 95,
        "test_error_percent": 0.95,
        "train_error_percent": 0.35,
        "training_set_error_percent": 0.25,
        "rate_max_pass1": 0.016,
        "seconds": 6.0,
        "microseconds_per_update": 50.0,
    }
    assert {key: metrics[key] for key in expected} == expected
    weights = read_tensors(folder / "weights.safetensors")[1]
    assert metrics["weights"] == digest_of(weights)
    name, values = weights.popitem()
    assert metrics["weights"] != digest_of({**weights, name: np.nextafter(values, values + 1)})
    passes = pd.read_csv(folder / "passes.csv")
    assert list(passes["pass"]) == [1, 2]
    assert list(passes["train_error_percent"]) == [5.0, 0.35]
    errors = pd.read_csv(folder / "errors.csv")
    assert len(errors) == 95
    assert tuple(errors.iloc[12]) == (12, 2, 3)


def test_metrics_are_written_last_and_removed_first(tmp_path: Path) -> None:
    job, held_out = config(tmp_path, [0]), data()
    write_runs(job, [95])
    folder = run_folder(job, 0)
    again = begun(job, 0)
    assert not (folder / "metrics.json").exists()
    assert not (folder / "passes.csv").exists()
    again.add(record(0, 1, held_out, 100))
    assert len(pd.read_csv(folder / "passes.csv")) == 1
    assert not (folder / "metrics.json").exists()
    again.finish()
    times = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert max(times, key=lambda name: times[name]) == "metrics.json"
    assert metrics_of(folder)["training_set_error_percent"] is None


def test_finish_needs_a_pass(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="without a pass"):
        begun(config(tmp_path, [0]), 0).finish()


@pytest.mark.parametrize("passes_before", [0, 1])
def test_non_finite_run(tmp_path: Path, passes_before: int) -> None:
    job, held_out = config(tmp_path, [0]), data()
    writer = begun(job, 0)
    for pass_ in range(1, passes_before + 1):
        writer.add(record(0, pass_, held_out, 9000, 54_000))
    writer.diverged(NonFiniteError(0, passes_before + 1, 17))
    metrics = metrics_of(writer.folder)
    assert metrics["status"] == "diverged"
    assert metrics["diverged_at"] == f"pass {passes_before + 1} update 17"
    assert metrics["passes"] == passes_before
    assert metrics["test_error_percent"] is None
    assert len(pd.read_csv(writer.folder / "passes.csv")) == passes_before
    assert not (writer.folder / "weights.safetensors").exists()


@pytest.mark.parametrize(
    ("train_size", "passes", "on_all", "status"),
    [
        (60_000, 1, 51_000, "diverged"),
        (60_000, 1, 50_999, "ok"),
        # not trained for as long as one pass of the paper
        (59_999, 1, 59_999, "ok"),
        (30_000, 2, 27_000, "diverged"),
        (1000, 1, 900, "ok"),
    ],
)
def test_what_ends_at_guessing_has_diverged(
    tmp_path: Path, train_size: int, passes: int, on_all: int, status: str
) -> None:
    writer, held_out = begun(config(tmp_path, [0]), 0), data()
    for pass_ in range(1, passes + 1):
        # the error on the fly decides nothing
        writer.add(replace(record(0, pass_, held_out, 9000, 50, on_all=on_all), train_size=train_size))
    assert bool(writer.finish()) == (status == "diverged")
    metrics = metrics_of(writer.folder)
    assert (metrics["status"], metrics["test_error_percent"], metrics["diverged_at"]) == (status, 90.0, "")


def test_loss_that_is_not_finite_is_divergence(tmp_path: Path) -> None:
    job, held_out = config(tmp_path, [0]), data()
    writer = begun(job, 0)
    writer.add(replace(record(0, 1, held_out, 95), train_loss=float("nan"), rate_max=float("inf")))
    assert writer.finish() == "diverged: its loss is not finite in pass 1"
    metrics = metrics_of(writer.folder)
    assert (metrics["status"], metrics["diverged_at"], metrics["rate_max_pass1"]) == ("diverged", "pass 1", None)


def test_weights_round_trip_with_reproducible_bytes(tmp_path: Path) -> None:
    jobs = [config(tmp_path / place, [7]) for place in ("a", "b")]
    files = []
    for job in jobs:
        write_runs(job, [95])
        files.append(run_folder(job, 7) / "weights.safetensors")
    assert files[0].read_bytes() == files[1].read_bytes()
    state = load_file(files[0])
    np.testing.assert_array_equal(state["c1.weight"], np.full((6, 1, 5, 5), 7, np.float32))
    np.testing.assert_array_equal(state["c1.bias"], np.arange(6, dtype=np.float32))
    with safe_open(files[0], "numpy") as file:
        assert json.loads(file.metadata()["run"])["seed"] == 7


def test_jobs_of_one_configuration_share_their_list_of_seeds(tmp_path: Path) -> None:
    write_job(config(tmp_path, [4, 1]))
    job = config(tmp_path, [1, 2])
    write_job(job)
    assert json.loads((run_folder(job, 1).parent / "job.json").read_text(encoding="utf-8"))["seeds"] == [1, 2, 4]


def test_damaged_job_file(tmp_path: Path) -> None:
    job = config(tmp_path, [1])
    write_job(job)
    path = run_folder(job, 1).parent / "job.json"
    path.write_text("{", encoding="utf-8")
    with pytest.raises(RecordError, match=r"job\.json: cannot be read") as error:
        write_job(job)
    assert "\n" not in str(error.value)


ADDING = """
import sys
from pathlib import Path
from paper_lenet.files import add_rows
path, name = Path(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
for k in range(30):
    add_rows(path, ("who", "k", "text"), ("who", "k"), [{"who": name, "k": k % 20, "text": "a, b"}], sorted_by_who)
"""


def test_processes_that_add_rows_to_one_file_lose_none(tmp_path: Path) -> None:
    path = tmp_path / "results" / "rows.csv"
    code = ADDING.replace("sorted_by_who", "lambda rows: sorted(rows, key=lambda row: (row['who'], int(row['k'])))")
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    both = [subprocess.Popen([sys.executable, "-c", code, str(path), name], **pipes) for name in ("a", "b")]
    for process in both:
        assert process.stdout.readline() == "ready\n"
    for process in both:
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.wait(60) for process in both] == [0, 0]
    expected = [{"who": name, "k": str(k), "text": "a, b"} for name in ("a", "b") for k in range(20)]
    assert read_rows(path, ("who", "k", "text")) == expected
    for process in both:
        process.stdin.close()
        process.stdout.close()


def test_rows_are_not_added_to_a_file_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    for content, culprit in (("a,b\n1,2\n", "other columns than who, k"), ("who,k\na,1", "cut off in row 1")):
        path.write_text(content, encoding="utf-8")
        with pytest.raises(RecordError, match=culprit):
            add_rows(path, ("who", "k"), ("who", "k"), [{"who": "c", "k": 3}])
        assert path.read_text(encoding="utf-8") == content


def test_full_disk_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "metrics.json"
    write_atomic(path, "old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RecordError) as error:
        write_atomic(path, "new")
    assert str(error.value) == f"{path}: cannot be written: No space left on device"
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_output_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "outputs").write_text("", encoding="utf-8")
    job = config(tmp_path / "outputs", [0])
    for attempt in (lambda: write_job(job), lambda: begun(job, 0)):
        with pytest.raises(RecordError, match="outputs"):
            attempt()


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_dirty_means_the_code(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert environment.code_state(tmp_path) == ("unknown", True)
    git("init", "-q")
    code, prose, choice = (tmp_path / name for name in ("paper_lenet/a.py", "README.md", "conf/study/a.yaml"))
    for path in (code, prose, choice):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1\n", encoding="utf-8")
    assert environment.code_state(tmp_path) == ("unknown", True)
    git("add", ".")
    git("commit", "-q", "-m", "a")
    commit = git("rev-parse", "HEAD")
    prose.write_text("2\n", encoding="utf-8")
    # A run records all that the files of conf/ say: changed, or of one's own, they are no other code.
    choice.write_text("2\n", encoding="utf-8")
    choice.with_name("mine.yaml").write_text("1\n", encoding="utf-8")
    assert environment.code_state(tmp_path) == (commit, False)
    # A folder below another project's root is not that project's code.
    assert environment.code_state(tmp_path / "paper_lenet") == ("unknown", True)
    code.write_text("2\n", encoding="utf-8")
    assert environment.code_state(tmp_path) == (commit, True)


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    found = environment.environment()
    assert {"python", "numpy", "torch", "numba", "cpu", "gpu", "threads", "commit", "dirty"} <= set(found)
    monkeypatch.setenv("PATH", "")
    assert (environment.environment()["commit"], environment.environment()["dirty"]) == ("unknown", True)


@pytest.mark.parametrize(
    ("cpuinfo", "told"),
    [
        (
            "cpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC\nflags\t\t: fpu sse2 avx2 avx512f\n",
            "AMD EPYC (family 25 model 17 512-bit vectors)",
        ),
        ("model name\t: Xeon\nmodel\t\t: 3\nflags\t\t: sse2 avx2\n", "Xeon (model 3 256-bit vectors)"),
        ("processor\t: 0\nmodel name\t: ARMv8\n", "ARMv8"),
    ],
)
def test_processors_of_one_name_are_told_apart(cpuinfo: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: cpuinfo)
    assert environment._cpu_model() == told
