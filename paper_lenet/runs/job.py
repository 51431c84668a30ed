"""One job: a configuration trained for all its seeds, side by side in processes of one thread each."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any

from tqdm import tqdm

from paper_lenet.config import Config, ConfigError
from paper_lenet.data import check_classes, load
from paper_lenet.files import RecordError
from paper_lenet.runs.environment import commit_here
from paper_lenet.runs.records import GUESSING_PERCENT, finished, run_folder, tidy, write_job
from paper_lenet.runs.training import Interrupted, Progress
from paper_lenet.runs.workers import JobError, asked_to_stop, cores, end_with_launcher, running, train_all

log = logging.getLogger("paper_lenet")
# From this batch on a CPU trains the networks of the batched engine one by one.
ALONE = 16


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
    if config.engine.device == "cuda":
        import torch  # here, since it takes seconds and the process that waits for others does without

        if not torch.cuda.is_available():
            raise ConfigError("engine.device=cuda: PyTorch finds no CUDA GPU here; engine.device=cpu runs anywhere")


def run(config: Config) -> None:
    """Train every seed of the configuration that has not ended yet, say a line (or move a bar) a pass, record each run.

    Raises ConfigError, DataError or RecordError before or while training; JobError when seeds failed, after all others
    have ended; Interrupted after SIGINT or SIGTERM, as soon as all seeds have written where they are.
    """
    end_with_launcher()
    with running:
        _run(config)


def _run(config: Config) -> None:
    require_device(config)
    # what is wrong with the images is said here, and a download made once
    check_classes(config.model.classes, load(config.data))
    write_job(config)
    seeds, failed = _unfinished(config)
    stopped = 0
    if seeds:
        groups = _groups(config, seeds)
        workers = min(config.engine.workers or cores(), len(groups))
        with _display(config, len(seeds)) as show, asked_to_stop() as asked:
            for seed, error in train_all(config, groups, workers, show, asked):
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
        commit = commit or commit_here()
        here = "" if metrics["commit"] == commit else f", by commit {metrics['commit'][:12]} and not by this one"
        log.info(f"{config.name} seed {seed}: finished on {metrics['date']}{here} (force=true trains it anew)")
        if metrics["diverged_at"]:
            failed.append(_what_stopped(seed, metrics))
    return seeds, failed


class _display:
    """A bar on a terminal, one line per pass elsewhere."""

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
