"""Read rows of digits: paper-lenet read IMAGE... [--figure FILE]; any pictures of digits in a row, not cut apart.

A line an image: its digits, the penalty of Viterbi's path, the probability of these digits, and at which column of the
strip that the network sees (32 pixels high) the middle of each is. What cannot be read is named and left out, and the
exit code is 1 then. --figure draws how the first image is read: the penalty of each class at each position.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from paper_lenet import paper
from paper_lenet.data.pictures import ImageError, as_strip, read
from paper_lenet.files import write_atomic
from paper_lenet.strings.digits import STEP
from paper_lenet.strings.reader import FILE, load_reader


def main() -> int:
    parser = argparse.ArgumentParser(description="Tell which digits stand in a row in each image.")
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    parser.add_argument("--weights", type=Path, default=FILE, help="a file that experiments/strings.py wrote")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="a .png or .svg of how the first image is read")
    arguments = parser.parse_args()
    reader = load_reader(arguments.weights)
    code, strips = 0, {}
    for path in arguments.images:
        try:
            strips[path] = read(path, as_strip)
        except ImageError as error:
            print(f"read: {error}", file=sys.stderr)
            code = 1
    for path, strip in strips.items():
        answer = reader.read(strip)
        digits = "".join(map(str, answer.digits)) or "no digits"
        columns = " ".join(str(STEP * place + paper.INPUT_SIZE // 2) for place in answer.places)
        where = f", columns {columns}" if columns else ""
        print(f"{path}: {digits}, penalty {answer.penalty:.2f}, probability {answer.probability:.4f}{where}")
    if arguments.figure is not None and strips:
        from paper_lenet.reporting.figures.strings import reading  # here, since matplotlib takes a second

        kind = arguments.figure.suffix.removeprefix(".")
        if kind not in ("png", "svg"):
            print(f"read: {arguments.figure}: a figure is a .png or .svg", file=sys.stderr)
            return 1
        write_atomic(arguments.figure, reading(reader, next(iter(strips.values())), kind))
        print(f"wrote {arguments.figure}")
    return code
