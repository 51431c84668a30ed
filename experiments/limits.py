"""python experiments/limits.py NAME RUN: see paper_lenet/commands/limits.py."""

import _start

if __name__ == "__main__":
    _start.command("limits")
