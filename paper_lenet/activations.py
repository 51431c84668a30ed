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


def of_torch(name: str) -> Callable[[Tensor], Tensor]:
    """A function of torch.nn.functional by its name there."""

    def function(a: Tensor) -> Tensor:
        import torch

        x: Tensor = getattr(torch.nn.functional, name)(a)
        return x

    return function


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "scaled_tanh": squash,
    "tanh": of_torch("tanh"),
    "relu": of_torch("relu"),
    "gelu": of_torch("gelu"),  # the exact one, with erf
    "silu": of_torch("silu"),
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
