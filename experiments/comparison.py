"""python experiments/comparison.py [names ...] [--choose] [--publish]: see paper_lenet/commands/comparison.py."""

import _start

if __name__ == "__main__":
    _start.command("comparison")
