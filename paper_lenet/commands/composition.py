"""From a command line to checked configurations, of one job or of a sweep; whatever is wrong with it is one line."""

from __future__ import annotations

import dataclasses
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import hydra
import yaml  # type: ignore[import-untyped]
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from paper_lenet.commands import sweeps
from paper_lenet.config import Config, ConfigError, DataConfig
from paper_lenet.config import studies as study_files
from paper_lenet.config.rules import CHOICES
from paper_lenet.config.studies import Study
from paper_lenet.data import load
from paper_lenet.errors import PaperLenetError
from paper_lenet.runs import job
from paper_lenet.runs.records import run_folder

CONF = str(study_files.CONF)
OF_HYDRA = (HydraException, OmegaConfBaseException, yaml.YAMLError)
FAILURES = (*OF_HYDRA, PaperLenetError, MemoryError)
# Groups whose files say something about all of the configuration; several changes make one.
GLOBAL_GROUPS = ("experiment", "study", "change")
LAUNCHERS = ("joblib", "submitit_local", "submitit_slurm")
# As many choices are listed; of more, those that are like the wrong one.
FEW = 8
# Of SequenceMatcher: two letters of a word of four may have changed places.
ALIKE = 0.7


@dataclasses.dataclass
class Composed(Config):
    """What conf/ gives: the configuration of a job, and the study that it is one of."""

    study: Study = dataclasses.field(default_factory=Study)


ConfigStore.instance().store(name="schema", node=Composed)
# The only group without files in conf/: an engine is a folder of paper_lenet/engines and nothing else.
for engine in CHOICES["engine.name"]:
    ConfigStore.instance().store(group="engine", name=engine, node={"name": engine})


def to_config(composed: DictConfig) -> Config:
    """The checked configuration. Raises ConfigError for a value out of range and for a key that was added."""
    whole = OmegaConf.to_object(composed)
    _refuse_added(whole, "")
    return Config(**{f.name: getattr(whole, f.name) for f in dataclasses.fields(Config)})


def _refuse_added(node: Any, path: str) -> None:
    known = {f.name for f in dataclasses.fields(node)}
    for key, value in vars(node).items():
        if key not in known:
            raise ConfigError(f"{path}{key}: no such key{_nearest_keys(path + key)}")
        if dataclasses.is_dataclass(value):
            _refuse_added(value, f"{path}{key}.")


def compose(overrides: list[str]) -> Config:
    """The checked configuration of one job. Raises ConfigError."""
    with _files():
        _parsed(overrides)
        return _checked(hydra.compose("config", overrides), overrides)


def check_sweep(overrides: list[str], multirun: bool) -> list[tuple[Config, str]]:
    """Compose and check every job of a sweep or a study, and then that the data of each can be had.

    A study or an experiment may be a sweep by itself. Returns the configuration of each job with its overrides;
    none for a single job. Raises ConfigError with the overrides of a wrong one, and for a sweep of no jobs.
    """
    jobs: list[tuple[Config, str]] = []
    with _files():
        given = _parsed(overrides)
        # Hydra reads what is the sweep's own from these alone.
        settled = [str(o.input_line) for o in given if not o.is_sweep_override()]
        composed, own = _composed(settled)
        configurations = sweeps.configurations_of(composed)
        if not multirun and not configurations and own.mode != RunMode.MULTIRUN:
            for override in given:
                if override.is_sweep_override() or override.key_or_group == "hydra/launcher":
                    raise ConfigError(f"{override.input_line}: is for a sweep only: add -m")
            _checked(composed, settled)
            return []
        if own.runtime.choices.get("hydra/launcher") == "submitit_slurm" and shutil.which("sbatch") is None:
            raise ConfigError(
                "hydra/launcher=submitit_slurm: there is no Slurm here (no sbatch on PATH); joblib and submitit_local "
                "launch jobs on this machine"
            )
        of_hydra = [str(o.input_line) for o in given if o.is_hydra_override()]
        of_jobs = [o for o in given if not o.is_hydra_override()]
        for combination in sweeps.jobs(_parser(), configurations, own.sweeper.params, of_jobs):
            job_of = " ".join(combination)
            try:
                composed, its = _composed([*of_hydra, *combination])
                config = _checked(composed, combination)
            except FAILURES as error:
                raise ConfigError(f"{one_line(error)} (in {job_of})") from None
            if (_of_a_sweep(its), sweeps.configurations_of(composed)) != (_of_a_sweep(own), configurations):
                raise ConfigError(f"{job_of}: has a sweep or launcher of its own, lost among others: run it by itself")
            jobs.append((config, job_of))
    if not jobs:
        raise ConfigError(f"{' '.join(overrides)}: a sweep of no jobs")
    _refuse_same_runs(jobs)
    if not str(own.runtime.choices.get("hydra/launcher")).startswith("submitit"):  # which runs them elsewhere
        for config, job_of in jobs:
            try:
                job.require_device(config)
            except ConfigError as error:
                raise ConfigError(f"{error} (in {job_of})") from None
    _check_data(jobs)
    return jobs


