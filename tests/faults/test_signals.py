"""The command and its worker processes, asked to stop or killed at any moment; the same command then goes on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import forks
import numpy as np
import pytest
import small
from tally import Tally

Fault = Callable[[str], Tally]
Tries = Callable[[int, int], int]
SEEDS = (0, 1, 2)
INTERRUPTED = 75


class Command:
    """experiments/train.py in a session of its own; outputs are in folder/out, what it says in two files beside it.

    real: started as from a shell, with spawned workers; else forked, which takes a second instead of ten.
    """

    def __init__(self, folder: Path, real: bool) -> None:
        self.folder, self.real = folder, real
        # With the real command there is only the command line to make checkpoints frequent: by passes.
        self.job = small.config(folder / "out", SEEDS, passes=100 if real else 6)

    def start(self, *more: str) -> None:
        overrides = [*small.overrides(self.job), *more]
        for name in ("out.txt", "err.txt"):  # of the start before
            (self.folder / name).unlink(missing_ok=True)
        self.process: Any
        if self.real:
            line = [sys.executable, str(forks.ROOT / "experiments" / "train.py"), *overrides]
            with (
                (self.folder / "out.txt").open("w", encoding="utf-8") as out,
                (self.folder / "err.txt").open("w", encoding="utf-8") as err,
            ):
                self.process = subprocess.Popen(line, cwd=self.folder, stdout=out, stderr=err, start_new_session=True)
        else:
            self.process = forks.start(forks.command, overrides, self.folder)
        self.pid = self.process.pid

    def running(self) -> bool:
        return self.process.poll() is None if self.real else self.process.is_alive()

    def signal(self, number: int, all_: bool = False) -> None:
        """To its first process, or to all; a forked one may not have become the first of its own group yet."""
        with suppress(ProcessLookupError):  # it has just ended by itself
            if all_ and os.getpgid(self.pid) == self.pid:
                os.killpg(self.pid, number)
            else:
                os.kill(self.pid, number)

    def end(self, patience: float = forks.PATIENCE) -> int:
        """Its exit code."""
        if not self.real:
            return forks.ended(self.process)
        try:
            return int(self.process.wait(patience))
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            self.process.wait()
            raise AssertionError("the command hangs") from None

    def stderr(self) -> list[str]:
        path = self.folder / "err.txt"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    def workers(self) -> list[int]:
        """Its workers, those that train a seed first."""
        children = [pid for pid, parent, _ in processes() if parent == self.pid and not _is_tracker(pid)]
        return sorted(children, key=lambda pid: pid not in self.busy())

    def busy(self) -> list[int]:
        found = []
        for path in self.seeds("seed-*/.lock"):
            try:
                found += [int(word) for word in path.read_text(encoding="utf-8").split()[1:2]]
            except FileNotFoundError:
                continue
        return found

    def seeds(self, pattern: str) -> list[Path]:
        return list(Path(self.job.output).glob(f"*/*/{pattern}"))

    def over(self) -> bool:
        return len(self.seeds("seed-*/metrics.json")) == len(SEEDS)


def processes() -> list[tuple[int, int, int]]:
    """The identity, parent and session of each process that runs."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, parent, _, session = (entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[:4]
            except OSError:
                continue
            if state != "Z":
                found.append((int(entry.name), int(parent), int(session)))
    return found


def _is_tracker(pid: int) -> bool:
    try:
        return b"resource_tracker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True


def assert_gone(session: int) -> None:
    """No process of the session stays behind for longer than a moment."""
    deadline = time.monotonic() + 20
    while left := [pid for pid, _, its in processes() if its == session and not _is_tracker(pid)]:
        if time.monotonic() > deadline:
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            raise AssertionError(f"{len(left)} processes stay behind")
        time.sleep(0.02)


def assert_goes_on(command: Command, whole: dict[str, Any]) -> None:
    command.start()
    code = command.end()
    assert (code, command.stderr()) == (0, []), f"started again: {code}, {command.stderr()}"
    small.assert_same(small.bits(command.job), whole)


def assert_stopped(command: Command, code: int, number: int) -> None:
    """As promised: 75 and how to go on; 0 when it was over; before or after the job an end by the signal."""
    lines = command.stderr()
    if code == INTERRUPTED:
        assert len(lines) == 1 and lines[0].startswith("interrupted: ") and "the same command" in lines[0], lines
    elif code == 0:
        assert command.over() and not lines, lines
    else:
        assert code == -number or (number == signal.SIGINT and code == 1), f"exit code {code}, {lines[-1:]}"
        assert command.over() or not command.seeds("seed-*"), f"exit code {code} in the midst, {lines[-1:]}"
        # before it is set up it ends without a word; a forked one, whose stderr is not yet its own, with code 1, too
        early = not lines and (code == -number or not command.real)
        assert number == signal.SIGTERM or early or lines[-1].startswith("KeyboardInterrupt"), lines[-1:]


