"""One job: a configuration trained for all its seeds, side by side in processes of one thread each."""

from __future__ import annotations

import importlib
import logging
import multiprocessing
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any

import torch
from tqdm import tqdm

from paper_lenet.config import Config, ConfigError, DataConfig
from paper_lenet.data import Data, load
from paper_lenet.engines import Checkpoint, NonFiniteError
from paper_lenet.files import RecordError
from paper_lenet.runs.records import GUESSING_PERCENT, RunWriter, environment, finished, run_folder, tidy, write_job

log = logging.getLogger("paper_lenet")

# Longest time that a run may lose, where a pass takes longer; after each pass it writes a checkpoint anyway.
CHECKPOINT_SECONDS = 60.0
# How long workers may take to write where they are after one of them was killed.
LEAVE_SECONDS = 5.0
# What asks a job to stop, on a terminal or in a batch system.
ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
# Requests to stop that have raised KeyboardInterrupt here: a library may make an error of its own of it, or lose it.
interrupts: list[int] = []
# From this batch on a CPU trains the networks of the batched engine one by one.
ALONE = 16


class JobError(RuntimeError):
    """Seeds that could not be trained; the message says which and why, in one line."""


class Interrupted(RuntimeError):
    """A job that was asked to stop; what it had done is kept, and the same command goes on from there."""


@dataclass(frozen=True)
class Progress:
    """One pass of one seed, as told to whoever watches; or a remark on the seed, which may be a warning."""

    seed: int
    pass_: int = 0
    train_error_percent: float = 0.0
    test_error_percent: float | None = None
    seconds: float = 0.0
    remark: str = ""
    warning: bool = False


def engine(config: Config) -> ModuleType:
    """The module of the configured engine, imported only now: compiled engines are slow to import."""
    return importlib.import_module(f"paper_lenet.engines.{config.engine.name}")


