"""Processes forked from one that has imported everything: cheap enough to be killed hundreds of times.

The functions that take a job or arguments run in such a process; the others are for the tests.
"""

from __future__ import annotations

import errno
import multiprocessing
import multiprocessing.forkserver
import os
import re
import resource
import runpy
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import small

from paper_lenet import files
from paper_lenet.config import Config
from paper_lenet.engines import NonFiniteError
from paper_lenet.files import RecordError
from paper_lenet.runs import collect, environment, job, records, training, workers

ROOT = Path(__file__).resolve().parents[2]
COMMIT = "c0ffee" * 6 + "c0de"
PATIENCE = 60.0
_CONTEXT = multiprocessing.get_context("forkserver")


# In the tests


def start(target: Callable[..., object], *arguments: Any) -> Any:
    """A process that calls target(*arguments); it exits with 1 and a line in stderr if that raises."""
    _CONTEXT.set_forkserver_preload(["warm"])
    before = os.environ.get("PYTHONPATH")
    # Python 3.11's fork server does not get the path of the process that starts it.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(Path(__file__).parent), *([before] if before else [])])
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        multiprocessing.forkserver.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
    process = _CONTEXT.Process(target=target, args=arguments)
    process.start()
    return process


def ended(process: Any) -> int:
    """Its exit code, once it has ended; one that hangs is killed, and a failure."""
    process.join(PATIENCE)
    if process.is_alive():
        with suppress(ProcessLookupError):  # of a command, its workers
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.join()
        raise AssertionError("a process hangs")
    return int(process.exitcode)


def kill_after(process: Any, seconds: float) -> bool:
    """Kill -9 after so long; whether it was still there to be killed."""
    process.join(seconds)
    if process.is_alive():
        with suppress(ProcessLookupError):  # it has just ended by itself
            os.kill(process.pid, signal.SIGKILL)
    return ended(process) == -signal.SIGKILL


# In the forked processes


def prepare() -> None:
    """Checkpoints as often as the engines yield, which is often; and a state of the code that never changes."""
    import warm  # noqa: F401

    from paper_lenet.engines.fused import net as fused
    from paper_lenet.engines.reference import net as reference

    fused.PACE, reference.PACE = small.PACE["fused"], small.PACE["reference"]
    training.CHECKPOINT_SECONDS, workers.LEAVE_SECONDS = 0.0, 0.5
    environment.code_state = lambda root: (COMMIT, False)


def _note(log: Path | None, line: str) -> None:
    if log is not None:
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")


def train(config: Config, log: Path | None = None, pace: int | None = None, patience: float | None = None) -> None:
    """The job's seeds one after the other in this process; exit code 1 if one cannot be recorded."""
    import warm

    prepare()
    if pace is not None:
        from paper_lenet.engines.fused import net as fused

        fused.PACE = pace
    if patience is not None:
        files.PATIENCE_SECONDS = patience
    failed = False

    def tell(progress: training.Progress) -> None:
        _note(log, f"seed {progress.seed} {progress.remark or f'pass {progress.pass_}'}")

    try:
        records.write_job(config)
    except RecordError as error:
        _note(log, f"error: {error}")
        sys.exit(1)
    for seed in config.seeds:
        try:
            training.train_seed(config, warm.sets.load(config.data), seed, tell)
        except NonFiniteError:
            _note(log, f"seed {seed} diverged")
        except RecordError as error:
            _note(log, f"error: {error}")
            failed = True
    sys.exit(int(failed))


def whole_job(config: Config, pace: int | None = None) -> None:
    """`job.run`, with threads for its workers: as a command does it; exit code 1 if a seed failed."""
    prepare()
    if pace is not None:
        from paper_lenet.engines.fused import net as fused

        fused.PACE = pace
    workers.ProcessPoolExecutor = lambda workers, _, initializer, initargs: ThreadPoolExecutor(  # type: ignore
        workers, initializer=initializer, initargs=initargs
    )
    try:
        job.run(config)
    except (RecordError, workers.JobError) as error:
        print(error, file=sys.stderr)
        sys.exit(0 if "not finite" in str(error) else 1)


def collected(folder: Path, results: Path, log: Path | None = None, partial: bool = False) -> None:
    """`collect`; exit code 1 if it refuses."""
    try:
        collect.collect(folder, results, partial=partial)
    except (collect.CollectError, RecordError) as error:
        _note(log, str(error))
        sys.exit(1)


