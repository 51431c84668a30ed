"""How far runs have come, told from their folders: every state, nothing changed, nothing held."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
from pathlib import Path

import pytest
from synthetic_runs import begun, call, clean_tree, config, data, record, write_runs

from paper_lenet.engines import NonFiniteError
from paper_lenet.runs import summary
from paper_lenet.runs.records import RunWriter, job_folder, run_folder, write_job


@pytest.fixture(autouse=True)
def committed(monkeypatch: pytest.MonkeyPatch) -> None:
    clean_tree(monkeypatch)


def states(folder: Path) -> dict[Path, tuple[int, ...]]:
    """What changes when a file or a folder does."""
    found = {path: path.stat() for path in folder.rglob("*")}
    return {path: (of.st_ino, of.st_size, of.st_mtime_ns) for path, of in found.items()}


def test_every_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "outputs"
    write_runs(config(output, [0]), [90])
    job = config(output, [0, 1, 2, 3, 4, 5])
    write_job(job)
    begun(job, 1).diverged(NonFiniteError(1, 1, 9))
    writer = begun(job, 2)
    writer.add(record(2, 1, data(), 180, 3000))
    (run_folder(job, 2) / ".lock").write_text(f"process 999999999 on {platform.node()} since now\n", encoding="utf-8")
    with RunWriter(job, 3, data()) as running:
        running.begin()
        running.add(record(3, 1, data(), 180, 3000))
        write_runs(config(output, [4]), [80])
        (run_folder(job, 4) / "metrics.json").write_text("{}", encoding="utf-8")
        before = states(output)
        assert call(monkeypatch, "summary", output) == 0
        assert states(output) == before
        assert [(run.passes, run.of, run.state) for run in summary.read(output)] == [
            *((2, 2, "finished"), (0, 2, "diverged"), (1, 2, "stopped"), (1, 2, "running")),
            *((2, 2, "damaged"), (0, 2, "not begun")),
        ]
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "1 finished, 1 running, 1 stopped, 1 not begun, 1 diverged, 1 damaged"
    cells = [" ".join(line.split()) for line in lines[2:8]]
    fingerprint = job.fingerprint()
    assert cells[0] == f"lenet5 {fingerprint} 0 2 of 2 0.35 0.90 3.0 - finished"
    assert cells[1].endswith("0 of 2 - - - - diverged: pass 1 update 9")
    assert cells[2].endswith("1 of 2 5.00 1.80 3.0 - stopped")
    assert re.search(rf"1 of 2 5.00 1.80 3.0 [0-3] s running: process {os.getpid()} on ", cells[3])
    assert "damaged: metrics.json: cannot be read" in cells[4]
    assert cells[5].endswith("5 0 of 2 - - - - not begun")


def test_whose_lock_it_is(tmp_path: Path) -> None:
    job = config(tmp_path, [0])
    write_job(job)
    begun(job, 0)
    lock = run_folder(job, 0) / ".lock"
    for text, state in (
        (f"process {os.getpid()} on {platform.node()} since now", "stopped"),  # a number that was given out again
        ("process 7 on elsewhere since now", "running"),
        ("", "running"),
    ):
        lock.write_text(text, encoding="utf-8")
        assert [run.state for run in summary.read(tmp_path)] == [state], text


def test_any_level_and_what_tells_configurations_apart(tmp_path: Path) -> None:
    for factor in (0.25, 1.0):
        write_runs(config(tmp_path, [0, 1], eta_factor=factor), [90, 100])
    job = config(tmp_path, [1])
    for folder, count in ((tmp_path, 4), (tmp_path / "lenet5", 4), (job_folder(job), 2), (run_folder(job, 1), 1)):
        assert len(summary.read(folder)) == count
    write_job(config(tmp_path, [0], eta_factor=4.0))
    told = {row[1] for row in summary.table(summary.read(tmp_path))}
    assert told == {"optim.eta_factor=0.25", "optim.eta_factor=1.0", "optim.eta_factor=4.0"}


def test_time_to_go_of_networks_that_one_process_trains_together(tmp_path: Path) -> None:
    run = summary.Run(
        tmp_path / "a" / "b" / "seed-0", 0, {}, 20, passes=5, seconds=2.0, state="running", since_pass=1.0
    )
    assert summary.time_to_go(run, 1) == 29 and summary.time_to_go(run, 4) == 119
    run.since_pass = 1e6
    assert summary.time_to_go(run, 1) == 0
    run.state = "stopped"
    assert summary.time_to_go(run, 1) is None


def test_damaged_and_foreign_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in (tmp_path, tmp_path / "nothing"):
        assert call(monkeypatch, "summary", folder) == 1
        assert capsys.readouterr().err == f"summary: {folder}: no runs here\n"
    job = config(tmp_path, [0, 1])
    write_runs(job, [90, 90])
    (job_folder(job) / "job.json").write_text("not JSON", encoding="utf-8")
    (run_folder(job, 0) / "config.yaml").write_text("a: ${oc.env:HOME}\nb: [1, }", encoding="utf-8")
    for content in ("", "a,b\n1,2\n", "\0\xff", "pass,eta\n1\n", "é"):
        (run_folder(job, 0) / "passes.csv").write_bytes(content.encode("latin-1"))
        first, second = summary.read(tmp_path)
        assert first.state in ("damaged", "finished") and (first.passes, second.state) == (0, "finished")
    assert call(monkeypatch, "summary", tmp_path) == 0


def test_events_for_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    job, to = config(tmp_path / "outputs", [0]), tmp_path / "events"
    write_job(job)
    with RunWriter(job, 0, data()) as writer:
        writer.begin()
        for pass_, wrong in ((1, 180), (2, 90)):
            writer.add(record(0, pass_, data(), wrong))
            for _ in range(2):  # the second time there is nothing new
                assert call(monkeypatch, "to_tensorboard", tmp_path / "outputs", "--to", to) == 0
        place = to / "lenet5" / job.fingerprint() / "seed-0"
        assert len(list(place.iterdir())) == 2
        events = reader.EventAccumulator(str(place))
        events.Reload()
        found = [(event.step, round(event.value, 6)) for event in events.Scalars("error/held out")]
        assert found == [(1, 1.8), (2, 0.9)]
    (run_folder(job, 0) / "passes.csv").unlink()
    begun(job, 0).add(record(0, 1, data(), 70))
    assert call(monkeypatch, "to_tensorboard", tmp_path / "outputs", "--to", to) == 0
    events = reader.EventAccumulator(str(place))
    events.Reload()
    assert [(event.step, round(event.value, 6)) for event in events.Scalars("error/held out")] == [(1, 0.7)]


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is not None, reason="tensorboard is there")
def test_without_tensorboard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_runs(config(tmp_path / "outputs", [0]), [90])
    assert call(monkeypatch, "to_tensorboard", tmp_path / "outputs", "--to", tmp_path / "events") == 1
    assert capsys.readouterr().err == "tensorboard: needs the package tensorboard: pip install tensorboard\n"
    assert not (tmp_path / "events").exists()
