"""What `make reproduce` does: train LeNet-5 on MNIST as the paper did, and show its error beside the paper's.

Results go to outputs/results; --publish writes the committed ones, and README.md, in their place. Without MNIST it says
so and does the same on scikit-learn's embedded digits, into results named after them, unless a folder was named in
which MNIST should be. Further arguments go to train, for a quick look:
paper-lenet reproduce optim.passes=1
"""

from __future__ import annotations

import argparse
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from paper_lenet.commands.composition import compose
from paper_lenet.commands.places import Place, add_place, place_of
from paper_lenet.config import Config, ConfigError
from paper_lenet.data import DataUnavailable, load
from paper_lenet.runs.records import job_folder

EXPERIMENT = "lenet5"
NO_MNIST = """
!!! MNIST cannot be had: {reason}
!!! Running the same job on scikit-learn's embedded 8x8 digits instead. Its numbers are NOT MNIST's and say nothing
!!! about the paper's; they go to results named {name}-digits.
"""


def composed(overrides: Sequence[str]) -> Config:
    """The checked configuration with overrides. Raises ConfigError."""
    for override in overrides:
        if re.split("[=/.]", override.lstrip("+~"))[0] in ("experiment", "study", "hydra"):
            raise ConfigError(f"{override}: this command trains experiment={EXPERIMENT}; train takes any other")
    return compose([f"experiment={EXPERIMENT}", *overrides])


def step(command: str, *arguments: str) -> None:
    """Run another command; ends this one with its exit code if it fails or is interrupted."""
    child = subprocess.Popen([sys.executable, "-P", "-m", "paper_lenet", command, *arguments])
    signal.signal(signal.SIGINT, lambda *_: None)  # a terminal sends it to both, and the child knows what to do
    signal.signal(signal.SIGTERM, lambda number, _: child.send_signal(number))
    if code := child.wait():
        sys.exit(code)


def options(place: Place) -> list[str]:
    """The options that tell another command of a place."""
    return ["--publish"] if place.published else ["--results", str(place.results)]


def main() -> int:
    started = time.perf_counter()
    parser = argparse.ArgumentParser(description="Train LeNet-5 as in 1998 and show its error beside the paper's.")
    parser.add_argument("overrides", nargs="*", help="as for train, such as optim.passes=1")
    add_place(parser)
    arguments = parser.parse_args()
    overrides, place = arguments.overrides, place_of(arguments)
    config = composed(overrides)
    ours, published = ((each.name, each.seeds, each.fingerprint()) for each in (config, composed([])))
    if place.published and ours != published:
        raise ConfigError(f"only experiment={EXPERIMENT} as it is can be published in its place, without overrides")
    try:
        load(config.data)
    except DataUnavailable as error:
        if place.published or any(override.startswith("data=") for override in overrides):
            raise
        print(NO_MNIST.format(reason=error, name=config.name), file=sys.stderr, flush=True)
        overrides = [*overrides, "data=digits"]
        config = composed(overrides)
        load(config.data)
    name = config.name if config.data.name == "mnist" else f"{config.name}-{config.data.name}"
    step("train", f"experiment={EXPERIMENT}", *overrides)
    # Trials with other settings or seeds may lie beside these runs.
    chosen = ("--fingerprint", config.fingerprint(), "--partial")
    step("collect", str(job_folder(config).parent), *chosen, *options(place))
    step("tables", name, *options(place))
    step("figures", name, *options(place))
    print(f"{time.perf_counter() - started:.0f} s in all")
    return 0