@contextmanager
def _files() -> Iterator[None]:
    """Hydra with the files of conf/; what it finds wrong becomes a ConfigError."""
    try:
        with hydra.initialize_config_dir(CONF, version_base="1.3"):
            yield
    except OF_HYDRA as error:
        raise ConfigError(one_line(error)) from None


def _parser() -> OverridesParser:
    # Knows the files, for glob().
    return OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())


def _parsed(overrides: list[str]) -> list[Override]:
    """The overrides, each of a key of its own, with a list where it is one, and none a sweep over what is Hydra's."""
    parsed = _parser().parse_overrides(overrides)
    first: dict[str, Override] = {}
    for override in parsed:
        key = override.key_or_group if override.package is None else f"{override.key_or_group}@{override.package}"
        if key in first:
            values = [o.input_line.partition("=")[2] for o in (first[key], override) if o.input_line]
            both = f"; change=[{','.join(values)}] makes one of both" if key == "change" and all(values) else ""
            raise ConfigError(f"{key} is given twice: {first[key].input_line} and {override.input_line}{both}")
        if key.startswith("study."):
            raise ConfigError(f"{override.input_line}: stands in the study's own file alone")
        if override.is_hydra_override() and override.is_sweep_override():
            raise ConfigError(f"{override.input_line}: no sweep goes over settings of Hydra")
        _refuse_single_values(override)
        first[key] = override
    return parsed


def _composed(overrides: list[str]) -> tuple[DictConfig, DictConfig]:
    """The configuration, and Hydra's own."""
    both = hydra.compose("config", overrides, return_hydra_config=True)
    composed = both.copy()
    OmegaConf.set_struct(composed, False)
    del composed["hydra"]
    return composed, both.hydra


def _checked(composed: DictConfig, overrides: list[str]) -> Config:
    """As `to_config`; its error also names the file that has the wrong value."""
    try:
        return to_config(composed)
    except ConfigError as error:
        key = re.split("[=:]", str(error))[0]
        raise ConfigError(f"{_file_that_sets(key, overrides)}{error}") from None


def _file_that_sets(key: str, overrides: list[str]) -> str:
    """The last file of an experiment or a change that sets the key, if that is not on the command line."""
    if any(override.lstrip("+").partition("=")[0] == key for override in overrides):
        return ""
    defaults = GlobalHydra.instance().config_loader().compute_defaults_list("config", overrides, RunMode.RUN).defaults
    for path in [str(default.config_path) for default in reversed(defaults)]:
        if path.startswith(GLOBAL_GROUPS) and OmegaConf.select(OmegaConf.load(f"{CONF}/{path}.yaml"), key) is not None:
            return f"{_shown(path)}: "
    return ""


def _of_a_sweep(own: DictConfig) -> tuple[object, object]:
    """What Hydra takes from the sweep as a whole and not from its jobs."""
    return OmegaConf.to_container(own.sweeper), OmegaConf.to_container(own.launcher)


def _refuse_single_values(override: Override) -> None:
    usual = OmegaConf.select(OmegaConf.structured(Config), override.key_or_group)
    if isinstance(usual, ListConfig) and not override.is_delete():
        values = list(override.sweep_iterator()) if override.is_discrete_sweep() else [override.value()]
        if all(isinstance(value, int | float) for value in values):
            listed = ",".join(map(str, values))
            key = override.get_key_element()
            raise ConfigError(f"{override.input_line}: is a list: write {key}=[{listed}]")


def _refuse_same_runs(jobs: list[tuple[Config, str]]) -> None:
    first: dict[Path, str] = {}
    for config, job_of in jobs:
        for seed in config.seeds:
            run = run_folder(config, seed)
            if run in first:
                both = f"{first[run]} and {job_of}" if first[run] != job_of else f"{job_of} twice"
                raise ConfigError(f"{both}: two jobs of one sweep would train the same run, {run}")
            first[run] = job_of


def _check_data(jobs: list[tuple[Config, str]]) -> None:
    checked: list[DataConfig] = []
    for config, job_of in jobs:
        if config.data not in checked:
            checked.append(config.data)
            try:
                load(config.data)
            except FAILURES as error:
                raise ConfigError(f"{one_line(error)} (in {job_of})") from None


