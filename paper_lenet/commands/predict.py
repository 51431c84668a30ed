"""Read digits: paper-lenet predict PICTURE... [--weights NAME_OR_FILE] [--json | --csv] [--explain out.png].

Photographs, scans or drawings, of a digit each or of several in a row: files, folders of them, or - for one that comes
in by standard input. A line a picture: what is read, penalty (or probability), margin to the runner-up, and why it is
not sure or no digit. What is no picture is named, and the exit code is 1 then.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from paper_lenet.config import ConfigError
from paper_lenet.data.pictures import ImageError
from paper_lenet.files import write_atomic
from paper_lenet.network.pretrained import RELEASED, Recogniser
from paper_lenet.strings.pictures import Reading, readers_of, readings, seen

COLUMNS = ("picture", "digits", "sure", "doubt", "score", "margin", "runner_up", "probability")


def main() -> int:
    parser = argparse.ArgumentParser(description="Tell which digits each picture shows.")
    parser.add_argument("pictures", nargs="+", metavar="PICTURE", help="files, folders, or - for standard input")
    parser.add_argument(
        "--weights",
        default="lenet5-1998",
        help=f"{', '.join(RELEASED)}, a file that release wrote, or outputs/<name>/<fingerprint>/seed-<k>",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="an object a line")
    form.add_argument("--csv", action="store_true", help="a table: " + ", ".join(COLUMNS))
    parser.add_argument("--explain", type=Path, metavar="FILE", help="a .png or .svg of how the first picture is read")
    arguments = parser.parse_args()
    if arguments.explain and arguments.explain.suffix not in (".png", ".svg"):
        raise ConfigError(f"{arguments.explain}: an explanation is a .png or .svg")
    readers = readers_of(arguments.weights)
    net = readers.net
    named = list(sources(arguments.pictures))
    code, told = 0, writer(arguments, net)
    contents = [sys.stdin.buffer.read() if name == "-" else Path(name) for name in named]
    found = readings(contents, readers)
    for name, reading in zip(named, found, strict=True):
        if isinstance(reading, ImageError):
            print(f"predict: {name}: {reading}", file=sys.stderr)
            code = 1
        else:
            told(name, reading)
    if arguments.explain is not None and contents:
        from paper_lenet.reporting.figures.explained import explained  # here, since matplotlib takes a second

        (reading,) = readings(contents[:1], readers)
        if not isinstance(reading, ImageError):
            kind = arguments.explain.suffix.removeprefix(".")
            write_atomic(arguments.explain, explained(seen(contents[0]), net, reading, kind))
            print(f"wrote {arguments.explain}", file=sys.stderr)
    return code


def sources(names: list[str]) -> Iterator[str]:
    """Files and -, as they are; of a folder its files, in order, but for hidden ones."""
    for name in names:
        if name != "-" and Path(name).is_dir():
            files = [path for path in sorted(Path(name).iterdir()) if path.is_file() and not path.name.startswith(".")]
            if not files:
                raise ConfigError(f"{name}: a folder without files")
            yield from map(str, files)
        else:
            yield name


def writer(arguments: argparse.Namespace, net: Recogniser) -> Callable[[str, Reading], None]:
    """What writes a reading to the screen, in the form that was asked for."""
    if arguments.json:
        return lambda name, reading: print(json.dumps(values(name, reading, net)))
    if arguments.csv:
        table = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
        table.writeheader()
        return lambda name, reading: table.writerow(values(name, reading, net))
    return lambda name, reading: print(f"{name}: {text(reading, net)}")


def values(name: str, reading: Reading, net: Recogniser) -> dict[str, object]:
    """A reading by COLUMNS; None for what it does not have."""
    answer = reading.answer
    of_answer = (answer.score, answer.margin, net.classes[answer.runner_up]) if answer else (None, None, None)
    row = (name, reading.digits, reading.sure, reading.doubt, *of_answer, reading.probability)
    return dict(zip(COLUMNS, row, strict=True))


def text(reading: Reading, net: Recogniser) -> str:
    """A reading in a line."""
    doubt = f"; not sure: {reading.doubt}" if reading.doubt else ""
    if reading.answer is not None:
        number = f"{reading.answer.score:.2f}, margin {reading.answer.margin:.2f}"
        if not net.has_penalties:
            number = f"{reading.answer.score:.4f}, margin {reading.answer.margin:.4f}"
        return f"{reading.digits}, {net.score_name} {number} to {net.classes[reading.answer.runner_up]}{doubt}"
    if reading.digits:
        return f"{reading.digits}, in a row, probability {reading.probability:.4f}{doubt}"
    return reading.doubt
