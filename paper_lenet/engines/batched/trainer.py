"""What trains the networks of the batched engine together, pass by pass.

Legend: M networks, B patterns a batch, K steps that one captured graph makes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from paper_lenet.config import Config
from paper_lenet.data import Data
from paper_lenet.engines import loop
from paper_lenet.engines.batched.graphs import captured, captures
from paper_lenet.engines.batched.layers import keep_freed_memory
from paper_lenet.engines.batched.net import BatchedNet
from paper_lenet.engines.batched.resident import Resident, resident
from paper_lenet.engines.engine import Checkpoint, NonFiniteError, PassRecord
from paper_lenet.learning.patterns import Pass, all_patterns, dropout_start, passes
from paper_lenet.learning.schedules import numbers_of
from paper_lenet.learning.sdlm import averaged
from paper_lenet.network.lenet5 import build

# Patterns between two looks at the clock, and images that are evaluated at once.
PACE = 10_000
EVALUATED = 500
GRAPH_STEPS = 20

Outcome = Checkpoint | NonFiniteError


class Trainer:
    """Passes of several networks over the resident data."""

    def __init__(self, net: BatchedNet, config: Config, patterns: Resident, length: int) -> None:
        self.net, self.config, self.patterns, self.length = net, config, patterns, length
        self.batch = config.optim.batch
        device, nets = net.device, net.nets
        self.captures = captures(device)
        self.replay: Callable[[], None] | None = None  # GRAPH_STEPS steps, once they have been captured
        steps = GRAPH_STEPS
        # what a step reads, so that a captured one reads something new each time
        self.rows = torch.zeros(steps, nets, min(self.batch, length), dtype=torch.int64, device=device)
        self.numbers = torch.zeros(steps, 5, dtype=torch.float64, device=device)  # of numbers_of, position
        self.pass_ = torch.zeros((), dtype=torch.int64, device=device)
        self.loss = torch.zeros(nets, dtype=torch.float64, device=device)
        self.errors = torch.zeros(nets, dtype=torch.int64, device=device)
        self.bad = torch.zeros(nets, dtype=torch.int64, device=device)
        self.updates = torch.zeros((), dtype=torch.int64, device=device)

    def begin(self, this: Sequence[Pass], middle: Sequence[Checkpoint]) -> None:
        """Before a pass: its sums are 0, and SDLM has new step sizes (Eq. 21, p. 41).

        middle: where each network goes on in the pass; empty from the start.
        """
        net, optim, pass_ = self.net, self.config.optim, this[0].pass_
        if net.loss != (of_pass := self.config.loss.in_pass(pass_)):
            net.loss, self.replay = of_pass, None  # what has been captured has another loss in it
        for total in (self.loss, self.errors, self.bad, self.updates):
            total.zero_()
        self.pass_.fill_(pass_)
        if middle:
            self.updates.fill_(middle[0].update // self.batch)
            self.loss.copy_(torch.tensor([at.loss for at in middle], dtype=torch.float64))
            self.errors.copy_(torch.tensor([at.errors for at in middle]))
        if net.eps is None or middle:
            return
        if net.h is None or optim.hessian != "once" or pass_ == 1:  # D22
            h = self._curvature(this)
            if net.h is not None:
                h = net.h.copy_(averaged(net.h, h, pass_) if optim.hessian == "mean" else h)
        else:
            h = net.h
        net.eps.copy_(this[0].eta / (optim.mu + h))

    def _curvature(self, this: Sequence[Pass]) -> Tensor:
        """h_kk of every parameter (M, P), averaged over the sample of the pass."""
        net = self.net
        net.train_mode(False)
        sample = torch.from_numpy(np.stack([p.hessian_sample for p in this])).to(net.device)
        total = torch.zeros_like(net.flat)
        for part in sample.split(100, 1):
            h = net.curvature(self.patterns.inputs(part, net.dtype))
            total += torch.cat([value.flatten(1) for value in h], 1)
        return total / sample.shape[1]

    def step(self, k: int, batch: int) -> None:
        """One update of all networks, by row k of what was laid ready; waits for nothing."""
        net, optim = self.net, self.config.optim
        rows = self.rows[k, :, :batch]
        numbers = self.numbers[k]
        rate, first, second, share = numbers[:4].to(net.dtype).unbind() if self.captures else numbers[:4].tolist()
        position = numbers[4].long() if self.captures else int(numbers[4])
        net.draw_masks(self.pass_, position, batch)
        labels = self.patterns.labels_of(rows)
        losses, winners, gradients = net.gradient(self.patterns.inputs(rows, net.dtype), labels)
        self.updates += 1
        ended = self.bad > 0
        not_finite = ~torch.isfinite(losses).all(1) & ~ended
        self.bad += not_finite * self.updates
        self.loss += torch.where(ended | not_finite, 0.0, losses.sum(1).double())
        self.errors += (winners != labels).sum(1)
        if net.eps is not None:
            torch._foreach_addcmul_(net.views, net.viewed(net.eps), gradients, value=-1)  # Eq. 18, p. 41
        elif optim.name == "muon":
            net.optimiser.step(net.views, gradients, rate, first, second)
        else:
            flat = torch.cat([g.flatten(1) for g in gradients], 1)
            net.optimiser.step([net.flat], [flat], rate, first, second)
        net.average_in(share)

    def advance(self, orders: Tensor, pass_: int, done: int, until: int) -> None:
        """Updates from pattern `done` of the pass to `until`; orders (M, length)."""
        self.net.train_mode(True)
        while done < until:
            count = min(GRAPH_STEPS, (until - done) // self.batch)
            batch = self.batch if count else until - done
            numbers = []
            for k in range(max(1, count)):
                at = done + k * batch
                numbers.append([*numbers_of(self.config.optim, self.length, pass_, at), float(at)])
                self.rows[k, :, :batch].copy_(orders[:, at : at + batch])
            self.net.rate = numbers[-1][0]
            self.numbers[: len(numbers)].copy_(torch.tensor(numbers, dtype=torch.float64))
            if self.captures and count == GRAPH_STEPS:
                if self.replay is None:
                    self.replay = captured(self._steps, lambda: self.step(0, self.batch), self._state())
                self.replay()
            else:
                for k in range(len(numbers)):
                    self.step(k, batch)
            done += batch * len(numbers)

    def _steps(self) -> None:
        for k in range(GRAPH_STEPS):
            self.step(k, self.batch)

    def _state(self) -> list[Tensor]:
        """Every tensor that a step changes."""
        kept = [*self.net.learned, *self.net.averages, self.loss, self.errors, self.bad, self.updates]
        if self.net.eps is None:
            kept += [w for ws in self.net.optimiser.memory.values() for w in ws]
        return kept

    def predict(self, patterns: Resident) -> Tensor:
        """The labels (M, n) given to the images, undistorted, by the average of the weights where there is one."""
        net = self.net
        net.train_mode(False)
        count = patterns.chosen.shape[1]
        given = [torch.zeros(net.nets, 0, dtype=torch.int64, device=net.device)]
        with net.averaged():
            for start in range(0, count, EVALUATED):
                rows = torch.arange(start, min(start + EVALUATED, count), device=net.device).expand(net.nets, -1)
                given.append(net.winners(net.output(patterns.inputs(rows, net.dtype), net.stack)[0]))
        return torch.cat(given, 1)


@torch.no_grad()
def train_many(
    config: Config, data: Data, seeds: Sequence[int], starts: Sequence[Checkpoint | None]
) -> Iterator[list[Outcome]]:
    """Train one network per seed, all from the same point; each time the checkpoint of each, or how it ended.

    starts: where each one goes on; all None or all at the same update.
    """
    keep_freed_memory()
    own = [all_patterns(config, data, seed) for seed in seeds]
    models = [loop.in_order(build(config.model, seed), config.engine.summation) for seed in seeds]
    net = BatchedNet(models, config, [dropout_start(seed) for seed in seeds])
    patterns = resident([train for train, _ in own], models[0].side, net.device)
    held_out = resident([own[0][1]] * len(seeds), models[0].side, net.device)
    trainer = Trainer(net, config, patterns, len(own[0][0].images))
    ended: dict[int, NonFiniteError] = {}
    begun = [at for at in starts if at is not None]
    for k, at in enumerate(begun):
        net.set_parameters(k, at.parameters)
        net.set_memory(k, at.memory)
        net.set_average(k, at.average)

    def outcomes() -> list[Outcome]:
        losses, errors = trainer.loss.tolist(), trainer.errors.tolist()
        kept = [(net.parameters(k), net.memory(k), net.average(k)) for k in range(len(seeds))]
        return [
            ended.get(k) or Checkpoint(this.pass_, done, *kept[k], losses[k], errors[k], seconds)
            for k in range(len(seeds))
        ]

    plans = [passes(config, seed, train) for seed, (train, _) in zip(seeds, own, strict=True)]
    pace = config.optim.batch * max(1, PACE // config.optim.batch)
    for these in zip(*plans, strict=True):
        this, length, began = these[0], len(these[0].order), time.perf_counter()
        if begun and (this.pass_, begun[0].record is None) < (begun[0].pass_, True):
            continue
        middle = begun if begun and this.pass_ == begun[0].pass_ else []
        done, seconds = (middle[0].update, middle[0].seconds) if middle else (0, 0.0)
        trainer.begin(these, middle)
        orders = torch.from_numpy(np.stack([p.order for p in these])).to(net.device)
        while done < length:
            until = min(length, done + pace)
            trainer.advance(orders, this.pass_, done, until)
            done = until
            for k, update in enumerate(trainer.bad.tolist()):
                if update and k not in ended:
                    ended[k] = NonFiniteError(seeds[k], this.pass_, int(update))
            if len(ended) == len(seeds):
                yield outcomes()
                return
            if done < length:
                seconds += time.perf_counter() - began
                yield outcomes()
                began = time.perf_counter()
        seconds += time.perf_counter() - began
        given = trainer.predict(held_out).cpu().numpy()
        last = this.pass_ == config.optim.passes
        on_all = trainer.predict(patterns).cpu().numpy() if last else None
        points = outcomes()
        for k, point in enumerate(points):
            if isinstance(point, NonFiniteError):
                continue
            smallest, largest = net.rates(k)
            point.record = PassRecord(
                seed=seeds[k],
                pass_=this.pass_,
                eta=this.eta if config.optim.name == "sdlm" else largest,
                rate_min=smallest,
                rate_max=largest,
                train_loss=point.loss / done,
                train_errors=point.errors,
                train_size=done,
                predictions=given[k],
                test_errors=int(np.sum(given[k] != data.test_labels)),
                seconds=seconds / len(seeds),
                state=point.average or point.parameters,
                training_set_errors=None if on_all is None else int(np.sum(on_all[k] != own[k][0].labels)),
            )
        yield points


def train(config: Config, data: Data, seed: int, start: Checkpoint | None = None) -> Iterator[Checkpoint]:
    """Train one network, as loop.train."""
    for (outcome,) in train_many(config, data, [seed], [start]):
        if isinstance(outcome, NonFiniteError):
            raise outcome
        yield outcome