# What is wrong


def one_line(error: BaseException) -> str:
    """What is wrong, where it stands and what would be right, of any of FAILURES and of what is like them."""
    root = error
    if isinstance(error, HydraException) and isinstance(error.__context__, OmegaConfBaseException):
        root = error.__context__  # raised while that was handled, but not from it
    while root.__cause__ is not None:
        root = root.__cause__
    if isinstance(root, yaml.MarkedYAMLError) and root.problem_mark is not None:
        mark = root.problem_mark
        return f"{_shown(mark.name)}, line {mark.line + 1}: not YAML: {root.problem}"
    if isinstance(root, UnicodeDecodeError):
        bad = [path for path in Path(CONF).rglob("*.yaml") if bytes(root.object) in path.read_bytes()]
        return ": ".join([*(_shown(str(path)) for path in bad), str(root)])
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _no_such_choice(error, error.missing_cfg_file)
    key = getattr(root, "full_key", None)  # stands in a later line of its message
    lines = [str(e).strip().splitlines()[0] for e in (error, root) if str(e).strip()] or [type(error).__name__]
    found = re.match(r"In '(.+?)': ", lines[0])
    if found:
        lines[0] = _shown(found[1])
    if key and isinstance(root, ConfigKeyError | ConfigAttributeError):
        lines = [*(lines[:1] if found else []), key, f"no such key{_nearest_keys(key)}"]
        if found and key == found[1].partition("/")[0] and key in GLOBAL_GROUPS:
            lines[1:] = ["its first line must be # @package _global_"]
    if isinstance(error, OverrideParseException):
        lines.insert(0, error.override)
    if key and not any(key in line for line in lines):
        lines.insert(1 if found else 0, key)
    return ": ".join(dict.fromkeys(lines))


def _shown(name: str) -> str:
    """A file of conf/ as it stands in the repository, whether named by its path or as Hydra names it."""
    path = Path(name)
    if path.is_relative_to(CONF):
        return f"conf/{path.relative_to(CONF)}"
    return f"conf/{name}.yaml" if (Path(CONF) / f"{name}.yaml").exists() else name


def _no_such_choice(error: MissingConfigException, missing: str) -> str:
    group, _, choice = missing.rpartition("/") if missing.startswith("hydra/") else missing.partition("/")
    if group == "hydra/launcher" and choice in LAUNCHERS:
        package = f"hydra-{choice.partition('_')[0]}-launcher"
        return f"hydra/launcher={choice}: is not installed; pip install {package} installs it"
    folder = Path(CONF) / group
    choices = sorted(str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.yaml"))
    if group.startswith("hydra") or group == "engine":
        choices = sorted(error.options or [])
    # Hydra does not tell a wrong choice of the command line from one in the defaults of a file.
    line = re.compile(rf"^ *- .*\b{re.escape(group)}(: *|/){re.escape(choice)} *$", re.MULTILINE)
    files = [path for name in GLOBAL_GROUPS for path in (Path(CONF) / name).rglob("*.yaml") if choice]
    where = "".join(
        f"{_shown(str(path))}: " for path in files if line.search(path.read_text(encoding="utf-8", errors="replace"))
    )
    listed = f"; there are {', '.join(choices)}" if 0 < len(choices) <= FEW else nearest(choice, choices, "/")
    return f"{where}{group}={choice}: no such choice{listed}"


def _nearest_keys(key: str) -> str:
    groups = ["engine", *(path.name for path in Path(CONF).iterdir() if path.is_dir())]
    return nearest(key, _keys(Config(), "") if "." in key else [*groups, *_keys(Config(), "")], ".")


def _keys(node: Any, prefix: str) -> list[str]:
    found = []
    for field in dataclasses.fields(node):
        value, key = getattr(node, field.name), prefix + field.name
        found += _keys(value, f"{key}.") if dataclasses.is_dataclass(value) else [key]
    return found


def nearest(wrong: str, right: Sequence[str], separator: str) -> str:
    """`; did you mean ...?` with those that it is a part of, or else that are like it; nothing if there are none."""
    parts = [name for name in right if wrong in name.split(separator)]
    last = {name.rpartition(separator)[2]: name for name in reversed(right)}
    alike = [last[name] for name in get_close_matches(wrong, last, cutoff=ALIKE)]
    found = (parts or list(dict.fromkeys([*get_close_matches(wrong, right, cutoff=ALIKE), *alike])))[:3]
    return f"; did you mean {' or '.join(found)}?" if found else ""
