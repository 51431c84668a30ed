"""CUDA's streams and graphs as a processor can have them, so that what a GPU would do wrong fails without one.

`Device` sees every operation of PyTorch. It stands in for torch.cuda: operations belong to the current stream, and
whichever uses memory without waiting for another stream's use of it raises. A graph keeps the operations of its capture
with their memory, undoes what they did, leaves nonsense in what they made, and refuses what a GPU refuses to capture;
a replay does them again, from and into the same memory.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

# Operations whose result depends on the values, so that the processor waits for the device.
WAITING = (torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape)
BY_INDEX = (torch.ops.aten.index.Tensor, torch.ops.aten.index_put_.default)  # waiting for masks, not for indices
FROM_HOST = (torch.ops.aten.lift_fresh.default,)  # torch.tensor of Python's numbers


class Stream:
    """seen: how many operations of each stream come before the next one of this."""

    def __init__(self) -> None:
        self.seen: dict[Stream, int] = {}

    def wait_stream(self, other: Stream) -> None:
        for stream, count in other.seen.items():
            self.seen[stream] = max(self.seen.get(stream, 0), count)

    def has_seen(self, use: tuple[Stream, int]) -> bool:
        return self.seen.get(use[0], 0) >= use[1]


@dataclass
class Use:
    """Of a piece of memory: its last writing, and each stream's last reading since, as (stream, number)."""

    written: tuple[Stream, int]
    read: dict[Stream, int] = field(default_factory=dict)


class Graph:
    """operations: function, arguments and results of each.  before: what outer memory held.  inner: made by them."""

    def __init__(self) -> None:
        self.operations: list[tuple[Any, Any, Any, Any]] = []
        self.before: dict[StorageWeakRef, tuple[Tensor, Tensor]] = {}
        self.inner: dict[StorageWeakRef, Tensor] = {}

    def replay(self) -> None:
        for func, args, kwargs, results in self.operations:
            again = func(*args, **kwargs)
            for result, value in zip(tensors(results), tensors(again), strict=True):
                if memory(result) != memory(value):  # neither a view nor in place
                    result.copy_(value)


class Device(TorchDispatchMode):
    """While it is entered; `graphs` are all that were captured."""

    def __init__(self) -> None:
        super().__init__()
        self.stream, self.graph, self.graphs = Stream(), None, []
        self.uses: dict[StorageWeakRef, Use] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = {memory(t): t for t in tensors(*args, *kwargs.values())}
        changed = {memory(t): t for t in tensors(*written(func, args, kwargs))}
        if self.graph is not None:
            refuse(func, args)
            for key, tensor in changed.items():
                if key not in self.graph.inner and key not in self.graph.before:
                    self.graph.before[key] = whole(tensor), whole(tensor).clone()
        result = func(*args, **kwargs)
        made = {memory(t): t for t in tensors(result)}
        if self.graph is not None:
            self.graph.operations.append((func, args, kwargs, result))
            self.graph.inner |= {key: whole(t) for key, t in made.items() if key not in given}
        elif changed or made.keys() - given.keys():  # a view uses nothing
            self._use(str(func), given.keys() - changed.keys(), changed.keys() | (made.keys() - given.keys()))
        return result

    def _use(self, what: str, read: set[StorageWeakRef], changed: set[StorageWeakRef]) -> None:
        now = self.stream.seen.get(self.stream, 0) + 1
        for key in read | changed:
            use = self.uses.get(key)
            earlier = [] if use is None else [use.written, *(use.read.items() if key in changed else ())]
            if not all(self.stream.has_seen(one) for one in earlier):
                raise RuntimeError(f"{what}: uses memory that another stream may still be using")
        self.stream.seen[self.stream] = now
        for key in changed:
            self.uses[key] = Use((self.stream, now))
        for key in read:
            self.uses.setdefault(key, Use((self.stream, 0))).read[self.stream] = now

    @contextmanager
    def on(self, stream: Stream) -> Iterator[None]:
        """As torch.cuda.stream."""
        before, self.stream = self.stream, stream
        yield
        self.stream = before

    @contextmanager
    def capture(self, graph: Graph) -> Iterator[None]:
        """As torch.cuda.graph."""
        self.graph = graph
        try:
            yield
        finally:
            self.graph = None
        self.graphs.append(graph)
        for place, value in graph.before.values():
            place.copy_(value)
        for place in graph.inner.values():
            place.fill_(255)  # NaN, or an index of -1

    def stand_in(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Take the place of torch.cuda."""
        ours: dict[str, Callable[..., Any]] = {
            "Stream": Stream, "current_stream": lambda: self.stream, "stream": self.on, "CUDAGraph": Graph,
            "graph": self.capture,
        }  # fmt: skip
        for name, function in ours.items():
            monkeypatch.setattr(torch.cuda, name, function)


class OnDevice(TorchDispatchMode):
    """Raises for an operation that takes or gives a tensor of the host, such as a copy, which a graph cannot capture.

    Inside a FakeTensorMode, whose tensors can be on a GPU that is not there.
    """

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if any(t.device.type == "cpu" for t in tensors(*args, *(kwargs or {}).values(), result)):
            raise RuntimeError(f"{func}: not on the device alone")
        return result


def tensors(*values: Any) -> list[Tensor]:
    """Those among arguments or results, which may be in lists."""
    found = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += tensors(*value)
    return found


def memory(tensor: Tensor) -> StorageWeakRef:
    """What tells a tensor's memory from any other, also after it was freed."""
    return StorageWeakRef(tensor.untyped_storage())


def whole(tensor: Tensor) -> Tensor:
    """All bytes of a tensor's memory."""
    return torch.empty(0, dtype=torch.uint8).set_(tensor.untyped_storage())


def written(func: Any, args: Any, kwargs: Any) -> list[Any]:
    """The arguments that an operation writes to."""
    places = _written(func)
    return [args[k] if k < len(args) else kwargs[name] for k, name in places if k < len(args) or name in kwargs]


@functools.cache
def _written(func: Any) -> list[tuple[int, str]]:
    arguments = enumerate(func._schema.arguments)
    return [(k, a.name) for k, a in arguments if a.alias_info is not None and a.alias_info.is_write]


def refuse(func: Any, args: Any) -> None:
    """Raise for what a GPU cannot capture."""
    waits = any(tag in func.tags for tag in WAITING)
    if func in BY_INDEX:
        waits = any(i is not None and i.dtype in (torch.bool, torch.uint8) for i in args[1])
    if waits or func in FROM_HOST:
        raise RuntimeError(f"{func}: operation not permitted when stream is capturing")
