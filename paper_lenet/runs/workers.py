"""The processes of a job: started, told to stop, and ended, whatever becomes of them or of what started them."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import Any

from paper_lenet.config import Config, DataConfig
from paper_lenet.data import Data, load
from paper_lenet.engines import NonFiniteError
from paper_lenet.errors import PaperLenetError
from paper_lenet.runs.training import Interrupted, Progress, out_of_memory, train_group

# How long workers may take to write where they are after one of them was killed.
LEAVE_SECONDS = 5.0
# What asks a job to stop, on a terminal or in a batch system; Windows has the first two, and masks none.
ASKING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)]
MASKED = hasattr(signal, "pthread_sigmask")
# Requests to stop that have raised KeyboardInterrupt here: a library may make an error of its own of it, or lose it.
interrupts: list[int] = []


class JobError(PaperLenetError, RuntimeError):
    """Seeds that could not be trained; the message says which and why, in one line."""


def cores() -> int:
    """Processor cores that this process may use; a batch system often gives it fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processes(workers: int | None = None) -> ProcessPoolExecutor:
    """Processes for the tasks of a command, one a core unless told; they end with it, even if it is killed."""
    return ProcessPoolExecutor(workers or cores(), multiprocessing.get_context("spawn"), _end_with_parent)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end, daemon=True).start()


def interrupt(number: int, _: object) -> None:
    """A handler of SIGINT: remembers it among the interrupts and raises KeyboardInterrupt. A job has its own."""
    interrupts.append(number)
    raise KeyboardInterrupt


@contextmanager
def asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Whether SIGINT or SIGTERM has come, also before, or a launcher is gone; a second one raises KeyboardInterrupt.

    What has come is in `interrupts` at the end: one that came as a job ended must still stop the next.
    """
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
        interrupts.extend(came[len(interrupts) :])


def train_all(
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
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ASKING) if MASKED else set()
        try:
            waiting = {_submitted(pool, config, group): group for group in groups}
        finally:
            if MASKED:
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
    if out_of_memory(error):
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
    import torch

    torch.set_num_threads(1)
    _data, _told, _stop = load(data), told, stop
    if threading.current_thread() is threading.main_thread():
        # A terminal and a batch system signal every process of a job; the first one tells the others.
        for number in ASKING:
            signal.signal(number, signal.SIG_IGN)
        if MASKED:
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
running = threading.Lock()
_launcher_gone = threading.Event()


def end_with_launcher() -> None:
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
    with running:  # which ends soon, with a checkpoint
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
