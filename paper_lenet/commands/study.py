"""Run studies from training to tables and figures: paper-lenet study ablations, or ablation-ladder; alone, list them.

A name is that of a file of conf/study, or of the make target that runs it with others. Each study is trained and
collected, those that choose something for another first; then come the further commands that a study names. Further
arguments go to train, for a quick look: paper-lenet study noise optim.passes=1 'seeds=[100]'
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from paper_lenet.commands.composition import check_sweep, compose, nearest
from paper_lenet.commands.places import add_place, place_of
from paper_lenet.commands.reproduce import options, step
from paper_lenet.config import ConfigError
from paper_lenet.config.studies import Study, studies
from paper_lenet.reporting.tables.build import generated
from paper_lenet.runs.records import job_folder

# Overrides that change neither what is trained nor how it is named.
HOW_IT_RUNS = ("hydra/launcher", "hydra.launcher.", "engine.workers=", "data.dir=", "resume=", "force=")


def main() -> int:
    parser = argparse.ArgumentParser(description="Run studies from training to tables and figures; alone, list them.")
    parser.add_argument("names", nargs="*", help="studies or make targets, and overrides such as optim.passes=1")
    add_place(parser)
    arguments = parser.parse_args()
    place = place_of(arguments)
    overrides = [each for each in arguments.names if "=" in each]
    chosen = selected([each for each in arguments.names if "=" not in each])
    if not arguments.names:
        print("\n\n".join(map(told, studies().values())))
        return 0
    other = [each for each in overrides if not each.startswith(HOW_IT_RUNS)]
    if place.published and other:
        raise ConfigError(f"{other[0]}: only a study as it is can be published")
    folders = []
    for study in chosen:
        of_study = [f"study={study.name}", *overrides]
        jobs = [config for config, _ in check_sweep(of_study, False)] or [compose(of_study)]
        folders.append(str(job_folder(jobs[0]).parent))
    for study, folder in zip(chosen, folders, strict=True):
        step("train", f"study={study.name}", *overrides)
        step("collect", folder, *options(place))
    # a command may need the runs of all
    for command in [command for study in chosen for command in study.then]:
        step(*command.split(), *options(place))
    step("tables", *options(place))
    step("figures", *options(place))
    for study in chosen:
        for need in generated()[study.name].needs if study.table else ():
            if not (place.results / need).exists():
                print(f"{study.name}: no table yet, which needs {place.results / need} as well")
    return 0


def selected(names: Sequence[str]) -> list[Study]:
    """The studies of these names and targets, each after those that chose something for it. Raises ConfigError."""
    known = studies()
    targets = {study.target for study in known.values()} - {""}
    for name in names:
        if name not in known and name not in targets:
            raise ConfigError(f"{name}: no such study or target{nearest(name, [*targets, *known], '-')}")
    return [study for study in known.values() if study.name in names or study.target in names]


def told(study: Study) -> str:
    """What a study asks, what it stands beside, how long it takes, and what runs it."""
    told = f"{study.name}: {study.question}"
    if study.published.source:
        value = f": {study.published.value:g}" if study.published.value is not None else ""
        told += f" Beside {study.published.source}{value}."
    return f"{told}\n    {study.time}; {study.command()}"
