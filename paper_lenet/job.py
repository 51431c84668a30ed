"""One job: a configuration trained for all its seeds, side by side in processes of one thread each."""

from __future__ import annotations

import importlib
import logging
import multiprocessing
import os
import queue
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from paper_lenet.config import Config
from paper_lenet.data import Data, load
from paper_lenet.engines import Fit, NonFiniteError, PassRecord
from paper_lenet.records import RunWriter, write_job

log = logging.getLogger("paper_lenet")


class JobError(RuntimeError):
    """Seeds that could not be trained; the message says which and why, in one line."""


@dataclass(frozen=True)
class Progress:
    """One pass of one seed, as told to whoever watches."""

    seed: int
    pass_: int
    train_error_percent: float
    test_error_percent: float | None
    seconds: float


def engine(config: Config) -> Fit:
    """The fit function of the configured engine, imported only now: compiled engines are slow to import."""
    fit: Fit = importlib.import_module(f"paper_lenet.engines.{config.engine.name}").fit
    return fit


def train_seed(config: Config, data: Data, seed: int, tell: Callable[[Progress], object]) -> None:
    """Train and record one seed. Raises NonFiniteError after having recorded it, and RecordError."""
    writer = RunWriter(config, seed, data.name, data.split)
    record: PassRecord | None = None
    try:
        for record in engine(config)(config, data, seed):
            writer.add(record, data)
            tell(
                Progress(
                    seed,
                    record.pass_,
                    100 * record.train_errors / record.train_size,
                    100 * record.test_errors / len(data.test_labels) if len(data.test_labels) else None,
                    record.seconds,
                )
            )
    except NonFiniteError as error:
        writer.diverged(error)
        raise
    assert record is not None and record.training_set_errors is not None
    writer.finish(100 * record.training_set_errors / record.train_size)


def cores() -> int:
    """Processor cores that this process may use; a batch system often gives it fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run(config: Config) -> None:
    """Train every seed of the configuration, say a line (or move a bar) a pass, record each run in its folder.

    Raises DataError, ConfigError or RecordError before or while training; JobError when seeds failed, after all
    others have ended.
    """
    data = load(config.data)
    write_job(config)
    workers = min(config.engine.workers or cores(), len(config.seeds))
    failed = []
    with _display(config) as show:
        for seed, error in _train_all(config, data, workers, show):
            if error is not None:
                failed.append(f"{error}" if str(error).startswith("seed") else f"seed {seed}: {error}")
                log.error(failed[-1])
    if failed:
        raise JobError(f"{len(failed)} of {len(config.seeds)} seeds failed: {'; '.join(failed)}")


def _train_all(
    config: Config, data: Data, workers: int, show: Callable[[Progress], object]
) -> Iterator[tuple[int, Exception | None]]:
    """Each seed with what stopped it (None: nothing), in no particular order."""
    context = multiprocessing.get_context("spawn")
    told: Any = context.Queue()
    # A child reads this before it imports a library that would start threads.
    os.environ["OMP_NUM_THREADS"] = "1"
    with ProcessPoolExecutor(workers, context, _start_worker, (data, told)) as pool:
        waiting: dict[Future[None], int] = {pool.submit(_work, config, seed): seed for seed in config.seeds}
        while waiting:
            try:
                show(told.get(timeout=0.2))
                continue
            except queue.Empty:
                pass
            for future in [f for f in waiting if f.done()]:
                error = future.exception()
                if isinstance(error, BrokenProcessPool):
                    error = JobError("its process was killed (out of memory?)")
                elif error is not None and not isinstance(error, Exception):
                    raise error
                yield waiting.pop(future), error
        while not told.empty():
            show(told.get())


_data: Data
_told: Any


def _start_worker(data: Data, told: Any) -> None:
    global _data, _told
    import torch

    torch.set_num_threads(1)
    _data, _told = data, told


def _work(config: Config, seed: int) -> None:
    train_seed(config, _data, seed, _told.put)


class _display:
    """A bar on a terminal, a line a pass elsewhere."""

    def __init__(self, config: Config) -> None:
        self.passes, self.name = config.optim.passes, config.name
        total = len(config.seeds) * config.optim.passes
        self.bar = tqdm(total=total, desc=config.name, unit="pass", disable=None, file=sys.stdout)

    def __enter__(self) -> Callable[[Progress], object]:
        return self.show

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def show(self, p: Progress) -> None:
        errors = f"training {p.train_error_percent:.2f} %"
        if p.test_error_percent is not None:
            errors += f", held out {p.test_error_percent:.2f} %"
        if self.bar.disable:
            log.info(f"{self.name} seed {p.seed} pass {p.pass_}/{self.passes}: {errors}, {p.seconds:.1f} s")
        else:
            self.bar.set_postfix_str(f"seed {p.seed}: {errors}")
            self.bar.update()
