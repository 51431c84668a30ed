"""The classifiers of Figs. 9 to 12, fitted and measured one by one -> runs/comparison.csv.

paper-lenet comparison [names ...] [--choose] [--again] [--publish]: all of those that are not there yet, or
the named ones, in processes side by side. Networks are trained first, by study=comparison-nets; their finished runs
are measured here.
--choose tries the candidates of what the paper does not give, on held-out images -> runs/comparison-choice.csv.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from concurrent.futures import as_completed
from dataclasses import dataclass
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
from paper_lenet.runs.workers import cores, processes

VALIDATION = 10_000
CHOICE = "choice-comparison"  # the study that trains networks with that many images held out, at several rates
AT_ONCE = 500  # images that a network is shown together
LARGEST = 7  # gigabytes that a fit takes at most
Settings = dict[str, Any]
Made = tuple[str, int]  # fingerprint and seed of a row


@cache
def data_of(version: str, validation: int) -> Data:
    return load(DataConfig(version=version, validation=validation))


@dataclass(frozen=True)
class Task:
    """One fit.  key: of the classifier.  validation: training images held out; 0 measures on the test images.

    output: where the networks' runs are.
    """

    key: str
    settings: Settings
    seed: int
    validation: int
    output: str

    def classifier(self) -> Classifier:
        return next(each for each in all_classifiers() if each.key == self.key)

    def network(self) -> Config | None:
        """The configuration of the network that it is or builds on."""
        name = self.classifier().network
        return composed(name, self.output, self.validation) if name else None

    def made(self) -> Made:
        network = self.network()
        settings = {**self.settings, **({"network": network.fingerprint()} if network else {})}
        return fingerprint(self.key, settings), self.seed


def main() -> int:
    parser = argparse.ArgumentParser(description="Fit and measure the classifiers of Figs. 9 to 12.")
    parser.add_argument("names", nargs="*", help="of classifiers, as in the table; default: all")
    parser.add_argument("--choose", action="store_true", help="try settings on held-out training images")
    parser.add_argument("--again", action="store_true", help="also what is there already")
    add_place(parser)
    parser.add_argument("--output", default="outputs", help="where the networks' runs are")
    parser.add_argument("--workers", type=int, default=0, help="processes; default: one a core, as memory allows")
    arguments = parser.parse_args()
    path = place_of(arguments).results / "runs" / ("comparison-choice.csv" if arguments.choose else "comparison.csv")
    every = {classifier.key: classifier for classifier in all_classifiers()}
    if unknown := set(arguments.names) - set(every):
        raise ConfigError(f"{', '.join(sorted(unknown))}: no such classifier; there are {'; '.join(every)}")
    os.environ["OMP_NUM_THREADS"] = "1"  # a process that is started here reads it
    torch.set_num_threads(1)
    rows = read_rows(path, COLUMNS, {"seed": int})
    there = set() if arguments.again else {(row["fingerprint"], int(row["seed"])) for row in rows}
    listed = tried if arguments.choose else tested
    tasks = [task for key in arguments.names or every for task in listed(every[key], arguments.output)]
    here = origin()
    for row in carried_out([task for task in tasks if task.made() not in there], arguments.workers or workers()):
        rows = add_rows(path, COLUMNS, ("fingerprint", "seed"), [{**row, **here}], in_order)
        print(f"{row['classifier']} seed {row['seed']} {row['settings']}: {row['error_percent']:.2f} %, "
              f"{row['train_seconds']:.0f} s", flush=True)  # fmt: skip
    print(f"{path}: {len(rows)} rows")
    return 0


def workers() -> int:
    """A process for each core that has LARGEST gigabytes of memory to itself, at least one."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    return max(1, min(cores(), int(memory / 1e9 / LARGEST)))


def carried_out(tasks: list[Task], at_once: int) -> Iterator[Row]:
    """The row of each fit, as soon as it is there."""
    if min(at_once, len(tasks)) <= 1:
        yield from map(row_of, tasks)
        return
    with processes(min(at_once, len(tasks))) as pool:
        running = [pool.submit(row_of, task) for task in tasks]
        try:
            for done in as_completed(running):
                yield done.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def in_order(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """By the order of `all_classifiers`, so that the file does not depend on what came when."""
    order = {classifier.key: k for k, classifier in enumerate(all_classifiers())}
    return sorted(rows, key=lambda row: (order.get(row["classifier"], len(order)), row["settings"], int(row["seed"])))


def tried(classifier: Classifier, output: str) -> Iterator[Task]:
    """One fit per combination of the candidates, on held-out images."""
    if classifier.candidates:
        config = composed(classifier.network, output, VALIDATION) if classifier.network else None
        for settings in classifier.choices():
            yield Task(classifier.key, settings, config.seeds[0] if config else 0, VALIDATION, output)


def tested(classifier: Classifier, output: str) -> Iterator[Task]:
    """One fit per seed, on the test images."""
    config = composed(classifier.network, output) if classifier.network else None
    for seed in config.seeds if config else range(classifier.seeds):
        yield Task(classifier.key, dict(classifier.settings), seed, 0, output)


def row_of(task: Task) -> Row:
    """The row of one fit."""
    classifier, config = task.classifier(), task.network()
    data = data_of(classifier.version, task.validation)
    what = (classifier, task.settings, task.seed, data)
    made, seconds = on_network(config, *what) if config else fitted(*what)
    size = classifier.max_test_images
    shown, labels = data.test_images[:size], data.test_labels[:size]
    return {
        "classifier": classifier.key,
        "settings": " ".join(f"{name}={value}" for name, value in sorted(task.settings.items())),
        "dataset": data.name,
        "split": data.split,
        "fingerprint": task.made()[0],
        "seed": task.seed,
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