def train_seed(
    config: Config,
    data: Data,
    seed: int,
    tell: Callable[[Progress], object],
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """As `train_group`, one seed. Raises NonFiniteError after having recorded it."""
    for error in train_group(config, data, [seed], tell, stop).values():
        raise error


def train_group(
    config: Config,
    data: Data,
    seeds: list[int],
    tell: Callable[[Progress], object],
    stop: Callable[[], bool] = lambda: False,
) -> dict[int, NonFiniteError]:
    """Train and record seeds in this process, each from where an earlier one left it; those that could not go on.

    Several seeds are for the batched engine, which trains those together that are equally far; out of memory, it does
    so in halves. Raises RecordError; and Interrupted soon after stop() has become true.
    """
    failed: dict[int, NonFiniteError] = {}
    with ExitStack() as stack:
        starts: dict[int, Checkpoint | None] = {}
        writers: dict[int, RunWriter] = {}
        for seed in seeds:
            writers[seed] = stack.enter_context(RunWriter(config, seed, data))
            if not config.force and finished(config, seed):  # by another process, since this one looked
                writers[seed].tidy()
                continue
            starts[seed], remark = writers[seed].begin()
            if remark:
                tell(Progress(seed, remark=remark))
        groups = _equally_far(starts)
        while groups:
            group = groups.pop()
            try:
                runs = [(writers[seed], starts[seed]) for seed in group]
                _train_together(config, data, runs, tell, stop, failed)
            except torch.OutOfMemoryError:
                if len(group) == 1:
                    raise
                half = len(group) // 2
                tell(Progress(group[0], remark=f"{len(group)} networks do not fit the memory; now {half} at a time"))
                for part in (group[half:], group[:half]):
                    left = [seed for seed in part if seed not in failed]
                    starts |= {seed: writers[seed].begin()[0] for seed in left}
                    groups += _equally_far({seed: starts[seed] for seed in left})
    return failed


def _equally_far(starts: dict[int, Checkpoint | None]) -> list[list[int]]:
    """The seeds in groups that go on from the same update."""
    groups: dict[tuple[int, int, bool], list[int]] = {}
    for seed, start in starts.items():
        where = (start.pass_, start.update, start.record is None) if start else (0, 0, True)
        groups.setdefault(where, []).append(seed)
    return list(groups.values())


def _train_together(
    config: Config,
    data: Data,
    runs: list[tuple[RunWriter, Checkpoint | None]],
    tell: Callable[[Progress], object],
    stop: Callable[[], bool],
    failed: dict[int, NonFiniteError],
) -> None:
    """Train and record runs that are equally far. Those that could not go on are added to `failed` as they end."""
    written = time.monotonic()
    writers = [writer for writer, _ in runs]
    for outcomes in _outcomes(config, data, [w.seed for w in writers], [start for _, start in runs]):
        points = [point for point in outcomes if isinstance(point, Checkpoint)]
        over = any(point.record is not None and point.record.pass_ == config.optim.passes for point in points)
        stopping = not over and bool(points) and stop()
        late = time.monotonic() - written > CHECKPOINT_SECONDS
        for writer, outcome in zip(writers, outcomes, strict=True):
            if isinstance(outcome, NonFiniteError):
                if writer.seed not in failed:
                    failed[writer.seed] = outcome
                    writer.diverged(outcome)
                continue
            record = outcome.record
            if record is not None:
                writer.add(record)
            if record is not None or stopping or late:
                writer.checkpoint(outcome)
                written = time.monotonic()
            if record is not None:
                tell(
                    Progress(
                        writer.seed,
                        record.pass_,
                        100 * record.train_errors / record.train_size,
                        100 * record.test_errors / len(data.test_labels) if len(data.test_labels) else None,
                        record.seconds,
                    )
                )
        if stopping:
            raise Interrupted("stopped before its end")
    for writer in writers:
        if writer.seed not in failed and (diverged := writer.finish()):
            tell(Progress(writer.seed, remark=diverged, warning=True))


def _outcomes(
    config: Config, data: Data, seeds: list[int], starts: list[Checkpoint | None]
) -> Iterator[list[Checkpoint | NonFiniteError]]:
    """The checkpoints of the seeds, or how they ended, of whatever engine."""
    if config.engine.name == "batched":
        yield from engine(config).train_many(config, data, seeds, starts)
        return
    try:
        for point in engine(config).train(config, data, seeds[0], starts[0]):
            yield [point]
    except NonFiniteError as error:
        yield [error]


def cores() -> int:
    """Processor cores that this process may use; a batch system often gives it fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _groups(config: Config, seeds: list[int]) -> list[list[int]]:
    """The seeds that one process trains together."""
    if config.engine.name != "batched":
        return [[seed] for seed in seeds]
    if config.engine.device == "cuda":
        return [seeds]
    workers = min(config.engine.workers or cores(), len(seeds))
    # On a CPU several networks at once are for small batches: large ones fill its caches by themselves.
    size = -(-len(seeds) // workers) if config.optim.batch < ALONE else 1
    return [seeds[k : k + size] for k in range(0, len(seeds), size)]


def require_device(config: Config) -> None:
    """Raise ConfigError where this machine lacks the device that the configuration is to run on.

    Not checked with the configuration, which other machines may read.
    """
    if config.engine.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("engine.device=cuda: PyTorch finds no CUDA GPU here; engine.device=cpu runs anywhere")


def run(config: Config) -> None:
    """Train every seed of the configuration that has not ended yet, say a line (or move a bar) a pass, record each run.

    Raises ConfigError, DataError or RecordError before or while training; JobError when seeds failed, after all others
    have ended; Interrupted after SIGINT or SIGTERM, as soon as all seeds have written where they are.
    """
    _end_with_launcher()
    with _running:
        _run(config)


def _run(config: Config) -> None:
    require_device(config)
    load(config.data)  # so that what is wrong with the images is said here, and a download made once
    write_job(config)
    seeds, failed = _unfinished(config)
    stopped = 0
    if seeds:
        groups = _groups(config, seeds)
        workers = min(config.engine.workers or cores(), len(groups))
        with _display(config, len(seeds)) as show, _asked_to_stop() as asked:
            for seed, error in _train_all(config, groups, workers, show, asked):
                if isinstance(error, Interrupted):
                    stopped += 1
                elif error is not None:
                    failed.append(f"{error}" if str(error).startswith("seed") else f"seed {seed}: {error}")
                    log.error(failed[-1])
    failure = f"{len(failed)} of {len(config.seeds)} seeds failed: {'; '.join(failed)}" if failed else ""
    if stopped:
        unfinished = f"{config.name}: {stopped} of {len(config.seeds)} seeds are unfinished"
        raise Interrupted(f"{unfinished}; {failure}" if failure else unfinished)
    if failed:
        raise JobError(failure)


def check_end(config: Config) -> None:
    """Whether all seeds have ended, and ended well. Raises JobError or RecordError otherwise."""
    ends = {seed: finished(config, seed) for seed in config.seeds}
    failed = [f"seed {seed} is unfinished" for seed, metrics in ends.items() if metrics is None]
    failed += [_what_stopped(seed, metrics) for seed, metrics in ends.items() if metrics and metrics["diverged_at"]]
    if failed:
        raise JobError(f"{len(failed)} of {len(config.seeds)} seeds failed: {'; '.join(failed)}")


def _what_stopped(seed: int, metrics: dict[str, Any]) -> str:
    pass_, _, update = metrics["diverged_at"].partition(" update ")
    if not update:
        return f"seed {seed}: its loss is not finite in {pass_}"
    return f"seed {seed}: a penalty is not finite in {pass_}, update {update}"


def _unfinished(config: Config) -> tuple[list[int], list[str]]:
    """The seeds to train; and of the others those that had failed for good, or whose records are damaged."""
    seeds, failed, commit = [], [], ""
    for seed in config.seeds:
        try:
            metrics = None if config.force else finished(config, seed)
        except RecordError as error:
            failed.append(f"seed {seed}: {error} (force=true trains it anew)")
            log.error(failed[-1])
            continue
        if metrics is None:
            seeds.append(seed)
            continue
        tidy(run_folder(config, seed))
        commit = commit or environment()["commit"]
        here = "" if metrics["commit"] == commit else f", by commit {metrics['commit'][:12]} and not by this one"
        log.info(f"{config.name} seed {seed}: finished on {metrics['date']}{here} (force=true trains it anew)")
        if metrics["diverged_at"]:
            failed.append(_what_stopped(seed, metrics))
    return seeds, failed


def interrupt(number: int, _: object) -> None:
    """A handler of SIGINT: remembers it among the interrupts and raises KeyboardInterrupt. A job has its own."""
    interrupts.append(number)
    raise KeyboardInterrupt


@contextmanager
def _asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Whether SIGINT or SIGTERM has come, also before, or a launcher is gone; a second one raises KeyboardInterrupt."""
    came = list(interrupts)

    def note(number: int, frame: object) -> None:
        if came:
            interrupt(number, frame)
        came.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield _launcher_gone.is_set
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # Another's handler stays, such as that of a batch system's launcher.
    usual = (signal.SIG_DFL, signal.default_int_handler, interrupt)
    ours = {number: old for number, old in before.items() if old in usual}
    for number in ours:
        signal.signal(number, note)
    try:
        yield lambda: bool(came) or _launcher_gone.is_set()
    finally:
        for number, old in ours.items():
            signal.signal(number, old)


def _train_all(
    config: Config,
    groups: list[list[int]],
    workers: int,
    show: Callable[[Progress], object],
    asked: Callable[[], bool],
) -> Iterator[tuple[int, Exception | None]]:
    """Each seed with what stopped it (None: nothing), in no particular order."""
    if _of_joblib():  # whose way to start processes is not known to those that it starts
        multiprocessing.set_start_method("spawn", force=True)
    context = multiprocessing.get_context("spawn")
    told: Any = context.Queue()
    # Not an event: a worker that was killed while it looked at one would keep its lock.
    stop: Any = context.RawValue("b", 0)
    # A child reads this before it imports a library that would start threads.
    os.environ["OMP_NUM_THREADS"] = "1"
    others = multiprocessing.active_children()
    # Each worker loads the images by itself: were one killed while it is given more than a pipe holds, this process
    # would wait for ever.
    pool = ProcessPoolExecutor(workers, context, _start_worker, (config.data, told, stop))
    try:
        # The pool starts its processes here; they hear of no signal before they have said that they ignore it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ASKING)
        try:
            waiting = {_submitted(pool, config, group): group for group in groups}
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        while waiting:
            if asked():
                stop.value = 1
            try:
                show(told.get(timeout=0.2))
                continue
            except queue.Empty:
                pass
            for future in [f for f in waiting if f.done()]:
                group = waiting.pop(future)
                error, failed = _how_it_ended(future)
                if isinstance(future.exception(), BrokenProcessPool):
                    _end_workers(stop, others)
                for seed in group:
                    yield seed, error or failed.get(seed)
        while not told.empty():
            show(told.get())
    finally:
        # Not waiting for the pool: it asks its processes to end in ways that they ignore.
        pool.shutdown(wait=False, cancel_futures=True)
        _end_workers(stop, others)


def _submitted(pool: ProcessPoolExecutor, config: Config, group: list[int]) -> Future[dict[int, NonFiniteError]]:
    try:
        return pool.submit(_work, config, group)
    except BrokenProcessPool as error:  # a worker that has got the first group was killed meanwhile
        broken: Future[dict[int, NonFiniteError]] = Future()
        broken.set_exception(error)
        return broken


def _how_it_ended(future: Future[dict[int, NonFiniteError]]) -> tuple[Exception | None, dict[int, NonFiniteError]]:
    """What stopped a group altogether, and what stopped single seeds of it."""
    error = future.exception()
    if error is None:
        return None, future.result()
    if isinstance(error, BrokenProcessPool):
        return JobError("a worker process was killed (out of memory?); the same command goes on"), {}
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return JobError("out of memory"), {}
    if not isinstance(error, Exception):
        raise error
    return error, {}


def _end_workers(stop: Any, others: list[BaseProcess]) -> None:
    """End the pool's processes: when one was killed it may have held a lock that the rest of them wait for."""
    stop.value = 1
    deadline = time.monotonic() + LEAVE_SECONDS
    for process in multiprocessing.active_children():
        if process not in others:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                process.kill()


_data: Data
_told: Any
_stop: Any
_working = threading.Lock()


def _start_worker(data: DataConfig, told: Any, stop: Any) -> None:
    global _data, _told, _stop
    torch.set_num_threads(1)
    _data, _told, _stop = load(data), told, stop
    if threading.current_thread() is threading.main_thread():
        # A terminal and a batch system signal every process of a job; the first one tells the others.
        for number in ASKING:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ASKING)
        threading.Thread(target=_leave_too, daemon=True).start()


