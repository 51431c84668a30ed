"""python experiments/figures.py [names ...] [--publish | --check]: see paper_lenet/commands/figures.py."""

import _start

if __name__ == "__main__":
    _start.command("figures")
