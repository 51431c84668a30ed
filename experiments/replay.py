"""python experiments/replay.py: see paper_lenet/commands/replay.py."""

import _start

if __name__ == "__main__":
    _start.command("replay")
