"""Activations: the state x = f(a) of a weighted sum a, and the slope f'(a).

A row of ACTIVATIONS is all that the configuration, the networks, Appendix C and the batched engine need. What computes
a function in a form of its own has that form where it computes: engines/batched/activations.py for speed,
engines/fused/activations.py for vectors, reporting/page/lenet.js for the page.

The configuration lists the names without waiting for torch, which is imported where it is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from paper_lenet import paper

if TYPE_CHECKING:
    from torch import Tensor


def squash(a: Tensor) -> Tensor:
    """x = f(a) = A tanh(S a), any shape; f(1) = 1 and f(-1) = -1 but for rounding."""
    # Eq. 6, p. 8; S is given in Appendix A, p. 41
    return paper.A * (paper.S * a).tanh()


def squash_slope(x: Tensor) -> Tensor:
    """f'(a) from the state x = f(a): A S (1 - (x/A)^2), any shape."""
    return paper.S / paper.A * (paper.A**2 - x * x)


def gelu(a: Tensor) -> Tensor:
    """a times the normal distribution's Phi(a), the exact one."""
    from torch.nn import functional as F

    return F.gelu(a)


def silu(a: Tensor) -> Tensor:
    """a / (1 + exp(-a))"""
    from torch.nn import functional as F

    return F.silu(a)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "scaled_tanh": squash,
    "tanh": lambda a: a.tanh(),
    "relu": lambda a: a.relu(),
    "gelu": gelu,
    "silu": silu,
}


def slope(name: str, a: Tensor, x: Tensor) -> Tensor:
    """f'(a) of weighted sums a with the states x = f(a), any shape: by autograd, but of Eq. 6 from the state."""
    if name == "scaled_tanh":
        return squash_slope(x)
    import torch

    with torch.enable_grad():
        a = a.detach().requires_grad_()
        (of_a,) = torch.autograd.grad(ACTIVATIONS[name](a).sum(), a)
    return of_a