@pytest.fixture(scope="module", params=["forked", "real"])
def command(request: pytest.FixtureRequest, full: bool, tmp_path_factory: pytest.TempPathFactory) -> Command:
    if request.param == "real" and not full:
        pytest.skip("takes minutes")
    return Command(tmp_path_factory.mktemp("command"), request.param == "real")


@pytest.fixture(scope="module")
def undisturbed(command: Command) -> tuple[dict[str, Any], float]:
    """What the command gives, and the seconds that it takes."""
    times = []
    for _ in range(2 if command.real else 1):  # the first may have to compile, for minutes
        shutil.rmtree(command.job.output, ignore_errors=True)
        began = time.monotonic()
        command.start()
        assert command.end() == 0, command.stderr()
        times.append(time.monotonic() - began)
    return small.bits(command.job), min(times)


def moments(command: Command, seconds: float, count: int) -> list[float]:
    """Spread evenly over the run, with a part left to chance."""
    part = np.random.default_rng(1998).uniform(0, 1, count)
    return [float(seconds * moment) for moment in (np.arange(count) + part) / count]


def test_asked_to_stop(command: Command, undisturbed: tuple[dict[str, Any], float], fault: Fault, tries: Tries) -> None:
    """The first process alone, or all of them as by a terminal or a batch system."""
    whole, seconds = undisturbed
    with fault("SIGINT or SIGTERM to the command or to all its processes; started again") as count:
        for turn, moment in enumerate(moments(command, seconds, tries(1, 10 if command.real else 48))):
            shutil.rmtree(command.job.output, ignore_errors=True)
            number, all_ = (signal.SIGINT, signal.SIGTERM)[turn % 2], turn % 4 in (0, 3)
            with count.attempt(f"{number.name} to {'all' if all_ else 'first'} after {moment:.3f} s"):
                command.start()
                time.sleep(moment)
                if command.running():
                    command.signal(number, all_)
                assert_stopped(command, command.end(), number)
                assert_gone(command.pid)
                assert_goes_on(command, whole)


def test_asked_to_stop_anew(
    command: Command, undisturbed: tuple[dict[str, Any], float], fault: Fault, tries: Tries
) -> None:
    """A command that starts anew would do so again: the line says without what it goes on."""
    whole, seconds = undisturbed
    with fault("SIGTERM to a command with force=true or resume=false; started again without") as count:
        for turn, moment in enumerate(moments(command, seconds, tries(1, 2 if command.real else 16))):
            shutil.rmtree(command.job.output, ignore_errors=True)
            anew = ("force=true", "resume=false")[turn % 2]
            with count.attempt(f"{anew} after {moment:.3f} s"):
                command.start(anew)
                time.sleep(moment)
                if command.running():
                    command.signal(signal.SIGTERM)
                code = command.end()
                assert_stopped(command, code, signal.SIGTERM)
                assert code != INTERRUPTED or f"the same command without {anew} goes on" in command.stderr()[0]
                assert_goes_on(command, whole)


def test_first_process_killed(
    command: Command, undisturbed: tuple[dict[str, Any], float], fault: Fault, tries: Tries
) -> None:
    """The next start does not wait until its workers have seen that."""
    whole, seconds = undisturbed
    with fault("kill -9 of the command's first process; started again at once") as count:
        for moment in moments(command, seconds, tries(1, 3 if command.real else 24)):
            shutil.rmtree(command.job.output, ignore_errors=True)
            with count.attempt(f"after {moment:.3f} s"):
                command.start()
                time.sleep(moment)
                session = command.pid
                if command.running():
                    command.signal(signal.SIGKILL)
                code = command.end()
                assert code in (0, -signal.SIGKILL), code
                assert_goes_on(command, whole)
                assert_gone(session)


def test_worker_killed(command: Command, undisturbed: tuple[dict[str, Any], float], fault: Fault, tries: Tries) -> None:
    """One that is idle, while the last seed is trained, or one that trains."""
    whole, _ = undisturbed
    random = np.random.default_rng(1998)
    with fault("kill -9 of a worker of the command, busy or idle; started again") as count:
        for turn in range(tries(1, 4 if command.real else 24)):
            shutil.rmtree(command.job.output, ignore_errors=True)
            busy = turn % 2 == 1
            with count.attempt("busy" if busy else "idle"):
                command.start()
                wanted, number = ("seed-*/.lock", 1) if busy else ("seed-*/metrics.json", len(SEEDS) - 1)
                while command.running() and len(command.seeds(wanted)) < number:
                    time.sleep(0.005)
                time.sleep(random.uniform(0, 0.1))
                workers = command.workers()
                if command.running() and workers:
                    os.kill(workers[0 if busy else -1], signal.SIGKILL)
                code, lines = command.end(), command.stderr()
                if code == 0:
                    assert command.over() and not lines, lines
                else:
                    assert code == 1 and len(lines) == 1, f"{code}, {lines}"
                    assert lines[0].startswith("error: ") and "killed" in lines[0], lines
                assert_gone(command.pid)
                assert_goes_on(command, whole)
