"""Train: paper-lenet train experiment=lenet5 seeds=[0,1,2]; study=noise trains a study, -m sweeps over anything.

What is finished is left alone, and what was interrupted is gone on with. Every wrong key, value or file ends in one
line and exit code 1; a sweep checks all its combinations first.
"""

from __future__ import annotations

import logging
import os
import signal
import sys

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from paper_lenet.commands.composition import CONF, FAILURES, check_sweep, one_line, to_config
from paper_lenet.commands.entry import INTERRUPTED, print_anything
from paper_lenet.config import Config
from paper_lenet.config.rules import help_text
from paper_lenet.config.schema import defaults
from paper_lenet.files import RecordError
from paper_lenet.runs import job, workers
from paper_lenet.runs.records import job_folder, write_job
from paper_lenet.runs.training import Interrupted
from paper_lenet.runs.workers import JobError

log = logging.getLogger("paper_lenet")
AT_ONCE = "stopped at once; the same command goes on from here"
composed_jobs: list[str] = []
failed_jobs: list[str] = []
interrupted: list[str] = []


def check_ends(jobs: list[tuple[Config, str]]) -> None:
    """Note the jobs of a sweep that did not end well and were not heard of, since a launcher ran them elsewhere."""
    heard = " ".join(failed_jobs)
    for config, job_of in jobs:
        if f"(in {job_of})" not in heard:
            try:
                job.check_end(config)
            except (RecordError, JobError) as error:
                failed_jobs.append(f"{one_line(error)} (in {job_of})")


@hydra.main(config_path=CONF, config_name="config", version_base="1.3")
def train(composed: DictConfig) -> None:
    if interrupted or workers.interrupts:
        return
    print_anything()  # also in a launcher's processes
    job_of = " ".join(HydraConfig.get().overrides.task)
    composed_jobs.append(job_of)
    try:
        config = to_config(composed)
        log.info(f"{config.name}: seeds {config.seeds}, runs go to {job_folder(config)}")
        job.run(config)
    except Interrupted as error:
        interrupted.append(f"{one_line(error)}; {how_to_go_on(config)}")
    except Exception as error:
        if workers.interrupts:  # what a library made of one
            return
        if not isinstance(error, FAILURES):
            raise
        # kept until all jobs are over: raised here it would end the whole sweep
        failed_jobs.append(f"{one_line(error)} (in {job_of})" if job_of else one_line(error))


def how_to_go_on(config: Config) -> str:
    """What to do after an interruption: a command that starts anew would do so again."""
    anew = [key for key, is_so in (("force=true", config.force), ("resume=false", not config.resume)) if is_so]
    without = f" without {' and '.join(anew)}" if anew else ""
    return f"the same command{without} goes on from here"


def main() -> int:
    os.environ["HYDRA_FULL_ERROR"] = "1"
    arguments, jobs = sys.argv[1:], []
    workers.interrupts.clear()
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:  # one that is ignored, as by nohup, stays so
        signal.signal(signal.SIGINT, workers.interrupt)
    try:
        flags = {a for a in arguments if a.startswith("-")}
        if flags & {"-h", "--help"}:
            print(f"{__doc__}\nEvery key with its default; its meaning is in paper_lenet/config/schema.py:\n")
            print(help_text(defaults()))
            return 0
        if flags <= {"-m", "--multirun"}:  # others, like --cfg, start no job
            jobs = check_sweep([a for a in arguments if a not in flags], bool(flags))
            for planned, _ in jobs:
                write_job(planned)
            if jobs and not flags:  # a study
                sys.argv.append("--multirun")
        train()
        if not interrupted and not workers.interrupts:
            check_ends(jobs)
    except BaseException as error:
        if workers.interrupts or isinstance(error, KeyboardInterrupt):  # whatever a library made of one
            interrupted.extend([] if interrupted else [AT_ONCE])
        elif isinstance(error, (*FAILURES, OSError)):  # OSError: Hydra makes the output folder itself
            failed_jobs.append(one_line(error))
        # Hydra's own, as for loss=null and numbers of 400 digits
        elif isinstance(error, ValueError | OverflowError) and not composed_jobs:
            failed_jobs.append(f"{one_line(error)} (in {' '.join(arguments)})")
        else:
            raise
    finally:
        signal.signal(signal.SIGINT, before)
    if workers.interrupts and not interrupted:
        interrupted.append(AT_ONCE)
    for line in failed_jobs:
        print(f"error: {line}", file=sys.stderr)
    for line in interrupted:
        print(f"interrupted: {line}", file=sys.stderr)
    return INTERRUPTED if interrupted else 1 if failed_jobs else 0
