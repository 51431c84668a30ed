"""python experiments/study.py ablations: see paper_lenet/commands/study.py."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from paper_lenet.commands.entry import run

if __name__ == "__main__":
    sys.exit(run("study"))
