"""A disk that is full, a file that may not grow, a folder that cannot be written or is something else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import forks
import pytest
import small
from tally import Tally

from paper_lenet.files import read_sealed, read_tensors
from paper_lenet.runs import checkpoints
from paper_lenet.runs.records import run_folder

Fault = Callable[[str], Tally]
Tries = Callable[[int, int], int]
# The files of a run in the order in which they are first written, and one that is written again.
WRITES = (
    *(("job.json", 1), ("config.yaml", 1), ("environment.json", 1), ("checkpoint.safetensors", 1)),
    *(("passes.csv", 1), ("checkpoint.safetensors", 8), ("weights.safetensors", 1), ("errors.csv", 1)),
    *(("metrics.json", 1), ("metrics.json", 2)),
)
SEEDS = (0, 1)


class Command:
    """The command in a folder that never fails to take what it says; its outputs go elsewhere."""

    def __init__(self, output: Path, folder: Path) -> None:
        self.job, self.folder = small.config(output, SEEDS, passes=2), folder
        self.job.engine.workers = 1
        folder.mkdir(exist_ok=True)

    def __call__(self, hook: Callable[[], object] | None = None) -> tuple[int, list[str]]:
        """Its exit code and the lines of its stderr."""
        process = forks.start(forks.command, small.overrides(self.job), self.folder, "train", hook)
        code = forks.ended(process)
        return code, (self.folder / "err.txt").read_text(encoding="utf-8").splitlines()

    def assert_refuses(self, named: str, hook: Callable[[], object] | None = None) -> None:
        """It ends with 1 and one line that has the name; whatever it has written is whole."""
        code, lines = self(hook)
        assert code == 1 and len(lines) == 1, f"{code}, {lines}"
        assert lines[0].startswith("error: ") and named in lines[0], lines
        assert_whole(Path(self.job.output))

    def assert_goes_on(self, whole: dict[str, Any]) -> None:
        code, lines = self()
        assert (code, lines) == (0, []), f"started again: {code}, {lines}"
        small.assert_same(small.bits(self.job), whole)


def assert_whole(output: Path) -> None:
    """Every file there can be read, and none is half of one."""
    for path in output.rglob("*"):
        if path.is_file() and path.name != "ballast":
            assert path.name == ".lock" or not path.name.startswith("."), path.name
            if path.name == "metrics.json":
                read_sealed(path)
            elif path.suffix == ".json":
                json.loads(path.read_text(encoding="utf-8"))
            elif path.name == checkpoints.FILE:
                assert checkpoints.read(path.parent) is not None
            elif path.suffix == ".safetensors":
                read_tensors(path)
            elif path.name != ".lock":
                assert path.read_text(encoding="utf-8").endswith("\n"), path.name


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    folder = tmp_path_factory.mktemp("disk")
    return Command(folder / "out", folder / "shell")


@pytest.fixture(scope="module")
def whole(command: Command) -> dict[str, Any]:
    """What the command gives where nothing is in its way."""
    assert command() == (0, [])
    return small.bits(command.job)


@pytest.fixture(autouse=True)
def nothing_yet(command: Command, whole: dict[str, Any]) -> None:
    shutil.rmtree(command.job.output, ignore_errors=True)


@pytest.fixture
def mounted(command: Command) -> Iterator[Callable[[str], bool]]:
    """Mounts a file system in memory with these options in the place of the output, or changes its options."""
    place = Path(command.job.output)
    tried: list[bool] = []

    def mount(options: str) -> bool:
        place.mkdir(exist_ok=True)
        change = "remount," if any(tried) else ""
        line = ["mount", "-t", "tmpfs", "-o", change + options, "faults", str(place)]
        done = subprocess.run(line, capture_output=True).returncode == 0 if shutil.which("mount") else False
        tried.append(done)
        return done

    yield mount
    if any(tried):
        subprocess.run(["umount", "-l", str(place)], check=True)


def emptied(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def test_full_disk_at_each_file(
    command: Command, whole: dict[str, Any], mounted: Callable[[str], bool], fault: Fault, full: bool
) -> None:
    output = Path(command.job.output)
    with fault("disk full (ENOSPC) at each file of a run in turn; space made") as count:
        if not mounted("size=8m"):
            pytest.skip("no file system can be mounted here")
        for name, nth in WRITES if full else WRITES[3:4]:
            emptied(output)
            with count.attempt(f"{name} {nth}"):
                command.assert_refuses(name, partial(forks.failing, name, nth, output))
                (output / "ballast").unlink()
                command.assert_goes_on(whole)


def test_small_disk(
    command: Command, whole: dict[str, Any], mounted: Callable[[str], bool], fault: Fault, full: bool
) -> None:
    output = Path(command.job.output)
    with fault("disk of 4 KB to 768 KB; enlarged") as count:
        if not full or not mounted("size=8m"):
            pytest.skip("takes a minute, and needs the right to mount a file system")
        for size in (4, 8, 12, 16, 20, 24, 64, 128, 256, 384, 512, 640, 768):
            emptied(output)
            with count.attempt(f"{size} KB"):
                assert mounted(f"size={size}k")
                code, lines = command()
                if size < 512 or code:
                    assert code == 1 and len(lines) == 1 and f"{output}/" in lines[0], f"{code}, {lines}"
                    assert "No space left on device" in lines[0], lines
                assert_whole(output)
                assert mounted("size=8m")
                command.assert_goes_on(whole)


def test_limit_on_the_size_of_a_file(command: Command, whole: dict[str, Any], fault: Fault, full: bool) -> None:
    with fault("file too large (EFBIG) for each file of a run in turn; limit lifted") as count:
        for name, nth in WRITES if full else WRITES[6:7]:
            shutil.rmtree(command.job.output, ignore_errors=True)
            with count.attempt(f"{name} {nth}"):
                command.assert_refuses(name, partial(forks.failing, name, nth, None))
                command.assert_goes_on(whole)


def test_read_only(
    command: Command, whole: dict[str, Any], mounted: Callable[[str], bool], fault: Fault, full: bool
) -> None:
    """Empty, with a job that was interrupted, and with one that has ended."""
    output = Path(command.job.output)
    with fault("read-only output folder; made writable") as count:
        if not mounted("size=8m"):
            pytest.skip("no file system can be mounted here")
        for before in ("nothing", "interrupted", "ended") if full else ("nothing",):
            emptied(output)
            with count.attempt(before):
                if before == "interrupted":
                    command.assert_refuses("metrics.json", partial(forks.failing, "metrics.json", 1, None))
                elif before == "ended":
                    command.assert_goes_on(whole)
                assert mounted("ro")
                try:
                    command.assert_refuses(str(output))
                finally:
                    assert mounted("rw")
                command.assert_goes_on(whole)


PLACES = ("", "job", "job/job.json", "run", "run/.lock", *(f"run/{name}" for name in small.ENDED), "run/checkpoint")


def test_something_else_in_the_place(command: Command, whole: dict[str, Any], fault: Fault, full: bool) -> None:
    """A file where a folder must be, and the reverse."""
    run = run_folder(command.job, 0)
    with fault("a file in the place of a folder, a folder in that of a file; removed") as count:
        for place in PLACES if full else ("run/metrics.json",):
            shutil.rmtree(command.job.output, ignore_errors=True)
            path = Path(command.job.output)
            if place.startswith("job"):
                path = run.parent / place[4:]
            elif place.startswith("run"):
                path = run / place[4:].replace("checkpoint", checkpoints.FILE)
            with count.attempt(place or "output"):
                path.parent.mkdir(parents=True, exist_ok=True)
                if path.suffix or path.name == ".lock":
                    path.mkdir()
                else:
                    path.write_text("", encoding="utf-8")
                code, lines = command()
                assert code == 1 and len(lines) == 1, f"{code}, {lines}"
                assert lines[0].startswith("error: ") and str(path) in lines[0], lines
                if path.is_dir():
                    path.rmdir()
                else:
                    path.unlink()
                command.assert_goes_on(whole)


def test_output_that_nobody_can_make(command: Command, fault: Fault, full: bool) -> None:
    with fault("output folder that cannot be made") as count:
        for place in ("/proc/faults", "/dev/null/faults", "/sys/faults") if full else ("/proc/faults",):
            if os.path.exists(os.path.dirname(place)):
                with count.attempt(place):
                    Command(Path(place), command.folder).assert_refuses(place)
