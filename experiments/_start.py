"""What every script here does: run its command, also where the package is not installed."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from paper_lenet.commands.entry import run


def command(name: str) -> None:
    """Run a command of paper_lenet/commands and end with its exit code."""
    sys.exit(run(name))
