"""Results -> figures: paper-lenet figures [names ...] [--publish | --check] [--weights FILE].

With names, the learning curves of each: as Fig. 5 where a name has one configuration, else one panel per configuration.
Without, all that the results at hand allow; Figs. 2, 7 and 8 need MNIST as well. --check compares the committed
figures, byte for byte, with what is drawn.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from paper_lenet.commands.places import add_place, place_of
from paper_lenet.data import mnist_at_hand
from paper_lenet.network.paper_net import PaperNet
from paper_lenet.network.pretrained import WEIGHTS, digests, load_pretrained
from paper_lenet.reporting.figures.build import Hand, drawings
from paper_lenet.reporting.figures.common import write
from paper_lenet.reporting.figures.curves import curves, fig5
from paper_lenet.reporting.figures.network import trained
from paper_lenet.reporting.results import TableError, read_results

# Whose states and kernels are drawn.
RELEASED = "lenet5-1998"


def main() -> int:
    parser = argparse.ArgumentParser(description="Draw the learning curves of the named results, or all figures.")
    parser.add_argument("names", nargs="*", help="names in curves/, without .csv")
    add_place(parser)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a committed figure differs")
    parser.add_argument(
        "--weights",
        type=Path,
        help="a run's weights.safetensors for Fig. 2 and the kernels, in place of the released ones",
    )
    arguments = parser.parse_args()
    place = place_of(arguments)
    wrong: list[Path] = []
    count = 0
    for files in chosen(place.results, arguments.names, arguments.weights):
        if isinstance(files, str):
            print(files)
        elif arguments.check:
            count += len(files)
            wrong += [path for path, content in files.items() if not path.exists() or path.read_bytes() != content]
        else:
            write(files)
            print("wrote " + ", ".join(map(str, files)))
    if wrong:
        raise TableError(f"not what the results give: {', '.join(map(str, wrong))}")
    if arguments.check:
        print(f"{count} figures agree with the results")
    return 0


def chosen(results: Path, names: Sequence[str], weights: Path | None) -> Iterator[dict[Path, bytes] | str]:
    """The files of one figure after another, of the curves of these names, or of all that the results allow.

    A text says what is left out. Raises ConfigError, DataError, RecordError and TableError.
    """
    if not names:
        if not any((results / "runs").glob("*.csv")):
            raise TableError(f"{results / 'runs'}: no results to draw")
        yield from drawings(results, Hand(mnist_at_hand(), at_hand(weights)))
    for name in names:
        several = read_results(results / "runs" / f"{name}.csv")["fingerprint"].nunique() > 1
        yield (curves if several else fig5)(results, name)


def at_hand(weights: Path | None) -> PaperNet | None:
    """The network of a run's weights or else the released one; None before there is one. Raises RecordError."""
    if weights is not None:
        return trained(weights)
    if RELEASED not in digests(WEIGHTS):
        return None
    network = load_pretrained(RELEASED).network
    assert isinstance(network, PaperNet)
    return network
