"""Search settings on hold-out images: paper-lenet search FILE [--trials N] [--publish]; needs Optuna (extra search).

The file says what is searched, as those of experiments/searches do. A trial trains one seed, and one that does worse
than most after as many passes is ended in its second half. The best are trained anew, longer and on more seeds: the
finals. All of it goes to search.csv, and the best settings to the screen; nobody looks at the test set. The same
command goes on.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from paper_lenet.commands.composition import compose
from paper_lenet.commands.places import add_place, place_of
from paper_lenet.config import Config, ConfigError
from paper_lenet.data import load
from paper_lenet.engines import NonFiniteError
from paper_lenet.engines.engine import records
from paper_lenet.files import add_rows, read_rows
from paper_lenet.reporting.tables.search import COLUMNS, COMPLETE, DIVERGED, FINALS, KEY, PRUNED, TRIALS
from paper_lenet.runs.environment import origin
from paper_lenet.runs.training import engine
from paper_lenet.runs.workers import cores, processes

FIRST_SEED = 8200  # of trial 0; each trial has the next one
# From the middle of its passes on a trial is ended that is not in this part of those before it at the same pass.
# Earlier it would tell more of how fast a setting begins than of where it ends.
BEST_PERCENT = 33.3


@dataclass(frozen=True)
class Search:
    """A file that says what is searched; its name is that of the file.

    overrides: of every trial.  trials: how many.
    startup: how many of them at random, before the sampler goes by what it has seen.
    space: for each key the values of a choice, or `low`, `high` and perhaps `log`.
    finalists: how many of the best are trained anew.  finals: their further overrides.  seeds: theirs.
    """

    name: str
    overrides: list[str]
    trials: int
    startup: int
    finalists: int
    finals: list[str]
    seeds: list[int]
    space: dict[str, Any]


def search_of(path: Path) -> Search:
    """What a file says. Raises ConfigError."""
    try:
        return Search(path.stem, **yaml.safe_load(path.read_text(encoding="utf-8")))
    except (TypeError, yaml.YAMLError, OSError, ValueError) as error:
        raise ConfigError(f"{path}: {str(error).splitlines()[0]}") from error


def main() -> int:
    parser = argparse.ArgumentParser(description="Search settings on hold-out images.")
    parser.add_argument("file", type=Path, help="what is searched, as experiments/searches/best.yaml")
    parser.add_argument("--trials", type=int, help="so many, for a quick look")
    parser.add_argument("--output", type=Path, default=Path("outputs/search"), help="where the search itself is kept")
    add_place(parser)
    arguments = parser.parse_args()
    place, search = place_of(arguments), search_of(arguments.file)
    if place.published and arguments.trials is not None:
        raise ConfigError("--trials: only a search as it is can be published")
    try:
        import optuna
    except ImportError as error:
        raise ConfigError("search: needs Optuna: pip install 'paper-lenet[search]'") from error
    images = compose(search.overrides).data
    if not images.validation:
        raise ConfigError(f"{arguments.file}: overrides without data.validation: a search would look at the test set")
    load(images)  # what is wrong is said here, in one line
    os.environ["OMP_NUM_THREADS"] = "1"
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path, journal = place.results / "search.csv", arguments.output / f"{search.name}.journal"
    journal.parent.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(study_name=search.name, storage=storage(journal), load_if_exists=True)
    take_up(study, search, path)
    with processes() as pool:
        try:
            todo = [
                pool.submit(tried, search, journal, path, arguments.trials or search.trials) for _ in range(cores())
            ]
            for done in as_completed(todo):
                done.result()
            running = [pool.submit(final, search, path, *each) for each in finals(search, path)]
            for done in as_completed(running):
                done.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    print(f"{path}; best: {best(search, path)}")
    return 0


def storage(journal: Path) -> Any:
    """Optuna's record of a search, which several processes share."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    return JournalStorage(JournalFileBackend(str(journal)))


def take_up(study: Any, search: Search, path: Path) -> None:
    """Tell a new study of the trials that search.csv has already, as on another machine; one that is missing failed."""
    from optuna.trial import TrialState, create_trial

    rows = {
        int(row["trial"]): row
        for row in read_rows(path, COLUMNS, {"seed": int})
        if (row["search"], row["part"]) == (search.name, TRIALS)
    }
    space: Mapping[str, Any] = {key: distribution(values) for key, values in search.space.items()}
    for number in range(len(study.get_trials(deepcopy=False)), max(rows, default=-1) + 1):
        if number not in rows:
            study.add_trial(create_trial(state=TrialState.FAIL))
            continue
        row = rows[number]
        told = dict(each.split("=", 1) for each in row["settings"].split())
        pruned = row["state"] == PRUNED
        study.add_trial(
            create_trial(
                state=TrialState.PRUNED if pruned else TrialState.COMPLETE,
                value=None if pruned else float(row["validation_error_percent"]),
                params={key: value_of(told[key], values) for key, values in search.space.items()},
                distributions=dict(space),
                intermediate_values={k + 1: float(error) for k, error in enumerate(row["errors"].split())},
            )
        )


