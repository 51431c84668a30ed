"""python experiments/study.py ablations: see paper_lenet/commands/study.py."""

import _start

if __name__ == "__main__":
    _start.command("study")
