"""Which patterns in which order, at which rate: what is common to all engines and part of every result."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from numpy.typing import NDArray

from paper_lenet import generators
from paper_lenet.config import Config, InitConfig, ModelConfig, OptimConfig
from paper_lenet.learning.patterns import Pass, Patterns, passes
from paper_lenet.network.lenet5 import build

# p. 10, as printed: 0.0005 for two passes, 0.0002 for three, 0.0001 for three, 0.00005 for four, 0.00001 thereafter
PRINTED = {
    0.0005: (1, 2),
    0.0002: (3, 4, 5),
    0.0001: (6, 7, 8),
    0.00005: (9, 10, 11, 12),
    0.00001: (13, 14, 20, 50),
}
# A change here changes every result.
ORDER_SHA256 = "4497dca8370a17f64ae6e9c2d20219512de810c6b5c65a4bd29cb6ffe7471eb4"
HESSIAN_SHA256 = "74089c341a3e8455c3318a023944197825c04ab31b1d88e13626c68cef768651"
# The sum of the magnitudes of the initial values of seed 0, all drawn in ±2.4 / F.
WEIGHTS = {
    "c1.weight": 6.8176622,
    "c1.bias": 0.22417495,
    "s2.coefficient": 1.3493832,
    "s2.bias": 1.6577094,
    "c3.weight": 18.998823,
    "c3.bias": 0.20331795,
    "s4.coefficient": 4.9126186,
    "s4.bias": 4.762633,
    "c5.weight": 144.22531,
    "c5.bias": 0.35926568,
    "f6.weight": 100.73172,
    "f6.bias": 0.7786137,
}


def planned(seed: int = 0, images: int = 100, variants: int = 0, **optim: object) -> list[Pass]:
    patterns = Patterns(
        np.zeros((images, 28, 28), np.uint8), np.zeros(images, np.int64), np.zeros((variants * images, 6))
    )
    return list(passes(Config(optim=OptimConfig(**{"passes": 3} | optim)), seed, patterns))


def is_permutation(order: NDArray[np.int64], patterns: int) -> bool:
    return order.dtype == np.int64 and np.array_equal(np.sort(order), np.arange(patterns))


@pytest.mark.parametrize("factor", [1.0, 0.25, 3.0])
def test_schedule_at_both_sides_of_every_boundary(factor: float) -> None:
    plan = planned(passes=50, images=2, eta_factor=factor)
    assert [this.pass_ for this in plan] == list(range(1, 51))
    for eta, at in PRINTED.items():
        for pass_ in at:
            assert plan[pass_ - 1].eta == pytest.approx(factor * eta, rel=1e-12)
            assert OptimConfig(eta_factor=factor).eta_of(pass_) == plan[pass_ - 1].eta


def test_schedule_of_ones_own() -> None:
    assert [this.eta for this in planned(passes=4, eta=[0.5, 0.25], eta_factor=2.0)] == [1.0, 0.5, 0.5, 0.5]
    assert [this.eta for this in planned(passes=1, eta=[0.5, 0.25], eta_factor=1.0)] == [0.5]


def test_constant_order_is_one_permutation() -> None:
    plan = planned(order="constant")
    assert is_permutation(plan[0].order, 100)
    assert not np.array_equal(plan[0].order, np.arange(100))
    assert all(np.array_equal(this.order, plan[0].order) for this in plan)


def test_reshuffled_order_changes_with_every_pass() -> None:
    plan = planned(order="reshuffled")
    assert all(is_permutation(this.order, 100) for this in plan)
    assert len({this.order.tobytes() for this in plan}) == 3
    # the two ways of ordering start alike
    assert np.array_equal(plan[0].order, planned(order="constant")[0].order)


def test_distorted_copies_lengthen_the_order_not_the_pass() -> None:
    """With two copies of each image beside it, three passes go through all patterns once."""
    plan = planned(passes=7, variants=2, order="constant")
    assert all(len(this.order) == 100 for this in plan)
    assert is_permutation(np.concatenate([this.order for this in plan[:3]]), 300)
    assert all(np.array_equal(this.order, plan[k % 3].order) for k, this in enumerate(plan))
    assert max(int(this.hessian_sample.max()) for this in plan) >= 200
    other = planned(passes=7, variants=2, order="reshuffled")
    assert all(np.array_equal(other[k].order, plan[k].order) for k in range(3))
    assert is_permutation(np.concatenate([this.order for this in other[3:6]]), 300)
    assert not np.array_equal(other[3].order, plan[3].order)


def test_curvature_is_measured_on_fresh_patterns_before_each_pass() -> None:
    plan = planned(hessian_samples=30)
    for this in plan:
        assert this.hessian_sample.dtype == np.int64
        assert len(set(this.hessian_sample.tolist())) == 30
        assert set(this.hessian_sample.tolist()) <= set(range(100))
    assert len({this.hessian_sample.tobytes() for this in plan}) == 3
    assert OptimConfig().hessian_samples == 500
    assert all(is_permutation(this.hessian_sample, 100) for this in planned(hessian_samples=500))


def test_purposes_do_not_disturb_each_other() -> None:
    plain = planned(hessian_samples=30, order="constant")
    for other in (planned(hessian_samples=7), planned(hessian_samples=500)):
        assert all(np.array_equal(a.order, b.order) for a, b in zip(plain, other, strict=True))
    other = planned(hessian_samples=30, order="reshuffled")
    assert all(np.array_equal(a.hessian_sample, b.hessian_sample) for a, b in zip(plain, other, strict=True))
    few = planned(passes=2, hessian_samples=30)
    assert all(np.array_equal(a.hessian_sample, b.hessian_sample) for a, b in zip(plain, few, strict=False))
    first = {purpose: generators.generator(0, purpose).integers(2**63) for purpose in generators.PURPOSES}
    assert len(set(first.values())) == len(generators.PURPOSES)


def test_seeds() -> None:
    first, again, other = planned(seed=1), planned(seed=1), planned(seed=2)
    assert all(np.array_equal(a.order, b.order) for a, b in zip(first, again, strict=True))
    assert all(np.array_equal(a.hessian_sample, b.hessian_sample) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0].order, other[0].order)
    assert not np.array_equal(first[0].hessian_sample, other[0].hessian_sample)


def test_unknown_purpose() -> None:
    with pytest.raises(ValueError, match="tuple"):
        generators.generator(0, "weather")


def sha256(order: NDArray[np.int64]) -> str:
    return hashlib.sha256(order.astype("<i8").tobytes()).hexdigest()


def test_generators_never_change() -> None:
    plan = planned(order="reshuffled")
    assert sha256(np.concatenate([this.order for this in plan])) == ORDER_SHA256
    assert sha256(np.concatenate([this.hessian_sample for this in planned(hessian_samples=10)])) == HESSIAN_SHA256


def test_initial_weights_never_change() -> None:
    net = build(ModelConfig(init=InitConfig(gain=2.4, exponent=1.0, bias="random", coefficient="random")), 0)
    state = net.state_dict()
    sums = {name: float(state[name].double().abs().sum()) for name in WEIGHTS}
    assert len(sums) == len(list(net.parameters()))
    assert sums == pytest.approx(WEIGHTS, rel=1e-6)