def distribution(values: Any) -> Any:
    """A key's values as Optuna has them."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if isinstance(values, list):
        return CategoricalDistribution(values)
    return FloatDistribution(values["low"], values["high"], log=values.get("log", False))


def value_of(text: str, values: Any) -> Any:
    """A value as it was suggested, from what a row has of it."""
    if isinstance(values, list):
        return next(value for value in values if str(value) == text)
    return min(max(float(text), values["low"]), values["high"])


def tried(search: Search, journal: Path, path: Path, trials: int) -> None:
    """Trials in this process, until all processes together have done so many."""
    import optuna
    from optuna.trial import TrialState

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.load_study(
        study_name=search.name,
        storage=storage(journal),
        sampler=optuna.samplers.TPESampler(n_startup_trials=search.startup, multivariate=True),
        pruner=optuna.pruners.PercentilePruner(
            BEST_PERCENT, search.startup // 2, compose(search.overrides).optim.passes // 2
        ),
    )

    def objective(trial: optuna.Trial) -> float:
        settings = {key: suggested(trial, key, values) for key, values in search.space.items()}
        seed = FIRST_SEED + trial.number

        def hopeless(done: int, error: float) -> bool:
            trial.report(error, done)
            return bool(trial.should_prune())

        outcome = trained(config_of(search.overrides, settings), seed, hopeless)
        add(search, path, TRIALS, settings, trial.number, seed, outcome)
        if outcome.state == PRUNED:
            raise optuna.TrialPruned
        return outcome.error

    ended = (TrialState.COMPLETE, TrialState.PRUNED)
    if len(study.get_trials(deepcopy=False, states=ended)) < trials:
        study.optimize(objective, callbacks=[optuna.study.MaxTrialsCallback(trials, states=ended)])


def suggested(trial: Any, key: str, values: Any) -> Any:
    """A value for a key, as the space has it."""
    if isinstance(values, list):
        return trial.suggest_categorical(key, values)
    return trial.suggest_float(key, values["low"], values["high"], log=values.get("log", False))


def overrides_of(settings: Mapping[str, Any]) -> list[str]:
    """Settings as the command line has them, with the digits that are trained with."""
    return [f"{key}={format(value, '.4g') if isinstance(value, float) else value}" for key, value in settings.items()]


def config_of(overrides: list[str], settings: Mapping[str, Any]) -> Config:
    """The configuration of a trial."""
    return compose([*overrides, *overrides_of(settings)])


def of_finals(search: Search) -> list[str]:
    """The overrides of the finals, which take the place of those of the trials for the same keys."""
    return list({each.partition("=")[0]: each for each in [*search.overrides, *search.finals]}.values())


@dataclass(frozen=True)
class Outcome:
    """How a training ended.

    state: complete, pruned or diverged.  errors: held-out images wrong after each pass, in percent.
    """

    state: str
    errors: list[float]
    seconds: float

    @property
    def error(self) -> float:
        """The last one; all images count as wrong once the training has diverged."""
        return self.errors[-1] if self.errors and self.state != DIVERGED else 100.0


def trained(config: Config, seed: int, hopeless: Callable[[int, float], bool] = lambda done, error: False) -> Outcome:
    """One seed, to its end or until (passes done, error) is hopeless."""
    data, began, state = load(config.data), time.perf_counter(), COMPLETE
    errors: list[float] = []
    try:
        for record in records(engine(config).train(config, data, seed)):
            errors.append(100 * record.test_errors / len(data.test_labels))
            if hopeless(record.pass_, errors[-1]) and record.pass_ < config.optim.passes:
                state = PRUNED
                break
    except NonFiniteError:
        state = DIVERGED
    return Outcome(state, errors, time.perf_counter() - began)


def add(
    search: Search, path: Path, part: str, settings: Mapping[str, Any], trial: int, seed: int, outcome: Outcome
) -> None:
    """A row of search.csv, and a line on the screen."""
    told = " ".join(overrides_of(settings))
    row = {"search": search.name, "part": part, "trial": trial, "seed": seed}
    row |= {"passes": len(outcome.errors), "errors": " ".join(f"{error:.2f}" for error in outcome.errors)}
    row |= {"state": outcome.state, "validation_error_percent": outcome.error, "seconds": round(outcome.seconds, 1)}
    add_rows(path, COLUMNS, KEY, [row | {"settings": told, **origin()}], in_order)
    print(f"{search.name}, {part} {trial}, seed {seed}: {outcome.state} after {len(outcome.errors)} passes, "
          f"{outcome.error:.2f} %, {told}", flush=True)  # fmt: skip


def in_order(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return sorted(rows, key=lambda row: (row["search"], row["part"] == FINALS, int(row["trial"]), int(row["seed"])))


def finals(search: Search, path: Path) -> Iterator[tuple[int, dict[str, str], int]]:
    """Trial, settings and seed of each training that the finals lack."""
    rows = [row for row in read_rows(path, COLUMNS, {"seed": int}) if row["search"] == search.name]
    whole = [row for row in rows if row["part"] == TRIALS and row["state"] == COMPLETE]
    whole.sort(key=lambda row: (float(row["validation_error_percent"]), int(row["trial"])))
    there = {(row["trial"], int(row["seed"])) for row in rows if row["part"] == FINALS}
    for row in whole[: search.finalists]:
        settings = dict(each.split("=", 1) for each in row["settings"].split())
        for seed in search.seeds:
            if (row["trial"], seed) not in there:
                yield int(row["trial"]), settings, seed


def final(search: Search, path: Path, trial: int, settings: dict[str, str], seed: int) -> None:
    """One training of the finals."""
    outcome = trained(config_of(of_finals(search), settings), seed)
    add(search, path, FINALS, settings, trial, seed, outcome)


def best(search: Search, path: Path) -> str:
    """The settings with the lowest mean error in the finals, of equal ones those of the earlier trial."""
    found: dict[str, list[float]] = {}
    for row in read_rows(path, COLUMNS, {"seed": int}):
        if (row["search"], row["part"]) == (search.name, FINALS):
            found.setdefault(row["settings"], []).append(float(row["validation_error_percent"]))
    return min(found, key=lambda settings: round(sum(found[settings]) / len(found[settings]), 6))
