"""Results -> figures: paper-lenet figures [names ...] [--publish | --check] [--weights FILE].

With names, the learning curves of each: as Fig. 5 where a name has one configuration, else a panel a configuration.
Without, whatever the results at hand allow: Fig. 3 and Table I; Fig. 5 for lenet5 and fig5, Fig. 6 from fig6 and, as
far as they are there, fig5, distorted and eq9; effective rates; confusions; the ablations and the tutorials; Fig. 9 to
12, rejects and invariance; Fig. 2 and what training made of the kernels, of a trained network; Fig. 2, Fig. 7 and, for
fig5 and distorted, Fig. 8, which need MNIST. --check compares the committed figures, byte for byte, with what is drawn.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from paper_lenet.classifiers.invariance import NAME as INVARIANCE
from paper_lenet.commands.places import add_place, place_of
from paper_lenet.data import DataError
from paper_lenet.files import RecordError
from paper_lenet.network.paper_net import PaperNet
from paper_lenet.network.pretrained import WEIGHTS, digests, load_pretrained
from paper_lenet.reporting.figures.ablations import ablation
from paper_lenet.reporting.figures.ablations import curves as tutorial_curves
from paper_lenet.reporting.figures.classes import confusion
from paper_lenet.reporting.figures.common import write
from paper_lenet.reporting.figures.comparison import FIGURES as COMPARED
from paper_lenet.reporting.figures.comparison import bars, invariances, rejects
from paper_lenet.reporting.figures.curves import curves, fig5
from paper_lenet.reporting.figures.images import fig7, fig8
from paper_lenet.reporting.figures.network import fig2, fig3, kernels, table1, trained
from paper_lenet.reporting.figures.rates import rates
from paper_lenet.reporting.figures.sizes import DISTORTED, FULL, SIZES, fig6
from paper_lenet.reporting.results import TableError, read_results
from paper_lenet.reporting.tables.ablations import STUDIES
from paper_lenet.reporting.tables.build import HEADLINE
from paper_lenet.reporting.tables.classes import NETWORK
from paper_lenet.reporting.tables.comparison import NAME as COMPARISON
from paper_lenet.reporting.tables.distortions import mnist_at_hand
from paper_lenet.reporting.tables.tutorials import NAMES as TUTORIALS

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
    try:
        for files in drawings(place.results, arguments.names, arguments.weights):
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
    except (DataError, OSError, RecordError, TableError) as error:
        print(f"figures: {error}", file=sys.stderr)
        return 1
    if arguments.check:
        print(f"{count} figures agree with the results")
    return 0


def drawings(results: Path, names: Sequence[str], weights: Path | None) -> Iterator[dict[Path, bytes] | str]:
    """The files of one figure after another, by name or all that the results allow; a text says what is left out.

    Raises DataError, RecordError and TableError.
    """

    def there(*names: str) -> list[str]:
        return [name for name in names if (results / "runs" / f"{name}.csv").exists()]

    if not names and not any((results / "runs").glob("*.csv")):
        raise TableError(f"{results / 'runs'}: no results to draw")
    for name in names or there(HEADLINE, FULL):
        several = read_results(results / "runs" / f"{name}.csv")["fingerprint"].nunique() > 1
        yield (curves if several else fig5)(results, name)
    if names:
        return
    yield fig3(results)
    yield table1(results)
    yield fig6(results) if there(SIZES) else f"fig6: skipped, no {results / 'runs' / SIZES}.csv"
    there_are_rates = (results / "rates.csv").exists()
    yield rates(results) if there_are_rates else f"rates: skipped, no {results / 'rates.csv'} (made by rates)"
    for name in there(*STUDIES):
        yield ablation(results, name)
    if there(*TUTORIALS) == list(TUTORIALS):
        yield tutorial_curves(results)
    for name in there(NETWORK, *TUTORIALS):
        yield confusion(results, name)
    if there(COMPARISON):
        for name in COMPARED:
            yield bars(results, name)
        yield rejects(results)
    if (results / f"{INVARIANCE}.csv").exists():
        yield invariances(results)
    data, net = mnist_at_hand(), at_hand(weights)
    if net is None:
        yield f"fig2, kernels: skipped, {RELEASED} is not released yet (--weights takes a run's)"
    else:
        yield kernels(results, net)
        if data is not None:
            yield fig2(results, net, data)
    if data is None:
        yield "fig2, fig7, fig8: skipped, MNIST is not at hand"
        return
    yield fig7(results, data)
    for name in there(FULL, DISTORTED):
        yield fig8(results, name, data)


def at_hand(weights: Path | None) -> PaperNet | None:
    """The network of a run's weights or else the released one; None before there is one. Raises RecordError."""
    if weights is not None:
        return trained(weights)
    if RELEASED not in digests(WEIGHTS):
        return None
    network = load_pretrained(RELEASED).network
    assert isinstance(network, PaperNet)
    return network
