"""kill -9 of a run, at any moment and at each step of each write: resumed, it has the bits of an undisturbed run."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import forks
import numpy as np
import pytest
import small
from tally import Tally

from paper_lenet.config import Config

Fault = Callable[[str], Tally]
Tries = Callable[[int, int], int]
# More kills than this in one run would only repeat each other.
KILLS_OF_A_RUN = 5
# Diverges at the second update of its third pass, with a checkpoint between the two.
DIVERGING = {"patterns": 3, "passes": 3, "eta": [1e-4, 1e-4, 1e38]}


def undisturbed(job: Config, *options: Any) -> tuple[dict[str, Any], float]:
    """The bits of the job's run, and the seconds that it takes."""
    assert forks.ended(forks.start(forks.prepare)) == 0  # by a fork server that is there
    began = time.monotonic()
    assert forks.ended(forks.start(forks.train, job, None, *options)) == 0
    seconds = time.monotonic() - began
    whole = small.bits(job)
    shutil.rmtree(job.output)
    return whole, seconds


@pytest.mark.parametrize("engine", ["fused", "reference"])
def test_random_moment(engine: str, fault: Fault, tries: Tries, tmp_path: Path) -> None:
    job = small.config(tmp_path / "out", engine=engine)
    random = np.random.default_rng(1998)
    kills = tries(3, 170) if engine == "fused" else tries(1, 30)
    whole, seconds = undisturbed(job)
    with fault(f"kill -9 at a random moment, {engine} engine; resumed") as count:
        while count.counts["tries"] < kills:
            shutil.rmtree(job.output, ignore_errors=True)
            delays = random.uniform(0, seconds, min(KILLS_OF_A_RUN, kills - count.counts["tries"]))
            with count.attempt(delays) as attempt:
                hits = 0
                for delay in delays:
                    hits += (killed := forks.kill_after(forks.start(forks.train, job), delay))
                    if not killed:
                        break
                attempt.also(hits - 1)
                assert forks.ended(forks.start(forks.train, job)) == 0
                small.assert_same(small.bits(job), whole)


@pytest.mark.parametrize("kind", ["usual", "diverging"])
def test_step_of_a_write(kind: str, fault: Fault, tries: Tries, tmp_path: Path) -> None:
    """The run that goes on is killed at a step of its own, and the last one is started as a command does it."""
    job = small.config(tmp_path / "out", **(DIVERGING if kind == "diverging" else {"passes": 2}))
    pace = 1 if kind == "diverging" else 60
    log = tmp_path / "steps"
    whole, _ = undisturbed(job, pace)
    assert forks.ended(forks.start(forks.stepping, None, log, forks.train, job, None, pace)) == 0
    steps = log.read_text(encoding="utf-8").splitlines()
    random = np.random.default_rng(1998)
    chosen = range(len(steps))
    if len(steps) > tries(2, 100):
        chosen = np.unique(np.append(random.choice(len(steps), tries(1, 99)), len(steps) - 1))
    with fault("kill -9 and power lost at a step of a write; resumed") as count:
        for number in map(int, chosen):
            shutil.rmtree(job.output, ignore_errors=True)
            with count.attempt(f"{kind}: {steps[number]}") as attempt:
                first = forks.start(forks.stepping, number, None, forks.train, job, None, pace)
                assert forks.ended(first) == -9
                again = int(random.integers(len(steps)))
                second = forks.start(forks.stepping, again, None, forks.train, job, None, pace)
                attempt.also(forks.ended(second) == -9)
                assert forks.ended(forks.start(forks.whole_job, job, pace)) == 0
                small.assert_same(small.bits(job), whole)
