"""What a front knows: new upper layers on frozen C1 to S4, by one recipe of today's or by that of 1998.

Today's: C5 and F6 of 120 and 84 squashed units and ten sums, cross-entropy, AdamW, mini-batches of 100, eight passes,
one cycle of the learning rate. It is that of a trial with other code, whose test errors were known; here it was fixed
before any front was tried, and nothing was changed after. 1998's is what trains LeNet-5, but that C1 to S4 stay as they
are.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from paper_lenet import generators, paper
from paper_lenet.activations import squash
from paper_lenet.config import Config
from paper_lenet.data import Data, Labels
from paper_lenet.engines import PassRecord, loop, records
from paper_lenet.engines.fused import FusedNet
from paper_lenet.files import Tensors
from paper_lenet.learning.patterns import Indices, Pass, Patterns, all_patterns
from paper_lenet.network.lenet5 import LeNet5, build
from paper_lenet.recovery.front import LAYERS
from paper_lenet.recovery.recovered import put_into

PASSES, BATCH, RATE = 8, 100, 2e-3
AT_ONCE = 1000


@torch.no_grad()
def features(net: LeNet5, patterns: Patterns, chosen: Indices) -> Tensor:
    """S4's states (N, 400) of the chosen patterns."""
    parts = (chosen[start : start + AT_ONCE] for start in range(0, len(chosen), AT_ONCE))
    inputs = (torch.from_numpy(patterns.grey(part, net.side, np.float32))[:, None] for part in parts)
    return torch.cat([net.features(x)["s4"].flatten(1) for x in inputs])


class Head(nn.Module):
    """C5, F6 and ten sums, of the size that LeNet-5 has, on standardised features."""

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.c5, self.f6, self.output = nn.Linear(len(mean), 120), nn.Linear(120, 84), nn.Linear(84, paper.CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = (x - self.get_buffer("mean")) / self.get_buffer("std")
        sums: Tensor = self.output(squash(self.f6(squash(self.c5(x)))))
        return sums


def trained_head(passes: Iterator[tuple[Tensor, Labels]], seed: int) -> Head:
    """A head for features (N, 400) and labels (N,), PASSES sets of them, which may all be the same.

    The seed draws its weights and the order of the patterns.
    """
    x, labels = next(passes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        # What never varies stays as it is.
        head = Head(x.mean(0), x.std(0).clamp(min=1e-3))
        optimiser = torch.optim.AdamW(head.parameters())
        steps = PASSES * -(-len(x) // BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
        for _ in range(PASSES):
            t = torch.from_numpy(labels.astype(np.int64))
            for chosen in torch.split(torch.randperm(len(x)), BATCH):
                optimiser.zero_grad()
                loss = F.cross_entropy(head(x[chosen]), t[chosen])
                torch.autograd.backward(loss)
                optimiser.step()
                schedule.step()
            x, labels = next(passes, (x, labels))
    return head.eval()


def passes_of(net: LeNet5, patterns: Patterns, seed: int) -> Iterator[tuple[Tensor, Labels]]:
    """Features and labels for PASSES passes; new ones in each where there are more patterns than images."""
    length = len(patterns.images)
    if len(patterns) == length:
        everything = np.arange(length)
        yield from [(features(net, patterns, everything), patterns.labels)] * PASSES
        return
    order = generators.generator(seed, "order").permutation(len(patterns))
    for start in range(0, PASSES * length, length):
        chosen = order[start : start + length]
        yield features(net, patterns, chosen), patterns.labels_of(chosen)


def of_today(front: Tensors, config: Config, data: Data, seed: int) -> int:
    """How many test images are wrong with a new head by today's recipe on a front, of which `put_into` takes what it
    has. config: what becomes of the images."""
    net = LeNet5()
    put_into(net, front)
    patterns, test = all_patterns(config, data, seed)
    head = trained_head(passes_of(net, patterns, seed), seed)
    with torch.no_grad():
        answers: NDArray[np.int64] = head(features(net, test, np.arange(len(test)))).argmax(1).numpy()
    return int(np.sum(answers != data.test_labels))


class FrozenFront(FusedNet):
    """A network whose C1 to S4 learn nothing."""

    def begin(self, patterns: Patterns, this: Pass) -> None:
        super().begin(patterns, this)
        learns = {n: np.full(w.shape, not n.startswith(LAYERS), float) for n, w in self.layout.places.items()}
        self.eps *= self.layout.pack(learns, self.dtype)


def of_1998(front: Tensors, config: Config, data: Data, seed: int) -> PassRecord:
    """How upper layers end on a frozen front, trained as the configuration trains LeNet-5. Raises NonFiniteError."""
    net = build(config.model, seed)
    assert isinstance(net, LeNet5)  # the command has seen to it
    put_into(net, front)
    *_, last = records(loop.train(FrozenFront(net, config), config, data, seed))
    return last
