"""Read digits: paper-lenet predict IMAGE... [--weights NAME_OR_FILE]; any pictures of one digit each.

A line an image: label, penalty (or probability), margin to the runner-up. What cannot be read is named and left out,
and the exit code is 1 then.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from paper_lenet.data.pictures import ImageError, read
from paper_lenet.network.pretrained import RELEASED, Recogniser, load_file, load_pretrained


def network(name: str) -> Recogniser:
    """The released network of that name, else that of the file. Raises ConfigError or RecordError."""
    if name not in RELEASED and Path(name).exists():
        return load_file(Path(name))
    return load_pretrained(name)


def main() -> int:
    parser = argparse.ArgumentParser(description="Tell which digit each image shows.")
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    parser.add_argument("--weights", default="lenet5-1998", help=f"{', '.join(RELEASED)}, or a file that release wrote")
    arguments = parser.parse_args()
    net = network(arguments.weights)
    code, paths, digits = 0, [], []
    for path in arguments.images:
        try:
            digits.append(read(path))
            paths.append(path)
        except ImageError as error:
            print(f"predict: {error}", file=sys.stderr)
            code = 1
    if digits:
        for path, answer in zip(paths, net.answers(np.stack(digits)), strict=True):
            number = f"{answer.score:.2f}, margin {answer.margin:.2f}"
            if not net.has_penalties:
                number = f"{answer.score:.4f}, margin {answer.margin:.4f}"
            print(f"{path}: {answer.label}, {net.score_name} {number} to {answer.runner_up}")
    return code
