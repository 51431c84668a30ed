"""Steps captured once and done again by the device alone: CUDA graphs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def captures(device: torch.device) -> bool:
    """Whether steps on this device are captured as graphs; they then read all their numbers from its memory."""
    return device.type == "cuda"


def captured(work: Callable[[], None], warm_up: Callable[[], None], state: Sequence[Tensor]) -> Callable[[], None]:
    """A function that makes the device do `work` again, as one CUDA graph. Nothing of it has been done on return.

    warm_up: what is done once before, since the first calls of a library must not be captured.  state: every tensor
    that it changes; they are put back.
    A graph reads and writes memory where it lay at the capture: what `work` takes from outside changes in place only.
    """
    before = [tensor.clone() for tensor in state]
    here, aside = torch.cuda.current_stream(), torch.cuda.Stream()
    aside.wait_stream(here)  # for the copies too
    with torch.cuda.stream(aside):
        warm_up()
    here.wait_stream(aside)
    for tensor, value in zip(state, before, strict=True):
        tensor.copy_(value)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay
