"""Optimisers and schedules against those of torch.optim, and Muon against what it is for."""

from __future__ import annotations

import math

import pytest
import torch

from paper_lenet.config import OptimConfig
from paper_lenet.learning.optimisers import Optimiser, orthogonal
from paper_lenet.learning.schedules import corrections, rate_of

UPDATES = 50
OPTIMISERS = {
    "SGD": (OptimConfig(name="sgd", momentum=0.0), torch.optim.SGD, {"momentum": 0.0}),
    "momentum, decay": (
        OptimConfig(name="sgd", momentum=0.9, weight_decay=0.01), torch.optim.SGD,
        {"momentum": 0.9, "weight_decay": 0.01},
    ),
    "Nesterov": (
        OptimConfig(name="sgd", momentum=0.8, nesterov=True), torch.optim.SGD, {"momentum": 0.8, "nesterov": True},
    ),
    "Adam": (OptimConfig(name="adam", epsilon=1e-7), torch.optim.Adam, {"eps": 1e-7}),
    "AdamW": (OptimConfig(name="adamw", weight_decay=0.1), torch.optim.AdamW, {"weight_decay": 0.1}),
}  # fmt: skip


def random(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("case", OPTIMISERS)
def test_two_networks_as_torch_has_each(case: str) -> None:
    config, kind, options = OPTIMISERS[case]
    ours = random(2, 5, 7, seed=0)
    theirs = [torch.nn.Parameter(p.clone()) for p in ours]
    optimiser, others = Optimiser(config, [ours]), [kind([p], lr=0.01, **options) for p in theirs]
    for update in range(UPDATES):
        gradient = random(2, 5, 7, seed=100 + update)
        optimiser.step([ours], [gradient.clone()], 0.01, *corrections(update))
        for p, g, other in zip(theirs, gradient, others, strict=True):
            p.grad = g
            other.step()
    for p, q in zip(ours, theirs, strict=True):
        torch.testing.assert_close(p, q.detach(), rtol=1e-12, atol=1e-12)


def test_rate_as_a_tensor_gives_the_same() -> None:
    """A captured step reads it from memory."""
    config = OptimConfig(name="adamw", weight_decay=0.1)
    results = []
    for as_number in (float, lambda value: torch.tensor(value, dtype=torch.float64)):
        p = random(1, 9, seed=0)
        optimiser = Optimiser(config, [p])
        for update in range(3):
            numbers = (as_number(v) for v in (0.01, *corrections(update)))
            optimiser.step([p], [random(1, 9, seed=update)], *numbers)
        results.append(p)
    torch.testing.assert_close(*results, rtol=1e-14, atol=0)


def test_one_cycle_is_torch_s() -> None:
    config = OptimConfig(name="adam", schedule="onecycle", rate=0.02)
    other = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(other, 0.02, total_steps=UPDATES, cycle_momentum=False)
    for update in range(UPDATES):
        assert rate_of(config, update, UPDATES, 1) == pytest.approx(other.param_groups[0]["lr"], rel=1e-12)
        other.step()
        if update < UPDATES - 1:
            schedule.step()


def test_other_schedules() -> None:
    cosine = OptimConfig(name="adam", schedule="cosine", rate=0.5)
    assert [rate_of(cosine, u, 4, 1) for u in range(4)] == pytest.approx(
        [0.25 * (1 + math.cos(math.pi * u / 4)) for u in range(4)]
    )
    assert rate_of(OptimConfig(name="adam", schedule="constant", rate=0.5), 3, 4, 1) == 0.5
    assert rate_of(OptimConfig(), 99, 100, 3) == OptimConfig().eta_of(3)


@pytest.mark.parametrize("shape", [(30, 12), (12, 30)])
def test_orthogonal(shape: tuple[int, int]) -> None:
    """Muon's iteration stops where the singular values lie around 1; the factor's directions are the matrix's own."""
    matrices = random(3, *shape, seed=4)
    for matrix, result in zip(matrices, orthogonal(matrices), strict=True):
        u, _, v = torch.linalg.svd(matrix, full_matrices=False)
        inner = u.T @ result @ v.T
        assert float(inner.diagonal().min()) > 0.65 and float(inner.diagonal().max()) < 1.25
        assert float((inner - inner.diagonal().diag()).abs().max()) < 1e-6


def test_muon_is_torch_s_but_for_its_half_precision() -> None:
    config = OptimConfig(name="muon", momentum=0.95, weight_decay=0.1)
    ours = random(1, 20, 30, seed=0)
    theirs = torch.nn.Parameter(ours[0].clone())
    optimiser = Optimiser(config, [ours], [True])
    other = torch.optim.Muon([theirs], lr=0.01, weight_decay=0.1, momentum=0.95)
    for update in range(20):
        gradient = random(20, 30, seed=update)
        theirs.grad = gradient
        other.step()
        optimiser.step([ours], [gradient[None].clone()], 0.01, *corrections(update))
    assert (
        float((ours[0] - theirs.detach()).abs().max()) < 1e-3 < float((ours[0] - random(1, 20, 30, seed=0)).abs().max())
    )
