"""Run folders -> TensorBoard: paper-lenet tensorboard [folder] [--to tensorboard].

Then tensorboard --logdir tensorboard. Called again while a sweep is running it adds the passes that have come since;
run folders are only read. Needs the package tensorboard: pip install tensorboard.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from paper_lenet.errors import PaperLenetError
from paper_lenet.runs.summary import read
from paper_lenet.runs.tensorboard import write_events


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the passes of the runs below a folder as TensorBoard's events.")
    parser.add_argument("folder", type=Path, nargs="?", default=Path("outputs"), help="outputs, or outputs/<name>")
    parser.add_argument("--to", type=Path, default=Path("tensorboard"), help="the folder for tensorboard --logdir")
    arguments = parser.parse_args()
    try:
        added = sum(write_events(run, arguments.to) for run in read(arguments.folder))
    except ImportError as error:
        raise PaperLenetError("needs the package tensorboard: pip install tensorboard") from error
    print(f"{added} passes added; tensorboard --logdir {arguments.to}")
    return 0
