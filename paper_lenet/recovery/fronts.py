"""What a front knows: new upper layers on frozen C1 to S4, trained by one recipe of today's, the same for all fronts.

C5 and F6 of 120 and 84 squashed units and ten sums, cross-entropy, AdamW, mini-batches of 100, eight passes, one cycle
of the learning rate. The recipe is that of a trial with other code, whose test errors were known; here it was fixed
before any front was tried, and nothing was changed after.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from paper_lenet import paper
from paper_lenet.activations import squash
from paper_lenet.data import Data, Images, Labels, normalise
from paper_lenet.network.lenet5 import LeNet5

PASSES, BATCH, RATE = 8, 100, 2e-3
AT_ONCE = 1000


@torch.no_grad()
def features(net: LeNet5, images: Images) -> Tensor:
    """S4's states (N, 400) of images (N, 28, 28) in bytes."""
    parts = (images[start : start + AT_ONCE] for start in range(0, len(images), AT_ONCE))
    return torch.cat([net.features(torch.from_numpy(normalise(part)))["s4"].flatten(1) for part in parts])


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


def trained_head(x: Tensor, labels: Labels, seed: int) -> Head:
    """A head for features (N, 400) of the training images; the seed draws its weights and the order of the patterns."""
    t = torch.from_numpy(labels.astype(np.int64))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        # What never varies stays as it is.
        head = Head(x.mean(0), x.std(0).clamp(min=1e-3))
        steps = PASSES * -(-len(x) // BATCH)
        optimiser = torch.optim.AdamW(head.parameters())
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
        for _ in range(PASSES):
            for chosen in torch.split(torch.randperm(len(x)), BATCH):
                optimiser.zero_grad()
                loss = F.cross_entropy(head(x[chosen]), t[chosen])
                torch.autograd.backward(loss)
                optimiser.step()
                schedule.step()
    return head.eval()


def errors(net: LeNet5, data: Data, seed: int) -> int:
    """How many test images are wrong with a new head on the front of this network."""
    head = trained_head(features(net, data.train_images), data.train_labels, seed)
    with torch.no_grad():
        answers: NDArray[np.int64] = head(features(net, data.test_images)).argmax(1).numpy()
    return int(np.sum(answers != data.test_labels))