def command(
    arguments: list[str], folder: Path, script: str = "train", hook: Callable[[], object] | None = None
) -> None:
    """experiments/<script>.py as from a shell in `folder`: what it says goes to out.txt and err.txt there.

    Its workers are forked, too.
    """
    os.setsid()
    os.chdir(folder)
    for number, name in ((1, "out.txt"), (2, "err.txt")):
        opened = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, number)
        os.close(opened)
    prepare()
    get_context = multiprocessing.get_context
    multiprocessing.get_context = lambda method=None: get_context("fork")  # type: ignore
    if hook is not None:
        hook()
    sys.argv = [script, *arguments]
    sys.path.insert(0, str(ROOT / "experiments"))
    runpy.run_path(str(ROOT / "experiments" / f"{script}.py"), run_name="__main__")


# Steps of a write


class Steps:
    """The steps in which files are written and removed, and an end in the midst of one.

    end: the number of the step before which the process is killed; None for none. What has not been synced to the disk
    is then lost, too, as when the power fails.
    """

    def __init__(self, end: int | None = None) -> None:
        self.end = end
        self.names: list[str] = []
        self.unsynced: set[str] = set()

    def step(self, name: str, path: Path) -> None:
        if len(self.names) == self.end:
            for lost in self.unsynced:
                if os.path.exists(lost):
                    os.truncate(lost, 0)
            os.kill(os.getpid(), signal.SIGKILL)
        self.names.append(f"{name} {re.sub(r'[.][0-9]+$', '', path.name).lstrip('.')}")

    def watch(self) -> None:
        """From now on, in this process."""
        open_, replace, unlink, fsync, steps = Path.open, Path.replace, Path.unlink, os.fsync, self

        class File:
            """A file that is written in two halves."""

            def __init__(self, path: Path) -> None:
                self.path, self.file = path, open_(path, "wb")
                steps.unsynced.add(str(path.resolve()))

            def write(self, content: bytes) -> None:
                self.file.write(content[: len(content) // 2])
                self.file.flush()
                steps.step("half of", self.path)
                self.file.write(content[len(content) // 2 :])

            def __enter__(self) -> File:
                return self

            def __exit__(self, *_: object) -> None:
                self.file.close()

            def __getattr__(self, name: str) -> Any:
                return getattr(self.file, name)

        def open_watched(path: Path, mode: str = "r", *rest: Any, **options: Any) -> Any:
            if mode != "wb":
                return open_(path, mode, *rest, **options)
            steps.step("before", path)
            return File(path)

        def fsync_watched(number: int) -> None:
            path = os.readlink(f"/proc/self/fd/{number}")
            steps.step("unsynced", Path(path))
            fsync(number)
            steps.unsynced.discard(path)

        def replace_watched(path: Path, target: Path) -> Path:
            steps.step("synced", path)
            replace(path, target)
            if str(path.resolve()) in steps.unsynced:
                steps.unsynced.add(str(target.resolve()))
            steps.step("replaced", target)
            return target

        def unlink_watched(path: Path, missing_ok: bool = False) -> None:
            there = path.exists()
            if there:
                steps.step("before removal of", path)
            unlink(path, missing_ok)
            if there:
                steps.step("removed", path)

        Path.open, Path.replace, Path.unlink = open_watched, replace_watched, unlink_watched  # type: ignore
        os.fsync = fsync_watched


def stepping(end: int | None, log: Path | None, target: Callable[..., object], *arguments: Any) -> None:
    """The target, killed before step `end`; or, with None, all steps written to the log."""
    import warm  # noqa: F401

    steps = Steps(end)
    steps.watch()
    try:
        target(*arguments)
    finally:
        if log is not None:
            log.write_text("\n".join(steps.names), encoding="utf-8")


# A write that fails


@contextmanager
def _too_large(content: bytes) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(content) // 2, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def _full(disk: Path) -> Iterator[None]:
    """Fill the disk, truly and to its last byte."""
    number = os.open(disk / "ballast", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        for size in (1 << 16, 1 << 12, 1):
            while True:
                try:
                    if os.write(number, bytes(size)) < size:
                        break
                except OSError as error:
                    assert error.errno == errno.ENOSPC
                    break
    finally:
        os.close(number)
    yield


def failing(name: str, nth: int, disk: Path | None) -> None:
    """From now on, in this process and its forks: the nth write of the named file finds the disk full.

    disk: the root of a small file system to fill; None for a limit on the size of a file instead.
    """
    open_, seen = Path.open, [0]

    class File:
        def __init__(self, path: Path) -> None:
            self.file = open_(path, "wb", buffering=0)

        def write(self, content: bytes) -> None:
            with _full(disk) if disk is not None else _too_large(content):
                done = 0
                while done < len(content):
                    done += self.file.write(content[done:]) or 0

        def __enter__(self) -> File:
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

    def open_failing(path: Path, mode: str = "r", *rest: Any, **options: Any) -> Any:
        if mode == "wb" and path.name.startswith(f".{name}."):
            seen[0] += 1
            if seen[0] == nth:
                return File(path)
        return open_(path, mode, *rest, **options)

    Path.open = open_failing  # type: ignore