def _leave_too() -> None:
    """End this process when the one that started it was killed: the pool would have it wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        with _working:  # which ends soon, with a checkpoint
            os._exit(1)


# In a process of joblib's, which does one job after the other: looked after, in a job, and its launcher is gone.
_watching = threading.Event()
_running = threading.Lock()
_launcher_gone = threading.Event()


def _end_with_launcher() -> None:
    """From now on, end a process of joblib's soon after the one that started it is killed: it would wait for jobs.

    Any other is left alone: a command goes on when its shell ends, and a job of Slurm without the command.
    """
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid is not None and _of_joblib() and not _watching.is_set():
        _watching.set()
        threading.Thread(target=_leave_with, args=(parent.pid,), daemon=True).start()


def _of_joblib() -> bool:
    """Whether this is a process of joblib's that has had no job yet."""
    return multiprocessing.get_start_method() not in multiprocessing.get_all_start_methods()


def _leave_with(parent: int) -> None:
    # These processes know their parent by its number only.
    while os.getppid() == parent:
        time.sleep(0.5)
    _launcher_gone.set()
    with _running:  # which ends soon, with a checkpoint
        os._exit(1)


def _should_stop() -> bool:
    """Also when the process that started this one was killed: another may want to go on with its runs."""
    parent = multiprocessing.parent_process()
    return bool(_stop.value) or (parent is not None and not parent.is_alive())


