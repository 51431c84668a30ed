"""What updates parameters from gradients, for one network or many: SGD, Adam, AdamW and Muon.

Everything works in place on tensors with the networks along their first axis, without waiting for the device. The rate
comes in as a number or a tensor, so that a captured step can have another one each time.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from paper_lenet.config import OptimConfig

BETAS = (0.9, 0.999)  # of Adam and AdamW, as everybody leaves them
# of Muon's Newton-Schulz iteration (Jordan et al. 2024), as in torch.optim.Muon
MUON = (3.4445, -4.7750, 2.0315)
MUON_STEPS = 5


class Optimiser:
    """An optimiser of OptimConfig's names but sdlm.

    like: the parameters that it will update, for shapes, type and device, each (M, ...).
    matrices: for muon, which of them are matrices or kernels, (M, out, ...).
    memory: what it keeps from update to update, by name, each in the order of `like`.
    """

    def __init__(self, config: OptimConfig, like: list[Tensor], matrices: list[bool] | None = None) -> None:
        self.config = config
        self.by_muon = [bool(m) for m in matrices or [False] * len(like)] if config.name == "muon" else None
        names = {"sgd": ["velocity"] if config.momentum else [], "muon": ["velocity", "mean", "square"]}
        self.memory: dict[str, list[Tensor]] = {
            name: [torch.zeros_like(p) for p in like] for name in names.get(config.name, ["mean", "square"])
        }

    def step(
        self,
        parameters: list[Tensor],
        gradients: list[Tensor],
        rate: float | Tensor,
        first: float | Tensor,
        second: float | Tensor,
    ) -> None:
        """One update. rate: of this update.  first, second: `corrections` of this update."""
        decay = self.config.weight_decay
        for k, (p, g) in enumerate(zip(parameters, gradients, strict=True)):
            if self.config.name == "sgd":
                self._sgd(k, p, g + decay * p if decay else g, rate)
            elif self.by_muon is not None and self.by_muon[k]:
                self._muon(k, p, g, rate)
            else:
                self._adam(k, p, g, rate, first, second)

    def _sgd(self, k: int, p: Tensor, g: Tensor, rate: float | Tensor) -> None:
        momentum = self.config.momentum
        if momentum:
            velocity = self.memory["velocity"][k]
            velocity.mul_(momentum).add_(g)
            g = g + momentum * velocity if self.config.nesterov else velocity
        p.sub_(g * rate)

    def _adam(
        self, k: int, p: Tensor, g: Tensor, rate: float | Tensor, first: float | Tensor, second: float | Tensor
    ) -> None:
        mean, square = self.memory["mean"][k], self.memory["square"][k]
        mean.lerp_(g, 1 - BETAS[0])
        square.mul_(BETAS[1]).addcmul_(g, g, value=1 - BETAS[1])
        if self.config.name != "adam" and self.config.weight_decay:
            p.sub_(p * (rate * self.config.weight_decay))
        # both corrections of the bias, the second one under the root
        p.sub_(mean / ((square / second).sqrt_().add_(self.config.epsilon)) * (rate / first))

    def _muon(self, k: int, p: Tensor, g: Tensor, rate: float | Tensor) -> None:
        velocity = self.memory["velocity"][k]
        velocity.lerp_(g, 1 - self.config.momentum)
        matrix = torch.lerp(g, velocity, self.config.momentum).flatten(2)  # Nesterov's, as is usual with Muon
        if self.config.weight_decay:
            p.sub_(p * (rate * self.config.weight_decay))
        scale = math.sqrt(max(1.0, matrix.shape[1] / matrix.shape[2]))
        p.sub_(orthogonal(matrix).view_as(p) * (rate * scale))


def is_matrix(name: str, parameter: Tensor) -> bool:
    """Whether Muon has a parameter of one network, by its name in the state_dict; the others are AdamW's.

    It has the kernels and matrices of the hidden layers, not those of the first layer, of a table or of the output.
    """
    return parameter.dim() in (2, 4) and not name.startswith(("output", "c1"))


def orthogonal(matrix: Tensor) -> Tensor:
    """Nearly the orthogonal factor of each matrix (M, rows, columns), by five Newton-Schulz steps."""
    a, b, c = MUON
    tall = matrix.shape[1] > matrix.shape[2]
    x = matrix.mT if tall else matrix
    x = x / x.flatten(1).norm(dim=1).clamp(min=1e-7)[:, None, None]
    for _ in range(MUON_STEPS):
        gram = torch.bmm(x, x.mT)
        x = a * x + torch.bmm(b * gram + c * torch.bmm(gram, gram), x)
    result: Tensor = x.mT if tall else x
    return result
