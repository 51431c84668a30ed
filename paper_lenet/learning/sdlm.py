"""Stochastic diagonal Levenberg-Marquardt (Appendix C, p. 41-42): diagonal second derivatives and step sizes.

Legend: E loss, a weighted sum, x state, u_ij the weight of one connection, w_k a parameter (shared by connections),
h_kk second derivative of the loss by w_k, eta global rate, mu damping, eps_k step size.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from paper_lenet.activations import slope
from paper_lenet.config import Config
from paper_lenet.network.layers import EuclideanRBF, Subsampling, subsample
from paper_lenet.network.losses import Loss, curvature_criterion
from paper_lenet.network.mlp import MLP
from paper_lenet.network.modern import ModernNet
from paper_lenet.network.paper_net import PaperNet

Network = PaperNet | ModernNet | MLP


def output_curvature(output: EuclideanRBF, x: Tensor, labels: Tensor, loss: Loss) -> Tensor:
    """Second derivative of each pattern's loss by each state of the layer below the output: (N, units), exact.  # D8

    x: (N, units).  labels: (N,).  loss: (penalties, labels) -> mean.
    With g and H the first and second derivatives of the loss by the penalties y, and y_k = factor |x - w_k|^2:
    d2E/dx_j2 = sum_k g_k 2 factor + sum_kl H_kl u_kj u_lj, u_kj = 2 factor (x_j - w_kj).
    Of Eq. 8 and 9 it is never negative; what rounding puts below 0 is 0.
    """

    with torch.enable_grad():
        y = output(x).detach().requires_grad_()
        (g,) = torch.autograd.grad(len(x) * loss(y, labels), y, create_graph=True)
        # plain double back-propagation: torch.func takes seconds to load
        rows = [torch.autograd.grad(column, y, retain_graph=True)[0] for column in g.sum(0)] if g.requires_grad else []
    hessian = torch.stack(rows, 1) if rows else y.new_zeros(*y.shape, y.shape[1])
    g = g.detach()
    u = 2 * output.factor * (x[:, None, :] - output.centres)
    curvature: Tensor = 2 * output.factor * g.sum(1, keepdim=True) + torch.einsum("nkl,nkj,nlj->nj", hessian, u, u)
    return curvature.clamp(min=0)  # NaN stays NaN


def _weighted_sums(layer: nn.Module, parameters: dict[str, Tensor], x: Tensor) -> Tensor:
    if isinstance(layer, Subsampling):
        return subsample(x, parameters["coefficient"], parameters["bias"])
    sums: Tensor = functional_call(layer, parameters, (x,))
    return sums


def _through_pooling(layer: nn.Module, x: Tensor, curvature: Tensor) -> Tensor:
    """d2E/dx2 below a pooling without parameters: to the largest input, or 1/16 to each of four."""
    x = x.detach().requires_grad_()
    (below,) = torch.autograd.grad(layer(x), x, curvature)
    return below if isinstance(layer, nn.MaxPool2d) else below / 4


def diagonal_hessian(
    model: Network, images: Tensor, labels: Tensor, loss: Loss, summed: bool = False
) -> dict[str, Tensor]:
    """h_kk of every trainable parameter by its name in the state_dict, averaged over the images.

    images: (N, 1, side, side).  labels: int64 (N,).  loss: (penalties, labels) -> mean, e.g. `losses.eq8`.
    summed: whether a subsampling unit has one connection, to the sum of its four inputs, or four.  # D11

    Eq. 25 and 27 are the gradients of the layer's own weighted sums, taken with every weight and every state squared:
    d2E/du_ij2 = d2E/da_i2 x_j2, and d2E/dx_k2 = sum_i u_ik2 d2E/da_i2. Sharing adds them up as autograd adds gradients
    (Eq. 23, without the cross terms of Eq. 22).
    """
    count = len(images)
    activation = model.choices.activation if isinstance(model, ModernNet) else "scaled_tanh"
    names = model.trained_layers()
    with torch.no_grad():
        states = model.features(images)
    if isinstance(model.output, EuclideanRBF):
        curvature = output_curvature(model.output, states[names[-1]].flatten(1), labels, loss)  # d2E/dx2
    else:
        share = torch.softmax(states["output"], 1)
        curvature = share * (1 - share)  # of the cross-entropy by each weighted sum, whatever the labels
    h: dict[str, Tensor] = {}
    for name, name_below in zip(reversed(names), ["input", *names][-2::-1], strict=True):
        layer, x = getattr(model, name), states[name_below]
        above = curvature.reshape(states[name].shape)
        if isinstance(layer, nn.AvgPool2d | nn.MaxPool2d):
            curvature = _through_pooling(layer, x, above)
            continue
        if isinstance(layer, nn.Linear):
            x = x.flatten(1)  # of C5, or of the image itself
        if name != "output":
            with torch.no_grad():
                a = layer(x)
            above = slope(activation, a, states[name]).square() * above  # Eq. 27, p. 42: d2E/da2 = f'(a)^2 d2E/dx2
        if isinstance(layer, Subsampling):
            x = x * layer.scale
        squared = {k: p.detach().square().requires_grad_() for k, p in layer.named_parameters()}
        x_squared = x.square().requires_grad_()
        sums = _weighted_sums(layer, squared, x_squared)
        *of_parameters, curvature = torch.autograd.grad(sums, [*squared.values(), x_squared], above)
        if isinstance(layer, Subsampling):
            curvature = curvature * layer.scale**2
        found = dict(zip(squared, of_parameters, strict=True))
        if summed and isinstance(layer, Subsampling):
            # the same with the square of the sum in the place of the sum of the squares
            one = torch.ones_like(layer.coefficient)
            found["coefficient"] = (above * subsample(x, one, one - 1).square()).sum((0, 2, 3))
        for k, value in found.items():
            h[f"{name}.{k}"] = value / count  # Eq. 23-24
    return {name: h[name] for name, _ in model.named_parameters()}


def diagonal_with_cross_terms(model: PaperNet, images: Tensor, labels: Tensor, loss: Loss) -> dict[str, Tensor]:
    """As `diagonal_hessian`, with the cross terms between connections that share a parameter (Eq. 22, p. 42).

    h_kk = sum_j d2E/dx_j2 (dx_j/dw_k)^2 over the states x_j below the output: the Gauss-Newton diagonal. One
    back-propagation for every unit of every image.
    """
    parameters = dict(model.named_parameters())
    h = {name: torch.zeros_like(w) for name, w in parameters.items()}
    last = "f6" if model.f6 is not None else "c5"
    for image, label in zip(images.split(1), labels.split(1), strict=True):
        x = model.features(image)[last].flatten(1)
        curvature = output_curvature(model.output, x.detach(), label, loss)
        for state, weight in zip(x[0], curvature[0], strict=True):
            gradients = torch.autograd.grad(state, list(parameters.values()), retain_graph=True)
            for name, gradient in zip(parameters, gradients, strict=True):
                h[name] += weight * gradient.square()
    return {name: value / len(images) for name, value in h.items()}


def curvature(config: Config, model: Network, images: Tensor, labels: Tensor, pass_: int = 1) -> dict[str, Tensor]:
    """h_kk as a configuration asks for it in a pass, averaged over the images."""
    criterion = curvature_criterion(config.loss.in_pass(pass_))
    if config.optim.cross_terms == "kept":
        assert isinstance(model, PaperNet)
        return diagonal_with_cross_terms(model, images, labels, criterion)
    return diagonal_hessian(model, images, labels, criterion, summed=config.optim.cross_terms == "subsampling")


def averaged(so_far: Any, measured: Any, pass_: int) -> Any:
    """The mean of the curvatures before passes 1 to pass_, of that of those before it and the latest."""
    return so_far + (measured - so_far) / pass_


def step_sizes(h: dict[str, Tensor], eta: float, mu: float) -> dict[str, Tensor]:
    """eps_k = eta / (mu + h_kk) for every parameter (Eq. 21, p. 41)."""
    return {name: eta / (mu + value) for name, value in h.items()}
