"""python -m paper_lenet <command>: as paper-lenet <command>, where that is not installed."""

import sys

from paper_lenet.commands.entry import choose

if __name__ == "__main__":
    sys.exit(choose())
