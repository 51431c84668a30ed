"""Eq. 8 and Eq. 9 by hand, and at the ends of their range."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from paper_lenet.config import LossConfig
from paper_lenet.network.losses import criterion, curvature_criterion, eq8, eq9

PENALTIES = [[1.0, 2.0, 3.0], [0.5, 4.0, 0.25]]
LABELS = [2, 0]
CONSTANTS = (1e-6, 1.0, 1e4, math.inf)


def plain_eq9(penalties: list[float], label: int, j: float) -> float:
    """y_D + log(exp(-j) + sum_i exp(-y_i)), in double precision, the smallest exponent taken out."""
    smallest = min(j, *penalties)
    total = math.fsum(math.exp(smallest - value) for value in [j, *penalties])
    return penalties[label] - smallest + math.log(total)


def test_eq8_by_hand() -> None:
    assert eq8(torch.tensor(PENALTIES), torch.tensor(LABELS)).item() == (3.0 + 0.5) / 2


@pytest.mark.parametrize("j", [0.1, 1.0, 2.5])
def test_eq9_by_hand(j: float) -> None:
    first = 3.0 + math.log(math.exp(-j) + math.exp(-1.0) + math.exp(-2.0) + math.exp(-3.0))
    second = 0.5 + math.log(math.exp(-j) + math.exp(-0.5) + math.exp(-4.0) + math.exp(-0.25))
    penalties = torch.tensor(PENALTIES, dtype=torch.float64)
    assert eq9(penalties, torch.tensor(LABELS), j).item() == pytest.approx((first + second) / 2, rel=1e-14)


def close(got: Tensor, expected: Tensor, rtol: float = 1e-10, atol: float = 1e-12) -> None:
    np.testing.assert_allclose(got.detach(), expected.detach(), rtol=rtol, atol=atol)


def extreme_penalties() -> Tensor:
    """Rows of four penalties of 0 to 1e4: all orders of size, all equal, one far from the others."""
    values = [0.0, 1e-3, 1.0, 17.0, 88.0, 104.0, 746.0, 1e4]
    pairs = [[a, b, b, b] for a in values for b in values]
    generator = torch.Generator().manual_seed(0)
    mixed = 1e4 ** torch.rand(64, 4, generator=generator, dtype=torch.float64)
    return torch.cat([torch.tensor(pairs, dtype=torch.float64), mixed])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("j", CONSTANTS)
def test_eq9_is_stable(j: float, dtype: torch.dtype) -> None:
    rounding = 4 * torch.finfo(dtype).eps
    for row in extreme_penalties().to(dtype):
        for label in range(4):
            got = eq9(row[None], torch.tensor([label]), j).item()
            assert got == pytest.approx(plain_eq9(row.tolist(), label, j), rel=rounding, abs=rounding)
            assert got >= -rounding


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("j", CONSTANTS)
def test_derivatives_of_eq9(j: float, dtype: torch.dtype) -> None:
    """dE/dy_i = (i = D) - share_i, and its derivative, finite everywhere."""
    for k, row in enumerate(extreme_penalties().to(dtype)):
        label = torch.tensor([k % 4])
        # autograd takes each share from a difference of exponents, which has the rounding of the largest one
        rounding = torch.finfo(dtype).eps * (4 + float(row.max()))
        smallest = min(j, *row.tolist())
        total = math.fsum(math.exp(smallest - value) for value in [j, *row.tolist()])
        share = torch.tensor([math.exp(smallest - value) / total for value in row.tolist()], dtype=dtype)

        y = row[None].clone().requires_grad_()
        (gradient,) = torch.autograd.grad(eq9(y, label, j), y)
        close(gradient[0], torch.eye(4, dtype=dtype)[label[0]] - share, 0, rounding)
        hessian = torch.autograd.functional.hessian(lambda y, label=label: eq9(y[None], label, j), row)
        close(hessian, share.diag() - share.outer(share), 0, 2 * rounding)


def test_eq9_tends_to_nothing_when_the_right_class_wins_by_far() -> None:
    label = torch.tensor([0])
    assert eq9(torch.tensor([[0.0, 200.0, 300.0]]), label, 1e4).item() == 0
    assert eq9(torch.tensor([[0.0, 200.0, 300.0]]), label, math.inf).item() == 0
    assert eq9(torch.tensor([[9e3, 1e4, 1e4]]), label, math.inf).item() == 0
    # a near junk class or a near rival does not let it vanish
    assert eq9(torch.tensor([[0.0, 200.0, 300.0]]), label, 2.0).item() == pytest.approx(math.log1p(math.exp(-2)))
    assert eq9(torch.tensor([[0.0, 0.0, 300.0]]), label, math.inf).item() == pytest.approx(math.log(2))
    # a wrong winner costs the distance to it
    assert eq9(torch.tensor([[1e4, 0.0, 300.0]]), label, math.inf).item() == pytest.approx(1e4)


def test_losses_are_means_over_the_batch() -> None:
    penalties, labels = extreme_penalties(), torch.arange(128) % 4
    for loss in (eq8, lambda y, d: eq9(y, d, 1.0)):
        single = [loss(penalties[k : k + 1], labels[k : k + 1]).item() for k in range(128)]
        assert loss(penalties, labels).item() == pytest.approx(math.fsum(single) / 128, rel=1e-12)


def test_configured_losses() -> None:
    penalties, labels = torch.tensor(PENALTIES), torch.tensor(LABELS)
    first, second = eq8(penalties, labels), eq9(penalties, labels, 2.5)
    assert first != second
    asked = [("eq8", "exact", first, first), ("eq9", "exact", second, second), ("eq9", "eq8", second, first)]
    for name, curvature, loss, of_curvature in asked:
        config = LossConfig(name=name, j=2.5, curvature=curvature)
        assert criterion(config)(penalties, labels) == loss
        assert curvature_criterion(config)(penalties, labels) == of_curvature
