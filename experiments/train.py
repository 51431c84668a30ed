"""Train: python experiments/train.py experiment=lenet5 seeds=[0,1,2] engine=fused; -m sweeps over anything.

What is finished is left alone, and what was interrupted is gone on with. Every wrong key, value or file ends in one
line and exit code 1; a sweep checks all its combinations first.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Until main() an interrupt ends the process at once: in the midst of an import it would raise anything.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import hydra
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from paper_lenet import job
from paper_lenet.config import Config, ConfigError, DataConfig
from paper_lenet.data import DataError, load
from paper_lenet.files import RecordError
from paper_lenet.records import job_folder

CONF = str(ROOT / "conf")
FAILURES = (HydraException, OmegaConfBaseException, ConfigError, DataError, RecordError, job.JobError, MemoryError)
log = logging.getLogger("paper_lenet")
# EX_TEMPFAIL of sysexits.h: interrupted, and the same command goes on.
INTERRUPTED = 75
composed_jobs: list[str] = []
failed_jobs: list[str] = []
interrupted: list[str] = []

ConfigStore.instance().store(name="schema", node=Config)


def to_config(composed: DictConfig) -> Config:
    """The checked configuration. Raises ConfigError for a value out of range and for a key that was added."""
    config = OmegaConf.to_object(composed)
    assert isinstance(config, Config)
    _refuse_added(config, "")
    return config


def _refuse_added(node: Any, path: str) -> None:
    known = {f.name for f in dataclasses.fields(node)}
    for key, value in vars(node).items():
        if key not in known:
            raise ConfigError(f"{path}{key}: no such key")
        if dataclasses.is_dataclass(value):
            _refuse_added(value, f"{path}{key}.")


def check_sweep(overrides: list[str], multirun: bool) -> list[tuple[Config, str]]:
    """Compose and check every combination of a sweep, if it is one, and then that the data of each can be had.

    An experiment may be a sweep by itself, with its own choices. Returns the configuration of each job with its
    overrides; none for a single job. Raises ConfigError with the overrides of a wrong one, and for a sweep of no jobs.
    """
    jobs: list[tuple[Config, str]] = []
    data: list[tuple[DataConfig, str]] = []
    with hydra.initialize_config_dir(CONF, version_base="1.3"):
        single = [o for o in overrides if o.startswith("experiment=") and "," not in o]
        own = hydra.compose("config", single, return_hydra_config=True).hydra
        if not multirun and own.mode != RunMode.MULTIRUN:
            return []
        choices = [f"{key}={value}" for key, value in (own.sweeper.params or {}).items()]
        parsed = OverridesParser.create().parse_overrides(choices + overrides)
        for batch in BasicSweeper.split_arguments(parsed, max_batch_size=None):
            for combination in batch:
                wanted = [o for o in combination if not o.startswith("hydra")]
                try:
                    config = to_config(hydra.compose("config", wanted))
                except FAILURES as error:
                    raise ConfigError(f"{one_line(error)} (in {' '.join(wanted)})") from None
                jobs.append((config, " ".join(wanted)))
                if config.data not in [known for known, _ in data]:
                    data.append((config.data, " ".join(wanted)))
    if not jobs:
        raise ConfigError(f"{' '.join(overrides)}: a sweep of no jobs")
    for needed, job_of in data:
        try:
            load(needed)
        except FAILURES as error:
            raise ConfigError(f"{one_line(error)} (in {job_of})") from None
    return jobs


def check_ends(jobs: list[tuple[Config, str]]) -> None:
    """Note the jobs of a sweep that did not end well and were not heard of, since a launcher ran them elsewhere."""
    heard = " ".join(failed_jobs)
    for config, job_of in jobs:
        if f"(in {job_of})" not in heard:
            try:
                job.check_end(config)
            except (RecordError, job.JobError) as error:
                failed_jobs.append(f"{one_line(error)} (in {job_of})")


@hydra.main(config_path=CONF, config_name="config", version_base="1.3")
def train(composed: DictConfig) -> None:
    if interrupted:
        return
    job_of = " ".join(HydraConfig.get().overrides.task)
    composed_jobs.append(job_of)
    try:
        config = to_config(composed)
        log.info(f"{config.name}: seeds {config.seeds}, runs go to {job_folder(config)}")
        job.run(config)
    except job.Interrupted as error:
        interrupted.append(f"{one_line(error)}; {how_to_go_on(config)}")
    except FAILURES as error:
        # kept until all jobs are over: raised here it would end the whole sweep
        failed_jobs.append(f"{one_line(error)} (in {job_of})" if job_of else one_line(error))


def how_to_go_on(config: Config) -> str:
    """What to do after an interruption: a command that starts anew would do so again."""
    anew = [key for key, is_so in (("force=true", config.force), ("resume=false", not config.resume)) if is_so]
    without = f" without {' and '.join(anew)}" if anew else ""
    return f"the same command{without} goes on from here"


def one_line(error: BaseException) -> str:
    """The first line of an error and, where it has another cause, of that; OmegaConf's with the key it is about."""
    root = error
    while root.__cause__ is not None:
        root = root.__cause__
    lines = [str(e).strip().splitlines()[0] for e in (error, root) if str(e).strip()] or [type(error).__name__]
    if isinstance(error, OverrideParseException):
        lines.insert(0, error.override)
    key = getattr(root, "full_key", None)  # stands in a later line of its message
    if key and not any(key in line for line in lines):
        lines.insert(0, key)
    return ": ".join(dict.fromkeys(lines))


def main() -> int:
    os.environ["HYDRA_FULL_ERROR"] = "1"
    # A launcher's processes may start elsewhere.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    arguments, jobs = sys.argv[1:], []
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        flags = {a for a in arguments if a.startswith("-")}
        if flags <= {"-m", "--multirun"}:  # others, like --cfg, start no job
            jobs = check_sweep([a for a in arguments if a not in flags], bool(flags))
        train()
        if not interrupted:
            check_ends(jobs)
    except (*FAILURES, OSError) as error:  # OSError: Hydra makes the output folder itself
        failed_jobs.append(one_line(error))
    except (ValueError, OverflowError) as error:  # Hydra's own, as for loss=null and numbers of 400 digits
        if composed_jobs:
            raise
        failed_jobs.append(f"{one_line(error)} (in {' '.join(arguments)})")
    except KeyboardInterrupt:
        interrupted.append("stopped at once; the same command goes on from here")
    for line in failed_jobs:
        print(f"error: {line}", file=sys.stderr)
    for line in interrupted:
        print(f"interrupted: {line}", file=sys.stderr)
    return INTERRUPTED if interrupted else 1 if failed_jobs else 0


if __name__ == "__main__":
    sys.exit(main())
