"""The command for a machine with a GPU: order, time limit, going on and failures, with small steps and without one."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from synthetic_runs import call

from paper_lenet.commands import gpu
from paper_lenet.commands.gpu import INTERRUPTED, Step

# Counts to 10 in a file, 0.4 s each; asked to stop it exits with 75, as train.py does, and goes on from there.
COUNTS = """
import pathlib, signal, sys, time
asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
at = pathlib.Path(sys.argv[1])
count = int(at.read_text(encoding="utf-8")) if at.exists() else 0
while count < 10:
    time.sleep(0.4)
    count += 1
    at.write_text(str(count), encoding="utf-8")
    if asked:
        sys.exit(75)
"""


def python(program: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", program, *map(str, arguments)]


def noted(name: str, notes: Path, more: str = "") -> Step:
    return Step(name, python(f"import sys, time; open(sys.argv[1], 'a').write('{name} '); {more}", notes))


@pytest.fixture(autouse=True)
def signals_as_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_goes_on_until_all_is_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each call ends soon after its time; what is finished is not run again, and what was stopped goes on."""
    notes, at = tmp_path / "notes", tmp_path / "at"
    todo = [noted("first", notes), Step("counts", python(COUNTS, at), goes_on=True), noted("last", notes)]
    codes, counts = [], []
    while len(codes) < 20:
        began = time.monotonic()
        codes.append(gpu.run(todo, tmp_path / "gpu", 2.0, 10.0))
        assert time.monotonic() - began < 12.0
        counts.append(int(at.read_text(encoding="utf-8")))
        if codes[-1] != INTERRUPTED:
            break
        error = capsys.readouterr().err
        assert error == "interrupted: not finished yet: counts, last; the same command goes on from here\n"
    assert codes == [INTERRUPTED] * (len(codes) - 1) + [0] and len(codes) > 1
    assert counts == sorted(counts) and counts[-1] == 10
    assert notes.read_text(encoding="utf-8") == "first last "
    assert list(json.loads((tmp_path / "gpu" / "done.json").read_text(encoding="utf-8"))) == ["first", "counts", "last"]


def test_a_step_that_cannot_go_on_begins_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With a call's whole time before it; one that takes longer than that would never end."""
    notes = tmp_path / "notes"
    todo = [noted("first", notes, "time.sleep(0.6)"), noted("second", notes, "time.sleep(1.8)")]
    assert gpu.run(todo, tmp_path / "gpu", 2) == INTERRUPTED
    assert gpu.run(todo, tmp_path / "gpu", 60) == 0
    assert notes.read_text(encoding="utf-8") == "first second second "
    capsys.readouterr()
    assert gpu.run([noted("third", notes, "time.sleep(60)")], tmp_path / "gpu", 0.5) == 1
    assert capsys.readouterr().err.startswith("error: third takes longer than")


def test_a_step_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    began = time.monotonic()
    assert gpu.run([Step("deaf", python(deaf), goes_on=True)], tmp_path, 1.0, 0.5) == INTERRUPTED
    assert time.monotonic() - began < 20


def test_a_signal_stops_the_step(tmp_path: Path) -> None:
    at = tmp_path / "at"
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    assert gpu.run([Step("counts", python(COUNTS, at), goes_on=True)], tmp_path, 60) == INTERRUPTED
    timer.join()
    assert not (tmp_path / "done.json").exists()


def test_a_failure_ends_all_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    todo = [
        Step("tests", python("import sys; print('2 passed'); sys.exit('1 failed')")),
        noted("bench", tmp_path / "n"),
    ]
    assert gpu.run(todo, tmp_path, 60) == 1
    assert capsys.readouterr().err == f"error: tests ended with exit code 1: 1 failed ({tmp_path / 'tests.txt'})\n"
    assert not (tmp_path / "n").exists() and not (tmp_path / "done.json").exists()


def test_without_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert call(monkeypatch, "gpu") == 1
    assert capsys.readouterr().err == "error: PyTorch finds no CUDA GPU here; nothing was run\n"
    assert not any(tmp_path.iterdir())


def test_nothing_goes_to_results(tmp_path: Path) -> None:
    """Every command names the folder of the device, or writes nothing."""
    todo = gpu.steps(tmp_path)
    assert [step.name for step in todo] == ["tests", "bench", "ladder", "collect"]
    of_step = {step.name: " ".join(step.command) for step in todo}
    assert "--record" not in of_step["bench"]
    for part in ("study=ablation-ladder", "engine=batched", "engine.device=cuda", "name=ablation-ladder-gpu"):
        assert part in of_step["ladder"].split()
    assert f"output={tmp_path}" in of_step["ladder"]
    assert f"--results {tmp_path / 'results'}" in of_step["collect"]
