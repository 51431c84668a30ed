"""The jobs of a sweep and of a study, as hydra_plugins/paper_lenet_sweeper launches them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from paper_lenet.config import ConfigError
from paper_lenet.config.studies import with_guesses


def configurations_of(composed: DictConfig) -> list[dict[str, Any]]:
    """Those of a composed configuration's study; none where it has no study, or one of one configuration."""
    study = OmegaConf.to_container(composed.study)
    assert isinstance(study, dict)
    return with_guesses(study["configurations"], study["guesses"])


def jobs(
    parser: OverridesParser,
    configurations: Sequence[Mapping[str, Any]],
    params: Mapping[str, str] | None,
    given: Sequence[Override],
) -> list[list[str]]:
    """The overrides of each job; what is given counts most, then what a configuration says, then the sweeper's params.

    Raises ConfigError for a sweep over other than single values.
    """
    usual = parser.parse_overrides([f"{key}={value}" for key, value in (params or {}).items()])
    usual += [each for each in given if each.key_or_group == "study"]  # what the job is of is said first
    found = []
    for configuration in configurations or [{}]:
        own = parser.parse_overrides([override(key, value) for key, value in configuration.items()])
        found += combinations([*usual, *own, *given])
    return found


def override(key: str, value: Any) -> str:
    """One entry of a study's configuration as the command line has it."""
    if key == "label":
        escaped = str(value).replace("'", "\\'")
        return f"{key}='{escaped}'"
    return f"{key}={'null' if value is None else value}"


def combinations(overrides: Iterable[Override]) -> list[list[str]]:
    """The overrides of each job of a sweep: all combinations of the values; of a key that comes twice the last one."""
    values: dict[str, list[str]] = {}
    for each in overrides:
        key = each.get_key_element()
        if not each.is_sweep_override():
            values[key] = [f"{key}={each.get_value_element_as_str()}"]
        elif each.is_discrete_sweep():
            values[key] = [f"{key}={value}" for value in each.sweep_string_iterator()]
        else:
            raise ConfigError(f"{each.input_line}: not values that can be gone through one by one")
    return [list(combination) for combination in itertools.product(*values.values())]
