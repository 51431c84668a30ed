"""All classifiers of Figs. 9 to 12: those that the modules here list, and the networks of the study comparison-nets."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from importlib import import_module

from paper_lenet import classifiers, paper
from paper_lenet.classifiers.fitted import Classifier
from paper_lenet.config import ConfigError
from paper_lenet.config.studies import studies

NETWORKS = "comparison-nets"


def all_classifiers() -> list[Classifier]:
    """One classifier per row of the comparison, in the paper's order; those that the paper does not have come last.

    Variants of one name keep the order of their module or study. Raises ConfigError for a wrong study.
    """
    found = list(_networks())
    for module in pkgutil.iter_modules(classifiers.__path__):
        found += getattr(import_module(f"{classifiers.__name__}.{module.name}"), "CLASSIFIERS", [])
    places = {name: place for place, name in enumerate(paper.fig9_to_12()["classifier"])}
    return sorted(found, key=lambda each: places.get(each.name, len(places)))


def _networks() -> Iterator[Classifier]:
    """The networks that are classifiers by themselves. A configuration's label is "name" or "name, variant".

    A variant that the study does not list among its guesses is no row: another classifier builds on that network.
    """
    study = studies()[NETWORKS]
    for each in study.configurations:
        label = each.get("label")
        if not isinstance(label, str):
            raise ConfigError(f"conf/study/{NETWORKS}.yaml: label={label}: each configuration needs one, a text")
        name, _, variant = label.partition(", ")
        if not variant or variant in study.guesses:
            yield Classifier(name, variant, each.get("data.version", "regular"), is_guess=bool(variant), network=label)
