"""What `make gpu` does, on a machine with a GPU: its tests, the benchmark and the ablation ladder.

Every call ends within ten minutes, and until all is done the same command goes on: exit code 75 says that there is more
to do. Everything goes to outputs/gpu/<device>-<commit>/, named after what computed it; results/ and README.md stay as
they are.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from paper_lenet.commands.entry import INTERRUPTED, ROOT
from paper_lenet.files import held, json_text, write_atomic
from paper_lenet.runs.environment import environment

# Of a call, until the step that runs is asked to stop; and how long it may take to do so.
SECONDS = 530.0
GRACE_SECONDS = 40.0
NAME = "ablation-ladder-gpu"


@dataclass(frozen=True)
class Step:
    """A command, whose output goes to <name>.txt.

    goes_on: whether, asked to stop, it keeps what it has done and ends with INTERRUPTED; others are begun anew.
    """

    name: str
    command: Sequence[str]
    goes_on: bool = False


def steps(folder: Path) -> list[Step]:
    """Tests first: what an untested engine measures says nothing."""
    python, command = sys.executable, [sys.executable, "-m", "paper_lenet"]
    ladder = [*command, "train", "study=ablation-ladder", "engine=batched",
              "engine.device=cuda", f"name={NAME}", f"output={folder}"]  # fmt: skip
    collect = [*command, "collect", str(folder / NAME), "--results", str(folder / "results"),
               "--allow-dirty"]  # fmt: skip
    return [
        Step("tests", [python, "-m", "pytest", "-m", "gpu", "-n", "0", str(ROOT / "tests")]),
        Step("bench", [*command, "bench"]),
        Step("ladder", ladder, goes_on=True),
        Step("collect", collect),
    ]


class _Asked:
    """Whether SIGINT or SIGTERM has come."""

    def __init__(self) -> None:
        self.to_stop = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)

    def _note(self, *_: object) -> None:
        self.to_stop = True


def run(todo: Sequence[Step], folder: Path, seconds: float, grace: float = GRACE_SECONDS) -> int:
    """Run the steps that have not been finished, in order, for at most `seconds` + `grace`; the exit code.

    What has been finished is remembered in the folder's done.json. Raises RecordError.
    """
    asked, deadline = _Asked(), time.monotonic() + seconds
    memory = folder / "done.json"
    with held(folder):
        done: dict[str, float] = json.loads(memory.read_text(encoding="utf-8")) if memory.exists() else {}
        for k, step in enumerate(todo):
            if step.name in done:
                continue
            log = folder / f"{step.name}.txt"
            began, whole = time.monotonic(), deadline - time.monotonic() > 0.9 * seconds
            code, stopped = _run(step, log, deadline, grace, asked)
            took = time.monotonic() - began
            if code == 0:
                done[step.name] = took
                write_atomic(memory, json_text(done))
                print(f"{step.name}: finished after {took:.0f} s, {log}", flush=True)
                continue
            if stopped and not asked.to_stop and whole and not step.goes_on:
                print(f"error: {step.name} takes longer than {seconds:.0f} s; --seconds gives it more", file=sys.stderr)
                return 1
            if stopped or (step.goes_on and code == INTERRUPTED):
                left = ", ".join(later.name for later in todo[k:])
                print(f"interrupted: not finished yet: {left}; the same command goes on from here", file=sys.stderr)
                return INTERRUPTED
            last = log.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
            print(f"error: {step.name} ended with exit code {code}: {last} ({log})", file=sys.stderr)
            return 1
    return 0


def _run(step: Step, log: Path, deadline: float, grace: float, asked: _Asked) -> tuple[int, bool]:
    """Exit code of a step, and whether it was asked to stop: at the deadline, or because this process was."""
    stopped = False
    with log.open("a" if step.goes_on else "w", encoding="utf-8") as file:
        # In a session of its own a terminal's interrupt reaches it once, through this process.
        child = subprocess.Popen(step.command, stdout=file, stderr=subprocess.STDOUT, start_new_session=True, cwd=ROOT)
        while True:
            try:
                return child.wait(timeout=0.1), stopped
            except subprocess.TimeoutExpired:
                now = time.monotonic()
            if not stopped and (asked.to_stop or now > deadline):
                stopped, deadline = True, now
                child.terminate()
            elif stopped and now > deadline + grace:
                os.killpg(child.pid, signal.SIGKILL)  # its last checkpoint stays


def main() -> int:
    parser = argparse.ArgumentParser(description="Test, time and train on the GPU of this machine, a call at a time.")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of this call (%(default)g)")
    arguments = parser.parse_args()
    if not (ROOT / "tests" / "conftest.py").exists():
        print("gpu: needs the repository, whose tests it runs", file=sys.stderr)
        return 1
    if not torch.cuda.is_available():
        print("error: PyTorch finds no CUDA GPU here; nothing was run", file=sys.stderr)
        return 1
    here = environment()
    device = re.sub(r"[^a-z0-9]+", "-", str(here["gpu"]).lower()).strip("-")
    folder = Path("outputs").resolve() / "gpu" / f"{device}-{here['commit'][:12]}{'-dirty' if here['dirty'] else ''}"
    print(f"{here['gpu']}, torch {here['torch']}: everything goes to {folder}", flush=True)
    write_atomic(folder / "environment.json", json_text(here))
    return run(steps(folder), folder, arguments.seconds)
