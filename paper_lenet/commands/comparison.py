"""The classifiers of Figs. 9 to 12, fitted and measured one by one -> runs/comparison.csv.

paper-lenet comparison [names ...] [--choose] [--again] [--publish]: all of those that are not there yet, or
the named ones. Networks are trained first, by study=comparison-nets; here their finished runs are measured.
--choose tries the candidates of what the paper does not give, on held-out images -> runs/comparison-choice.csv.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import torch

from paper_lenet.classifiers import boosting
from paper_lenet.classifiers.fitted import Classifier, Fitted, Values
from paper_lenet.classifiers.measures import COLUMNS, Row, fingerprint, measured
from paper_lenet.classifiers.systems import NETWORKS, all_classifiers
from paper_lenet.commands.composition import check_sweep
from paper_lenet.commands.places import add_place, place_of
from paper_lenet.config import Config, ConfigError, DataConfig
from paper_lenet.data import Data, Images, load
from paper_lenet.engines.reference.net import inputs
from paper_lenet.files import RecordError, add_rows, read_rows, read_tensors
from paper_lenet.learning.patterns import Patterns, all_patterns
from paper_lenet.network.lenet5 import build
from paper_lenet.runs.environment import origin
from paper_lenet.runs.records import finished, run_folder

VALIDATION = 5000
CHOICE = "choice-comparison"  # the study that trains networks with that many images held out, at several rates
AT_ONCE = 500  # images that a network is shown together
Settings = dict[str, Any]
Made = tuple[str, int]  # fingerprint and seed of a row


@cache
def data_of(version: str, validation: int) -> Data:
    return load(DataConfig(version=version, validation=validation))


def main() -> int:
    parser = argparse.ArgumentParser(description="Fit and measure the classifiers of Figs. 9 to 12.")
    parser.add_argument("names", nargs="*", help="of classifiers, as in the table; default: all")
    parser.add_argument("--choose", action="store_true", help="try settings on held-out training images")
    parser.add_argument("--again", action="store_true", help="also what is there already")
    add_place(parser)
    parser.add_argument("--output", default="outputs", help="where the networks' runs are")
    arguments = parser.parse_args()
    path = place_of(arguments).results / "runs" / ("comparison-choice.csv" if arguments.choose else "comparison.csv")
    every = {classifier.key: classifier for classifier in all_classifiers()}
    if unknown := set(arguments.names) - set(every):
        raise ConfigError(f"{', '.join(sorted(unknown))}: no such classifier; there are {'; '.join(every)}")
    torch.set_num_threads(1)
    numbers = {"seed": int}
    rows = read_rows(path, COLUMNS, numbers)
    for key in arguments.names or every:
        # read again, since another process may have added some
        finished = [] if arguments.again else read_rows(path, COLUMNS, numbers)
        there = {(row["fingerprint"], int(row["seed"])) for row in finished}
        for row in (tried if arguments.choose else rows_of)(every[key], there, arguments.output):
            rows = add_rows(path, COLUMNS, ("fingerprint", "seed"), [{**row, **origin()}], in_order)
            print(f"{row['classifier']} seed {row['seed']} {row['settings']}: {row['error_percent']:.2f} %, "
                  f"{row['train_seconds']:.0f} s", flush=True)  # fmt: skip
    print(f"{path}: {len(rows)} rows")
    return 0


def in_order(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """By the order of `all_classifiers`, so that the file does not depend on what came when."""
    order = {classifier.key: k for k, classifier in enumerate(all_classifiers())}
    return sorted(rows, key=lambda row: (order.get(row["classifier"], len(order)), row["settings"], int(row["seed"])))


def tried(classifier: Classifier, there: set[Made], output: str) -> Iterator[Row]:
    """One row per combination of the candidates, on held-out images."""
    if classifier.candidates:
        config = composed(classifier.network, output, VALIDATION) if classifier.network else None
        for settings in classifier.choices():
            yield from made_row(classifier, settings, config.seeds[0] if config else 0, config, VALIDATION, there)


def rows_of(classifier: Classifier, there: set[Made], output: str) -> Iterator[Row]:
    """One row per seed, on the test images."""
    config = composed(classifier.network, output) if classifier.network else None
    for seed in config.seeds if config else range(classifier.seeds):
        yield from made_row(classifier, dict(classifier.settings), seed, config, 0, there)


def made_row(
    classifier: Classifier, settings: Settings, seed: int, config: Config | None, validation: int, there: set[Made]
) -> Iterator[Row]:
    """The row of one fit, none where it is there; config: of the network that it has, which tells it from another."""
    here = fingerprint(classifier.key, {**settings, **({"network": config.fingerprint()} if config else {})})
    if (here, seed) in there:
        return
    data = data_of(classifier.version, validation)
    what = (classifier, settings, seed, data)
    made, seconds = on_network(config, *what) if config else fitted(*what)
    size = classifier.max_test_images
    shown, labels = data.test_images[:size], data.test_labels[:size]
    yield {
        "classifier": classifier.key,
        "settings": " ".join(f"{name}={value}" for name, value in sorted(settings.items())),
        "dataset": data.name,
        "split": data.split,
        "fingerprint": here,
        "seed": seed,
        "train_size": len(data.train_labels),
        "multiply_adds": made.multiply_adds,
        "variables": made.variables,
        "train_seconds": seconds,
        **measured(made.scores, shown if config else classifier.images(shown), labels),
    }


def fitted(classifier: Classifier, settings: Settings, seed: int, data: Data) -> tuple[Fitted, float]:
    """A classifier that is no network, and the seconds that it took."""
    assert classifier.fit is not None
    began = time.perf_counter()
    made = classifier.fit(classifier.images(data.train_images), data.train_labels, seed, **settings)
    return made, time.perf_counter() - began


def composed(network: str, output: str, validation: int = 0) -> Config:
    """The configuration of a network of this label; with images held out, that of the same rate in the study of rates.

    Raises ConfigError where the study has none.
    """
    study = CHOICE if validation else NETWORKS
    rate = composed(network, output).optim.eta_factor if validation else None
    for config in configurations(study, output):
        if config.label == network and rate in (None, config.optim.eta_factor):
            return config
    raise ConfigError(f"conf/study/{study}.yaml: no configuration of label {network}")


@cache
def configurations(study: str, output: str) -> list[Config]:
    return [config for config, _ in check_sweep([f"study={study}", f"output={output}"], True)]


def on_network(
    config: Config, classifier: Classifier, settings: Settings, seed: int, data: Data
) -> tuple[Fitted, float]:
    """A trained network, the three of boosting, or what `fit` makes of the states of a layer; the seconds of all of it.

    Its scores are of images as they are in `data`. Raises RecordError where the network's run is not there.
    """
    metrics = finished(config, seed)
    if metrics is None:
        raise RecordError(f"{run_folder(config, seed)}: not there; paper-lenet train study=comparison-nets trains it")
    _, state = read_tensors(run_folder(config, seed) / "weights.safetensors")
    began = time.perf_counter()
    found = [state, *(boosting.others(config, data, seed, state) if classifier.boosted else [])]
    nets = [build(config.model, seed).eval() for _ in found]
    for net, values in zip(nets, found, strict=True):
        net.set_state(values)
    values_shown = all_patterns(config, data, seed)[1].values

    @torch.no_grad()
    def states(images: Images, layer: str) -> Values:
        shown = Patterns(images, np.zeros(len(images), np.int64), np.zeros((0, 6)), values_shown)
        parts = np.array_split(np.arange(len(images)), -(-len(images) // AT_ONCE))
        return np.concatenate(
            [sum(net.features(inputs(shown, k, net))[layer].flatten(1).numpy() for net in nets) for k in parts]
        )

    net, parameters = nets[0], nets[0].parameters_by_layer()
    if classifier.fit is None:
        made = Fitted(lambda images: -states(images, "output"), len(nets) * net.multiply_adds(),
                      len(nets) * sum(parameters.values()))  # fmt: skip
        return made, metrics["seconds"] + time.perf_counter() - began
    head = classifier.fit(states(data.train_images, classifier.layer), data.train_labels, seed, **settings)
    seconds = time.perf_counter() - began
    layers = net.trained_layers()
    above = layers[layers.index(classifier.layer) + 1 :]
    made = Fitted(
        lambda images: head.scores(states(images, classifier.layer)),
        # all layers above the last map are fully connected: a weight, a multiplication
        net.multiply_adds() - sum(getattr(net, name).weight.numel() for name in above) + head.multiply_adds,
        sum(parameters.values()) - sum(parameters[name] for name in above) + head.variables,
    )
    return made, metrics["seconds"] + seconds
