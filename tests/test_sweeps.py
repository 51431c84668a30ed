"""Sweeps by launchers: jobs in processes of their own, which are preempted, and fail without stopping the others."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from synthetic_runs import ROOT

pytestmark = pytest.mark.slow

JOB = ("data=digits", "data.test_size=50", "seeds=[3]", "engine=reference", "engine.workers=1", "name=sweep")
SIZE = ("data.train_size=200", "optim.passes=3", "optim.hessian_samples=5")


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "experiments" / "train.py"), *arguments]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def bits(folder: Path) -> dict[str, bytes]:
    """The weights of every run by its path."""
    paths = folder.glob("outputs/sweep/*/seed-*/weights.safetensors")
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("undisturbed")
    assert start(folder, "-m", *JOB, *SIZE, "model.pooling=sum,average").wait(300) == 0
    return bits(folder)


@pytest.mark.parametrize(
    "launcher",
    [("joblib", "hydra.launcher.n_jobs=2"), ("submitit_local",)],
    ids=["joblib", "submitit"],
)
def test_same_bits_whatever_the_launcher(
    launcher: tuple[str, ...], tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    name, *options = launcher
    sweep = start(tmp_path, "-m", f"hydra/launcher={name}", *options, *JOB, *SIZE, "model.pooling=average,sum")
    _, err = sweep.communicate(timeout=300)
    assert (sweep.returncode, len(undisturbed)) == (0, 2), err
    assert bits(tmp_path) == undisturbed


def test_failed_job_is_named_and_stops_no_other(tmp_path: Path) -> None:
    """With a launcher whose processes cannot tell: what is missing is seen in the run folders."""
    options = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=1", "optim.eta=[1e-4],[1e38]")
    sweep = start(tmp_path, "-m", *options, *JOB, *SIZE)
    _, err = sweep.communicate(timeout=300)
    assert sweep.returncode == 1
    (line,) = (line for line in err.splitlines() if line.startswith("error: "))
    assert "1 of 1 seeds failed: seed 3: a penalty is not finite in pass 1, update 2" in line
    assert "optim.eta=[1e38]" in line or "optim.eta=[1e+38]" in line
    assert len(bits(tmp_path)) == 1


def descendants(pid: int) -> set[int]:
    """The processes that a process has started, and those that they have."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                parents[int(entry.name)] = int(
                    (entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1]
                )
    found, new = set(), {pid}
    while new:
        new = {child for child, parent in parents.items() if parent in new} - found
        found |= new
    return found


def alive(pids: set[int]) -> set[int]:
    def state(pid: int) -> str:
        try:
            return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        except OSError:
            return "Z"

    return {pid for pid in pids if state(pid) != "Z"}


def test_killed_sweep_leaves_no_process_behind(tmp_path: Path) -> None:
    """kill -9 of the command: joblib's processes and their workers end with a checkpoint, and the command goes on."""
    slow = [option.replace("=3", "=12") if "passes" in option else option for option in SIZE]
    command = ("-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", *JOB, *slow, "model.pooling=average,sum")
    sweep = start(tmp_path, *command)
    deadline = time.monotonic() + 120
    while len(list(tmp_path.glob("outputs/sweep/*/seed-3/passes.csv"))) < 2:
        assert time.monotonic() < deadline and sweep.poll() is None
        time.sleep(0.02)
    started = descendants(sweep.pid)
    assert len(started) >= 4
    sweep.kill()
    try:
        deadline = time.monotonic() + 15
        while alive(started) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not alive(started)
    finally:
        for pid in alive(started):
            os.kill(pid, signal.SIGKILL)
        sweep.communicate()
    assert not list(tmp_path.rglob("metrics.json")) and not list(tmp_path.rglob(".lock"))
    again = start(tmp_path, *command)
    out, err = again.communicate(timeout=300)
    assert (again.returncode, out.count("goes on after "), len(bits(tmp_path))) == (0, 2, 2), err


def test_command_whose_shell_ends_goes_on(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    train = [sys.executable, str(ROOT / "experiments" / "train.py"), *JOB, *SIZE]
    subprocess.run(["sh", "-c", 'nohup "$@" >out.txt 2>err.txt &', "sh", *train], cwd=tmp_path, check=True)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("outputs/sweep/*/seed-3/metrics.json")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    ((path, weights),) = bits(tmp_path).items()
    assert undisturbed[path] == weights


def test_preempted_job_is_requeued_and_goes_on(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    """As Slurm does it: a signal, the checkpoint, the same job once more."""
    sweep = start(tmp_path, "-m", "hydra/launcher=submitit_local", *JOB, *SIZE, "model.pooling=sum")
    deadline = time.monotonic() + 120
    while not (passes := list(tmp_path.glob("outputs/sweep/*/seed-3/passes.csv"))):
        assert time.monotonic() < deadline and sweep.poll() is None
        time.sleep(0.02)
    (folder,) = (path for path in (tmp_path / "outputs" / ".submitit").iterdir() if path.name.isdigit())
    children = Path(f"/proc/{folder.name}/task/{folder.name}/children").read_text(encoding="utf-8").split()
    os.kill(int(children[0]), signal.SIGUSR2)
    _, err = sweep.communicate(timeout=300)
    assert sweep.returncode == 0, err
    log = next(folder.glob("*_log.out")).read_text(encoding="utf-8") + next(folder.glob("*_log.err")).read_text(
        encoding="utf-8"
    )
    assert "Requeued job" in log and "goes on after " in log
    with passes[0].open(encoding="utf-8") as file:
        assert [row["pass"] for row in csv.DictReader(file)] == ["1", "2", "3"]
    ((path, weights),) = bits(tmp_path).items()
    assert undisturbed[path] == weights


@pytest.mark.parametrize("launcher", ["submitit_local", "joblib"])
def test_lost_job_is_one_line(launcher: str, tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    """A job's process that is killed, as for want of memory; the same command does the rest."""
    command = ("-m", f"hydra/launcher={launcher}", *JOB, *SIZE, "model.pooling=sum,average")
    sweep = start(tmp_path, *command)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("outputs/sweep/*/seed-3/passes.csv")):
        assert time.monotonic() < deadline and sweep.poll() is None
        time.sleep(0.02)
    if launcher == "joblib":
        jobs = [pid for pid in descendants(sweep.pid) if b"LokyProcess" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    else:
        jobs = [int(path.name) for path in (tmp_path / "outputs" / ".submitit").iterdir() if path.name.isdigit()]
        jobs = [child for job in jobs for child in descendants(job)]
    assert jobs
    for pid in jobs:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    _, err = sweep.communicate(timeout=300)
    assert sweep.returncode == 1 and "Traceback" not in err, err
    assert [line for line in err.splitlines() if line.startswith("error: ") and "the same command" in line], err
    assert start(tmp_path, *command).wait(300) == 0
    assert bits(tmp_path) == undisturbed