def _work(config: Config, seeds: list[int]) -> dict[int, NonFiniteError]:
    with _working:
        if _should_stop():
            raise Interrupted("not begun")
        return train_group(config, _data, seeds, _told.put, _should_stop)


class _display:
    """A bar on a terminal, a line a pass elsewhere."""

    def __init__(self, config: Config, seeds: int) -> None:
        self.passes, self.name = config.optim.passes, config.name
        self.bar = tqdm(total=seeds * self.passes, desc=config.name, unit="pass", disable=None, file=sys.stdout)

    def __enter__(self) -> Callable[[Progress], object]:
        return self.show

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def show(self, p: Progress) -> None:
        if p.warning:
            log.warning(f"{self.name} seed {p.seed}: {p.remark}")
            return
        if p.remark:
            tqdm.write(f"{self.name} seed {p.seed}: {p.remark}", file=sys.stdout)
            return
        errors = f"training {p.train_error_percent:.2f} %"
        if p.test_error_percent is not None:
            errors += f", held out {p.test_error_percent:.2f} %"
        if p.train_error_percent >= GUESSING_PERCENT:
            errors += ", still guessing"
        if self.bar.disable:
            log.info(f"{self.name} seed {p.seed} pass {p.pass_}/{self.passes}: {errors}, {p.seconds:.1f} s")
        else:
            self.bar.set_postfix_str(f"seed {p.seed}: {errors}")
            self.bar.update()
