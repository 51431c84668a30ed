"""Boosting (p. 14; Drucker, Schapire and Simard, 1993): each network learns from what those before it get wrong.

The first is trained as usual. The second sees patterns half of which the first gets right and half wrong; the third
those on which the two disagree. Patterns are the training images and as many distorted copies as it takes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from paper_lenet import generators
from paper_lenet.classifiers.fitted import Classifier
from paper_lenet.config import Config
from paper_lenet.data import Data, Labels
from paper_lenet.engines import NonFiniteError
from paper_lenet.engines.fused import FusedNet
from paper_lenet.learning.patterns import Indices, Pass, Patterns, all_patterns
from paper_lenet.network.lenet5 import build

# Patterns that the second and the third network are trained on, and distorted copies of an image tried for them.  # D19
WANTED, VARIANTS = 60_000, 60
CHUNK = 10_000
# Added to the seed from one network to the next, so that no other run has theirs.
SEED_STEP = 1_000_000
State = dict[str, NDArray[Any]]


def others(config: Config, data: Data, seed: int, first: Mapping[str, NDArray[Any]]) -> list[State]:
    """The parameters of the second and the third network, given those of the first, which the configuration trained.

    Raises NonFiniteError.
    """
    nets = [FusedNet(build(config.model, seed), config)]
    nets[0].set_parameters(dict(first))
    more = dataclasses.replace(config, distort=dataclasses.replace(config.distort, variants=VARIANTS))
    for number, choose in ((1, half_wrong), (2, at_odds)):
        own = seed + number * SEED_STEP
        patterns, _ = all_patterns(more, data, own)
        chosen = found(patterns, nets, choose, generators.generator(own, "order"))
        nets.append(trained(config, patterns, chosen, own))
    return [net.average() or net.parameters() for net in nets[1:]]


Chooser = Callable[[list[Labels], Labels, np.random.Generator], NDArray[np.bool_]]


def half_wrong(answers: list[Labels], labels: Labels, generator: np.random.Generator) -> NDArray[np.bool_]:
    """The patterns that the first network gets wrong, and as many of the others."""
    kept = np.asarray(answers[0] != labels)
    right = np.flatnonzero(~kept)
    kept[generator.permutation(right)[: kept.sum()]] = True
    return kept


def at_odds(answers: list[Labels], labels: Labels, generator: np.random.Generator) -> NDArray[np.bool_]:
    """The patterns to which the first two networks give different labels."""
    return np.asarray(answers[0] != answers[1])


def found(patterns: Patterns, nets: list[FusedNet], choose: Chooser, generator: np.random.Generator) -> Indices:
    """The first WANTED patterns that the chooser takes, or all of them where there are fewer."""
    taken: list[Indices] = []
    with tqdm(total=WANTED, desc=f"patterns of network {len(nets) + 1}", leave=False, disable=None) as bar:
        for start in range(0, len(patterns), CHUNK):
            part = np.arange(start, min(start + CHUNK, len(patterns)))
            kept = choose([net.answers(patterns, part) for net in nets], patterns.labels_of(part), generator)
            taken.append(part[kept])
            bar.update(len(taken[-1]))
            if sum(map(len, taken)) >= WANTED:
                break
    return np.concatenate(taken)[:WANTED]


def trained(config: Config, patterns: Patterns, chosen: Indices, seed: int) -> FusedNet:
    """A network trained on the chosen patterns alone, as often and at the rates of any other."""
    net = FusedNet(build(config.model, seed), config)
    order = generators.generator(seed, "order").permutation(chosen)
    samples = generators.generator(seed, "hessian")
    for pass_ in tqdm(range(1, config.optim.passes + 1), desc="passes", leave=False, disable=None):
        sample = samples.choice(chosen, min(config.optim.hessian_samples, len(chosen)), replace=False)
        this = Pass(pass_, config.optim.eta_of(pass_), order, sample)
        net.begin(patterns, this)
        _, done, _ = net.train(patterns, order, this, 0)
        if done < len(order):
            raise NonFiniteError(seed, pass_, done + 1)
    return net


CLASSIFIERS = [
    Classifier("dist boosted lenet-4", network="lenet-4, distorted", boosted=True),
    Classifier("dist boosted lenet-4", "the first network alone", network="lenet-4, distorted"),
]
