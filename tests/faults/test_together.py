"""Processes that write the same runs, or the same results, at the same time; and a collector that is killed."""

from __future__ import annotations

import csv
import dataclasses
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import forks
import numpy as np
import pytest
import small
import synthetic_runs
from tally import Tally

from paper_lenet.runs.collect import collect
from paper_lenet.runs.records import run_folder

Fault = Callable[[str], Tally]
Tries = Callable[[int, int], int]
SEEDS = (0, 1, 2, 3)
PROCESSES = 8


def content(folder: Path) -> dict[str, bytes]:
    """Every file below the folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def without_times(results: dict[str, bytes]) -> dict[str, Any]:
    """results/ without the columns in which two undisturbed jobs differ."""
    found: dict[str, Any] = dict(results)
    for name in ("runs/small-digits.csv", "curves/small-digits.csv"):
        lines = list(csv.reader(results[name].decode().splitlines()))
        keep = [i for i, column in enumerate(lines[0]) if column not in small.TIMES]
        found[name] = [[line[i] for i in keep] for line in lines]
    return found


def test_runs(fault: Fault, tries: Tries, tmp_path: Path) -> None:
    """Every seed is trained by the first process that holds its folder; another waits or says who has it."""
    job = small.config(tmp_path / "out", SEEDS, passes=2)
    outputs, results = Path(job.output) / job.name, tmp_path / "results"
    assert forks.ended(forks.start(forks.train, job)) == 0
    whole = small.bits(job)
    assert forks.ended(forks.start(forks.collected, outputs, results)) == 0
    whole_results = without_times(content(results))
    with fault("eight processes train the same four runs, two collect them") as count:
        for turn in range(tries(1, 10)):
            for folder in (Path(job.output), results):
                shutil.rmtree(folder)
            with count.attempt(turn) as attempt:
                attempt.also(PROCESSES + 1)
                logs = [tmp_path / f"log-{turn}-{number}" for number in range(PROCESSES + 2)]
                running, collecting = [], []
                for number, log in enumerate(logs[:PROCESSES]):
                    seeds = list(np.roll(SEEDS, number).tolist())
                    mine = dataclasses.replace(job, seeds=seeds)
                    running.append(forks.start(forks.train, mine, log, None, 0.3 if number % 2 else 30.0))
                while any(process.is_alive() for process in running):
                    for log in logs[PROCESSES:]:
                        collecting.append(forks.start(forks.collected, outputs, results, log, True))
                    assert all(forks.ended(process) in (0, 1) for process in collecting)
                codes = [forks.ended(process) for process in running]
                said = [log.read_text(encoding="utf-8") if log.exists() else "" for log in logs]
                for number, code in enumerate(codes):
                    refusals = re.findall(r"^error: (.*)$", said[number], re.M)
                    assert code == bool(refusals), f"{code}, {refusals}"
                    for line in refusals:
                        assert re.fullmatch(r".*/seed-\d: process \d+ on \S+ since \S+ is writing it", line), line
                        assert int(line.split(": process ")[1].split()[0]) in [process.pid for process in running]
                for seed in SEEDS:
                    trained = [number for number in range(PROCESSES) if f"seed {seed} pass" in said[number]]
                    assert len(trained) == 1, f"seed {seed} was trained by {trained}"
                for line in "".join(said[PROCESSES:]).splitlines():
                    assert "no runs here" in line or "no finished run here" in line, line
                small.assert_same(small.bits(job), whole)
                shutil.rmtree(results, ignore_errors=True)
                both = [forks.start(forks.collected, outputs, results) for _ in range(2)]
                assert [forks.ended(process) for process in both] == [0, 0]
                small.assert_same(without_times(content(results)), whole_results)


@pytest.fixture
def finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    synthetic_runs.clean_tree(monkeypatch)
    job = synthetic_runs.config(tmp_path / "out", [0, 1])
    synthetic_runs.write_runs(job, [5, 3], synthetic_runs.data(size=50))
    return run_folder(job, 0).parents[1]


def test_collector_killed(finished: Path, fault: Fault, tries: Tries, tmp_path: Path) -> None:
    results = tmp_path / "results"
    collect(finished, results)
    whole = content(results)
    shutil.rmtree(results)
    log = tmp_path / "steps"
    assert forks.ended(forks.start(forks.stepping, None, log, forks.collected, finished, results)) == 0
    steps = log.read_text(encoding="utf-8").splitlines()
    chosen = np.linspace(0, len(steps) - 1, min(tries(3, 60), len(steps))).astype(int)
    with fault("kill -9 and power lost at a step of collecting; collected again") as count:
        for number in map(int, chosen):
            shutil.rmtree(results)
            with count.attempt(steps[number]):
                assert forks.ended(forks.start(forks.stepping, number, None, forks.collected, finished, results)) == -9
                assert forks.ended(forks.start(forks.collected, finished, results)) == 0
                small.assert_same(content(results), whole)
