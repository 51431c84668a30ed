"""Boosting: which patterns the second and the third network are given, and that they learn from them."""

from __future__ import annotations

import numpy as np
import pytest

from paper_lenet.classifiers import boosting
from paper_lenet.config import Config, DataConfig, DistortConfig, ModelConfig, OptimConfig
from paper_lenet.data import Data, load
from paper_lenet.engines.fused import FusedNet, train
from paper_lenet.learning.patterns import Indices, Patterns

CONFIG = Config(model=ModelConfig("mlp", [30]), optim=OptimConfig(passes=1), distort=DistortConfig(variants=1))


def test_choosers() -> None:
    labels = np.arange(100) % 10
    first, second = labels.copy(), labels.copy()
    first[:20], second[10:40] = -1, -2
    generator = np.random.default_rng(0)
    half = boosting.half_wrong([first], labels, generator)
    assert half[:20].all() and half.sum() == 40
    assert np.flatnonzero(boosting.at_odds([first, second], labels, generator)).tolist() == list(range(40))


def test_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each network is trained on what it should be, from weights of its own, and to the same bits again."""
    digits = load(DataConfig("digits"))
    data = Data("mnist", "test", digits.train_images, digits.train_labels, digits.test_images, digits.test_labels)
    monkeypatch.setattr(boosting, "WANTED", 300)
    monkeypatch.setattr(boosting, "CHUNK", 500)
    given: list[tuple[Patterns, Indices]] = []

    def trained(config: Config, patterns: Patterns, chosen: Indices, seed: int) -> FusedNet:
        given.append((patterns, chosen))
        return original(config, patterns, chosen, seed)

    original = boosting.trained
    monkeypatch.setattr(boosting, "trained", trained)
    *_, last = train(CONFIG, data, 0)
    second, third = boosting.others(CONFIG, data, 0, last.parameters)
    assert [len(chosen) for _, chosen in given] == [300, 300]

    nets = [FusedNet(boosting.build(CONFIG.model, 0), CONFIG) for _ in range(2)]
    for net, state in zip(nets, (last.parameters, second), strict=True):
        net.set_parameters(state)
    patterns, chosen = given[0]
    assert (nets[0].answers(patterns, chosen) != patterns.labels_of(chosen)).mean() == pytest.approx(0.5, abs=0.1)
    patterns, chosen = given[1]
    assert (nets[0].answers(patterns, chosen) != nets[1].answers(patterns, chosen)).all()

    assert {name: state.shape for name, state in second.items()} == {n: s.shape for n, s in last.parameters.items()}
    assert not any(np.array_equal(second[name], third[name]) for name in second)
    again = boosting.others(CONFIG, data, 0, last.parameters)
    assert all(np.array_equal(again[k][name], state[name]) for k, state in enumerate((second, third)) for name in state)
