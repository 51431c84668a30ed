"""python experiments/bench.py [--publish]: see paper_lenet/commands/bench.py."""

import _start

if __name__ == "__main__":
    _start.command("bench")
