"""Seeds trained and recorded in one process, each from where an earlier one left it."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from types import ModuleType

from paper_lenet.config import Config
from paper_lenet.data import Data
from paper_lenet.engines import Checkpoint, NonFiniteError
from paper_lenet.runs.records import RunWriter, finished

# Longest time that a run may lose, where a pass takes longer; after each pass it writes a checkpoint anyway.
CHECKPOINT_SECONDS = 60.0


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


def out_of_memory(error: BaseException) -> bool:
    """Whether it says that memory ran out; PyTorch's own error goes by its name, since importing it takes seconds."""
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"


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
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error) or len(group) == 1:
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
