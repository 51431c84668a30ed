"""One training of LeNet-5, pass by pass, for the report page: paper-lenet replay [--publish] [overrides].

-> replay.safetensors: before the first pass and after each, C1's kernels, what S2 and S4 have learned, F6 and the
answers for the first test image of each digit, and the errors. The first seed of the headline, unless told.
"""

from __future__ import annotations

import argparse
import importlib
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from paper_lenet.commands.composition import compose
from paper_lenet.commands.places import add_place, place_of
from paper_lenet.config import Config, ConfigError
from paper_lenet.data import Data, load
from paper_lenet.engines import records
from paper_lenet.engines.reference.net import inputs
from paper_lenet.files import Tensors, tensor_bytes, write_atomic
from paper_lenet.learning.patterns import Patterns, all_patterns
from paper_lenet.network.lenet5 import build
from paper_lenet.network.paper_net import PaperNet
from paper_lenet.runs.environment import origin

FILE = "replay.safetensors"
# Of each pass, from 0 on; what is trained under its name in the state_dict.
SHOWN = ("c1.weight", "s2.coefficient", "s2.bias", "s4.coefficient", "s4.bias")


def main() -> int:
    parser = argparse.ArgumentParser(description="Record one training of LeNet-5, pass by pass, for the report page.")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="of a configuration with RBF outputs")
    add_place(parser)
    arguments = parser.parse_args()
    path = place_of(arguments).results / FILE
    config = compose(["experiment=lenet5", *arguments.overrides])
    if config.model.name != "lenet5" or config.is_modern():
        raise ConfigError("replay: only of LeNet-5 as in 1998")
    seed, here = config.seeds[0], origin()
    found = recorded(config, load(config.data), seed)
    about = {"fingerprint": config.fingerprint(), "seed": seed, **here}
    write_atomic(path, tensor_bytes(about, found))
    print(f"wrote {path}: {len(found['test_error'])} passes, at the end {100 * found['test_error'][-1]:.2f} % wrong")
    return 0


def recorded(config: Config, data: Data, seed: int) -> Tensors:
    """What FILE has of P passes: SHOWN (P + 1, ...); images, bytes (10, 28, 28), and their labels; for them f6
    (P + 1, 10, 84) and output (P + 1, 10, classes); train_error, on the fly, and test_error (P,), as shares."""
    test = all_patterns(config, data, seed)[1]
    first = np.array([int(np.flatnonzero(data.test_labels == label)[0]) for label in np.unique(data.test_labels)])
    net = build(config.model, seed)
    assert isinstance(net, PaperNet)  # the command has seen to it
    states = [{name: values.detach().numpy().copy() for name, values in net.state().items()}]
    errors: list[tuple[float, float]] = []
    engine = importlib.import_module(f"paper_lenet.engines.{config.engine.name}")
    for record in records(engine.train(config, data, seed)):
        states.append(record.state)
        errors.append((record.train_errors / record.train_size, record.test_errors / len(data.test_labels)))
    of_images = [answers(net, state, test, first) for state in states]
    train, tested = np.array(errors, np.float32).T
    return {
        **{name: np.stack([state[name] for state in states]).astype(np.float32) for name in SHOWN},
        **{name: np.stack([each[name] for each in of_images]) for name in ("f6", "output")},
        "images": data.test_images[first],
        "labels": data.test_labels[first].astype(np.float32),
        "train_error": train,
        "test_error": tested,
    }


@torch.no_grad()
def answers(net: PaperNet, state: Tensors, patterns: Patterns, chosen: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """F6 and the penalties of a network with these parameters for some patterns."""
    net.set_state(state)
    found = net.features(inputs(patterns, chosen, net))
    return {name: found[name].numpy().astype(np.float32) for name in ("f6", "output")}
