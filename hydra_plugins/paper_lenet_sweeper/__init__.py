"""What has Hydra launch a study, all of its jobs at once. Hydra finds a plugin in this folder alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from paper_lenet.commands.sweeps import configurations_of, jobs
from paper_lenet.runs.workers import JobError

# params: choices by key, such as `optim.rate: 1e-3,2e-3`; all combinations are jobs.
CONFIG = {"_target_": "hydra_plugins.paper_lenet_sweeper.StudySweeper", "params": None}
ConfigStore.instance().store(group="hydra/sweeper", name="study", node=CONFIG, provider="paper_lenet")


class StudySweeper(Sweeper):
    """Launches each configuration of a study with each combination of what the command line sweeps over.

    Hydra's own sweeper knows combinations alone, and not one list of them after another.
    """

    def __init__(self, params: Mapping[str, str] | None) -> None:
        self.params = params

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        self.launch = launcher.launch
        self.parser = OverridesParser.create(config_loader=hydra_context.config_loader)
        self.configurations = configurations_of(config)

    def sweep(self, arguments: list[str]) -> Any:
        given = self.parser.parse_overrides(arguments)
        try:
            ended = self.launch(jobs(self.parser, self.configurations, self.params, given), initial_job_idx=0)
        except Exception as error:
            # what launchers raise of a process that ended without a word: killed, out of memory, cancelled
            if not type(error).__module__.startswith(("submitit.", "joblib.")):
                raise
            told = " ".join(str(error).splitlines()[:2])
            raise JobError(f"{told}; the same command does the rest") from None
        for job in ended:
            _ = job.return_value  # raises what the job raised
        return ended
